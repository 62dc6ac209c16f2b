"""Which 2x2 confusion matrices give a printed row of accuracy, precision, recall and F1, weighted by support."""

from functools import lru_cache

import numpy as np

from lib.audit.fractions import correct_counts

TOLERANCE = 1e-9  # of floating point, in per cent


@lru_cache(maxsize=4096)
def binary_matrices(n: int, accuracy: int, precision: int, recall: int, f1: int) -> np.ndarray:
    """Every 2x2 confusion matrix of n images, both classes present, that gives the four values as printed.

    A class that is never predicted has precision 0 and F1 0, as scikit-learn has it by default.

    Takes scores in hundredths of a per cent, the last three weighted by support, as the paper's. Returns int
    [matrices, 2, 2], true class by predicted class; a matrix and its mirror image (classes swapped) are two. The array
    is shared and must not be changed.
    """
    matrices = [np.empty((0, 2, 2), int)]
    for correct in correct_counts(accuracy, n):
        # all ways to split the hits and the misses between the classes: int [hits of the first, misses of the first]
        hit, miss = np.arange(correct + 1)[:, None], np.arange(n - correct + 1)[None, :]
        hits, misses = np.array([hit, correct - hit]), np.array([miss, n - correct - miss])
        # precision leaves few; recall and F1 are computed for these only
        precisions = _weighted(n, *((h / np.maximum(h + m, 1), h + o) for h, o, m in _by_class(hits, misses)))
        first, second = np.nonzero(_rounds_to(precisions, precision))
        hits, misses = hits[:, first, 0], misses[:, 0, second]
        both = (hits + misses > 0).all(axis=0)  # both classes are present
        hits, misses = hits[:, both], misses[:, both]
        recalls = _weighted(n, *((h / (h + o), h + o) for h, o, _ in _by_class(hits, misses)))
        f1s = _weighted(n, *((2 * h / (2 * h + o + m), h + o) for h, o, m in _by_class(hits, misses)))
        agree = _rounds_to(recalls, recall) & _rounds_to(f1s, f1)
        matrices.append(np.array([[hits[0], misses[0]], [misses[1], hits[1]]])[:, :, agree].transpose(2, 0, 1))
    return np.concatenate(matrices)


def _by_class(hits: np.ndarray, misses: np.ndarray):
    """For each class: its hits, its misses, and the other class's misses, which are its false positives."""
    return zip(hits, misses, misses[::-1])


def _weighted(n: int, first: tuple, second: tuple) -> np.ndarray:
    """Two classes' (score, support) as one score in per cent."""
    return 100 * (first[0] * first[1] + second[0] * second[1]) / n


def _rounds_to(percentage: np.ndarray, unit: int) -> np.ndarray:
    return np.abs(percentage - unit / 100) <= 0.005 + TOLERANCE
