"""The printed tables beside ours: accuracies, the literature, tests of the models, input ranges."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from lib.config.paper import backbones, proposed_backbone, scenarios
from lib.config.params import PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths, run_id
from lib.config.printed import printed_rows
from lib.figures.accuracy import draw_input_ranges
from lib.figures.style import roman
from lib.report import html
from lib.report.data import rows_where
from lib.report.show import show
from lib.report.tables import MEASURES, table_files

GROUPS = {title: [f"printed_{key}", key, f"{key}_difference"] for key, title in MEASURES.items()}


def table_title(scenario: str) -> str:
    """`Table I: nine classes`."""
    return f"Table {roman(scenarios()[scenario].table)}: {scenarios()[scenario].title.lower()}"


def show_accuracy(paths: StudyPaths, study: Study, scenario: str, table: pd.DataFrame, runs: pd.DataFrame) -> HTML:
    """Table I, II, III or IV: printed, reproduced and difference side by side.

    Phases and models are in the paper's order; a model that the study does not have keeps its row.

    Args:
        table: what `lib.report.tables.scenario_table` gives.
        runs: what `lib.report.data.read_runs` gives, for the reason of an empty cell.
    """
    number, single = scenarios()[scenario].table, len(study.preprocessings) == 1
    rows = table.assign(n_test=table["n_test"].astype(object))
    axes = ["protocol", "preprocessing", "backbone"]
    transferred = table[(table["phase"] == "transfer") & (table["seeds"] > 0)].set_index(axes).index
    for place in rows.index[rows["seeds"] == 0]:
        why = _why_empty(dict(rows.loc[place, axes], scenario=scenario), study, runs)
        untuned = why == "not run" and rows.at[place, "phase"] == "finetune"
        rows.at[place, "n_test"] = "not fine-tuned" if untuned and tuple(rows.loc[place, axes]) in transferred else why
    for measure in MEASURES:
        rows[f"{measure}_difference"] = rows[measure] - rows[f"printed_{measure}"]
    rows = in_paper_order(rows if study.synthetic else pd.concat([rows, _printed_only(study, scenario)]))
    names = ["backbone", "phase", "protocol", *([] if single else ["preprocessing"]), "n_test"]
    columns = [*names, *(list(MEASURES) if study.synthetic else sum(GROUPS.values(), []))]
    cells = [cell for cell in study.cells("preprocessing", "scenario") if cell["scenario"] == scenario]
    links = {f"05_evaluate, {cell['preprocessing']}": html.notebook(paths, run_id("evaluate", cell)) for cell in cells}
    what = "on synthetic images" if study.synthetic else "as printed and as reproduced"
    caption = (
        f"Table {roman(number)}. {scenarios()[scenario].title}: accuracy of each model {what}, per cent; seeds "
        f"{', '.join(map(str, study.seeds))} together. In square brackets the 95 % interval of the mean, whole lesions "
        "resampled; n counts what was tested over all folds, views under by_view, originals under the others."
    )
    return show(
        rows, f"table-{number}", caption, f"tables/table_{number}.csv", columns, data=table, wide=True, runs=links,
        titles={} if study.synthetic else dict.fromkeys(MEASURES, "ours"), groups={} if study.synthetic else GROUPS,
        blocks=["phase", "backbone"],
    )  # fmt: skip


def _why_empty(cell: Mapping[str, str], study: Study, runs: pd.DataFrame) -> str:
    """Why a cell of a table has no number: the worst that happened to its training runs, else to its evaluation."""
    if cell["scenario"] not in study.scenarios:
        return "not in study"
    runs = runs[runs["variant"] == DEFAULT_VARIANT]
    statuses = set(rows_where(runs, step="train", **cell)["status"])
    for status in ("failed", "not run", "skipped"):
        if status in statuses:
            return status
    if not any(all(other[axis] == cell[axis] for axis in cell) for other in study.cells(*cell)):
        return "skipped"
    evaluation = {axis: cell[axis] for axis in ("preprocessing", "scenario")}
    evaluated = set(rows_where(runs, step="evaluate", **evaluation)["status"])
    return "failed" if "failed" in evaluated else "not run"


def _printed_only(study: Study, scenario: str) -> pd.DataFrame:
    """The printed rows of models that the study does not have, so that the paper's table is whole on the page."""
    printed = rows_where(printed_rows(), table=scenarios()[scenario].table)
    printed = printed[~printed["backbone"].isin(study.backbones)]
    numbers = (printed[list(MEASURES)] / 100).add_prefix("printed_")
    names = printed[["backbone", "phase"]].assign(protocol="none", preprocessing="none", n_test="not in study")
    return pd.concat([names, numbers], axis=1)


