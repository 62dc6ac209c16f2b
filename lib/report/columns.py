"""The columns of all tables of the report: under which title a key stands, in which format, and what it means."""

from functools import cache
from typing import Any

import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES
from lib.config.paths import LIB
from lib.figures.rungs import RUNG_NAMES

FILE = LIB / "report" / "template" / "columns.csv"
NUMBERS = {"percent", "points", "count", "decimal", "p_value"}  # formats whose columns stand right


def column(key: str) -> dict[str, Any]:
    """How a column is shown, by template/columns.csv; a key without an entry stands under its own words.

    Returns:
        title; format: of a number `percent` (of a fraction of 1), `points` (the same, signed and coloured), `count`,
        `decimal` or `p_value`, of text `text`, `quote`, `small`, `code`, `words` (`code` in backticks) or `chip`,
        `value` for JSON of any kind; tip: what it means, shown when the pointer rests on the title; extra: hidden on a
        phone until the reader asks for all columns; filter: readers can choose one of its values.
    """
    title = scenarios()[key].title if key in scenarios() else key[:1].upper() + key[1:].replace("_", " ")
    unknown = {"title": title, "format": "percent" if key in scenarios() else "value", "tip": ""}
    return columns().get(key) or unknown | {"extra": False, "filter": False}


def named(value: object, key: str) -> object:
    """A scenario, phase or rung by its name on the page; any other value as it is."""
    titles = {name: scenario.title for name, scenario in scenarios().items()}
    names = {"scenario": titles, "phase": PHASE_TITLES, "rung": RUNG_NAMES}
    return names[key].get(value, value) if key in names else value


@cache
def columns() -> dict[str, dict[str, Any]]:
    table = pd.read_csv(FILE, keep_default_na=False)
    flags = {flag: table[flag] == "yes" for flag in ("extra", "filter")}
    return table.assign(**flags).set_index("key").to_dict("index")
