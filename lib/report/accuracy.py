"""The printed tables beside ours: accuracies, the literature, tests of the models, input ranges."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.paper import backbones, scenarios
from lib.config.params import PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.config.printed import printed_rows
from lib.figures.accuracy import draw_accuracy_comparison, draw_input_ranges
from lib.figures.style import roman
from lib.report import html
from lib.report.data import read_runs, rows_where, to_records
from lib.report.tables import (
    MEASURES,
    PROPOSED,
    in_paper_order,
    scenario_table,
    stacked_tables,
    table_files,
    table_five,
)
from lib.scores.input_ranges import input_range_hypothesis
from lib.scores.metrics import compare_with_proposed
from lib.scores.outcomes import read_outcomes


def table_title(scenario: str) -> str:
    """`Table I: nine classes`."""
    return f"Table {roman(scenarios()[scenario].table)}: {scenarios()[scenario].title.lower()}"


def accuracy_table(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Table I, II, III or IV: printed, reproduced and difference side by side, a row a phase, model and protocol.

    Phases and models are in the paper's order; a model that the study does not have has one row, in its place.
    """
    number = scenarios()[scenario].table
    status = _status_of_cells(paths)
    ways = study.preprocessings if scenario in study.scenarios else []
    behind = {f"05_evaluate, {way}": html.notebook(paths, f"evaluate-{way}-{scenario}") for way in ways}
    rows = []
    table = scenario_table(paths, study, scenario)
    transferred = table.groupby(["protocol", "preprocessing", "backbone"])["seeds"].max() > 0
    for record in to_records(table):
        cell = {axis: record[axis] for axis in ("protocol", "preprocessing", "backbone")} | {"scenario": scenario}
        row = {k: record[k] for k in ("protocol", "preprocessing", "phase", "backbone", "seeds")}
        row["phase_name"] = html.PHASE_NAMES[record["phase"]]
        row["n"] = record["n_test"] if record["seeds"] else _why_empty(cell, study, status)
        if row["n"] == "not run" and record["phase"] == "finetune" and transferred[tuple(cell.values())[:3]]:
            row["n"] = "not fine-tuned"
        for measure in MEASURES:
            printed, ours = record[f"printed_{measure}"], record[measure]
            row |= {f"{measure}_printed": printed, measure: ours}
            row[f"{measure}_difference"] = None if None in (ours, printed) else ours - printed
        row["_interval"] = {"test_accuracy": (record["test_accuracy_low"], record["test_accuracy_high"])}
        rows.append(row)
    rows = _in_paper_order(rows + ([] if study.synthetic else _printed_only(study, scenario)))
    for before, row in zip(rows, rows[1:]):
        row["_block"] = any(before[key] != row[key] for key in ("phase_name", "backbone"))
    columns = [
        html.column("backbone", "Model", "head"),
        html.column("phase_name", "Phase"),
        html.column("protocol", "Protocol"),
    ]
    if len(study.preprocessings) > 1:
        columns.append(html.column("preprocessing", "Input"))
    columns.append(html.column("n", "n", "number_or_status", extra=True))
    for measure, name in MEASURES.items():
        where = {"group": name, "extra": measure != "test_accuracy"}
        ours = html.column(measure, "ours", "interval" if measure == "test_accuracy" else "percent", **where)
        of_paper = html.column(f"{measure}_printed", "paper", "percent", **where)
        difference = html.column(f"{measure}_difference", "diff.", "difference", **where)
        columns += [ours] if study.synthetic else [of_paper, ours, difference]
    seeds = f"seeds {', '.join(map(str, study.seeds))} together" if len(study.seeds) > 1 else f"seed {study.seeds[0]}"
    compared = "as printed and as reproduced, per cent", " Differences in percentage points, ours minus printed."
    what, differences = ("on synthetic images, per cent", "") if study.synthetic else compared
    caption = (
        f"Table {roman(number)}. {scenarios()[scenario].title}: accuracy of each model {what}; "
        f"{seeds}.{differences} In square brackets the 95 % interval of the mean, whole lesions resampled; n counts "
        "what was tested over all folds, views under by_view, originals under the others."
    )
    filters = ["protocol", "phase_name", "backbone", *(["preprocessing"] if len(study.preprocessings) > 1 else [])]
    return html.table(
        f"table-{number}", caption, columns, rows, source=f"tables/table_{number}.csv", filters=filters,
        data=table, wide=True, behind=behind,
    )  # fmt: skip


