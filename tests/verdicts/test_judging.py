"""Verdicts: planted studies get the one that they must; what is not significant is never a no."""

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.config.paper import backbones, scenarios
from lib.config.params import Study
from lib.config.paths import RUN_PREDICTIONS, StudyPaths
from lib.scores.choices import fold_accuracies
from lib.verdicts.answers import NOT_TESTED, OUTCOMES, UNDECIDED
from lib.verdicts.judging import CHOICES, HOLDS, LEAKAGE, NOT_REACHED, QUESTIONS, SYNTHETIC, VERDICTS, as_table, judge
from tests.verdicts.studies import LEARNED, LEARNING, evaluate, write_predictions
from tests.verdicts.test_claims import NUMBER, OURS, one, write_audit

PAPER_SIZE = {"tables": {"4": {"test_n": [307, 614], "rows": []}}}
GAIN = {"measure": "gain", "scenario": "three_malignant", "backbone": OURS}
SHARES = dict(zip(backbones(), (0.95, 0.70, 0.65, 0.88, 0.80, 0.75)))  # first, fifth, sixth, second, third, fourth


def study_of(tmp_path: Path, **shares: float) -> StudyPaths:
    """A study with one model of this accuracy under each protocol, and `raw` under by_view with other pixels."""
    paths = StudyPaths(tmp_path)
    write_audit(paths, PAPER_SIZE)
    for name, share in shares.items():
        protocol, preprocessing = ("by_view", "raw") if name == "raw" else (name, "native")
        write_predictions(paths, protocol, OURS, "finetune", share, views=900, preprocessing=preprocessing)
    return paths


def six_models(paths: StudyPaths, shares: dict[str, float], apart: int = 0) -> None:
    for protocol, (number, (backbone, share)) in product(("by_view", "clean"), enumerate(shares.items())):
        write_predictions(paths, protocol, backbone, "finetune", share, order=number * apart)


@pytest.mark.parametrize(
    ("shares", "outcomes", "verdict"),
    [
        ({"by_view": 0.965, "clean": 0.99}, ("yes", "not tested", "yes"), HOLDS),  # higher
        ({"by_view": 0.965, "clean": 0.80}, ("yes", "not tested", "no"), LEAKAGE),
        ({"by_view": 0.965}, ("yes", "not tested", "not tested"), UNDECIDED),
        ({"by_view": 0.80, "clean": 0.965}, ("no", "not tested", "yes"), NOT_REACHED),  # two errors that cancel
        ({"by_view": 0.80, "by_file": 0.80, "raw": 0.85}, ("no", "no", "not tested"), NOT_REACHED),
        ({"by_view": 0.80, "by_file": 0.965, "raw": 0.85}, ("no", "yes", "not tested"), CHOICES),
        ({"by_view": 0.80, "raw": 0.965, "clean": 0.80}, ("no", "yes", "undecided"), CHOICES),
        ({"clean": 0.965}, ("not tested", "not tested", "not tested"), NOT_TESTED),
    ],
)
def test_a_number_is_judged_by_default_choices_others_and_clean(tmp_path: Path, shares, outcomes, verdict):
    study = Study(preprocessings=["native", "raw"])
    found = one(study_of(tmp_path, **shares), study, **NUMBER, equals=96.74)
    assert tuple(found[question]["outcome"] for question in ("default", "choices", "unseen")) == outcomes
    assert found["verdict"] == verdict
    assert found["choices"]["numbers"]["tried"] == len(set(shares) - {"clean"})


def test_choices_that_reach_a_number_are_named_beside_how_many_reach_a_random_one(tmp_path: Path):
    found = one(study_of(tmp_path, by_view=0.80, by_file=0.965), **NUMBER, equals=96.74)["choices"]
    assert found["numbers"]["reached"] == ["by_file, native"] and "by_file, native" in found["reason"]
    ends = [folds_interval(StudyPaths(tmp_path), protocol) for protocol in ("by_view", "by_file")]
    assert found["numbers"]["by_chance"] == pytest.approx(sum(min(1, high) - low for low, high in ends) / (1 - 1 / 3))


def folds_interval(paths: StudyPaths, protocol: str) -> tuple[float, float]:
    """Where one more fold falls, from the predictions."""
    folder = paths.run(protocol, "native", "three_malignant", OURS, 0)
    test = pd.read_parquet(folder / RUN_PREDICTIONS.format("finetune")).query("part == 'test'")
    right = test[scenarios()["three_malignant"].names].idxmax(axis=1) == test["true_class"]
    folds = right.groupby(test["fold"]).mean()
    half = stats.t.ppf(0.975, 9) * folds.std() * np.sqrt(1 + 1 / 10)
    return folds.mean() - half, folds.mean() + half


