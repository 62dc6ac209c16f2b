"""Figures of one training: its curves."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.figures.style import COLOURS, INK, MUTED, empty_panel, legend, one_line, panels, percent, styled


@styled
def draw_training_curves(
    histories: Mapping[str, pd.DataFrame],
    quantity: str = "accuracy",
    printed: float | None = None,
    printed_for: str = "",
    columns: int = 3,
) -> Figure:
    """Training and validation accuracy or loss over the epochs, a panel a history (Figs. 8-9, 11-12, 14-15, 17-18).

    Args:
        histories: panel title -> the rows of history.csv (fold, epoch, phase, loss, accuracy, val_loss, val_accuracy),
            transfer epochs first; an empty table gives a panel that says so. Of the folds after the first, the
            validation curve alone is drawn, thin.
        quantity: `accuracy` (fractions of 1) or `loss`.
        printed: the value that the paper prints for the validation curve's end, drawn as a dotted line.
        printed_for: the model that the paper prints it for, as the legend names it.
        columns: panels side by side.
    """
    figure, axes = panels(len(histories), width=3.3, height=2.5, sharex=True, sharey=True, columns=columns)
    for axis, (title, history) in zip(axes, histories.items()):
        axis.set_title(one_line(title))
        if history is None or history.empty:
            empty_panel(axis, "no run")
            continue
        first, *others = [rows for _, rows in history.groupby("fold")]
        for rows in others:
            curve = rows[f"val_{quantity}"]
            axis.plot(np.arange(1, len(curve) + 1), curve, color=COLOURS["validation"], lw=0.6, alpha=0.45)
        history = first
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
            label = f"printed for {printed_for}" if printed_for else "printed (validation)"
            axis.axhline(printed, color=INK, lw=1.2, ls=":", label=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.grid(axis="y")
    for axis in axes[-min(columns, len(axes)) :]:
        axis.set_xlabel("epoch")
    axes[0].set_ylabel(quantity if quantity == "loss" else "accuracy, %")
    if quantity == "accuracy":
        axes[0].yaxis.set_major_formatter(percent)
    legend(figure, axes, columns=3 if columns > 1 else 2)
    return figure
