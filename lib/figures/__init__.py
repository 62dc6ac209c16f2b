"""How a table looks as a figure; nothing is computed here."""

from lib.figures.beyond import class_areas, decision_curves, input_ranges, label_error_precision, ranks, seeds
from lib.figures.ladder import ladder
from lib.figures.plots import (
    accuracy_comparison,
    class_counts,
    confusion_matrix,
    encode,
    reliability,
    roc,
    sample_images,
    scenario_summary,
    styled,
    training_curves,
    waterfall,
)
from lib.figures.printed import detection, fitting_sizes, sizes_against_split

__all__ = [
    "ladder",
    "accuracy_comparison",
    "class_areas",
    "class_counts",
    "confusion_matrix",
    "decision_curves",
    "detection",
    "encode",
    "fitting_sizes",
    "input_ranges",
    "label_error_precision",
    "ranks",
    "reliability",
    "roc",
    "sample_images",
    "scenario_summary",
    "seeds",
    "sizes_against_split",
    "styled",
    "training_curves",
    "waterfall",
]
