"""The study's figures in one style: every function takes tables or arrays and returns a Figure.

Nothing is drawn through pyplot's global state, so a notebook that draws fifty figures keeps none of them open.
Colours are the Okabe-Ito set, which colour-blind readers can tell apart; every series also has a marker of its own.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from textwrap import fill

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

INK, MUTED, RULE = "#1f2328", "#6b7280", "#d7dbe0"
COLOURS = {
    "printed": "#5f6670",
    "published": "#d55e00",
    "grouped": "#b8860b",
    "clean": "#0072b2",
    "train": "#009e73",
    "validation": "#0072b2",
}
MARKERS = {"printed": "D", "published": "o", "grouped": "s", "clean": "^"}


def encode(figure: Figure, dpi: int = 200) -> tuple[str, bytes]:
    """A figure as (mime type, bytes): SVG or PNG, whichever is smaller. The same figure gives the same bytes."""
    drawn = {}
    with matplotlib.rc_context({"svg.hashsalt": "skincas", "svg.fonttype": "path"}):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, bbox_inches="tight", pad_inches=0.06)
            drawn[kind] = buffer.getvalue()
    drawn["png"] = _smaller_png(drawn["png"])
    kind = min(drawn, key=lambda name: len(drawn[name]))
    return {"svg": "image/svg+xml", "png": "image/png"}[kind], drawn[kind]


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


@styled
def training_curves(
    histories: Mapping[str, pd.DataFrame], quantity: str = "accuracy", printed: float | None = None
) -> Figure:
    """Training and validation accuracy or loss over the epochs, a panel a history (Figs. 8-9, 11-12, 14-15, 17-18).

    Args:
        histories: panel title -> the rows of history.csv (epoch, phase, loss, accuracy, val_loss, val_accuracy),
            transfer epochs first; an empty table gives a panel that says so.
        quantity: `accuracy` (fractions of 1) or `loss`.
        printed: the value that the paper prints for the validation curve's end, drawn as a dotted line.
    """
    figure, axes = _panels(len(histories), width=3.3, height=2.5, sharey=True)
    for axis, (title, history) in zip(axes, histories.items()):
        axis.set_title(_clean(title))
        if history is None or history.empty:
            _say(axis, "no run")
            continue
        epochs = np.arange(1, len(history) + 1)
        axis.plot(epochs, history[quantity], color=COLOURS["train"], ls="--", label="training")
        axis.plot(epochs, history[f"val_{quantity}"], color=COLOURS["validation"], label="validation")
        start = int((history["phase"] == "transfer").sum())
        if 0 < start < len(history):
            axis.axvline(start + 0.5, color=MUTED, lw=0.8, ls=":")
            # where the curves are not: accuracy ends high, loss ends low
            edge, shift, side = (0, 3, "bottom") if quantity == "accuracy" else (1, -2, "top")
            axis.annotate(
                "fine-tuning", (start + 0.5, edge), xycoords=("data", "axes fraction"), xytext=(3, shift),
                textcoords="offset points", va=side, fontsize=7.5, color=MUTED,
            )  # fmt: skip
        if printed is not None:
            axis.axhline(printed, color=COLOURS["printed"], lw=1, ls=(0, (1, 2)), label="printed (validation)")
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.grid(axis="y")
    axes[0].set_ylabel(quantity if quantity == "loss" else "accuracy, %")
    if quantity == "accuracy":
        axes[0].yaxis.set_major_formatter(_percent)
    _legend(figure, axes)
    return figure


@styled
def confusion_matrix(matrices: Mapping[str, pd.DataFrame]) -> Figure:
    """Confusion matrices side by side, counts written, shade by the share of the true class (Figs. 10, 13, 16, 19).

    Args:
        matrices: panel title -> counts, true classes in rows, predicted classes in columns.
    """
    classes = max((len(counts) for counts in matrices.values() if counts is not None), default=2)
    side, columns = 1.5 + 0.32 * classes, 2 if classes > 6 else 3
    figure, axes = _panels(len(matrices), width=side, height=side, columns=columns)
    for position, (axis, (title, counts)) in enumerate(zip(axes, matrices.items())):
        axis.set_title(_clean(title))
        if counts is None or counts.to_numpy().sum() == 0:
            _say(axis, "no run")
            continue
        values = counts.to_numpy()
        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*values.shape):
            if values[row, column]:
                colour = "white" if shares[row, column] > 0.55 else INK
                axis.text(column, row, values[row, column], ha="center", va="center", fontsize=7.5, color=colour)
        axis.set_xticks(
            range(values.shape[1]), [*map(_clean, counts.columns)], rotation=45, ha="right", rotation_mode="anchor"
        )
        axis.set_yticks(range(values.shape[0]), _short(counts.index) if position % columns == 0 else [])
        axis.tick_params(length=0, labelsize=7.5)
        axis.set_xlabel("predicted class")
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("true class")
    return figure


@styled
def class_counts(counts: pd.DataFrame) -> Figure:
    """Images a class, a group of bars a column (Fig. 7).

    Args:
        counts: a row a class, a column a series (files of the data set, images after augmentation...), whole numbers.
    """
    figure, (axis,) = _panels(1, width=6.6, height=0.5 + 0.15 * counts.size + 0.12 * len(counts))
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
    _legend(figure, [axis])
    return figure


@styled
def scenario_summary(results: pd.DataFrame) -> Figure:
    """Test accuracy of the proposed model in each scenario: printed and under each protocol (Fig. 20).

    Args:
        results: scenario, series (`printed` or a protocol), accuracy, low, high (fractions of 1; low and high may
            be NaN); a missing accuracy leaves its place empty.
    """
    scenarios, series = list(dict.fromkeys(results["scenario"])), list(dict.fromkeys(results["series"]))
    figure, (axis,) = _panels(1, width=1.7 * len(scenarios) + 0.8, height=2.9)
    width = 0.8 / len(series)
    for position, name in enumerate(series):
        rows = results[results["series"] == name].set_index("scenario").reindex(scenarios)
        places = np.arange(len(scenarios)) + (position - (len(series) - 1) / 2) * width
        bars = axis.bar(places, rows["accuracy"].fillna(0), width * 0.9, color=_colour(name), label=name)
        labels = [f"{100 * value:.1f}" if np.isfinite(value) else "–" for value in rows["accuracy"]]
        has_interval = rows[["accuracy", "low", "high"]].notna().all(axis=1).to_numpy()
        measured = rows[has_interval]
        if len(measured):
            error = np.abs(measured[["low", "high"]].to_numpy().T - measured["accuracy"].to_numpy())
            axis.errorbar(
                places[has_interval], measured["accuracy"], yerr=error, fmt="none", ecolor=INK, elinewidth=0.8
            )
        # above the interval, or the number would lie on its line
        tops = rows["high"].fillna(rows["accuracy"]).fillna(0)
        for bar, top, label in zip(bars, tops, labels):
            axis.text(bar.get_x() + bar.get_width() / 2, top + 0.012, label, ha="center", va="bottom", fontsize=7)
    axis.set_xticks(range(len(scenarios)), [fill(name, 16) for name in scenarios])
    axis.tick_params(axis="x", length=0)
    axis.set_ylim(0, 1.08)
    axis.set_ylabel("test accuracy, %")
    axis.yaxis.set_major_formatter(_percent)
    axis.grid(axis="y")
    _legend(figure, [axis])
    return figure


@styled
def accuracy_comparison(results: pd.DataFrame) -> Figure:
    """Test accuracy of every backbone, printed and under each protocol with its interval, a panel a phase.

    Args:
        results: phase, backbone, series (`printed` or a protocol), accuracy, low, high (fractions of 1).
    """
    phases, backbones = list(dict.fromkeys(results["phase"])), list(dict.fromkeys(results["backbone"]))
    series = list(dict.fromkeys(results["series"]))
    height = 0.7 + len(backbones) * (0.16 * len(series) + 0.1)
    figure, axes = _panels(len(phases), width=3.5, height=height, sharey=True, columns=2)
    for axis, phase in zip(axes, phases):
        for position, name in enumerate(series):
            rows = results[(results["phase"] == phase) & (results["series"] == name)].set_index("backbone")
            rows = rows.reindex(backbones)
            places = np.arange(len(backbones)) + (position - (len(series) - 1) / 2) * 0.18
            face = "white" if name == "printed" else _colour(name)
            for place, (_, row) in zip(places, rows.iterrows()):
                if np.isfinite(row["low"]) and np.isfinite(row["high"]):
                    axis.plot([row["low"], row["high"]], [place, place], color=_colour(name), lw=1.1)
            axis.plot(
                rows["accuracy"], places, MARKERS.get(name, "o"), ms=5, mec=_colour(name), mfc=face, label=name
            )  # fmt: skip
        axis.set_title({"transfer": "Transfer learning", "finetune": "Fine-tuning"}.get(phase, phase))
        axis.set_yticks(range(len(backbones)), backbones)
        axis.set_ylim(len(backbones) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        for edge in np.arange(0.5, len(backbones) - 1):
            axis.axhline(edge, color=RULE, lw=0.6)
        axis.set_xlabel("test accuracy, %")
        axis.xaxis.set_major_formatter(_percent)
        axis.grid(axis="x")
    _legend(figure, axes)
    return figure


@styled
def waterfall(ways: Mapping[str, pd.DataFrame]) -> Figure:
    """The way from the printed accuracy to the honest one: what each step adds or takes, a panel a scenario.

    Args:
        ways: panel title -> table with `stage` (printed, published, grouped, clean, in this order), `accuracy`,
            `low`, `high` (fractions of 1, NaN where not measured). A step over a missing stage is one step.
    """
    figure, axes = _panels(len(ways), width=2.75, height=3.1, sharey=True, columns=4)
    for axis, (title, way) in zip(axes, ways.items()):
        axis.set_title(fill(_clean(title), 24), fontsize=9)
        known = way[np.isfinite(way["accuracy"])].reset_index(drop=True)
        if len(known) < 2:
            _say(axis, "not measured")
            continue
        before = known["accuracy"][0]
        axis.bar(0, before, 0.7, color=COLOURS["printed"])
        axis.text(0, before + 0.015, f"{100 * before:.1f}", ha="center", va="bottom", fontsize=7.5)
        for place, row in enumerate(known.iloc[1:].itertuples(), start=1):
            step = row.accuracy - before
            axis.plot([place - 1 + 0.35, place + 0.35], [before, before], color=MUTED, lw=0.8)
            axis.bar(place, step, 0.7, bottom=before, color=_colour(row.stage))
            axis.plot([place, place], [row.low, row.high], color=INK, lw=1)
            top = np.nanmax([row.accuracy, before, row.high])
            axis.text(place, top + 0.015, f"{100 * step:+.1f}", ha="center", va="bottom", fontsize=7.5)
            before = row.accuracy
        last = known.iloc[-1]
        axis.plot([len(known) - 1 + 0.35, len(known) + 0.35], [before, before], color=MUTED, lw=0.8)
        axis.bar(len(known), before, 0.7, color=_colour(last["stage"]))
        axis.text(len(known), before + 0.015, f"{100 * before:.1f}", ha="center", va="bottom", fontsize=7.5)
        names = {"published": "our run,\nleak kept", "grouped": "split by\nlesion", "clean": "labels\nright"}
        if "grouped" not in set(known["stage"]):
            names["clean"] = "leak gone,\nlabels right"
        steps = [names.get(stage, stage) for stage in known["stage"][1:]]
        axis.set_xticks(range(len(known) + 1), ["printed", *steps, last["stage"]], fontsize=6.5)
        axis.tick_params(axis="x", length=0)
        axis.set_ylim(0, 1.12)
        axis.set_yticks(np.arange(0, 1.01, 0.25))
        axis.yaxis.set_major_formatter(_percent)
        axis.grid(axis="y")
    axes[0].set_ylabel("test accuracy, %")
    return figure


@styled
def sample_images(images: Sequence[tuple[str, np.ndarray]], columns: int = 5, size: float = 1.35) -> Figure:
    """Pictures with their titles in a grid (Figs. 3, 4 and 6).

    Args:
        images: (title, uint8 array [height, width, 3] or [height, width]) each.
        size: inches, side of one picture.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(columns * size, rows * (size + 0.32)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in grid:
        axis.set_axis_off()
    for axis, (title, picture) in zip(grid, images):
        axis.imshow(picture, cmap="gray" if np.ndim(picture) == 2 else None)
        axis.set_title(fill(_clean(title), 22), fontsize=7.5, fontweight="normal", loc="center")
    return figure


@styled
def reliability(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], bins: int = 10) -> Figure:
    """Reliability diagram: how often the predicted class is right, by the probability given to it.

    Args:
        curves: label -> (probability of the predicted class in [0, 1], whether it was right), both [n].
        bins: bins of equal width over [0, 1]; empty ones are not drawn.
    """
    figure, (axis,) = _panels(1, width=3.4, height=3.1)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    for label, (confidence, right) in curves.items():
        observed, predicted = calibration_curve(np.asarray(right, int), confidence, n_bins=bins)
        axis.plot(predicted, observed, MARKERS.get(label, "o") + "-", ms=4, color=_colour(label), label=label)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the predicted class", ylabel="share that is right")
    axis.grid()
    _legend(figure, [axis])
    return figure


