"""Intervals against scipy, closed forms and simulation: what is called 95 % covers 95 of 100 times."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import bootstrap
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from lib.scores.estimates import estimate
from lib.scores.resampling import (
    Estimate,
    difference_of_independent,
    group_weights,
    mean_estimate,
    repetition_interval,
    wilson,
)


def interval(values, groups, resamples=2000):
    rows = {"row": np.arange(len(values)), "group": groups, "fold": 0, "seed": 0, "correct": values}
    found = estimate(pd.DataFrame(rows), resamples=resamples).interval()
    return found.low, found.high


def test_with_one_image_a_group_the_interval_is_the_ordinary_bootstrap_and_close_to_wilson():
    correct = np.random.default_rng(1).permutation(np.arange(500) < 400).astype(float)
    ours = interval(correct, np.arange(500), resamples=9999)
    ordinary = bootstrap((correct,), np.mean, n_resamples=9999, method="percentile", rng=2, batch=1000)
    assert ours == pytest.approx(ordinary.confidence_interval, abs=0.004)
    assert ours == pytest.approx(proportion_confint(400, 500, method="wilson"), abs=0.006)


def test_groups_whose_images_agree_count_as_one_image_each():
    # 100 groups of 5 identical outcomes hold as much as 100 images, not 500
    right = np.random.default_rng(3).permutation(np.arange(100) < 80)
    groups = np.repeat(np.arange(100), 5)
    ours = interval(np.repeat(right, 5).astype(float), groups, resamples=9999)
    of_100 = interval(right.astype(float), np.arange(100), resamples=9999)
    assert ours == pytest.approx(of_100, abs=1e-12)
    assert ours[1] - ours[0] == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 100), rel=0.05)


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
    low, high = interval(np.full(40, value), np.arange(40) // 2)
    assert (low, high) == pytest.approx(proportion_confint(20 * value, 20, method="wilson"))
    assert high - low > 0.1


def test_joined_wilson_intervals_are_newcombes_hybrid_score_interval():
    joined = difference_of_independent(wilson(56 / 70, 70), wilson(48 / 80, 80))
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert (joined.low, joined.high) == pytest.approx(expected)


def test_folds_that_spread_no_more_than_their_groups_change_nothing_and_others_give_students_t():
    resampled = np.random.default_rng(0).normal(0.7, 0.02, 4000)
    calm = 0.7 + 0.01 * np.array([-1, 1] * 5)
    assert mean_estimate(0.7, resampled, [(resampled, calm)]) == mean_estimate(0.7, resampled, [])
    wild = 0.7 + np.random.default_rng(1).normal(0, 1, 10)  # groups explain next to nothing of it
    same = resampled * 0 + 0.7
    found = mean_estimate(float(wild.mean()), same, [(same, wild)])
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 9, wild.mean(), stats.sem(wild)))


def test_the_repetition_interval_of_runs_is_students_prediction_interval_and_needs_five():
    runs = np.random.default_rng(2).normal(0.7, 0.03, 10)
    found = repetition_interval(runs)
    half = stats.t.ppf(0.975, 9) * runs.std(ddof=1) * np.sqrt(1.1)
    assert (found.low, found.high) == pytest.approx((runs.mean() - half, runs.mean() + half))
    assert np.isnan(repetition_interval(runs[:4]).low)
    ours, printed = wilson(0.7, 901), wilson(0.65, 901)
    joined = repetition_interval(runs[:1], ours, printed)
    assert joined.contains(0.65) == difference_of_independent(ours, printed).contains(0)


# groups of several images with a difficulty of their own, ten folds that train to more or less skill
STUDIES = [(1500, 1.3, 1.0, 0.0), (1500, 1.3, 1.0, 0.02), (500, 3.0, 1.5, 0.0), (500, 3.0, 1.5, 0.04)]
STUDY_IDS = ["groups", "groups and folds", "large groups", "large groups and folds"]


def simulate(random, groups, images, spread, fold_spread, folds=10):
    """Sums of hits and images of each group, and its fold."""
    fold = random.permutation(np.resize(np.arange(folds), groups))
    skill = stats.logistic.cdf(0.4 + spread * random.standard_normal(groups))
    skill = np.clip(skill + fold_spread * random.standard_normal(folds)[fold], 0, 1)
    size = random.geometric(1 / images, groups)
    return random.binomial(size, skill), size, fold


def means_of(hits, size, fold, weights):
    runs = np.array([hits[fold == k].sum() / size[fold == k].sum() for k in range(fold.max() + 1)])
    resampled = weights @ np.stack([hits, size], axis=1)
    return hits.sum() / size.sum(), resampled[:, 0] / resampled[:, 1], runs


@pytest.mark.parametrize("study", STUDIES, ids=STUDY_IDS)
def test_intervals_of_a_mean_and_of_a_repetition_cover_93_to_97_of_100_simulated_studies(study):
    random = np.random.default_rng(7)
    truth = stats.logistic.cdf(0.4 + study[2] * np.random.default_rng(1).standard_normal(10**6)).mean()
    weights = group_weights(np.arange(study[0]), resamples=500)[0]
    covered = {"mean": 0, "repetition": 0}
    for _ in range(1500):
        value, resampled, runs = means_of(*simulate(random, *study), weights)
        covered["mean"] += mean_estimate(value, resampled, [(resampled, runs)]).contains(truth)
        groups, images, spread, fold_spread = study
        hits, size, _ = simulate(random, groups // 10, images, spread, fold_spread, folds=1)
        covered["repetition"] += repetition_interval(runs).contains(hits.sum() / size.sum())
    # 1500 studies leave a standard error of 0.6 points
    assert all(0.93 - 0.006 <= count / 1500 <= 0.97 + 0.006 for count in covered.values()), covered


@pytest.mark.parametrize("fold_spread", [0.0, 0.03])
def test_the_interval_of_a_paired_step_covers_though_the_two_sides_deal_other_folds(fold_spread):
    random, covered, widths, unpaired = np.random.default_rng(8), 0, [], []
    groups, population = 1200, 0.4 + 1.5 * np.random.default_rng(1).standard_normal(10**6)
    true_step = stats.logistic.cdf(population - 0.5).mean() - stats.logistic.cdf(population).mean()
    weights = group_weights(np.arange(groups), resamples=500)[0]
    for _ in range(400):
        size = random.geometric(0.6, groups)
        ease = 0.4 + 1.5 * random.standard_normal(groups)  # shared by both sides: this is what pairing takes out
        sides = []
        for skill in (0.0, -0.5):
            fold = random.permutation(np.resize(np.arange(10), groups))
            chance = stats.logistic.cdf(ease + skill) + fold_spread * random.standard_normal(10)[fold]
            sides.append((random.binomial(size, np.clip(chance, 0, 1)), fold))
        means, runs = zip(*(means_of(hits, size, fold, weights)[1:] for hits, fold in sides))
        step = (sides[1][0].sum() - sides[0][0].sum()) / size.sum()
        found = mean_estimate(step, means[1] - means[0], list(zip(means, runs)))
        covered += found.contains(true_step)
        widths.append(found.width)
        unpaired.append(
            difference_of_independent(*(Estimate(m.mean(), *np.quantile(m, [0.025, 0.975])) for m in means)).width
        )
    assert 0.92 <= covered / 400 <= 0.985, covered
    if not fold_spread:
        assert np.mean(widths) < 0.9 * np.mean(unpaired)
