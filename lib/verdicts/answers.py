"""What a question can be answered. What is not significant is undecided, never a no."""

from dataclasses import astuple, dataclass, field
from typing import Any

from lib.scores.resampling import Estimate

YES, NO, UNDECIDED, NOT_TESTED = OUTCOMES = ("yes", "no", "undecided", "not tested")


@dataclass(frozen=True)
class Answer:
    """The answer to a question, its reason as part of a sentence, and the numbers behind it (per cent and points)."""

    outcome: str
    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)


def judge_lead(lead: Estimate) -> str:
    """Yes beyond chance, no where the opposite is beyond chance, else undecided."""
    return YES if lead.low > 0 else NO if lead.high < 0 else UNDECIDED


def combine(outcomes: list[str]) -> str:
    """One no refutes what all must pass; what is missing or undecided leaves it open."""
    return next((outcome for outcome in (NO, NOT_TESTED, UNDECIDED) if outcome in outcomes), YES)


def with_interval(estimate: Estimate, sign: str = "+", unit: str = "points") -> str:
    """`+13.0 [+11.2, +14.8] points`, or `54.3 [52.0, 56.6] %`, of fractions of 1."""
    value, low, high = (f"{100 * number:{sign}.1f}" for number in astuple(estimate))
    return f"{value} [{low}, {high}] {unit}"


def numbers_of(estimate: Estimate, name: str, prefix: str = "") -> dict[str, float]:
    """An estimate for claims.json: its value as `name` and its interval, in per cent or points."""
    return {name: 100 * estimate.value, f"{prefix}low": 100 * estimate.low, f"{prefix}high": 100 * estimate.high}
