"""Verdicts: planted studies get the one that they must; undecided is never taken for a no."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import log_loss, precision_recall_fscore_support

from lib.config.paper import backbones, scenarios
from lib.config.params import Study
from lib.config.paths import RUN_PREDICTIONS, StudyPaths
from lib.config.printed import printed_rows
from lib.verdicts.answers import NOT_TESTED, OUTCOMES, UNDECIDED
from lib.verdicts.judging import IMPOSSIBLE, LEAKAGE, NOT_REPRODUCED, REPRODUCED, VERDICTS, as_table, judge, summary
from tests.verdicts.studies import evaluate, write_predictions
from tests.verdicts.test_claims import NUMBER, OURS, one, write_audit

PAPER_SIZE = {"tables": {"4": {"test_n": [307, 614], "rows": []}}}
GAIN = {"measure": "gain", "scenario": "three_malignant", "backbone": OURS}
SHARES = dict(zip(backbones(), (0.95, 0.70, 0.65, 0.88, 0.80, 0.75)))  # first, fifth, sixth, second, third, fourth


def study_of(tmp_path: Path, by_view: float | None, clean: float | None, **cell) -> StudyPaths:
    """A study with one model of this accuracy under either protocol."""
    paths = StudyPaths(tmp_path)
    write_audit(paths, PAPER_SIZE)
    for protocol, share in (("by_view", by_view), ("clean", clean)):
        if share is not None:
            write_predictions(paths, protocol, OURS, "finetune", share, **cell)
    return paths


def six_models(paths: StudyPaths, shares: dict[str, float], protocols=("by_view", "clean"), **cell) -> None:
    for protocol in protocols:
        for number, (backbone, share) in enumerate(shares.items()):
            order = {"order": number} if cell.get("apart") else {}
            rest = {key: value for key, value in cell.items() if key != "apart"}
            write_predictions(paths, protocol, backbone, "finetune", share, **rest, **order)


# a number


@pytest.mark.parametrize(
    ("by_view", "clean", "outcomes", "verdict"),
    [
        (0.965, 0.97, ("yes", "agrees"), REPRODUCED),
        (0.965, 0.80, ("yes", "lower"), LEAKAGE),
        (0.80, 0.80, ("no", "lower"), NOT_REPRODUCED),
        (0.80, 0.965, ("no", "agrees"), NOT_REPRODUCED),  # two errors that cancel
        (0.995, 0.965, ("no", "agrees"), NOT_REPRODUCED),  # higher is no repetition either
        (0.965, None, ("yes", "not tested"), UNDECIDED),
        (None, 0.965, ("not tested", "agrees"), UNDECIDED),
        (None, None, ("not tested", "not tested"), NOT_TESTED),
    ],
)
def test_a_number_is_judged_by_both_questions(tmp_path: Path, by_view, clean, outcomes, verdict):
    found = one(study_of(tmp_path, by_view, clean, views=900), **NUMBER, equals=96.74)
    assert (found["procedure"]["outcome"], found["unseen"]["outcome"]) == outcomes, found["reason"]
    assert found["verdict"] == verdict


def test_the_repetition_interval_is_that_of_the_folds_and_the_mean_that_of_all(tmp_path: Path):
    paths = study_of(tmp_path, 0.93, 0.93)
    folder = paths.run("by_view", "native", "three_malignant", OURS, 0)
    table = pd.read_parquet(folder / RUN_PREDICTIONS.format("finetune"))
    test = table[table["part"] == "test"]
    names = scenarios()["three_malignant"].names
    right = np.array(names)[test[names].to_numpy().argmax(axis=1)] == test["true_class"]
    folds = right.groupby(test["fold"]).mean()
    half = stats.t.ppf(0.975, 9) * folds.std() * np.sqrt(1 + 1 / 10)
    numbers = one(paths, **NUMBER, equals=96.74)["procedure"]["numbers"]
    assert numbers["ours"] == pytest.approx(100 * right.mean()) == pytest.approx(93)
    assert numbers["repetition_low"] == pytest.approx(100 * (folds.mean() - half))
    assert numbers["repetition_high"] == pytest.approx(100 * (folds.mean() + half))
    assert (numbers["folds"], numbers["seeds"], numbers["images"], numbers["groups"]) == (10, 1, 900, 600)


def test_a_wide_repetition_interval_cannot_confirm_a_number_but_can_refute_it(tmp_path: Path):
    few = study_of(tmp_path / "a", 0.9, 0.9, files=20, views=20, folds=[0])
    (few.printed_audit).unlink()
    found = one(few, **NUMBER, equals=96.74)
    assert found["procedure"]["outcome"] == "undecided" and found["verdict"] == UNDECIDED
    assert "wider than 20 points" in found["reason"] and "more than 1 of ten folds" in found["reason"]
    other = study_of(tmp_path / "b", 0.3, None, files=20, views=20, folds=[0])
    assert one(other, **NUMBER, equals=96.74)["verdict"] == NOT_REPRODUCED


def test_with_few_folds_the_printed_numbers_own_sampling_error_counts(tmp_path: Path):
    # 93.5 on one fold of 90: 96.74 of 307 is within reach of a repetition
    paths = study_of(tmp_path, 0.935, None, folds=[0])
    found = one(paths, **NUMBER, equals=96.74)
    low, high = found["procedure"]["numbers"]["repetition_low"], found["procedure"]["numbers"]["repetition_high"]
    (paths.printed_audit).unlink()
    alone = one(paths, **NUMBER, equals=96.74)["procedure"]["numbers"]
    assert low < alone["repetition_low"] and high > alone["repetition_high"]
    assert found["procedure"]["outcome"] == "yes"


def test_a_difference_that_is_neither_beyond_chance_nor_within_the_margin_is_undecided(tmp_path: Path):
    found = one(study_of(tmp_path, 0.965, 0.95, views=900, files=40), **NUMBER, equals=96.74)
    numbers = found["unseen"]["numbers"]
    assert numbers["difference_low"] < -5 < numbers["difference_high"] and found["unseen"]["outcome"] == "undecided"
    assert found["verdict"] == UNDECIDED and "within 5 points" in found["reason"]


def test_what_is_lost_without_the_leak_must_be_lost_under_by_view_too(tmp_path: Path):
    # the printed number lies high in the repetition interval: clean is below it, but not below by_view
    paths = study_of(tmp_path, 0.93, 0.93, files=300, views=300)
    found = one(paths, **NUMBER, equals=96.74)
    assert (found["procedure"]["outcome"], found["unseen"]["outcome"]) == ("yes", "lower")
    assert found["verdict"] == UNDECIDED and "overlap" in found["reason"]


def test_a_lower_loss_is_the_better_one(tmp_path: Path):
    paths = study_of(tmp_path, 0.98, 0.98, views=300)
    loss = {"scenario": "three_malignant", "backbone": OURS, "phase": "finetune", "measure": "val_loss"}
    printed = one(paths, **loss, equals=0.5)["procedure"]["numbers"]["ours"]
    found = one(paths, **loss, equals=round(printed, 2))
    assert found["verdict"] == REPRODUCED and found["unseen"]["outcome"] == "agrees"
    write_predictions(paths, "clean", OURS, "finetune", 0.5)
    found = one(paths, **loss, equals=round(printed, 2))
    assert found["unseen"]["outcome"] == "higher" and found["verdict"] == LEAKAGE


# directions


@pytest.mark.parametrize(
    ("by_view", "clean", "outcomes", "verdict"),
    [
        (0.13, 0.13, ("yes", "yes"), REPRODUCED),
        (0.13, 0.00, ("yes", "no"), LEAKAGE),
        (0.13, -0.1, ("yes", "no"), LEAKAGE),
        (-0.05, 0.13, ("no", "yes"), NOT_REPRODUCED),
        (0.00, 0.00, ("no", "no"), NOT_REPRODUCED),  # no difference within the margin
    ],
)
def test_a_gain_holds_is_refuted_or_is_gone_without_the_leak(tmp_path: Path, by_view, clean, outcomes, verdict):
    paths = StudyPaths(tmp_path)
    for protocol, gain in (("by_view", by_view), ("clean", clean)):
        write_predictions(paths, protocol, OURS, "transfer", 0.70)
        write_predictions(paths, protocol, OURS, "finetune", 0.70 + gain)
    found = one(paths, **GAIN, above=0)
    assert (found["procedure"]["outcome"], found["unseen"]["outcome"]) == outcomes
    assert found["verdict"] == verdict


def test_a_gain_that_few_images_cannot_show_is_undecided_and_not_put_down_to_the_leak(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    for number, phase in enumerate(("transfer", "finetune")):
        write_predictions(paths, "by_view", OURS, phase, 0.70 + 0.05 * number, views=900)
        write_predictions(paths, "clean", OURS, phase, 0.70 + 0.05 * number, order=number, files=60)
    found = one(paths, **GAIN, above=0)
    assert (found["procedure"]["outcome"], found["unseen"]["outcome"]) == ("yes", "undecided")
    assert found["verdict"] == UNDECIDED


def test_gains_are_paired_image_by_image_on_the_folds_of_both_phases(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    write_predictions(paths, "clean", OURS, "transfer", 0.70)
    tuned = write_predictions(paths, "clean", OURS, "finetune", 0.83, folds=[0, 1, 2])
    numbers = one(paths, **GAIN, above=0)["unseen"]["numbers"]
    tested = tuned[(tuned["part"] == "test") & (tuned["view"] == 0)]
    assert (numbers["folds"], numbers["images"]) == (3, len(tested))
    # all that transfer gets right, fine-tuning does too: the gain is the share of the images in between
    share = numbers["ours"] / 100
    assert share == pytest.approx(0.13, abs=0.05)
    width = 2 * 196 * np.sqrt(share * (1 - share) / len(tested))
    assert numbers["high"] - numbers["low"] > 0.8 * width
    disjoint = StudyPaths(tmp_path / "other")
    write_predictions(disjoint, "clean", OURS, "transfer", 0.7, folds=[1])
    write_predictions(disjoint, "clean", OURS, "finetune", 0.7, folds=[0])
    assert "no fold was trained in both phases" in one(disjoint, **GAIN, above=0)["unseen"]["reason"]


def test_of_several_models_each_must_gain(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    for protocol in ("by_view", "clean"):
        for backbone, tuned in ((OURS, 0.83), ("ResNet50", 0.70)):
            write_predictions(paths, protocol, backbone, "transfer", 0.70)
            write_predictions(paths, protocol, backbone, "finetune", tuned)
    found = one(paths, **GAIN | {"backbone": [OURS, "ResNet50"]}, above=0)
    assert found["verdict"] == NOT_REPRODUCED and found["procedure"]["reason"].startswith("ResNet50")


def test_to_beat_the_literature_the_whole_interval_must(tmp_path: Path):
    paths = study_of(tmp_path, 0.83, 0.83, files=100, views=100)
    found = one(paths, **NUMBER, above=82.0)
    assert found["procedure"]["outcome"] == "undecided" and found["verdict"] == UNDECIDED
    assert one(paths, **NUMBER, above=75.0)["verdict"] == REPRODUCED
    assert one(paths, **NUMBER, above=90.0)["verdict"] == NOT_REPRODUCED


def test_a_rank_needs_all_six_models_and_each_on_its_side_beyond_chance(tmp_path: Path):
    sure, missing, close = (StudyPaths(tmp_path / name) for name in "abc")
    six_models(sure, SHARES)
    assert one(sure, **NUMBER, rank=1)["verdict"] == REPRODUCED
    assert one(sure, **NUMBER | {"backbone": "EfficientNetB3"}, rank=2)["verdict"] == REPRODUCED
    shares = SHARES | {OURS: 0.80, "ResNet50": 0.95}
    six_models(sure, shares)
    found = one(sure, **NUMBER, rank=1)
    assert found["procedure"]["outcome"] == "no" and found["verdict"] == NOT_REPRODUCED
    six_models(missing, {name: share for name, share in SHARES.items() if name != "ResNet50"})
    found = one(missing, **NUMBER, rank=1)
    assert found["verdict"] == NOT_TESTED and "ResNet50" in found["reason"]
    # six equal models whose errors fall on different images: first by a hair is first by luck
    nearly = dict.fromkeys(backbones(), 0.9) | {OURS: 0.905}
    six_models(close, nearly, apart=True, files=60, views=60)
    found = one(close, **NUMBER, rank=1)
    assert found["procedure"]["numbers"]["rank"] == 1 and found["procedure"]["outcome"] == "undecided"
    assert found["verdict"] == UNDECIDED


def test_the_printed_order_is_recognised_and_its_reverse_is_not(tmp_path: Path):
    printed = printed_rows().query("table == 4 and phase == 'finetune'").set_index("backbone")["test_accuracy"] / 100
    same, reverse, vague, alike = (StudyPaths(tmp_path / name) for name in "abcd")
    test = {key: value for key, value in NUMBER.items() if key != "backbone"} | {"order": "printed"}
    six_models(same, dict(printed - 0.1))
    found = one(same, **test)
    assert found["verdict"] == REPRODUCED
    assert found["unseen"]["numbers"]["tau"] == pytest.approx(1)
    assert found["unseen"]["numbers"]["p_value"] == pytest.approx(1 / 720)  # one of 6! orders
    six_models(reverse, dict(1.5 - printed))
    assert one(reverse, **test)["verdict"] == NOT_REPRODUCED
    six_models(vague, dict(printed - 0.1) | {OURS: printed["MobileNet"] - 0.11})  # the first falls to fourth
    found = one(vague, **test)
    assert found["unseen"]["numbers"]["tau"] == pytest.approx(0.6)
    assert found["unseen"]["numbers"]["p_value"] == pytest.approx(49 / 720)
    assert found["verdict"] == UNDECIDED
    six_models(alike, dict.fromkeys(backbones(), 0.9))
    found = one(alike, **test)
    assert found["verdict"] == NOT_REPRODUCED and "no order" in found["reason"]
    json.dumps(found, allow_nan=False)


def test_better_means_beyond_chance_for_all_rivals_and_worse_is_its_mirror(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    six_models(paths, {OURS: 0.95, "MobileNet": 0.85, "ResNet50": 0.948, "EfficientNetB3": 0.95})
    assert one(paths, **NUMBER, better_than=["MobileNet"])["verdict"] == REPRODUCED
    found = one(paths, **NUMBER, better_than=["MobileNet", "EfficientNetB3"])
    assert found["verdict"] == NOT_REPRODUCED and "EfficientNetB3 (no difference" in found["reason"]
    found = one(paths, **NUMBER, better_than=["MobileNet", "ResNet50V2"])
    assert found["verdict"] == NOT_TESTED and "ResNet50V2" in found["reason"]
    found = one(paths, **NUMBER | {"backbone": "MobileNet"}, worse_than=["ResNet50"])
    assert found["verdict"] == REPRODUCED


# the measures


def test_scores_are_scikit_learns_and_the_loss_too(tmp_path: Path):
    paths = study_of(tmp_path, 0.7, 0.7)
    table = write_predictions(paths, "clean", OURS, "finetune", 0.7, order=3)
    names = scenarios()["three_malignant"].names
    originals = table[table["view"] == 0]
    val, test = (originals[originals["part"] == part] for part in ("val", "test"))
    assert len(val) == len(test) == 600  # each original is in either part of one fold
    loss = log_loss(val["true_class"], val[sorted(names)].to_numpy(float), labels=sorted(names))
    found = one(paths, **NUMBER | {"measure": "val_loss"}, equals=0.06)
    assert found["unseen"]["numbers"]["ours"] == pytest.approx(loss, rel=1e-5)
    predicted = np.array(names)[test[names].to_numpy().argmax(axis=1)]
    scores = precision_recall_fscore_support(test["true_class"], predicted, average="weighted")
    for measure, expected in zip(("precision", "recall", "f1"), scores):
        found = one(paths, **NUMBER | {"measure": measure}, equals="printed")
        assert found["unseen"]["numbers"]["ours"] == pytest.approx(100 * expected)
        assert found["unseen"]["numbers"]["low"] < 100 * expected < found["unseen"]["numbers"]["high"]


# the data set, k-means, Grad-CAM


def test_claims_about_the_data_set_are_counted_on_it(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    assert one(paths, measure="contradictory_contents", equals=0)["verdict"] == NOT_TESTED
    write_audit(paths, dataset={"files": 2357, "contradictory_contents": 11})
    index = pd.DataFrame(
        [("melanoma", "MEL"), ("melanoma", "NV"), ("nevus", "NV"), ("seborrheic keratosis", "BKL"), ("nevus", "")],
        columns=["class", "diagnosis"],
    )
    index.to_parquet(paths.image_index)
    assert one(paths, measure="images", equals=2357)["verdict"] == REPRODUCED
    assert one(paths, measure="images", equals=2358)["verdict"] == NOT_REPRODUCED
    write_audit(paths, dataset={"files": 2359, "marked_copies": 2, "contradictory_contents": 11})
    assert one(paths, measure="images", equals=2357)["verdict"] == REPRODUCED
    assert one(paths, measure="contradictory_contents", equals=0)["verdict"] == NOT_REPRODUCED
    labels = one(paths, measure="label_disagreements", equals=0)
    assert labels["verdict"] == NOT_REPRODUCED and labels["data"]["numbers"]["value"] == 1
    assert one(paths, measure="classes", equals=3)["verdict"] == REPRODUCED
    assert one(paths, measure="benign_share", at_least=0.5)["verdict"] == REPRODUCED


def segmented(paths: StudyPaths, dice: np.ndarray) -> None:
    table = pd.DataFrame({"source": [f"{k}.jpg" for k in range(len(dice))], "dice": dice})
    paths.kmeans.mkdir(parents=True, exist_ok=True)
    table.assign(dice_best=dice + 0.02, dice_union=dice + 0.1).to_csv(paths.segmentation, index=False)


def test_the_named_clusters_dice_judges_and_the_best_clusters_bound_it(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    dice = {"measure": "segmentation_dice", "at_least": 0.79}
    assert one(paths, **dice)["verdict"] == NOT_TESTED
    spread = np.random.default_rng(0).normal(0, 0.05, 60)
    for mean, verdict in ((0.85, REPRODUCED), (0.7, NOT_REPRODUCED), (0.79, UNDECIDED)):
        segmented(paths, np.append(mean + spread - spread.mean(), np.nan))
        found = one(paths, **dice)
        assert found["verdict"] == verdict
        numbers = found["data"]["numbers"]
        assert (numbers["dice"], numbers["masks"]) == (pytest.approx(mean), 60)
        assert (numbers["dice_best"], numbers["dice_union"]) == (pytest.approx(mean + 0.02), pytest.approx(mean + 0.1))


def explained(paths: StudyPaths, excess: float, images: int = 100, scenario: str = "nine_classes") -> None:
    """What 06_gradcam saves: its columns as tests/test_notebooks.py finds them in a run."""
    generator = np.random.default_rng(0)
    area = generator.uniform(0.1, 0.5, images)
    table = pd.DataFrame({"scenario": scenario, "backbone": OURS, "source": [f"{k}.jpg" for k in range(images)]})
    table["group"] = np.arange(images) // 2
    noise = generator.normal(0, 0.1, images)
    table = table.assign(lesion_area=area, share_in_lesion=area + excess + noise - noise.mean())
    file = paths.gradcam_shares(scenario, OURS)
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False)


def test_gradcam_is_judged_on_all_maps_by_an_interval_over_lesions(tmp_path: Path):
    focus = {"measure": "gradcam_focus", "above": 0}
    assert one(StudyPaths(tmp_path / "none"), **focus)["verdict"] == NOT_TESTED
    for excess, images, verdict in (
        (0.2, 100, REPRODUCED),
        (-0.2, 100, NOT_REPRODUCED),
        (0.0, 400, NOT_REPRODUCED),  # nothing beyond the margin
        (0.03, 10, UNDECIDED),
    ):
        paths = StudyPaths(tmp_path / f"{excess} {images}")
        explained(paths, excess, images)
        explained(paths, excess, images, scenario="six_benign")  # the same images, explained again
        found = one(paths, **focus)
        assert found["verdict"] == verdict, found["reason"]
        numbers = found["data"]["numbers"]
        assert numbers["excess"] == pytest.approx(100 * excess, abs=1e-6)
        assert (numbers["maps"], numbers["groups"]) == (2 * images, images // 2)


# the whole


def test_on_synthetic_images_nothing_is_judged_but_everything_is_computed(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    write_audit(paths, dataset={"files": 2357, "contradictory_contents": 0})
    six_models(paths, SHARES)
    evaluate(paths)
    verdicts = judge(paths, Study(synthetic=True))
    assert {claim["verdict"] for claim in verdicts} == {NOT_TESTED, IMPOSSIBLE}
    first = next(claim for claim in verdicts if claim["id"] == "three-malignant-first")
    assert (first["reason"], first["unseen"]["outcome"]) == ("synthetic images", "yes")


def test_the_file_is_json_and_every_claim_has_a_verdict_a_rule_and_its_questions(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    six_models(paths, SHARES, files=30, views=30)
    evaluate(paths)
    verdicts = json.loads(json.dumps(judge(paths, Study(seeds=[0, 1])), allow_nan=False))
    for claim in verdicts:
        assert claim["verdict"] in VERDICTS and claim["reason"] and claim["rule"]
        questions = {"procedure", "unseen", "data"} & set(claim)
        assert questions in ({"data"}, {"procedure", "unseen"})
        for question in questions:
            assert claim[question]["outcome"] in OUTCOMES and claim[question]["reason"]
            assert set(claim[question]) == {"outcome", "reason", "numbers"}
    counts = summary(verdicts).set_index("kind")
    assert counts.loc["all", "claims"] == len(verdicts) == counts["claims"].drop("all").sum()
    table = as_table(verdicts)
    assert len(table) == len(verdicts)
    assert set(table.loc[table["data"] != "", ["procedure", "unseen"]].to_numpy().ravel()) == {""}


def test_a_failed_run_and_a_protocol_left_out_are_named_as_the_reason(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    run = f"train-by_view-native-three_malignant-{OURS}-seed0"
    paths.state.write_text(json.dumps({run: {"status": "not run", "cause": "features-by_view failed", "error": ""}}))
    found = one(paths, **NUMBER, equals=96.74)
    assert found["verdict"] == NOT_TESTED and "not run (features-by_view failed)" in found["reason"]
    found = one(paths, Study(protocols=["by_view"]), **NUMBER, equals=96.74)
    assert "protocol clean is not in this study" in found["unseen"]["reason"]
