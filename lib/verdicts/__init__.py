"""What is each printed number worth?"""

from lib.verdicts import ladder, scores
from lib.verdicts.input_ranges import input_range_hypothesis

__all__ = ["input_range_hypothesis", "ladder", "scores"]
