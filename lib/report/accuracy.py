"""The printed tables beside ours: accuracies, the literature, tests of the models, input ranges."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib import figures
from lib.config import DEFAULT_VARIANT, Study, StudyPaths, backbones, published, scenarios
from lib.report import html
from lib.report.data import read_csv, read_runs, rows_where, to_records
from lib.report.tables import MEASURES, scenario_table, stacked_tables, table_files, table_five
from lib.verdicts import input_range_hypothesis


def table_title(scenario: str) -> str:
    """`Table I: nine classes`."""
    return f"Table {figures.roman(scenarios()[scenario].table)}: {scenarios()[scenario].title.lower()}"


def accuracy_table(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Table I, II, III or IV: printed, reproduced and difference side by side, a row a phase, model and protocol."""
    number = scenarios()[scenario].table
    status = _status_of_cells(paths)
    rows = []
    table = scenario_table(paths, study, scenario)
    transferred = table.groupby(["protocol", "preprocessing", "backbone"])["seeds"].max() > 0
    for record in to_records(table):
        cell = {axis: record[axis] for axis in ("protocol", "preprocessing", "backbone")} | {"scenario": scenario}
        evaluated = f"evaluate-{cell['preprocessing']}-{scenario}"
        folder = f"evaluation/{cell['preprocessing']}/{scenario}/metrics.csv"
        row = {k: record[k] for k in ("protocol", "preprocessing", "phase", "seeds")} | {"_link": {}, "_title": {}}
        row |= {"model": backbones()[record["backbone"]].printed, "backbone": record["backbone"]}
        row["phase_name"] = html.PHASE_NAMES[record["phase"]]
        row["n"] = record["n_test"] if record["seeds"] else _why_empty(cell, study, status)
        if row["n"] == "not run" and record["phase"] == "finetune" and transferred[tuple(cell.values())[:3]]:
            row["n"] = "not fine-tuned"
        for measure in MEASURES:
            printed, ours = record[f"published_{measure}"], record[measure]
            row |= {f"{measure}_printed": printed, measure: ours}
            row[f"{measure}_difference"] = None if None in (ours, printed) else ours - printed
            row["_link"][measure] = html.notebook(paths, evaluated)
            row["_title"][measure] = folder
        row["_interval"] = {"test_accuracy": (record["test_accuracy_low"], record["test_accuracy_high"])}
        rows.append(row)
    rows += [] if study.synthetic else _printed_only(study, scenario)
    for before, row in zip(rows, rows[1:]):
        row["_block"] = any(before[key] != row[key] for key in ("protocol", "preprocessing", "phase_name"))
    columns = [
        html.column("model", "Model", "head"),
        html.column("phase_name", "Phase"),
        html.column("protocol", "Protocol"),
    ]
    if len(study.preprocessings) > 1:
        columns.append(html.column("preprocessing", "Input"))
    columns.append(html.column("n", "n", "number_or_status"))
    for measure, name in MEASURES.items():
        ours = html.column(measure, "ours", "interval" if measure == "test_accuracy" else "percent", group=name)
        of_paper = html.column(f"{measure}_printed", "paper", "percent", group=name)
        difference = html.column(f"{measure}_difference", "diff.", "difference", group=name)
        columns += [ours] if study.synthetic else [of_paper, ours, difference]
    seeds = f"seeds {', '.join(map(str, study.seeds))} together" if len(study.seeds) > 1 else f"seed {study.seeds[0]}"
    compared = "as printed and as reproduced, per cent", " Differences in percentage points, ours minus printed."
    what, differences = ("on drawn images, per cent", "") if study.synthetic else compared
    caption = (
        f"Table {figures.roman(number)}. {scenarios()[scenario].title}: accuracy of each model {what}; "
        f"{seeds}.{differences} In square brackets the 95 % interval of the mean, whole lesions resampled; n counts "
        "what was tested over all folds, views under published, originals under the others. Model names as the paper "
        "prints them."
    )
    filters = ["protocol", "phase_name", "model", *(["preprocessing"] if len(study.preprocessings) > 1 else [])]
    return html.table(
        f"table-{number}", caption, columns, rows, source=f"tables/table_{number}.csv", filters=filters,
        data=table, wide=True,
    )  # fmt: skip


def accuracy_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """All models of one scenario at a glance: printed and under each protocol, with intervals."""
    number = scenarios()[scenario].table
    table = rows_where(scenario_table(paths, study, scenario), preprocessing=study.preprocessings[0])
    printed = published().query("table == @number", local_dict={"number": number})
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
    alt = f"Test accuracies of table {figures.roman(number)} as points; every value is in the table beside it."
    title = f"Table {figures.roman(number)} at a glance"
    source = f"tables/table_{number}.csv"
    return html.figure(f"glance-{number}", figures.accuracy_comparison(results), title, caption, alt, source=source)


