"""What a network takes for near: images, and those that lie nearest to them."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.figures.style import COLOURS, INK, one_line, styled


@styled
def draw_nearest_images(
    rows: Sequence[tuple[tuple[str, np.ndarray], Sequence[tuple[str, np.ndarray, str]]]], note: str = ""
) -> Figure:
    """An image a row, and the images nearest to it; those that show the same are framed and say so.

    Args:
        rows: of each image its title and uint8 picture [height, width, 3], and of its neighbours, the nearest first,
            title, picture and relation ("" where they have nothing to do with the image).
        note: over the first column, such as that the images are synthetic.
    """
    columns = 1 + max(len(near) for _, near in rows)
    figure = Figure(figsize=(1.25 * columns, 1.62 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axis in grid.flat:
        axis.set_axis_off()
    for axes, ((title, image), near) in zip(grid, rows):
        for axis, (name, picture, relation) in zip(axes, [(title, image, ""), *near]):
            axis.imshow(picture)
            colour, weight = (COLOURS["by_view"], "bold") if relation else (INK, "normal")
            title = "\n".join([fill(one_line(name), 22), relation])
            axis.set_title(title, fontsize=6.5, fontweight=weight, color=colour, loc="center")
            if relation:
                edge = dict(edgecolor=colour, linewidth=3, fill=False, clip_on=False)
                axis.add_patch(Rectangle((0, 0), 1, 1, transform=axis.transAxes, **edge))
    figure.suptitle(f"left: an image of each class{f' ({note})' if note else ''}; then its nearest views", fontsize=9)
    return figure