def accuracy_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """All models of one scenario at a glance: printed and under each protocol, with intervals."""
    number = scenarios()[scenario].table
    table = rows_where(scenario_table(paths, study, scenario), preprocessing=study.preprocessings[0])
    printed = printed_rows().query("table == @number", local_dict={"number": number})
    rows = [(r.phase, r.backbone, "printed", r.test_accuracy / 100, np.nan, np.nan) for r in printed.itertuples()]
    rows = [] if study.synthetic else rows
    rows += [
        (r.phase, r.backbone, r.protocol, r.test_accuracy, r.test_accuracy_low, r.test_accuracy_high)
        for r in table.itertuples()
    ]
    results = pd.DataFrame(rows, columns=["phase", "backbone", "series", "accuracy", "low", "high"])
    if not table["test_accuracy"].notna().any():
        return html.missing(f"{scenarios()[scenario].title}: no run of this scenario has been evaluated.")
    of_paper = "" if study.synthetic else "printed (open diamonds) and "
    caption = f"Test accuracy of each model, {of_paper}under each protocol, with 95 % intervals."
    alt = f"Test accuracies of table {roman(number)} as points; every value is in the table beside it."
    title = f"Table {roman(number)} at a glance"
    source = f"tables/table_{number}.csv"
    wide = draw_accuracy_comparison(results)
    return html.figure(f"glance-{number}", wide, title, caption, alt, source=source)


def literature_table(paths: StudyPaths, study: Study) -> HTML:
    """Table V with our rows."""
    table = table_five(paths, study)
    if study.synthetic:  # a number of synthetic images has no place among those of photographs
        table = table[table["ref"] != "This study"]
    rows = to_records(table)
    for row in rows:
        row["accuracy"] = None if row["accuracy"] is None else float(row["accuracy"]) / 100
        ends = (None if row[c] is None else row[c] / 100 for c in ("accuracy_low", "accuracy_high"))
        row["_interval"] = {"accuracy": tuple(ends)}
        row["classes"] = int(row["classes"])
        row["phase"] = html.PHASE_NAMES.get(row["phase"])
        row["protocol"] = row["protocol"] or ("printed" if row["ref"] != "This study" else "")
        if row["ref"] == "Proposed model":  # the paper's words for its own
            row |= {"ref": "The paper", "method": PROPOSED}
    columns = [
        *(html.column("ref", "Reference", "head"), html.column("method", "Method")),
        html.column("year", "Year", extra=True),
        *(
            html.column("classes", "Classes", "count"),
            html.column("protocol", "Protocol"),
            html.column("phase", "Phase", extra=True),
        ),
        *(
            html.column("n_test", "n", "value", extra=True),
            html.column("accuracy", "Accuracy", "interval"),
            html.column("note", "Note", "small", extra=True),
        ),
    ]
    caption = "Table V. The literature as the paper prints it"
    caption += ", per cent." if study.synthetic else ", and ours under each protocol, per cent."
    filters = ["protocol", "classes"]
    return html.table("table-5", caption, columns, rows, source="tables/table_5.csv", filters=filters, data=table)


