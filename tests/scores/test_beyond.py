"""Beyond accuracy: each measure against another formula or library, planted differences found, chance left alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.scores import beyond, comparisons
from lib.scores.outcomes import class_columns
from tests.verdicts.studies import evaluate, write_predictions


def frame(n: int = 400, scenario: str = "benign_malignant", seed: int = 0, skill: float = 1.5, groups=None):
    """Predictions whose probabilities are true by construction: the class is drawn with them."""
    generator = np.random.default_rng(seed)
    names = scenarios()[scenario].names
    logits = generator.normal(0, skill, (n, len(names)))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame({"seed": 0, "row": np.arange(n), "fold": np.arange(n) % 10})
    table["group"] = np.arange(n) if groups is None else groups
    table["truth"] = [names[generator.choice(len(names), p=p)] for p in probabilities]
    return scored(table.assign(**{name: probabilities[:, k] for k, name in enumerate(names)}))


def scored(table: pd.DataFrame) -> pd.DataFrame:
    """The same, with whether the likeliest class is right."""
    names = class_columns(table)
    return table.assign(correct=(table[names].idxmax(axis=1) == table["truth"]).astype(float))


def overconfident(table: pd.DataFrame) -> pd.DataFrame:
    names = class_columns(table)
    sharp = table[names].to_numpy() ** 3
    return table.assign(**dict(zip(names, (sharp / sharp.sum(axis=1, keepdims=True)).T)))


def test_ece_is_that_of_scikit_learns_reliability_curve():
    table = overconfident(frame(scenario="nine_classes"))
    confidence, right = beyond.top_confidence(table)
    observed, predicted = calibration_curve(right, confidence, n_bins=15)
    counts = np.histogram(confidence, bins=np.linspace(0, 1, 16))[0]
    expected = np.sum(np.abs(observed - predicted) * counts[counts > 0]) / len(confidence)
    row = beyond.calibration({("nine_classes", "MobileNet", "transfer"): table}).iloc[0]
    assert row["ece"] == pytest.approx(expected)
    bins = beyond.reliability(table)
    assert (np.abs(bins["accuracy"] - bins["confidence"]) * bins["images"]).sum() / 400 == pytest.approx(expected)


def test_calibrated_probabilities_pass_and_overconfident_ones_do_not():
    cells = {("nine_classes", name, "transfer"): frame(800, "nine_classes") for name in ("MobileNet", "ResNet50")}
    cells["nine_classes", "ResNet50", "transfer"] = overconfident(cells["nine_classes", "ResNet50", "transfer"])
    table = beyond.calibration(cells).set_index("backbone")
    assert table.loc["MobileNet", "p_value"] > 0.05 and table.loc["ResNet50", "p_value"] < 0.01
    assert table.loc["MobileNet", "ece"] < 2 * table.loc["MobileNet", "ece_if_calibrated"]
    assert table.loc["ResNet50", "ece_low"] > table.loc["ResNet50", "ece_if_calibrated"]
    assert table.loc["ResNet50", "confidence"] > table.loc["ResNet50", "accuracy"] + 0.1


@pytest.mark.parametrize("digits", [8, 1])  # one digit: many ties
def test_auc_and_sensitivity_are_scikit_learns_also_with_ties_and_weights(digits):
    generator = np.random.default_rng(2)
    truth = generator.random(300) < 0.4
    score = np.round(np.clip(truth * 0.2 + generator.random(300), 0, 1), digits)
    weights = generator.integers(0, 4, (5, 300)).astype(float)
    areas = beyond._auc(truth, score, weights)
    for row, area in zip(weights, areas):
        assert area == pytest.approx(roc_auc_score(truth, score, sample_weight=row))
        false, true, _ = roc_curve(truth, score, sample_weight=row, drop_intermediate=False)
        for specificity in (0.9, 0.95):
            expected = true[false <= 1 - specificity + 1e-9].max()
            ours = beyond._sensitivity(truth, score, row[None], specificity)[0]
            assert ours == pytest.approx(expected)


def test_the_interval_of_the_auc_is_hanley_and_mcneils_widened_for_a_new_data_set():
    table = frame(600)
    row = beyond.malignant({("benign_malignant", "MobileNet", "transfer"): table}).iloc[0]
    area, positive = row["auc"], row["malignant"]
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    negative = 600 - positive
    variance = area * (1 - area) + (positive - 1) * (q1 - area**2) + (negative - 1) * (q2 - area**2)
    width = 2 * norm.ppf(0.975) * np.sqrt(variance / (positive * negative))
    ratio = (row["auc_high"] - row["auc_low"]) / (width * np.sqrt(1 + 10 / 8))  # Nadeau and Bengio, ten folds
    assert 0.9 < ratio < 1.25  # the folds' own spread counts where it is larger


def test_net_benefit_is_vickers_and_elkins_formula_by_hand():
    table = frame(500)
    truth, score = beyond.malignancy(table)
    curve = beyond.decision_curve(table).set_index("threshold")
    for threshold in (0.05, 0.2, 0.5):
        true = np.sum((score >= threshold) & truth)
        false = np.sum((score >= threshold) & ~truth)
        row = curve.loc[threshold]
        assert row["model"] == pytest.approx(true / 500 - false / 500 * threshold / (1 - threshold))
        share = truth.mean()
        assert row["all"] == pytest.approx(share - (1 - share) * threshold / (1 - threshold))
        assert row["model_low"] < row["model"] < row["model_high"]
    # a calibrated model is worth at least as much as acting on everyone or on no one
    assert (curve["model_high"] >= curve[["all", "none"]].max(axis=1)).all()
    assert beyond.decision_curve(frame(scenario="six_benign")).empty


def test_different_models_differ_and_equal_ones_do_not(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    for order, (backbone, share) in enumerate({"EfficientNetV2B3": 0.9, "ResNet50": 0.9, "MobileNet": 0.75}.items()):
        write_predictions(paths, "clean", backbone, "finetune", share, files=200, views=205, order=order)
    evaluate(paths)
    cells = beyond.select_cells(paths, Study(scenarios=["three_malignant"]))
    table = comparisons.compare_backbones(cells).set_index(["first", "second"])
    assert not table.loc[("EfficientNetV2B3", "ResNet50"), "different"]
    assert table.loc[("EfficientNetV2B3", "MobileNet"), "different"]
    row = table.loc[("EfficientNetV2B3", "MobileNet")]
    assert row["difference"] == pytest.approx(0.15) and row["low"] < 0.15 < row["high"]
    # Holm: the smallest of three p-values times 3, then 2, then 1, none below the one before
    ordered = np.sort(table["p_groups"].to_numpy())
    expected = np.minimum(np.maximum.accumulate(ordered * [3, 2, 1]), 1)
    assert np.sort(table["p_groups_holm"].to_numpy()) == pytest.approx(expected)
    # with one image a group the permutation test is McNemar's, but for chance in its draws
    one = table.loc[("EfficientNetV2B3", "ResNet50")]
    assert one["p_groups"] == pytest.approx(one["p_mcnemar"], abs=0.02)


def test_groups_make_the_permutation_test_as_careful_as_the_groups_allow():
    # 30 groups of 20 identical images: McNemar counts 600 images and is sure, the groups are not
    first, second = (frame(600, groups=np.repeat(np.arange(30), 20)) for _ in range(2))
    truth = np.where(first["truth"] == "malignant", 0.9, 0.1)
    first = scored(first.assign(malignant=truth, benign=1 - truth))
    wrong = np.repeat((np.arange(30) >= 15) & (np.arange(30) < 19), 20)
    score = np.where(wrong, 1 - truth, truth)
    second = scored(second.assign(malignant=score, benign=1 - score, truth=first["truth"]))
    cells = {("benign_malignant", "MobileNet", "transfer"): first, ("benign_malignant", "ResNet50", "transfer"): second}
    row = comparisons.compare_backbones(cells).iloc[0]
    assert row["p_mcnemar"] < 1e-10
    assert row["p_groups"] == pytest.approx(2 * 0.5**4, abs=0.02)  # 4 groups differ, all one way: 2 of 16


def test_seeds_spread_beside_sampling(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    for seed, share in enumerate((0.80, 0.82, 0.87)):
        write_predictions(paths, "clean", "MobileNet", "transfer", share, seed=seed, order=seed)
    evaluate(paths, [0, 1, 2])
    cells = beyond.select_cells(paths, Study(seeds=[0, 1, 2], scenarios=["three_malignant"]))
    row = comparisons.seed_spread(cells).iloc[0]
    assert (row["seeds"], row["lowest"], row["highest"]) == (3, 0.80, 0.87)
    assert row["seed_sd"] == pytest.approx(np.std([0.80, 0.82, 0.87], ddof=1))
    assert row["sampling_sd"] == pytest.approx(np.sqrt(0.8 * 0.2 / 600), rel=0.1)
    by_chance = 0.83 * 0.17 / 60  # the variance of one seed's share in a fold: seeds err independently of each other
    assert row["run_sd"] == pytest.approx(np.sqrt(row["seed_sd"] ** 2 + by_chance), rel=0.15)
    assert row["folds"] == 10 and row["fold_sd"] == pytest.approx(np.sqrt(by_chance / 3), rel=0.6)