def literature_table(paths: StudyPaths, study: Study) -> HTML:
    """Table V with our rows."""
    table = table_five(paths, study)
    if study.synthetic:  # a number of drawn images has no place among those of photographs
        table = table[table["ref"] != "This study"]
    rows = to_records(table)
    for row in rows:
        row["accuracy"] = None if row["accuracy"] is None else float(row["accuracy"]) / 100
        ends = (None if row[c] is None else row[c] / 100 for c in ("accuracy_low", "accuracy_high"))
        row["_interval"] = {"accuracy": tuple(ends)}
        row["classes"] = int(row["classes"])
        row["phase"] = html.PHASE_NAMES.get(row["phase"])
        row["protocol"] = row["protocol"] or ("printed" if row["ref"] != "This study" else "")
    columns = [
        *(html.column("ref", "Reference", "head"), html.column("method", "Method"), html.column("year", "Year")),
        *(
            html.column("classes", "Classes", "count"),
            html.column("protocol", "Protocol"),
            html.column("phase", "Phase"),
        ),
        *(
            html.column("n_test", "n", "value"),
            html.column("accuracy", "Accuracy", "interval"),
            html.column("note", "Note", "small"),
        ),
    ]
    caption = "Table V. The literature as the paper prints it"
    caption += ", per cent." if study.synthetic else ", and the proposed model under each protocol, per cent."
    return html.table(
        "table-5", caption, columns, rows, source="tables/table_5.csv", filters=["protocol", "classes"], data=table
    )


def mcnemar(paths: StudyPaths, study: Study) -> HTML:
    """McNemar's test of each baseline against the proposed model on the same test images."""
    rows = []
    for cell in study.cells("preprocessing", "scenario"):
        table = read_csv(paths.evaluation(**cell) / "mcnemar.csv")
        run = f"evaluate-{'-'.join(cell.values())}"
        for record in to_records(table) if table is not None else []:
            row = cell | record | {"_link": {"p_value": html.notebook(paths, run)}}
            row |= {"phase_name": html.PHASE_NAMES[record["phase"]]}
            rows.append(row | {"scenario_title": scenarios()[cell["scenario"]].title})
    if not rows:
        return html.missing("No mcnemar.csv in evaluation/: no baseline was compared with the proposed model.")
    columns = [
        *(
            html.column("scenario_title", "Scenario", "head"),
            html.column("protocol", "Protocol"),
            html.column("phase_name", "Phase"),
        ),
        *(html.column("baseline", "Baseline"), html.column("seed", "Seed", "count"), html.column("n", "n", "count")),
        html.column("only_proposed", "Only the proposed is right", "count"),
        html.column("only_baseline", "Only the baseline is right", "count"),
        html.column("p_value", "p", "p_value"),
    ]
    caption = "McNemar's exact test of each baseline against the proposed model on the same test images, two-sided."
    filters = ["scenario_title", "protocol", "phase_name", "baseline"]
    data = pd.DataFrame([{k: v for k, v in row.items() if not k.startswith("_")} for row in rows])
    return html.table(
        "mcnemar", caption, columns, rows, source="evaluation/*/*/mcnemar.csv", filters=filters, data=data
    )


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
        figure = figures.input_ranges(shown)
        alt = "Scatter of printed and reproduced accuracies; the table above has the numbers."
        parts.append(
            html.figure("input-ranges-figure", figure, "Input ranges", caption, alt, source=table_files(study))
        )
    return html.joined(parts)


def _status_of_cells(paths: StudyPaths) -> pd.DataFrame:
    runs = read_runs(paths)
    return runs[runs["step"].isin(["train", "evaluate"]) & (runs["variant"] == DEFAULT_VARIANT)]


def _why_empty(cell: Mapping[str, str], study: Study, runs: pd.DataFrame) -> str:
    """Why a cell of a table has no number: the worst that happened to its training runs, else to its evaluation."""
    if cell["scenario"] not in study.scenarios:
        return "not in study"
    statuses = set(rows_where(runs, step="train", **cell)["status"])
    for status in ("failed", "not run", "left out"):
        if status in statuses:
            return status
    if not any(all(c[axis] == cell[axis] for axis in cell) for c in study.cells(*cell)):
        return "left out"
    evaluation = {axis: cell[axis] for axis in ("preprocessing", "scenario")}
    evaluated = set(rows_where(runs, step="evaluate", **evaluation)["status"])
    return "failed" if "failed" in evaluated else "not run"


def _printed_only(study: Study, scenario: str) -> list[dict[str, Any]]:
    """The printed rows of models that the study does not have, so that the paper's table is whole on the page."""
    printed = published().query("table == @table", local_dict={"table": scenarios()[scenario].table})
    rows = []
    for record in to_records(printed[~printed["backbone"].isin(study.backbones)]):
        row = {"model": backbones()[record["backbone"]].printed, "phase_name": html.PHASE_NAMES[record["phase"]]}
        row |= {"protocol": "none", "preprocessing": "none", "n": "not in study"}
        rows.append(row | {f"{measure}_printed": record[measure] / 100 for measure in MEASURES})
    return rows
