"""Whether a run is still what its notebook, parameters, code, inputs and packages would give.

A run's stamp records all of these; what differs from it is named. Digests of inputs are read from the stamps of the
runs that wrote them, as long as size and modification time still match.
"""

import json
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from textwrap import shorten
from typing import Any

from lib.config.backends import BACKENDS, chosen_backend
from lib.config.files import file_digest, files_below, read_json, text_digest, write_json
from lib.config.paths import LIB, StudyPaths
from lib.engine.code import cell_digests, reached
from lib.engine.planning import Run

FORMAT = 1  # of the stamps; a results folder of another format is refused

# import name -> the packages whose version decides numbers
DECIDING = {
    "numpy": ["numpy"],
    "pandas": ["pandas"],
    "scipy": ["scipy"],
    "sklearn": ["scikit-learn"],
    "statsmodels": ["statsmodels"],
    "cleanlab": ["cleanlab"],
    "cv2": ["opencv-python-headless"],
    "PIL": ["pillow"],
    "imagehash": ["ImageHash"],
    "keras": ["keras"],
}
PATH_PARAMETERS = ("results", "attempt", "data", "metadata", "masks", "weights_dir", "external")


class Freshness:
    """Compares runs with their stamps. It keeps what it has read: a new look at the folder needs a new one."""

    def __init__(self, root: Path, lib: Path = LIB):
        self.paths = StudyPaths(root)
        self.root = root
        self.lib = lib
        self._stamps: dict[str, dict | None] = {}
        self._known: dict[str, dict] | None = None
        self._external = read_json(self.paths.external_digests) or {}
        self._external_changed = False
        self._trees: dict[str, str] = {}

    def stamp(self, run_id: str) -> dict[str, Any] | None:
        """A run's stamp, None if there is none that can be read."""
        if run_id not in self._stamps:
            self._stamps[run_id] = read_json(self.paths.stamp(run_id))
        return self._stamps[run_id]

    def describe(self, run: Run) -> dict[str, Any]:
        """What decides a run apart from the files in the results folder, as a stamp records it."""
        code, imported = reached(run.notebook, run.declared.pictures, self.lib)
        return {
            "format": FORMAT,
            "cells": cell_digests(run.notebook),
            "parameters": recorded_parameters(run),
            "code": code,
            "packages": deciding_packages(imported),
            "external": {name: self.external(Path(path)) for name, path in run.external.items()},
        }

    def inputs(self, run: Run) -> dict[str, str]:
        """Digest of every file that a run reads from the results folder, by its relative path."""
        return {name: self._digest_of(self.root / name) for name in expand(self.root, run.inputs)}

    def changes(self, run: Run, described: dict[str, Any] | None = None) -> list[str] | None:
        """What differs from the run's stamp: [] fresh, a list of reasons: stale, None: it never ended well."""
        stamp = self.stamp(run.id)
        if stamp is None:
            return None
        if stamp.get("format") != FORMAT:
            return [f"its stamp has format {stamp.get('format')}, not {FORMAT}"]
        now = (described or self.describe(run)) | {"inputs": self.inputs(run)}
        missing, edited = self._outputs(stamp)
        outputs = [f"output {name}" for name in (*_short(missing, "missing"), *_short(edited, "changed by hand"))]
        return [*_differences(stamp, now), *outputs]

    def external(self, path: Path) -> str:
        """Digest of a file, or of a folder's files and their names, outside the results folder."""
        key = str(path)
        if key not in self._trees:
            if path.is_dir():
                parts = [f"{f.relative_to(path).as_posix()} {self._cached(f)}" for f in files_below(path)]
                self._trees[key] = text_digest("\n".join(parts))
            else:
                self._trees[key] = self._cached(path) if path.is_file() else "missing"
        return self._trees[key]

    def save_external(self) -> None:
        """Keep the digests of files outside for the next look."""
        if self._external_changed:
            write_json(self.paths.external_digests, self._external)
            self._external_changed = False

    def _cached(self, path: Path) -> str:
        status = path.stat()
        entry = self._external.get(str(path))
        if not entry or entry[:2] != [status.st_size, status.st_mtime_ns]:
            entry = self._external[str(path)] = [status.st_size, status.st_mtime_ns, file_digest(path)]
            self._external_changed = True
        return entry[2]

    def _digest_of(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        if self._known is None:  # every output of every stamp: path -> size, time, digest
            self._known = {}
            for stamp in self.paths.stamps.glob("*.json"):
                self._known |= (self.stamp(stamp.stem) or {}).get("outputs", {})
        known = self._known.get(name)
        status = path.stat()
        if known and known[:2] == [status.st_size, status.st_mtime_ns]:
            return known[2]
        digest = file_digest(path)
        self._known[name] = [status.st_size, status.st_mtime_ns, digest]
        return digest

    def changed_by_hand(self, runs: Iterable[Run]) -> list[str]:
        """The outputs of runs that are there and not as they were written."""
        stamps = [stamp for run in runs if (stamp := self.stamp(run.id)) and stamp.get("format") == FORMAT]
        return [name for stamp in stamps for name in self._outputs(stamp)[1]]

    def _outputs(self, stamp: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Which outputs are missing, and which are others than were written."""
        missing, others = [], []
        for name, (size, mtime, digest) in stamp["outputs"].items():
            try:
                status = (self.root / name).stat()
            except OSError:
                missing.append(name)
                continue
            if [status.st_size, status.st_mtime_ns] != [size, mtime] and self._digest_of(self.root / name) != digest:
                others.append(name)
        return missing, others


def outputs_of(root: Path, run: Run) -> dict[str, list]:
    """Size, modification time and digest of every file that a run has written, by its path relative to `root`."""
    outputs = {}
    for name in expand(root, (*run.outputs, *run.may_write)):
        status = (root / name).stat()
        outputs[name] = [status.st_size, status.st_mtime_ns, file_digest(root / name)]
    return outputs


def expand(root: Path, patterns: Iterable[str]) -> list[str]:
    """The files that patterns name, folders with all their files, as sorted relative paths."""
    names: set[str] = set()
    for pattern in patterns:
        for path in root.glob(pattern) if "*" in pattern else [root / pattern]:
            files = files_below(path) if path.is_dir() else [path] if path.is_file() else []
            names |= {file.relative_to(root).as_posix() for file in files}
    return sorted(names)


def _differences(stamp: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two descriptions of a run, in words."""
    cells = enumerate(zip_longest(stamp["cells"], now["cells"]), 1)
    different = [f"code cell {number}" for number, (before, after) in cells if before != after]
    inputs, external = (_changed(stamp[key], now[key]) for key in ("inputs", "external"))
    return [
        *(f"notebook: {name}" for name in _short(different)),
        *(f"parameter {text}" for text in _moved(stamp["parameters"], now["parameters"])),
        *_short(_changed(stamp["code"], now["code"])),
        *(f"input {name}" for name in (*_short(inputs), *external)),
        *(f"package {text}" for text in _moved(stamp["packages"], now["packages"])),
    ]


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names whose value differs, and whether they are new or gone."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [name + (" (new)" if name not in before else " (gone)" if name not in after else "") for name in names]


def _moved(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """`units: 8 -> 16` for every value that differs."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [f"{name}: {_value(before, name)} -> {_value(after, name)}" for name in names]


def _value(values: dict[str, Any], name: str) -> str:
    value = values.get(name, "none")
    return shorten(value if isinstance(value, str) else json.dumps(value), 40, placeholder="...")


def _short(names: list[str], state: str = "") -> list[str]:
    """The first of some names with their state, and how many more there are."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"{names[0]}{more}{f' {state}' if state else ''}"] if names else []


def recorded_parameters(run: Run) -> dict[str, Any]:
    """A run's parameters but for paths, as a stamp records them; a study's settings one by one, so that a change names
    the one that changed."""
    parameters = {k: v for k, v in run.parameters.items() if k != "settings"} | run.parameters.get("settings", {})
    return json.loads(json.dumps({k: v for k, v in parameters.items() if k not in PATH_PARAMETERS}))


def deciding_packages(imported: set[str]) -> dict[str, str]:
    """Versions that decide what imported packages give; of Keras's backends the chosen one counts, not the others."""
    names = [name for package in sorted(imported) for name in DECIDING.get(package, [])]
    backend = {}
    if imported & {"keras", *BACKENDS}:
        backend["backend"] = chosen_backend()
        names += BACKENDS.get(chosen_backend(), ())
    python = ".".join(platform.python_version_tuple()[:2])
    return {name: _version(name) for name in names} | backend | {"python": python}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
