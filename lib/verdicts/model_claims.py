"""Claims about trained models: what the two questions are answered. A missing significance is never a no.

The rules, with the numbers of claims.yaml's `rules`:

- A number (`equals`). *Procedure*, under `by_view`: yes if the printed number lies inside the repetition interval,
  the 95 % prediction interval of one more run, and that is at most `widest` points wide; no if it lies outside.
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
from lib.verdicts.answers import (
    AGREES,
    HIGHER,
    LOWER,
    NO,
    NOT_TESTED,
    UNDECIDED,
    YES,
    Answer,
    numbers_of,
    of_all,
    points,
    shifted,
    side,
    why,
    within,
)
from lib.verdicts.claims import Check, Rules, claimed_value, compared, printed_table
from lib.verdicts.evidence import PROCEDURE, PROTOCOL_OF, Evidence


def answer_of_models(test: Check, evidence: Evidence, question: str) -> Answer:
    """The answer to one of the two questions about trained models; of several backbones each must pass."""
    if test.comparison[0] == "order":
        return _order(test, evidence, question)
    rules = {"equals": _number, "above": _above, "rank": _rank, "better_than": _better, "worse_than": _better}
    rule = rules[test.comparison[0]]
    answers = {backbone: rule(test, evidence, question, backbone) for backbone in test.own}
    if len(answers) == 1:
        return answers[test.own[0]]
    outcomes = [answer.outcome for answer in answers.values()]
    outcome = of_all(outcomes)
    decisive = {b: answer for b, answer in answers.items() if answer.outcome == outcome}
    return Answer(
        outcome,
        "; ".join(f"{backbone}: {answer.reason}" for backbone, answer in decisive.items()),
        {backbone: answer.numbers for backbone, answer in answers.items()},
        {f"{b} {what}": pair for b, answer in answers.items() for what, pair in answer.compared.items()},
    )


# ---- a number ----


def _number(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    sample = _measured(test, evidence, question, backbone)
    if isinstance(sample, str):
        return Answer(NOT_TESTED, sample)
    rules = evidence.rules
    ours = sample.interval(rules.level)
    printed, size = _printed(test, evidence, backbone, ours, sample)
    scale = 1 if test.measure == "val_loss" else 100
    numbers = numbers_of(ours, "ours", scale=scale) | {"printed": scale * printed.value}
    if question == PROCEDURE:
        run = sample.repetition(rules.level, printed)
        numbers |= {"repetition_low": scale * run.low, "repetition_high": scale * run.high} | sample.counts
        said = f"by_view gives {_of(ours, test)}, one more run [{_range(run, test)}]"
        if len(sample.runs) < MIN_FOLDS:
            said += f" (by sampling errors alone, with fewer than {MIN_FOLDS} folds)"
        said += f"; printed {_value(printed, test)}"
        if not run.holds(printed.value):
            outcome, said = NO, f"{said} lies outside"
        elif 100 * run.width > rules.widest:
            outcome = UNDECIDED
            said += f" lies inside, but the interval is wider than {rules.widest:g} points: {_more(sample)}"
        else:
            outcome, said = YES, f"{said} lies inside"
    else:
        less = difference_of_independent(ours, printed)
        numbers |= {"printed_low": scale * printed.low, "printed_high": scale * printed.high, "printed_n": size}
        numbers |= numbers_of(less, "difference", "difference_", scale) | sample.counts
        said = f"clean gives {_of(ours, test)}, {points(less)} against the printed {_value(printed, test)}"
        if not less.holds(0):
            outcome = HIGHER if less.value > 0 else LOWER
            said += f": {outcome} beyond chance"
        elif within(less, rules):
            outcome = AGREES
        else:
            outcome = UNDECIDED
            of_print = 100 * max(printed.high - printed.value, printed.value - printed.low)
            more = _more(sample)
            if of_print >= rules.margin:
                more = f"the print's {size} test images alone leave {of_print:.1f} points"
            said += f": neither beyond chance nor within {rules.margin:g} points; {more}"
    wide = sample.interval(max(rules.level, rules.apart))
    return Answer(outcome, said, numbers, {"number": (outcome in (HIGHER, LOWER), wide)})


def _printed(test: Check, evidence: Evidence, backbone: str, ours: Estimate, sample: Score) -> tuple[Estimate, int]:
    """The claimed number with the interval of its own sampling error, and its test-set size (0: not known)."""
    value = claimed_value(test, backbone) / (1 if test.measure == "val_loss" else 100)
    if test.measure == "gain":
        tuned, transfer, size = evidence.printed_gain(test.scenario, backbone)
        of_tables = difference_of_independent(tuned, transfer)
        shift = value - of_tables.value
        return Estimate(value, of_tables.low + shift, of_tables.high + shift), size
    if test.measure != "val_loss":
        return evidence.printed(value, test.scenario, test.phase, backbone, test.measure)
    # an image's loss varies in print as much as in ours, on as many images as the print has
    size = evidence.printed_size(test.scenario, test.phase, backbone, test.measure)
    half = ours.width / 2 * np.sqrt(sample.images / size) if size else 0.0
    return Estimate(value, value - float(half), value + float(half)), size


# ---- directions ----


def _above(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    sample = _measured(test, evidence, question, backbone)
    if isinstance(sample, str):
        return Answer(NOT_TESTED, sample)
    rules = evidence.rules
    ours = sample.interval(rules.level)
    lead = shifted(ours, -test.above / 100)
    outcome = side(lead, rules)
    numbers = numbers_of(ours, "ours") | {"value": test.above} | sample.counts
    said = f"{PROTOCOL_OF[question]} gives {_of(ours, test)}, to be above {test.above:g}{why(outcome, lead, rules)}"
    wide = shifted(sample.interval(max(rules.level, rules.apart)), -test.above / 100)
    return Answer(outcome, said + _then(outcome, sample), numbers, {"lead": (outcome == NO, wide)})


def _better(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    rivals, sign = (test.better_than, 1) if test.better_than else (test.worse_than, -1)
    leads, missing = _leads(test, evidence, question, backbone, rivals)
    if not leads:
        return Answer(NOT_TESTED, missing)
    rules = evidence.rules
    leads = {rival: lead if sign > 0 else lead.negated() for rival, lead in leads.items()}
    found = {rival: lead.interval(1 - rules.alpha / len(rivals)) for rival, lead in leads.items()}
    sides = {rival: side(lead, rules) for rival, lead in found.items()}
    outcome = of_all([*sides.values(), *([NOT_TESTED] if missing else [])])
    numbers = {rival: {"outcome": sides[rival]} | numbers_of(lead, "difference") for rival, lead in found.items()}
    if outcome == NOT_TESTED:
        return Answer(outcome, missing, numbers)
    decisive = [rival for rival in found if sides[rival] == outcome]
    whose = "ahead of" if sign > 0 else "behind"
    said = "; ".join(f"{points(found[r])} {whose} {r}{why(outcome, found[r], rules)}" for r in decisive)
    sample = next(iter(leads.values()))
    said = f"{PROTOCOL_OF[question]}: {said}{_then(outcome, sample)}"
    return Answer(outcome, said, numbers | sample.counts, _apart(leads, sides, rules))


def _rank(test: Check, evidence: Evidence, question: str, backbone: str) -> Answer:
    rivals = [name for name in compared() if name != backbone]
    leads, missing = _leads(test, evidence, question, backbone, rivals)
    if missing:
        return Answer(NOT_TESTED, f"a rank needs all six models; {missing}")
    rules = evidence.rules
    found = {rival: lead.interval(1 - rules.alpha / len(rivals)) for rival, lead in leads.items()}
    above = sum(lead.high < 0 for lead in found.values())
    below = sum(lead.low > 0 for lead in found.values())
    best, worst = 1 + above, len(compared()) - below
    tied = [rival for rival, lead in found.items() if lead.holds(0) and within(lead, rules)]
    if best == worst == test.rank:
        outcome = YES
    elif not best <= test.rank <= worst or tied:
        outcome = NO
    else:
        outcome = UNDECIDED
    rank = 1 + sum(lead.value < 0 for lead in found.values())
    said = f"{PROTOCOL_OF[question]}: rank {rank} of 6, by chance {best} to {worst}, claimed {test.rank}"
    if outcome == NO and best <= test.rank <= worst:
        said += f"; no difference of more than {rules.margin:g} points from {', '.join(tied)}"
    numbers = {"rank": rank, "rank_low": best, "rank_high": worst}
    numbers |= {rival: numbers_of(lead, "difference") for rival, lead in found.items()}
    sample = next(iter(leads.values()))
    # the sides that the printed table gives: whoever is on the other side, or on none, speaks against the rank
    scores = _printed_scores(test)
    leads = {rival: lead if scores[backbone] > scores[rival] else lead.negated() for rival, lead in leads.items()}
    level = 1 - rules.alpha / len(rivals)
    sides = {rival: side(lead.interval(level), rules) for rival, lead in leads.items()}
    return Answer(outcome, said + _then(outcome, sample), numbers | sample.counts, _apart(leads, sides, rules))


def _order(test: Check, evidence: Evidence, question: str) -> Answer:
    names, rules = compared(), evidence.rules
    samples, missing = _samples(test, evidence, question, names)
    if missing:
        return Answer(NOT_TESTED, f"an order needs all six models; {missing}")
    scores = _printed_scores(test)
    ours = {name: 100 * samples[name].value for name in names}
    pair = [ours[name] for name in names], [scores[name] for name in names]
    tau, p_value = (float(x) for x in kendalltau(*pair, alternative="greater"))
    p_reverse = float(kendalltau(*pair, alternative="less").pvalue)
    # every two models, the one that is printed as better first
    pairs = [sorted(two, key=scores.get, reverse=True) for two in combinations(names, 2)]
    leads = {f"{a} - {b}": difference(samples[a], samples[b]) for a, b in pairs}
    found = {name: lead.interval(1 - rules.alpha / len(pairs)) for name, lead in leads.items()}
    alike = all(within(lead, rules) for lead in found.values())
    known = np.isfinite(tau)
    if known and tau > 0 and p_value < rules.alpha:
        outcome = YES
    elif alike or (known and tau < 0 and p_reverse < rules.alpha):
        outcome = NO
    else:
        outcome = UNDECIDED
    said = f"{PROTOCOL_OF[question]}: Kendall's tau {tau:.2f}, p = {p_value:.3f}, 6 models"
    if not known:
        said = f"{PROTOCOL_OF[question]}: all six models score the same: no order"
    elif outcome == NO and alike:
        said += f"; all within {rules.margin:g} points"
    numbers = {"tau": tau if known else None, "p_value": p_value if known else None, "scores": ours}
    sample = next(iter(samples.values()))
    sides = {name: side(lead, rules) for name, lead in found.items()}
    return Answer(outcome, said + _then(outcome, sample), numbers | sample.counts, _apart(leads, sides, rules))


def _measured(test: Check, evidence: Evidence, question: str, backbone: str) -> Score | str:
    """The sample of a backbone's measure, or why there is none."""
    if test.measure == "gain":
        sample = evidence.gain(question, test.scenario, backbone)
        if sample:
            return sample
        phases = ["finetune", "transfer"]
        lacking = [p for p in phases if not evidence.folds(question, test.scenario, backbone, p, "test_accuracy")]
        if not lacking:
            return f"{backbone}, {test.scenario}: no fold was trained in both phases"
        return evidence.why_missing(question, test.scenario, backbone, lacking[0])
    sample = evidence.score(question, test.scenario, backbone, test.phase, test.measure)
    return sample or evidence.why_missing(question, test.scenario, backbone, test.phase)


