"""Keys and values of files as a reader meets them: titles, words, per cent, points."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, Study
from lib.config.paths import LIB
from lib.figures.rungs import signed

NUMBERS = {"percent", "points", "count", "decimal", "p_value"}  # formats whose columns stand right
KEYS = {  # in sentences of audit/ and claims.json
    "finetune phase": "fine-tuned", "transfer phase": "transfer", "finetune": "fine-tuned",
    "test_accuracy": "test accuracy", "val_accuracy": "validation accuracy", "val_loss": "validation loss", "f1": "F1",
}  # fmt: skip


def column(key: str) -> dict[str, Any]:
    """How a column is shown, by template/columns.csv; a key without an entry stands under its own words.

    title; format: of a number `percent` (of a fraction of 1), `points` (the same, signed and coloured), `count`,
    `decimal` or `p_value`, of text `text`, `quote`, `small`, `code`, `words` (`code` in backticks) or `chip`, `value`
    for any JSON; tip of the title; extra: hidden on a phone; filter: readers can choose one of its values.
    """
    scenario, _, series = key.partition(":")  # `nine_classes:clean` is a column of accuracies
    title = scenarios()[key].title if key in scenarios() else (series or key[:1].upper() + key[1:].replace("_", " "))
    unknown = {"title": title, "format": "percent" if scenario in scenarios() else "value", "tip": ""}
    return columns().get(key) or unknown | {"extra": False, "filter": False}


def named(value: object, key: str) -> object:
    """A scenario or phase by its name on the page; any other value as it is."""
    names = {"scenario": {name: entry.title for name, entry in scenarios().items()}, "phase": PHASE_TITLES}
    return names[key].get(value, value) if key in names else value


@cache
def columns() -> dict[str, dict[str, Any]]:
    table = pd.read_csv(LIB / "report" / "template" / "columns.csv", keep_default_na=False)
    flags = {flag: table[flag] == "yes" for flag in ("extra", "filter")}
    return table.assign(**flags).set_index("key").to_dict("index")


def weights_of(study: Study, names: Iterable[str]) -> str:
    """The weights that these networks start from, as `ImageNet weights`."""
    if study.weights == "none":
        return "random weights"
    other = sorted({*names} & study.weights_note.keys())
    return "ImageNet weights" + (f" (of {', '.join(other)} trained further)" if other else "")


def plain(text: str) -> str:
    """A sentence of a file with the keys in it as words: `fine-tuned` for `finetune`."""
    words = KEYS | {name: scenario.title.lower() for name, scenario in scenarios().items()}
    return re.sub(rf"(?<![\w/])({'|'.join(words)})(?![\w/])", lambda match: words[match[0]], text)


def in_words(value: Any) -> str:
    """Any JSON value as words."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        case int():
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        case dict():
            return "; ".join(f"{str(key).replace('_', ' ')}: {in_words(item)}" for key, item in value.items())
        case list() | tuple():
            return ", ".join(in_words(item) for item in value) or "none"
    return str(value)


def number(value: float, form: str, digits: int = 2) -> str:
    """A number in a format of `column`; `digits` after the point are those of per cent."""
    match form:
        case "percent":
            return f"{100 * value:.{digits}f}"
        case "points":
            return signed(100 * value)
        case "decimal":
            return f"{value:,.1f}"
        case "p_value":
            return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
        case "count":
            return f"{value:,.0f}"
    return in_words(value)


def span(shares: Iterable[float]) -> str:
    """`53.9 to 73.3`: the lowest and the highest share, in per cent."""
    return " to ".join(dict.fromkeys(f"{100 * end:.1f}" for end in (min(shares), max(shares))))


def percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value is not None and np.isfinite(value) else "not measured"
