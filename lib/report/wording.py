"""Keys and values of files as a reader meets them: words, per cent, points."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lib.config.paper import scenarios

MINUS = "\N{MINUS SIGN}"
PLAIN = {  # keys inside sentences of audit/ and claims.json
    "finetune phase": "fine-tuned",
    "transfer phase": "transfer",
    "finetune": "fine-tuned",
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "f1": "F1",
}


def plain(text: str) -> str:
    """A sentence of a file with the keys in it as words: `fine-tuned` for `finetune`."""
    return _keys_in_text().sub(lambda match: _plain_words()[match[0]], text)


def in_words(value: Any) -> str:
    """Any JSON value as words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, dict):
        return "; ".join(f"{str(key).replace('_', ' ')}: {in_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(item) for item in value) or "none"
    return str(value)


def shortened(values: Sequence[Any] | None, none: str) -> str:
    """A short list in words; long runs of numbers are cut and counted."""
    if not values:
        return none
    shown = ", ".join(map(str, values[:6]))
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6} more"


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: float, form: str, digits: int = 2) -> str:
    """A number in a format of lib.report.columns; `digits` after the point are those of per cent."""
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


def counted(number: int, one: str, many: str = "") -> str:
    """`1 claim`, `2 claims`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def span(values: Sequence[float]) -> str:
    """`53.9 to 73.3`: the lowest and the highest."""
    return " to ".join(dict.fromkeys(f"{end:.1f}" for end in (min(values), max(values))))


def percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value is not None and np.isfinite(value) else "not measured"


def signed(points: float) -> str:
    rounded = round(points, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", MINUS)


@cache
def _plain_words() -> dict[str, str]:
    return PLAIN | {name: scenario.title.lower() for name, scenario in scenarios().items()}


@cache
def _keys_in_text() -> re.Pattern:
    longest_first = sorted(_plain_words(), key=len, reverse=True)
    return re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest_first))})(?![\w/])")
