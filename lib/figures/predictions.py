"""Figures of what a model predicts: confusion, calibration, ROC and decision curves."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

from lib.figures.style import INK, MUTED, PALETTE, empty_panel, one_line, panels, percent, styled


@styled
def draw_confusion_matrix(matrices: Mapping[str, pd.DataFrame | None]) -> Figure:
    """Confusion matrices, one per panel: counts written, shade by the share of the true class (Figs. 10, 13, 16, 19).

    Args:
        matrices: panel title -> counts, true classes in rows, predicted classes in columns; None where there is no run.
    """
    classes = max((len(counts) for counts in matrices.values() if counts is not None), default=2)
    side, columns = 1.5 + 0.32 * classes, 2 if classes > 6 else 3
    figure, axes = panels(len(matrices), width=side, height=side, columns=columns)
    for position, (axis, (title, counts)) in enumerate(zip(axes, matrices.items())):
        axis.set_title(fill(one_line(title), int(9 * side)))  # characters that fit above a panel
        if counts is None or counts.to_numpy().sum() == 0:
            empty_panel(axis, "no run")
            continue
        values = counts.to_numpy()
        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(values):
            colour = "white" if shares[row, column] > 0.55 else INK
            axis.text(column, row, values[row, column], ha="center", va="center", fontsize=7.5, color=colour)
        slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axis.set_xticks(range(values.shape[1]), [one_line(name) for name in counts.columns], **slanted)
        names = [fill(one_line(name), 16) for name in counts.index] if position % columns == 0 else []
        axis.set_yticks(range(len(values)), names)
        axis.tick_params(length=0, labelsize=7.5)
        axis.set_xlabel("predicted class")
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("true class")
    return figure


@styled
def draw_reliability(table: pd.DataFrame) -> Figure:
    """Reliability diagram: how often the predicted class is right, by the probability given to it.

    Args:
        table: lib.scores.beyond.reliability: `confidence` and `accuracy` of each bin, fractions of 1.
    """
    figure, axis = _unit_square("probability of the predicted class, %", "right, %")
    axis.plot(table["confidence"], table["accuracy"], "o-", ms=4, color=PALETTE[0])
    return figure


@styled
def draw_roc(truth: np.ndarray, score: np.ndarray) -> Figure:
    """ROC curve with its area.

    Args:
        truth: 0 or 1, both must occur; score: the higher, the likelier is 1; both [n].
    """
    figure, axis = _unit_square("false positives, % of the benign", "true positives, % of the malignant")
    false_positive, true_positive, _ = roc_curve(truth, score)
    axis.plot(false_positive, true_positive, color=PALETTE[0])
    axis.set_title(f"area {100 * roc_auc_score(truth, score):.1f} %", fontsize=9, fontweight="normal")
    return figure


@styled
def draw_decision_curve(curve: pd.DataFrame) -> Figure:
    """Net benefit by threshold: a model above both `act on all` and `act on none` is worth asking.

    Args:
        curve: of lib.scores.beyond.decision_curve.
    """
    figure, (axis,) = panels(1, width=4.6, height=3.2)
    thresholds = curve["threshold"]
    axis.plot(thresholds, curve["model"], color=PALETTE[0], label="model")
    axis.fill_between(thresholds, curve["model_low"], curve["model_high"], color=PALETTE[0], alpha=0.12, lw=0)
    axis.plot(thresholds, curve["all"], color=MUTED, ls="--", lw=1, label="act on all")
    axis.plot(thresholds, curve["none"], color=MUTED, ls=":", lw=1, label="act on none")
    top = curve["model_high"].max()
    axis.set(ylim=(-0.15 * top, 1.08 * top), xlim=(0, thresholds.max()))
    _show_percent(axis, "probability of malignancy at which one acts, %", "net benefit, per 100 images")
    axis.legend(fontsize=7.5)
    return figure


def _unit_square(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """A panel from 0 to 100 % with its diagonal."""
    figure, (axis,) = panels(1, width=3.4, height=3.1)
    axis.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    axis.set(xlim=(0, 1), ylim=(0, 1.01))
    _show_percent(axis, xlabel, ylabel)
    return figure, axis


def _show_percent(axis: Axes, xlabel: str, ylabel: str) -> None:
    axis.xaxis.set_major_formatter(percent)
    axis.yaxis.set_major_formatter(percent)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid()
