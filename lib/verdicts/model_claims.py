"""What the runs of one choice, or of all choices that were tried, answer to a claim about trained models."""

import numpy as np
from scipy import stats

from lib.config.paper import scenarios
from lib.data.folds import FOLDS
from lib.scores.choices import reached_by_chance
from lib.scores.estimates import Score, difference
from lib.scores.printed import other_weights
from lib.scores.resampling import MIN_FOLDS, Estimate, difference_of_independent, wilson
from lib.verdicts.answers import NO, NOT_TESTED, UNDECIDED, YES, Answer, combine, judge_lead, numbers_of, with_interval
from lib.verdicts.claims import SCORES, Check, claimed_sides, claimed_value, printed_table
from lib.verdicts.evidence import Choice, Evidence, Missing

TUNED = ("finetune", "transfer")  # a gain is the difference of the two


def answer_under(test: Check, evidence: Evidence, choice: Choice) -> Answer:
    """The answer of one choice; of several backbones each must pass."""
    involved = [*test.own_backbones, *test.rivals]
    if notes := [*filter(None, (other_weights(evidence.study, name, choice.variant) for name in involved))]:
        return Answer(NOT_TESTED, notes[0])
    rule = _directed if test.equals is None else _on_unseen_lesions if choice == evidence.clean else _by_repetition
    try:
        found = [rule(test, evidence, choice, name) for name in test.own_backbones]
    except Missing as missing:
        return Answer(NOT_TESTED, str(missing))
    outcome = combine([answer.outcome for answer in found])
    reason = "; ".join(answer.reason for answer in found if answer.outcome == outcome)
    numbers = {name: answer.numbers for name, answer in zip(test.own_backbones, found)}
    if outcome == UNDECIDED:
        folds = found[0].numbers["folds"]
        reason += f"; more {'images' if folds == FOLDS else f'than {folds} of ten folds'} would tell"
    tuned = involved if test.phase != "transfer" and outcome == NO else []
    if cut_short := [name for name in tuned if evidence.cut_short(choice, test.scenario, name)]:
        reason += f", but fine-tuning of {', '.join(cut_short)} may have ended too early; more epochs would tell"
        outcome = UNDECIDED
    return Answer(outcome, reason, numbers if len(found) > 1 else found[0].numbers)


def answer_of_choices(test: Check, evidence: Evidence, default: Answer) -> Answer:
    """Whether any choice but the default reaches the claim: yes if one does, no if all say no."""
    others = {choice: answer_under(test, evidence, choice) for choice in evidence.choices[1:]}
    others = {choice: answer for choice, answer in others.items() if answer.outcome != NOT_TESTED}
    tried = [answer for answer in (default, *others.values()) if answer.outcome != NOT_TESTED]
    if not others:
        return Answer(NOT_TESTED, "no other choice was tried", {"tried": len(tried)})
    p_values = [answer.numbers["p_value"] for answer in tried if test.equals is not None]
    numbers = {"tried": len(tried)} | ({"p_value": max(p_values)} if p_values else {})  # all choices must exclude it
    reached = [choice.name for choice, answer in others.items() if answer.outcome == YES]
    left = sum(answer.outcome == UNDECIDED for answer in others.values())
    how_many = f"{len(reached) or left or 'none'} of {len(others)} other choices tried"
    by = "the other choice tried" if len(others) == 1 and (reached or left) else how_many
    if not reached:
        return Answer(UNDECIDED if left else NO, f"{'left open' if left else 'reached'} by {by}", numbers)
    reason = f"reached by {by} ({'; '.join(reached)})"
    if test.measure in SCORES and test.equals is not None:
        ends = [[answer.numbers[f"repetition_{end}"] / 100 for end in ("low", "high")] for answer in tried]
        numbers["by_chance"] = reached_by_chance(ends, test.scenario)
        reason += f"; of {len(tried)} choices {numbers['by_chance']:.1f} would reach a random number"
    return Answer(YES, reason, numbers | {"reached": reached})


def _by_repetition(test: Check, evidence: Evidence, choice: Choice, backbone: str) -> Answer:
    """Yes inside the interval of one more run like the paper's; lib.verdicts.judging corrects a no for all numbers."""
    rules, score = evidence.rules, _score(test, evidence, choice, backbone)
    printed = _printed(test, evidence, backbone)
    run, folds = score.repetition(rules.level, printed), len(score.runs)
    reason = f"one more run under {choice.protocol} gives {_shown(test, run.low, run.high)}"
    reason += f" ({folds} folds)" if folds >= MIN_FOLDS else " (by sampling errors alone)"
    sure = YES if 100 * run.width <= rules.max_interval_width else UNDECIDED
    outcome = sure if run.contains(printed.value) else NO
    does = {YES: "which contains", NO: "which excludes", UNDECIDED: "too wide to confirm"}[outcome]
    reason += f", {does} the printed {_shown(test, printed.value)}"
    numbers = numbers_of(score.interval(rules.level), "ours") | numbers_of(run, "run", "repetition_")
    numbers |= {"printed": 100 * printed.value, "p_value": _p_value(printed.value, run, folds, rules.level)}
    return Answer(outcome, reason, numbers | score.counts)


