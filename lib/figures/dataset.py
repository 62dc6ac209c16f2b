"""Figures of the data set: its images, their nearest neighbours, how many there are, and the worst flaws."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.figures.style import COLOURS, INK, MUTED, legend, one_line, panels, picture_grid, show_names, styled

CASE_TITLES = {
    "contradictory": "One picture, two labels",
    "near_duplicates": "Nearly one picture, filed as two",
    "disagreements": "Filed under one class, officially another",
}
COUNT_COLOURS = ("#0072b2", "#9ecae1", "#d55e00", "#b8860b")
PLAIN = {"fontsize": 7.5, "fontweight": "normal", "loc": "center"}  # a title over a picture


@styled
def draw_sample_images(images: Sequence[tuple[str, np.ndarray]], columns: int = 5) -> Figure:
    """Pictures with their titles in a grid (Figs. 3, 4 and 6).

    Args:
        images: (title, uint8 array [height, width, 3] or [height, width]) each.
        columns: pictures in a row.
    """
    columns = max(1, min(columns, len(images)))
    figure, grid = picture_grid(max(1, -(-len(images) // columns)), columns, width=1.35, height=1.67)
    for axis, (title, picture) in zip(grid.flat, images):
        axis.imshow(picture, cmap="gray" if np.ndim(picture) == 2 else None)
        axis.set_title(fill(one_line(title), 22), **PLAIN)
    return figure


@styled
def draw_test_and_training_views(pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], columns: int = 9) -> Figure:
    """Test views, and beneath each one a view of the same file in training; one title per pair.

    Args:
        pairs: (title, test view, training view) each, uint8 [height, width, 3].
        columns: pairs in a row.
    """
    columns = max(1, min(columns, len(pairs)))
    rows = max(1, -(-len(pairs) // columns))
    figure, grid = picture_grid(2 * rows, columns, width=1.2, height=1.3)
    for place, (title, test, training) in enumerate(pairs):
        row, column = 2 * (place // columns), place % columns
        grid[row, column].imshow(test)
        grid[row, column].set_title(fill(one_line(title), 15), **PLAIN)
        grid[row + 1, column].imshow(training)
    for row in range(rows):
        grid[2 * row, 0].set_ylabel("test", fontsize=9)
        grid[2 * row + 1, 0].set_ylabel("training", fontsize=9)
    return figure


@styled
def draw_class_counts(counts: pd.DataFrame) -> Figure:
    """Images of each class, one bar per column (Fig. 7).

    Args:
        counts: one row per class, one column per series (files, views in the pool...), whole numbers.
    """
    figure, (axis,) = panels(1, width=6.6, height=0.5 + 0.15 * counts.size + 0.12 * len(counts))
    height = 0.8 / counts.shape[1]
    for position, (series, colour) in enumerate(zip(counts.columns, COUNT_COLOURS)):
        places = np.arange(len(counts)) + (position - (counts.shape[1] - 1) / 2) * height
        bars = axis.barh(places, counts[series], height=height * 0.92, color=colour, label=series)
        axis.bar_label(bars, padding=2, fontsize=7, color=MUTED)
    show_names(axis, counts.index)
    axis.set_xlabel("images")
    axis.margins(x=0.08)
    legend(figure, [axis])
    return figure


@styled
def draw_worst_cases(cases: Sequence[Sequence[tuple[np.ndarray, Sequence[str]]]], kind: str, note: str = "") -> Figure:
    """The files of each case beside each other, with what is known of them above.

    Args:
        cases: (uint8 picture [height, width, 3], lines) of each file of a case.
        kind: which flaw they show, a key of CASE_TITLES.
        note: behind the title, such as that the images are synthetic.
    """
    columns, width = min(2, len(cases)), len(cases[0])
    figure, grid = picture_grid(-(-len(cases) // columns), columns * width, width=1.8, height=2.3)
    figure.suptitle(f"{CASE_TITLES[kind]}{f' ({note})' if note else ''}", fontsize=10)
    for axis, (picture, lines) in zip(grid.flat, [file for case in cases for file in case]):
        axis.imshow(picture)
        axis.set_title("\n".join(one_line(line, "?") for line in lines if line), fontsize=6, loc="left")
    return figure


@styled
def draw_nearest_images(
    rows: Sequence[tuple[tuple[str, np.ndarray], Sequence[tuple[str, np.ndarray, str]]]], note: str = ""
) -> Figure:
    """In each row an image and the images nearest to it; a frame marks those that show the same.

    Args:
        rows: of each image its title and uint8 picture [height, width, 3], and of its neighbours, the nearest first,
            title, picture and relation ("" where they have nothing to do with the image).
        note: over the first column, such as that the images are synthetic.
    """
    columns = 1 + max(len(near) for _, near in rows)
    figure, grid = picture_grid(len(rows), columns, width=1.25, height=1.65)
    for axes, ((name, image), near) in zip(grid, rows):
        for axis, (title, picture, relation) in zip(axes, [(name, image, ""), *near]):
            axis.imshow(picture)
            colour, weight = (COLOURS["by_view"], "bold") if relation else (INK, "normal")
            text = "\n".join([fill(one_line(title), 22), relation])
            axis.set_title(text, fontsize=6.5, fontweight=weight, color=colour, loc="center")
            if relation:
                axis.spines[:].set(visible=True, color=colour, linewidth=3)
    figure.suptitle(f"left: an image of each class{f' ({note})' if note else ''}; then its nearest views", fontsize=9)
    return figure
