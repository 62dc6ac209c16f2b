"""Figures of accuracies: printed beside ours, by model, by scenario and by open choice."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.config.params import PHASE_TITLES
from lib.figures.style import (
    COLOURS,
    INK,
    MUTED,
    RULE,
    SERIES_MARKERS,
    legend,
    panels,
    percent,
    show_names,
    styled,
)


@styled
def draw_accuracy_comparison(results: pd.DataFrame) -> Figure:
    """Test accuracy of every backbone, printed and under each protocol with its interval, one panel per phase.

    Args:
        results: phase, backbone, series (`printed` or a protocol), accuracy, low, high (fractions of 1).
    """
    phases, backbones = results["phase"].unique(), list(results["backbone"].unique())
    height = 0.7 + len(backbones) * (0.16 * results["series"].nunique() + 0.1)
    figure, axes = panels(len(phases), width=3.7, height=height, columns=2, sharex=True, sharey=True)
    for axis, phase in zip(axes, phases):
        _draw_series(axis, results[results["phase"] == phase], "backbone", backbones)
        axis.set_title(PHASE_TITLES.get(phase, phase))
    axes[0].set_xlim(0, 1.02)
    legend(figure, axes)
    return figure


@styled
def draw_scenario_summary(results: pd.DataFrame) -> Figure:
    """Test accuracy of one model in each scenario, printed and under each protocol, with its number (Fig. 20).

    Args:
        results: scenario, series (`printed` or a protocol), accuracy, low, high (fractions of 1; low and high may
            be NaN); a dash stands for a missing accuracy.
    """
    scenarios = list(results["scenario"].unique())
    height = 0.7 + len(scenarios) * (0.2 * results["series"].nunique() + 0.12)
    figure, (axis,) = panels(1, width=6.4, height=height)
    _draw_series(axis, results, "scenario", scenarios, numbers=True)
    show_names(axis, [fill(name, 16) for name in scenarios])
    axis.set_xlim(0, 1.12)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
    legend(figure, [axis])
    return figure


def _draw_series(axis: Axes, results: pd.DataFrame, by: str, names: Sequence[str], numbers: bool = False) -> None:
    """A dot with its interval for each name and series; the names from the top down, the series under each other."""
    series = list(results["series"].unique())
    for position, name in enumerate(series):
        rows = results[results["series"] == name].set_index(by).reindex(names)
        places = np.arange(len(names)) + (position - (len(series) - 1) / 2) * 0.72 / len(series)
        colour, face = COLOURS[name], "white" if name == "printed" else COLOURS[name]
        axis.hlines(places, rows["low"], rows["high"], color=colour, lw=1.1)
        axis.plot(rows["accuracy"], places, SERIES_MARKERS[name], ms=5, mec=colour, mfc=face, label=name)
        for place, row in zip(places, rows.itertuples() if numbers else ()):
            known = np.isfinite(row.accuracy)
            end = np.nanmax([row.high, row.accuracy, 0])  # behind the interval, or the number would lie on its line
            axis.text(end + 0.02, place, f"{100 * row.accuracy:.1f}" if known else "–", va="center", fontsize=7)
    show_names(axis, names)
    for edge in np.arange(0.5, len(names) - 1):
        axis.axhline(edge, color=RULE, lw=0.6)
    axis.xaxis.set_major_formatter(percent)
    axis.set_xlabel("test accuracy, %")
    axis.grid(axis="x")


@styled
def draw_choices(rows: pd.DataFrame) -> Figure:
    """One panel per scenario, one line per choice: its repetition interval, blue where it holds the printed accuracy.

    Args:
        rows: scenario and choice (as they are to be shown), test_accuracy, repetition_low, repetition_high and printed
            (fractions of 1), reaches; of one phase and backbone.
    """
    choices, scenarios = list(rows["choice"].unique()), rows["scenario"].unique()
    width = 1.9 + 1.8 / min(4, len(scenarios))  # the names of the choices stand once
    figure, axes = panels(len(scenarios), width, 0.7 + 0.21 * len(choices), columns=4, sharex=True, sharey=True)
    for axis, scenario in zip(axes, scenarios):
        own = rows[rows["scenario"] == scenario]
        axis.set_title(scenario, fontsize=9)
        axis.grid(axis="x")
        axis.axvline(100 * own["printed"].iloc[0], color=INK, lw=1.2)
        for row in own.itertuples():
            place = choices.index(row.choice)
            colour, width = (COLOURS["clean"], 3) if row.reaches else (MUTED, 1.6)
            axis.hlines(place, 100 * row.repetition_low, 100 * row.repetition_high, color=colour, lw=width)
            axis.plot(100 * row.test_accuracy, place, "o", color=colour, ms=4)
        axis.tick_params(axis="y", length=0)
    show_names(axes[0], choices)
    axes[0].set(xlim=(0, 100), xticks=[0, 50, 100])
    figure.supxlabel("test accuracy, %", fontsize=9)
    return figure