def _samples(test: Check, evidence: Evidence, question: str, names: list[str]) -> tuple[dict[str, Score], str]:
    """The samples of several models on the folds that all of them trained, and why one is missing."""
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
    samples, missing = _samples(test, evidence, question, [backbone, *rivals])
    own = samples.pop(backbone, None)
    return {rival: difference(own, sample) for rival, sample in samples.items()} if own else {}, missing


def _apart(leads: dict[str, Score], sides: dict[str, str], rules: Rules) -> dict[str, tuple[bool, Estimate]]:
    """`compared` of an answer about several differences."""
    level = max(rules.level, rules.apart)
    return {name: (sides[name] == NO, lead.interval(level)) for name, lead in leads.items()}


def _printed_scores(test: Check) -> dict[str, float]:
    table = printed_table().loc[scenarios()[test.scenario].table].loc[test.phase][test.measure]
    return {name: float(table[name]) for name in compared()}


def _of(estimate: Estimate, test: Check) -> str:
    return f"{_value(estimate, test)} [{_range(estimate, test)}]"


def _value(estimate: Estimate, test: Check) -> str:
    return f"{estimate.value if test.measure == 'val_loss' else 100 * estimate.value:.2f}"


def _range(estimate: Estimate, test: Check) -> str:
    if test.measure == "val_loss":
        return f"{estimate.low:.2f}, {estimate.high:.2f}"
    return f"{100 * estimate.low:.1f}, {100 * estimate.high:.1f}"


def _then(outcome: str, sample: Score) -> str:
    return f": undecided; {_more(sample)}" if outcome == UNDECIDED else ""


def _more(sample: Score) -> str:
    """What would decide."""
    folds = len(sample.runs)
    return f"more than {folds} of ten folds would narrow it" if folds < 10 else "more seeds or images would narrow it"
