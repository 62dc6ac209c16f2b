"""Keys and values of files as a reader meets them: words, per cent, points."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lib.config.paper import scenarios

MINUS = "\N{MINUS SIGN}"
HEADS = {  # key of a file -> its words, where its own do not read as such
    "accuracy": "Right, %",
    "auc": "Area under the ROC curve, %",
    "base_rate": "Wrong among all, %",
    "backbone": "Model",
    "class_counts_described": "Files of each class that the text gives",
    "confidence": "Stated probability, %",
    "contradicted": "Contradict the diagnosis",
    "contradictory_contents": "Pictures filed under more than one class",
    "critical_difference": "Nemenyi's critical difference",
    "difference": "Difference, points",
    "distinct_contents": "Different pictures",
    "ece": "Calibration error, %",
    "ece_if_calibrated": "Of a calibrated model, %",
    "fold_sd": "Spread over folds, points",
    "found_without_marked_copies": "Files found, without those marked as copies",
    "hits": "Confirmed",
    "highest": "Highest, %",
    "image_id": "Image",
    "images_described": "Images that the paper describes",
    "images_found": "Files found",
    "images_of_those_lesions": "Images of those lesions",
    "isic_ids": "ISIC numbers",
    "k": "First",
    "kendall": "Kendall's tau",
    "kendall_p": "p of tau",
    "label_disagreement_files": "Files whose label contradicts the diagnosis",
    "lift": "Times as often as at random",
    "low": "from",
    "high": "to",
    "lowest": "Lowest, %",
    "malignant": "Malignant images",
    "marked_copies": "Files marked as copies",
    "mean": "Mean accuracy, %",
    "mean_absolute_error": "Mean distance, points",
    "mean_error": "Mean difference, points",
    "near_duplicate_contents": "Pictures in them",
    "near_duplicate_groups": "Groups of near-duplicates",
    "nearest": "Tables where it is nearest",
    "of": "Should make up table",
    "official_test_in_train": "Official test images that lie in Train, too",
    "official_test_related_to_train": "Official test images with a relative in Train",
    "only_first": "Only the first is right",
    "only_second": "Only the second is right",
    "p_given": "Probability of the label, %",
    "p_groups": "p, groups swapped",
    "p_groups_holm": "p, groups swapped, corrected",
    "p_mcnemar": "p, McNemar",
    "p_mcnemar_holm": "p, McNemar, corrected",
    "p_suggested": "Of the suggested one, %",
    "p_value": "p",
    "precision": "Confirmed, %",
    "printed_test_n": "Test set that the table implies",
    "raw": "Labels as filed",
    "same_label_duplicates": "Copies under one class",
    "run_sd": "Spread over seeds within a fold, points",
    "sampling_sd": "Spread by choice of images, points",
    "seed_sd": "Spread over seeds, points",
    "sensitivity_at_90": "Sensitivity at 90 % specificity, %",
    "sensitivity_at_95": "Sensitivity at 95 % specificity, %",
    "spearman": "Spearman's rho",
    "spearman_p": "p of rho",
    "test_n": "Test images",
    "test_n_all_groups": "Test images, if each group of rows counts",
    "test_n_of": "Test images of that table",
    "test_of_8_1_1": "Test set of an 8-1-1 split",
    "times": "Times as large",
    "val_n": "Validation images",
    "val_n_all_groups": "Validation images, if each group of rows counts",
    "val_n_of": "Validation images of that table",
}
SHARES = {  # fractions of 1 in the files, per cent on the page; spreads in points
    *("accuracy", "auc", "base_rate", "confidence", "ece", "ece_if_calibrated", "fold_sd", "highest", "lowest"),
    *("mean", "p_given", "p_suggested", "precision", "run_sd", "sampling_sd", "seed_sd", "sensitivity_at_90"),
    *("sensitivity_at_95", *scenarios()),
}
PLAIN = {  # keys inside sentences of audit/ and claims.json
    "finetune phase": "fine-tuned",
    "transfer phase": "transfer",
    "finetune": "fine-tuned",
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "f1": "F1",
}


def sentence(key: str) -> str:
    """A key as the words of a heading: `Validation images` for `val_n`."""
    words = HEADS.get(str(key), str(key).replace("_", " "))
    # p and k are letters of mathematics
    return words if words[1:2] in ("", ",", " ") else words[:1].upper() + words[1:]


def plain(text: str) -> str:
    """A sentence of a file with the keys in it as words: `fine-tuned` for `finetune`."""
    return _keys_in_text().sub(lambda match: _plain_words()[match[0]], text)


def in_words(value: Any) -> str:
    """Any JSON value as words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, dict):
        return "; ".join(f"{str(key).replace('_', ' ')}: {in_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(item) for item in value) or "none"
    return str(value)


def named(key: str) -> str:
    """A scenario's title for its name, any other name as it is."""
    return scenarios()[key].title if key in scenarios() else key


def shortened(values: Sequence[Any] | None, none: str) -> str:
    """A short list in words; long runs of numbers are cut and counted."""
    if not values:
        return none
    shown = ", ".join(map(str, values[:6]))
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6} more"


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: float, form: str, digits: int = 2) -> str:
    """A number in a format of lib.report.columns; `digits` after the point are those of per cent."""
    match form:
        case "percent":
            return f"{100 * value:.{digits}f}"
        case "points":
            return signed(100 * value)
        case "decimal":
            return f"{value:,.1f}"
        case "p_value":
            return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
        case "count":
            return f"{value:,.0f}"
    return in_words(value)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 claim`, `2 claims`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def span(values: Sequence[float]) -> str:
    """`53.9 to 73.3`: the lowest and the highest."""
    return " to ".join(dict.fromkeys(f"{end:.1f}" for end in (min(values), max(values))))


def percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value is not None and np.isfinite(value) else "not measured"


def signed(points: float) -> str:
    rounded = round(points, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", MINUS)


def fine(points: float) -> str:
    """Points to the second digit after the point, or to the first that is not 0."""
    text = f"{points:+.2f}"
    return (text if float(text) else f"{points:+.1g}").replace("-", MINUS)


@cache
def _plain_words() -> dict[str, str]:
    return PLAIN | {name: scenario.title.lower() for name, scenario in scenarios().items()}


@cache
def _keys_in_text() -> re.Pattern:
    longest_first = sorted(_plain_words(), key=len, reverse=True)
    return re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest_first))})(?![\w/])")
