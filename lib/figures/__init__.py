"""How a table looks as a figure."""

from lib.figures.accuracy import accuracy_comparison, input_ranges, ranks, scenario_summary, waterfall
from lib.figures.dataset import class_counts, sample_images, worst_cases
from lib.figures.predictions import confusion_matrix, decision_curves, reliability, roc
from lib.figures.printed import detection, fitting_sizes, sizes_against_split
from lib.figures.style import encode, roman
from lib.figures.training import training_curves

__all__ = [
    "accuracy_comparison",
    "class_counts",
    "confusion_matrix",
    "decision_curves",
    "detection",
    "encode",
    "fitting_sizes",
    "input_ranges",
    "ranks",
    "reliability",
    "roc",
    "roman",
    "sample_images",
    "scenario_summary",
    "sizes_against_split",
    "training_curves",
    "waterfall",
    "worst_cases",
]
