"""Figures of accuracies: printed beside ours, step by step, by input range, and the models ranked."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.figures.style import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    RULE,
    SERIES_MARKERS,
    colour_of,
    legend,
    one_panel,
    panels,
    percent,
    styled,
)


@styled
def accuracy_comparison(results: pd.DataFrame) -> Figure:
    """Test accuracy of every backbone, printed and under each protocol with its interval, a panel a phase.

    Args:
        results: phase, backbone, series (`printed` or a protocol), accuracy, low, high (fractions of 1).
    """
    phases, backbones = list(dict.fromkeys(results["phase"])), list(dict.fromkeys(results["backbone"]))
    series = list(dict.fromkeys(results["series"]))
    height = 0.7 + len(backbones) * (0.16 * len(series) + 0.1)
    figure, axes = panels(len(phases), width=3.5, height=height, sharey=True, columns=2)
    for axis, phase in zip(axes, phases):
        for position, name in enumerate(series):
            rows = results[(results["phase"] == phase) & (results["series"] == name)].set_index("backbone")
            rows = rows.reindex(backbones)
            places = np.arange(len(backbones)) + (position - (len(series) - 1) / 2) * 0.18
            face = "white" if name == "printed" else colour_of(name)
            for place, (_, row) in zip(places, rows.iterrows()):
                if np.isfinite(row["low"]) and np.isfinite(row["high"]):
                    axis.plot([row["low"], row["high"]], [place, place], color=colour_of(name), lw=1.1)
            axis.plot(
                rows["accuracy"], places, SERIES_MARKERS.get(name, "o"), ms=5, mec=colour_of(name), mfc=face, label=name
            )  # fmt: skip
        axis.set_title({"transfer": "Transfer learning", "finetune": "Fine-tuning"}.get(phase, phase))
        axis.set_yticks(range(len(backbones)), backbones)
        axis.set_ylim(len(backbones) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        for edge in np.arange(0.5, len(backbones) - 1):
            axis.axhline(edge, color=RULE, lw=0.6)
        axis.set_xlabel("test accuracy, %")
        axis.xaxis.set_major_formatter(percent)
        axis.grid(axis="x")
    legend(figure, axes)
    return figure


@styled
def scenario_summary(results: pd.DataFrame) -> Figure:
    """Test accuracy of the proposed model in each scenario: printed and under each protocol (Fig. 20).

    Args:
        results: scenario, series (`printed` or a protocol), accuracy, low, high (fractions of 1; low and high may
            be NaN); a missing accuracy leaves its place empty.
    """
    scenarios, series = list(dict.fromkeys(results["scenario"])), list(dict.fromkeys(results["series"]))
    figure, (axis,) = panels(1, width=1.7 * len(scenarios) + 0.8, height=2.9)
    width = 0.8 / len(series)
    for position, name in enumerate(series):
        rows = results[results["series"] == name].set_index("scenario").reindex(scenarios)
        places = np.arange(len(scenarios)) + (position - (len(series) - 1) / 2) * width
        bars = axis.bar(places, rows["accuracy"].fillna(0), width * 0.9, color=colour_of(name), label=name)
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
    axis.yaxis.set_major_formatter(percent)
    axis.grid(axis="y")
    legend(figure, [axis])
    return figure


@styled
def input_ranges(rows: pd.DataFrame) -> Figure:
    """Printed against our accuracy, a panel an input range: on the dotted line they agree.

    Args:
        rows: of the tables that lib.verdicts.input_range_hypothesis takes, those of one phase and protocol.
    """
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
def ranks(table: pd.DataFrame, comparisons: pd.DataFrame, phase: str) -> Figure:
    """Mean rank of each backbone with its interval; bars join backbones that no test tells apart in any scenario.

    Args:
        table: of rank_backbones; comparisons: of compare_backbones (lib.verdicts.beyond); both are cut to `phase`.
    """
    own = table[table["phase"] == phase].sort_values("mean_rank").reset_index(drop=True)
    pairs = comparisons[comparisons["phase"] == phase]
    figure, axis = one_panel(5.2, 1.1 + 0.34 * len(own))
    places = np.arange(len(own))
    axis.hlines(places, own["low"], own["high"], color=MUTED, lw=1.4)
    axis.plot(own["mean_rank"], places, "o", color=PALETTE[0], ms=5)
    for place, (first, last) in enumerate(_cliques(own["backbone"].tolist(), pairs)):
        x = len(own) + 0.45 + 0.14 * place
        axis.plot([x, x], [first - 0.18, last + 0.18], color=INK, lw=3, solid_capstyle="butt", clip_on=False)
    difference = own["critical_difference"].iloc[0]
    note = f"Nemenyi's critical difference over {own['scenarios'].iloc[0]} scenarios: {difference:.1f} ranks"
    axis.set_title(f"{note}\nblack bar: not told apart in any scenario", fontsize=7.5, fontweight="normal")
    axis.set_yticks(places, [f"{row.backbone} ({row.mean_rank:.2f})" for row in own.itertuples()])
    axis.set(ylim=(len(own) - 0.5, -0.5), xlim=(0.8, len(own) + 0.3), xlabel="mean rank (1 is best)")
    axis.set_xticks(range(1, len(own) + 1))
    axis.grid(axis="x")
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
