"""The first part of the report: what was asked, what did not run, the answer, the claims, from printed to clean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib import figures
from lib.config import PHASES, Study, StudyPaths, read_json, scenarios
from lib.report import html
from lib.report.data import read_csv, read_runs, rows_where, to_records, written
from lib.report.tables import PROPOSED, missing_table, scenario_table, shown_model
from lib.verdicts import QUESTIONS, VERDICTS, as_table

TO = " \N{RIGHTWARDS ARROW} "


def opening(study: Study) -> HTML:
    """The page's head: title, what was asked, and the banner of a synthetic study."""
    return html.part("opening", study=study)


def warnings(paths: StudyPaths) -> HTML:
    """What failed or did not run, before anything else; nothing where every run is done or left out on purpose."""
    runs = read_runs(paths)
    bad = runs[~runs["status"].isin(["done", "left out"])]
    counts = bad["status"].value_counts()
    return html.part("warnings", recorded=len(runs) > 0, total=len(runs), bad=to_records(bad), counts=dict(counts))


def answer(paths: StudyPaths, study: Study) -> HTML:
    """What was found, in five sentences made from claims.json, tables/, audit/published.json and audit/dataset.json."""
    return html.part("answer", sentences=answer_sentences(paths, study))


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
    runs = read_runs(paths)
    if runs.empty:
        return html.missing("No state.json: how the runs ended is not recorded.")
    statuses = ["done", "failed", "not run", "left out"]
    statuses += sorted(set(runs["status"]) - set(statuses))
    counts = runs.groupby(["step", "status"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=statuses, fill_value=0).reset_index()
    first = html.table(
        "runs", "Runs by step and status.",
        [html.column("step", "Step", "head"), *(html.column(name, name.capitalize(), "count") for name in statuses)],
        to_records(counts), source="state.json",
    )  # fmt: skip
    rows = to_records(missing_table(paths))
    if not rows:
        return first
    for row in rows:
        row["why"] = row["error"] or row["cause"] or "the study leaves this cell out"
        row["_link"] = {"run": html.notebook(paths, row["run"])}
    columns = [html.column("run", "Run"), html.column("status", "Status", "status"), html.column("why", "Why")]
    second = html.table(
        "missing", "Runs that are not done.", columns, rows, source="tables/missing.csv", filters=["status"],
        folded=len(rows) > 8,
    )  # fmt: skip
    return html.joined([first, second])


def claims(paths: StudyPaths) -> HTML:
    """Every claim of params/claims.yaml with its verdict, what each question was answered, and the rules applied."""
    verdicts = read_json(written(paths, paths.claims))
    if not verdicts:
        return html.missing("claims.json is not there: the claims were not judged.")
    table = as_table(verdicts)
    rows = to_records(table)
    for row, claim in zip(rows, verdicts):
        row["_details"] = {
            "quote": [f"Rule: {row['rule']}.", *([f"Reason: {row['reason']}."] if row["reason"] else [])]
        }
        for question, shown in QUESTIONS.items():
            numbers = claim.get(question, {}).get("numbers")
            row["_details"]["quote"] += [f"{shown}: {html.in_words(numbers)}."] if numbers else []
    columns = [
        *(html.column("quote", "The paper says", "quote"), html.column("where", "Where"), html.column("kind", "Kind")),
        html.column("verdict", "Verdict", "verdict"),
        *(html.column(question, shown, "verdict") for question, shown in QUESTIONS.items()),
    ]
    counts = [(verdict, sum(row["verdict"] == verdict for row in rows)) for verdict in VERDICTS]
    parts = [html.part("score", counts=counts, total=len(rows))]
    of_text = [row for row in rows if row["place"] != "table"]
    of_tables = [row for row in rows if row["place"] == "table"]
    for name, shown, what in (
        ("claims", of_text, "claims of the text"),
        ("claims-rows", of_tables, "claims of the printed tables"),
    ):
        if shown:
            caption = f"Verdicts on {len(shown)} {what}: {_counted(shown)}. "
            caption += "Open a claim to see its rule and the numbers."
            parts.append(
                html.table(name, caption, columns, shown, source="claims.json", filters=["kind", "verdict"],
                           data=table, folded=shown is of_tables)
            )  # fmt: skip
    return html.joined(parts)


def waterfall(paths: StudyPaths, study: Study) -> HTML:
    """From the printed accuracy to the honest one in each scenario, for `shown_model` (tables/decomposition.csv)."""
    table = read_csv(written(paths, paths.tables / "decomposition.csv"))
    if table is None or table.empty:
        return html.missing("tables/decomposition.csv is not there: the way from printed to clean was not worked out.")
    ways = _ways(table, study)
    if not ways:
        return html.missing("tables/decomposition.csv has no row for the models that stand for the scenarios.")
    figure = figures.waterfall({html.with_model(study, name): way for name, way in ways.items()})
    alt = "; ".join(
        f"{scenarios()[name].title}: " + ", ".join(f"{w.stage} {html.percent(w.accuracy)}" for w in way.itertuples())
        for name, way in ways.items()
    )
    caption = (
        f"Test accuracy of {PROPOSED} (or the model named) in per cent: as printed (left), what each step adds or "
        "takes (middle, points), and what is left (right). Lines are 95 % intervals after the step, groups resampled. "
        "Under grouped and clean the test images are also no longer augmented and balanced, so a step is not the leak "
        "or the labels alone."
    )
    return html.figure("waterfall", figure, "From printed to clean", caption, alt, source="tables/decomposition.csv")


def _about_claims(paths: StudyPaths) -> str:
    verdicts = read_json(written(paths, paths.claims))
    if not verdicts:
        return "The paper's claims were not judged: claims.json is not there."
    return f"Of {len(verdicts)} checkable claims of the paper, {_counted(verdicts)}."


def _counted(claims: Sequence[Mapping[str, Any]]) -> str:
    """`3 are reproduced, 1 is not tested`, in the order of the verdicts."""
    counts = pd.Series([claim["verdict"] for claim in claims]).value_counts()
    parts = [f"{counts[v]} {'is' if counts[v] == 1 else 'are'} {v}" for v in VERDICTS if v in counts]
    return ", ".join(parts)


def _about_leakage(paths: StudyPaths, study: Study) -> str:
    table = read_csv(written(paths, paths.tables / "decomposition.csv"))
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
    known = [html.signed(100 * step) for step in steps if np.isfinite(step)]
    change = "splitting by lesion before augmenting, which also leaves the test images unaugmented and unbalanced"
    return sentence + (f": {change}, changes it by {', '.join(known)} points." if known else ".")


def _about_rank(paths: StudyPaths, study: Study) -> str:
    protocol, parts, best = study.protocols[-1], [], []
    for scenario in study.scenarios:
        table = scenario_table(paths, study, scenario).set_index("backbone", drop=False)
        table = rows_where(table, protocol=protocol, preprocessing=study.preprocessings[0])
        for phase in reversed(PHASES):
            scores = rows_where(table, phase=phase)[["test_accuracy", "published_test_accuracy"]].dropna()
            title = scenarios()[scenario].title.lower()
            if PROPOSED in scores.index and len(scores) > 1:
                ours, printed = (int(scores[c].rank(ascending=False, method="min")[PROPOSED]) for c in scores)
                phase_name = html.PHASE_NAMES[phase].lower()
                parts.append(f"{ours} of {len(scores)} in {title} ({phase_name}; printed values rank it {printed})")
                break
            if len(scores) > 1:
                best.append(f"{scores['test_accuracy'].idxmax()} in {title} ({html.PHASE_NAMES[phase].lower()})")
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
    audit = read_json(paths.published_audit)
    if audit is None:
        return "The printed tables were not audited: audit/published.json is not there."
    sizes = [f"{_sizes_in_words(table)} (Table {figures.roman(number)})" for number, table in audit["tables"].items()]
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
    audit = read_json(paths.dataset_audit)
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


def _ways(table: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    """scenario -> stage, accuracy, low, high: of the last phase that was run, under the first preprocessing."""
    ways = {}
    for scenario in study.scenarios:
        model = shown_model(study, scenario)
        rows = rows_where(table, scenario=scenario, backbone=model, preprocessing=study.preprocessings[0])
        for phase in reversed(PHASES):
            row = rows_where(rows, phase=phase)
            if len(row):
                row, stages = row.iloc[0], ["printed", *study.protocols]
                numbers = [(s, row.get(s), row.get(f"{s}_low"), row.get(f"{s}_high")) for s in stages]
                way = pd.DataFrame(numbers, columns=["stage", "accuracy", "low", "high"])
                ways[scenario] = way.astype({"accuracy": float, "low": float, "high": float})
                break
    return ways
