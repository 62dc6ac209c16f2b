"""The claims and the ranks as tables, for the first part of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lib.config.params import PHASES, Study
from lib.report.tables import select_own
from lib.report.wording import in_words, plain
from lib.verdicts.answers import NOT_TESTED
from lib.verdicts.judging import QUESTIONS, VERDICTS, WITHOUT_IMAGES, as_table


def select_claims(verdicts: Sequence[Mapping[str, Any]], study: Study) -> list[Mapping[str, Any]]:
    """The claims that the page shows: of a study of synthetic images those that it can test."""
    hidden = {NOT_TESTED} if study.synthetic else set()
    return [c for c in verdicts if c["verdict"] not in hidden or c["test"]["measure"] in WITHOUT_IMAGES]


def claims_table(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """`lib.verdicts.judging.as_table`, the worst verdicts first, with what each question was answered (`verdict_note`)
    and why (`quote_details`)."""
    notes, details = [], []
    for claim in claims:
        answers = {title: claim[question] for question, title in QUESTIONS.items() if question in claim}
        notes.append("; ".join(f"{title.lower()}: {answer['outcome']}" for title, answer in answers.items()))
        details.append([_answer_in_words(*answer) for answer in answers.items()])
    table = as_table(claims).assign(verdict_note=notes, quote_details=details)
    table = table.assign(reason=table["reason"].map(plain), where=table["where"].str.replace("section", "Sec."))
    order = table["verdict"].map(VERDICTS.index).sort_values(ascending=False, kind="stable")
    return table.loc[order.index]


def rank_table(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The models of `lib.report.tables.score_table` under the study's last protocol, by test accuracy as reproduced and
    as printed: scenario, phase, backbone, rank, printed_rank, models (how many are ranked).

    Of scenarios with two models at least, fine-tuned ones where there are two.
    """
    rows = select_own(scores, study, protocol=study.protocols[-1])
    rows = rows[rows["scenario"].isin(study.scenarios)].dropna(subset=["test_accuracy", "printed_test_accuracy"])
    cells = rows.groupby(["scenario", "phase"])
    ranks = cells[["test_accuracy", "printed_test_accuracy"]].rank(ascending=False, method="min").astype(int)
    rows = rows.assign(rank=ranks["test_accuracy"], printed_rank=ranks["printed_test_accuracy"])
    rows = rows.assign(models=cells["backbone"].transform("size")).query("models > 1")
    last = rows["phase"].map(PHASES.index)
    rows = rows[last == last.groupby(rows["scenario"]).transform("max")]
    return rows[["scenario", "phase", "backbone", "rank", "printed_rank", "models"]]


def _answer_in_words(question: str, answer: Mapping[str, Any]) -> str:
    """What a question was answered, why, and the numbers behind it."""
    text = f"{question}: {answer['outcome']}"
    text += f", {plain(answer['reason'])}" if answer["reason"] else ""
    return text + (f" ({in_words(answer['numbers'])})." if answer["numbers"] else ".")
