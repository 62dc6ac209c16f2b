"""The estimate of a study: against arithmetic by hand, and as runs end."""

from pathlib import Path

import pytest

from lib.config.files import read_json, write_json
from lib.config.paper import backbones, scenarios
from lib.config.params import Study
from lib.config.paths import REFERENCE_RATES, StudyPaths
from lib.config.steps import STEPS
from lib.data.folds import select
from lib.data.pool import pool_views
from lib.data.protocols import deal
from lib.engine.estimate import Forecast
from lib.engine.freshness import Freshness, recorded_parameters
from lib.engine.planning import Inputs, plan
from tests.fixtures.predictions import made_up_index

RATES = {
    "machine": "a machine of tests",
    "gpu": False,
    "start": 10.0,
    "audit": 0.1,
    "prepare": 0.2,
    "kmeans": 0.3,
    "report": 5.0,
    "predict": {"MobileNet": 0.05, "ResNet50": 0.1},
    "train": {"MobileNet": 0.2, "ResNet50": 0.4},
    "head": {"MobileNet": 0.001, "ResNet50": 0.001},
    "trace": {"MobileNet": 7.0, "ResNet50": 7.0},
}
STUDY = Study(backbones=["MobileNet"], protocols=["by_view"], scenarios=["nine_classes"], weights="none")


def forecast(study: Study = STUDY, at_once: int = 1, paths: StudyPaths | None = None, step: str = "") -> Forecast:
    planned = plan(study, "test", Inputs(data=Path()))
    runs = [run for run in planned if step in ("", run.step)]
    return Forecast(runs, study, 100, RATES, at_once, planned, paths)


def test_the_views_of_a_pool_and_of_its_scenarios_are_as_many_as_estimated():
    study = Study(pool_sizes=dict.fromkeys(Study().pool_sizes, 40), pool_size_benign_malignant=120)
    index = made_up_index(files=16)
    views = pool_views(index, study.pool_sizes, 120, 0)
    assert len(views) <= study.count_views(len(index)) <= 1.5 * len(views)
    table, _ = deal(index, views, "by_view", 0)
    for name, scenario in scenarios().items():
        assert len(select(views, table, scenario)) == study.count_images(name)


def test_seconds_of_each_step_are_those_counted_by_hand():
    study = STUDY.model_copy(update={"image_size": 448})  # four times the pixels
    views = round(1.1 * 9010)
    assert {step: forecast(study).of_step(step) for step in STEPS} == pytest.approx(
        {
            "audit": 10 + 100 * 0.1,
            "prepare": 10 + views * 4 * 0.2,
            "features": 10 + views * 4 * 0.05,
            "train": 10 + 0.8 * 9010 * (0.56 * 40 * 10 * 0.001 + 30 * 4 * 0.2) + 7,
            "evaluate": 10,
            "gradcam": 10 + 28 * (2 * 4 * 0.05 + 0.3),
            "kmeans": 10 + 100 * 0.3,
            "report": 10 + 5,
        }
    )
    assert forecast(study, step="prepare").disk == pytest.approx(views * 448**2 * 3, rel=1e-3)


def test_a_run_takes_as_long_as_before_and_others_of_its_step_and_backbone_are_corrected_by_it(tmp_path):
    study = STUDY.model_copy(update={"protocols": ["by_view", "clean"], "backbones": ["MobileNet", "ResNet50"]})
    paths, by_rates = StudyPaths(tmp_path), forecast(study, step="train")
    first, second, *others = plan(study, "test", Inputs(data=Path()))[-1 - 2 - 1 - 1 - 4 :][:4]
    assert first.step == "train" and others[0].axes["protocol"] == "clean"
    took = 3 * by_rates.seconds(first)
    described = Freshness(tmp_path).describe(first) | {"inputs": {}, "outputs": {}}
    write_json(paths.stamp(first.id), described | {"parameters": recorded_parameters(first), "seconds": took})
    now = forecast(study, paths=paths, step="train")
    assert now.seconds(first) == took
    assert now.seconds(others[0]) == pytest.approx(3 * by_rates.seconds(others[0]))
    assert now.seconds(second) == by_rates.seconds(second)  # another backbone
    write_json(paths.stamp(first.id), {"parameters": {}, "seconds": took})
    assert forecast(study, paths=paths, step="train").seconds(first) == by_rates.seconds(first)


def test_what_is_left_falls_as_runs_go_on_and_end_and_is_shared_by_those_at_once():
    study = STUDY.model_copy(update={"seeds": [0, 1, 2, 3]})
    one, two = forecast(study, step="train"), forecast(study, at_once=2, step="train")
    each = one.left() / 4
    assert two.left() == pytest.approx(2 * each)
    names = [f"train-by_view-native-nine_classes-MobileNet-seed{seed}" for seed in range(4)]
    assert one.left({names[0]: each / 2}) == pytest.approx(3.5 * each)
    one.ended(names[0], 2 * each)  # the others will take twice as long, too
    assert one.left() == pytest.approx(6 * each)
    one.ended(names[1])  # one that failed says nothing
    assert one.left({names[2]: 5 * each}) == pytest.approx(2 * each)
    assert forecast(study, at_once=100, step="train").left() == pytest.approx(each)  # the longest run


def test_a_backbone_without_rates_counts_as_the_slowest():
    study = STUDY.model_copy(update={"backbones": ["EfficientNetB3"]})
    slowest = STUDY.model_copy(update={"backbones": ["ResNet50"]})
    assert forecast(study).left() == forecast(slowest).left()


def test_the_rates_of_the_reference_have_every_kind_of_work_and_every_backbone():
    rates = read_json(REFERENCE_RATES)
    assert rates.keys() == RATES.keys()
    assert all(rates[kind].keys() == backbones().keys() for kind in ("predict", "train", "head", "trace"))
