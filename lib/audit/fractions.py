"""Which test-set sizes give a printed percentage.

Every accuracy is k/n for whole k and n, so a few percentages printed to two decimals determine n (the GRIM test,
Brown and Heathers 2017). Percentages are handled as whole hundredths of a per cent ("units"), so rounding at ties is
exact; a tie may go either way (half up or half to even), because the paper does not say how it rounds.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd
from scipy.special import bdtrc

VALUES = ("val_accuracy", "test_accuracy", "precision", "recall", "f1")  # of a printed row, per cent
CHANCE = 1e-3  # rows share a size where as many would fit some size by chance less often than this
VAL_TEST_DIFFERENCE = 10  # images; equal shares of one pool differ at most by rounding, once per class


def size_groups(units: np.ndarray, sizes: np.ndarray) -> list[dict]:
    """The fewest test-set sizes that explain a table: rows that share a pair (val_n, test_n), largest evidence first.

    Greedy: the pair that so many rows would fit by chance least often is taken, with all rows that fit it, until
    the rest could be chance (binomial tail, times the number of pairs tried, not below 0.001). That prefers 307
    to 614 where both fit. val_n and test_n may differ by 10 images.

    Takes int [rows, 2], val and test accuracy in hundredths of a per cent, and consecutive sizes to try. Returns
    [{"val_n", "test_n", "rows": positions in `units`, "chance"}]; rows in no group share no credible size.
    """
    val, test = (fits(units[:, column], sizes) for column in (0, 1))
    left, groups = np.arange(len(units)), []
    while pair := _least_likely_pair(val[left], test[left], sizes):
        chance, at_val, at_test = pair
        inside = val[left, at_val] & test[left, at_test]
        group = {"val_n": int(sizes[at_val]), "test_n": int(sizes[at_test])}
        groups.append(group | {"rows": left[inside].tolist(), "chance": chance})
        left = left[~inside]
    return groups


def group_of(row: int, groups: list[dict]) -> dict | None:
    """The group of `size_groups` that holds a row; None where none does."""
    return next((group for group in groups if row in group["rows"]), None)


def hundredths(percentages: Sequence[float] | pd.DataFrame) -> np.ndarray:
    """Percentages as whole hundredths of a per cent; ValueError outside 0..100 or with more than two decimals."""
    values = np.asarray(percentages, float)
    units = np.rint(values * 100)
    wrong = ~((units >= 0) & (units <= 10000) & (abs(values * 100 - units) < 1e-6))
    if wrong.any():
        raise ValueError(f"{values[wrong][0]} is not a percentage with 2 decimals; give one from 0 to 100")
    return units.astype(int)


def fits(units: Sequence[int], sizes: np.ndarray) -> np.ndarray:
    """bool [units, sizes]: a whole k lies where k/n rounds to the percentage, ties included on both sides."""
    value = np.asarray(units, np.int64)[:, None]
    lowest = -(-(2 * value - 1) * sizes // 20000)  # k/n in half units: 20000 * k / n is in 2 * value - 1 .. + 1
    highest = (2 * value + 1) * sizes // 20000
    return np.maximum(lowest, 0) <= np.minimum(highest, sizes)


def correct_counts(unit: int, n: int) -> range:
    """Every k for which k/n rounds to `unit` hundredths of a per cent."""
    return range(max(0, -(-(2 * unit - 1) * n // 20000)), min(n, (2 * unit + 1) * n // 20000) + 1)


def nearest_fractions(unit: int, n: int) -> list[int]:
    """The fractions of n next to a percentage that is none, below and above."""
    below = (value for value in range(unit - 1, -1, -1) if correct_counts(value, n))
    above = (value for value in range(unit + 1, 10001) if correct_counts(value, n))
    return [*islice(below, 1), *islice(above, 1)]


def _least_likely_pair(val: np.ndarray, test: np.ndarray, sizes: np.ndarray) -> tuple[float, int, int] | None:
    """The pair of sizes that as many rows fit by chance least often: (chance, place of val_n, place of test_n)."""
    shifts = sorted(range(-VAL_TEST_DIFFERENCE, VAL_TEST_DIFFERENCE + 1), key=abs)
    share = np.minimum(1.0, (sizes + 1) / 10001)  # of the percentages with two decimals that are some k/n
    best, least = None, CHANCE
    for shift in shifts:
        first, last = max(0, -shift), len(sizes) - max(0, shift)  # val_n = size, test_n = size + shift
        if first >= last:
            continue
        rows = (val[:, first:last] & test[:, first + shift : last + shift]).sum(axis=0, dtype=np.int16)
        if not len(places := np.flatnonzero(rows > 1)):
            continue
        by_chance = share[places + first] * share[places + first + shift]
        chance = len(sizes) * len(shifts) * bdtrc(rows[places] - 1.0, len(val), by_chance)
        lowest = int(np.argmin(chance))
        if chance[lowest] < least:
            least, at = float(chance[lowest]), int(places[lowest]) + first
            best = (least, at, at + shift)
    return best
