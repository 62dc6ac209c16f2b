"""What is each printed number worth?"""

from lib.verdicts import beyond, external, ladder, resampling, scores
from lib.verdicts.answers import NOT_TESTED, OUTCOMES, UNDECIDED
from lib.verdicts.claims import Claims, load_claims
from lib.verdicts.evidence import weighted_scores
from lib.verdicts.input_ranges import input_range_hypothesis
from lib.verdicts.judging import (
    IMPOSSIBLE,
    LEAKAGE,
    NOT_REPRODUCED,
    QUESTIONS,
    REPRODUCED,
    VERDICTS,
    as_table,
    judge,
    summary,
)

__all__ = [
    "Claims",
    "IMPOSSIBLE",
    "LEAKAGE",
    "NOT_REPRODUCED",
    "NOT_TESTED",
    "OUTCOMES",
    "QUESTIONS",
    "REPRODUCED",
    "UNDECIDED",
    "VERDICTS",
    "as_table",
    "beyond",
    "external",
    "input_range_hypothesis",
    "judge",
    "load_claims",
    "ladder",
    "resampling",
    "scores",
    "summary",
    "weighted_scores",
]