def _on_unseen_lesions(test: Check, evidence: Evidence, choice: Choice, backbone: str) -> Answer:
    """Yes if `clean` is lower than printed by no more than the margin; no if it is lower beyond chance, and lower than
    under the default choices, too: the printed number may lie high by chance."""
    rules, score = evidence.rules, _score(test, evidence, choice, backbone)
    ours, printed = score.interval(rules.level), _printed(test, evidence, backbone)
    minus = difference_of_independent(ours, printed)
    leak = difference_of_independent(ours, _score(test, evidence, evidence.default, backbone).interval(rules.level))
    if minus.high >= 0:
        outcome = YES if 100 * minus.low >= -rules.margin else UNDECIDED
        what = "agrees or is higher" if outcome == YES else "leaves open whether it agrees"
    else:
        outcome = NO if leak.high < 0 else UNDECIDED
        what = "is lower than printed beyond chance" + ("" if outcome == NO else ", but not than under by_view")
    shown = with_interval(ours, "", "points" if test.measure == "gain" else "%")
    reason = f"{choice.protocol} gives {shown} in {evidence.classes(choice, test.scenario)}, which {what}"
    numbers = numbers_of(ours, "ours") | numbers_of(printed, "printed", "printed_")
    numbers["p_value"] = max(_p_value(0, lower, 1, rules.level) if lower.value < 0 else 1.0 for lower in (minus, leak))
    return Answer(outcome, reason, numbers | numbers_of(minus, "difference", "difference_") | score.counts)


def _directed(test: Check, evidence: Evidence, choice: Choice, backbone: str) -> Answer:
    """The score is above a number, or each rival is on its side of it; Bonferroni-corrected for so many rivals."""
    level = 1 - (1 - evidence.rules.level) / max(1, len(test.rivals))
    if test.above is not None:
        own, what = _score(test, evidence, choice, backbone), f"{test.above:g}"
        found = {what: own.interval(level).shifted(-test.above / 100)}
        words = {
            what: f"points above {what} %"
            if test.phase
            else f"points{f' beyond {what}' if test.above else ''} by fine-tuning"
        }
    else:
        models, sides = tuple((name, test.phase) for name in (backbone, *test.rivals)), claimed_sides(test, backbone)
        own, *scores = evidence.scores(choice, test.scenario, models, test.measure)
        words = {rival: f"points {'ahead of' if side > 0 else 'behind'} {rival}" for rival, side in sides.items()}
        found = {rival: difference(own, score).interval(level) for rival, score in zip(test.rivals, scores)}
        found = {rival: lead if sides[rival] > 0 else lead.negated() for rival, lead in found.items()}
    outcomes = {what: judge_lead(lead) for what, lead in found.items()}
    outcome = combine([*outcomes.values()])
    numbers = {what: {"outcome": outcomes[what]} | numbers_of(lead, "difference") for what, lead in found.items()}
    shown = [with_interval(found[what], unit=words[what]) for what in found if outcomes[what] == outcome]
    reason = f"under {choice.protocol} {backbone} {'is' if test.phase else 'gains'} {', '.join(shown)}"
    return Answer(outcome, reason, numbers | own.counts)


def _score(test: Check, evidence: Evidence, choice: Choice, backbone: str) -> Score:
    """The score of a backbone; a gain is paired image by image on the folds that both phases trained."""
    phases = TUNED if test.measure == "gain" else [test.phase]
    models = tuple((backbone, phase) for phase in phases)
    scores = evidence.scores(choice, test.scenario, models, test.measure)
    return difference(*scores) if len(scores) > 1 else scores[0]


def _printed(test: Check, evidence: Evidence, backbone: str) -> Estimate:
    """The claimed number with the interval of its own sampling error."""
    value = claimed_value(test, backbone) / 100
    phases = TUNED if test.measure == "gain" else [test.phase]
    sizes = [evidence.printed_size(test.scenario, phase, backbone, test.measure) for phase in phases]
    if test.measure != "gain":
        return wilson(value, *sizes, evidence.rules.level)
    table = printed_table().loc[scenarios()[test.scenario].table]["test_accuracy"] / 100
    ends = [wilson(table[phase, backbone], size, evidence.rules.level) for phase, size in zip(phases, sizes)]
    of_tables = difference_of_independent(*ends)
    return of_tables.shifted(value - of_tables.value)


def _p_value(printed: float, run: Estimate, folds: int, level: float) -> float:
    """How likely a number lies as far from an estimate as the printed one: by Student's t of the folds, or normal."""
    degrees = folds - 1 if folds >= MIN_FOLDS else np.inf
    half = run.high - run.value if printed > run.value else run.value - run.low
    if half <= 0:
        return float(printed == run.value)
    quantile = abs(printed - run.value) / half * stats.t.ppf((1 + level) / 2, degrees)
    return float(2 * stats.t.sf(quantile, degrees))


def _shown(test: Check, *numbers: float) -> str:
    """Fractions of 1 as `71.62 %` or `68.5 to 74.7 %`; of a gain in points."""
    unit = " points" if test.measure == "gain" else " %"
    return " to ".join([f"{100 * number:.{3 - len(numbers)}f}" for number in numbers]) + unit
