"""`estimate` and `difference`: every score of the study, and every comparison of two, with its intervals.

Nothing else computes an accuracy. The intervals are those of lib.scores.resampling.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lib.scores.measures import sums_of
from lib.scores.resampling import LEVEL, RESAMPLES, Estimate, draw_groups, mean_estimate, repetition_interval, wilson


@dataclass(frozen=True)
class Score:
    """A score, or a difference of two, with what its intervals need.

    Attributes:
        value: over all images; with several seeds each image counts once per seed.
        resampled: the same over resampled groups [resamples].
        runs: the same of each training run, one row per fold and one column per seed; NaN where a run is missing.
        images, groups: how many were scored. Of a difference: those of the first.
        shared: of a difference, how many views both were scored on.
    """

    value: float
    resampled: np.ndarray
    runs: pd.DataFrame
    images: int
    groups: int
    shared: int = 0
    _same_folds: bool = True  # of a difference: what both sides test, they test in the same folds
    _tested: "_Tested | None" = field(default=None, repr=False)  # None of a difference

    def interval(self, level: float = LEVEL, new_data: bool = True) -> Estimate:
        """The value with its interval for a new data set of this size, or for other test images of the same models.

        A score of exactly 0 or 1 leaves nothing to resample: it has Wilson's interval with a group as one image, which
        is never too narrow.
        """
        if self._tested and self.value in (0.0, 1.0):
            return wilson(self.value, self.groups, level)
        runs = self.runs.to_numpy() if new_data else []
        mean = mean_estimate(self.value, self.resampled, runs, level, self._same_folds)
        return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high)) if self._tested else mean

    def repetition(self, level: float = LEVEL, printed: Estimate | None = None) -> Estimate:
        """Where one more run like the paper's, one split and one seed, gives its value.

        Args:
            printed: the printed number with its sampling error, needed where few folds were run.
        """
        ours = self.interval(level, new_data=False) if printed else None
        return repetition_interval(self.runs.to_numpy(), ours, printed, level)

    @property
    def group_names(self) -> np.ndarray:
        """The groups that were scored."""
        return self._tested.names

    @property
    def counts(self) -> dict[str, int]:
        """How many folds, seeds, images and groups the score is of."""
        seeds = int(self.runs.notna().any().sum())
        return {"folds": len(self.runs), "seeds": seeds, "images": self.images, "groups": self.groups}


@dataclass(frozen=True)
class _Tested:
    """What the rows of a score add up to, so that it can be resampled together with another one."""

    names: np.ndarray  # of the groups
    sums: np.ndarray  # [groups, k]
    measure: Callable[[np.ndarray], np.ndarray]
    folds: pd.Series  # pool row -> fold
    resamples: int
    seed: int

    def resample(self, groups: np.ndarray) -> np.ndarray:
        """The measure over resamples of `groups` (sorted), which need not all be the score's own."""
        sums = np.zeros((len(groups), self.sums.shape[1]))
        sums[np.searchsorted(groups, self.names)] = self.sums
        return self.measure(draw_groups(len(groups), self.resamples, self.seed) @ sums)


def estimate(rows: pd.DataFrame, measure: str = "accuracy", resamples: int = RESAMPLES, seed: int = 0) -> Score:
    """A score of outcomes, over all their folds and seeds.

    Args:
        rows: what `lib.scores.outcomes.select` gives, of one model.
        measure: accuracy, or precision, recall or f1 weighted by support: lib.scores.measures.
        resamples, seed: of the groups.

    Returns:
        The score, a fraction of 1; NaN without rows.
    """
    if rows.empty:
        return Score(np.nan, np.array([]), pd.DataFrame(), 0, 0)
    values, score = sums_of(rows, measure)
    names, codes = np.unique(rows["group"].to_numpy(), return_inverse=True)
    seeds, seed_codes = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    folds, fold_codes = np.unique(rows["fold"].to_numpy(), return_inverse=True)
    of_runs = _added(values, fold_codes * len(seeds) + seed_codes, len(folds) * len(seeds))
    views = rows.drop_duplicates("row").set_index("row")["fold"]
    tested = _Tested(names, _added(values, codes, len(names)), score, views, resamples, seed)
    return Score(
        value=float(score(values.sum(axis=0, keepdims=True))[0]),
        resampled=tested.resample(names),
        runs=pd.DataFrame(score(of_runs).reshape(len(folds), len(seeds)), index=folds, columns=seeds),
        images=len(views),
        groups=len(names),
        _tested=tested,
    )


def difference(first: Score, second: Score, groups: np.ndarray | None = None) -> Score:
    """first - second over the same resamples of groups.

    Args:
        groups: those that are resampled, where several differences are to share their resamples; if None those of both.
    """
    one, two = first._tested, second._tested
    groups = np.union1d(one.names, two.names) if groups is None else groups
    means = one.resample(groups), two.resample(groups)
    shared = one.folds.index.intersection(two.folds.index)
    same_folds = bool((one.folds[shared].to_numpy() == two.folds[shared].to_numpy()).all())
    return Score(
        value=first.value - second.value,
        resampled=means[0] - means[1],
        runs=(first.runs - second.runs).dropna(how="all"),
        images=first.images,
        groups=first.groups,
        shared=len(shared),
        _same_folds=same_folds,
    )


def _added(values: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    """The sums of values [n, k] over the rows of each code, [count, k]."""
    return np.stack([np.bincount(codes, column, minlength=count) for column in values.T], axis=1)