def test_the_p_value_of_a_number_is_that_of_one_more_fold(tmp_path: Path):
    paths = study_of(tmp_path, by_view=0.93)
    numbers = one(paths, **NUMBER, equals=96.74)["default"]["numbers"]
    low, high = folds_interval(paths, "by_view")
    assert (numbers["repetition_low"], numbers["repetition_high"]) == pytest.approx((100 * low, 100 * high))
    error = (high - low) / 2 / stats.t.ppf(0.975, 9)
    assert numbers["p_value"] == pytest.approx(2 * stats.t.sf(abs(0.9674 - (low + high) / 2) / error, 9))
    assert (numbers["folds"], numbers["seeds"], numbers["images"], numbers["groups"]) == (10, 1, 2700, 600)


def test_twelve_numbers_are_not_twelve_chances(tmp_path: Path):
    paths = study_of(tmp_path, by_view=0.93)
    low, high = (100 * end for end in folds_interval(paths, "by_view"))
    value = round(high + 0.15 * (high - low) / 2, 2)  # a little outside
    alone = one(paths, **NUMBER | {"measure": "f1"}, equals=value)["default"]["numbers"]["p_value"]
    others = [NUMBER | {"measure": "precision", "equals": round(low + k * (high - low) / 12, 2)} for k in range(1, 12)]
    found = one(paths, beside=others, **NUMBER | {"measure": "f1"}, equals=value)["default"]
    assert 0.004 < alone < 0.05 and found["numbers"]["p_holm"] == pytest.approx(12 * alone)
    assert found["outcome"] == "undecided" and "among 12 numbers" in found["reason"]
    same = [NUMBER | {"measure": "f1", "equals": value}] * 11  # one number that twelve claims state
    assert one(paths, beside=same, **NUMBER | {"measure": "f1"}, equals=value)["default"]["outcome"] == "no"


def test_a_wide_repetition_interval_cannot_confirm_a_number_but_can_refute_it(tmp_path: Path):
    few, other = StudyPaths(tmp_path / "a"), StudyPaths(tmp_path / "b")
    for paths, share in ((few, 0.9), (other, 0.3)):
        write_predictions(paths, "by_view", OURS, "finetune", share, files=20, views=20, folds=[0])
    found = one(few, **NUMBER, equals=96.74)
    assert found["default"]["outcome"] == "undecided" and found["verdict"] == UNDECIDED
    assert "too wide" in found["reason"] and "more than 1 of ten folds" in found["reason"]
    assert one(other, **NUMBER, equals=96.74)["verdict"] == NOT_REACHED


def test_what_is_lost_without_the_leak_must_be_lower_than_by_view_too(paths):
    # the printed number lies high in the repetition interval: clean is below it, but not below by_view
    write_audit(paths, PAPER_SIZE)
    for protocol in ("by_view", "clean"):
        write_predictions(paths, protocol, OURS, "finetune", 0.93, files=300)
    found = one(paths, **NUMBER, equals=96.74)
    outcomes = found["default"]["outcome"], found["unseen"]["outcome"], found["verdict"]
    assert outcomes == ("yes", "undecided", UNDECIDED)


@pytest.mark.parametrize(("losses", "verdict"), [(LEARNED, NOT_REACHED), (LEARNING, UNDECIDED), ((), UNDECIDED)])
def test_fine_tuning_whose_loss_still_fell_refutes_no_number(paths, losses, verdict):
    write_predictions(paths, "by_view", OURS, "finetune", 0.80, losses=losses)
    assert one(paths, Study(seeds=[0, 1]), **NUMBER, equals=96.74)["verdict"] == verdict  # seed 1 was not run
    write_predictions(paths, "by_view", OURS, "finetune", 0.965, views=900, losses=losses)
    assert one(paths, **NUMBER, equals=96.74)["default"]["outcome"] == "yes"  # it may confirm one


