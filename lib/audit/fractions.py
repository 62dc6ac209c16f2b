"""Which test-set sizes give a printed percentage.

Every accuracy is k/n for whole k and n, so a few percentages printed to two decimals betray n (the GRIM test,
Brown and Heathers 2017). Percentages are handled as whole hundredths of a per cent ("units"), so rounding at ties is
exact; a tie may go either way (half up or half to even), because the paper does not say how it rounds.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import bdtrc

VALUES = ("val_accuracy", "test_accuracy", "precision", "recall", "f1")  # of a printed row, per cent
CHANCE = 1e-3  # a size is taken for real where as many rows would fit some size by chance less often than this
VAL_TEST_DIFFERENCE = 10  # images; equal shares of one pool differ at most by rounding, once a class


def size_fits(percentages: Sequence[float | str], min_n: int, max_n: int) -> np.ndarray:
    """Which percentage, printed to two decimals, is a fraction of which size: bool [percentages, max_n - min_n + 1].

    Raises:
        ValueError: a percentage outside 0..100 or with more decimals, or an empty range.
    """
    if not 1 <= min_n <= max_n:
        raise ValueError(f"sizes {min_n}..{max_n} are no range; give 1 <= min_n <= max_n")
    return fits(hundredths(percentages), np.arange(min_n, max_n + 1))


def size_groups(units: np.ndarray, sizes: np.ndarray) -> list[dict]:
    """The fewest test-set sizes that explain a table: rows that share a pair (val_n, test_n), largest evidence first.

    Greedy: the pair that so many rows would fit by chance least often is taken, with all rows that fit it, until
    what is left could be chance (binomial tail, times the number of pairs tried, not below 0.001). That prefers 307
    to 614 where both fit. val_n and test_n may differ by 10 images.

    Args:
        units: int [rows, 2], val and test accuracy in hundredths of a per cent.
        sizes: whole numbers in a row, the sizes tried.

    Returns:
        [{"val_n", "test_n", "rows": positions in `units`, "chance"}]; rows in no group share no credible size.
    """
    val, test = (fits(units[:, column], sizes) for column in (0, 1))
    left = np.arange(len(units))
    pairs = len(sizes) * (2 * VAL_TEST_DIFFERENCE + 1)
    groups = []
    while len(left):
        best = (CHANCE, None)
        val_left, test_left = val[left], test[left]
        # the least chance that so many rows could have, at the smallest size
        least = [pairs * float(bdtrc(count - 1, len(left), _share(sizes[0]) ** 2)) for count in range(1, len(left) + 1)]
        for shift in sorted(range(-VAL_TEST_DIFFERENCE, VAL_TEST_DIFFERENCE + 1), key=abs):
            first, last = max(0, -shift), len(sizes) - max(0, shift)  # val_n = size, test_n = size + shift
            if first >= last:
                continue
            fitting = (val_left[:, first:last] & test_left[:, first + shift : last + shift]).sum(axis=0, dtype=np.int16)
            for count in range(int(fitting.max()), 0, -1):
                if least[count - 1] >= best[0]:
                    break
                # of the sizes that as many rows fit, the smallest is the least likely by chance
                at = first + int(np.argmax(fitting == count))
                if fitting[at - first] == count:
                    by_chance = _share(sizes[at]) * _share(sizes[at + shift])
                    chance = pairs * float(bdtrc(count - 1, len(left), by_chance))
                    if chance < best[0]:
                        best = (chance, (at, at + shift))
        if best[1] is None:
            break
        at_val, at_test = best[1]
        inside = val[left, at_val] & test[left, at_test]
        groups.append(
            {
                "val_n": int(sizes[at_val]),
                "test_n": int(sizes[at_test]),
                "rows": [int(row) for row in left[inside]],
                "chance": best[0],
            }
        )
        left = left[~inside]
    return groups


def group_of(row: int, groups: list[dict]) -> dict | None:
    """The group of `size_groups` that holds a row; None where none does."""
    return next((group for group in groups if row in group["rows"]), None)


def hundredths(percentages: Sequence[float | str]) -> list[int]:
    """Percentages as whole hundredths of a per cent.

    Raises:
        ValueError: a percentage outside 0..100 or with more than two decimals.
    """
    units = []
    for percentage in percentages:
        scaled = float(percentage) * 100
        if not (0 <= scaled <= 10000 and abs(scaled - round(scaled)) < 1e-6):
            raise ValueError(f"{percentage} is no percentage with 2 decimals; give one from 0 to 100")
        units.append(round(scaled))
    return units


def fits(units: Sequence[int], sizes: np.ndarray) -> np.ndarray:
    """bool [units, sizes]: a whole k lies where k/n rounds to the percentage, ties included on both sides."""
    value = np.asarray(units, np.int64)[:, None]
    lowest = -(-(2 * value - 1) * sizes // 20000)  # k/n in half units: 20000 * k / n is in 2 * value - 1 .. + 1
    highest = (2 * value + 1) * sizes // 20000
    return np.maximum(lowest, 0) <= np.minimum(highest, sizes)


def correct_counts(unit: int, n: int) -> range:
    """Every k for which k/n rounds to `unit` hundredths of a per cent."""
    return range(max(0, -(-(2 * unit - 1) * n // 20000)), min(n, (2 * unit + 1) * n // 20000) + 1)


@lru_cache(maxsize=4096)
def fractions_of(n: int) -> frozenset[int]:
    """The hundredths of a per cent that some k/n rounds to, ties to both sides."""
    k = np.arange(n + 1)
    return frozenset(np.floor(10000 * k / n + 0.5).astype(int)) | frozenset(np.ceil(10000 * k / n - 0.5).astype(int))


def nearest_fractions(unit: int, n: int) -> list[int]:
    """The fractions of n next to a percentage that is none, below and above."""
    below = [value for value in fractions_of(n) if value < unit]
    above = [value for value in fractions_of(n) if value > unit]
    return [int(value) for value in ([max(below)] if below else []) + ([min(above)] if above else [])]


def as_sizes(fitting: np.ndarray, min_n: int) -> list[int]:
    """The sizes of a row of `size_fits` that fit."""
    return [int(n) for n in np.flatnonzero(fitting) + min_n]


def _share(n: int) -> float:
    """The share of the percentages with two decimals that are some k/n."""
    return min(1.0, (n + 1) / 10001)
