"""Which code and which packages a notebook reaches by name.

The modules of lib are parsed, never imported. A definition counts only if the notebook reaches it; comments,
docstrings and layout never count. Imports must be written in full: one that could not be followed is an error, since
freshness would be silent on what it brings. Not seen is what is only called through a string (getattr).
"""

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from lib.config.files import file_digest
from lib.config.paths import LIB, PARAMS
from lib.engine.planning import python_of

FIGURES = "figures"  # the package that only draws
# the values of a study reach a run as its parameters, so the model that reads them decides nothing more
COVERED_BY_PARAMETERS = {("config.params", "Study")}
DYNAMIC_IMPORTS = {"import_module", "__import__", "spec_from_file_location", "run_module", "run_path"}

Name = tuple[str, str]  # of a module below lib, and of a definition there; "" its other statements, "*" all of it


class CodeError(ValueError):
    """Code that cannot be followed; the message names the file and the line."""


@cache
def library(folder: Path) -> "Library":
    """The modules in a folder, parsed once a process."""
    return Library(folder)


class Library:
    """The definitions of lib and what each of them reaches.

    Raises:
        CodeError: an import that cannot be followed.
    """

    def __init__(self, folder: Path = LIB):
        self.modules: dict[str, _Module] = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            self.modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = _Module(path)
        for module in self.modules.values():
            self._check_imports(module.tree, module.path)
        self._reached: dict[tuple, tuple] = {}
        self._parameter_digest = cache(parameter_digest)  # several notebooks read the same files

    def reached(self, notebook: Path, with_figures: bool, finish: str = "") -> tuple[dict[str, str], set[str]]:
        """What a notebook's code reaches, and the function `module:name` that follows it: digests of definitions and
        of parameter files by their names, and the packages imported."""
        key = (notebook, with_figures, finish)
        if key not in self._reached:
            self._reached[key] = self._reach(notebook, with_figures, finish)
        return self._reached[key]

    def _reach(self, notebook: Path, with_figures: bool, finish: str) -> tuple[dict[str, str], set[str]]:
        start = ast.Module([], [])
        for number, cell in enumerate(code_cells(notebook), 1):
            tree = ast.parse(python_of(cell))
            self._check_imports(tree, f"{notebook.name}, code cell {number}")
            start.body += tree.body
        if finish:
            module, name = finish.split(":")
            tree = ast.parse(f"from {module} import {name}\n{name}")
            self._check_imports(tree, f"the finish of {notebook.name}")
            start.body += tree.body
        used = _Use(self)
        waiting = used.add(start, {}, "", notebook.name)
        seen: set[Name] = set()
        while waiting:
            module, name = definition = waiting.pop()
            source = self.modules.get(module)
            if source and definition not in seen and (module.split(".")[0] != FIGURES or with_figures):
                seen.add(definition)
                if name == "*":
                    waiting |= {(module, other) for other in source.definitions if "." not in other}
                elif name in source.definitions and definition not in COVERED_BY_PARAMETERS:
                    waiting |= used.add(source.definitions[name], source.imports, module, source.path)
                    waiting.add((module, ""))  # the statements that run on import
                elif name in source.imports:  # imported there and passed on
                    waiting |= used.resolve(source.imports[name], [])
                elif name in source.bound:  # by other statements
                    waiting.add((module, ""))
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
        files = [path for path in sorted(PARAMS.iterdir()) if path.name in used.strings and path.is_file()]
        return code | {f"params/{path.name}": self._parameter_digest(path) for path in files}, used.packages

    def _check_imports(self, tree: ast.AST, where: Path | str) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
                if node.level or {"*", *DYNAMIC_IMPORTS} & {alias.name for alias in node.names}:
                    raise CodeError(f"{where}:{node.lineno}: `{ast.unparse(node)}`: import by full names")
            elif isinstance(node, (ast.Name, ast.Attribute)) and (name := _last_name(node)) in DYNAMIC_IMPORTS:
                raise CodeError(f"{where}:{node.lineno}: {name}: what it imports cannot be followed; use `import`")
            else:
                continue
            for target in targets:
                if target.split(".")[0] == "lib" and not self._knows(target):
                    raise CodeError(f"{where}:{node.lineno}: `{ast.unparse(node)}`: there is no {target}")

    def _knows(self, target: str) -> bool:
        """Whether a dotted name below lib is a module, or a name that is bound in one."""
        parent, _, name = target.removeprefix("lib").removeprefix(".").rpartition(".")
        return f"{parent}.{name}".lstrip(".") in self.modules or (
            parent in self.modules and name in self.modules[parent].bound
        )


