"""The estimate before a study: against real splits, and arithmetic done by hand."""

import re
from pathlib import Path

import pandas as pd
import pytest

import run_all
from lib.config import costs
from lib.config.files import read_json, write_json
from lib.config.paper import scenarios
from lib.config.params import AXES, Study
from lib.config.paths import REFERENCE_RATES, StudyPaths
from lib.config.steps import STEPS, Step
from lib.data.pool import pool_views
from lib.data.protocols import FOLDS, deal, parts_of_fold, select
from lib.engine import estimate
from lib.engine.freshness import Freshness
from lib.engine.planning import Inputs, Run, plan
from lib.models import training
from tests.fixtures.predictions import made_up_index

RATES = {
    "machine": "a machine of tests",
    "gpu": False,
    "image_size": 224,
    "batch_size": 32,
    "start": 10.0,
    "per_image": {"audit": 0.1, "prepare": 0.2, "kmeans": 0.3},
    "backbones": {
        "MobileNet": {
            "parameters": 1000,
            "channels": 10,
            "multiply_adds": 1,
            "train": 5.0,
            "predict": 20.0,
            "trace_train": 7.0,
            "trace_predict": 3.0,
            "head_step": 0.01,
        }
    },
}
STUDY = Study(backbones=["MobileNet"], protocols=["by_view"], scenarios=["nine_classes"], weights="none")


def test_a_dealt_pool_and_its_folds_have_the_views_that_were_estimated():
    study = Study(pool_sizes=dict.fromkeys(Study().pool_sizes, 40), pool_size_benign_malignant=120)
    index = made_up_index(files=16)
    views = pool_views(index, study.pool_sizes, 120, 0)
    assert len(views) <= costs.views_of(study, len(index)) <= 1.5 * len(views)
    for protocol in ("by_view", "by_lesion"):
        table, _ = deal(index, views, protocol, 0)
        for name, scenario in scenarios().items():
            chosen = select(views, table, scenario)
            expected = costs.pool_of(study, name)
            assert len(chosen) == expected, name
            trained = [(parts_of_fold(chosen, fold)["part"] == "train").sum() for fold in range(FOLDS)]
            assert sum(trained) / FOLDS == pytest.approx(0.8 * expected), name


def test_seconds_of_each_step_are_those_counted_by_hand():
    pools = dict.fromkeys(STUDY.pool_sizes, 100)  # 900 views; a tenth more for those of one pool alone: 990
    update = {"pool_sizes": pools, "pool_size_benign_malignant": 50, "transfer_epochs": 10, "finetune_epochs": 2}
    update |= {"transfer_batch_size": 32, "transfer_folds": [0, 1, 2], "finetune_folds": [0, 2]}
    study = STUDY.model_copy(update=update)
    total = estimate.estimate(runs(study), study, 100, RATES)
    assert total.of_step["audit"] == pytest.approx(20)  # 10 to start, 100 files of 0.1 s
    assert total.of_step["prepare"] == pytest.approx(208)  # 10 to start, 990 views of 0.2 s
    assert total.of_step["kmeans"] == pytest.approx(40)  # 10 to start, 100 files of 0.3 s
    assert total.of_step["features"] == pytest.approx(62.5)  # 10 to start, 3 to trace, 990 views at 20 a second
    # 10 to start; 4 until a head can learn; 3 folds, each 1.2 and 8 epochs (early stopping waits for so many; without
    # it there were 10) of 23 steps (720 images by 32) of 0.01 s; 7 to trace; 2 folds, each of 2 epochs of 720 images at
    # 5 a second and 90 at 20 (297), and at last 90 images of either part at 20 a second (9)
    assert total.of_step["train"] == pytest.approx(10 + 4 + 3 * (1.2 + 1.84) + 7 + 2 * (297 + 9))
    assert total.seconds == pytest.approx(sum(total.of_run.values())) == pytest.approx(sum(total.of_step.values()))


def test_a_training_says_how_far_it_has_come_in_the_words_of_lib_models(capsys):
    study = STUDY.model_copy(update={"finetune_folds": [0, 2], "finetune_epochs": 2, "transfer_folds": [0, 1, 2]})
    share_of = estimate.estimate(runs(study), study, 100, RATES).shares[
        "train-by_view-native-nine_classes-MobileNet-seed0"
    ]
    heads, trace, tuned = costs._training(
        costs.Work(study, runs(study)[3].axes, 100, RATES, RATES["backbones"]["MobileNet"])
    ).values()
    scores = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)

    def reached(phase: str, fold: int, epoch: int, epochs: int) -> costs.Reached:
        progress = training.Progress(training.Schedule(phase, epochs, 1e-3, 32, 8), fold)
        progress.on_train_begin()
        progress.on_epoch_begin(epoch - 1)
        progress.on_epoch_end(epoch - 1, scores)
        return share_of(capsys.readouterr().out)

    whole = heads + trace + tuned
    first, stopped, last = reached("transfer", 1, 1, 40), reached("transfer", 2, 39, 40), reached("finetune", 2, 2, 2)
    assert heads / 3 < first.share * whole < heads / 2 and not first.kept
    assert stopped.share * whole == pytest.approx(heads) and stopped.phase == "transfer"
    assert reached("finetune", 0, 1, 2).share * whole == pytest.approx(heads + trace + tuned / 4)
    assert last == (pytest.approx(1), "finetune", False)
    assert share_of("fold 0 finetune goes on after epoch 1/2") == (
        pytest.approx((heads + trace + tuned / 4) / whole),
        "finetune",
        True,
    )
    assert share_of("fold 1 transfer had ended before") == (pytest.approx(heads * 2 / 3 / whole), "transfer", True)
    assert share_of("fold 1 finetune epoch 1/2 ") is share_of("images: 34%") is None


