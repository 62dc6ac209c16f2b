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
    TELEPHONE,
    colour_of,
    legend,
    one_panel,
    panels,
    percent,
    styled,
)


@styled
def draw_accuracy_comparison(results: pd.DataFrame, columns: int = 2) -> Figure:
    """Test accuracy of every backbone, printed and under each protocol with its interval, a panel a phase.

    Args:
        results: phase, backbone, series (`printed` or a protocol), accuracy, low, high (fractions of 1).
        columns: panels side by side.
    """
    phases, backbones = list(dict.fromkeys(results["phase"])), list(dict.fromkeys(results["backbone"]))
    series = list(dict.fromkeys(results["series"]))
    height = 0.7 + len(backbones) * (0.16 * len(series) + 0.1)
    figure, axes = panels(len(phases), width=TELEPHONE, height=height, sharex=True, sharey=True, columns=columns)
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
        axis.xaxis.set_major_formatter(percent)
        axis.grid(axis="x")
    axes[0].set_xlim(0, 1.02)
    for axis in axes[-min(columns, len(axes)) :]:
        axis.set_xlabel("test accuracy, %")
    legend(figure, axes, columns=2 * columns)
    return figure


@styled
def draw_scenario_summary(results: pd.DataFrame, width: float = 6.4) -> Figure:
    """Test accuracy of the proposed model in each scenario: printed and under each protocol (Fig. 20).

    Args:
        results: scenario, series (`printed` or a protocol), accuracy, low, high (fractions of 1; low and high may
            be NaN); a missing accuracy leaves its place empty.
        width: of the figure, inches.
    """
    scenarios, series = list(dict.fromkeys(results["scenario"])), list(dict.fromkeys(results["series"]))
    figure, axis = one_panel(width, 0.7 + len(scenarios) * (0.2 * len(series) + 0.12))
    height = 0.86 / len(series)
    for position, name in enumerate(series):
        rows = results[results["series"] == name].set_index("scenario").reindex(scenarios)
        places = np.arange(len(scenarios)) + (position - (len(series) - 1) / 2) * height
        axis.barh(places, rows["accuracy"].fillna(0), height * 0.9, color=colour_of(name), label=name)
        for place, (_, row) in zip(places, rows.iterrows()):
            if np.isfinite([row["low"], row["high"]]).all():
                axis.plot([row["low"], row["high"]], [place, place], color=INK, lw=0.8)
            # behind the interval, or the number would lie on its line
            end = next((value for value in (row["high"], row["accuracy"]) if np.isfinite(value)), 0)
            label = f"{100 * row['accuracy']:.1f}" if np.isfinite(row["accuracy"]) else "–"
            axis.text(end + 0.012, place, label, ha="left", va="center", fontsize=7)
    axis.set_yticks(range(len(scenarios)), [fill(name, 16) for name in scenarios])
    axis.tick_params(axis="y", length=0)
    axis.set(xlim=(0, 1.12), ylim=(len(scenarios) - 0.5, -0.5), xlabel="test accuracy, %")
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axis.xaxis.set_major_formatter(percent)
    axis.grid(axis="x")
    legend(figure, [axis])
    return figure


@styled
def draw_input_ranges(rows: pd.DataFrame, columns: int = 3) -> Figure:
    """Printed against our accuracy, a panel an input range: on the dotted line they agree.

    Args:
        rows: of the tables that lib.verdicts.input_range_hypothesis takes, those of one phase and protocol.
        columns: panels side by side.
    """
    ranges = list(dict.fromkeys(rows["preprocessing"]))
    figure, axes = panels(len(ranges), width=2.7, height=2.9, sharex=True, sharey=True, columns=columns)
    models = list(dict.fromkeys(rows["backbone"]))
    low = 100 * min(rows["test_accuracy"].min(), rows["printed_test_accuracy"].min()) - 4
    for axis, name in zip(axes, ranges):
        axis.plot([low, 100], [low, 100], color=MUTED, lw=0.8, ls=":")
        for place, model in enumerate(models):
            own = rows[(rows["preprocessing"] == name) & (rows["backbone"] == model)]
            style = {"color": PALETTE[place % len(PALETTE)], "ms": 5, "ls": "none", "label": model}
            x, y = 100 * own["printed_test_accuracy"], 100 * own["test_accuracy"]
            axis.plot(x, y, MARKERS[place % len(MARKERS)], **style)
        axis.set(xlim=(low, 100), ylim=(low, 100), title=name)
        axis.set_aspect("equal")
        axis.grid()
    figure.supxlabel("printed, %", fontsize=9)
    figure.supylabel("ours, %", fontsize=9)
    legend(figure, axes, columns=min(columns, 3))
    return figure


@styled
def draw_ranks(table: pd.DataFrame, comparisons: pd.DataFrame, columns: int = 2) -> Figure:
    """Mean rank of each backbone with its interval, a panel a phase; bars join backbones that no test tells apart in
    any scenario.

    Args:
        table: of rank_backbones; comparisons: of compare_backbones (lib.scores.beyond).
        columns: panels side by side.
    """
    phases = list(dict.fromkeys(table["phase"]))
    most = table["phase"].value_counts().max()
    figure, axes = panels(len(phases), width=4.4, height=0.8 + 0.34 * most, columns=columns, sharex=True)
    for axis, phase in zip(axes, phases):
        own = table[table["phase"] == phase].sort_values("mean_rank").reset_index(drop=True)
        places = np.arange(len(own))
        axis.hlines(places, own["low"], own["high"], color=MUTED, lw=1.4)
        axis.plot(own["mean_rank"], places, "o", color=PALETTE[0], ms=5)
        pairs = comparisons[comparisons["phase"] == phase]
        for place, (first, last) in enumerate(_cliques(own["backbone"].tolist(), pairs)):
            x = most + 0.45 + 0.14 * place
            axis.plot([x, x], [first - 0.18, last + 0.18], color=INK, lw=3, solid_capstyle="butt", clip_on=False)
        axis.set_title({"transfer": "Transfer learning", "finetune": "Fine-tuning"}.get(phase, phase))
        axis.set_yticks(places, [f"{row.backbone} ({row.mean_rank:.2f})" for row in own.itertuples()])
        axis.set(ylim=(most - 0.5, -0.5), xlim=(0.8, most + 0.3), xlabel="mean rank (1 is best)")
        axis.set_xticks(range(1, most + 1))
        axis.tick_params(axis="y", length=0)
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
