"""The curves of a training, at its end and while it is under way."""

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tqdm.auto import tqdm

from lib.figures.style import COLOURS, INK, MUTED, empty_panel, legend, one_line, panels, percent, styled


@styled
def draw_training_curves(
    histories: Mapping[str, pd.DataFrame | None],
    quantity: str = "accuracy",
    printed: float | None = None,
    printed_for: str = "",
) -> Figure:
    """Training and validation curves over the epochs, one panel per history (Figs. 8-9, 11-12, 14-15, 17-18).

    Args:
        histories: panel title -> the rows of history.csv (fold, epoch, phase, loss, accuracy, val_loss, val_accuracy),
            transfer epochs first; None or no row where there is no run. Of the folds after the first only the
            validation curve is drawn, thin.
        quantity: `accuracy` (fractions of 1) or `loss`.
        printed: the value that the paper prints for the end of the validation curve, as a dotted line.
        printed_for: the model that the paper prints it for, as the legend names it.
    """
    figure, axes = panels(len(histories), width=3.3, height=2.5, sharex=True, sharey=True)
    for axis, (title, history) in zip(axes, histories.items()):
        axis.set_title(one_line(title))
        if history is None or history.empty:
            empty_panel(axis, "no run")
            continue
        first, *others = [rows.assign(number=range(1, len(rows) + 1)) for _, rows in history.groupby("fold")]
        for rows in others:
            axis.plot(rows["number"], rows[f"val_{quantity}"], color=COLOURS["validation"], lw=0.6, alpha=0.45)
        axis.plot(first["number"], first[quantity], color=COLOURS["train"], ls="--", label="training")
        axis.plot(first["number"], first[f"val_{quantity}"], color=COLOURS["validation"], label="validation")
        start = int((first["phase"] == "transfer").sum())
        if 0 < start < len(first):
            axis.axvline(start + 0.5, color=MUTED, lw=0.8, ls=":")
            # where the curves are not: accuracy ends high, loss ends low
            edge, side = (0.02, "bottom") if quantity == "accuracy" else (0.98, "top")
            place = {"transform": axis.get_xaxis_transform(), "va": side}
            axis.text(start + 0.7, edge, "fine-tuning", fontsize=7.5, color=MUTED, **place)
        if printed is not None:
            label = f"printed for {printed_for}" if printed_for else "printed (validation)"
            axis.axhline(printed, color=INK, lw=1.2, ls=":", label=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.set_xlabel("epoch")
        axis.grid(axis="y")
    axes[0].set_ylabel(quantity if quantity == "loss" else "accuracy, %")
    if quantity == "accuracy":
        axes[0].yaxis.set_major_formatter(percent)
    legend(figure, axes, columns=3)
    return figure


@contextmanager
def watch(model: Any, folds: Sequence[int], by_hand: bool) -> Iterator[None]:
    """While folds are trained by hand, show one bar of them and one figure of their validation losses, which is drawn
    anew, in place of the line that each epoch prints; run_all reads these lines.

    Args:
        model: the compiled keras.Model that is trained.
    """
    if not by_hand:
        yield
        return
    live = _Live(model, len(folds))
    try:
        with redirect_stdout(live):
            yield
        live.bar.update(len(folds) - live.bar.n)
    finally:  # also where it was interrupted
        live.draw()
        live.bar.close()


class _Live(io.StringIO):
    """Standard output that takes a line per epoch, `transfer, fold 0, epoch 3 of 20`, as the moment to draw."""

    def __init__(self, model: Any, folds: int):
        super().__init__()
        self.model, self.losses, self.drawn = model, {}, 0.0
        self.bar = tqdm(total=folds, unit="fold")
        self.shown = display(Markdown("The losses follow after the first epoch."), display_id=True)

    def write(self, text: str) -> int:
        if text.strip():
            fold = text.partition(", epoch")[0]
            self.bar.update(bool(self.losses) and fold not in self.losses)
            self.losses.setdefault(fold, []).append(float(self.model.get_metrics_result()["loss"]))
            if time.monotonic() > self.drawn + 1:
                self.draw()
        return len(text)

    @styled
    def draw(self) -> Figure:
        figure, (axis,) = panels(1, width=4.4, height=2.2)
        for fold, losses in self.losses.items():
            last = fold == [*self.losses][-1]
            style = {"color": COLOURS["validation"]} if last else {"color": MUTED, "lw": 0.6, "alpha": 0.6}
            axis.plot(range(1, len(losses) + 1), losses, marker="." if last else "", **style)
        axis.set(xlabel="epoch", ylabel="validation loss", title=[*self.losses][-1] if self.losses else "no epoch yet")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.shown.update(figure)
        self.drawn = time.monotonic()
        return figure
