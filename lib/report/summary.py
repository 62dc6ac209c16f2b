"""The first part of the report: what was asked, what did not run, the answer, the claims."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML

from lib.config.paper import proposed_backbone, scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import StudyPaths
from lib.figures.style import roman
from lib.report import html, wording
from lib.report.data import rows_where, to_records
from lib.report.show import show
from lib.verdicts.answers import NOT_TESTED, UNDECIDED
from lib.verdicts.claims import Rules
from lib.verdicts.judging import (
    IMPOSSIBLE,
    LEAKAGE,
    NOT_REPRODUCED,
    QUESTIONS,
    REPRODUCED,
    VERDICTS,
    WITHOUT_IMAGES,
    as_table,
)

WORST_FIRST = (IMPOSSIBLE, NOT_REPRODUCED, LEAKAGE, REPRODUCED)


def opening(study: Study) -> HTML:
    """The page's head: title, what was asked, and the banner of a synthetic study."""
    return html.part("opening", study=study)


def warnings(runs: pd.DataFrame) -> HTML:
    """What failed or did not run, before anything else; nothing where every run is done or skipped by the study."""
    bad = runs[~runs["status"].isin(["done", "skipped"])]
    counts = dict(bad["status"].value_counts())
    return html.part("warnings", recorded=len(runs) > 0, total=len(runs), bad=to_records(bad), counts=counts)


def show_status(paths: StudyPaths, runs: pd.DataFrame, missing: pd.DataFrame) -> HTML:
    """How many runs of each step are done, failed, not run or skipped, and each that is not done."""
    if runs.empty:
        return html.missing("No state.json: how the runs ended is not recorded.")
    counts = runs.groupby(["step", "status"], sort=False).size().unstack(fill_value=0)
    statuses = ["done", "failed", "not run", "skipped"]
    counts = counts.reindex(columns=[*statuses, *counts.columns.difference(statuses)], fill_value=0).reset_index()
    parts = [show(counts, "runs", "Runs by step and status.", "state.json", titles={"step": "Step"})]
    if len(missing):
        why = missing["error"].where(missing["error"] != "", missing["cause"]).replace("", "excluded by the study file")
        rows = missing.assign(reason=why, run_link=[html.notebook(paths, run) for run in missing["run"]])
        columns = ["run", "status", "reason"]
        caption = "Runs that are not done."
        parts.append(show(rows, "missing", caption, "tables/missing.csv", columns, data=missing, folded=len(rows) > 8))
    return html.joined(parts)


def select_claims(verdicts: Sequence[Mapping[str, Any]], study: Study) -> list[Mapping[str, Any]]:
    """The claims that the page shows: of a study of synthetic images those that it can test."""
    return [
        claim
        for claim in verdicts
        if not (study.synthetic and claim["verdict"] == NOT_TESTED and claim["test"]["measure"] not in WITHOUT_IMAGES)
    ]


def score(claims: Sequence[Mapping[str, Any]]) -> HTML:
    """How many claims have which verdict."""
    counts = Counter(claim["verdict"] for claim in claims)
    return html.part("score", counts=[(verdict, counts[verdict]) for verdict in VERDICTS], total=len(claims))


