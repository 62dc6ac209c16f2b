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
    SYNTHETIC,
    VERDICTS,
    as_table,
    judge,
    summary,
)
from lib.verdicts.multiverse import choice_name, choices_against_print, reached_rows, reaching_choices

__all__ = [
    "Claims",
    "IMPOSSIBLE",
    "LEAKAGE",
    "NOT_REPRODUCED",
    "NOT_TESTED",
    "OUTCOMES",
    "QUESTIONS",
    "REPRODUCED",
    "SYNTHETIC",
    "UNDECIDED",
    "VERDICTS",
    "as_table",
    "beyond",
    "choice_name",
    "choices_against_print",
    "external",
    "input_range_hypothesis",
    "judge",
    "load_claims",
    "ladder",
    "reached_rows",
    "reaching_choices",
    "resampling",
    "scores",
    "summary",
    "weighted_scores",
]
