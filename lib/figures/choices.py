"""The multiverse of open choices: each choice's interval beside the printed accuracy."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from lib.figures.style import COLOURS, INK, MUTED, TELEPHONE, panels, styled


@styled
def draw_choices(
    rows: pd.DataFrame, titles: Mapping[str, str], names: Mapping[tuple[str, str], str], columns: int = 4
) -> Figure:
    """A panel a scenario, a line a choice: its repetition interval, blue where it holds the print, which is vertical.

    Args:
        rows: of lib.verdicts.choices_against_print, those of one phase and backbone.
        titles: scenario -> title of its panel; names: (preprocessing, variant) -> name of the choice, from the top.
        columns: panels side by side.
    """
    width = 1.8 + 1.9 / min(columns, len(titles)) if columns > 1 else TELEPHONE
    size = {"width": width, "height": 0.7 + 0.21 * len(names)}
    figure, axes = panels(len(titles), **size, sharex=True, sharey=True, columns=columns)
    place = {choice: number for number, choice in enumerate(names)}
    for axis, (scenario, title) in zip(axes, titles.items()):
        own = rows[rows["scenario"] == scenario]
        axis.set_title(title, fontsize=9)
        axis.grid(axis="x")
        axis.tick_params(axis="y", length=0)
        if len(own):
            axis.axvline(100 * own["printed"].iloc[0], color=INK, lw=1.2)
        for row in own.itertuples():
            y = place[row.preprocessing, row.variant]
            colour, width = (COLOURS["clean"], 3) if row.reaches else (MUTED, 1.6)
            axis.hlines(y, 100 * row.repetition_low, 100 * row.repetition_high, color=colour, lw=width)
            axis.plot(100 * row.test_accuracy, y, "o", color=colour, ms=4)
    axes[0].set_yticks(range(len(names)), list(names.values()))
    axes[0].set(ylim=(len(names) - 0.5, -0.5), xlim=(0, 100))
    axes[0].set_xticks([0, 50, 100])
    figure.supxlabel("test accuracy, %", fontsize=9)
    return figure
