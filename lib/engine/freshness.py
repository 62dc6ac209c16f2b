"""Whether a run is still what its notebook, parameters, code, inputs and packages would give.

A run's stamp records all of these; what differs from it is named. Digests of inputs are read from the stamps of the
runs that wrote them, as long as size and modification time still match.
"""

import json
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from lib.config.files import file_digest, files_below, read_json, text_digest, write_json
from lib.config.packages import BACKENDS, chosen_backend
from lib.config.paths import LIB, StudyPaths
from lib.engine.code import cell_digests, reached
from lib.engine.planning import Run

FORMAT = 2  # of the stamps; a results folder of another format is refused

# the packages whose version decides numbers, by import name, and those that are installed under another name
DECIDING = ("numpy", "pandas", "scipy", "sklearn", "statsmodels", "cleanlab", "cv2", "PIL", "imagehash", "keras")
DISTRIBUTIONS = {"sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow"}
PATH_PARAMETERS = ("results", "attempt", "data", "data_given", "metadata", "masks", "weights_dir", "external")
# parts of a stamp, and what is said of those in which it differs: of the first and how many more, or of each its values
PARTS = {
    "cells": "notebook: code cell {}",
    "parameters": "parameter {}: {} -> {}",
    "code": "{}",
    "inputs": "input {}",
    "external": "input {}",
    "packages": "package {}: {} -> {}",
}


class Stamp(BaseModel):
    """What a stamp holds, at least; outputs have size, modification time and digest."""

    cells: list
    parameters: dict
    code: dict
    packages: dict
    external: dict
    inputs: dict
    outputs: dict[str, tuple[int, int, str]]
    seconds: float


def read_stamp(path: Path) -> dict[str, Any] | None:
    """A stamp; None where there is none, or where it is damaged or names files outside its results folder."""
    with suppress(ValidationError):
        outputs = Stamp.model_validate(stamp := read_json(path)).outputs
        if not any(Path(name).is_absolute() or ".." in Path(name).parts for name in outputs):
            return stamp
    return None


