"""Every claim of params/claims.yaml against what the study measured: the rules are code, none is judged by hand.

Two questions are asked of a claim about trained models (lib.verdicts.model_claims). *Procedure*: does a repetition
under `by_view` give it? *Unseen lesions*: does it hold under `clean`? Together they make the verdict:

- impossible as printed: no test set or no confusion matrix gives it, or the paper's tables contradict it;
- not reproduced: the procedure answers no, whatever `clean` says: two errors that cancel are no reproduction;
- reproduced only with leakage: procedure yes, and under `clean` the number is worse beyond chance, or the direction is
  refuted; and what is worse there is worse than under `by_view` too: their 99 % intervals do not overlap, since the
  difference between what is significant and what is not is not itself significant (Gelman & Stern, The American
  Statistician 60:328, 2006);
- reproduced: procedure yes, and under `clean` the number agrees or is better, or the direction holds;
- undecided: tested, and none of these; the reason says what would decide it;
- not tested: the study has nothing to test it with.
"""

import pandas as pd

from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.verdicts.answers import AGREES, HIGHER, LOWER, NO, NOT_TESTED, UNDECIDED, YES, Answer
from lib.verdicts.claims import OF_MODELS, Check, Claim, Claims, describe_rule, load_claims
from lib.verdicts.contradictions import contradiction
from lib.verdicts.data_claims import answer_of_data
from lib.verdicts.evidence import PROCEDURE, UNSEEN, Evidence
from lib.verdicts.model_claims import answer_of_models

REPRODUCED = "reproduced"
LEAKAGE = "reproduced only with leakage"
NOT_REPRODUCED = "not reproduced"
IMPOSSIBLE = "impossible as printed"
VERDICTS = (REPRODUCED, LEAKAGE, NOT_REPRODUCED, IMPOSSIBLE, UNDECIDED, NOT_TESTED)
SYNTHETIC = "synthetic images"  # the reason why a claim of photographs is not tested on synthetic ones
WITHOUT_IMAGES = ("none", "test_images")  # measures that are judged without any image
DATA = "data"  # the one question of a claim that needs no model
QUESTIONS = {PROCEDURE: "Procedure", UNSEEN: "Unseen lesions", DATA: "Data"}  # name in claims.json -> as shown


def judge(paths: StudyPaths, study: Study, claims: Claims | None = None, preprocessing: str = "") -> list[dict]:
    """The verdict on every claim, as claims.json holds it.

    Args:
        paths: the study; the audits, predictions, segmentation and Grad-CAM tables are read where they are there.
        preprocessing: the input range that is judged; the study's first if empty.

    Returns:
        One dictionary per claim: id, place, where, quote, kind, test (as in the file), rule (in words), verdict,
        reason, preprocessing, and its questions: `procedure` and `unseen`, or `data` where no model is needed; each has
        outcome (lib.verdicts.answers.OUTCOMES; also on synthetic images, where nothing gets a verdict), reason and
        numbers (per cent and points; a loss in hundredths).
    """
    claims = claims or load_claims()
    evidence = Evidence(paths, study, claims.rules, preprocessing)
    return [judge_claim(claim, evidence) for claim in claims.claims]


def judge_claim(claim: Claim, evidence: Evidence) -> dict:
    """One claim's entry of `judge`."""
    test = claim.test
    if test.measure in OF_MODELS:
        answers = {question: answer_of_models(test, evidence, question) for question in (PROCEDURE, UNSEEN)}
    else:
        answers = {DATA: answer_of_data(test, evidence)}
    impossible = contradiction(test, evidence)
    if impossible:
        verdict, reason = IMPOSSIBLE, impossible
    elif evidence.study.synthetic and test.measure not in WITHOUT_IMAGES:
        verdict, reason = NOT_TESTED, SYNTHETIC
    elif DATA in answers:
        verdict = {YES: REPRODUCED, NO: NOT_REPRODUCED}.get(answers[DATA].outcome, answers[DATA].outcome)
        reason = answers[DATA].reason
    else:
        verdict, reason = _combine_questions(test, answers[PROCEDURE], answers[UNSEEN])
    return {
        **claim.model_dump(exclude={"test"}),
        "test": test.model_dump(exclude_none=True),
        "rule": describe_rule(test, evidence.rules),
        "verdict": verdict,
        "reason": reason,
        "preprocessing": evidence.preprocessing if test.measure in OF_MODELS else "",
        **{question: answer.as_json() for question, answer in answers.items()},
    }


def summary(verdicts: list[dict]) -> pd.DataFrame:
    """How many claims have each verdict: one row per kind and one for all, one column per verdict, `claims` in all."""
    table = pd.DataFrame([(claim["kind"], claim["verdict"]) for claim in verdicts], columns=["kind", "verdict"])
    counts = pd.crosstab(table["kind"], table["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    counts.loc["all"] = counts.sum()
    return counts.assign(claims=counts.sum(axis=1)).rename_axis(index="kind", columns=None).reset_index()


def as_table(verdicts: list[dict]) -> pd.DataFrame:
    """claims.json as a table: id, place, where, kind, quote, verdict, reason, rule, and the outcome of each question:
    procedure and unseen, or data; "" where the claim has none."""
    keys = ["id", "place", "where", "kind", "quote", "verdict", "reason", "rule"]
    outcomes = [{question: claim.get(question, {}).get("outcome", "") for question in QUESTIONS} for claim in verdicts]
    return pd.DataFrame(verdicts)[keys].join(pd.DataFrame(outcomes))


def _combine_questions(test: Check, procedure: Answer, unseen: Answer) -> tuple[str, str]:
    """The verdict on a claim about trained models, and why."""
    worse = HIGHER if test.measure == "val_loss" else LOWER
    better = LOWER if test.measure == "val_loss" else HIGHER
    both = f"procedure: {procedure.reason}; unseen lesions: {unseen.reason}"
    if procedure.outcome == NO:
        return NOT_REPRODUCED, f"procedure: {procedure.reason}"
    if procedure.outcome == unseen.outcome == NOT_TESTED:
        return NOT_TESTED, procedure.reason
    if procedure.outcome == YES and unseen.outcome in (YES, AGREES, better):
        return REPRODUCED, both
    if procedure.outcome == YES and unseen.outcome in (NO, worse):
        if _worse_under_clean(procedure, unseen, higher_is_worse=test.measure == "val_loss"):
            return LEAKAGE, both
        return UNDECIDED, f"{both}; but the intervals under clean and by_view overlap: more folds or images would tell"
    return UNDECIDED, both


def _worse_under_clean(procedure: Answer, unseen: Answer, higher_is_worse: bool) -> bool:
    """Whether something that `clean` has against the claim is worse than under `by_view`: their intervals are apart."""
    pairs = [
        (under_clean, procedure.intervals[what][1])
        for what, (against, under_clean) in unseen.intervals.items()
        if against and what in procedure.intervals
    ]
    return any(clean.low > ours.high if higher_is_worse else clean.high < ours.low for clean, ours in pairs)