def test_numbers_of_other_weights_than_imagenets_are_not_tested(paths):
    six_models(paths, SHARES)
    noted = Study(weights_note={"MobileNetV2": "trained further on dogs"})
    for test in ({"backbone": "MobileNetV2", "equals": "printed"}, {"rank": 1}):
        found = one(paths, noted, **NUMBER | test)
        assert found["verdict"] == NOT_TESTED and "MobileNetV2" in found["reason"] and "dogs" in found["reason"]
    assert one(paths, noted, **NUMBER, better_than=["MobileNet"])["verdict"] == HOLDS
    random, varied = Study(weights="none"), Study(variants={"random": {"weights": "none"}})
    assert "random weights" in one(paths, random, **NUMBER, equals=96.74)["reason"]
    assert len(fold_accuracies(paths, noted)) == 50 and fold_accuracies(paths, random).empty
    shutil.copytree(paths.root / "outcomes", paths.root / "variants" / "random" / "outcomes")
    assert one(paths, varied, **NUMBER, equals=96.74)["choices"]["numbers"]["tried"] == 1
    assert set(fold_accuracies(paths, varied).index.unique("variant")) == {"default"}


@pytest.mark.parametrize(
    ("by_view", "clean", "outcomes", "verdict"),
    [
        (0.13, 0.13, ("yes", "yes"), HOLDS),
        (0.13, -0.1, ("yes", "no"), LEAKAGE),
        (0.13, 0.00, ("yes", "undecided"), UNDECIDED),
        (-0.05, 0.13, ("no", "yes"), NOT_REACHED),
        (0.01, 0.01, ("undecided", "undecided"), UNDECIDED),  # no difference beyond a few points is no no
    ],
)
def test_a_gain_is_beyond_chance_or_the_opposite_is_or_it_is_undecided(paths, by_view, clean, outcomes, verdict):
    for protocol, gain in (("by_view", by_view), ("clean", clean)):
        write_predictions(paths, protocol, OURS, "transfer", 0.70)
        order = int(abs(gain) < 0.02)  # errs on other images
        write_predictions(paths, protocol, OURS, "finetune", 0.70 + gain, order=order)
    found = one(paths, **GAIN, above=0)
    assert (found["default"]["outcome"], found["unseen"]["outcome"]) == outcomes
    assert found["verdict"] == verdict


def test_gains_are_paired_image_by_image_on_the_folds_of_both_phases(paths):
    write_predictions(paths, "by_view", OURS, "transfer", 0.70)
    tuned = write_predictions(paths, "by_view", OURS, "finetune", 0.83, folds=[0, 1, 2])
    numbers, tested = one(paths, **GAIN, above=0)["default"]["numbers"], tuned.query("part == 'test'")
    assert (numbers["folds"], numbers["images"]) == (3, len(tested)) and 8 < numbers["0"]["difference"] < 18
    write_predictions(paths, "by_view", OURS, "transfer", 0.7, folds=[4])
    assert "no fold was trained by all of them" in one(paths, **GAIN, above=0)["default"]["reason"]


def test_a_rank_needs_all_six_models_and_each_on_its_side_beyond_chance(tmp_path: Path):
    sure, missing, close = (StudyPaths(tmp_path / name) for name in "abc")
    six_models(sure, SHARES)
    assert one(sure, **NUMBER, rank=1)["verdict"] == HOLDS
    assert one(sure, **NUMBER | {"backbone": "EfficientNetB3"}, rank=2)["verdict"] == HOLDS
    assert one(sure, **NUMBER | {"backbone": "MobileNet"}, worse_than=[OURS, "EfficientNetB3"])["verdict"] == HOLDS
    six_models(sure, SHARES | {OURS: 0.80, "ResNet50": 0.95})
    assert one(sure, **NUMBER, rank=1)["verdict"] == NOT_REACHED
    six_models(missing, {name: share for name, share in SHARES.items() if name != "ResNet50"})
    found = one(missing, **NUMBER, rank=1)
    assert found["verdict"] == NOT_TESTED and "ResNet50" in found["reason"]
    # six equal models whose errors fall on different images: first by a hair is first by luck
    six_models(close, dict.fromkeys(backbones(), 0.9) | {OURS: 0.905}, apart=1)
    assert one(close, **NUMBER, rank=1)["verdict"] == UNDECIDED


