"""The claims as tables: all of them, those of one kind in one line, and what is not known."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lib.config.paper import backbones
from lib.config.params import Study
from lib.report.wording import in_words, plain
from lib.verdicts.answers import NOT_TESTED, UNDECIDED
from lib.verdicts.judging import QUESTIONS, VERDICTS, WITHOUT_IMAGES, as_table

OPEN = (UNDECIDED, NOT_TESTED)


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


def merge_claims(table: pd.DataFrame) -> pd.DataFrame:
    """The decided claims of `claims_table`, one row per verdict and kind: how many, where they stand and the first
    reason; folded, each claim with its own."""
    rows = []
    for (verdict, kind), own in table[~table["verdict"].isin(OPEN)].groupby(["verdict", "kind"], sort=False):
        row = {"verdict": verdict, "claims": len(own), "kind": kind, "where": ", ".join(dict.fromkeys(own["where"]))}
        lines = [f"{one['where']}: “{one['quote']}” {one['reason']}." for one in own.to_dict("records")]
        first = f"{own['reason'].iloc[0]}." + (f" And {len(own) - 1} more." if len(own) > 1 else "")
        rows.append(row | {"reason": first, "reason_details": lines})
    return pd.DataFrame(rows)


def not_known(claims: Sequence[Mapping[str, Any]], study: Study) -> pd.DataFrame:
    """The claims that are not decided, one row per verdict and what would tell: how many, why, and the command."""
    rows: dict[tuple, list[str]] = {}
    absent = [name for name in backbones() if name not in study.backbones]
    for claim in claims:
        if claim["verdict"] in OPEN:
            line = f"{claim['where']}: “{claim['quote']}” {plain(claim['reason'])}."
            rows.setdefault((claim["verdict"], *_what_would_tell(claim, study, absent)), []).append(line)
    keys = ["verdict", "reason", "command"]
    counted = [dict(zip(keys, key)) | {"claims": len(own), "reason_details": own} for key, own in rows.items()]
    return pd.DataFrame(sorted(counted, key=lambda row: -row["claims"]))


def _what_would_tell(claim: Mapping[str, Any], study: Study, absent: Sequence[str]) -> tuple[str, str]:
    """Why a claim is not decided, and the command that would tell; `absent` are the networks that the study lacks."""
    test, named = claim["test"], claim["test"].get("backbone") or []
    named = {named} if isinstance(named, str) else {*named}
    if claim["verdict"] == UNDECIDED:
        more = "more folds, seeds or epochs in a copy of the study file, then `python run_all.py FILE --data DIR`"
        return "The runs leave it open.", more
    if test["measure"] == "none":
        return "No measurement of these images tells it.", "no run of this software"
    if test["measure"] in ("segmentation_dice", "gradcam_focus"):
        return "There are no true masks.", "`python run_all.py STUDY --data DIR --masks DIR`"
    if test["measure"] == "label_error_share":
        return "There are no official diagnoses.", "`python run_all.py STUDY --data DIR --metadata FILE`"
    if named & {*absent} and not (test.get("rank") or test.get("better_than") or test.get("worse_than")):
        only = f" --only backbone={','.join(absent)}"
        return f"Networks that were not run: {', '.join(absent)}.", f"`python run_all.py paper{only} --data DIR`"
    return "It needs all networks with ImageNet weights.", "`python run_all.py paper --data DIR`"


def _answer_in_words(question: str, answer: Mapping[str, Any]) -> str:
    """What a question was answered, why, and the numbers behind it."""
    text = f"{question}: {answer['outcome']}{answer['reason'] and ', '}{plain(answer['reason'])}"
    return text + (f" ({in_words(answer['numbers'])})." if answer["numbers"] else ".")