def test_images_of_twice_the_side_take_four_times_as_long_and_as_much_disk():
    small, large = (STUDY.model_copy(update={"image_size": size}) for size in (112, 224))
    seconds = [estimate.estimate(runs(study), study, 100, RATES).of_step["prepare"] - 10 for study in (small, large)]
    assert seconds[1] == pytest.approx(4 * seconds[0])
    disk = [estimate.estimate([runs(study)[1]], study, 100, RATES).disk for study in (small, large)]
    pools = max(sum(STUDY.pool_sizes.values()), 2 * STUDY.pool_size_benign_malignant)
    pixels = round(1.1 * pools) * (224**2 - 112**2) * 3
    assert disk[1] - disk[0] == pytest.approx(pixels)


def test_a_run_that_was_made_before_is_expected_to_take_as_long_again_if_its_parameters_are_the_same(tmp_path):
    paths = StudyPaths(tmp_path)
    train = next(run for run in runs(STUDY) if run.step == "train")
    write_json(paths.stamp(train.id), Freshness(tmp_path).describe(train) | {"seconds": 1234.5})
    assert estimate.estimate(runs(STUDY), STUDY, 100, RATES, paths).of_step["train"] == 1234.5
    shorter = STUDY.model_copy(update={"finetune_epochs": 4})
    by_rates = estimate.estimate(runs(shorter), shorter, 100, RATES)
    assert estimate.estimate(runs(shorter), shorter, 100, RATES, paths) == by_rates


def test_a_backbone_without_rates_is_taken_to_be_the_slowest_and_named():
    study = STUDY.model_copy(update={"backbones": ["MobileNet", "ResNet50"]})
    found = estimate.estimate(runs(study), study, 100, RATES)
    assert found.assumed == {"ResNet50": "MobileNet"}
    assert found.of_step["features"] == pytest.approx(
        2 * estimate.estimate(runs(STUDY), STUDY, 100, RATES).of_step["features"]
    )


def test_the_rates_of_the_reference_cover_every_backbone_of_the_paper():
    measured = read_json(REFERENCE_RATES)
    assert set(measured["backbones"]) == set(Study().backbones)
    study = Study()
    found = estimate.estimate(runs(study), study, 2357, measured)
    assert found.assumed == {} and found.seconds > 0
    assert set(found.of_step) == {run.step for run in runs(study)}


def test_in_one_thread_a_network_takes_as_many_times_as_long_as_it_had_threads_when_it_was_measured():
    faster = {"MobileNet": RATES["backbones"]["MobileNet"] | {"threads": 2}}
    once = estimate.estimate(runs(STUDY), STUDY, 100, RATES)
    twice = estimate.estimate(runs(STUDY), STUDY, 100, RATES | {"backbones": faster})
    assert twice.of_step["features"] - 13 == pytest.approx(
        2 * (once.of_step["features"] - 13)
    )  # 10 to start, 3 to trace
    assert twice.of_step["train"] > once.of_step["train"] and twice.of_step["audit"] == once.of_step["audit"]


def test_a_dry_run_says_how_long_and_on_whose_rates_and_starts_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "rates", lambda: RATES | {"backbones": {**RATES["backbones"]}})
    status = run_all.main(["demo", "--dry-run", "--results", str(tmp_path / "new"), "--jobs", "1"])
    printed = capsys.readouterr().out
    assert status == 0 and not (tmp_path / "new").exists()
    assert re.search(r"^to make: 30 runs: 1 audit, .*, 15 train, .*, 1 report$", printed, flags=re.MULTILINE)
    assert re.search(
        r"^about \d+ min on .*1 notebook at once, \d\.\d GB of disk \(.* GB are free\)$", printed, re.MULTILINE
    )
    assert "a machine of tests" in printed
    assert "EfficientNetV2B3 has not been measured: taken to be as slow as MobileNet" in printed


def test_without_any_rates_a_dry_run_says_that_nothing_is_known_of_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "rates", dict)
    assert run_all.main(["demo", "--dry-run", "--results", str(tmp_path / "new")]) == 0
    assert "how long is not known" in capsys.readouterr().out


def runs(study):
    return plan(study, "test", Inputs(data=Path()))


def test_every_axis_of_the_matrix_has_its_share_of_the_estimate():
    study = Study()
    cells = pd.DataFrame(study.cells(*AXES))
    one = estimate.estimate(runs(STUDY), STUDY, 2357, RATES | {"start": 0.0}).of_step["evaluate"]
    all_of_them = estimate.estimate(runs(study), study, 2357, RATES | {"start": 0.0}).of_step["evaluate"]
    assert all_of_them == pytest.approx(one * len(cells[["preprocessing", "scenario"]].drop_duplicates()))


def test_a_step_without_a_cost_of_its_own_is_estimated_like_any_other(monkeypatch):
    monkeypatch.setitem(STEPS, "new", Step("new", "09_new"))
    new = Run("new", "new", {}, Path("09_new.ipynb"), {}, ())
    assert estimate.estimate([new], STUDY, 100, RATES).of_run == {"new": 13.0}