def test_claims_about_the_data_set_are_counted_on_it(paths):
    assert one(paths, measure="contradictory_contents", equals=0)["verdict"] == NOT_TESTED
    counts = {"melanoma": {"all": 2}, "nevus": {"all": 2}, "seborrheic keratosis": {"all": 1}}
    audit = {"files": 2359, "marked_copies": 2, "contradictory_contents": 155, "class_counts": counts}
    write_audit(paths, dataset=audit)
    assert one(paths, measure="label_error_share", at_most=0.01)["verdict"] == NOT_TESTED
    # of the public set: 99 of the 102 wrong labels are copies of pictures that are filed twice
    diagnosed = {"filed_once": {"files": 1818, "contradicted": 3}, "filed_twice": {"files": 198, "contradicted": 99}}
    write_audit(paths, dataset=audit | {"diagnosed": diagnosed})
    assert one(paths, measure="images", equals=2357)["verdict"] == HOLDS
    assert one(paths, measure="contradictory_contents", equals=0)["verdict"] == NOT_REACHED
    assert one(paths, measure="classes", equals=3)["verdict"] == HOLDS
    assert one(paths, measure="benign_share", at_least=0.5)["verdict"] == HOLDS
    assert one(paths, measure="label_error_share", at_most=0.01)["verdict"] == HOLDS
    found = one(paths, measure="label_error_share", at_most=0.001)
    assert found["verdict"] == UNDECIDED and "more diagnoses would tell" in found["reason"]


def test_the_named_clusters_dice_judges(paths):
    dice, spread = {"measure": "segmentation_dice", "at_least": 0.79}, np.random.default_rng(0).normal(0, 0.05, 60)
    assert one(paths, **dice)["verdict"] == NOT_TESTED
    paths.kmeans.mkdir()
    for mean, verdict in ((0.85, HOLDS), (0.7, NOT_REACHED), (0.79, UNDECIDED)):
        table = pd.DataFrame({"group": range(61), "dice": np.append(mean + spread - spread.mean(), np.nan)})
        for images in (1, 4):  # of a group: four alike say no more than one
            rows = table.loc[table.index.repeat(images)]
            rows.assign(dice_union=rows["dice"] + 0.1).to_csv(paths.segmentation, index=False)
            found = one(paths, **dice)
            numbers = found["data"]["numbers"]
            assert found["verdict"] == verdict and ("more masks would tell" in found["reason"]) == (mean == 0.79)
            assert [numbers[name] for name in ("dice", "masks")] == [pytest.approx(mean), 60 * images]
            assert numbers["high"] - mean == pytest.approx(1.96 * spread.std() / np.sqrt(60), rel=0.05)


@pytest.mark.parametrize(
    ("known_from", "gaussian", "other", "verdict"),
    [
        ("k-means", 0.3, 0.3, NOT_TESTED),  # what k-means names prefers the middle, too
        ("mask", 0.3, 0.3, HOLDS),
        ("mask", 0.62, 0.3, NOT_REACHED),  # what sees no image does better
        ("mask", 0.3, 0.5, UNDECIDED),  # the map of another image does as well
    ],
)
def test_gradcam_is_judged_by_masks_against_maps_that_see_no_image(paths, known_from, gaussian, other, verdict):
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 100))
    noise -= noise.mean(axis=1, keepdims=True)
    columns = dict(zip(("share_in_lesion", "gaussian_in_lesion", "other_map_in_lesion"), (0.5, gaussian, other)))
    table = pd.DataFrame({name: mean + error for (name, mean), error in zip(columns.items(), noise)})
    paths.gradcam_table.parent.mkdir()
    table.assign(group=np.arange(100) // 2, lesion_from=known_from).to_csv(paths.gradcam_table, index=False)
    found = one(paths, measure="gradcam_focus", above=0)
    assert found["verdict"] == verdict
    if verdict != NOT_TESTED:
        lead = found["data"]["numbers"]["gaussian_in_lesion"]["lead"]
        assert lead == pytest.approx(100 * (0.5 - gaussian)) and found["data"]["numbers"]["groups"] == 50


def test_every_claim_has_a_verdict_and_its_questions_and_of_synthetic_images_the_print_alone(paths):
    six_models(paths, SHARES)
    evaluate(paths)
    for synthetic in (False, True):
        verdicts = json.loads(json.dumps(judge(paths, Study(seeds=[0, 1], synthetic=synthetic)), allow_nan=False))
        tested = {claim["id"]: claim for claim in verdicts}["table-4-finetune-mobilenet-test_accuracy"]
        assert tested["default"]["outcome"] != NOT_TESTED and (tested["reason"] == SYNTHETIC) == synthetic
        for claim in verdicts:
            assert claim["verdict"] in VERDICTS and claim["reason"]
            asked = set(QUESTIONS) & set(claim)
            assert asked == {"data"} or {"possible", "default", "choices", "unseen"} <= asked
            assert all(claim[question]["outcome"] in OUTCOMES and claim[question]["reason"] for question in asked)
    assert not set(as_table(verdicts)["verdict"]) & {HOLDS, LEAKAGE, NOT_REACHED, CHOICES, UNDECIDED}
