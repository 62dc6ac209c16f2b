"""Values of files as a reader meets them: words, per cent, points."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lib.config.paper import scenarios

KEYS = {  # in sentences of audit/ and claims.json
    "finetune phase": "fine-tuned", "transfer phase": "transfer", "finetune": "fine-tuned",
    "test_accuracy": "test accuracy", "val_accuracy": "validation accuracy", "val_loss": "validation loss", "f1": "F1",
}  # fmt: skip


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


def shortened(values: Sequence[Any] | None, none: str) -> str:
    """A short list in words; long runs of numbers are cut and counted."""
    if not values:
        return none
    shown = ", ".join(map(str, values[:6]))
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6} more"


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


def span(shares: Iterable[float]) -> str:
    """`53.9 to 73.3`: the lowest and the highest share, in per cent."""
    return " to ".join(dict.fromkeys(f"{100 * end:.1f}" for end in (min(shares), max(shares))))


def percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value is not None and np.isfinite(value) else "not measured"


def signed(points: float) -> str:
    rounded = round(points, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}")