def mcnemar(paths: StudyPaths, study: Study) -> HTML:
    """McNemar's test of each baseline against the paper's own model on the same test images."""
    rows, behind = [], {}
    for cell in study.cells("preprocessing", "scenario"):
        table = compare_with_proposed(read_outcomes(paths, **cell), study.protocols, PROPOSED)
        title = scenarios()[cell["scenario"]].title
        for record in to_records(table):
            behind[f"05_evaluate, {title.lower()}"] = html.notebook(paths, f"evaluate-{'-'.join(cell.values())}")
            row = cell | record | {"phase_name": html.PHASE_NAMES[record["phase"]], "scenario_title": title}
            rows.append(row)
    if not rows:
        return html.missing(f"No baseline was tested on the same images as {PROPOSED}.")
    columns = [
        *(
            html.column("scenario_title", "Scenario", "head"),
            html.column("protocol", "Protocol"),
            html.column("phase_name", "Phase"),
        ),
        *(
            html.column("baseline", "Baseline"),
            html.column("seed", "Seed", "count", extra=True),
            html.column("n", "n", "count", extra=True),
        ),
        html.column("only_proposed", f"Only {PROPOSED} is right", "count"),
        html.column("only_baseline", "Only the baseline is right", "count"),
        html.column("p_value", "p", "p_value"),
    ]
    caption = f"McNemar's exact test of each baseline against {PROPOSED} on the same test images, two-sided."
    filters = ["scenario_title", "protocol", "phase_name", "baseline"]
    source, data = "outcomes/*/*.parquet", pd.DataFrame(rows)
    return html.table("mcnemar", caption, columns, rows, source, filters, data=data, behind=behind)


def input_ranges(paths: StudyPaths, study: Study) -> HTML:
    """Does one input range for all backbones bring our accuracies near the printed ones?"""
    if len(study.preprocessings) < 2:
        return html.missing(f"This study has one input range, {study.preprocessings[0]}: there is nothing to compare.")
    tables = stacked_tables(paths, study)
    errors = input_range_hypothesis(tables)
    if errors.empty:
        return html.missing("No accuracy was measured: the input ranges cannot be compared.")
    caption = "Printed against reproduced accuracies under each input range: mean error in points, rank correlations."
    parts = [html.records_table("input-ranges", caption, to_records(errors), "tables/input_ranges.csv")]
    shown = rows_where(tables, protocol=study.protocols[0], phase="transfer").dropna(subset="test_accuracy")
    if len(shown):
        caption = (
            f"Printed against our test accuracy, transfer phase, {study.protocols[0]}; on the dotted line they agree."
        )
        figure = draw_input_ranges(shown)
        alt = "Scatter of printed and reproduced accuracies; the table above has the numbers."
        name, source = "input-ranges-figure", table_files(study)
        parts.append(html.figure(name, figure, "Input ranges", caption, alt, source=source))
    return html.joined(parts)


def _status_of_cells(paths: StudyPaths) -> pd.DataFrame:
    runs = read_runs(paths)
    return runs[runs["step"].isin(["train", "evaluate"]) & (runs["variant"] == DEFAULT_VARIANT)]


def _why_empty(cell: Mapping[str, str], study: Study, runs: pd.DataFrame) -> str:
    """Why a cell of a table has no number: the worst that happened to its training runs, else to its evaluation."""
    if cell["scenario"] not in study.scenarios:
        return "not in study"
    statuses = set(rows_where(runs, step="train", **cell)["status"])
    for status in ("failed", "not run", "skipped"):
        if status in statuses:
            return status
    if not any(all(c[axis] == cell[axis] for axis in cell) for c in study.cells(*cell)):
        return "skipped"
    evaluation = {axis: cell[axis] for axis in ("preprocessing", "scenario")}
    evaluated = set(rows_where(runs, step="evaluate", **evaluation)["status"])
    return "failed" if "failed" in evaluated else "not run"


def _printed_only(study: Study, scenario: str) -> list[dict[str, Any]]:
    """The printed rows of models that the study does not have, so that the paper's table is whole on the page."""
    printed = printed_rows().query("table == @table", local_dict={"table": scenarios()[scenario].table})
    rows = []
    for record in to_records(printed[~printed["backbone"].isin(study.backbones)]):
        row = {"backbone": record["backbone"], "phase_name": html.PHASE_NAMES[record["phase"]]}
        row |= {"protocol": "none", "preprocessing": "none", "n": "not in study"}
        rows.append(row | {f"{measure}_printed": record[measure] / 100 for measure in MEASURES})
    return rows


def _in_paper_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of Tables I to IV by phase, then model; those of one model keep their order."""
    phases, models = [html.PHASE_NAMES[phase] for phase in PHASES], in_paper_order(backbones())
    return sorted(rows, key=lambda row: (phases.index(row["phase_name"]), models.index(row["backbone"])))
