"""The one style of the study's figures, and what they are built of: panels, a legend, names that fit.

Nothing is drawn through pyplot's global state, so a notebook that draws fifty figures keeps none of them open.
Colours are the Okabe-Ito set, which colour-blind readers can tell apart; every series also has a marker of its own.
"""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

INK, MUTED, RULE = "#1f2328", "#6b7280", "#d7dbe0"
COLOURS = {
    "printed": "#5f6670",
    "by_view": "#d55e00",
    "by_lesion": "#b8860b",
    "clean": "#0072b2",
    "train": "#009e73",
    "validation": "#0072b2",
}
SERIES_MARKERS = {"printed": "D", "by_view": "o", "by_lesion": "s", "clean": "^"}
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")  # Okabe-Ito, safe for colour-blind readers
TELEPHONE = 3.7  # inches: what a telephone shows of a figure without making its letters smaller
MARKERS = ("o", "s", "^", "D", "v", "P")
SVG = {"svg.hashsalt": "skincas", "svg.fonttype": "path"}  # the same figure gives the same bytes
percent = FuncFormatter(lambda value, _: f"{100 * value:g}")


def roman(number: int | str) -> str:
    """The number of a table as the paper writes it: `III` for 3."""
    digits = ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
    rest, text = int(number), ""
    for value, letters in digits:
        text += letters * (rest // value)
        rest %= value
    return text


def encode(figure: Figure, dpi: int = 200) -> tuple[str, bytes]:
    """A figure as (mime type, bytes): PNG or, of photographs, JPEG, whichever is smaller.

    The same figure gives the same bytes.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.06)
    return _smaller(buffer.getvalue())


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG; the same figure gives the same bytes."""
    with matplotlib.rc_context(SVG):
        figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.06)


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a drawing function use the study's style without changing anybody else's."""

    @wraps(draw)
    def in_style(*args, **kwargs) -> Figure:
        style = sns.axes_style("ticks") | sns.plotting_context("paper", font_scale=1.05)
        own = {
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
            # names come from data: a $ in a file name is a $, not mathematics
            "text.parse_math": False,
        }
        with matplotlib.rc_context(style | own):
            return draw(*args, **kwargs)

    return in_style


def panels(
    count: int, width: float, height: float, sharey: bool = False, columns: int = 3, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, each `width` by `height` inches, and its panels; those compared share axes."""
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).ravel())
    for axis in axes if columns == 1 else []:  # under each other, the last one's scale is far away
        axis.tick_params(labelbottom=True)
    for unused in axes[max(count, 1) :]:
        unused.set_axis_off()
    return figure, axes[: max(count, 1)]


def one_panel(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    sns.despine(ax=axis)
    return figure, axis


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend for all panels, above them, where it covers no data; `columns` entries side by side."""
    entries = {}
    for axis in axes:
        entries |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels()) if label not in entries}
    if len(entries) > 1:
        figure.legend(
            entries.values(), entries.keys(), loc="outside upper left", ncols=min(len(entries), columns), fontsize=8
        )


def empty_panel(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=MUTED)
    axis.set_xticks([])
    axis.tick_params(labelleft=False, length=0)
    axis.spines[:].set_visible(False)


def colour_of(name: str) -> str:
    return COLOURS.get(name) or sns.color_palette("colorblind").as_hex()[sum(map(ord, name)) % 10]


def one_line(name: object, mark: str = "·") -> str:
    """A name on one line without control characters, which fonts draw as boxes; cut where it would fill the picture."""
    text = printable(name, mark)
    return text if len(text) <= 60 else text[:59] + "…"


def printable(text: object, mark: str = "·") -> str:
    """Text without control characters."""
    return "".join(character if character.isprintable() else mark for character in str(text))


def _smaller(png: bytes) -> tuple[str, bytes]:
    """The same picture in fewer bytes: in 256 colours where that is lossless to the eye (drawings), else as JPEG where
    that is smaller."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    difference = np.abs(np.asarray(few.convert("RGB"), np.int16) - np.asarray(picture, np.int16))
    buffer, mime = io.BytesIO(), "image/png"
    # a palette shows in photographs long before it shows in drawings
    if difference.mean() < 0.5:
        few.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=90, subsampling=0)
        mime = "image/jpeg"
    return min((mime, buffer.getvalue()), ("image/png", png), key=lambda drawn: len(drawn[1]))
