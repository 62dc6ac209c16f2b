"""Whether a run is still what its notebook, parameters, code, inputs and packages would give.

A run's stamp records all of these. A definition of lib counts only if the notebook reaches it by name; comments,
docstrings and markdown never count. Digests of inputs are read from the stamps of the runs that wrote them, as long
as size and modification time still match.

Limit: what is called only through a string (getattr, an entry point) is not seen.
"""

import ast
import hashlib
import json
import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from lib.config import BACKENDS, LIB, PARAMS, StudyPaths, chosen_backend, file_digest, read_json, write_json
from lib.engine.planning import Run, python_of

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
# the values of a study reach a run as its parameters, so the model that reads them decides nothing more
COVERED_BY_PARAMETERS = {("config.params", "Study")}
# step -> what lib.engine.kernel runs after its notebook
AFTER = {"report": "from lib.report import notebooks, pages\npages.to_html\nnotebooks.write_pages"}
PATH_PARAMETERS = ("results", "attempt", "data", "metadata", "masks", "weights_dir")


class CodeError(ValueError):
    """Code that cannot be followed: freshness would be silent on what it imports."""


class Freshness:
    """Compares runs with their stamps; holds what it has read, so one is made a look at the results folder."""

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
        after, external = AFTER.get(run.step, ""), dict(run.external)
        if after:
            external["lib/report/template"] = str(self.lib / "report" / "template")
        reached = library(self.lib).reached(run.notebook, counts_plots=run.pictures, after=after)
        # the settings one by one, so that a change names the one that changed
        parameters = {k: v for k, v in run.parameters.items() if k != "settings"} | run.parameters.get("settings", {})
        return {
            "format": FORMAT,
            "cells": cell_digests(run.notebook),
            "parameters": {k: _plain(v) for k, v in parameters.items() if k not in PATH_PARAMETERS},
            "code": reached["code"],
            "packages": reached["packages"],
            "external": {name: self.external(Path(path)) for name, path in external.items()},
        }

    def inputs(self, run: Run) -> dict[str, str]:
        """Digest of every file that a run reads from the results folder, by its relative path."""
        return {name: self._digest_of(self.root / name) for name in _expand(self.root, run.inputs)}

    def changes(self, run: Run, described: dict[str, Any] | None = None) -> list[str] | None:
        """What differs from the run's stamp: [] fresh, a list of reasons stale, None where it never ended well."""
        stamp = self.stamp(run.id)
        if stamp is None:
            return None
        if stamp.get("format") != FORMAT:
            return [f"its stamp has format {stamp.get('format')}, not {FORMAT}"]
        now = (described or self.describe(run)) | {"inputs": self.inputs(run)}
        return _differences(stamp, now) + self._changed_outputs(stamp)

    def external(self, path: Path) -> str:
        """Digest of a file, or of a folder's files and their names, outside the results folder."""
        key = str(path)
        if key not in self._trees:
            if path.is_dir():
                parts = [f"{f.relative_to(path).as_posix()} {self._cached(f)}" for f in _files(path)]
                self._trees[key] = _digest("\n".join(parts))
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
            for stamp in self.paths.stamp("x").parent.glob("*.json"):
                self._known |= (self.stamp(stamp.stem) or {}).get("outputs", {})
        known = self._known.get(name)
        status = path.stat()
        if known and known[:2] == [status.st_size, status.st_mtime_ns]:
            return known[2]
        digest = file_digest(path)
        self._known[name] = [status.st_size, status.st_mtime_ns, digest]
        return digest

    def _changed_outputs(self, stamp: dict[str, Any]) -> list[str]:
        changes = []
        for name, (size, mtime, digest) in stamp["outputs"].items():
            path = self.root / name
            try:
                status = path.stat()
            except OSError:
                changes.append(f"output {name} is missing")
                continue
            if [status.st_size, status.st_mtime_ns] != [size, mtime] and file_digest(path) != digest:
                changes.append(f"output {name} was changed by hand")
        return changes


@cache
def library(folder: Path) -> "Library":
    """The modules in a folder, parsed once a process."""
    return Library(folder)


