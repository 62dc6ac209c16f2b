"""Intervals that respect groups and folds.

Images of one lesion, duplicates and views of one image are not independent, so whole groups are resampled (the cluster
bootstrap: Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). That is the error of the
tested images. The folds also share most of their training images, and a new data set brings others: Nadeau & Bengio's
correction (Machine Learning 52:239, 2003) adds that error. tests/scores/test_coverage.py has what they cover.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from lib.data.folds import FOLDS

LEVEL = 0.95
RESAMPLES = 2000
MIN_FOLDS = 5  # with fewer runs their own spread is not known well enough


@dataclass(frozen=True)
class Estimate:
    """A value with an interval, in the value's own unit."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def contains(self, value: float) -> bool:
        """Whether the interval contains `value`."""
        return self.low <= value <= self.high

    def negated(self) -> "Estimate":
        return Estimate(-self.value, -self.high, -self.low)

    def shifted(self, by: float) -> "Estimate":
        return Estimate(self.value + by, self.low + by, self.high + by)


def group_weights(groups: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """How often each group is drawn in each resample.

    Returns:
        weights float64 [resamples, number of groups], each row adding up to the number of groups; and the number
        of each image's group, int [n].
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    return draw_groups(len(names), resamples, seed), codes


def mean_estimate(value: float, resampled: np.ndarray, runs: ArrayLike, level: float, same_folds=True) -> Estimate:
    """A mean over folds, or a difference of means, with its interval for a new data set of this size.

    The variance over resampled groups is that of the tested images. The folds' own spread, s^2 / folds, holds it too,
    and what differs from training to training: where there are folds enough, the larger of the two counts. A training
    image is taken to weigh as much as a tested one, which is the ratio n_test / n_train in Nadeau & Bengio's
    s^2 (1 / folds + n_test / n_train).

    Args:
        value: the mean over all images.
        resampled: the same over resampled groups [resamples].
        runs: its value in each fold [folds] or [folds, seeds]; empty where nothing was trained.
        same_folds: of a difference, both sides test the same views in each fold; else the spread of the folds'
            differences says nothing of it.
    """
    if not len(resampled) or np.isnan(resampled).all():
        return Estimate(value, np.nan, np.nan)
    folds, variance = np.nanmean(_trained(runs), axis=1), float(np.nanvar(resampled))
    if same_folds and len(folds) >= MIN_FOLDS:
        variance = max(variance, float(folds.var(ddof=1)) / len(folds))
    half = float(stats.norm.ppf((1 + level) / 2) * np.sqrt(variance * (1 + len(folds) / (FOLDS - 2))))
    return Estimate(value, value - half, value + half)


def repetition_interval(
    fold_values: np.ndarray, ours: Estimate | None = None, printed: Estimate | None = None, level: float = LEVEL
) -> Estimate:
    """Where one more run like the paper's, one split and one seed, gives its value: a prediction interval.

    A fold is such a run: an eight-to-one-to-one split of the pool, trained once. With at least MIN_FOLDS of them their
    own spread tells it: mean +- t s sqrt(1 + 1/folds). With fewer, both numbers' sampling errors are joined
    (Newcombe), as if training added none: the printed number's interval says how far one run of its size can fall. It
    is a run on this data set, so the error that a new data set adds is in neither number's.

    Args:
        fold_values: the value of each run [folds] or [folds, seeds].
        ours, printed: needed with fewer folds: our mean and the printed number, each with the interval of its tested
            images alone.

    Returns:
        The mean of the runs with the interval; NaN bounds where neither way is open.
    """
    runs = _trained(fold_values)
    if len(runs) >= MIN_FOLDS:
        centre, folds = float(np.nanmean(runs)), len(runs)
        half = stats.t.ppf((1 + level) / 2, folds - 1) * np.nanstd(runs, ddof=1) * np.sqrt(1 + 1 / folds)
        return Estimate(centre, centre - float(half), centre + float(half))
    if ours is None or printed is None:
        return Estimate(np.nan if ours is None else ours.value, np.nan, np.nan)
    # the numbers that a run of the printed size can give are those whose difference from ours is within chance
    below = np.hypot(ours.value - ours.low, printed.high - printed.value)
    above = np.hypot(ours.high - ours.value, printed.value - printed.low)
    return Estimate(ours.value, ours.value - float(below), ours.value + float(above))


def difference_of_independent(first: Estimate, second: Estimate) -> Estimate:
    """first - second of two independent estimates, with its interval.

    Newcombe's square-and-add of the two intervals (Statistics in Medicine 17:873, 1998), which with Wilson's
    intervals is his hybrid score interval.
    """
    difference = first.value - second.value
    return Estimate(
        difference,
        difference - float(np.hypot(first.value - first.low, second.high - second.value)),
        difference + float(np.hypot(first.high - first.value, second.value - second.low)),
    )


def wilson(value: float, size: int | None, level: float = LEVEL) -> Estimate:
    """A printed share of `size` images with Wilson's interval; without a size the number stands alone."""
    if not size:
        return Estimate(value, value, value)
    low, high = proportion_confint(value * size, size, alpha=1 - level, method="wilson")
    return Estimate(value, float(low), float(high))


def _trained(runs: ArrayLike) -> np.ndarray:
    """Values of runs [folds] or [folds, seeds] as [folds, seeds], without the folds that were not run."""
    runs = np.asarray(runs, float)
    runs = runs if runs.ndim > 1 else runs[:, None]
    return runs[~np.isnan(runs).all(axis=1)]


@lru_cache(maxsize=8)  # the same few test sets are resampled for every measure
def draw_groups(groups: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each of `groups` groups is drawn in each resample, float64 [resamples, groups], read-only."""
    drawn = np.random.default_rng(seed).integers(groups, size=(resamples, groups))
    cells = drawn + groups * np.arange(resamples)[:, None]
    weights = np.bincount(cells.ravel(), minlength=resamples * groups).reshape(resamples, groups).astype(float)
    weights.flags.writeable = False
    return weights
