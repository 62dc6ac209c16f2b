"""Which modules of lib, files of params/ and packages a notebook imports, directly or through others.

Modules are parsed, never imported. Comments, docstrings and layout do not count. An import that cannot be followed is
refused; one that is made by a call (importlib) is not seen.
"""

import ast
import json
from functools import cache
from pathlib import Path

from lib.config import paths
from lib.config.files import file_digest, files_below, text_digest
from lib.config.schema import read_yaml
from lib.engine.notebooks import code_cells, python_of

FIGURES = ("lib.figures.", "lib.report.")  # they show numbers: only the page is made of them
BY_HAND = "lib.explore."  # of no use to a run
PATHS = "lib.config.paths"  # says where files lie; of the files in params/ those count whose names are imported from it
# Modules that decide no number; what they import counts.
NO_NUMBERS = {
    "lib.config.params",  # its values reach a run as parameters
    "lib.config.schema",  # refuses wrong values
    "lib.config.packages",  # names versions
    "lib.data.by_hand",  # shows what a notebook run by hand has made
}


class CodeError(ValueError):
    """An import that cannot be followed; the message names the file and the line."""


@cache
def reached(notebook: Path, with_figures: bool, lib: Path = paths.LIB) -> tuple[dict[str, str], set[str]]:
    """What the code of a notebook reaches in the modules of `lib`, those of lib.figures only where they count.

    Returns digests by name, of modules, of other files in their packages, and of files in params/ that these modules
    name; and the names of the packages that are imported. A CodeError where an import cannot be followed.
    """
    waiting: set[str] = set()
    for number, (cell, _) in enumerate(code_cells(notebook), 1):
        waiting |= _imports(ast.parse(python_of(cell)), f"{notebook.name}, code cell {number}", lib)
    code: dict[str, str] = {}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        shown = name.startswith(BY_HAND) or (name.startswith(FIGURES) and not with_figures)
        if name in (*seen, PATHS) or shown:
            continue
        seen.add(name)
        if name.startswith("params/"):
            code[name] = parameter_digest(paths.REPOSITORY / name)
        elif name.startswith("lib."):
            imported, digests = _read_module(name, lib)
            waiting |= imported
            code |= {} if name in NO_NUMBERS else digests
    return dict(sorted(code.items())), {"numpy"} | {name for name in seen if not name.startswith(("lib.", "params/"))}


def cell_digests(notebook: Path) -> list[str]:
    """Digest of each code cell; the defaults of the parameters do not count, since a run is given every value."""
    return ["parameters" if "parameters" in tags else _cell_digest(cell) for cell, tags in code_cells(notebook)]


@cache
def parameter_digest(path: Path) -> str:
    """Digest of a file in params/: of what a YAML file says, not of its comments."""
    if path.suffix == ".yaml":
        return text_digest(json.dumps(read_yaml(path), default=str))
    return file_digest(path)


@cache
def _read_module(name: str, lib: Path) -> tuple[set[str], dict[str, str]]:
    """What a module imports; digests of its code and of the files in its package that are not code."""
    path = _file(name, lib)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imported = _imports(tree, str(path), lib)
    others = [file for file in files_below(path.parent) if file.suffix not in (".py", ".pyc") and path.parent != lib]
    digests = {file.relative_to(lib.parent).as_posix(): file_digest(file) for file in others}
    return imported, {name: text_digest(ast.dump(_without_docstrings(tree)))} | digests


def _imports(tree: ast.AST, where: str, lib: Path) -> set[str]:
    """What code imports: `lib.models.training`, `scipy`, or `params/claims.yaml` by the name of its path."""
    names: set[str] = set()
    for node in ast.walk(tree):
        targets: list[str] = []
        match node:
            case ast.Import():
                targets = [alias.name for alias in node.names]
            case ast.ImportFrom():
                targets = ["." * node.level + f"{node.module}.{alias.name}" for alias in node.names]
        for target in targets:
            if not (name := _resolve(target, lib)):
                raise CodeError(
                    f"{where}:{node.lineno}: `{ast.unparse(node)}` cannot be followed; import modules by name"
                )
            names.add(name)
    return names


def _resolve(target: str, lib: Path) -> str:
    """The module of lib, file of params/ or package behind a dotted name; "" where there is none."""
    module, _, name = target.rpartition(".")
    if target.startswith(".") or name == "*":
        return ""
    if target.split(".")[0] != "lib":
        return target.split(".")[0]
    value = getattr(paths, name, None) if module == PATHS else None
    if isinstance(value, Path) and value.parent == paths.PARAMS:
        return f"params/{value.name}"
    return next((each for each in (target, module) if _file(each, lib).is_file()), "")


def _file(module: str, lib: Path) -> Path:
    return lib.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _cell_digest(cell: str) -> str:
    magics = [line for line in cell.split("\n") if line.lstrip().startswith(("%", "!"))]
    return text_digest(ast.dump(_without_docstrings(ast.parse(python_of(cell)))) + "".join(magics))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if ast.get_docstring(node, clean=False) is not None:
                    node.body = node.body[1:] or [ast.Pass()]
    return tree
