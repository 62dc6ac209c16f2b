"""The first part of the report: what was asked, what did not run, the answer, the claims."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import PHASES, Study
from lib.config.paths import StudyPaths
from lib.figures.style import roman
from lib.report import html, ladder, wording
from lib.report.data import read_runs, rows_where, to_records, written
from lib.report.tables import PROPOSED, missing_table, scenario_table, shown_model
from lib.verdicts.answers import NOT_TESTED, UNDECIDED
from lib.verdicts.claims import load_claims
from lib.verdicts.judging import (
    IMPOSSIBLE,
    LEAKAGE,
    NOT_REPRODUCED,
    QUESTIONS,
    REPRODUCED,
    SYNTHETIC,
    VERDICTS,
    as_table,
)

TO = " \N{RIGHTWARDS ARROW} "
WORST_FIRST = (IMPOSSIBLE, NOT_REPRODUCED, LEAKAGE, REPRODUCED)


def opening(study: Study) -> HTML:
    """The page's head: title, what was asked, and the banner of a synthetic study."""
    return html.part("opening", study=study)


def warnings(paths: StudyPaths) -> HTML:
    """What failed or did not run, before anything else; nothing where every run is done or left out on purpose."""
    runs = read_runs(paths)
    bad = runs[~runs["status"].isin(["done", "skipped"])]
    counts = bad["status"].value_counts()
    return html.part("warnings", recorded=len(runs) > 0, total=len(runs), bad=to_records(bad), counts=dict(counts))


def headline(paths: StudyPaths, study: Study, steps: ladder.Ladder) -> HTML:
    """The answer at a glance: one sentence, the ladder, and how many claims have which verdict."""
    parts = [html.part("headline", sentence=_headline(study, steps)), ladder.ladder_figure(steps, study)]
    verdicts = read_json(written(paths, paths.claims))
    if verdicts:
        judged, _ = _judged(verdicts, study)
        parts.append(html.part("score", counts=_counts(judged), total=len(judged)))
    return html.joined(parts, "first")


def answer(paths: StudyPaths, study: Study, steps: ladder.Ladder) -> HTML:
    """What was found, in five sentences made from claims.json, tables/, audit/printed.json and audit/dataset.json."""
    return html.part("answer", sentences=answer_sentences(paths, study, steps))


def answer_sentences(paths: StudyPaths, study: Study, steps: ladder.Ladder) -> list[str]:
    """The five sentences, as plain text; what is not there is said not to have been measured."""
    return [
        _about_claims(paths, study),
        _about_leakage(study, steps),
        _about_rank(paths, study),
        _about_printed_tables(paths),
        _about_data(paths),
    ]


def run_status(paths: StudyPaths) -> HTML:
    """How many runs of each step are done, failed, not run or left out, and each that is not done."""
    runs = read_runs(paths)
    if runs.empty:
        return html.missing("No state.json: how the runs ended is not recorded.")
    statuses = ["done", "failed", "not run", "skipped"]
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


