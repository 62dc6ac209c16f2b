"""Figures of the audit of the printed tables."""

import numpy as np
from matplotlib.figure import Figure

from lib.figures.style import COLOURS, INK, MUTED, panels, roman, styled

GROUP_COLOURS = (COLOURS["clean"], COLOURS["by_view"], COLOURS["by_lesion"], COLOURS["train"])


PHASES = {"transfer": "transfer", "finetune": "fine-tuned"}


@styled
def draw_fitting_sizes(tables: dict, columns: int = 2) -> Figure:
    """Which test-set sizes fit which printed row, a panel a table: a column of dots is a size that rows share.

    Args:
        tables: `tables` of lib.audit's printed_audit; a dot where one size fits a row's validation and test accuracy.
        columns: panels side by side.
    """
    rows = max(len(table["rows"]) for table in tables.values())
    figure, axes = panels(len(tables), width=4.3, height=0.75 + 0.19 * rows, sharex=True, columns=columns)
    for axis, (number, table) in zip(axes, tables.items()):
        for position, row in enumerate(table["rows"]):
            sizes = sorted(set(row["val_n"]) & set(row["test_n"]))
            axis.plot(sizes, [position] * len(sizes), ".", color=MUTED, markersize=3)
        shared = []
        for group, colour in zip(table["groups"], GROUP_COLOURS):
            members = {(row["phase"], row["backbone"]) for row in group["rows"]}
            inside = [i for i, row in enumerate(table["rows"]) if (row["phase"], row["backbone"]) in members]
            axis.plot([group["test_n"]] * len(inside), inside, "o", color=colour, markersize=5)
            shared.append(f"{group['test_n']} fits {len(inside)} of {len(table['rows'])} rows")
        axis.set_title(f"Table {roman(number)}: {', '.join(shared) or 'no size fits several rows'}", fontsize=8.5)
        names = [f"{row['backbone']}, {PHASES.get(row['phase'], row['phase'])}" for row in table["rows"]]
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axis.grid(axis="x")
    figure.supxlabel("number of test images n", fontsize=9)
    return figure


@styled
def draw_sizes_against_split(pool: dict, tenths: dict[str, float] | None = None, width: float = 0) -> Figure:
    """Test sets that the printed accuracies imply, beside a tenth of the images there are.

    Args:
        pool: `pool` of lib.audit.printed_tables.printed_audit.
        tenths: table number -> a tenth of the images of the table's classes, as found in the data set.
        width: of the figure, inches; as the number of bars asks for if 0.
    """
    bars = [(number, group) for number, groups in pool["tables"].items() for group in groups]
    names = [f"Table {roman(number)}\n{group['rows']} rows" for number, group in bars]
    places = np.arange(len(bars))
    figure = Figure(figsize=(width or 1.1 * len(bars) + 1.8, 3.2), layout="constrained")
    axis = figure.subplots()
    printed = axis.bar(
        places, [group["test_n"] for _, group in bars], 0.6, color=COLOURS["by_view"], label="implied by the table"
    )
    axis.bar_label(printed, padding=2, fontsize=8)
    axis.axhline(
        pool["test_n_expected"], color=INK, linewidth=1, linestyle="--", label=f"a tenth of {pool['images']:,} images"
    )
    if tenths:
        values = [tenths.get(number, np.nan) for number, _ in bars]
        axis.plot(places, values, "D", color=COLOURS["clean"], label="a tenth of the images found in these classes")
    axis.set_xticks(places, names, fontsize=7 if width else None)
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("test images")
    axis.margins(y=0.12)
    figure.legend(loc="outside upper left", ncols=1 if width else 3, fontsize=8)
    return figure


@styled
def draw_detection(rates: dict) -> Figure:
    """The share of one-digit changes that the audit can catch, by the column changed.

    Args:
        rates: `detection` of lib.audit.printed_tables.printed_audit.
    """
    shares = {column.replace("_", " "): 100 * share for column, share in rates["by_column"].items()}
    figure = Figure(figsize=(5.6, 2.2), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh([*shares], [*shares.values()], color=COLOURS["clean"])
    axis.bar_label(bars, fmt="%.0f %%", padding=2, fontsize=8)
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(0, 110)
    axis.set_xlabel(f"caught, % of all one-digit changes (all columns: {100 * rates['share']:.0f} %)")
    return figure
