"""The way from the printed to the honest accuracy: intervals against scipy and closed forms, planted steps found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from lib.config import Study, StudyPaths, scenarios
from lib.verdicts import (
    decomposition,
    difference_interval,
    group_interval,
    input_range_hypothesis,
    predictions,
    resampled_means,
)

STUDY = Study(
    scenarios=["three_malignant"], backbones=["EfficientNetV2B3", "MobileNet"], seeds=[0, 1], finetune_epochs=1
)


def write_predictions(
    paths: StudyPaths,
    protocol: str,
    backbone: str,
    phase: str,
    share: float,
    n: int = 400,
    images_a_group: int = 1,
    scenario: str = "three_malignant",
    seed: int = 0,
    part: str = "test",
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Predictions of `n` images, of which exactly round(share * n) are right; saved where a training run would.

    The groups that are right come first, or in the order that `generator` gives.
    """
    names = scenarios()[scenario].names
    truth = np.arange(n) % len(names)
    right = np.arange(n) < round(share * n)
    if generator is not None:
        right = generator.permutation(right)
    predicted = np.where(right, truth, (truth + 1) % len(names))
    table = pd.DataFrame({"source": [f"Train/{k:05}.jpg" for k in range(n)], "image_id": [f"{k:05}" for k in range(n)]})
    table = table.assign(group=np.arange(n) // images_a_group, view=0, part=part)
    table["true_class"] = [names[k] for k in truth]
    for number, name in enumerate(names):
        table[name] = np.where(predicted == number, 0.8, 0.2 / (len(names) - 1)).astype(np.float32)
    folder = paths.run(protocol, "native", scenario, backbone, seed)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"predictions_{phase}.parquet"
    if file.is_file():
        table = pd.concat([pd.read_parquet(file), table], ignore_index=True)
    table.to_parquet(file)
    return table


def test_with_one_image_a_group_the_interval_is_the_ordinary_bootstrap_and_close_to_wilson():
    correct = np.random.default_rng(1).permutation(np.arange(500) < 400).astype(float)
    ours = group_interval(correct, np.arange(500), resamples=9999)
    ordinary = bootstrap((correct,), np.mean, n_resamples=9999, method="percentile", rng=2, batch=1000)
    assert ours == pytest.approx(ordinary.confidence_interval, abs=0.004)
    assert ours == pytest.approx(proportion_confint(400, 500, method="wilson"), abs=0.006)


def test_groups_whose_images_agree_count_as_one_image_each():
    # 100 groups of 5 identical outcomes hold as much as 100 images, not 500
    right = np.random.default_rng(3).permutation(np.arange(100) < 80)
    groups = np.repeat(np.arange(100), 5)
    ours = group_interval(np.repeat(right, 5).astype(float), groups, resamples=9999)
    of_100 = group_interval(right.astype(float), np.arange(100), resamples=9999)
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
    resampled = resampled_means(values, groups, resamples=9999)
    assert resampled.std() == pytest.approx(np.sqrt(variance), rel=0.05)
    assert resampled.std() > 1.1 * np.sqrt(values.var() / len(values))  # the naive one is too narrow


def test_the_order_and_names_of_groups_do_not_matter():
    values = np.random.default_rng(5).random(60)
    groups = np.repeat(np.arange(20), 3)
    assert group_interval(values, groups) == pytest.approx(group_interval(values, groups * 7 + 100))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_outcomes_that_never_vary_get_wilsons_interval_over_groups(value):
    low, high = group_interval(np.full(40, value), np.arange(40) // 2)
    assert (low, high) == pytest.approx(proportion_confint(20 * value, 20, method="wilson"))
    assert high - low > 0.1


def test_joined_wilson_intervals_are_newcombes_hybrid_score_interval():
    def wilson(k, n):
        return k / n, *proportion_confint(k, n, method="wilson")

    _, low, high = difference_interval(wilson(56, 70), wilson(48, 80))
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert (low, high) == pytest.approx(expected)


def test_two_measurements_of_one_accuracy_agree_nineteen_times_in_twenty_also_with_groups():
    # ours: 80 groups of 3 images that stand or fall together; printed: 300 images on their own
    generator = np.random.default_rng(9)
    groups = np.repeat(np.arange(80), 3)
    agree = {"groups": 0, "images": 0}
    for _ in range(400):
        ours = np.repeat(generator.random(80) < 0.8, 3).astype(float)
        printed = generator.binomial(300, 0.8)
        theirs = printed / 300, *proportion_confint(printed, 300, method="wilson")
        for name, units in (("groups", groups), ("images", np.arange(240))):
            interval = group_interval(ours, units, resamples=500)
            _, low, high = difference_interval((ours.mean(), *interval), theirs)
            agree[name] += low <= 0 <= high
    assert 0.92 < agree["groups"] / 400 < 0.98
    assert agree["images"] / 400 < 0.88  # what forgetting the groups would do


def test_planted_steps_are_found_and_add_up(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    for protocol, share in (("published", 0.95), ("grouped", 0.75), ("clean", 0.80)):
        for seed in (0, 1):
            write_predictions(paths, protocol, "EfficientNetV2B3", "finetune", share, images_a_group=2, seed=seed)
    write_predictions(paths, "published", "MobileNet", "transfer", 0.9)
    write_predictions(paths, "clean", "MobileNet", "transfer", 0.6)
    table = decomposition(paths, STUDY).set_index(["backbone", "phase"])
    assert list(table.index) == [("EfficientNetV2B3", "finetune"), ("MobileNet", "transfer")]

    row = table.loc["EfficientNetV2B3", "finetune"]
    assert row["printed"] == pytest.approx(0.9674)
    assert (row["published"], row["grouped"], row["clean"]) == pytest.approx((0.95, 0.75, 0.80))
    assert (row["reproduction"], row["leakage"], row["labels"]) == pytest.approx((-0.0174, -0.2, 0.05))
    assert row["total"] == pytest.approx(0.80 - 0.9674)
    assert row["residual"] == pytest.approx(0)
    assert (row["seeds"], row["clean_images"], row["clean_groups"]) == (2, 400, 200)
    assert row["leakage_low"] < -0.2 < row["leakage_high"] < 0
    assert row["clean_low"] < 0.80 < row["clean_high"]

    row = table.loc["MobileNet", "transfer"]
    assert row["not_run"] == "grouped"
    assert np.isnan(row["leakage"]) and np.isnan(row["labels"])
    assert row["residual"] == pytest.approx(-0.3)  # leakage and labels together


def test_protocols_that_share_their_test_images_are_compared_image_by_image(tmp_path: Path):
    # the same images are right under both, but for a twentieth: paired, the difference is known far better
    paths = StudyPaths(tmp_path)
    write_predictions(paths, "published", "MobileNet", "transfer", 0.75)
    write_predictions(paths, "grouped", "MobileNet", "transfer", 0.70)
    row = decomposition(paths, STUDY, resamples=4000).iloc[0]
    width = row["leakage_high"] - row["leakage_low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.05 * 0.95 / 400), rel=0.1)


def test_classes_that_are_not_evaluable_are_left_out(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    write_predictions(paths, "clean", "MobileNet", "transfer", 1.0, n=300)
    paths.prepared("clean").mkdir(parents=True)
    gone = pd.DataFrame([("three_malignant", "melanoma", 1, "too few")], columns=["scenario", "class", "n", "reason"])
    gone.to_csv(paths.prepared("clean") / "not_evaluable.csv", index=False)
    found = predictions(paths, "clean", "native", "three_malignant", "MobileNet", "transfer", seeds=[0])
    assert len(found) == 200 and "melanoma" not in set(found["true_class"])


def test_a_study_without_runs_gives_an_empty_table_with_its_columns(tmp_path: Path):
    table = decomposition(StudyPaths(tmp_path), STUDY)
    assert table.empty and {"printed", "published", "leakage", "residual"} <= set(table.columns)


def test_the_range_that_made_the_printed_numbers_is_found():
    generator = np.random.default_rng(6)
    printed = pd.Series(generator.uniform(0.4, 0.9, 8))
    rows = []
    for name, ours in (("native", printed[::-1].to_numpy()), ("raw", printed + 0.01), ("minmax", printed * 0 + 0.5)):
        rows += [
            {"protocol": "published", "phase": "transfer", "table": 1 + k // 2, "preprocessing": name,
             "test_accuracy": value, "published_test_accuracy": printed[k]}
            for k, value in enumerate(ours)
        ]  # fmt: skip
    table = input_range_hypothesis(pd.DataFrame(rows)).set_index(["table", "preprocessing"])
    assert table.loc[("all", "raw"), "nearest"] and not table.loc[("all", "native"), "nearest"]
    assert table.loc[("all", "raw"), "mean_absolute_error"] == pytest.approx(1)
    assert table.loc[("all", "raw"), "mean_error"] == pytest.approx(1)
    assert table.loc[("all", "raw"), "spearman"] == pytest.approx(1)
    by_hand = np.corrcoef(printed.rank(), printed[::-1].reset_index(drop=True).rank())[0, 1]
    assert table.loc[("all", "native"), "spearman"] == pytest.approx(by_hand)
    assert np.isnan(table.loc[("all", "minmax"), "spearman"])
    assert table.loc[("1", "raw"), "rows"] == 2 and "too few" in table.loc[("1", "raw"), "note"]


def test_no_rows_give_no_agreement():
    assert input_range_hypothesis(pd.DataFrame()).empty