def claims_table(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """`lib.verdicts.judging.as_table`, with what each question was answered (`verdict_note`) and why, and the rule
    (`quote_details`)."""
    notes, details = [], []
    for claim in claims:
        answers = {title: claim[question] for question, title in QUESTIONS.items() if question in claim}
        notes.append("; ".join(f"{title.lower()}: {answer['outcome']}" for title, answer in answers.items()))
        details.append([f"Rule: {claim['rule']}.", *(_answer_in_words(*answer) for answer in answers.items())])
    table = as_table(claims).assign(verdict_note=notes, quote_details=details)
    return table.assign(reason=table["reason"].map(wording.plain), where=table["where"].str.replace("section", "Sec."))


def rules_note(rules: Rules) -> HTML:
    """The numbers that the rules of the verdicts use."""
    text = f"In the rules max_interval_width is {rules.max_interval_width:g} points and margin {rules.margin:g} "
    text += "(params/claims.yaml)."
    return html.part("note", text=text)


def show_claims(table: pd.DataFrame) -> HTML:
    """The claims, the worst first; those not decided or not tested are folded.

    Args:
        table: what `claims_table` gives.
    """
    parts, columns = [], ["quote", "where", "kind", "verdict", "reason"]
    for name, verdicts, what in (
        ("claims", WORST_FIRST, "decided, the worst first"),
        ("claims-undecided", [UNDECIDED], "tested but not decided"),
        ("claims-untested", [NOT_TESTED], "not tested in this study"),
    ):
        rows = pd.concat([table[table["verdict"] == verdict] for verdict in verdicts])
        if len(rows):
            caption = f"{wording.counted(len(rows), 'claim')} {what}. Open a claim to see its rule and the numbers."
            folded = name != "claims"
            parts.append(show(rows, name, caption, "claims.json", columns, folded=folded, cards=True))
    return html.joined(parts)


def _answer_in_words(question: str, answer: Mapping[str, Any]) -> str:
    """What a question was answered, why, and the numbers behind it."""
    text = f"{question}: {answer['outcome']}"
    text += f", {wording.plain(answer['reason'])}" if answer["reason"] else ""
    return text + (f" ({wording.in_words(answer['numbers'])})." if answer["numbers"] else ".")


def claims_sentence(claims: Sequence[Mapping[str, Any]], total: int) -> str:
    """How many of all `total` claims can be tested, and their verdicts."""
    counts = Counter(claim["verdict"] for claim in claims)
    parts = [f"{counts[v]} {'is' if counts[v] == 1 else 'are'} {v}" for v in VERDICTS if v in counts]
    photographs = f"{total - len(claims)} are about photographs, which synthetic images cannot test; of the others "
    return f"Of {total} checkable claims of the paper, {photographs if total > len(claims) else ''}{', '.join(parts)}."


def rank_sentence(accuracies: pd.DataFrame, study: Study) -> str:
    """Which place the paper's own model has among those evaluated, under the study's last protocol.

    Args:
        accuracies: what `lib.report.tables.stacked_tables` gives.
    """
    proposed, protocol, places, best = proposed_backbone(), study.protocols[-1], [], []
    for scenario in study.scenarios:
        for phase in reversed(PHASES):
            cell = dict(scenario=scenario, phase=phase, protocol=protocol, preprocessing=study.preprocessings[0])
            scores = rows_where(accuracies, **cell).set_index("backbone")
            scores = scores[["test_accuracy", "printed_test_accuracy"]].dropna()
            if len(scores) < 2:
                continue
            where = f"in {scenarios()[scenario].title.lower()} ({PHASE_TITLES[phase].lower()}"
            best.append(f"{scores['test_accuracy'].idxmax()} {where})")
            if proposed in scores.index:
                ours, printed = (int(scores[c].rank(ascending=False, method="min")[proposed]) for c in scores)
                of_paper = "" if study.synthetic else f"; printed values rank it {printed}"
                places.append(f"{ours} of {len(scores)} {where}{of_paper})")
            break
    if places:
        return f"Under {protocol} {proposed} ranks by test accuracy {', '.join(places)} among the models evaluated."
    if best:
        return f"{proposed} is not among the models evaluated under {protocol}; the best of those is {', '.join(best)}."
    return f"How {proposed} ranks among the other models under {protocol} was not measured."


def printed_sentence(audit: Mapping[str, Any] | None) -> str:
    """The test sets that the printed accuracies imply, and the contradictions (audit/printed.json)."""
    if audit is None:
        return "The printed tables were not audited: audit/printed.json is not there."
    sizes = [f"{_sizes_in_words(table)} (Table {roman(number)})" for number, table in audit["tables"].items()]
    pool = audit.get("pool", {})
    expected = f", where a tenth of the {pool['images']:,} images described is {pool['test_n_expected']:.0f}"
    rows, text = len(audit.get("row_errors", [])), len(audit.get("text_errors", []))
    return (
        f"The printed accuracies imply test sets of {', '.join(sizes)} images{expected if 'images' in pool else ''}; "
        f"the audit finds {wording.counted(rows, 'contradiction or repetition', 'contradictions or repetitions')} "
        f"among their rows, and {wording.counted(text, 'statement')} of the text against them."
    )


def _sizes_in_words(table: Mapping[str, Any]) -> str:
    """The test-set sizes of a printed table: of each group of rows, or those that fit all rows."""
    groups = sorted({group["test_n"] for group in table.get("groups", [])}) or table.get("test_n", [])[:1]
    return " and ".join(map(str, groups)) or "no single size of"


def data_sentence(audit: Mapping[str, Any] | None) -> str:
    """What the data set holds (audit/dataset.json)."""
    if audit is None:
        return "The data set was not audited: audit/dataset.json is not there."
    counted = {
        "files": "files", "distinct_contents": "different pictures",
        "contradictory_contents": "pictures filed under more than one class",
        "near_duplicate_groups": "groups of near-duplicates",
        "lesions_with_several_images": "lesions with several images",
    }  # fmt: skip
    parts = [f"{audit[key]:,} {what}" for key, what in counted.items() if isinstance(audit.get(key), int)]
    parts += [f"{what} not measured" for key, what in counted.items() if not isinstance(audit.get(key), int)]
    return "The data set holds " + ", ".join(parts) + "."
