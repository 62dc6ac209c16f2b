"""What a question can be answered, and how an answer is put in words."""

from dataclasses import dataclass, field
from typing import Any

from lib.scores.resampling import Estimate
from lib.verdicts.claims import Rules

YES, NO, UNDECIDED, NOT_TESTED = "yes", "no", "undecided", "not tested"
AGREES, HIGHER, LOWER = "agrees", "higher", "lower"  # of a number, on unseen lesions
Intervals = dict[str, tuple[bool, Estimate]]
OUTCOMES = (YES, NO, AGREES, HIGHER, LOWER, UNDECIDED, NOT_TESTED)


@dataclass(frozen=True)
class Answer:
    """The answer to a question, its reason, and the numbers behind it.

    `intervals`: what was compared -> whether it speaks against the claim, and its interval at `leakage_level`: for a
    number that of ours, for a direction that of the difference on the claim's side, fractions of 1. Two answers differ
    where these do not overlap.
    """

    outcome: str
    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)
    intervals: Intervals = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"outcome": self.outcome, "reason": self.reason, "numbers": self.numbers}


def judge_lead(lead: Estimate, rules: Rules) -> str:
    """Yes above 0; no below 0, or where 0 is possible and nothing beyond the margin is; else undecided."""
    if lead.low > 0:
        return YES
    return NO if lead.high < 0 or within_margin(lead, rules) else UNDECIDED


def within_margin(difference: Estimate, rules: Rules) -> bool:
    """Whether nothing beyond the margin is possible."""
    return -rules.margin <= 100 * difference.low and 100 * difference.high <= rules.margin


def combine(outcomes: list[str]) -> str:
    """One no refutes what all must pass; what is missing or undecided leaves it open."""
    return next((outcome for outcome in (NO, NOT_TESTED, UNDECIDED) if outcome in outcomes), YES)


def shifted(estimate: Estimate, by: float) -> Estimate:
    return Estimate(estimate.value + by, estimate.low + by, estimate.high + by)


def in_points(difference: Estimate) -> str:
    return f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}] points"


def reason_for_no(outcome: str, lead: Estimate, rules: Rules) -> str:
    """What a no rests on; empty for other answers."""
    if outcome != NO:
        return ""
    if lead.high < 0:
        return " (the opposite, beyond chance)"
    return f" (no difference of more than {rules.margin:g} points)"


def numbers_of(estimate: Estimate, name: str, prefix: str = "", scale: float = 100) -> dict[str, float]:
    """An estimate for claims.json: its value as `name` and its interval, in per cent or points."""
    return {name: scale * estimate.value, f"{prefix}low": scale * estimate.low, f"{prefix}high": scale * estimate.high}
