"""The code cells of a notebook, and the parameters that it declares."""

import ast
import json
from contextlib import suppress
from pathlib import Path


class NotebookError(ValueError):
    """A notebook that cannot be run as part of a study; the message names the notebook and what to change."""


def code_cells(path: Path) -> list[tuple[str, list[str]]]:
    """Source and tags of each code cell; a NotebookError where there is no such file, or it is not a notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        return [("".join(cell["source"]), cell.get("metadata", {}).get("tags", [])) for cell in code]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotebookError(f"{path}: cannot be read as a notebook: {error}; save it again in JupyterLab") from error


def python_of(cell: str) -> str:
    """A cell's source with its magics and shell lines blanked out, so that it parses as Python."""
    if cell.lstrip().startswith("%%"):
        return ""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in cell.split("\n"))


def declared_parameters(path: Path) -> tuple[str, ...]:
    """The parameters that a notebook declares; a NotebookError where they cannot be injected or would not be used: not
    exactly one cell is tagged `parameters`, it does not hold literals, or the code never reads one."""
    cells = code_cells(path)
    tagged = [number for number, (_, tags) in enumerate(cells) if "parameters" in tags]
    if len(tagged) != 1:
        raise NotebookError(f"{path.name}: {len(tagged)} cells have the tag `parameters`; exactly one must")
    if any("injected-parameters" in tags for _, tags in cells):
        raise NotebookError(f"{path.name}: has a cell of injected parameters; remove it, its values would win silently")
    sources = [source for source, _ in cells]
    declared = _declared(path, sources[tagged[0]])
    later = _read_names(path, sources[tagged[0] + 1 :], tagged[0] + 2)
    if unread := [name for name in declared if name not in later]:
        raise NotebookError(f"{path.name}: parameter {unread[0]!r} is never read by the code; use it or remove it")
    return tuple(declared)


def _declared(path: Path, cell: str) -> list[str]:
    names = []
    for statement in _parse(path, cell, "the cell tagged `parameters`").body:
        match statement:
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.Assign(targets=[ast.Name(id=name)], value=value)
            ) if _is_literal(value):
                names.append(name)
            case _:
                raise NotebookError(
                    f"{path.name}: the cell tagged `parameters` holds {ast.unparse(statement)!r}; write only "
                    "`name: type = literal` there, and derive other values in a later cell"
                )
    return names


def _is_literal(value: ast.expr) -> bool:
    with suppress(ValueError):
        ast.literal_eval(value)
        return True
    return False


def _read_names(path: Path, cells: list[str], first: int) -> set[str]:
    """The names that cells, numbered from `first`, read somewhere."""
    trees = [_parse(path, cell, f"code cell {number}") for number, cell in enumerate(cells, first)]
    names = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, ast.Load)}


def _parse(path: Path, cell: str, where: str) -> ast.Module:
    try:
        return ast.parse(python_of(cell))
    except SyntaxError as error:
        raise NotebookError(f"{path.name}: {where} is not Python: {error.msg} in line {error.lineno}") from error
