"""Claims about trained models: what the two questions are answered. A missing significance is never a no.

The rules, with the numbers of claims.yaml's `rules`:

- A number (`equals`). *Procedure*, under `by_view`: yes if the printed number lies inside the 95 % prediction interval
  of one more run, and that is at most `max_interval_width` points wide; no if it lies outside.
  *Unseen lesions*, under `clean`: agrees if the 95 % interval of (clean - printed) holds 0 and lies within `margin`
  points, higher or lower if it excludes 0. The printed number's own sampling error is Wilson's at the test-set size
  that the audit infers, joined with ours by Newcombe's square-and-add. A loss counts in hundredths.
- A direction (`above`, `better_than`, `worse_than`, `rank`, `order`), under each protocol: yes if the interval of the
  difference lies above 0 on the claim's side; no if it lies below 0, or holds 0 and lies within `margin` points: then
  there is no difference that matters. Several rivals: Bonferroni-corrected.

Models are compared, and phases for a gain, image by image on the folds that all of them trained.
"""

from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from lib.config.paper import scenarios
from lib.scores.estimates import Score, difference
from lib.scores.resampling import MIN_FOLDS, Estimate, difference_of_independent
from lib.verdicts import answers
from lib.verdicts.answers import NO, NOT_TESTED, UNDECIDED, YES, Answer, in_points, numbers_of, within_margin
from lib.verdicts.claims import Check, Rules, claimed_value, paper_backbones, printed_table
from lib.verdicts.evidence import PROCEDURE, PROTOCOL_OF, Evidence


def answer_of_models(test: Check, evidence: Evidence, question: str) -> Answer:
    """The answer to one of the two questions about trained models; of several backbones each must pass."""
    if test.comparison[0] == "order":
        return _order(test, evidence, question)
    rules = {"equals": _number, "above": _above, "rank": _rank, "better_than": _better, "worse_than": _better}
    rule = rules[test.comparison[0]]
    found = {backbone: rule(test, evidence, question, backbone) for backbone in test.own_backbones}
    if len(found) == 1:
        return found[test.own_backbones[0]]
    outcome = answers.combine([answer.outcome for answer in found.values()])
    decisive = {b: answer for b, answer in found.items() if answer.outcome == outcome}
    return Answer(
        outcome,
        "; ".join(f"{backbone}: {answer.reason}" for backbone, answer in decisive.items()),
        {backbone: answer.numbers for backbone, answer in found.items()},
        {f"{b} {what}": pair for b, answer in found.items() for what, pair in answer.intervals.items()},
    )