@styled
def roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """ROC curves with their areas.

    Args:
        curves: label -> (truth 0 or 1, score), both [n]; both truths must occur.
    """
    figure, (axis,) = _panels(1, width=3.4, height=3.1)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    for label, (truth, score) in curves.items():
        false_positive, true_positive, _ = roc_curve(truth, score)
        area = roc_auc_score(truth, score)
        axis.plot(false_positive, true_positive, color=_colour(label), label=f"{label}, area {area:.3f}")
    axis.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    axis.grid()
    _legend(figure, [axis])
    return figure


_percent = FuncFormatter(lambda value, _: f"{100 * value:g}")


def _panels(
    count: int, width: float, height: float, sharey: bool = False, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel())
    for unused in axes[max(count, 1) :]:
        unused.set_axis_off()
    return figure, axes[: max(count, 1)]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, above them, where it covers no data."""
    entries = {}
    for axis in axes:
        entries |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels()) if label not in entries}
    if len(entries) > 1:
        figure.legend(
            entries.values(), entries.keys(), loc="outside upper left", ncols=min(len(entries), 4), fontsize=8
        )


def _say(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=MUTED)
    axis.set_xticks([])
    axis.tick_params(labelleft=False, length=0)
    axis.spines[:].set_visible(False)


def _colour(name: str) -> str:
    return COLOURS.get(name) or sns.color_palette("colorblind").as_hex()[sum(map(ord, name)) % 10]


def _short(names: Sequence[str]) -> list[str]:
    return [fill(_clean(name), 16) for name in names]


def _clean(name: object) -> str:
    """A name on one line without control characters, which fonts draw as boxes; cut where it would fill the picture."""
    text = "".join(character if character.isprintable() else "·" for character in str(name))
    return text if len(text) <= 60 else text[:59] + "…"


def _smaller_png(png: bytes) -> bytes:
    """The same picture in 256 colours where that is lossless to the eye (drawings, not photographs) and smaller."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    difference = np.abs(np.asarray(few.convert("RGB"), np.int16) - np.asarray(picture, np.int16))
    buffer = io.BytesIO()
    # a palette shows in photographs long before it shows in drawings
    (few if difference.mean() < 0.5 else picture).save(buffer, "PNG", optimize=True)
    return min(buffer.getvalue(), png, key=len)
