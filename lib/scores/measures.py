"""Measures that are made of sums over images, so that any resample of them is a sum, too (equations 10 to 13)."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from lib.scores.outcomes import class_columns

WEIGHTED = ("precision", "recall", "f1")  # weighted by the support of each class, as the paper's are


def sums_of(rows: pd.DataFrame, measure: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """What to add up over images, and the measure of such sums.

    Args:
        rows: what `lib.scores.outcomes.select` gives, n of them.
        measure: accuracy, or one of WEIGHTED; all are 0 to 1.

    Returns:
        float [n, k], and a function of sums float [m, k] to measures [m].
    """
    if measure == "accuracy":
        return np.stack([rows["correct"].to_numpy(float), np.ones(len(rows))], axis=1), _mean
    classes = class_columns(rows)
    truth = pd.Categorical(rows["truth"], categories=classes).codes.astype(int)
    count, predicted = len(classes), rows[classes].to_numpy(float).argmax(axis=1)
    cells = np.eye(count * count)[truth * count + predicted]
    return cells, lambda sums: weighted_scores(sums.reshape(-1, count, count))[measure]


def weighted_scores(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Support-weighted precision, recall and F1 (equations 11 to 13) of many confusion matrices at once.

    Args:
        confusions: float [m, classes, classes], rows the true class.

    Returns:
        precision, recall and f1, each float [m]; a class never predicted has precision 0.
    """
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    support, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(hits), where=both > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = support / support.sum(axis=1, keepdims=True)
    return {name: (share * score).sum(axis=1) for name, score in zip(WEIGHTED, (precision, recall, f1))}


def _mean(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[:, 0] / sums[:, 1]
