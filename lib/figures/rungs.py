"""The ladder from the printed accuracy to the one on unseen lesions, one panel per model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.figures.style import COLOURS, INK, MUTED, RULE, panels, show_names, styled

RUNGS = (
    *("printed", "by view", "by file", "by lesion", "originals", "corrected labels", "same classes", "clean"),
    "external",
)
PANEL = ["scenario", "backbone", "phase", "preprocessing"]
STEPS = 128  # where the column of steps ends, in per cent of the accuracy


@styled
def draw_ladder(table: pd.DataFrame, titles: Mapping[tuple, str] | None = None, columns: int = 4) -> Figure:
    """Every rung as a dot with its 95 % interval, from the top down; on the right the printed accuracy and the steps.

    A step whose interval excludes 0 is bold and coloured, orange down and blue up; any other is grey.

    Args:
        table: rows of tables/ladder.csv.
        titles: (scenario, backbone, phase, preprocessing) -> title of its panel, in the order of the panels; all
            panels of the table if None.
        columns: panels in a row.
    """
    rungs = dict(list(table.groupby(PANEL, sort=False)))
    titles = titles or {key: "\n".join([*key[:2], ", ".join(key[2:])]).replace("_", " ") for key in rungs}
    optional = {"printed", "external"} - set(table["rung"])  # synthetic images have no printed number
    names = [rung for rung in RUNGS if rung not in optional]
    height = 2.45 + 0.35 * ("external" in names)
    columns = min(columns, len(titles))
    width = 2.25 + 2.2 / max(columns, 1)  # the names of the rungs stand once
    figure, axes = panels(len(titles), width, height, columns, sharex=True, sharey=True)
    for axis, (key, title) in zip(axes, titles.items()):
        axis.set_title(title, fontsize=9)
        axis.grid(axis="x")
        axis.tick_params(axis="y", length=0)
        _draw_rungs(axis, rungs.get(key, table.iloc[:0]).set_index("rung").reindex(names))
    show_names(axes[0], names)
    axes[0].set(xlim=(-2, STEPS), xticks=[0, 25, 50, 75, 100])
    figure.supxlabel("test accuracy, %", fontsize=9)
    return figure


def _draw_rungs(axis: Axes, rungs: pd.DataFrame) -> None:
    """The rungs of one model, in this order; those without an accuracy are not measured."""
    values = 100 * rungs[["accuracy", "low", "high", "step", "step_low", "step_high"]].astype(float)
    known = np.flatnonzero(values["accuracy"].notna())
    if not len(known):
        axis.text(50, 2.5, "not measured", ha="center", va="center", color=MUTED)
    axis.plot(values["accuracy"].iloc[known], known, color=RULE, lw=1.2, zorder=1)
    for place in known:
        row, printed = values.iloc[place], values.index[place] == "printed"
        axis.plot([row["low"], row["high"]], [place, place], color=INK, lw=1.3, zorder=2)
        axis.plot(row["accuracy"], place, "D" if printed else "o", ms=5, color=INK, mfc="white" if printed else INK)
        text, colour, weight = f"{row['accuracy']:.1f}" if printed else "", MUTED, "normal"
        if np.isfinite(row["step"]):
            text = signed(row["step"])
        if row["step_low"] > 0 or row["step_high"] < 0:
            colour, weight = COLOURS["clean" if row["step"] > 0 else "by_view"], "bold"
        axis.text(STEPS, place, text, color=colour, weight=weight, ha="right", va="center", fontsize=7.5)


def place_rung(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a page draws of a row of tables/ladder.csv (None where empty): name, value, low and high in per cent, the
    step in points and its side (above or below 0, or neither), and a `tip` with all of it."""
    placed = {"name": row["rung"], "value": 100 * row["accuracy"], "step": "", "side": ""}
    placed |= {end: None if row[end] is None else 100 * row[end] for end in ("low", "high")}
    if row["step"] is not None:
        placed["step"] = signed(100 * row["step"])
        placed["side"] = "above" if row["step_low"] > 0 else "below" if row["step_high"] < 0 else ""
    return placed | {"tip": f"{row['rung']}: {describe_rung(row)}"}


def describe_rung(row: Mapping[str, Any]) -> str:
    """A rung in words: accuracy, interval, step, and what was tested."""
    text = f"{100 * row['accuracy']:.1f} %"
    if row["low"] is None:
        return f"{text}, as the paper prints it"
    text += f", 95 % interval {100 * row['low']:.1f} to {100 * row['high']:.1f}"
    if row["step"] is not None:
        step, low, high = (signed(100 * row[key]) for key in ("step", "step_low", "step_high"))
        text += f"; step {step} points [{low}, {high}]"
    counts = ", ".join(f"{row[key]:,.0f} {key}" for key in ("images", "groups", "folds", "classes"))
    return f"{text}; {counts}"


def signed(points: float) -> str:
    """Points with their sign: `+1.5`, `0.0`."""
    rounded = round(points, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}")