def in_paper_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by phase, then model; those of one model keep their order."""
    order = {name: place for place, name in enumerate([*PHASES, *backbones()])}
    return rows.sort_values(["phase", "backbone"], key=lambda names: names.map(order), kind="stable", ignore_index=True)


def compared_accuracies(study: Study, scenario: str, table: pd.DataFrame) -> pd.DataFrame:
    """What `draw_accuracy_comparison` draws: phase, backbone, series (`printed` or a protocol), accuracy, low, high.

    Args:
        table: what `lib.report.tables.scenario_table` gives.
    """
    names = {"test_accuracy": "accuracy", "test_accuracy_low": "low", "test_accuracy_high": "high"}
    ours = rows_where(table, preprocessing=study.preprocessings[0]).rename(columns={"protocol": "series"} | names)
    printed = rows_where(printed_rows(), table=scenarios()[scenario].table)
    printed = printed.assign(series="printed", accuracy=printed["test_accuracy"] / 100).assign(low=np.nan, high=np.nan)
    both = [ours] if study.synthetic else [printed, ours]
    return pd.concat([rows[["phase", "backbone", "series", *names.values()]] for rows in both], ignore_index=True)


def accuracy_figure(scenario: str, figure: Figure, table: pd.DataFrame) -> HTML:
    """All models of one scenario at a glance, printed and under each protocol."""
    if not table["test_accuracy"].notna().any():
        return html.missing(f"{scenarios()[scenario].title}: no run of this scenario has been evaluated.")
    number = scenarios()[scenario].table
    caption = "Test accuracy of each model under each protocol, with 95 % intervals; open diamonds are printed."
    alt = f"Test accuracies of table {roman(number)} as points; every value is in the table beside it."
    title, source = f"Table {roman(number)} at a glance", f"tables/table_{number}.csv"
    return html.figure(f"glance-{number}", figure, title, caption, alt, source=source)


def show_literature(table: pd.DataFrame, study: Study) -> HTML:
    """Table V with our rows.

    Args:
        table: what `lib.report.tables.table_five` gives.
    """
    ours = table["ref"] == "This study"
    rows = table[~ours] if study.synthetic else table  # synthetic images have no place among photographs
    shares = rows[["accuracy", "accuracy_low", "accuracy_high"]].astype(float) / 100
    rows = rows.assign(**shares, protocol=rows["protocol"].mask(~ours, "printed"), classes=rows["classes"].astype(int))
    of_paper = rows["ref"] == "Proposed model"  # the paper's words for its own
    rows = rows.assign(
        ref=rows["ref"].mask(of_paper, "The paper"), method=rows["method"].mask(of_paper, proposed_backbone())
    )
    columns = ["ref", "method", "year", "classes", "protocol", "phase", "n_test", "accuracy", "note"]
    beside = "" if study.synthetic else ", and ours under each protocol"
    caption = f"Table V. The literature as the paper prints it{beside}, per cent."
    return show(rows, "table-5", caption, "tables/table_5.csv", columns, data=table)


def show_mcnemar(paths: StudyPaths, study: Study, table: pd.DataFrame) -> HTML:
    """McNemar's test of each baseline against the paper's own model on the same test images.

    Args:
        table: what `lib.report.tables.mcnemar_table` gives.
    """
    if table.empty:
        return html.missing(f"No baseline was compared with {proposed_backbone()}.")
    cells = study.cells("preprocessing", "scenario")
    links = {f"05_evaluate, {cell['scenario']}": html.notebook(paths, run_id("evaluate", cell)) for cell in cells}
    columns = ["scenario", "protocol", "phase", "baseline", "seed", "n", "only_proposed", "only_baseline", "p_value"]
    caption = f"McNemar's exact test of each baseline against {proposed_backbone()} on the same test images, two-sided."
    return show(table, "mcnemar", caption, "outcomes/*/*.parquet", columns, runs=links)


def show_input_ranges(study: Study, errors: pd.DataFrame, accuracies: pd.DataFrame) -> HTML:
    """Does one input range for all backbones bring our accuracies near the printed ones?

    Args:
        errors: what `lib.scores.input_ranges.input_range_hypothesis` gives.
        accuracies: the rows that it was given.
    """
    if len(study.preprocessings) < 2:
        return html.missing(f"This study has one input range, {study.preprocessings[0]}: there is nothing to compare.")
    rows = rows_where(accuracies, protocol=study.protocols[0], phase="transfer").dropna(subset="test_accuracy")
    if errors.empty or rows.empty:
        return html.missing("No accuracy was measured: the input ranges cannot be compared.")
    caption = "Printed against reproduced accuracies under each input range: mean error in points, rank correlations."
    table = show(errors, "input-ranges", caption, "tables/input_ranges.csv")
    caption = f"Printed against our test accuracy, transfer phase, {study.protocols[0]}; on the dotted line they agree."
    alt, title = "Scatter of printed and reproduced accuracies; the table above has the numbers.", "Input ranges"
    figure, source = draw_input_ranges(rows), table_files(study)
    return html.joined([table, html.figure("input-ranges-figure", figure, title, caption, alt, source=source)])