def claims(paths: StudyPaths, study: Study) -> HTML:
    """Every claim of params/claims.yaml with its verdict, what each question was answered, and the rules applied.

    In a study of synthetic images a sentence stands for the claims that photographs alone can test.
    """
    verdicts = read_json(written(paths, paths.claims))
    if not verdicts:
        return html.missing("claims.json is not there: the claims were not judged.")
    verdicts, others = _judged(verdicts, study)
    table = as_table(verdicts)
    rows = to_records(table)
    for row, claim in zip(rows, verdicts):
        row |= {"reason": wording.plain(row["reason"]), "where": row["where"].replace("section", "Sec.")}
        row["_details"] = {"quote": [f"Rule: {row['rule']}."]}
        outcomes = []
        for question, shown in QUESTIONS.items():
            if question in claim:
                row["_details"]["quote"].append(_answer_in_words(shown, claim[question]))
                outcomes.append(f"{shown.lower()}: {claim[question]['outcome']}")
        row["_small"] = {"verdict": "; ".join(outcomes)}
    columns = [
        *(html.column("quote", "The paper says", "quote"), html.column("where", "Where")),
        html.column("kind", "Kind", extra=True),
        *(html.column("verdict", "Verdict", "verdict"), html.column("reason", "Why", "small")),
    ]
    rules = load_claims().rules
    note = f"In the rules widest is {rules.widest:g} points and margin {rules.margin:g} (params/claims.yaml)."
    if others:
        note += f" {others} claims about accuracies, models and images are left out: the images are drawn, so nothing "
        note += "here can speak for or against them (claims.json has them all)."
    parts = [html.part("note", text=note)]
    for name, verdicts_shown, what in (
        ("claims", WORST_FIRST, "decided"),
        ("claims-undecided", [UNDECIDED], "tested but not decided"),
        ("claims-untested", [NOT_TESTED], "not tested in this study"),
    ):
        shown = [row for verdict in verdicts_shown for row in rows if row["verdict"] == verdict]
        if shown:
            caption = f"{_count(len(shown), 'claim', 'claims')} {what}"
            caption += f", the worst first: {_counted(shown)}. " if what == "decided" else ". "
            caption += "Open a claim to see its rule and the numbers."
            filters = ["kind", "verdict"] if what == "decided" else ["kind"]
            own = table[table["verdict"].isin(verdicts_shown)]
            folded = what != "decided"
            parts.append(
                html.table(name, caption, columns, shown, "claims.json", filters, data=own, folded=folded, cards=True)
            )
    return html.joined(parts)


def _answer_in_words(question: str, answer: Mapping[str, Any]) -> str:
    """What a question was answered, why, and the numbers behind it."""
    said = f"{question}: {answer['outcome']}"
    said += f", {wording.plain(answer['reason'])}" if answer["reason"] else ""
    return said + (f" ({wording.in_words(answer['numbers'])})." if answer["numbers"] else ".")


def _about_claims(paths: StudyPaths, study: Study) -> str:
    verdicts = read_json(written(paths, paths.claims))
    if not verdicts:
        return "The paper's claims were not judged: claims.json is not there."
    judged, others = _judged(verdicts, study)
    told = f"{others} are about photographs, which synthetic images cannot test; of the others " if others else ""
    return f"Of {len(verdicts)} checkable claims of the paper, {told}{_counted(judged)}."


def _judged(verdicts: Sequence[Mapping[str, Any]], study: Study) -> tuple[list[Mapping[str, Any]], int]:
    """The claims that the page shows, and how many it hides: on synthetic images those of photographs and models."""
    shown = [claim for claim in verdicts if not study.synthetic or claim["reason"] != SYNTHETIC]
    return shown, len(verdicts) - len(shown)


def _headline(study: Study, steps: ladder.Ladder) -> str:
    """What the leak is worth and what is left without it, over the scenarios; in plain words where it is not known."""
    ways = {scenario: rungs for scenario in study.scenarios if len(rungs := steps.way(scenario))}
    leaks = {name: rungs.loc["by lesion"] for name, rungs in ways.items() if ladder.step_in_words(rungs, "by lesion")}
    left = [rungs.at["clean", "accuracy"] for rungs in ways.values() if "clean" in rungs.index]
    if not leaks or not left:
        return "What a test set that shares lesions with training is worth was not measured in this study."
    lost = [-100 * row["step"] for row in leaks.values() if row["step_high"] < 0]
    models = sorted({shown_model(study, scenario) for scenario in ways})
    phases = sorted({ladder.FROZEN_OR_NOT[rungs["phase"].iloc[0]] for rungs in ways.values()})
    who = f"{' and '.join(models)}, {' or '.join(phases)}"
    where = "synthetic images" if study.synthetic else "lesions that training has not seen"
    if lost:
        points = " to ".join(dict.fromkeys(f"{end:.1f}" for end in (min(lost), max(lost))))
        said = f"{points} points of our test accuracy come from pictures that training has already seen"
        said += f", in {len(lost)} of {len(leaks)} tasks" if len(lost) < len(leaks) else ""
    else:
        said = f"In none of {len(leaks)} tasks does the accuracy fall beyond chance when training shares no lesion"
    said += f"; on {where} {who}, {'is' if len(models) == 1 else 'are'} right in {_range(left)} %."
    if PROPOSED not in models and not study.synthetic:
        said += f" {PROPOSED} was not run in this study."
    return said


