"""The code cells of a notebook, and the parameters that it declares."""

import ast
import dis
import json
from collections.abc import Iterable
from pathlib import Path
from types import CodeType

READS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")  # Python's instructions that read a global name


class NotebookError(ValueError):
    """A notebook that cannot be run as part of a study; the message names the notebook and what to change."""


def code_cells(path: Path) -> list[tuple[str, list[str]]]:
    """Source and tags of each code cell.

    Raises:
        NotebookError: no such file, or not a notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        return [("".join(cell["source"]), cell.get("metadata", {}).get("tags", [])) for cell in code]
    except FileNotFoundError as error:
        raise NotebookError(f"no notebook {path}; the step needs it") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotebookError(f"{path}: cannot be read as a notebook: {error}; save it again in JupyterLab") from error


def python_of(cell: str) -> str:
    """A cell's source with its magics and shell lines blanked out, so that it parses as Python."""
    if cell.lstrip().startswith("%%"):
        return ""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in cell.split("\n"))


def declared_parameters(path: Path) -> tuple[str, ...]:
    """The parameters that a notebook declares, after checking that they can be injected and will be used.

    Raises:
        NotebookError: unreadable; not exactly one cell tagged `parameters`, or not of literals; a parameter that
            the code never reads or sets again before it reads it.
    """
    cells = code_cells(path)
    tagged = [number for number, (_, tags) in enumerate(cells) if "parameters" in tags]
    if len(tagged) != 1:
        raise NotebookError(f"{path.name}: {len(tagged)} cells have the tag `parameters`; exactly one must")
    if any("injected-parameters" in tags for _, tags in cells):
        raise NotebookError(f"{path.name}: has a cell of injected parameters; remove it, its values would win silently")
    sources = [source for source, _ in cells]
    declared = tuple(_declared(path, sources[tagged[0]]))
    _check_read(path, sources[tagged[0] + 1 :], declared, tagged[0] + 2)
    return declared


def _declared(path: Path, cell: str) -> list[str]:
    names = []
    for statement in _parse(path, cell, "the cell tagged `parameters`").body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                raise NotebookError(
                    f"{path.name}: the cell tagged `parameters` holds {ast.unparse(statement)!r}; "
                    "write only `name: type = literal` there"
                )
        try:
            ast.literal_eval(value)
        except ValueError as error:
            raise NotebookError(
                f"{path.name}: parameter {name!r} is {ast.unparse(value)!r}, not a literal; derive it in a later cell"
            ) from error
        if name in names:
            raise NotebookError(f"{path.name}: parameter {name!r} is declared twice; keep one")
        names.append(name)
    return names


def _check_read(path: Path, later: list[str], declared: tuple[str, ...], first: int) -> None:
    """Refuse a parameter that the cells after its own, numbered from `first`, never read or set before they do."""
    unread = dict.fromkeys(declared)
    for number, cell in enumerate(later, first):
        _parse(path, cell, f"code cell {number}")
        for name, is_read in _global_names(compile(python_of(cell), path.name, "exec")):
            if name in unread and not is_read:
                raise NotebookError(
                    f"{path.name}: code cell {number} sets parameter {name!r} before any code reads it; "
                    "what is injected would be lost: use another name there"
                )
            unread.pop(name, None)
    if unread:
        raise NotebookError(
            f"{path.name}: parameter {next(iter(unread))!r} is never read by the code; use it or remove it"
        )


def _global_names(code: CodeType) -> Iterable[tuple[str, bool]]:
    """The notebook's own names that compiled code uses, in order, and whether each is read there or set."""
    for instruction in dis.get_instructions(code):
        if isinstance(instruction.argval, CodeType):
            yield from ((name, True) for name, is_read in _global_names(instruction.argval) if is_read)
        elif instruction.opname in READS or instruction.opname == "STORE_NAME":
            yield instruction.argval, instruction.opname in READS


def _parse(path: Path, cell: str, where: str) -> ast.Module:
    try:
        return ast.parse(python_of(cell))
    except SyntaxError as error:
        raise NotebookError(f"{path.name}: {where} is not Python: {error.msg} in line {error.lineno}") from error
