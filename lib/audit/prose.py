"""Slips of the text: numbers and ranks stated in prose that the tables contradict."""

import pandas as pd

from lib.audit.fractions import VALUES
from lib.config.paper import backbones, scenarios


def text_errors(printed: pd.DataFrame, text: pd.DataFrame, literature: pd.DataFrame | None = None) -> list[dict]:
    """Statements of the prose that the tables contradict.

    Args:
        text: place, quote, kind, value, and the cell it is about (table, phase, row, column). Kinds: `value` (the
            cell's number), `increase` (fine-tuned less transfer, in points), `rank` (1 is the highest of its table and
            phase), `rises` (fine-tuned above transfer), `increase_below_proposed` (a smaller increase than the
            paper's model), `table_number` (the table the text names), `best_in_literature` (above all works of
            Table V with as many classes), `literature` (a column of Table V), `omitted` and `not_in_tables` (no check).

    Returns:
        [{"place", "quote", "table", "what", "printed", "expected"}], with the entry's kind, phase, row and column, and
        `printed_as`: the columns of the same row that hold the number, so that it is a misprint.

    Raises:
        ValueError: a kind that is not one of these, or a cell that is not in the tables.
    """
    classes = {str(scenario.table): len(scenario.classes) for scenario in scenarios().values()}
    cells = printed.assign(table=printed["table"].astype(str)).set_index(["table", "phase", "backbone"]).sort_index()
    proposed = next(iter(backbones()))  # the paper's model comes first
    errors = []
    for entry in text.fillna("").astype(str).to_dict("records"):
        try:
            what, printed, expected, holds = _check(entry, cells, classes, literature, proposed)
        except KeyError as error:
            raise ValueError(f"text entry {entry['quote']!r}: nothing found for {error}; correct the entry") from error
        if not holds:
            error = {key: entry[key] for key in ("place", "quote", "table", "kind", "phase", "row", "column")}
            same = (
                [name for name in VALUES if _cell(cells, entry | {"column": name}) == printed]
                if entry["kind"] == "value"
                else []
            )
            what += f"; the number is the row's {' and '.join(same)}" if same else ""
            errors.append(error | {"what": what, "printed": printed, "expected": expected, "printed_as": same})
    return errors


def _check(entry: dict, cells: pd.DataFrame, classes: dict[str, int], literature, proposed: str) -> tuple:
    """(what, printed, expected, whether it holds) for one statement."""
    kind, value = entry["kind"], entry["value"]
    if kind in ("not_in_tables", "omitted"):
        return kind, value, value, True
    if kind == "literature":
        return _check_literature(entry, literature)
    cell = _cell(cells, entry)
    about = f"{entry['column']} of {entry['row']} ({entry['phase']}, Table {entry['table']})"
    if kind == "value":
        return f"number given for {about}", float(value), cell, abs(cell - float(value)) < 1e-6
    if kind == "rank":
        column = cells.loc[(entry["table"], entry["phase"]), entry["column"]]
        rank = 1 + int((column > cell).sum())
        return f"rank of {about}", int(value), rank, rank == int(value)
    if kind == "table_number":
        return f"table named for {about}", int(value), int(entry["table"]), value == entry["table"]
    if kind == "best_in_literature":
        rivals = literature[(literature["classes"].astype(int) == classes[entry["table"]])]
        rivals = rivals.loc[~rivals["ref"].str.startswith("Proposed"), "accuracy"].astype(float)
        highest = float(rivals.max()) if len(rivals) else 0.0
        return f"{about} above the works of Table V with as many classes", cell, f"> {highest}", cell > highest
    increase = _increase(cells, entry)
    if kind == "increase":
        return f"increase in {about}, points", float(value), increase, abs(increase - float(value)) < 1e-6
    if kind == "rises":
        return f"said to rise by fine-tuning: {about}, points", "> 0", increase, increase > 0
    if kind == "increase_below_proposed":
        limit = _increase(cells, entry | {"row": proposed})
        return f"increase in {about} called smaller than {proposed}'s, points", f"< {limit}", increase, increase < limit
    raise ValueError(f"text entry {entry['quote']!r}: no kind {kind!r}; see lib.audit.prose for the kinds")


def _check_literature(entry: dict, literature: pd.DataFrame) -> tuple:
    """A statement about another work against its row of Table V; a cell left empty there contradicts nothing."""
    column, value = entry["column"], entry["value"]
    what = f"{column} of {entry['row']} against Table V"
    rows = literature[literature["ref"].str.startswith(entry["row"])]
    if len(rows) != 1 or column not in rows:
        raise KeyError(f"{entry['row']}, {column} in Table V")
    printed = rows.iloc[0][column]
    if column == "ref":
        printed = printed.rpartition("[")[2].rstrip("]")
    return what, value, printed, printed == "" or float(printed) == float(value)


def _cell(cells: pd.DataFrame, entry: dict) -> float:
    return float(cells.loc[(entry["table"], entry["phase"], entry["row"]), entry["column"]])


def _increase(cells: pd.DataFrame, entry: dict) -> float:
    """Fine-tuned less transfer, in points."""
    return round(_cell(cells, entry | {"phase": "finetune"}) - _cell(cells, entry | {"phase": "transfer"}), 2)
