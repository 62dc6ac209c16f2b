"""What each printed number is worth."""

from lib.verdicts import beyond, claims, scores
from lib.verdicts.claims import (
    IMPOSSIBLE,
    LEAKAGE,
    NOT_REPRODUCED,
    NOT_TESTED,
    REPRODUCED,
    VERDICTS,
    Claims,
    as_table,
    judge,
    load_claims,
    summary,
    weighted_scores,
)
from lib.verdicts.ladder import (
    decomposition,
    difference_interval,
    group_interval,
    input_range_hypothesis,
    predictions,
    resampled_means,
)
from lib.verdicts.scores import predicted_class

__all__ = [
    "Claims",
    "IMPOSSIBLE",
    "LEAKAGE",
    "NOT_REPRODUCED",
    "NOT_TESTED",
    "REPRODUCED",
    "VERDICTS",
    "as_table",
    "beyond",
    "claims",
    "decomposition",
    "difference_interval",
    "group_interval",
    "input_range_hypothesis",
    "judge",
    "load_claims",
    "predicted_class",
    "predictions",
    "resampled_means",
    "scores",
    "summary",
    "weighted_scores",
]
