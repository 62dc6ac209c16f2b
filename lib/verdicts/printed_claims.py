"""What printed numbers alone say: can a claim be true of the paper's tables, and can their difference carry it?"""

from scipy.stats import binom

from lib.config.paper import scenarios
from lib.config.params import PHASES
from lib.config.printed import roman
from lib.scores.printed import audited_table
from lib.verdicts.answers import NO, NOT_TESTED, UNDECIDED, YES, Answer
from lib.verdicts.claims import SCORES, Check, claimed_sides, printed_table
from lib.verdicts.evidence import Evidence

COUNTED = ("test_accuracy", "recall", "gain")  # measures that are numbers of right images
RESTS_ON = {"gain": "test_accuracy"}  # measure -> the printed one that it rests on; a gain on that of both phases


def judge_possible(test: Check, evidence: Evidence) -> Answer:
    """Whether the claim can be true of the printed tables; of an audited number, of any test set."""
    table = scenarios()[test.scenario].table
    for backbone in test.own_backbones:
        reason = _against_table(test, table, backbone)
        for phase in ([test.phase] if test.phase else PHASES) if test.comparison[0] == "equals" else []:
            reason = reason or _row_error(evidence, table, phase, backbone, RESTS_ON.get(test.measure, test.measure))
        if reason:
            return Answer(NO, f"Table {roman(table)} contradicts it: {reason}")
    if not audited_table(evidence.printed_audit, table):
        return Answer(NOT_TESTED, "the printed tables were not audited")
    return Answer(YES, f"Table {roman(table)} does not contradict it")


def judge_carried(test: Check, evidence: Evidence) -> Answer | None:
    """Whether any predictions could make the printed difference significant; None of a claim without one.

    Of two networks, or phases, that were tested on the same images, one is right on k more. McNemar's exact test then
    has p of at least 2^(1 - k), which is reached if no image speaks for the other.
    """
    if test.measure not in COUNTED or test.equals is not None:
        return None
    if test.above is not None and test.measure != "gain":
        return _above(test, evidence)
    own, alpha = test.own_backbones, evidence.rules.alpha / max(len(test.rivals), len(test.own_backbones))
    pairs = [((one, test.phase), (other, test.phase)) for one in own for other in test.rivals]
    pairs = pairs or [((one, "finetune"), (one, "transfer")) for one in own]
    unknown = False
    for pair in pairs:
        (right, size), (other, other_size) = (_right(test, evidence, *row) for row in pair)
        least = min(1.0, 2.0 ** (1 - abs(right - other)))
        if not size or size != other_size:
            unknown = True
        elif least >= alpha:
            reason = f"it rests on {abs(right - other)} of {size} images ({pair[1][0]}: {right} against {other}), so "
            reason += f"McNemar's p is at least {least:.3f} whatever was predicted; {alpha:.3g} is the level"
            return Answer(NO, reason, {"more": abs(right - other), "size": size, "p_least": least, "alpha": alpha})
    if unknown:
        return Answer(UNDECIDED, "not all of them were tested on as many images")
    return Answer(YES, "predictions could make the printed difference significant")


def judge_split(test: Check, evidence: Evidence) -> Answer:
    """Whether the printed accuracies of a table fit validation and test sets of one size, as 8-1-1 makes them."""
    audit = audited_table(evidence.printed_audit, scenarios()[test.scenario].table)
    sizes = sorted((int(group["val_n"]), int(group["test_n"])) for group in audit.get("groups") or [])
    if not sizes:
        missing = "accuracies fit no size in the audited range" if audit else "tables were not audited"
        return Answer(UNDECIDED if audit else NOT_TESTED, f"the printed {missing}")
    slack = len(scenarios()[test.scenario].names)  # each class is rounded on its own
    fits = all(abs(test.equals * val - n) <= slack for val, n in sizes)
    reason = "the printed accuracies fit validation and test sets of "
    reason += "; ".join(f"{val} and {n}" for val, n in sizes) + " images, which are "
    reason += "equally large, as 8-1-1 asks; nothing printed shows the 8" if fits else "not one to one"
    return Answer(YES if fits else NO, reason, {"sizes": [list(pair) for pair in sizes]})


def _against_table(test: Check, table: int, backbone: str) -> str:
    """What the printed table says against the claim; empty where it agrees."""
    name, value = test.comparison
    rows = printed_table().loc[table]
    if test.measure == "gain":
        before, after = (float(rows.loc[(phase, backbone), "test_accuracy"]) for phase in PHASES)
        gain = round(after - before, 2)
        # a claim with fewer decimals than the table is a rounded one
        decimals = len(f"{value:g}".partition(".")[2])
        wrong = abs(gain - value) > 0.5 * 10**-decimals + 1e-9 if name == "equals" else gain <= value
        return f"{before:.2f} to {after:.2f} is {gain:+.2f} points" if wrong else ""
    own, scores = rows.loc[(test.phase, backbone)], rows.loc[test.phase][test.measure]
    shown = f"{test.measure.replace('_', ' ')} of {backbone} is {own[test.measure]:.2f}"
    if name == "equals" and value not in ("printed", own[test.measure]):
        others = [other for other in SCORES if own[other] == value]
        return f"{shown}, not {value:.2f}" + (f", a misprint: that is its {others[0]}" if others else "")
    if name == "rank":
        rank = 1 + int((scores > own[test.measure]).sum())
        return f"{backbone} has rank {rank}" if rank != value else ""
    if name == "above":
        return f"{shown}, not above {value:g}" if own[test.measure] <= value else ""
    leads = {other: side * (scores[backbone] - scores[other]) for other, side in claimed_sides(test, backbone).items()}
    wrong = [f"{other} has {scores[other]:.2f}" for other, lead in leads.items() if lead <= 0]
    return "; ".join([shown, *wrong]) if wrong else ""


def _row_error(evidence: Evidence, table: int, phase: str, backbone: str, measure: str) -> str:
    """What the audit has against a printed number: others of its row, or that no test set gives it."""
    for error in evidence.printed_audit.get("row_errors") or []:
        same_row = (str(error.get("table")), error.get("phase"), error.get("backbone")) == (str(table), phase, backbone)
        if same_row and measure in error["scores"]:
            return f"{error['what']} (printed {error.get('printed')}, expected {error.get('expected')})"
    return ""


def _above(test: Check, evidence: Evidence) -> Answer:
    """Whether the printed number exceeds a fixed one beyond chance: the exact binomial test, one-sided."""
    right, size = _right(test, evidence, test.own_backbones[0], test.phase)
    if not size:
        return Answer(UNDECIDED, "its test set is not known")
    p_value = float(binom.sf(right - 1, size, test.above / 100))
    exceeds = p_value < evidence.rules.alpha
    reason = f"{right} of {size} images are {'' if exceeds else 'not '}more than {test.above:g} % beyond chance "
    reason += f"(p = {p_value:.2g}, one-sided)"
    return Answer(YES if exceeds else NO, reason, {"p_value": p_value, "alpha": evidence.rules.alpha})


def _right(test: Check, evidence: Evidence, backbone: str, phase: str) -> tuple[int, int]:
    """How many images are right in a printed row, and how many were tested; (0, 0) without an audit."""
    measure = RESTS_ON.get(test.measure, test.measure)
    size = evidence.printed_size(test.scenario, phase, backbone, measure)
    share = printed_table().loc[(scenarios()[test.scenario].table, phase, backbone), measure] / 100
    return round(float(share) * size), size
