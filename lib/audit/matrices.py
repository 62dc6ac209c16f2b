"""Which 2x2 confusion matrices give a printed row of accuracy, precision, recall and F1."""

from functools import lru_cache

import numpy as np

from lib.audit.fractions import correct_counts, hundredths

AVERAGES = ("weighted", "macro", "one class")
TOLERANCE = 1e-9  # of floating point, in per cent


def binary_matrices(
    n: int, accuracy: float, precision: float, recall: float, f1: float, average: str = "weighted"
) -> np.ndarray:
    """Every 2x2 confusion matrix of n images, both classes present, that gives the four percentages as printed.

    Args:
        n: number of test images.
        accuracy, precision, recall, f1: per cent, two decimals.
        average: `weighted` by support (the paper's), `macro`, or `one class` (the second class alone).

    Returns:
        int [matrices, 2, 2], true class by predicted class; a matrix and its mirror image (classes swapped) are two.
    """
    if average not in AVERAGES:
        raise ValueError(f"no average {average!r}; one of {', '.join(AVERAGES)}")
    return matching_matrices(n, average, *hundredths([accuracy, precision, recall, f1])).copy()


def describe_matrices(units: np.ndarray, candidates: list[int]) -> dict:
    """How many 2x2 matrices give a row at its candidate sizes, a few of them, and the count by other averages."""
    values = units[1:].tolist()
    found = [matrix.tolist() for n in candidates for matrix in matching_matrices(n, "weighted", *values)]
    counts = {average: sum(len(matching_matrices(n, average, *values)) for n in candidates) for average in AVERAGES}
    return {"confusion_matrices": len(found), "matrices_by_average": counts, "examples": found[:3]}


def shared_supports(units: np.ndarray, group: dict) -> list[int]:
    """Images of the rarer class that the matrices of every row of a group allow: its rows share one test set."""
    supports = [
        {int(support) for support in binary_matrices(group["test_n"], *(units[row, 1:] / 100)).sum(axis=2).min(axis=1)}
        for row in group["rows"]
    ]
    # a row that no matrix gives is an error of its own and must not hide what the others share
    return sorted(set.intersection(*filter(None, supports))) if any(supports) else []


@lru_cache(maxsize=4096)
def matching_matrices(n: int, average: str, accuracy: int, *printed: int) -> np.ndarray:
    """`binary_matrices` of values in hundredths of a per cent; the array is shared and must not be changed.

    A class that is never predicted has precision 0 and F1 0, as scikit-learn has it by default.
    """
    found = [np.empty((0, 2, 2), int)]
    for correct in correct_counts(accuracy, n):
        # all ways to split the hits and the misses between the classes: int [hits of the first, misses of the first]
        hit, miss = np.arange(correct + 1)[:, None], np.arange(n - correct + 1)[None, :]
        hits, misses = np.array([hit, correct - hit]), np.array([miss, n - correct - miss])
        # precision leaves few; recall and F1 are looked at for these only
        precision = _average(average, n, *((h / np.maximum(h + m, 1), h + o) for h, o, m in _paired(hits, misses)))
        first, second = np.nonzero(_rounds_to(precision, printed[0]))
        hits, misses = hits[:, first, 0], misses[:, 0, second]
        both = (hits + misses > 0).all(axis=0)  # both classes are present
        hits, misses = hits[:, both], misses[:, both]
        recall = _average(average, n, *((h / (h + o), h + o) for h, o, _ in _paired(hits, misses)))
        f1 = _average(average, n, *((2 * h / (2 * h + o + m), h + o) for h, o, m in _paired(hits, misses)))
        agree = _rounds_to(recall, printed[1]) & _rounds_to(f1, printed[2])
        found.append(np.array([[hits[0], misses[0]], [misses[1], hits[1]]])[:, :, agree].transpose(2, 0, 1))
    return np.concatenate(found)


def _paired(hits: np.ndarray, misses: np.ndarray):
    """For each class: its hits, its misses, and the other class's misses, which are its false positives."""
    return zip(hits, misses, misses[::-1])


def _average(average: str, n: int, first: tuple, second: tuple) -> np.ndarray:
    """Two classes' (score, support) as one score in per cent."""
    if average == "weighted":
        return 100 * (first[0] * first[1] + second[0] * second[1]) / n
    return 50 * (first[0] + second[0]) if average == "macro" else 100 * second[0]


def _rounds_to(percentage: np.ndarray, unit: int) -> np.ndarray:
    return np.abs(percentage - unit / 100) <= 0.005 + TOLERANCE
