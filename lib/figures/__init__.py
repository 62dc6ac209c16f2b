"""How does a table look as a figure?"""

from lib.figures.accuracy import accuracy_comparison, input_ranges, ranks, scenario_summary
from lib.figures.choices import choices
from lib.figures.dataset import class_counts, sample_images, tested_and_trained, worst_cases
from lib.figures.explored import explored
from lib.figures.neighbours import nearest_images
from lib.figures.predictions import confusion_matrix, decision_curves, reliability, roc
from lib.figures.printed import detection, fitting_sizes, sizes_against_split
from lib.figures.rungs import RUNG_NAMES, ladder
from lib.figures.style import TELEPHONE, encode, roman, save_svg
from lib.figures.training import training_curves

__all__ = [
    "RUNG_NAMES",
    "TELEPHONE",
    "accuracy_comparison",
    "choices",
    "class_counts",
    "confusion_matrix",
    "decision_curves",
    "detection",
    "encode",
    "explored",
    "fitting_sizes",
    "input_ranges",
    "ladder",
    "nearest_images",
    "ranks",
    "reliability",
    "roc",
    "roman",
    "save_svg",
    "sample_images",
    "scenario_summary",
    "sizes_against_split",
    "tested_and_trained",
    "training_curves",
    "worst_cases",
]
