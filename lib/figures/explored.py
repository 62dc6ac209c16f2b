"""One image as the explorer saves it: its pictures, and under them the probabilities of one model or two."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.figures.style import MUTED, PALETTE, one_line, percent, printable, show_names, styled


@styled
def draw_explored(
    pictures: Sequence[tuple[str, np.ndarray]], probabilities: pd.DataFrame, true: str | None, title: str, note: str
) -> Figure:
    """The pictures in a row, and one bar per class and model.

    Args:
        pictures: (title, uint8 [h, w, 3]) each.
        probabilities: one row per class, one column per model, 0 to 1; NaN where a model does not have the class.
        true: the class to be marked, if it is one of them.
        title: what is shown.
        note: what must be known of it, beneath.
    """
    count, models = len(pictures), max(len(probabilities.columns), 1)
    if len(probabilities.columns):  # as in the explorer: the first model's likeliest class first
        probabilities = probabilities.sort_values(probabilities.columns[0], ascending=False, kind="stable")
    bars, width = 0.7 + 0.2 * models + 0.15 * len(probabilities) * models, max(1.75 * count, 6.2)
    figure = Figure(figsize=(width, 2.2 + bars + 0.6), layout="constrained")
    figure.suptitle(fill(printable(title), int(10 * width)), fontsize=9)
    above, below = figure.subfigures(2, 1, height_ratios=[2.1, bars])
    for axis, (name, picture) in zip(above.subplots(1, count, squeeze=False)[0], pictures):
        axis.imshow(picture)
        axis.set_title(fill(one_line(name), 26), fontsize=7.5, fontweight="normal", loc="center")
        axis.set_axis_off()
    axis, height = below.subplots(), 0.8 / models
    for place, (name, colour) in enumerate(zip(probabilities.columns, PALETTE)):
        places = np.arange(len(probabilities)) + (place - (models - 1) / 2) * height
        values = probabilities[name].to_numpy(float)
        drawn = axis.barh(places, np.nan_to_num(values), height=height * 0.92, color=colour, label=one_line(name))
        axis.bar_label(drawn, [f"{100 * v:.1f}" if v == v else "–" for v in values], padding=2, fontsize=7, color=MUTED)
    show_names(axis, [f"{one_line(name)}{' (true)' if name == true else ''}" for name in probabilities.index])
    axis.set(xlim=(0, 1.08), xlabel="probability, per cent")
    axis.xaxis.set_major_formatter(percent)
    axis.tick_params(labelsize=8)
    if len(probabilities.columns):
        axis.legend(fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=models, borderaxespad=0.2)
    figure.supxlabel(fill(printable(note), int(13 * width)), fontsize=7, color=MUTED)
    return figure
