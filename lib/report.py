"""08_report: the study's tables as CSV files, and one page that sets every reproduced number beside the printed one.

Nothing is computed here that a step before could have computed: the report reads evaluation/, runs/, audit/,
prepared/, kmeans/, gradcam/ and state.json. Whatever of it is not there is said to be missing. Every name that comes
from data passes through templates that escape it.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import nbformat
import numpy as np
import pandas as pd
import yaml
from IPython.display import HTML
from markupsafe import Markup
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from PIL import Image
from traitlets.config import Config

from lib import audit_figures, beyond, beyond_figures, kmeans, plots
from lib import claims as claims_module
from lib.decomposition import input_range_hypothesis
from lib.params import AXES, PHASES, PROTOCOLS, Study, backbones, literature, published, scenarios
from lib.paths import LIB, PARAMS, StudyPaths

TEMPLATE = LIB / "report_template"
MEASURES = ("val_accuracy", "test_accuracy", "precision", "recall", "f1")
TABLE_COLUMNS = [
    *("protocol", "preprocessing", "phase", "backbone", "seeds", "n_test", "val_accuracy", "test_accuracy"),
    *("test_accuracy_low", "test_accuracy_high", "precision", "recall", "f1", "balanced_accuracy"),
    *(f"published_{measure}" for measure in MEASURES),
]
PHASE_NAMES = {"transfer": "Transfer", "finetune": "Fine-tuned"}
MEASURE_NAMES = ("Val acc", "Test acc", "Precision", "Recall", "F1")
ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V"}
PROPOSED = "EfficientNetV2B3"
TO = " \N{RIGHTWARDS ARROW} "
DATA_SET_CAPTIONS = {
    "contradictory_pairs": "Identical pictures filed under two classes.",
    "label_disagreements": "Folder (rows) against an official diagnosis that contradicts it (columns), in files.",
    "official_diagnoses": "Folder (rows) against the official diagnosis (columns), where there is one, in files.",
    "class_counts": "Files of each class, and how many of them share their picture with another class.",
    "accuracy_ceiling": "The best accuracy any classifier can reach, since one picture has one answer; fractions of 1.",
    "paper": "The data set against the paper's description.",
    "test_of_8_1_1": "Test sets of an 8-1-1 split of the files, against those that the printed accuracies imply.",
}


# ---------------------------------------------------------------------------------------------------------------
# The tables


def scenario_table(paths: StudyPaths, study: Study, scenario: str) -> pd.DataFrame:
    """One of Tables I-IV: a row for every protocol, preprocessing, phase and backbone of the study, in that order.

    Fractions of 1; means over the seeds that were evaluated (`seeds` counts them), the bounds of the interval
    likewise; cells without a result are empty. The columns are TABLE_COLUMNS.
    """
    printed = published().query("table == @table", local_dict={"table": scenarios()[scenario].table})
    printed = printed.set_index(["phase", "backbone"])[list(MEASURES)] / 100
    rows = []
    for protocol in study.protocols:
        for preprocessing in study.preprocessings:
            measured = _csv(paths.evaluation(protocol, preprocessing, scenario) / "metrics.csv")
            for phase in PHASES:
                for backbone in _in_paper_order(study.backbones):
                    row = {"protocol": protocol, "preprocessing": preprocessing, "phase": phase, "backbone": backbone}
                    seeds = _rows(measured, phase=phase, backbone=backbone)
                    row["seeds"] = len(seeds)
                    if len(seeds):
                        row |= seeds[[c for c in TABLE_COLUMNS if c in seeds and c not in row]].mean().to_dict()
                    for measure in MEASURES:
                        row[f"published_{measure}"] = printed[measure].get((phase, backbone), np.nan)
                    rows.append(row)
    return pd.DataFrame(rows).reindex(columns=TABLE_COLUMNS)


def table_five(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Table V as printed, and a row of ours for each scenario and protocol: `shown_model`, fine-tuned if it was.

    Columns of params/literature.csv (accuracy in per cent), then protocol, preprocessing, phase, n_test,
    accuracy_low, accuracy_high; empty accuracy where not measured.
    """
    ours = []
    for scenario in study.scenarios:
        table, model = scenario_table(paths, study, scenario), shown_model(study, scenario)
        for protocol in study.protocols:
            cell = _rows(table, protocol=protocol, preprocessing=study.preprocessings[0], backbone=model)
            done = cell[cell["seeds"] > 0]
            row = {"ref": "This study", "method": model, "year": "", "classes": len(scenarios()[scenario].classes)}
            row |= {"protocol": protocol, "preprocessing": study.preprocessings[0], "note": "not measured"}
            if len(done):
                best = done.iloc[-1]
                row |= {"phase": best["phase"], "n_test": best["n_test"], "note": ""}
                row |= {c.replace("test_", ""): 100 * best[c] for c in TABLE_COLUMNS if c.startswith("test_accuracy")}
            ours.append(row)
    extra = ["protocol", "preprocessing", "phase", "n_test", "accuracy_low", "accuracy_high"]
    printed = literature()
    return pd.concat([printed, pd.DataFrame(ours)], ignore_index=True).reindex(columns=[*printed.columns, *extra])


def shown_model(study: Study, scenario: str) -> str:
    """The backbone whose figures stand for a scenario: the paper's own model where the study has it.

    Else the first that the study fine-tunes there, as the paper's figures are of that phase; else its first one.
    """
    here = [cell for cell in study.cells(*AXES) if cell["scenario"] == scenario]
    tuned = {cell["backbone"] for cell in here if study.settings(cell)["finetune_epochs"] > 0}
    order = [PROPOSED, *(name for name in backbones() if name in tuned), *backbones()]
    return next((name for name in order if any(cell["backbone"] == name for cell in here)), PROPOSED)


def gradcam_table(paths: StudyPaths) -> pd.DataFrame:
    """Every maps.csv that 06_gradcam left, with its scenario and backbone in front."""
    tables = []
    for path in sorted(paths.gradcam.glob("*/*/maps.csv")):
        table = _csv(path)
        if table is not None:
            names = [c for c in ("scenario", "backbone") if c in table]
            where = {"scenario": path.parent.parent.name, "backbone": path.parent.name}
            tables.append(pd.concat([pd.DataFrame(where, index=table.index), table.drop(columns=names)], axis=1))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["scenario", "backbone"])


def missing_table(paths: StudyPaths) -> pd.DataFrame:
    """The runs that are not done, from state.json: run, step, the axes, status, cause, error (its last line)."""
    runs = _runs(paths)
    table = runs[runs["status"] != "done"].drop(columns=["notebook", "seconds"])
    return table.assign(error=[str(text).strip().rpartition("\n")[2] for text in table["error"]])


def write_tables(paths: StudyPaths, study: Study) -> list[Path]:
    """Write tables/table_1..5.csv, tables/missing.csv, tables/input_ranges.csv where the study has several, and
    gradcam/gradcam.csv; returns where they lie."""
    tables = {paths.table(scenarios()[name].table): scenario_table(paths, study, name) for name in scenarios()}
    if len(study.preprocessings) > 1:
        tables[paths.tables / "input_ranges.csv"] = input_range_hypothesis(_stacked(paths, study))
    tables[paths.table(5)] = table_five(paths, study)
    tables[paths.tables / "missing.csv"] = missing_table(paths)
    tables[paths.gradcam / "gradcam.csv"] = gradcam_table(paths)
    for path, table in tables.items():
        table.to_csv(paths.new(path), index=False)
    return list(tables)


# ---------------------------------------------------------------------------------------------------------------
# The first page


def opening(study: Study) -> HTML:
    """The page's head: title, what was asked, and the banner of a synthetic study."""
    return _part("opening", study=study)


def warnings(paths: StudyPaths) -> HTML:
    """What failed or did not run, before anything else; nothing where every run is done or left out on purpose."""
    runs = _runs(paths)
    bad = runs[~runs["status"].isin(["done", "left out"])]
    counts = bad["status"].value_counts()
    return _part("warnings", recorded=len(runs) > 0, total=len(runs), bad=_records(bad), counts=dict(counts))


def answer(paths: StudyPaths, study: Study) -> HTML:
    """What was found, in five sentences made from claims.json, tables/, audit/published.json and audit/dataset.json."""
    return _part("answer", sentences=answer_sentences(paths, study))


def answer_sentences(paths: StudyPaths, study: Study) -> list[str]:
    """The five sentences, as plain text; what is not there is said not to have been measured."""
    return [
        _about_claims(paths),
        _about_leakage(paths, study),
        _about_rank(paths, study),
        _about_printed_tables(paths),
        _about_data(paths),
    ]


