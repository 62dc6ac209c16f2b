"""Every claim of params/claims.yaml against what the study measured, by rules.

Of printed numbers: can the claim be true of the paper's own tables (`possible`), and can their difference carry it
(`carried`)? Of runs: do our default choices reach it (`default`), does any other choice that was tried (`choices`), and
does `clean` agree (`unseen`)? Claims about the data set and about arithmetic have one question, `data`.
"""

from dataclasses import asdict, replace

import pandas as pd
from statsmodels.stats.multitest import multipletests

from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.verdicts.answers import NO, NOT_TESTED, UNDECIDED, YES, Answer
from lib.verdicts.claims import OF_MODELS, Check, Claim, Claims, claimed_value, load_claims
from lib.verdicts.data_claims import answer_of_data
from lib.verdicts.evidence import Evidence
from lib.verdicts.model_claims import answer_of_choices, answer_under
from lib.verdicts.printed_claims import judge_carried, judge_possible

HOLDS = "holds"
LEAKAGE = "holds only with leakage"
CHOICES = "depends on open choices"
NOT_REACHED = "not reached"
UNSUPPORTED = "not supported by the printed numbers"
CONTRADICTED = "contradicted by the paper itself"
VERDICTS = (HOLDS, LEAKAGE, CHOICES, NOT_REACHED, UNSUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTED)
SYNTHETIC = "synthetic images"  # the reason why a claim of photographs is not tested on synthetic ones
WITHOUT_IMAGES = ("none", "split_ratio")  # measures that are judged without any image
QUESTIONS = {  # name in claims.json -> as shown
    "possible": "Can be", "carried": "Can be significant", "default": "Default choices", "choices": "Other choices",
    "unseen": "Unseen lesions", "data": "Data",
}  # fmt: skip
Answers = dict[str, Answer]  # question -> answer


def judge(paths: StudyPaths, study: Study, claims: Claims | None = None) -> list[dict]:
    """The verdict on every claim, as claims.json holds it.

    Returns:
        One dictionary per claim: its entry in params/claims.yaml, verdict, reason, and for each of its QUESTIONS
        outcome (also on synthetic images, where nothing gets a verdict), reason and numbers (per cent and points).
    """
    claims = claims or load_claims()
    evidence = Evidence(paths, study, claims.rules)
    answers = [answer_questions(claim.test, evidence) for claim in claims.claims]
    for question in ("default", "choices", "unseen"):
        correct_numbers(question, [claim.test for claim in claims.claims], answers, claims.rules.alpha)
    return [_entry(claim, found, evidence) for claim, found in zip(claims.claims, answers)]


def answer_questions(test: Check, evidence: Evidence) -> Answers:
    """The answer to each question that is asked of a claim; a no about a number is not yet corrected."""
    if test.measure not in OF_MODELS:
        return {"data": answer_of_data(test, evidence)}
    found = {"possible": judge_possible(test, evidence), "carried": judge_carried(test, evidence)}
    found["default"] = answer_under(test, evidence, evidence.default)
    found["choices"] = answer_of_choices(test, evidence, found["default"])
    found["unseen"] = answer_under(test, evidence, evidence.clean)
    return {question: answer for question, answer in found.items() if answer}


def correct_numbers(question: str, tests: list[Check], answers: list[Answers], alpha: float) -> None:
    """Judge the numbers of a study together: a no that Holm's correction does not leave becomes undecided."""
    family, p_values = [], {}  # a number that several claims state is one
    for test, found in zip(tests, answers):
        if question in found and "p_value" in found[question].numbers:
            row = test.measure, test.scenario, test.phase, test.backbone, claimed_value(test, test.backbone)
            family.append((row, found))
            p_values[row] = found[question].numbers["p_value"]
    corrected = dict(zip(p_values, multipletests([*p_values.values()], method="holm")[1])) if p_values else {}
    for row, found in family:
        answer, p_holm = found[question], float(corrected[row])
        found[question] = replace(answer, numbers=answer.numbers | {"p_holm": p_holm})
        if answer.outcome == NO and p_holm >= alpha:
            reason = f"{answer.reason}, but not beyond chance among {len(p_values)} numbers (Holm p = {p_holm:.2f})"
            found[question] = replace(found[question], outcome=UNDECIDED, reason=reason)


def decide(found: Answers) -> tuple[str, list[str]]:
    """The verdict, and the questions whose answers are its reason."""
    for question, verdict in (("possible", CONTRADICTED), ("carried", UNSUPPORTED)):
        if question in found and found[question].outcome == NO:
            return verdict, [question]
    if "data" in found:
        return {YES: HOLDS, NO: NOT_REACHED}.get(found["data"].outcome, found["data"].outcome), ["data"]
    default, choices, unseen = (found[question].outcome for question in ("default", "choices", "unseen"))
    if default == choices == unseen == NOT_TESTED:
        return NOT_TESTED, ["default"]
    if default == YES:
        return {YES: HOLDS, NO: LEAKAGE}.get(unseen, UNDECIDED), ["default", "unseen"]
    if default == NO and choices in (YES, NO, NOT_TESTED):
        return CHOICES if choices == YES else NOT_REACHED, ["default", "choices"]
    return UNDECIDED, ["default", "choices"]


def as_table(verdicts: list[dict]) -> pd.DataFrame:
    """claims.json as a table: id, place, where, kind, quote, verdict, reason, and the outcome of each of QUESTIONS; ""
    where the claim has none."""
    keys = ["id", "place", "where", "kind", "quote", "verdict", "reason"]
    outcomes = [{question: claim.get(question, {}).get("outcome", "") for question in QUESTIONS} for claim in verdicts]
    return pd.DataFrame(verdicts)[keys].join(pd.DataFrame(outcomes))


def _entry(claim: Claim, found: Answers, evidence: Evidence) -> dict:
    """A claim's entry of `judge`."""
    verdict, questions = decide(found)
    said = [found[name].reason for name in questions if (name, found[name].outcome) != ("choices", NOT_TESTED)]
    reason = "; ".join(said)
    of_print = verdict in (CONTRADICTED, UNSUPPORTED)
    if evidence.study.synthetic and claim.test.measure not in WITHOUT_IMAGES and not of_print:
        verdict, reason = NOT_TESTED, SYNTHETIC
    elif "default" in found and not of_print and verdict != NOT_TESTED:
        tried = found["choices"].numbers["tried"]
        classes = evidence.classes(evidence.default, claim.test.scenario)
        reason += f" (ImageNet weights, {classes}, {tried} {'choice' if tried == 1 else 'choices'} tried)"
    entry = claim.model_dump(exclude={"test"}) | {"test": claim.test.model_dump(exclude_none=True)}
    return entry | {"verdict": verdict, "reason": reason} | {name: asdict(answer) for name, answer in found.items()}