class _Module:
    """A module's top-level definitions by name, methods as `Class.method`; "" holds its other statements."""

    def __init__(self, path: Path):
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        statements = _without_docstring(self.tree.body)
        own = [s for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))]
        self.imports = _imports(ast.Module(own, []))
        bodies: dict[str, list[ast.stmt]] = {"": []}
        for statement in statements:
            match statement:
                case ast.Import() | ast.ImportFrom():
                    pass
                case ast.ClassDef(name=name):
                    methods = [s for s in statement.body if _is_plain_method(s)]
                    for method in methods:
                        bodies.setdefault(f"{name}.{method.name}", []).append(method)
                    rest = [s for s in statement.body if s not in methods] or [ast.Pass()]
                    fields = {field: getattr(statement, field) for field in statement._fields}
                    bodies.setdefault(name, []).append(ast.ClassDef(**fields | {"body": rest}))
                case (
                    ast.FunctionDef(name=name)
                    | ast.AsyncFunctionDef(name=name)
                    | ast.Assign(targets=[ast.Name(id=name)])
                    | ast.AnnAssign(target=ast.Name(id=name))
                ):
                    bodies.setdefault(name, []).append(statement)
                case _:
                    bodies[""].append(statement)
        self.definitions = {name: _plain(ast.Module(body, [])) for name, body in bodies.items()}
        self.digests = {
            name: text_digest(ast.dump(tree)) if tree.body else "" for name, tree in self.definitions.items()
        }
        others = self.definitions[""]  # a name may be bound in an `if` or `try`
        names = {getattr(node, "id", getattr(node, "name", None)) for node in ast.walk(others)}
        self.bound = {*self.imports, *self.definitions, *names, *_imports(others)}


class _Use:
    """What code uses: names of attributes, packages, strings; `add` gives the definitions of lib that it names."""

    def __init__(self, library: Library):
        self.modules = library.modules
        self.attributes: set[str] = set()
        self.strings: set[str] = set()
        self.packages: set[str] = {"numpy"}

    def add(self, tree: ast.Module, imports: dict[str, str], module: str, where: Path | str) -> set[Name]:
        imports = imports | (own := _imports(tree))
        reached: set[Name] = set()
        for target in own.values():  # an import runs the module's statements
            reached |= self.resolve(target, [""])
        inner: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
                chain = _chain(node)
                if chain and id(node) not in inner and chain[0] in imports:
                    reached |= self.resolve(imports[chain[0]], chain[1:], f"{where}:{node.lineno}")
                    inner |= {id(part) for part in ast.walk(node)}
            elif isinstance(node, ast.Name) and id(node) not in inner:
                if node.id in imports:
                    reached |= self.resolve(imports[node.id], [])
                elif module:
                    reached.add((module, node.id))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.strings.add(node.value)
        return reached

    def resolve(self, target: str, rest: list[str], where: str = "") -> set[Name]:
        """The definition behind an imported dotted name and the attributes that follow it."""
        first, *parts = target.split(".") + rest
        if first != "lib":
            self.packages.add(first)
            return set()
        size = next(n for n in range(len(parts), -1, -1) if n == 0 or ".".join(parts[:n]) in self.modules)
        module, rest = ".".join(parts[:size]), parts[size:]
        source = self.modules.get(module)
        if source and rest and rest[0] in source.imports:  # a name that a package offers
            return self.resolve(source.imports[rest[0]], rest[1:], where)
        if where and rest and not rest[0].startswith("__") and not (source and rest[0] in source.bound):
            raise CodeError(f"{where}: lib.{module} has no {rest[0]}".replace("lib. ", "lib "))
        return {(module, rest[0] if rest else "*")}


def _imports(tree: ast.AST) -> dict[str, str]:
    """Name in the code -> dotted name that it stands for, for every import in a tree."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _chain(node: ast.expr) -> list[str]:
    """`a.b.c` as its parts; [] where the start is no name."""
    if isinstance(node, ast.Name):
        return [node.id]
    before = _chain(node.value) if isinstance(node, ast.Attribute) else []
    return [*before, node.attr] if before else []


def _last_name(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _is_plain_method(statement: ast.stmt) -> bool:
    """Methods that only run when called by name; validators and special methods belong to the class itself."""
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) or statement.name.startswith("__"):
        return False
    known = ("property", "classmethod", "staticmethod", "cached_property")
    return all(isinstance(d, ast.Name) and d.id in known for d in statement.decorator_list)


def _plain(tree: ast.Module) -> ast.Module:
    """The code without its docstrings, which decide nothing."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            node.body = _without_docstring(node.body) or [ast.Pass()]
    return tree


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def code_cells(notebook: Path) -> list[str]:
    """The sources of a notebook's code cells."""
    return [source for source, _ in _cells(notebook)]


def cell_digests(notebook: Path) -> list[str]:
    """Digest of each code cell. Of the parameters cell it tells nothing: a run is given every value, whatever the
    defaults are, and the values stand in its stamp by name."""
    return ["parameters" if "parameters" in tags else text_digest(_normal(source)) for source, tags in _cells(notebook)]


def _cells(notebook: Path) -> Iterator[tuple[str, list[str]]]:
    """Source and tags of each code cell."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"]), cell["metadata"].get("tags", [])


def _normal(cell: str) -> str:
    """A cell's code without comments and layout."""
    magics = [line for line in cell.split("\n") if line.lstrip().startswith(("%", "!"))]
    return ast.dump(_plain(ast.parse(python_of(cell)))) + "".join(magics)


def parameter_digest(path: Path) -> str:
    """Digest of a file in params/: of what a YAML file says, not of its comments."""
    if path.suffix == ".yaml":
        return text_digest(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))
    return file_digest(path)


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