def run_status(paths: StudyPaths) -> HTML:
    """How many runs of each step are done, failed, not run or left out, and each that is not done."""
    runs = _runs(paths)
    if runs.empty:
        return _missing("No state.json: how the runs ended is not recorded.")
    statuses = ["done", "failed", "not run", "left out"]
    statuses += sorted(set(runs["status"]) - set(statuses))
    counts = runs.groupby(["step", "status"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=statuses, fill_value=0).reset_index()
    first = _table(
        "runs", "Runs by step and status.",
        [_column("step", "Step", "head"), *(_column(name, name.capitalize(), "count") for name in statuses)],
        _records(counts), source="state.json",
    )  # fmt: skip
    rows = _records(missing_table(paths))
    if not rows:
        return first
    for row in rows:
        row["why"] = row["error"] or row["cause"] or "the study leaves this cell out"
        row["_link"] = {"run": _notebook(row["run"])} if row["status"] == "failed" else {}
    columns = [_column("run", "Run"), _column("status", "Status", "status"), _column("why", "Why")]
    second = _table(
        "missing",
        "Runs that are not done.",
        columns,
        rows,
        source="tables/missing.csv",
        filters=["status"],
        folded=len(rows) > 8,
    )
    return HTML(first.data + second.data)


def claims(paths: StudyPaths) -> HTML:
    """Every claim of params/claims.yaml with its verdict under each protocol, and the rule that was applied."""
    verdicts = _json(_written(paths, paths.claims))
    if not verdicts:
        return _missing("claims.json is not there: the claims were not judged.")
    table = claims_module.as_table(verdicts)
    protocols = [p for p in PROTOCOLS if any(p in claim["protocols"] for claim in verdicts)]
    rows = _records(table)
    for row, claim in zip(rows, verdicts):
        row["_details"] = {
            "quote": [f"Rule: {row['rule']}.", *([f"Reason: {row['reason']}."] if row["reason"] else [])]
        }
        for protocol, found in claim["protocols"].items():
            row["_details"]["quote"] += [f"{protocol}: {_value(found['numbers'])}."] if found.get("numbers") else []
    columns = [
        *(_column("quote", "The paper says", "quote"), _column("where", "Where"), _column("kind", "Kind")),
        _column("verdict", "Verdict", "verdict"),
        *(_column(protocol, protocol.capitalize(), "verdict") for protocol in protocols),
    ]
    counts = [(verdict, sum(row["verdict"] == verdict for row in rows)) for verdict in claims_module.VERDICTS]
    parts = [_part("score", counts=counts, total=len(rows))]
    told = [row for row in rows if row["place"] != "table"]
    printed = [row for row in rows if row["place"] == "table"]
    for name, found, what, folded in (
        ("claims", told, "claims of the text", False),
        ("claims-rows", printed, "claims of the printed tables", True),
    ):
        if found:
            caption = (
                f"Verdicts on {len(found)} {what}: {_counted(found)}. Open a claim to see its rule and the numbers."
            )
            parts.append(
                _table(
                    name,
                    caption,
                    columns,
                    found,
                    source="claims.json",
                    filters=["kind", "verdict"],
                    data=table,
                    folded=folded,
                )
            )
    return HTML("".join(part.data for part in parts))


def waterfall(paths: StudyPaths, study: Study) -> HTML:
    """From the printed accuracy to the honest one in each scenario, for `shown_model` (tables/decomposition.csv)."""
    table = _csv(_written(paths, paths.tables / "decomposition.csv"))
    if table is None or table.empty:
        return _missing("tables/decomposition.csv is not there: the way from printed to clean was not worked out.")
    ways = _ways(table, study)
    if not ways:
        return _missing("tables/decomposition.csv has no row for the models that stand for the scenarios.")
    figure = plots.waterfall({_with_model(study, name): way for name, way in ways.items()})
    alt = "; ".join(
        f"{scenarios()[name].title}: " + ", ".join(f"{w.stage} {_percent(w.accuracy)}" for w in way.itertuples())
        for name, way in ways.items()
    )
    caption = (
        f"Test accuracy of {PROPOSED} (or the model named) in per cent: as printed (left), what each step adds or "
        "takes (middle, points), and what is left (right). Lines are 95 % intervals after the step, groups resampled. "
        "Under grouped and clean the test images are also no longer augmented and balanced, so a step is not the leak "
        "or the labels alone."
    )
    return _figure("waterfall", figure, "From printed to clean", caption, alt, source="tables/decomposition.csv")


# ---------------------------------------------------------------------------------------------------------------
# The tables on the page


def accuracy_table(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Table I, II, III or IV: printed, reproduced and difference side by side, a row a phase, model and protocol."""
    number = scenarios()[scenario].table
    status = _status_of_cells(paths)
    rows = []
    table = scenario_table(paths, study, scenario)
    transferred = table.groupby(["protocol", "preprocessing", "backbone"])["seeds"].max() > 0
    for record in _records(table):
        cell = {axis: record[axis] for axis in ("protocol", "preprocessing", "backbone")} | {"scenario": scenario}
        evaluated = f"evaluate-{cell['protocol']}-{cell['preprocessing']}-{scenario}"
        folder = f"evaluation/{cell['protocol']}/{cell['preprocessing']}/{scenario}/metrics.csv"
        row = {k: record[k] for k in ("protocol", "preprocessing", "phase", "seeds")} | {"_link": {}, "_title": {}}
        row |= {"model": backbones()[record["backbone"]].printed, "backbone": record["backbone"]}
        row["phase_name"] = PHASE_NAMES[record["phase"]]
        row["n"] = record["n_test"] if record["seeds"] else _why_empty(cell, study, status)
        if row["n"] == "not run" and record["phase"] == "finetune" and transferred[tuple(cell.values())[:3]]:
            row["n"] = "not fine-tuned"
        for measure in MEASURES:
            printed, ours = record[f"published_{measure}"], record[measure]
            row |= {f"{measure}_printed": printed, measure: ours}
            row[f"{measure}_difference"] = None if None in (ours, printed) else ours - printed
            row["_link"][measure] = _notebook(evaluated)
            row["_title"][measure] = folder
        row["interval"] = (record["test_accuracy_low"], record["test_accuracy_high"])
        rows.append(row)
    rows += _printed_only(study, scenario)
    for before, row in zip(rows, rows[1:]):
        row["_block"] = any(before[key] != row[key] for key in ("protocol", "preprocessing", "phase_name"))
    columns = [_column("model", "Model", "head"), _column("phase_name", "Phase"), _column("protocol", "Protocol")]
    if len(study.preprocessings) > 1:
        columns.append(_column("preprocessing", "Input"))
    columns.append(_column("n", "n", "number_or_status"))
    for measure, name in zip(MEASURES, MEASURE_NAMES):
        columns += [
            _column(f"{measure}_printed", "paper", "percent", group=name),
            _column(measure, "ours", "interval" if measure == "test_accuracy" else "percent", group=name),
            _column(f"{measure}_difference", "diff.", "difference", group=name),
        ]
    seeds = f"mean over seeds {', '.join(map(str, study.seeds))}" if len(study.seeds) > 1 else f"seed {study.seeds[0]}"
    caption = (
        f"Table {ROMAN.get(number, number)}. {scenarios()[scenario].title}: accuracy of each model as printed and as "
        f"reproduced, per cent; {seeds}. Differences in percentage points, ours minus printed. In square brackets the "
        "95 % Wilson interval; n is the number of test images. Model names as the paper prints them."
    )
    filters = ["protocol", "phase_name", "model", *(["preprocessing"] if len(study.preprocessings) > 1 else [])]
    return _table(
        f"table-{number}", caption, columns, rows, source=f"tables/table_{number}.csv", filters=filters,
        data=table, wide=True,
    )  # fmt: skip


def accuracy_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """All models of one scenario at a glance: printed and under each protocol, with intervals."""
    number = scenarios()[scenario].table
    table = _rows(scenario_table(paths, study, scenario), preprocessing=study.preprocessings[0])
    printed = published().query("table == @number", local_dict={"number": number})
    rows = [(r.phase, r.backbone, "printed", r.test_accuracy / 100, np.nan, np.nan) for r in printed.itertuples()]
    rows += [
        (r.phase, r.backbone, r.protocol, r.test_accuracy, r.test_accuracy_low, r.test_accuracy_high)
        for r in table.itertuples()
    ]
    results = pd.DataFrame(rows, columns=["phase", "backbone", "series", "accuracy", "low", "high"])
    if not table["test_accuracy"].notna().any():
        return _missing(f"{scenarios()[scenario].title}: no run of this scenario has been evaluated.")
    caption = "Test accuracy of each model, printed (open diamonds) and under each protocol, with 95 % intervals."
    alt = f"Test accuracies of table {ROMAN.get(number, number)} as points; every value is in the table beside it."
    title = f"Table {ROMAN.get(number, number)} at a glance"
    source = f"tables/table_{number}.csv"
    return _figure(f"glance-{number}", plots.accuracy_comparison(results), title, caption, alt, source=source)


def literature_table(paths: StudyPaths, study: Study) -> HTML:
    """Table V with our rows."""
    table = table_five(paths, study)
    rows = _records(table)
    for row in rows:
        row["accuracy"] = None if row["accuracy"] is None else float(row["accuracy"]) / 100
        row["interval"] = tuple(None if row[c] is None else row[c] / 100 for c in ("accuracy_low", "accuracy_high"))
        row["classes"] = int(row["classes"])
        row["phase"] = PHASE_NAMES.get(row["phase"])
        row["protocol"] = row["protocol"] or ("printed" if row["ref"] != "This study" else "")
    columns = [
        *(_column("ref", "Reference", "head"), _column("method", "Method"), _column("year", "Year")),
        *(_column("classes", "Classes", "count"), _column("protocol", "Protocol"), _column("phase", "Phase")),
        *(
            _column("n_test", "n", "value"),
            _column("accuracy", "Accuracy", "interval"),
            _column("note", "Note", "small"),
        ),
    ]
    caption = "Table V. The literature as the paper prints it, and the proposed model under each protocol, per cent."
    return _table(
        "table-5", caption, columns, rows, source="tables/table_5.csv", filters=["protocol", "classes"], data=table
    )


def mcnemar(paths: StudyPaths, study: Study) -> HTML:
    """McNemar's test of each baseline against the proposed model on the same test images."""
    rows = []
    for cell in study.cells("protocol", "preprocessing", "scenario"):
        table = _csv(paths.evaluation(*cell.values()) / "mcnemar.csv")
        run = f"evaluate-{'-'.join(cell.values())}"
        for record in _records(table) if table is not None else []:
            row = cell | record | {"_link": {"p_value": _notebook(run)}, "phase_name": PHASE_NAMES[record["phase"]]}
            rows.append(row | {"scenario_title": scenarios()[cell["scenario"]].title})
    if not rows:
        return _missing("No mcnemar.csv in evaluation/: no baseline was compared with the proposed model.")
    columns = [
        *(
            _column("scenario_title", "Scenario", "head"),
            _column("protocol", "Protocol"),
            _column("phase_name", "Phase"),
        ),
        *(_column("baseline", "Baseline"), _column("seed", "Seed", "count"), _column("n", "n", "count")),
        _column("only_proposed", "Only the proposed is right", "count"),
        _column("only_baseline", "Only the baseline is right", "count"),
        _column("p_value", "p", "p_value"),
    ]
    caption = "McNemar's exact test of each baseline against the proposed model on the same test images, two-sided."
    filters = ["scenario_title", "protocol", "phase_name", "baseline"]
    data = pd.DataFrame([{k: v for k, v in row.items() if not k.startswith("_")} for row in rows])
    return _table("mcnemar", caption, columns, rows, source="evaluation/*/*/*/mcnemar.csv", filters=filters, data=data)


# ---------------------------------------------------------------------------------------------------------------
# The audit


def printed_audit(paths: StudyPaths) -> HTML:
    """What 01_audit finds in the printed tables (audit/published.json)."""
    audit = _json(paths.published_audit)
    if audit is None:
        return _missing("audit/published.json is not there: the printed tables were not audited.")
    source, link = "audit/published.json", _notebook("audit")
    sizes = []
    for number, table in audit.get("tables", {}).items():
        groups = [
            f"{group['test_n']}: {len(group['rows'])} of {len(table['rows'])}" for group in table.get("groups", [])
        ]
        sizes.append(
            {
                "table": f"Table {ROMAN.get(int(number), number)}",
                "val_n": _list(table.get("val_n"), "none"),
                "test_n": _list(table.get("test_n"), "none"),
                "groups": "; ".join(groups) or "none",
                "impossible": sum(row.get("confusion_matrices") == 0 for row in table.get("rows", [])),
                "_link": {"test_n": link},
            }
        )
    columns = [
        *(_column("table", "Table", "head"), _column("val_n", "Validation images, all rows")),
        *(_column("test_n", "Test images, all rows"), _column("groups", "Test images of groups: rows")),
        _column("impossible", "Rows that no 2x2 confusion matrix gives", "count"),
    ]
    caption = (
        "Sizes of the validation and test sets of which every printed accuracy is a whole fraction; where no size fits "
        "all rows of a table, the sizes that groups of its rows share."
    )
    parts = [_table("printed-sizes", caption, columns, sizes, source=source)]
    if all("rows" in table and "groups" in table for table in audit.get("tables", {}).values()):
        alt = "; ".join(f"{row['table']}: {row['groups']}" for row in sizes)
        caption = (
            "Each dot is a test-set size that fits a printed row; a full column of dots is a size that rows share."
        )
        figure = audit_figures.fitting_sizes(audit["tables"])
        parts.append(
            _figure("fitting-sizes", figure, "Which sizes fit", caption, alt, source=source, runs={"01_audit": "audit"})
        )
    pool = audit.get("pool") or {}
    if {"tables", "test_n_expected", "images"} <= set(pool):
        alt = f"Test sets that the tables imply against the {pool['test_n_expected']} of an 8-1-1 split."
        caption = (
            "Test sets implied by the tables, and a tenth of the images: what was split was larger than the data set."
        )
        figure = audit_figures.sizes_against_split(pool)
        parts.append(
            _figure(
                "implied-pool", figure, "Too large a test set", caption, alt, source=source, runs={"01_audit": "audit"}
            )
        )
    for key, name, caption in (
        ("row_errors", "row-errors", "Printed rows that contradict themselves or another row."),
        ("text_errors", "text-errors", "Numbers in the text that differ from the tables."),
    ):
        found = audit.get(key, [])
        if found:
            parts.append(_records_table(name, caption, found, source))
        else:
            parts.append(_part("note", text=f"{caption} None was found."))
    if pool.get("sums"):
        caption = "Do the sizes add up across scenarios? Six benign and three malignant classes make up the nine."
        parts.append(_records_table("pool-sums", caption, pool["sums"], source))
    if "share" in audit.get("detection", {}):
        rates = audit["detection"]
        text = f"Of all {rates['changes']:,} changes of one digit in the printed tables"
        text += f" this audit would catch {_percent(rates['share'])}."
        parts.append(_part("note", text=text))
    return HTML("".join(part.data for part in parts))


def dataset_audit(paths: StudyPaths) -> HTML:
    """What 01_audit finds in the data set (audit/dataset.json)."""
    audit = _json(paths.dataset_audit)
    if audit is None:
        return _missing("audit/dataset.json is not there: the data set was not audited.")
    source = "audit/dataset.json"
    single = {k: v for k, v in audit.items() if not isinstance(v, (dict, list))}
    parts = [_facts("dataset-counts", "The data set in numbers.", single, source)]
    for key, value in audit.items():
        name, caption = f"dataset-{key.replace('_', '-')}", DATA_SET_CAPTIONS.get(key, f"{_sentence(key)}.")
        if isinstance(value, dict) and value:
            parts.append(_dict_table(name, caption, value, source))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            parts.append(_records_table(name, caption, value, source))
    return HTML('<div class="side-by-side">' + "".join(part.data for part in parts) + "</div>")


def worst_cases(paths: StudyPaths, study: Study, count: int = 5) -> HTML:
    """Pictures filed under more than one class, side by side with the classes they are filed under."""
    index, images = _prepared(paths, study.protocols[0])
    files = _parquet(paths.image_index)
    if index is None or files is None:
        return _missing("No index of the data set's images: contradictory pictures cannot be shown.")
    classes = files.groupby("content")["class"].agg(lambda names: sorted(set(names)))
    contradictory = classes[classes.map(len) > 1]
    if contradictory.empty:
        return _part("note", text="No content is filed under more than one class.")
    shown = []
    for content, names in contradictory.head(count).items():
        sources = set(files.loc[files["content"] == content, "source"])
        rows = index[index["source"].isin(sources) & (index["view"] == 0)]
        if len(rows):
            shown.append((" = ".join(names), images[rows.index[0]]))
    if not shown:
        return _missing("The contradictory pictures are not among the prepared images.")
    caption = f"{len(shown)} of {len(contradictory)} contents that the data set files under more than one class."
    alt = "Pictures filed under several classes: " + "; ".join(title for title, _ in shown)
    figure = plots.sample_images(shown)
    title = "One picture, two labels" + _synthetic(study)
    return _figure(
        "worst-cases", figure, title, caption, alt, source="audit/images.parquet", runs={"01_audit": "audit"}
    )


def protocol_changes(paths: StudyPaths, study: Study) -> HTML:
    """What each protocol changed: labels corrected or dropped, classes with too few images to test."""
    changes, small, parts = [], [], []
    for protocol in study.protocols:
        for table, rows in (
            (_csv(paths.label_changes(protocol)), changes),
            (_csv(paths.not_evaluable(protocol)), small),
        ):
            if table is not None:
                rows += [{"protocol": protocol} | record for record in _records(table)]
    done = [p for p in study.protocols if _csv(paths.label_changes(p)) is not None]
    undone = [p for p in study.protocols if p not in done]
    if undone:
        parts.append(_missing(f"Not prepared: {', '.join(undone)}."))
    if changes:
        table = pd.DataFrame(changes)
        table["class"] = table["class"].replace("", None).fillna("dropped")
        # the file that it is a copy of is in the download; here it would make every row its own kind
        kinds = table.assign(reason=table["reason"].str.replace(r"^copy of .*", "copy of another file", regex=True))
        counts = kinds.groupby(["protocol", "folder_class", "class", "reason"]).size().rename("images").reset_index()
        columns = [
            *(
                _column("protocol", "Protocol"),
                _column("folder_class", "Label of the folder"),
                _column("class", "Label used"),
            ),
            *(_column("reason", "Reason"), _column("images", "Images", "count")),
        ]
        caption = f"Labels that a protocol changed or images that it dropped: {len(table)} files, by kind."
        source = "prepared/*/label_changes.csv"
        parts.append(
            _table("label-changes", caption, columns, _records(counts), source=source, filters=["protocol"], data=table)
        )
    elif done:
        parts.append(_part("note", text=f"No label was changed under {', '.join(done)}."))
    if small:
        caption = "Classes with too few original test images: not evaluable, and left out of the scores."
        parts.append(_records_table("not-evaluable", caption, small, "prepared/*/not_evaluable.csv"))
    elif done:
        parts.append(_part("note", text=f"Every class has enough test images under {', '.join(done)}."))
    return HTML("".join(part.data for part in parts))


def protocol_sizes(paths: StudyPaths, study: Study) -> HTML:
    """Images in each part under each protocol, and how many groups (lesions, duplicates) lie in more than one part."""
    rows = []
    for protocol in study.protocols:
        index = _parquet(paths.index(protocol))
        if index is None:
            continue
        for column, pool in (("part", "nine classes"), ("part_two_classes", "benign and malignant")):
            if column in index:
                used = index[index[column].fillna("") != ""]
                parts = used[column].value_counts()
                crossing = int((used.groupby("group")[column].nunique() > 1).sum())
                row = {"protocol": protocol, "pool": pool} | {p: int(parts.get(p, 0)) for p in ("train", "val", "test")}
                originals = int((used[used[column] == "test"]["view"] == 0).sum())
                rows.append(row | {"originals": originals, "crossing": crossing, "groups": used["group"].nunique()})
    if not rows:
        return _missing("No prepared images: nothing to count.")
    columns = [
        *(_column("protocol", "Protocol", "head"), _column("pool", "Pool"), _column("train", "Train", "count")),
        *(_column("val", "Validation", "count"), _column("test", "Test", "count")),
        _column("originals", "Test images that are originals", "count"),
        *(_column("groups", "Groups", "count"), _column("crossing", "Groups in more than one part", "count")),
    ]
    caption = (
        "Images in each part. A group is a lesion with all its images, their duplicates and near-duplicates; a group "
        "in more than one part is a leak."
    )
    parts = [_table("protocol-sizes", caption, columns, rows, source="prepared/*/index.parquet")]
    seen = [
        {"protocol": protocol} | record
        for protocol in study.protocols
        if (table := _csv(paths.seen_in_training(protocol))) is not None
        for record in _records(table)
    ]
    if seen:
        caption = "Test images that were seen in training, as the same file or as another image of the same group."
        parts.append(_records_table("seen-in-training", caption, seen, "prepared/*/seen_in_training.csv"))
    return HTML("".join(part.data for part in parts))


# ---------------------------------------------------------------------------------------------------------------
# The paper's figures beside ours


def samples_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 6: a picture of each class."""
    protocol = study.protocols[0]
    index, images = _prepared(paths, protocol)
    if index is None:
        return _missing(f"Fig. 6: no images were prepared under {protocol}.", figure=6)
    rows = index[index["view"] == 0].groupby("folder_class").head(1).sort_values("folder_class")
    figure = plots.sample_images([(row.folder_class, images[i]) for i, row in zip(rows.index, rows.itertuples())])
    caption = f"The first image of each class, {study.image_size} px" + _synthetic(study) + "."
    alt = "One image a class: " + ", ".join(rows["folder_class"])
    source = f"prepared/{protocol}/images.npy"
    return _figure(
        "fig-6",
        figure,
        "Sample images",
        caption,
        alt,
        source=source,
        runs={f"02_prepare_data, {protocol}": f"prepare-{protocol}"},
        paper=6,
    )


def counts_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 7: images a class, as found and after the pool was filled up by augmentation."""
    index = _parquet(paths.index(study.protocols[0]))
    if index is None:
        return _missing("Fig. 7: no images were prepared.", figure=7)
    counts = pd.DataFrame({"files": index[index["view"] == 0]["folder_class"].value_counts()})
    if "part" in index:
        pool = index[index["part"].fillna("") != ""]
        counts[f"pool of {study.protocols[0]}, augmented"] = pool["class"].value_counts()
    counts = counts.fillna(0).astype(int).sort_index()
    caption = "Images a class: files of the data set, and the pool of nine classes after augmentation."
    alt = "Bars of " + "; ".join(
        f"{name}: {', '.join(map(str, row))}" for name, row in zip(counts.index, counts.values)
    )
    source = f"prepared/{study.protocols[0]}/index.parquet"
    runs = {f"02_prepare_data, {study.protocols[0]}": f"prepare-{study.protocols[0]}"}
    return _figure("fig-7", plots.class_counts(counts), "Class sizes", caption, alt, source=source, runs=runs, paper=7)


def curves_figures(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 8-9, 11-12, 14-15, 17-18: training curves of `shown_model` in one scenario, a panel a protocol."""
    histories, runs, model = {}, {}, shown_model(study, scenario)
    for protocol in study.protocols:
        cell = (protocol, study.preprocessings[0], scenario, model, study.seeds[0])
        history = _csv(paths.run(*cell) / "history.csv")
        histories[protocol] = history
        if history is not None:
            runs[f"04_train, {protocol}"] = _run_id("train", cell)
    numbers = {
        "nine_classes": (8, 9),
        "benign_malignant": (11, 12),
        "six_benign": (14, 15),
        "three_malignant": (17, 18),
    }
    title = scenarios()[scenario].title
    if not runs:
        text = f"Figs. {' and '.join(map(str, numbers[scenario]))}: {model} was not trained on this scenario."
        return _missing(text, figure=numbers[scenario][0])
    printed = published().set_index(["table", "phase", "backbone"])["val_accuracy"] / 100
    printed = printed.get((scenarios()[scenario].table, "finetune", model))
    parts = []
    for number, quantity, value in zip(numbers[scenario], ("accuracy", "loss"), (printed, None)):
        figure = plots.training_curves(histories, quantity, value)
        ends = "; ".join(
            f"{p}: validation {quantity} {h[f'val_{quantity}'].iloc[-1]:.3f} after {len(h)} epochs"
            for p, h in histories.items()
            if h is not None and len(h)
        )
        caption = f"{title}: training and validation {quantity} of {model}{_instead(model)}, seed {study.seeds[0]}."
        if quantity == "accuracy":
            caption += " Compare the end of the blue line with the dotted line, the validation accuracy printed for it."
        parts.append(
            _figure(
                f"fig-{number}",
                figure,
                f"{quantity.capitalize()} while training",
                caption,
                ends,
                source=f"runs/*/{study.preprocessings[0]}/{scenario}/{model}/seed{study.seeds[0]}/history.csv",
                runs=runs,
                paper=number,
            )  # fmt: skip
        )
    return HTML("".join(part.data for part in parts))


def confusion_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 10, 13, 16, 19: confusion matrices of `shown_model`, fine-tuned if it was, a panel a protocol."""
    number = {"nine_classes": 10, "benign_malignant": 13, "six_benign": 16, "three_malignant": 19}[scenario]
    names = scenarios()[scenario].names
    matrices, runs, alt, model = {}, {}, [], shown_model(study, scenario)
    for protocol in study.protocols:
        table = _csv(paths.evaluation(protocol, study.preprocessings[0], scenario) / "confusion.csv")
        rows = _rows(table, backbone=model, seed=study.seeds[0])
        phase = next((p for p in reversed(PHASES) if len(rows) and (rows["phase"] == p).any()), None)
        if phase is None:
            matrices[protocol] = None
            continue
        counts = _rows(rows, phase=phase).pivot(index="true_class", columns="predicted_class", values="count")
        counts = counts.reindex(index=names, columns=names, fill_value=0).fillna(0).astype(int)
        matrices[f"{protocol}, {PHASE_NAMES[phase].lower()}"] = counts
        runs[f"05_evaluate, {protocol}"] = f"evaluate-{protocol}-{study.preprocessings[0]}-{scenario}"
        alt.append(f"{protocol}: {np.trace(counts.to_numpy())} of {counts.to_numpy().sum()} right")
    if not runs:
        return _missing(f"Fig. {number}: {model} was not evaluated on this scenario.", figure=number)
    caption = (
        f"{scenarios()[scenario].title}, {model}{_instead(model)}: test images, seed {study.seeds[0]}; "
        "the shade is the share of the true class, so a dark diagonal is a good model."
    )
    figure, source = (
        plots.confusion_matrix(matrices),
        f"evaluation/*/{study.preprocessings[0]}/{scenario}/confusion.csv",
    )
    return _figure(
        f"fig-{number}", figure, "Confusion", caption, "; ".join(alt), source=source, runs=runs, paper=number
    )


def summary_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 20: the proposed model after fine-tuning in the four scenarios, printed and under each protocol."""
    rows = []
    printed = published().set_index(["table", "phase", "backbone"])["test_accuracy"] / 100
    for scenario in scenarios():
        title, model = _with_model(study, scenario), shown_model(study, scenario)
        said = printed.get((scenarios()[scenario].table, "finetune", model), np.nan)
        rows.append((title, "printed", said, np.nan, np.nan))
        table = scenario_table(paths, study, scenario)
        for protocol in study.protocols:
            cell = {
                "protocol": protocol,
                "preprocessing": study.preprocessings[0],
                "phase": "finetune",
                "backbone": model,
            }
            for row in _rows(table, **cell).itertuples():
                rows.append((title, protocol, row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high))
    results = pd.DataFrame(rows, columns=["scenario", "series", "accuracy", "low", "high"])
    caption = f"Test accuracy of {PROPOSED} (or the model named) after fine-tuning; lines are 95 % intervals, "
    caption += "a dash is not measured."
    alt = "; ".join(f"{r.scenario}, {r.series}: {_percent(r.accuracy)}" for r in results.itertuples())
    source = "tables/table_1.csv to table_4.csv"
    return _figure("fig-20", plots.scenario_summary(results), "Four scenarios", caption, alt, source=source, paper=20)


def gradcam_figure(paths: StudyPaths, study: Study, count: int = 10) -> HTML:
    """Fig. 3: Grad-CAM overlays, from the first cell that has some (the proposed model's where it has)."""
    for folder in sorted(
        paths.gradcam.glob("*/*"), key=lambda f: (f.name != PROPOSED, f.parent.name != "nine_classes")
    ):
        pictures = sorted(folder.glob("*.png"))[:count]
        if not pictures:
            continue
        table = _csv(folder / "maps.csv")
        rows = _records(table) if table is not None else []
        # 06_gradcam numbers the pictures by the rows of maps.csv
        names = [_map_title(row) for row in rows[: len(pictures)]] or [picture.stem for picture in pictures]
        shown = list(zip(names, map(_picture, pictures)))
        scenario, backbone = folder.parent.name, folder.name
        caption = f"Grad-CAM of {backbone}, {scenarios()[scenario].title.lower()}, for the predicted class: where the "
        caption += "map is warm, the class score grows with the features" + _synthetic(study) + "."
        if table is not None and {"share_in_lesion", "lesion_area"} <= set(table):
            share, area = (f"{100 * table[column].mean():.0f} %" for column in ("share_in_lesion", "lesion_area"))
            caption += f" Of the map {share} lies in the segmented lesion, which covers {area} of the image."
        alt = "Heat maps laid over the images of: " + "; ".join(title for title, _ in shown)
        return _figure(
            "fig-3", plots.sample_images(shown), "Where the model looks", caption, alt,
            source=f"gradcam/{scenario}/{backbone}/maps.csv",
            runs={"06_gradcam": f"gradcam-{scenario}-{backbone}"}, paper=3,
        )  # fmt: skip
    return _missing("Fig. 3: there are no Grad-CAM maps.", figure=3)


def kmeans_figure(paths: StudyPaths, study: Study, count: int = 10) -> HTML:
    """Fig. 4: the lesions that k-means finds, outlined on the images."""
    table = _csv(paths.kmeans / "segmentation.csv")
    index, images = next(
        (found for p in study.protocols if (found := _prepared(paths, p))[0] is not None), (None, None)
    )
    if table is None or index is None:
        return _missing("Fig. 4: there is no segmentation.csv, or no prepared image to draw it on.", figure=4)
    places = index[index["view"] == 0].drop_duplicates("source").reset_index().set_index("source")["index"]
    shown = []
    for source in table["source"].iloc[:: max(1, len(table) // count)]:
        mask = paths.kmeans / "masks" / f"{kmeans.safe_name(source)}.png"
        if source in places and mask.is_file() and len(shown) < count:
            image = images[places[source]]
            lesion = kmeans.read_mask(mask, image.shape[:2])
            shown.append((index.loc[places[source], "folder_class"], kmeans.outline(image, lesion)))
    if not shown:
        return _missing("Fig. 4: there are no k-means masks of the prepared images.", figure=4)
    caption = f"The cluster named abnormal, outlined; k = {study.kmeans_k}" + _synthetic(study) + "."
    known = table["dice"].dropna() if "dice" in table else []
    if len(known):
        caption += f" Mean Dice against the true lesion masks: {known.mean():.2f} over {len(known)} images."
    alt = "Images with the border of the segmented lesion: " + ", ".join(title for title, _ in shown)
    return _figure(
        "fig-4", plots.sample_images(shown), "Segments", caption, alt,
        source="kmeans/segmentation.csv", runs={"07_kmeans": "kmeans"}, paper=4,
    )  # fmt: skip


def beyond_accuracy(paths: StudyPaths, study: Study, tables: Mapping[str, pd.DataFrame]) -> HTML:
    """Calibration, malignant against benign, and the models compared, under the study's last protocol.

    Args:
        tables: what lib.beyond.tables gives for that protocol.
    """
    protocol = study.protocols[-1]
    cells = beyond.found(paths, study, protocol)
    parts = []
    for scenario, draw in (("nine_classes", _calibration_figure), ("benign_malignant", _malignant_figures)):
        backbone = next(
            (b for b in _proposed_first(study.backbones) if any((scenario, b, p) in cells for p in PHASES)), ""
        )
        phase = next((p for p in reversed(PHASES) if (scenario, backbone, p) in cells), "")
        if phase:
            parts += draw(
                cells[scenario, backbone, phase], f"{backbone}, {PHASE_NAMES[phase].lower()}, {protocol}", study
            )
    for phase in PHASES:
        ranks = _rows(tables["ranks"], phase=phase) if len(tables["ranks"]) else tables["ranks"]
        if len(ranks):
            caption = f"Mean rank over scenarios, {PHASE_NAMES[phase].lower()}, {protocol}; lines are 95 % intervals."
            alt = "; ".join(f"{row.backbone}: {row.mean_rank:.2f}" for row in ranks.itertuples())
            figure = beyond_figures.ranks(ranks, tables["comparisons"], phase)
            parts.append(
                _figure(f"ranks-{phase}", figure, "Models ranked", caption, alt, source="tables/beyond_ranks.csv")
            )
    figures = HTML('<div class="pair">' + "".join(part.data for part in parts) + "</div>").data
    captions = {
        "calibration": "Expected calibration error, and what chance alone would give a perfectly calibrated model.",
        "malignant": "Malignant against benign: area under the ROC curve, sensitivity at fixed specificity.",
        "class_auc": "Area under the ROC curve of each class against the rest.",
        "seeds": "How far test accuracy moves with the seed, beside how far it moves with the choice of test images.",
        "comparisons": "Every two models on the same test images; p-values corrected by Holm's method.",
    }
    parts = []
    for name, caption in captions.items():
        table = tables[name]
        if table.empty:
            parts.append(_missing(f"{caption} {_sentence(table.attrs.get('not_tested', 'not measured'))}."))
        else:
            file = f"tables/beyond_{name}.csv"
            parts.append(
                _records_table(
                    f"beyond-{name.replace('_', '-')}",
                    f"{caption} Protocol {protocol}.",
                    _records(table),
                    file,
                    folded=True,
                )
            )
    return HTML(figures + "".join(part.data for part in parts))


def _calibration_figure(frame: pd.DataFrame, label: str, study: Study) -> list[HTML]:
    figure = plots.reliability({label: beyond.confident(frame)})
    table = beyond.reliability(frame)
    alt = "; ".join(f"stated {row.confidence:.2f}, right {row.accuracy:.2f}" for row in table.itertuples())
    caption = (
        f"Nine classes, {label}. On the dotted line a stated probability is the share that is right; "
        "below it the model is too sure."
    )
    return [_figure("reliability", figure, "Calibration", caption, alt, source="runs/*/predictions_*.parquet")]


def _malignant_figures(frame: pd.DataFrame, label: str, study: Study) -> list[HTML]:
    sides = beyond.malignancy(frame)
    if sides is None:
        return []
    source = "runs/*/predictions_*.parquet"
    curve = beyond.decision_curve(frame)
    caption = f"Malignant against benign, {label}: true against false positive rate over all thresholds."
    roc = _figure("roc", plots.roc({label: sides}), "ROC", caption, f"ROC curve of {label}.", source=source)
    caption = f"Malignant against benign, {label}: acting on the model is worth it where its line is above both others."
    alt = f"Net benefit at threshold 0.1: {curve.set_index('threshold')['model'].get(0.1, np.nan):.3f}."
    figure = beyond_figures.decision_curves({label: curve})
    return [roc, _figure("decision-curve", figure, "Decision curve", caption, alt, source=source)]


def label_errors(found: Mapping[str, Any], count: int = 25) -> HTML:
    """The labels that look most wrong, and how many of them the official diagnosis confirms.

    Args:
        found: what lib.label_errors.label_errors gives.
        count: how many to list; the file has all.
    """
    if found["reason"] or found["ranked"].empty:
        return _missing(f"Label errors were not looked for: {found['reason'] or 'no image to rank'}.")
    columns = ["rank", "image_id", "class", "suggested", "p_given", "p_suggested", "diagnosis", "kind"]
    ranked = found["ranked"].sort_values("rank")
    caption = f"The {min(count, len(ranked))} likeliest label errors of {len(ranked)} images, cross-validated."
    parts = [_records_table("label-errors", caption, _records(ranked[columns].head(count)), "tables/label_errors.csv")]
    if len(found["precision"]):
        caption = "How many of the k likeliest label errors the official diagnosis confirms, against drawing at random."
        records = _records(found["precision"][found["precision"]["class"] == "all"])
        parts.append(_records_table("label-error-precision", caption, records, "tables/label_errors_precision.csv"))
    else:
        parts.append(_part("note", text="No image has an official diagnosis, so none of them can be confirmed."))
    return HTML("".join(part.data for part in parts))


def input_ranges(paths: StudyPaths, study: Study) -> HTML:
    """Does one input range for all backbones bring our accuracies near the printed ones?"""
    if len(study.preprocessings) < 2:
        return _missing(f"This study has one input range, {study.preprocessings[0]}: there is nothing to compare.")
    tables = _stacked(paths, study)
    found = input_range_hypothesis(tables)
    if found.empty:
        return _missing("No accuracy was measured: the input ranges cannot be compared.")
    caption = "Printed against reproduced accuracies under each input range: mean error in points, rank correlations."
    parts = [_records_table("input-ranges", caption, _records(found), "tables/input_ranges.csv")]
    shown = tables[(tables["protocol"] == study.protocols[0]) & (tables["phase"] == "transfer")].dropna(
        subset="test_accuracy"
    )
    if len(shown):
        caption = (
            f"Printed against our test accuracy, transfer phase, {study.protocols[0]}; on the dotted line they agree."
        )
        figure = beyond_figures.input_ranges(shown, protocol=study.protocols[0])
        alt = "Scatter of printed and reproduced accuracies; the table above has the numbers."
        parts.append(
            _figure(
                "input-ranges-figure", figure, "Input ranges", caption, alt, source="tables/table_1.csv to table_4.csv"
            )
        )
    return HTML("".join(part.data for part in parts))


# ---------------------------------------------------------------------------------------------------------------
# Methods and provenance


def open_choices(study: Study) -> HTML:
    """What the paper leaves open, the value used in this study, and why (params/open_choices.yaml)."""
    choices = yaml.safe_load((PARAMS / "open_choices.yaml").read_text(encoding="utf-8"))
    rows = []
    for key, entry in choices.items():
        value, default = getattr(study, key), Study.model_fields[key].get_default(call_default_factory=True)
        rows.append(
            {
                "open": entry["open"],
                "key": key,
                "value": _value(value),
                "why": entry["why"]
                if value == default
                else f"Set by this study; {_value(default)} is the default. {entry['why']}",
            }
        )
    columns = [
        *(_column("open", "What the paper leaves open", "head"), _column("key", "Parameter", "code")),
        *(_column("value", "Value used"), _column("why", "Why")),
    ]
    caption = "What the paper leaves open, and what this study used."
    parts = [_table("open-choices", caption, columns, rows, source="params/open_choices.yaml")]
    if study.overrides:
        when = "; ".join(f"{_value(o.when)}: {_value(o.set)}" for o in study.overrides)
        parts.append(_part("note", text=f"Other values hold in part of the matrix: {when}."))
    return HTML("".join(part.data for part in parts))


def methods() -> HTML:
    """Equations 1 to 13 and what each became in the code."""
    return _part("methods")


def provenance(paths: StudyPaths, versions: Mapping[str, str]) -> HTML:
    """Versions, commit, and how long each step took."""
    runs = _runs(paths)
    parts = [_dict_table("versions", "What the report was made with.", versions, "this notebook")]
    found = [record for path in sorted(paths.root.glob("runs/*/*/*/*/*/run.json")) if (record := _json(path))]
    whole = [record["provenance"] for record in found if record.get("provenance")]
    if whole:
        commits = [_commit(record.get("git") or {}) for record in whole]
        facts = {"training runs": len(whole), "commits of the code": ", ".join(sorted(set(commits)))}
        facts |= {key: ", ".join(sorted({_value(r.get(key)) for r in whole})) for key in ("hardware", "deterministic")}
        facts["longest run, minutes"] = max((record.get("seconds") or 0) for record in whole) / 60
        facts["most memory of a run, MiB"] = max((record.get("peak_memory_bytes") or 0) for record in whole) / 2**20
        parts.append(_facts("training-runs", "Where the training runs were made.", facts, "runs/*/run.json"))
        packages = whole[-1].get("packages") or {}
        if isinstance(packages, dict) and packages:
            rows = [{"name": name, "version": str(version)} for name, version in packages.items()]
            columns = [_column("name", "Package", "head"), _column("version", "Version")]
            caption = f"All {len(rows)} packages that the last training run had."
            parts.append(_table("packages", caption, columns, rows, source="runs/*/run.json", folded=True))
    if len(runs):
        times = runs.groupby("step", sort=False)["seconds"].agg(["count", "sum", "max"]).reset_index()
        times[["sum", "max"]] = times[["sum", "max"]] / 60
        columns = [
            *(_column("step", "Step", "head"), _column("count", "Runs", "count")),
            *(_column("sum", "Minutes in all", "decimal"), _column("max", "Longest", "decimal")),
        ]
        rows = _records(times.rename(columns={}))
        parts.append(_table("times", "Run times by step.", columns, rows, source="state.json"))
        listed = _records(runs[["run", "status", "seconds"]])
        for row in listed:
            row["_link"] = {"run": _notebook(row["run"])} if row["status"] in ("done", "failed") else {}
        columns = [
            _column("run", "Notebook"),
            _column("status", "Status", "status"),
            _column("seconds", "Seconds", "decimal"),
        ]
        parts.append(
            _table("notebooks", "Every run with its executed notebook.", columns, listed, source="state.json",
                   filters=["status"], folded=True)
        )  # fmt: skip
    return HTML("".join(part.data for part in parts))


# ---------------------------------------------------------------------------------------------------------------
# The page


def to_html(executed_notebook: Path, html: Path) -> None:
    """The executed 08_report as one self-contained page: no request to any host, code hidden.

    Raises:
        ValueError: the notebook has no executed cell, so there is nothing to show.
    """
    notebook = nbformat.read(executed_notebook, as_version=4)
    if not any(cell.get("outputs") for cell in notebook.cells):
        raise ValueError(f"{executed_notebook} has no outputs: execute it before turning it into a page")
    exporter = HTMLExporter(
        config=Config(
            {
                "TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": ["notebook-only", "parameters"]},
                "HTMLExporter": {"preprocessors": ["nbconvert.preprocessors.TagRemovePreprocessor"]},
            }
        ),
        extra_template_basedirs=[str(TEMPLATE.parent)],
        template_name=TEMPLATE.name,
        exclude_input=True,
        embed_images=True,
    )
    title = next((m.group(1) for m in [re.search(r"<h1[^>]*>(.*?)</h1>", _outputs(notebook), re.S)] if m), "Report")
    resources = {
        "style": (TEMPLATE / "style.css").read_text(encoding="utf-8"),
        "script": (TEMPLATE / "script.js").read_text(encoding="utf-8"),
        "page_title": Markup(re.sub(r"<[^>]+>", "", title).strip()),
    }
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {}, **resources})
    page, contents = _linked_headings(page)
    page = page.replace("<!--contents-->", _templates().get_template("contents.html.j2").render(contents=contents))
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(page, encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------
# The five sentences


def _about_claims(paths: StudyPaths) -> str:
    verdicts = _json(_written(paths, paths.claims))
    if not verdicts:
        return "The paper's claims were not judged: claims.json is not there."
    return f"Of {len(verdicts)} checkable claims of the paper, {_counted(verdicts)}."


def _counted(claims: Sequence[Mapping[str, Any]]) -> str:
    """`3 are reproduced, 1 is not tested`, in the order of the verdicts."""
    counts = pd.Series([claim["verdict"] for claim in claims]).value_counts()
    parts = [f"{counts[v]} {'is' if counts[v] == 1 else 'are'} {v}" for v in claims_module.VERDICTS if v in counts]
    return ", ".join(parts)


def _about_leakage(paths: StudyPaths, study: Study) -> str:
    table = _csv(_written(paths, paths.tables / "decomposition.csv"))
    ways = _ways(table, study) if table is not None else {}
    if not ways:
        return f"How the printed accuracy of {PROPOSED} fares under the protocols was not measured."
    stages = list(next(iter(ways.values()))["stage"])
    parts, steps = [], []
    for scenario, way in ways.items():
        numbers = [f"{100 * value:.1f}" if np.isfinite(value) else "not measured" for value in way["accuracy"]]
        parts.append(f"{TO.join(numbers)} in {scenarios()[scenario].title.lower()} ({shown_model(study, scenario)})")
        accuracy = way.set_index("stage")["accuracy"]
        steps.append(accuracy.get("grouped", np.nan) - accuracy.get("published", np.nan))
    sentence = f"Test accuracy, in per cent, {TO.join(stages)}, goes {'; '.join(parts)}"
    known = [_signed(100 * step) for step in steps if np.isfinite(step)]
    change = "splitting by lesion before augmenting, which also leaves the test images unaugmented and unbalanced"
    return sentence + (f": {change}, changes it by {', '.join(known)} points." if known else ".")


def _about_rank(paths: StudyPaths, study: Study) -> str:
    protocol, parts, best = study.protocols[-1], [], []
    for scenario in study.scenarios:
        table = _rows(scenario_table(paths, study, scenario), protocol=protocol, preprocessing=study.preprocessings[0])
        for phase in reversed(PHASES):
            scores = (
                _rows(table, phase=phase).set_index("backbone")[["test_accuracy", "published_test_accuracy"]].dropna()
            )
            title = scenarios()[scenario].title.lower()
            if PROPOSED in scores.index and len(scores) > 1:
                ours, printed = (int(scores[c].rank(ascending=False, method="min")[PROPOSED]) for c in scores)
                phase_name = PHASE_NAMES[phase].lower()
                parts.append(f"{ours} of {len(scores)} in {title} ({phase_name}; printed values rank it {printed})")
                break
            if len(scores) > 1:
                best.append(f"{scores['test_accuracy'].idxmax()} in {title} ({PHASE_NAMES[phase].lower()})")
                break
    if best and not parts:
        return f"{PROPOSED} is not among the models evaluated under {protocol}; the best of those is {', '.join(best)}."
    if not parts:
        return f"How {PROPOSED} ranks among the other models under {protocol} was not measured."
    return (
        f"Under {protocol} the rank of {PROPOSED} by test accuracy among the models evaluated is "
        + ", ".join(parts)
        + "."
    )


def _about_printed_tables(paths: StudyPaths) -> str:
    audit = _json(paths.published_audit)
    if audit is None:
        return "The printed tables were not audited: audit/published.json is not there."
    sizes = [f"{_sizes_in_words(table)} (Table {ROMAN[int(number)]})" for number, table in audit["tables"].items()]
    pool = audit.get("pool", {})
    expected = f", where a tenth of the {pool['images']:,} images described is {pool['test_n_expected']:.0f}"
    rows, text = len(audit.get("row_errors", [])), len(audit.get("text_errors", []))
    return (
        f"The printed accuracies imply test sets of {', '.join(sizes)} images{expected if 'images' in pool else ''}; "
        f"the audit finds {_count(rows, 'contradiction or repetition', 'contradictions or repetitions')} among "
        f"their rows, and {_count(text, 'statement', 'statements')} of the text against them."
    )


def _sizes_in_words(table: Mapping[str, Any]) -> str:
    """The test-set sizes of a printed table: of each group of rows, or those that fit all rows."""
    groups = sorted({group["test_n"] for group in table.get("groups", [])}) or table.get("test_n", [])[:1]
    return " and ".join(map(str, groups)) or "no single size of"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _about_data(paths: StudyPaths) -> str:
    audit = _json(paths.dataset_audit)
    if audit is None:
        return "The data set was not audited: audit/dataset.json is not there."
    counted = {
        "files": "files", "distinct_contents": "distinct contents",
        "contradictory_contents": "contents filed under more than one class",
        "near_duplicate_groups": "groups of near-duplicates",
        "lesions_with_several_images": "lesions with several images",
    }  # fmt: skip
    parts = [f"{audit[key]:,} {words}" for key, words in counted.items() if isinstance(audit.get(key), int)]
    parts += [f"{words} not measured" for key, words in counted.items() if not isinstance(audit.get(key), int)]
    return "The data set holds " + ", ".join(parts) + "."


# ---------------------------------------------------------------------------------------------------------------
# Reading


def _csv(path: Path) -> pd.DataFrame | None:
    """A CSV file, names kept as text; None where it is not there or empty."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])
    except (FileNotFoundError, NotADirectoryError, pd.errors.EmptyDataError):
        return None


def _parquet(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.is_file() else None


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L" if picture.mode in ("1", "L", "P", "I;16", "I") else "RGB"))


def _prepared(paths: StudyPaths, protocol: str) -> tuple[pd.DataFrame | None, np.ndarray | None]:
    index = _parquet(paths.index(protocol))
    if index is None or not paths.images(protocol).is_file():
        return None, None
    return index.reset_index(drop=True), np.load(paths.images(protocol), mmap_mode="r", allow_pickle=False)


def _written(paths: StudyPaths, path: Path) -> Path:
    """What this attempt has written, where it has; else what lies in the study."""
    new = paths.attempt / path.relative_to(paths.root) if paths.attempt else path
    return new if new.is_file() else path


def _stacked(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Tables I to IV under each other, with their `scenario`."""
    return pd.concat([scenario_table(paths, study, name).assign(scenario=name) for name in study.scenarios])


def _runs(paths: StudyPaths) -> pd.DataFrame:
    """state.json as a table: run, step, the axes, status, cause, error, notebook, seconds; without the report's run."""
    state = _json(paths.state) or {}
    rows = [
        {"run": run, "step": entry.get("step", "")}
        | {axis: str(entry.get("axes", {}).get(axis, "")) for axis in AXES}
        | {key: entry.get(key) or "" for key in ("status", "cause", "error", "notebook")}
        | {"seconds": float(entry.get("seconds") or 0)}
        for run, entry in state.items()
        if entry.get("step") != "report"
    ]
    columns = ["run", "step", *AXES, "status", "cause", "error", "notebook", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def _status_of_cells(paths: StudyPaths) -> pd.DataFrame:
    runs = _runs(paths)
    return runs[runs["step"].isin(["train", "evaluate"])]


def _why_empty(cell: Mapping[str, str], study: Study, runs: pd.DataFrame) -> str:
    """Why a cell of a table has no number: the worst that happened to its training runs, else to its evaluation."""
    if cell["scenario"] not in study.scenarios:
        return "not in study"
    statuses = set(_rows(runs, step="train", **cell)["status"])
    for status in ("failed", "not run", "left out"):
        if status in statuses:
            return status
    if not any(all(c[axis] == cell[axis] for axis in cell) for c in study.cells(*cell)):
        return "left out"
    without_backbone = {axis: value for axis, value in cell.items() if axis != "backbone"}
    evaluated = set(_rows(runs, step="evaluate", **without_backbone)["status"])
    return "failed" if "failed" in evaluated else "not run"


def _printed_only(study: Study, scenario: str) -> list[dict[str, Any]]:
    """The printed rows of models that the study does not have, so that the paper's table is whole on the page."""
    printed = published().query("table == @table", local_dict={"table": scenarios()[scenario].table})
    rows = []
    for record in _records(printed[~printed["backbone"].isin(study.backbones)]):
        row = {"model": backbones()[record["backbone"]].printed, "phase_name": PHASE_NAMES[record["phase"]]}
        row |= {"protocol": "none", "preprocessing": "none", "n": "not in study", "interval": (None, None)}
        rows.append(row | {f"{measure}_printed": record[measure] / 100 for measure in MEASURES})
    return rows


def _with_model(study: Study, scenario: str) -> str:
    """The scenario's title, and the model's name where it is not the paper's own."""
    model = shown_model(study, scenario)
    return scenarios()[scenario].title + ("" if model == PROPOSED else f", {model}")


def _instead(model: str) -> str:
    return "" if model == PROPOSED else f" ({PROPOSED}, the paper's own model, is not in this study's cell)"


def _ways(table: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    """scenario -> stage, accuracy, low, high: of the last phase that was run, under the first preprocessing."""
    ways = {}
    for scenario in study.scenarios:
        model = shown_model(study, scenario)
        rows = _rows(table, scenario=scenario, backbone=model, preprocessing=study.preprocessings[0])
        for phase in reversed(PHASES):
            row = _rows(rows, phase=phase)
            if len(row):
                row, stages = row.iloc[0], ["printed", *study.protocols]
                numbers = [(s, row.get(s), row.get(f"{s}_low"), row.get(f"{s}_high")) for s in stages]
                way = pd.DataFrame(numbers, columns=["stage", "accuracy", "low", "high"])
                ways[scenario] = way.astype({"accuracy": float, "low": float, "high": float})
                break
    return ways


def _rows(table: pd.DataFrame | None, **values: Any) -> pd.DataFrame:
    """The rows of a table that have these values; an empty table where there is none."""
    if table is None:
        return pd.DataFrame(columns=[*values])
    keep = np.ones(len(table), bool)
    for column, value in values.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts of plain Python values, None where empty."""
    return [
        {k: None if pd.isna(v) else getattr(v, "item", lambda v=v: v)() for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def _proposed_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name != PROPOSED)


def _in_paper_order(names: Iterable[str]) -> list[str]:
    order = list(backbones())
    return sorted(names, key=order.index)


# ---------------------------------------------------------------------------------------------------------------
# HTML


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE / "parts"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_visible,
    )  # fmt: skip
    environment.filters |= {"cell": _cell, "percent": _percent}
    return environment


def _visible(value: Any) -> Any:
    """Text whose control characters are written out: a right-to-left mark in a name must not turn the line round."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    hidden = {c for c in value if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\t"}
    for character in hidden:
        value = value.replace(character, f"<U+{ord(character):04X}>")
    return value


def _part(name: str, **values: Any) -> HTML:
    return HTML(_templates().get_template(f"{name}.html.j2").render(**values))


def _missing(text: str, figure: int = 0) -> HTML:
    """Say that something is not there, where it would have been; `figure` is the paper's figure it belongs to."""
    return _part("missing", text=text, paper=_paper_figures().get(figure), id=f"fig-{figure}" if figure else "")


@cache
def _paper_figures() -> dict[int, dict[str, str]]:
    """Number of a figure of the paper -> its caption as printed, and what the paper says that it shows."""
    return yaml.safe_load((TEMPLATE / "paper_figures.yaml").read_text(encoding="utf-8"))


def _figure(
    name: str,
    figure: Figure,
    title: str,
    caption: str,
    alt: str,
    source: str = "",
    runs: Mapping[str, str] | None = None,
    paper: int = 0,
) -> HTML:
    """A figure with its caption, alternative text, the file its numbers come from and the notebooks behind it."""
    mime, drawn = plots.encode(figure)
    width, height = (round(96 * side) for side in figure.get_size_inches())
    return _part(
        "figure", id=name, src=f"data:{mime};base64,{base64.b64encode(drawn).decode()}", width=width, height=height,
        title=title, caption=caption, alt=alt, source=source, paper=_paper_figures().get(paper), number=paper,
        drawn=_notebook("report"), notebooks=[(label, _notebook(run)) for label, run in (runs or {}).items()],
    )  # fmt: skip


def _column(key: str, name: str, kind: str = "text", group: str = "") -> dict[str, str]:
    return {"key": key, "name": name, "kind": kind, "group": group}


def _table(
    name: str, caption: str, columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]], source: str,
    filters: Sequence[str] = (), data: pd.DataFrame | None = None, wide: bool = False, folded: bool = False,
) -> HTML:  # fmt: skip
    """A table with its caption, filters, the file it comes from, and itself as a CSV file to download.

    Args:
        rows: a dict a row; `_link` (column -> address) and `_title` (column -> note) may be among its keys.
        filters: columns that a reader can filter by.
        data: what the download holds; without it the columns shown.
    """
    shown = [column["key"] for column in columns]
    data = (
        data
        if data is not None
        else pd.DataFrame([{key: row.get(key) for key in shown} for row in rows], columns=shown)
    )
    download = base64.b64encode(data.to_csv(index=False).encode()).decode()
    columns = [column | {"right": _is_right(column, rows)} for column in columns]
    names = {column["key"]: column["name"] for column in columns}
    choices = {key: list(dict.fromkeys(_text(row.get(key)) for row in rows)) for key in filters}
    return _part(
        "table", id=name, caption=caption, columns=columns, rows=rows, source=source, wide=wide, folded=folded,
        filters=[(key, names[key], values) for key, values in choices.items() if len(values) > 1],
        positions={key: position for position, key in enumerate(shown)},
        csv=f"data:text/csv;charset=utf-8;base64,{download}", groups=_groups(columns),
        tall=len(rows) > 30 and not wide,
    )  # fmt: skip


def _is_right(column: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column's head stands right, over numbers."""
    if column["kind"] != "value":
        return column["kind"] not in ("head", "quote", "text", "small", "code", "status", "verdict")
    values = [value for row in rows if (value := row.get(column["key"])) not in (None, "")]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)


def _groups(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, int]]:
    """Heads over several columns: (name, number of columns), empty where no column has one."""
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and column["group"] and groups[-1][0] == column["group"]:
            groups[-1] = (column["group"], groups[-1][1] + 1)
        else:
            groups.append((column["group"], 1))
    return groups if any(name for name, _ in groups) else []


def _records_table(
    name: str, caption: str, records: Sequence[Mapping[str, Any]], source: str, folded: bool = False
) -> HTML:
    """A table of records whose keys are its columns."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    rows = [dict(record) for record in records]
    for row in rows:
        if row.get("phase") in PHASE_NAMES:
            row["phase"] = PHASE_NAMES[row["phase"]]
        if row.get("scenario") in scenarios():
            row["scenario"] = _named(row["scenario"])
    columns = [_column(key, _sentence(key), "value") for key in keys]
    filters = [key for key in ("table", "scenario", "protocol", "phase", "backbone", "what") if key in keys]
    return _table(name, caption, columns, rows, source, filters, folded=folded)


def _facts(name: str, caption: str, facts: Mapping[str, Any], source: str) -> HTML:
    """A table of names and values."""
    rows = [{"what": _sentence(key), "value": value} for key, value in facts.items()]
    return _table(name, caption, [_column("what", "What", "head"), _column("value", "Value", "value")], rows, source)


def _dict_table(name: str, caption: str, content: Mapping[str, Any], source: str) -> HTML:
    """A dict as a table: name and value, or a cross table where the values are dicts; its names stay as they are."""
    if all(isinstance(value, dict) for value in content.values()):
        keys = list(dict.fromkeys(key for value in content.values() for key in value))
        rows = [{"": name} | {key: value.get(key, "") for key in keys} for name, value in content.items()]
        columns = [_column("", "", "head"), *(_column(key, _named(key), "value") for key in keys)]
    else:
        rows = [{"name": key, "value": value} for key, value in content.items()]
        columns = [_column("name", "Name", "head"), _column("value", "Value", "value")]
    return _table(name, caption, columns, rows, source)


def _commit(git: Mapping[str, Any]) -> str:
    """A short commit, and whether the tree differed from it."""
    if not git.get("commit"):
        return "not recorded"
    return git["commit"][:12] + (" with changes" if git.get("clean") is False else "")


def _named(key: str) -> str:
    """A scenario's title for its name, any other name as it is."""
    return scenarios()[key].title if key in scenarios() else key


def _cell(row: Mapping[str, Any], column: Mapping[str, str]) -> dict[str, Any]:
    """What a cell shows: text, a second smaller text, the value to sort by, classes and a style."""
    value, kind = row.get(column["key"]), column["kind"]
    cell = {"text": _text(value), "small": "", "sort": _text(value), "kind": kind, "style": "", "class": ""}
    cell |= {"href": row.get("_link", {}).get(column["key"], ""), "title": row.get("_title", {}).get(column["key"], "")}
    cell["details"] = row.get("_details", {}).get(column["key"], [])
    if kind in ("head", "quote", "text", "small", "code"):
        return cell
    if kind == "value":
        # JSON of any kind: numbers to the right, the rest as words
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = "" if value is None or value == "" else _value(value)
        return cell | {
            "text": text,
            "sort": text if not is_number else f"{value:.6g}",
            "class": "number" if is_number else "",
        }
    if kind in ("status", "verdict"):
        return cell | {"class": "is-" + re.sub(r"[^a-z]+", "-", cell["text"].lower())}
    number = value if isinstance(value, (int, float)) else None
    cell |= {"sort": "" if number is None else f"{number:.6g}", "class": "number"}
    if number is None:
        return cell | {"text": cell["text"] or "–", "class": "empty"}
    if kind == "percent":
        return cell | {"text": f"{100 * number:.2f}"}
    if kind == "interval":
        low, high = row["interval"]
        small = f"[{100 * low:.1f}, {100 * high:.1f}]" if low is not None and high is not None else ""
        return cell | {"text": f"{100 * number:.2f}", "small": small}
    if kind == "difference":
        # full colour at 40 points: what the largest leaks come to
        share = min(abs(number) / 0.4, 1)
        sign = "above" if number > 0 else "below"
        return cell | {
            "text": _signed(100 * number),
            "style": f"--share:{share:.2f}",
            "class": f"number difference {sign}",
        }
    if kind == "p_value":
        return cell | {"text": f"{number:.3f}" if number >= 0.001 else f"{number:.0e}"}
    if kind == "decimal":
        return cell | {"text": f"{number:,.1f}"}
    return cell | {"text": f"{number:,.0f}"}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value is not None and np.isfinite(value) else "not measured"


def _signed(points: float) -> str:
    rounded = round(points, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}")


def _list(values: Sequence[Any] | None, none: str) -> str:
    """A short list in words; long runs of numbers are cut and counted."""
    if not values:
        return none
    shown = ", ".join(map(str, values[:6]))
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6} more"


def _value(value: Any) -> str:
    """Any JSON value as words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_value(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(item) for item in value) or "none"
    return str(value)


def _sentence(key: str) -> str:
    words = str(key).replace("_", " ")
    return words[:1].upper() + words[1:]


def _synthetic(study: Study) -> str:
    return " (synthetic images)" if study.synthetic else ""


def _notebook(run: str) -> str:
    """Address of a run's executed notebook, seen from the report."""
    return f"../notebooks/{quote(run)}.ipynb"


def _run_id(step: str, cell: Sequence[Any]) -> str:
    return "-".join([step, *map(str, cell[:-1]), f"seed{cell[-1]}"])


def _map_title(row: Mapping[str, Any]) -> str:
    """True class of a Grad-CAM map, and what the model said where that is another."""
    true, predicted = row.get("true_class", ""), row.get("predicted_class", "")
    return str(true) if true == predicted or not predicted else f"{true}, said {predicted}"


def _outputs(notebook: nbformat.NotebookNode) -> str:
    return "".join(
        output.get("data", {}).get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )


def _linked_headings(page: str) -> tuple[str, list[dict[str, Any]]]:
    """Headings of the notebook's markdown as links to themselves, and the contents they make."""
    contents = []

    def link(match: re.Match) -> str:
        level, name, text = match["level"], match["id"].lower(), match["text"]
        contents.append({"level": int(level), "id": name, "text": Markup(text)})
        return f'<h{level} id="{escape(name)}"><a class="self" href="#{escape(name)}">{text}</a></h{level}>'

    pattern = r'<h(?P<level>[23]) id="(?P<id>[^"]*)">(?P<text>.*?)<a class="anchor-link".*?</a></h[23]>'
    return re.sub(pattern, link, page), contents