class Library:
    """The definitions of lib and what each of them reaches."""

    def __init__(self, folder: Path = LIB):
        self.modules = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            self.modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = _Module(path)
        self._reached: dict[tuple, dict] = {}

    def reached(self, notebook: Path, counts_plots: bool, after: str = "") -> dict[str, dict[str, str]]:
        """What a notebook's code, and that which follows it, reaches: `code` (definition or parameter file -> digest)
        and `packages`."""
        key = (notebook, counts_plots, after)
        if key not in self._reached:
            self._reached[key] = self._reach(notebook, counts_plots, after)
        return self._reached[key]

    def _reach(self, notebook: Path, counts_plots: bool, after: str) -> dict[str, dict[str, str]]:
        cells = [*map(python_of, code_cells(notebook)), after]
        parts: list[ast.stmt] = [s for cell in cells for s in ast.parse(cell).body]
        start = ast.Module(parts, [])
        used = _Use(self.modules)
        waiting = used.add(start, _imports(start), None)
        seen: set[tuple[str, str]] = set()
        while waiting:
            module, name = found = waiting.pop()
            source = self.modules.get(module)
            if source and found not in seen and (module.split(".")[0] != "figures" or counts_plots):
                seen.add(found)
                if name == "*":  # the module was used as a whole
                    waiting |= {(module, other) for other in source.definitions if "." not in other}
                elif name in source.definitions and found not in COVERED_BY_PARAMETERS:
                    waiting |= used.add(source.definitions[name], source.aliases, module)
                    waiting.add((module, ""))  # the statements that run on import
                elif name in source.aliases:  # imported there and passed on
                    waiting |= used.resolve(source.aliases[name], [])
            if not waiting:  # a method of a reached class counts once its name is used on any object
                waiting = {
                    (module, method)
                    for module, source in self.modules.items()
                    for method in source.definitions
                    if "." in method
                    and (module, method.split(".")[0]) in seen
                    and method.split(".")[1] in used.attributes
                } - seen
        code = {
            f"lib.{module}.{name}".rstrip("."): self.modules[module].digests[name]
            for module, name in sorted(seen - COVERED_BY_PARAMETERS)
            if self.modules[module].digests.get(name)
        }
        files = {path.name: path for path in sorted(PARAMS.iterdir()) if path.name in used.strings and path.is_file()}
        return {
            "code": code | {f"params/{name}": parameter_digest(path) for name, path in files.items()},
            "packages": _packages(used.packages),
        }


class _Module:
    """A module's top-level definitions by name, methods as `Class.method`; "" holds its other statements."""

    def __init__(self, path: Path):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        self.aliases = _imports(ast.Module([s for s in tree.body if isinstance(s, (ast.Import, ast.ImportFrom))], []))
        bodies: dict[str, list[ast.stmt]] = {"": []}
        for statement in _without_docstring(tree.body):
            match statement:
                case ast.Import() | ast.ImportFrom():
                    pass
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    bodies.setdefault(name, []).append(statement)
                case ast.ClassDef(name=name):
                    methods = [s for s in statement.body if _is_plain_method(s)]
                    for method in methods:
                        bodies.setdefault(f"{name}.{method.name}", []).append(method)
                    statement.body = [s for s in statement.body if s not in methods] or [ast.Pass()]
                    bodies.setdefault(name, []).append(statement)
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    bodies.setdefault(name, []).append(statement)
                case _:
                    bodies[""].append(statement)
        self.definitions = {name: _plain_code(ast.Module(body, [])) for name, body in bodies.items()}
        self.digests = {name: _digest(ast.dump(tree)) if tree.body else "" for name, tree in self.definitions.items()}


class _Use:
    """What code uses: names of attributes, packages, strings; `add` gives the definitions of lib that it names."""

    def __init__(self, modules: dict[str, "_Module"]):
        self.modules = modules
        self.attributes: set[str] = set()
        self.strings: set[str] = set()
        self.packages: set[str] = {"numpy"}

    def add(self, tree: ast.Module, aliases: dict[str, str], module: str | None) -> set[tuple[str, str]]:
        aliases = aliases | _imports(tree)
        found: set[tuple[str, str]] = set()
        for target in _imports(tree).values():  # an import runs the module's statements
            found |= self.resolve(target, [""])
        inner: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
                chain = _chain(node)
                if chain and id(node) not in inner and chain[0] in aliases:
                    found |= self.resolve(aliases[chain[0]], chain[1:])
                    inner |= {id(part) for part in ast.walk(node)}
            elif isinstance(node, ast.Name) and id(node) not in inner:
                if node.id in aliases:
                    found |= self.resolve(aliases[node.id], [])
                elif module:
                    found.add((module, node.id))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.strings.add(node.value)
        return found

    def resolve(self, target: str, rest: list[str]) -> set[tuple[str, str]]:
        """Definitions behind an imported dotted name and the attributes that follow it."""
        parts = target.split(".") + rest
        if parts[0] != "lib":
            self.packages.add(parts[0])
            return set()
        size = max(n for n in range(1, len(parts) + 1) if n == 1 or ".".join(parts[1:n]) in self.modules)
        module, rest = ".".join(parts[1:size]), parts[size:]
        if not module and rest and rest != [""]:
            raise CodeError(f"lib has no {'.'.join(rest)}; mend the import")
        if rest and rest[0] in self.modules[module].aliases:  # a name that a package offers
            return self.resolve(self.modules[module].aliases[rest[0]], rest[1:])
        return {(module, rest[0] if rest else "*")}