def _number(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    score = _score(test, evidence, question, backbone)
    if isinstance(score, str):
        return Answer(NOT_TESTED, score)
    rules = evidence.rules
    ours = score.interval(rules.level)
    printed, size = _printed(test, evidence, backbone, ours, score)
    judge = _number_of_procedure if question == PROCEDURE else _number_on_unseen_lesions
    outcome, reason, numbers = judge(test, rules, score, ours, printed, size)
    scale = 1 if test.measure == "val_loss" else 100
    numbers = {name: scale * value for name, value in numbers.items()}
    numbers = numbers_of(ours, "ours", scale=scale) | {"printed": scale * printed.value} | numbers | score.counts
    if question != PROCEDURE:
        numbers["printed_n"] = size
    wide = score.interval(max(rules.level, rules.leakage_level))
    return Answer(outcome, reason, numbers, {"number": (outcome in (answers.HIGHER, answers.LOWER), wide)})


def _number_of_procedure(
    test: Check, rules: Rules, score: Score, ours: Estimate, printed: Estimate, size: int
) -> tuple[str, str, dict[str, float]]:
    run = score.repetition(rules.level, printed)
    reason = f"by_view gives {_with_range(ours, test)}, one more run [{_range(run, test)}]"
    if len(score.runs) < MIN_FOLDS:
        reason += f" (by sampling errors alone, with fewer than {MIN_FOLDS} folds)"
    reason += f"; printed {_value(printed, test)}"
    numbers = {"repetition_low": run.low, "repetition_high": run.high}
    if not run.contains(printed.value):
        return NO, f"{reason} lies outside", numbers
    if 100 * run.width > rules.max_interval_width:
        reason += f" lies inside, but the interval is wider than {rules.max_interval_width:g} points"
        return UNDECIDED, f"{reason}: {_what_decides(score)}", numbers
    return YES, f"{reason} lies inside", numbers


def _number_on_unseen_lesions(
    test: Check, rules: Rules, score: Score, ours: Estimate, printed: Estimate, size: int
) -> tuple[str, str, dict[str, float]]:
    minus = difference_of_independent(ours, printed)
    numbers = {"printed_low": printed.low, "printed_high": printed.high}
    numbers |= numbers_of(minus, "difference", "difference_", scale=1)
    reason = f"clean gives {_with_range(ours, test)}, {in_points(minus)} against the printed {_value(printed, test)}"
    if not minus.contains(0):
        outcome = answers.HIGHER if minus.value > 0 else answers.LOWER
        return outcome, f"{reason}: {outcome} beyond chance", numbers
    if within_margin(minus, rules):
        return answers.AGREES, reason, numbers
    error = 100 * max(printed.high - printed.value, printed.value - printed.low)
    more = f"the paper's {size} test images alone leave {error:.1f} points" if error >= rules.margin else ""
    reason += f": neither beyond chance nor within {rules.margin:g} points; {more or _what_decides(score)}"
    return UNDECIDED, reason, numbers


def _printed(test: Check, evidence: Evidence, backbone: str, ours: Estimate, score: Score) -> tuple[Estimate, int]:
    """The claimed number with the interval of its own sampling error, and its test-set size (0: not known)."""
    value = claimed_value(test, backbone) / (1 if test.measure == "val_loss" else 100)
    if test.measure == "gain":
        tuned, transfer, size = evidence.printed_gain(test.scenario, backbone)
        of_tables = difference_of_independent(tuned, transfer)
        return answers.shifted(of_tables, value - of_tables.value), size
    if test.measure != "val_loss":
        return evidence.printed(value, test.scenario, test.phase, backbone, test.measure)
    # an image's loss varies in print as much as in ours, on as many images as were printed of
    size = evidence.printed_size(test.scenario, test.phase, backbone, test.measure)
    half = ours.width / 2 * np.sqrt(score.images / size) if size else 0.0
    return Estimate(value, value - float(half), value + float(half)), size


def _above(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    score = _score(test, evidence, question, backbone)
    if isinstance(score, str):
        return Answer(NOT_TESTED, score)
    rules, target = evidence.rules, test.above / 100
    ours = score.interval(rules.level)
    lead = answers.shifted(ours, -target)
    outcome = answers.judge_lead(lead, rules)
    numbers = numbers_of(ours, "ours") | {"value": test.above} | score.counts
    reason = f"{PROTOCOL_OF[question]} gives {_with_range(ours, test)}, to be above {test.above:g}"
    reason += answers.reason_for_no(outcome, lead, rules) + _if_undecided(outcome, score)
    wide = answers.shifted(score.interval(max(rules.level, rules.leakage_level)), -target)
    return Answer(outcome, reason, numbers, {"lead": (outcome == NO, wide)})


def _better(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    rivals, sign = (test.better_than, 1) if test.better_than else (test.worse_than, -1)
    leads, missing = _leads(test, evidence, question, backbone, rivals)
    if not leads:
        return Answer(NOT_TESTED, missing)
    rules = evidence.rules
    leads = {rival: lead if sign > 0 else lead.negated() for rival, lead in leads.items()}
    found = _corrected(leads, rules, len(rivals))
    sides = {rival: answers.judge_lead(lead, rules) for rival, lead in found.items()}
    outcome = answers.combine([*sides.values(), *([NOT_TESTED] if missing else [])])
    numbers = {rival: {"outcome": sides[rival]} | numbers_of(lead, "difference") for rival, lead in found.items()}
    if outcome == NOT_TESTED:
        return Answer(outcome, missing, numbers)
    place = "ahead of" if sign > 0 else "behind"
    decisive = [
        f"{in_points(lead)} {place} {rival}{answers.reason_for_no(outcome, lead, rules)}"
        for rival, lead in found.items()
        if sides[rival] == outcome
    ]
    score = next(iter(leads.values()))
    reason = f"{PROTOCOL_OF[question]}: {'; '.join(decisive)}{_if_undecided(outcome, score)}"
    return Answer(outcome, reason, numbers | score.counts, _leakage_intervals(leads, sides, rules))


def _rank(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    models, rules = len(paper_backbones()), evidence.rules
    rivals = [name for name in paper_backbones() if name != backbone]
    leads, missing = _leads(test, evidence, question, backbone, rivals)
    if missing:
        return Answer(NOT_TESTED, f"a rank needs all {models} models; {missing}")
    found = _corrected(leads, rules, len(rivals))
    best = 1 + sum(lead.high < 0 for lead in found.values())
    worst = models - sum(lead.low > 0 for lead in found.values())
    tied = [rival for rival, lead in found.items() if lead.contains(0) and within_margin(lead, rules)]
    outcome = NO if tied or not best <= test.rank <= worst else YES if best == worst else UNDECIDED
    rank = 1 + sum(lead.value < 0 for lead in found.values())
    reason = f"{PROTOCOL_OF[question]}: rank {rank} of {models}, by chance {best} to {worst}, claimed {test.rank}"
    if outcome == NO and best <= test.rank <= worst:
        reason += f"; no difference of more than {rules.margin:g} points from {', '.join(tied)}"
    numbers = {"rank": rank, "rank_low": best, "rank_high": worst}
    numbers |= {rival: numbers_of(lead, "difference") for rival, lead in found.items()}
    score = next(iter(leads.values()))
    # the sides that the printed table gives: a model on the other side, or on none, speaks against the rank
    scores = _printed_scores(test)
    leads = {rival: lead if scores[backbone] > scores[rival] else lead.negated() for rival, lead in leads.items()}
    sides = {rival: answers.judge_lead(lead, rules) for rival, lead in _corrected(leads, rules, len(rivals)).items()}
    intervals = _leakage_intervals(leads, sides, rules)
    return Answer(outcome, reason + _if_undecided(outcome, score), numbers | score.counts, intervals)


def _order(test: Check, evidence: Evidence, question: str) -> Answer:
    names, rules = paper_backbones(), evidence.rules
    scores, missing = _scores(test, evidence, question, names)
    if missing:
        return Answer(NOT_TESTED, f"an order needs all {len(names)} models; {missing}")
    printed = _printed_scores(test)
    ours = {name: 100 * scores[name].value for name in names}
    both = [ours[name] for name in names], [printed[name] for name in names]
    tau, p_value = (float(x) for x in kendalltau(*both, alternative="greater"))
    p_reverse = float(kendalltau(*both, alternative="less").pvalue)
    # every two models, the one that is printed as better first
    pairs = [sorted(two, key=printed.get, reverse=True) for two in combinations(names, 2)]
    leads = {f"{a} - {b}": difference(scores[a], scores[b]) for a, b in pairs}
    found = _corrected(leads, rules, len(pairs))
    alike = all(within_margin(lead, rules) for lead in found.values())
    known = np.isfinite(tau)
    if known and tau > 0 and p_value < rules.alpha:
        outcome = YES
    else:
        outcome = NO if alike or (known and tau < 0 and p_reverse < rules.alpha) else UNDECIDED
    reason = f"Kendall's tau {tau:.2f}, p = {p_value:.3f}, {len(names)} models"
    if not known:
        reason = f"all {len(names)} models score the same: no order"
    elif outcome == NO and alike:
        reason += f"; all within {rules.margin:g} points"
    numbers = {"tau": tau if known else None, "p_value": p_value if known else None, "scores": ours}
    score = next(iter(scores.values()))
    reason = f"{PROTOCOL_OF[question]}: {reason}{_if_undecided(outcome, score)}"
    sides = {name: answers.judge_lead(lead, rules) for name, lead in found.items()}
    return Answer(outcome, reason, numbers | score.counts, _leakage_intervals(leads, sides, rules))


def _score(test: Check, evidence: Evidence, question: str, backbone: str) -> Score | str:
    """The score of a backbone, or why there is none."""
    if test.measure == "gain":
        for phase in ("finetune", "transfer"):
            if not evidence.folds(question, test.scenario, backbone, phase, "test_accuracy"):
                return evidence.why_missing(question, test.scenario, backbone, phase)
        score = evidence.gain(question, test.scenario, backbone)
        return score or f"{backbone}, {test.scenario}: no fold was trained in both phases"
    score = evidence.score(question, test.scenario, backbone, test.phase, test.measure)
    return score or evidence.why_missing(question, test.scenario, backbone, test.phase)


def _scores(test: Check, evidence: Evidence, question: str, names: tuple[str, ...]) -> tuple[dict[str, Score], str]:
    """The scores of several models on the folds that all of them trained, and why one is missing."""
    cell = (question, test.scenario)
    folds = {name: evidence.folds(*cell, name, test.phase, test.measure) for name in names}
    missing = [evidence.why_missing(*cell, name, test.phase) for name, trained in folds.items() if not trained]
    common = frozenset(set.intersection(*[trained for trained in folds.values() if trained] or [set()]))
    found = {n: evidence.score(*cell, n, test.phase, test.measure, common) for n in names if folds[n]}
    if None in found.values():
        return {}, f"{', '.join(found)}: no fold was trained by all of them"
    return found, missing[0] if missing else ""


def _leads(
    test: Check, evidence: Evidence, question: str, backbone: str, rivals: list[str]
) -> tuple[dict[str, Score], str]:
    """How far a model is ahead of each rival, image by image, and why one is missing."""
    scores, missing = _scores(test, evidence, question, (backbone, *rivals))
    own = scores.pop(backbone, None)
    return {rival: difference(own, score) for rival, score in scores.items()} if own else {}, missing


def _corrected(leads: dict[str, Score], rules: Rules, comparisons: int) -> dict[str, Estimate]:
    """The intervals of differences, Bonferroni-corrected for so many comparisons."""
    return {name: lead.interval(1 - rules.alpha / comparisons) for name, lead in leads.items()}


def _leakage_intervals(leads: dict[str, Score], sides: dict[str, str], rules: Rules) -> answers.Intervals:
    """`intervals` of an answer about several differences."""
    level = max(rules.level, rules.leakage_level)
    return {name: (sides[name] == NO, lead.interval(level)) for name, lead in leads.items()}


def _printed_scores(test: Check) -> dict[str, float]:
    table = printed_table().loc[scenarios()[test.scenario].table].loc[test.phase][test.measure]
    return {name: float(table[name]) for name in paper_backbones()}


def _with_range(estimate: Estimate, test: Check) -> str:
    return f"{_value(estimate, test)} [{_range(estimate, test)}]"


def _value(estimate: Estimate, test: Check) -> str:
    return f"{estimate.value if test.measure == 'val_loss' else 100 * estimate.value:.2f}"


def _range(estimate: Estimate, test: Check) -> str:
    if test.measure == "val_loss":
        return f"{estimate.low:.2f}, {estimate.high:.2f}"
    return f"{100 * estimate.low:.1f}, {100 * estimate.high:.1f}"


def _if_undecided(outcome: str, score: Score) -> str:
    return f": undecided; {_what_decides(score)}" if outcome == UNDECIDED else ""


def _what_decides(score: Score) -> str:
    folds = len(score.runs)
    return f"more than {folds} of ten folds would narrow it" if folds < 10 else "more seeds or images would narrow it"
