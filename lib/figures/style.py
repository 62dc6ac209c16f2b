"""The one style of the study's figures, and what they share: panels, a legend, names that fit.

No figure goes through pyplot's global state, so a notebook that draws fifty figures keeps none of them open.
Colours are the Okabe-Ito set, which colour-blind readers can tell apart; every series also has a marker of its own.
"""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK, MUTED, RULE = "#1f2328", "#6b7280", "#d7dbe0"
COLOURS = {
    "printed": "#5f6670",
    "by_view": "#d55e00",
    "by_file": "#cc79a7",
    "by_lesion": "#b8860b",
    "clean": "#0072b2",
    "train": "#009e73",
    "validation": "#0072b2",
}
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
SERIES_MARKERS = {"printed": "D", "by_view": "o", "by_file": "P", "by_lesion": "s", "clean": "^"}
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # a $ in a file name is a $
}
percent = FuncFormatter(lambda value, _: f"{100 * value:g}")


def encode(figure: Figure) -> tuple[str, bytes]:
    """A figure as (mime type, bytes), always the same bytes: WebP, lossless unless it holds photographs."""
    pictures = [image.get_array() for axis in figure.axes for image in axis.images]
    photographs = any(picture.ndim == 3 for picture in pictures)
    options = {"quality": 90} if photographs else {"lossless": True, "method": 2}
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=200, bbox_inches="tight", pad_inches=0.06, pil_kwargs=options)
    return "image/webp", buffer.getvalue()


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG; the same figure gives the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "skincas", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.06)


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a drawing function use the study's style without changing anybody else's."""

    @wraps(draw)
    def in_style(*args, **kwargs) -> Figure:
        style = sns.axes_style("ticks") | sns.plotting_context("paper", font_scale=1.05) | STYLE
        with matplotlib.rc_context(style):
            return draw(*args, **kwargs)

    return in_style


def panels(count: int, width: float, height: float, columns: int = 3, **share: bool) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, each `width` by `height` inches, and its panels.

    Args:
        columns: panels in a row, at most.
        share: `sharex` and `sharey`, for panels that are compared.
    """
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **share).ravel())
    for unused in axes[max(count, 1) :]:
        unused.set_axis_off()
    for lowest in axes[max(count - columns, 0) : count]:
        lowest.tick_params(labelbottom=True)
    return figure, axes[: max(count, 1)]


def picture_grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A grid of panels without axes, each `width` by `height` inches, for pictures."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axis in grid.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, grid


def show_names(axis: Axes, names: Sequence[str], **text) -> None:
    """Name the rows of a panel at its left, the first on top."""
    axis.set_yticks(range(len(names)), names, **text)
    axis.set_ylim(max(len(names), 1) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend for all panels, above them, where it covers no data; `columns` entries in a row."""
    entries = {}
    for axis in axes:
        entries = dict(zip(*reversed(axis.get_legend_handles_labels()))) | entries
    if len(entries) > 1:
        columns = min(len(entries), columns)
        figure.legend(entries.values(), entries.keys(), loc="outside upper left", ncols=columns, fontsize=8)


def empty_panel(axis: Axes, text: str) -> None:
    """Say in a panel why nothing is drawn there."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=MUTED)
    axis.set_xticks([])
    axis.tick_params(labelleft=False, length=0)
    axis.spines[:].set_visible(False)


def one_line(name: object, mark: str = "·") -> str:
    """A name from data on one line of at most 60 characters, with `mark` for control characters."""
    text = printable(name, mark)
    return text if len(text) <= 60 else text[:59] + "…"


def printable(text: object, mark: str = "·") -> str:
    """Text with `mark` for control characters, which fonts show as boxes."""
    return "".join(character if character.isprintable() else mark for character in str(text))