def _range(shares: Sequence[float]) -> str:
    """`53.9 to 73.3`: the lowest and the highest of some shares, per cent."""
    low, high = (f"{100 * end:.1f}" for end in (min(shares), max(shares)))
    return low if low == high else f"{low} to {high}"


def _counts(claims: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(verdict, sum(claim["verdict"] == verdict for claim in claims)) for verdict in VERDICTS]


def _counted(claims: Sequence[Mapping[str, Any]]) -> str:
    """`3 are reproduced, 1 is not tested`, in the order of the verdicts."""
    counts = pd.Series([claim["verdict"] for claim in claims]).value_counts()
    parts = [f"{counts[v]} {'is' if counts[v] == 1 else 'are'} {v}" for v in VERDICTS if v in counts]
    return ", ".join(parts)


def _about_leakage(study: Study, steps: ladder.Ladder) -> str:
    ways = {scenario: rungs for scenario in study.scenarios if len(rungs := steps.way(scenario))}
    if not ways:
        return f"How the printed accuracy of {PROPOSED} fares under the protocols was not measured."
    stages = {"printed": "as printed", "by view": "in our run with the leak kept", "by lesion": "with the leak gone"}
    stages["clean"] = "on unseen lesions by corrected labels"
    stages = {rung: said for rung, said in stages.items() if rung != "printed" or not study.synthetic}
    parts, leaks = [], []
    for scenario, rungs in ways.items():
        accuracy = rungs["accuracy"].reindex(list(stages))
        numbers = [f"{100 * value:.1f}" if np.isfinite(value) else "not measured" for value in accuracy]
        title = scenarios()[scenario].title.lower()
        model = f"{shown_model(study, scenario)}, {ladder.FROZEN_OR_NOT[rungs['phase'].iloc[0]]}"
        parts.append(f"{TO.join(numbers)} in {title} ({model})")
        step = ladder.step_in_words(rungs, "by lesion")
        leaks += [f"{step} points in {title}"] if step else []
    sentence = f"Test accuracy, in per cent, {TO.join(stages.values())}, goes {'; '.join(parts)}"
    return sentence + (f": taking the leak away, and nothing else, changes it by {', '.join(leaks)}." if leaks else ".")


def _about_rank(paths: StudyPaths, study: Study) -> str:
    protocol, parts, best = study.protocols[-1], [], []
    for scenario in study.scenarios:
        table = scenario_table(paths, study, scenario).set_index("backbone", drop=False)
        table = rows_where(table, protocol=protocol, preprocessing=study.preprocessings[0])
        for phase in reversed(PHASES):
            scores = rows_where(table, phase=phase)[["test_accuracy", "printed_test_accuracy"]].dropna()
            title = scenarios()[scenario].title.lower()
            if PROPOSED in scores.index and len(scores) > 1:
                ours, printed = (int(scores[c].rank(ascending=False, method="min")[PROPOSED]) for c in scores)
                phase_name = html.PHASE_NAMES[phase].lower()
                beside = "" if study.synthetic else f"; printed values rank it {printed}"
                parts.append(f"{ours} of {len(scores)} in {title} ({phase_name}{beside})")
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
    audit = read_json(paths.printed_audit)
    if audit is None:
        return "The printed tables were not audited: audit/printed.json is not there."
    sizes = [f"{_sizes_in_words(table)} (Table {roman(number)})" for number, table in audit["tables"].items()]
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
    parts = [f"{audit[key]:,} {what}" for key, what in counted.items() if isinstance(audit.get(key), int)]
    parts += [f"{what} not measured" for key, what in counted.items() if not isinstance(audit.get(key), int)]
    return "The data set holds " + ", ".join(parts) + "."
