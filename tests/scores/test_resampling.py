"""Intervals against scipy, closed forms and simulation: what is called 95 % covers 95 of 100 times."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from lib.scores.estimates import estimate
from lib.scores.resampling import (
    difference_of_independent,
    group_weights,
    mean_estimate,
    repetition_interval,
    wilson,
)


def scored(values, groups):
    rows = {"row": np.arange(len(values)), "group": groups, "fold": 0, "seed": 0, "correct": values}
    return estimate(pd.DataFrame(rows))


def test_the_cluster_bootstrap_has_the_variance_of_the_ratio_estimator():
    # groups of unequal size: the closed form is the linearised variance of a ratio (Cochran 1977, section 2.11)
    generator = np.random.default_rng(4)
    sizes = generator.integers(1, 8, 300)
    skill = generator.beta(2, 1, 300)
    values = np.concatenate([generator.random(size) < p for size, p in zip(sizes, skill)]).astype(float)
    groups = np.repeat(np.arange(300), sizes)
    sums = np.bincount(groups, values)
    residual = sums - values.mean() * sizes
    variance = (residual**2).sum() / sizes.sum() ** 2
    weights, codes = group_weights(groups, resamples=9999)
    resampled = (weights @ np.bincount(codes, values)) / (weights @ np.bincount(codes))
    assert resampled.std() == pytest.approx(np.sqrt(variance), rel=0.05)
    assert resampled.std() > 1.1 * np.sqrt(values.var() / len(values))  # the naive one is too narrow


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_outcomes_that_never_vary_get_wilsons_interval_over_groups(value):
    found = scored(np.full(40, value), np.arange(40) // 2).interval()
    assert (found.low, found.high) == pytest.approx(proportion_confint(20 * value, 20, method="wilson"))


def test_joined_wilson_intervals_are_newcombes_hybrid_score_interval():
    joined = difference_of_independent(wilson(56 / 70, 70), wilson(48 / 80, 80))
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert (joined.low, joined.high) == pytest.approx(expected)


def test_the_mean_of_ten_folds_has_nadeau_and_bengios_variance_of_whichever_spread_is_larger():
    resampled, wild = np.random.default_rng(0).normal(0.7, 0.02, 4000), np.random.default_rng(1).normal(0.7, 0.3, 10)
    calm = 0.7 + 0.01 * np.array([-1, 1] * 5)
    for folds, variance in ((calm, resampled.var() * (1 + 10 / 8)), (wild, wild.var(ddof=1) * (1 / 10 + 1 / 8))):
        found = mean_estimate(0.7, resampled, folds, 0.95)
        assert (found.low, found.high) == pytest.approx(stats.norm.interval(0.95, 0.7, np.sqrt(variance)))
    for folds in (wild[:4], wild[:1]):  # too few to know their spread
        found = mean_estimate(0.7, resampled, folds, 0.95)
        assert found.width == pytest.approx(2 * 1.96 * resampled.std() * np.sqrt(1 + len(folds) / 8), rel=1e-3)
    assert mean_estimate(0.7, resampled, wild, 0.95, same_folds=False).width < 0.13


def test_the_repetition_interval_of_runs_is_students_prediction_interval_and_needs_five():
    runs = np.random.default_rng(2).normal(0.7, 0.03, 10)
    found = repetition_interval(runs)
    half = stats.t.ppf(0.975, 9) * runs.std(ddof=1) * np.sqrt(1.1)
    assert (found.low, found.high) == pytest.approx((runs.mean() - half, runs.mean() + half))
    assert np.isnan(repetition_interval(runs[:4]).low)
    ours, printed = wilson(0.7, 901), wilson(0.65, 901)
    joined = repetition_interval(runs[:1], ours, printed)
    assert joined.contains(0.65) == difference_of_independent(ours, printed).contains(0)
    score = scored(np.arange(900) < 630, np.arange(900))  # its images' error, not that of a new data set
    half = np.hypot(1.96 * np.sqrt(0.7 * 0.3 / 900), printed.high - printed.value)
    assert score.repetition(printed=printed).low == pytest.approx(0.7 - half, abs=0.0005)


def test_the_repetition_interval_covers_93_to_97_of_100_runs_where_groups_differ_and_trainings_too():
    random, covered = np.random.default_rng(7), 0
    for _ in range(1500):
        skill = np.clip(0.6 + 0.02 * random.standard_normal(11), 0, 1)  # ten folds and one more run, each trained anew
        sizes = random.geometric(1 / 3, (11, 50))
        ease = random.beta(40 * skill, 40 * (1 - skill), (50, 11)).T
        runs = random.binomial(sizes, ease).sum(axis=1) / sizes.sum(axis=1)
        covered += repetition_interval(runs[:10]).contains(runs[10])
    # 1500 studies leave a standard error of 0.6 points
    assert 0.93 - 0.006 <= covered / 1500 <= 0.97 + 0.006