class Freshness:
    """Compares runs with their stamps. It keeps what it has read: a new look at the folder needs a new one."""

    def __init__(self, root: Path, lib: Path = LIB):
        self.paths, self.root, self.lib = StudyPaths(root), root, lib
        self._stamps: dict[str, dict | None] = {}
        self._external: dict[str, Any] = read_json(self.paths.external_digests, dict) or {}
        self._trees: dict[Path, str] = {}

    def stamp(self, run_id: str) -> dict[str, Any] | None:
        """A run's stamp, None if there is none that can be read."""
        if run_id not in self._stamps:
            self._stamps[run_id] = read_stamp(self.paths.stamp(run_id))
        return self._stamps[run_id]

    def describe(self, run: Run) -> dict[str, Any]:
        """What decides a run apart from the files in the results folder, as a stamp records it."""
        code, imported = reached(run.notebook, run.declared.last, self.lib)
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
        return {name: _digest(self.root / name, name, self._written) for name in expand(self.root, run.inputs)}

    def changes(self, run: Run, described: dict[str, Any] | None = None) -> list[str] | None:
        """What differs from the run's stamp: [] fresh, a list of reasons: stale, None: it never ended well."""
        stamp = self.stamp(run.id)
        if stamp is None:
            return None
        now = (described or self.describe(run)) | {"inputs": self.inputs(run)}
        missing, edited = self._outputs(stamp)
        outputs = [*_short(missing, "output {} missing"), *_short(edited, "output {} changed by hand")]
        return [*_differences(stamp, now), *outputs]

    def external(self, path: Path) -> str:
        """Digest of a file, or of a folder's files and their names, outside the results folder."""
        if path not in self._trees:
            files = {file: self._digest_outside(file) for file in _files(path)}
            lines = "\n".join(f"{file.relative_to(path).as_posix()} {digest}" for file, digest in files.items())
            self._trees[path] = text_digest(lines.encode(errors="backslashreplace").decode())  # names of any bytes
        return self._trees[path]

    def _digest_outside(self, file: Path) -> str:
        """Digest of a file that the user gave; it may be one that cannot be read."""
        try:
            return _digest(file, str(file), self._external)
        except OSError:
            return "cannot be read"

    def save_external(self) -> None:
        """Keep the digests of files outside for the next look."""
        if self._external != (read_json(self.paths.external_digests) or {}):
            write_json(self.paths.external_digests, self._external)

    @cached_property
    def _written(self) -> dict[str, list]:
        """Every output of every stamp: path -> size, time, digest."""
        stamps = [self.stamp(path.stem) or {} for path in self.paths.stamps.glob("*.json")]
        return {name: entry for stamp in stamps for name, entry in stamp.get("outputs", {}).items()}

    def changed_by_hand(self, runs: Iterable[Run]) -> list[str]:
        """The outputs of runs that are there and not as they were written."""
        return [name for run in runs if (stamp := self.stamp(run.id)) for name in self._outputs(stamp)[1]]

    def damaged(self) -> list[str]:
        """The stamps that cannot be read, and the outputs of all others whose bytes are not those that were written."""
        stamps = [path for path in self.paths.stamps.glob("[!.]*.json") if not self.stamp(path.stem)]
        written = {self.root / name: digest for name, (*_, digest) in self._written.items()}
        outputs = [path for path, digest in written.items() if not path.is_file() or file_digest(path) != digest]
        return [path.relative_to(self.root).as_posix() for path in sorted(stamps + outputs)]

    def _outputs(self, stamp: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Which outputs are missing, and which are others than were written."""
        missing, others = [], []
        for name, (*_, digest) in stamp["outputs"].items():
            if not (self.root / name).exists():
                missing.append(name)
            elif _digest(self.root / name, name, self._written) != digest:
                others.append(name)
        return missing, others


@dataclass(frozen=True)
class Standing:
    """How a run stands before anything starts."""

    status: Literal["fresh", "stale", "missing"]
    changes: tuple[str, ...] = ()  # what differs from its stamp, where it is stale
    described: dict[str, Any] = field(default_factory=dict)  # what decides it now


def standings(runs: list[Run], freshness: Freshness, force: frozenset[str] = frozenset()) -> dict[str, Standing]:
    """How every run stands. A fresh run whose inputs are about to be made again counts as stale, with that as cause."""
    standing: dict[str, Standing] = {}
    for run in runs:
        described = freshness.describe(run)
        changes = freshness.changes(run, described)
        if changes is None:
            standing[run.id] = Standing("missing", described=described)
            continue
        if force & {"all", run.step}:
            changes = ["--force", *changes]
        before = [name for name in run.waits_for if name in standing and standing[name].status != "fresh"]
        changes = changes or _short(before, "{} will be made again first")
        standing[run.id] = Standing("stale" if changes else "fresh", tuple(changes), described)
    return standing


def _digest(path: Path, name: str, known: dict[str, list]) -> str:
    """Digest of a file, read again unless its size and modification time are those of its entry in `known`."""
    status = path.stat()
    if not isinstance(known.get(name), list) or known[name][:2] != [status.st_size, status.st_mtime_ns]:
        known[name] = [status.st_size, status.st_mtime_ns, file_digest(path)]
    return known[name][2]


def outputs_of(root: Path, run: Run) -> dict[str, list]:
    """Size, modification time and digest of every file that a run has written, by its path relative to `root`."""
    outputs: dict[str, list] = {}
    for name in expand(root, (*run.outputs, *run.may_write)):
        _digest(root / name, name, outputs)
    return outputs


def expand(root: Path, patterns: Iterable[str]) -> list[str]:
    """The files that patterns name, folders with all their files, as sorted relative paths."""
    names: set[str] = set()
    for pattern in patterns:
        for path in root.glob(pattern) if "*" in pattern else [root / pattern]:
            names |= {file.relative_to(root).as_posix() for file in _files(path)}
    return sorted(names)


def _files(path: Path) -> list[Path]:
    return files_below(path) if path.is_dir() else [path] if path.is_file() else []


def _differences(stamp: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two descriptions of a run, in words."""
    reasons: list[str] = []
    for part, text in PARTS.items():
        before, after = (one[part] if part != "cells" else dict(enumerate(one[part], 1)) for one in (stamp, now))
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if "->" in text:
            reasons += [text.format(name, _value(before, name), _value(after, name)) for name in names]
        else:
            reasons += _short(names, text)
    return reasons


def _value(values: dict[str, Any], name: str) -> str:
    value = values.get(name, "none")
    return shorten(value if isinstance(value, str) else json.dumps(value), 40, placeholder="...")


def _short(names: list, text: str) -> list[str]:
    """A text on the first of some names, and how many more there are."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [text.format(f"{names[0]}{more}")] if names else []


def recorded_parameters(run: Run) -> dict[str, Any]:
    """A run's parameters but for paths, as a stamp records them; a study's settings one by one, so that a change names
    the one that changed."""
    parameters = {k: v for k, v in run.parameters.items() if k != "settings"} | run.parameters.get("settings", {})
    return json.loads(json.dumps({k: v for k, v in parameters.items() if k not in PATH_PARAMETERS}))


def deciding_environment() -> dict[str, str | None]:
    """The variables that decide what a kernel computes; None: not set."""
    return {"KERAS_BACKEND": chosen_backend(), "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS")}


def deciding_packages(imported: set[str]) -> dict[str, str]:
    """Versions that decide what imported packages give; of Keras's backends the chosen one counts, not the others."""
    names = [DISTRIBUTIONS.get(name, name) for name in DECIDING if name in imported]
    others = {"python": ".".join(platform.python_version_tuple()[:2])}
    if imported & {"keras", *BACKENDS}:
        others["backend"] = chosen_backend()
        others |= {name: value for name, value in deciding_environment().items() if value and name != "KERAS_BACKEND"}
        names += BACKENDS.get(chosen_backend(), ())
    return {name: _version(name) for name in names} | others


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
