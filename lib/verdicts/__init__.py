"""What is each printed number worth?"""

from lib.verdicts import beyond, scores
from lib.verdicts.answers import NOT_TESTED, OUTCOMES, UNDECIDED
from lib.verdicts.claims import Claims, load_claims
from lib.verdicts.evidence import weighted_scores
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
from lib.verdicts.ladder import (
    decomposition,
    difference_interval,
    group_interval,
    input_range_hypothesis,
    predictions,
    resampled_means,
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
    "decomposition",
    "difference_interval",
    "group_interval",
    "input_range_hypothesis",
    "judge",
    "load_claims",
    "predictions",
    "resampled_means",
    "scores",
    "summary",
    "weighted_scores",
]
