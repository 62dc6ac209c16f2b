"""Figures of what accuracy does not say: decision curves, ranks, seeds, areas a class, input ranges, label errors."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.figures.plots import INK, MUTED, styled

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")  # Okabe-Ito, safe for colour-blind readers
MARKERS = ("o", "s", "^", "D", "v", "P")


@styled
def decision_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Net benefit by threshold: a model above both `act on all` and `act on none` is worth asking.

    Args:
        curves: label -> lib.verdicts.beyond.decision_curve; all of one scenario and protocol.
    """
    figure, axis = _one(4.6, 3.2)
    for place, (label, curve) in enumerate(curves.items()):
        colour = PALETTE[place % len(PALETTE)]
        axis.plot(curve["threshold"], curve["model"], color=colour, label=label)
        axis.fill_between(curve["threshold"], curve["model_low"], curve["model_high"], color=colour, alpha=0.12, lw=0)
    reference = next(iter(curves.values()))
    axis.plot(reference["threshold"], reference["all"], color=MUTED, ls="--", lw=1, label="act on all")
    axis.plot(reference["threshold"], reference["none"], color=MUTED, ls=":", lw=1, label="act on none")
    top = max(curve["model_high"].max() for curve in curves.values())
    axis.set(ylim=(-0.15 * top, 1.08 * top), xlim=(0, reference["threshold"].max()))
    axis.set(xlabel="threshold: probability of malignancy at which one acts", ylabel="net benefit, per image")
    axis.grid()
    axis.legend(fontsize=7.5)
    return figure


@styled
def ranks(table: pd.DataFrame, comparisons: pd.DataFrame, phase: str) -> Figure:
    """Mean rank of each backbone with its interval; bars join backbones that no test tells apart in any scenario.

    Args:
        table: of rank_backbones; comparisons: of compare_backbones (lib.verdicts.beyond); both are cut to `phase`.
    """
    own = table[table["phase"] == phase].sort_values("mean_rank").reset_index(drop=True)
    pairs = comparisons[comparisons["phase"] == phase]
    figure, axis = _one(5.2, 1.1 + 0.34 * len(own))
    places = np.arange(len(own))
    axis.hlines(places, own["low"], own["high"], color=MUTED, lw=1.4)
    axis.plot(own["mean_rank"], places, "o", color=PALETTE[0], ms=5)
    for place, (first, last) in enumerate(_cliques(own["backbone"].tolist(), pairs)):
        x = len(own) + 0.45 + 0.14 * place
        axis.plot([x, x], [first - 0.18, last + 0.18], color=INK, lw=3, solid_capstyle="butt", clip_on=False)
    difference = own["critical_difference"].iloc[0]
    said = f"Nemenyi's critical difference over {own['scenarios'].iloc[0]} scenarios: {difference:.1f} ranks"
    axis.set_title(f"{said}\nblack bar: not told apart in any scenario", fontsize=7.5, fontweight="normal")
    axis.set_yticks(places, [f"{row.backbone} ({row.mean_rank:.2f})" for row in own.itertuples()])
    axis.set(ylim=(len(own) - 0.5, -0.5), xlim=(0.8, len(own) + 0.3), xlabel="mean rank (1 is best)")
    axis.set_xticks(range(1, len(own) + 1))
    axis.grid(axis="x")
    return figure


@styled
def seeds(table: pd.DataFrame) -> Figure:
    """Test accuracy of each cell: the line spans its seeds, the pale band is one sampling standard deviation each way.

    Args:
        table: lib.verdicts.beyond.seed_spread.
    """
    rows = table.sort_values([*("scenario", "phase"), "mean"]).reset_index(drop=True)
    figure, axis = _one(5.4, 1.0 + 0.2 * len(rows))
    places = np.arange(len(rows))
    mean, sampling = 100 * rows["mean"], 100 * rows["sampling_sd"]
    axis.barh(places, 2 * sampling, left=mean - sampling, color=PALETTE[0], alpha=0.18, height=0.7)
    axis.hlines(places, 100 * rows["lowest"], 100 * rows["highest"], color=PALETTE[0], lw=2)
    axis.plot(mean, places, "|", color=INK, ms=8)
    axis.set_yticks(places, rows[["scenario", "phase", "backbone"]].agg(", ".join, axis=1), fontsize=7)
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel="test accuracy, %")
    axis.grid(axis="x")
    return figure


