"""Figures of the data set: its images, how many there are, and its worst flaws."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from lib.figures.style import MUTED, legend, one_line, panels, styled

WORST_CASES = {
    "contradictory": "One picture, two labels",
    "near_duplicates": "Nearly one picture, filed as two",
    "disagreements": "Filed under one class, officially another",
}


@styled
def draw_sample_images(images: Sequence[tuple[str, np.ndarray]], columns: int = 5) -> Figure:
    """Pictures with their titles in a grid (Figs. 3, 4 and 6).

    Args:
        images: (title, uint8 array [height, width, 3] or [height, width]) each.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(1.35 * columns, 1.67 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in grid:
        axis.set_axis_off()
    for axis, (title, picture) in zip(grid, images):
        axis.imshow(picture, cmap="gray" if np.ndim(picture) == 2 else None)
        axis.set_title(fill(one_line(title), 22), fontsize=7.5, fontweight="normal", loc="center")
    return figure


@styled
def draw_tested_and_trained(pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], columns: int = 9) -> Figure:
    """Pictures that are tested, and beneath each one a picture that training saw; one title a pair.

    Args:
        pairs: (title, uint8 picture tested, uint8 picture in training) each, [height, width, 3].
        columns: pairs side by side.
    """
    columns = max(1, min(columns, len(pairs)))
    rows = max(1, -(-len(pairs) // columns))
    figure = Figure(figsize=(1.15 * columns + 0.3, 2.6 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in grid.ravel():
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for place, (title, tested, trained) in enumerate(pairs):
        row, column = 2 * (place // columns), place % columns
        grid[row, column].imshow(tested)
        grid[row, column].set_title(fill(one_line(title), 15), fontsize=7.5, fontweight="normal", loc="center")
        grid[row + 1, column].imshow(trained)
    for row in range(rows):
        grid[2 * row, 0].set_ylabel("tested", fontsize=9)
        grid[2 * row + 1, 0].set_ylabel("in training", fontsize=9)
    return figure


@styled
def draw_class_counts(counts: pd.DataFrame, width: float = 6.6) -> Figure:
    """Images a class, a group of bars a column (Fig. 7).

    Args:
        counts: a row a class, a column a series (files of the data set, images after augmentation...), whole numbers.
        width: of the figure, inches.
    """
    figure, (axis,) = panels(1, width=width, height=0.5 + 0.15 * counts.size + 0.12 * len(counts))
    height = 0.8 / counts.shape[1]
    palette = sns.color_palette(["#0072b2", "#9ecae1", "#d55e00", "#b8860b"][: counts.shape[1]])
    for position, (series, colour) in enumerate(zip(counts.columns, palette)):
        places = np.arange(len(counts)) + (position - (counts.shape[1] - 1) / 2) * height
        bars = axis.barh(places, counts[series], height=height * 0.92, color=colour, label=series)
        axis.bar_label(bars, padding=2, fontsize=7, color=MUTED)
    axis.set_yticks(range(len(counts)), counts.index)
    axis.invert_yaxis()
    axis.set_xlabel("images")
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.08)
    legend(figure, [axis])
    return figure


@styled
def draw_worst_cases(cases: Sequence[Sequence[tuple[np.ndarray, Sequence[str]]]], kind: str, note: str = "") -> Figure:
    """The files of each case side by side, with what is written over them.

    Args:
        cases: lib.audit.contents.worst_cases: (uint8 picture [height, width, 3], lines) of each file of a case.
        kind: which flaw they show, a key of WORST_CASES.
        note: behind the title, such as that the images are synthetic.
    """
    columns, width = min(2, len(cases)), len(cases[0])
    rows = -(-len(cases) // columns)
    figure = Figure(figsize=(1.7 * width * columns + 0.6, 2.1 * rows + 0.7), layout="constrained")
    figure.suptitle(f"{WORST_CASES[kind]}{f' ({note})' if note else ''}", fontsize=10)
    for axis in figure.subplots(rows, columns * width, squeeze=False).flat:
        axis.set_axis_off()
    for axis, (picture, lines) in zip(figure.axes, [file for case in cases for file in case]):
        axis.imshow(picture)
        # names come from files: shown on one line each
        axis.set_title("\n".join(one_line(line, "?") for line in lines if line), fontsize=6, loc="left")
    return figure