def _imports(tree: ast.AST) -> dict[str, str]:
    """Name in the code -> dotted name that it stands for, for every import in a tree."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            if node.level or any(alias.name == "*" for alias in node.names):
                raise CodeError(f"`{ast.unparse(node)}`: only imports by full name can be followed; write them so")
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _chain(node: ast.Attribute) -> list[str]:
    """`a.b.c` as its parts; [] where the start is no name."""
    parts: list[str] = []
    part: ast.expr = node
    while isinstance(part, ast.Attribute):
        parts.insert(0, part.attr)
        part = part.value
    return [part.id, *parts] if isinstance(part, ast.Name) else []


def _is_plain_method(statement: ast.stmt) -> bool:
    """Methods that only run when called by name; validators and special methods belong to the class itself."""
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) or statement.name.startswith("__"):
        return False
    known = ("property", "classmethod", "staticmethod", "cached_property")
    return all(isinstance(d, ast.Name) and d.id in known for d in statement.decorator_list)


def _plain_code(tree: ast.Module) -> ast.Module:
    """The code without its docstrings, which decide nothing."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            node.body = _without_docstring(node.body) or [ast.Pass()]
    return tree


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def code_cells(notebook: Path) -> tuple[str, ...]:
    """The sources of a notebook's code cells."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return tuple("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code")


def cell_digests(notebook: Path) -> list[str]:
    """Digest of each code cell. Of the parameters cell it tells nothing: a run is given every value, whatever the
    defaults are, and the values stand in its stamp by name."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = ["parameters" in cell["metadata"].get("tags", []) for cell in cells if cell["cell_type"] == "code"]
    return [
        "parameters" if is_parameters else _digest(_normal(cell))
        for cell, is_parameters in zip(code_cells(notebook), tagged)
    ]


def parameter_digest(path: Path) -> str:
    """Digest of a file in params/: of what a YAML file says, not of its comments."""
    if path.suffix == ".yaml":
        return _digest(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))
    return file_digest(path)


def outputs_of(root: Path, run: Run) -> dict[str, list]:
    """Size, modification time and digest of every file that a run has written, by its path relative to `root`."""
    found = {}
    for name in _expand(root, (*run.outputs, *run.may_write)):
        status = (root / name).stat()
        found[name] = [status.st_size, status.st_mtime_ns, file_digest(root / name)]
    return found


def _expand(root: Path, patterns: Iterable[str]) -> list[str]:
    """The files that patterns name, folders with all their files, as sorted relative paths."""
    found: set[str] = set()
    for pattern in patterns:
        for path in root.glob(pattern) if "*" in pattern else [root / pattern]:
            files = _files(path) if path.is_dir() else [path] if path.is_file() else []
            found |= {file.relative_to(root).as_posix() for file in files}
    return sorted(found)


def _files(folder: Path) -> list[Path]:
    """Regular files alone: to open a named pipe is to wait for its writer."""
    found = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if path.is_file())


def _differences(stamp: dict[str, Any], now: dict[str, Any]) -> list[str]:
    changes = []
    before, after = stamp["cells"], now["cells"]
    if before != after:
        different = [i + 1 for i, (a, b) in enumerate(zip(before, after)) if a != b]
        if len(before) != len(after):
            first = different[0] if different else min(len(before), len(after)) + 1
            changes.append(f"notebook: {len(after)} code cells, were {len(before)}; the first that differs is {first}")
        else:
            changes.append(f"notebook: code cell {', '.join(map(str, different))}")
    for key in sorted(stamp["parameters"].keys() | now["parameters"].keys()):
        a, b = stamp["parameters"].get(key, "nothing"), now["parameters"].get(key, "nothing")
        if a != b:
            changes.append(f"parameter {key}: {_short(a)} -> {_short(b)}")
    for part, what in (("code", "{}"), ("inputs", "input {}"), ("external", "input {}")):
        for key in sorted(stamp[part].keys() | now[part].keys()):
            if stamp[part].get(key) != now[part].get(key):
                fate = " (new)" if key not in stamp[part] else " (gone)" if key not in now[part] else ""
                changes.append(what.format(key) + fate)
    for key in sorted(stamp["packages"].keys() | now["packages"].keys()):
        a, b = stamp["packages"].get(key, "none"), now["packages"].get(key, "none")
        if a != b:
            changes.append(f"package {key}: {a} -> {b}")
    return changes


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _normal(cell: str) -> str:
    """A cell's code without comments and layout."""
    return ast.dump(_plain_code(ast.parse(python_of(cell)))) + "".join(
        line for line in cell.split("\n") if line.lstrip().startswith(("%", "!"))
    )


def _packages(imported: set[str]) -> dict[str, str]:
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
