"""Figures of the audit of the printed tables."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.config.paper import backbones
from lib.config.params import PHASE_TITLES
from lib.config.printed import roman
from lib.figures.style import COLOURS, INK, MARKERS, MUTED, PALETTE, legend, panels, show_names, styled


@styled
def draw_fitting_sizes(tables: dict) -> Figure:
    """Which test-set sizes fit which printed row, one panel per table: a column of dots is a size that rows share.

    Args:
        tables: `tables` of lib.audit's printed_audit; a dot where one size fits a row's validation and test accuracy.
    """
    rows = max(len(table["rows"]) for table in tables.values())
    figure, axes = panels(len(tables), width=4.3, height=0.75 + 0.19 * rows, columns=2, sharex=True)
    for axis, (number, table) in zip(axes, tables.items()):
        names = [f"{row['backbone']}, {PHASE_TITLES[row['phase']].lower()}" for row in table["rows"]]
        places = {(row["phase"], row["backbone"]): place for place, row in enumerate(table["rows"])}
        for place, row in enumerate(table["rows"]):
            sizes = sorted(set(row["val_n"]) & set(row["test_n"]))
            axis.plot(sizes, [place] * len(sizes), ".", color=MUTED, markersize=3)
        shared = []
        for group, colour in zip(table["groups"], PALETTE):
            inside = [places[row["phase"], row["backbone"]] for row in group["rows"]]
            axis.plot([group["test_n"]] * len(inside), inside, "o", color=colour, markersize=5)
            shared.append(f"{group['test_n']} fits {len(inside)} of {len(names)} rows")
        axis.set_title(f"Table {roman(number)}: {', '.join(shared) or 'no size fits several rows'}", fontsize=8.5)
        show_names(axis, names, fontsize=8)
        axis.grid(axis="x")
    figure.supxlabel("number of test images n", fontsize=9)
    return figure


@styled
def draw_families(rows: pd.DataFrame) -> Figure:
    """Printed test accuracies of each table by the input range that the networks expect, one panel per phase.

    Args:
        rows: table, phase, backbone, test_accuracy (per cent).
    """
    figure, axes = panels(rows["phase"].nunique(), width=3.4, height=2.9, columns=2, sharey=True)
    inputs = {"raw": "expects 0..255", "caffe": "expects 0..255 less the mean", "tf": "expects -1..1"}
    for axis, (phase, own) in zip(axes, rows.groupby("phase", sort=False)):
        tables = sorted(own["table"].unique())
        for (name, label), colour, marker, side in zip(inputs.items(), PALETTE, MARKERS, (-0.12, 0, 0.12)):
            these = own[[backbones()[backbone].input == name for backbone in own["backbone"]]]
            places = [tables.index(table) + side for table in these["table"]]
            axis.plot(places, these["test_accuracy"], marker, color=colour, ms=5, ls="none", label=label)
        axis.set(
            title=PHASE_TITLES[phase], xticks=range(len(tables)), xticklabels=[*map(roman, tables)], xlabel="table"
        )
        axis.grid(axis="y")
    axes[0].set_ylabel("printed test accuracy, %")
    legend(figure, axes)
    return figure


@styled
def draw_sizes_against_split(pool: dict, tenths: dict[str, float] | None = None) -> Figure:
    """Test sets that the printed accuracies imply, beside a tenth of the images there are.

    Args:
        pool: `pool` of lib.audit.printed_tables.printed_audit.
        tenths: table number -> a tenth of the images of the table's classes, as found in the data set.
    """
    bars = [(number, group) for number, groups in pool["tables"].items() for group in groups]
    figure, (axis,) = panels(1, width=1.1 * len(bars) + 1.8, height=3.2)
    sizes, colour = [group["test_n"] for _, group in bars], COLOURS["by_view"]
    implied = axis.bar(range(len(bars)), sizes, 0.6, color=colour, label="implied by the table")
    axis.bar_label(implied, padding=2, fontsize=8)
    expected = {"color": INK, "lw": 1, "ls": "--", "label": f"a tenth of {pool['images']:,} images"}
    axis.axhline(pool["test_n_expected"], **expected)
    if tenths:
        values = [tenths.get(number, np.nan) for number, _ in bars]
        axis.plot(values, "D", color=COLOURS["clean"], label="a tenth of the images found in these classes")
    axis.set_xticks(range(len(bars)), [f"Table {roman(number)}\n{group['rows']} rows" for number, group in bars])
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("test images")
    axis.margins(y=0.12)
    figure.legend(loc="outside upper left", ncols=3, fontsize=8)
    return figure


@styled
def draw_detection(rates: dict) -> Figure:
    """The share of one-digit changes that the audit can catch, by the column changed.

    Args:
        rates: `detection` of lib.audit.printed_tables.printed_audit.
    """
    figure, (axis,) = panels(1, width=5.6, height=2.2)
    bars = axis.barh([*range(len(rates["by_column"]))], [100 * share for share in rates["by_column"].values()])
    axis.bar_label(bars, fmt="%.0f %%", padding=2, fontsize=8)
    show_names(axis, [column.replace("_", " ") for column in rates["by_column"]])
    axis.set_xlim(0, 110)
    axis.set_xlabel(f"caught, % of all one-digit changes (all columns: {100 * rates['share']:.0f} %)")
    return figure
