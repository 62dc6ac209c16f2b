"""The ladder from the printed accuracy to the honest one, a panel a model."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.figures.style import COLOURS, INK, MUTED, RULE, TELEPHONE, styled

RUNG_NAMES = {
    "printed": "printed",
    "by view": "our run, leak kept",
    "by lesion": "leak gone",
    "originals": "originals only",
    "corrected labels": "scored by corrected labels",
    "clean": "trained on corrected labels",
    "external": "on external images",
}
COLUMN = 128  # where the column of steps ends, in the units of the accuracy
LOWER, HIGHER = COLOURS["by_view"], COLOURS["clean"]


@styled
def draw_ladder(table: pd.DataFrame, titles: Mapping[tuple, str] | None = None, columns: int = 4) -> Figure:
    """Every rung as a dot with its 95 % interval, from the top down; on the right the printed accuracy and the steps.

    A step whose interval leaves out 0 is bold and coloured, orange down and blue up; any other is grey.

    Args:
        table: rows of tables/ladder.csv.
        titles: (scenario, backbone, phase, preprocessing) -> title of its panel, in the order of the panels; all
            panels of the table if None.
        columns: panels side by side.
    """
    keys = ["scenario", "backbone", "phase", "preprocessing"]
    found = dict(list(table.groupby(keys, sort=False)))
    titles = titles or {key: "\n".join([*key[:2], ", ".join(key[2:])]).replace("_", " ") for key in found}
    columns = max(1, min(columns, len(titles)))
    rows = max(1, -(-len(titles) // columns))
    optional = {"printed", "external"} - set(table["rung"])  # synthetic images have no printed number
    names = {rung: name for rung, name in RUNG_NAMES.items() if rung not in optional}
    width = 2.2 + 2.25 * columns if columns > 1 else TELEPHONE
    figure = Figure(figsize=(width, (2.45 + 0.35 * ("external" in names)) * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.ravel()[len(titles) :]:
        axis.set_visible(False)
    for axis, (key, title) in zip(axes.ravel(), titles.items()):
        axis.set_title(title, fontsize=9)
        _panel(axis, found.get(key, table.iloc[:0]), list(names))
        axis.tick_params(labelbottom=columns == 1 or axis in axes[-1])
    last = axes[-1, 0]
    last.set_yticks(range(len(names)), list(names.values()))
    last.set_ylim(len(names) - 0.5, -0.5)
    last.set_xlim(-2, COLUMN)
    last.set_xticks([0, 25, 50, 75, 100])
    figure.supxlabel("test accuracy, %", fontsize=9)
    return figure


def _panel(axis, rungs: pd.DataFrame, order: list[str]) -> None:
    axis.grid(axis="x")
    axis.tick_params(axis="y", length=0)
    rungs = rungs.set_index("rung").reindex(order)
    known = np.flatnonzero(rungs["accuracy"].notna())
    if not len(known):
        axis.text(50, 2.5, "not measured", ha="center", va="center", color=MUTED)
        return
    values = 100 * rungs[["accuracy", "low", "high", "step", "step_low", "step_high"]].astype(float)
    axis.plot(values["accuracy"].iloc[known], known, color=RULE, lw=1.2, zorder=1)
    for place, (name, row) in enumerate(values.iterrows()):
        if np.isnan(row["accuracy"]):
            continue
        hollow = name == "printed"
        axis.plot([row["low"], row["high"]], [place, place], color=INK, lw=1.3, zorder=2)
        axis.plot(row["accuracy"], place, "D" if hollow else "o", ms=5, color=INK, mfc="white" if hollow else INK)
        beyond = row["step_low"] > 0 or row["step_high"] < 0
        step = "" if np.isnan(row["step"]) else f"{row['step']:+.1f}".replace("-", "\N{MINUS SIGN}")
        colour = (HIGHER if row["step"] > 0 else LOWER) if beyond else MUTED
        text = f"{row['accuracy']:.1f}" if hollow else step
        weight = "bold" if beyond else "normal"
        axis.text(COLUMN, place, text, color=colour, weight=weight, ha="right", va="center", fontsize=7.5)
