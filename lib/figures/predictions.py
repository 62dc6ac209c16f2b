"""Figures of what a model predicts: confusion, calibration, ROC and decision curves."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

from lib.figures.style import (
    INK,
    MUTED,
    PALETTE,
    SERIES_MARKERS,
    colour_of,
    empty_panel,
    legend,
    one_line,
    one_panel,
    panels,
    percent,
    styled,
)


@styled
def draw_confusion_matrix(matrices: Mapping[str, pd.DataFrame], columns: int = 3) -> Figure:
    """Confusion matrices side by side, counts written, shade by the share of the true class (Figs. 10, 13, 16, 19).

    Args:
        matrices: panel title -> counts, true classes in rows, predicted classes in columns.
        columns: panels side by side; two at most where there are many classes.
    """
    classes = max((len(counts) for counts in matrices.values() if counts is not None), default=2)
    side, columns = 1.5 + 0.32 * classes, min(columns, 2 if classes > 6 else 3)
    figure, axes = panels(len(matrices), width=side, height=side, columns=columns)
    for position, (axis, (title, counts)) in enumerate(zip(axes, matrices.items())):
        axis.set_title(one_line(title))
        if counts is None or counts.to_numpy().sum() == 0:
            empty_panel(axis, "no run")
            continue
        values = counts.to_numpy()
        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*values.shape):
            if values[row, column]:
                colour = "white" if shares[row, column] > 0.55 else INK
                axis.text(column, row, values[row, column], ha="center", va="center", fontsize=7.5, color=colour)
        axis.set_xticks(
            range(values.shape[1]), [*map(one_line, counts.columns)], rotation=45, ha="right", rotation_mode="anchor"
        )
        axis.set_yticks(
            range(values.shape[0]),
            [fill(one_line(name), 16) for name in counts.index] if position % columns == 0 else [],
        )
        axis.tick_params(length=0, labelsize=7.5)
        axis.set_xlabel("predicted class")
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("true class")
    return figure


@styled
def draw_reliability(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Reliability diagram: how often the predicted class is right, by the probability given to it.

    Args:
        tables: label -> lib.scores.beyond.reliability: `confidence` and `accuracy` of each bin, fractions of 1.
    """
    figure, (axis,) = panels(1, width=3.4, height=3.1)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    for label, table in tables.items():
        style = {"ms": 4, "color": colour_of(label), "label": label}
        axis.plot(table["confidence"], table["accuracy"], SERIES_MARKERS.get(label, "o") + "-", **style)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the predicted class, %", ylabel="right, %")
    _in_percent(axis)
    axis.grid()
    legend(figure, [axis])
    return figure


@styled
def draw_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """ROC curves with their areas.

    Args:
        curves: label -> (truth 0 or 1, score), both [n]; both truths must occur.
    """
    figure, (axis,) = panels(1, width=3.4, height=3.1)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    for label, (truth, score) in curves.items():
        false_positive, true_positive, _ = roc_curve(truth, score)
        area = roc_auc_score(truth, score)
        axis.plot(false_positive, true_positive, color=colour_of(label), label=f"{label}, area {100 * area:.1f} %")
    axis.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positives, % of the benign")
    axis.set_ylabel("true positives, % of the malignant")
    _in_percent(axis)
    axis.grid()
    legend(figure, [axis])
    return figure


@styled
def draw_decision_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Net benefit by threshold: a model above both `act on all` and `act on none` is worth asking.

    Args:
        curves: label -> lib.scores.beyond.decision_curve; all of one scenario and protocol.
    """
    figure, axis = one_panel(4.6, 3.2)
    for place, (label, curve) in enumerate(curves.items()):
        colour = PALETTE[place % len(PALETTE)]
        axis.plot(curve["threshold"], curve["model"], color=colour, label=label)
        axis.fill_between(curve["threshold"], curve["model_low"], curve["model_high"], color=colour, alpha=0.12, lw=0)
    reference = next(iter(curves.values()))
    axis.plot(reference["threshold"], reference["all"], color=MUTED, ls="--", lw=1, label="act on all")
    axis.plot(reference["threshold"], reference["none"], color=MUTED, ls=":", lw=1, label="act on none")
    top = max(curve["model_high"].max() for curve in curves.values())
    axis.set(ylim=(-0.15 * top, 1.08 * top), xlim=(0, reference["threshold"].max()))
    axis.set(xlabel="probability of malignancy at which one acts, %", ylabel="net benefit, per 100 images")
    _in_percent(axis)
    axis.grid()
    axis.legend(fontsize=7.5)
    return figure


def _in_percent(axis: Axes) -> None:
    """Write the fractions of both axes in per cent."""
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(percent)
