"""The columns of all tables of the report: under which title a key stands, in which format, and what it means."""

from dataclasses import dataclass
from functools import cache

import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES
from lib.config.paths import LIB
from lib.figures.rungs import RUNG_NAMES

FILE = LIB / "report" / "template" / "columns.csv"
NUMBERS = {"percent", "points", "count", "decimal", "p_value"}  # formats whose columns stand right


@dataclass(frozen=True)
class Column:
    """How a column is shown.

    Attributes:
        format: of a number `percent` (of a fraction of 1), `points` (the same, signed and coloured), `count`,
            `decimal` or `p_value`; of text `text`, `quote`, `small`, `code`, `words` (`code` in backticks) or `chip`;
            `value` for JSON of any kind.
        tip: what it means, shown when the pointer rests on the title.
        extra: hidden on a phone until the reader asks for all columns.
        filter: readers can choose one of its values.
    """

    title: str
    format: str = "text"
    tip: str = ""
    extra: bool = False
    filter: bool = False


def column(key: str) -> Column:
    """The column of a key; a key without an entry stands under its own words."""
    if key in scenarios():
        return Column(scenarios()[key].title, "percent")
    words = key.replace("_", " ")
    return columns().get(key) or Column(words[:1].upper() + words[1:], "value")


def named(value: object, key: str) -> object:
    """A scenario, phase or rung by its name on the page; any other value as it is."""
    titles = {name: scenario.title for name, scenario in scenarios().items()}
    names = {"scenario": titles, "phase": PHASE_TITLES, "rung": RUNG_NAMES}
    return names[key].get(value, value) if key in names else value


@cache
def columns() -> dict[str, Column]:
    """Key -> column, from template/columns.csv."""
    table = pd.read_csv(FILE, keep_default_na=False)
    table = table.assign(extra=table["extra"] == "yes", filter=table["filter"] == "yes")
    return {row.pop("key"): Column(**row) for row in table.to_dict("records")}