@styled
def class_areas(table: pd.DataFrame) -> Figure:
    """Area under the ROC curve of each class against the rest, a marker a backbone: which classes are hard for all.

    Args:
        table: lib.verdicts.beyond.class_auc of one scenario and phase (of several, the first is drawn).
    """
    scenario, phase = table[["scenario", "phase"]].iloc[0]
    rows = table[(table["scenario"] == scenario) & (table["phase"] == phase)]
    names, models = rows["class"].unique(), rows["backbone"].unique()
    figure, axis = _one(5.2, 1.2 + 0.32 * len(names))
    for place, model in enumerate(models):
        own = rows[rows["backbone"] == model].set_index("class").reindex(names)
        y = np.arange(len(names)) + 0.5 * ((place + 0.5) / len(models) - 0.5)
        colour = PALETTE[place % len(PALETTE)]
        axis.hlines(y, own["auc_low"], own["auc_high"], color=colour, lw=1)
        axis.plot(own["auc"], y, MARKERS[place % len(MARKERS)], color=colour, ms=4, label=model)
    axis.axvline(0.5, color=MUTED, lw=0.8, ls=":")
    axis.set_yticks(range(len(names)), names)
    axis.set(ylim=(len(names) - 0.5, -0.5), xlabel=f"area under the ROC curve, {phase}")
    axis.grid(axis="x")
    figure.legend(fontsize=7.5, loc="outside upper left", ncols=3)
    return figure


@styled
def input_ranges(tables: pd.DataFrame, phase: str = "transfer", protocol: str = "published") -> Figure:
    """Printed against our accuracy, a panel an input range: on the dotted line they agree.

    Args:
        tables: what lib.verdicts.ladder.input_range_hypothesis takes.
    """
    rows = tables[(tables["phase"] == phase) & (tables["protocol"] == protocol)]
    ranges = list(dict.fromkeys(rows["preprocessing"]))
    figure = Figure(figsize=(2.4 * len(ranges) + 0.8, 2.9), layout="constrained")
    axes = figure.subplots(1, len(ranges), squeeze=False, sharey=True)[0]
    models = list(dict.fromkeys(rows["backbone"]))
    low = 100 * min(rows["test_accuracy"].min(), rows["published_test_accuracy"].min()) - 4
    for axis, name in zip(axes, ranges):
        axis.plot([low, 100], [low, 100], color=MUTED, lw=0.8, ls=":")
        for place, model in enumerate(models):
            own = rows[(rows["preprocessing"] == name) & (rows["backbone"] == model)]
            style = {"color": PALETTE[place % len(PALETTE)], "ms": 5, "ls": "none", "label": model}
            x, y = 100 * own["published_test_accuracy"], 100 * own["test_accuracy"]
            axis.plot(x, y, MARKERS[place % len(MARKERS)], **style)
        axis.set(xlim=(low, 100), ylim=(low, 100), xlabel="printed, %", title=name)
        axis.set_aspect("equal")
        axis.grid()
    axes[0].set_ylabel("ours, %")
    axes[0].legend(fontsize=7)
    return figure


@styled
def label_error_precision(ranked: pd.DataFrame) -> Figure:
    """Share of the k likeliest label errors that the official diagnosis confirms; dotted: drawing at random.

    Args:
        ranked: lib.audit.labels.rank_label_errors; images without a diagnosis are left out.
    """
    wrong = ranked[ranked["diagnosis"] != ""].sort_values("rank")["contradicted"].to_numpy(float)
    figure, axis = _one(4.4, 2.9)
    k = np.arange(1, len(wrong) + 1)
    axis.plot(k, np.cumsum(wrong) / k, color=PALETTE[0])
    axis.axhline(wrong.mean(), color=MUTED, ls=":", lw=1)
    axis.set(xscale="log", xlim=(1, len(wrong)), ylim=(0, 1.02))
    axis.set(xlabel="k likeliest label errors", ylabel="share confirmed by the diagnosis")
    axis.grid()
    return figure


def _cliques(order: Sequence[str], pairs: pd.DataFrame) -> list[tuple[int, int]]:
    """Runs of neighbours in `order` (first, last place) in which no two were told apart in any scenario."""
    apart = {frozenset(pair) for pair in pairs.loc[pairs["different"].astype(bool), ["first", "second"]].to_numpy()}
    runs = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and not any(
            frozenset((order[other], order[last + 1])) in apart for other in range(first, last + 1)
        ):
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _one(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    sns.despine(ax=axis)
    return figure, axis
