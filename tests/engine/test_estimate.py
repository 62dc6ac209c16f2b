"""The estimate of a study: as runs end, and what is said with and without GPUs."""

from pathlib import Path

import pytest

from lib.config.files import read_json, write_json
from lib.config.params import Study
from lib.config.paths import REFERENCE_RATES, StudyPaths
from lib.engine import workers
from lib.engine.estimate import Forecast, is_long
from lib.engine.freshness import Freshness, recorded_parameters
from lib.engine.planning import Inputs, plan
from lib.engine.workers import Options

RATES = read_json(REFERENCE_RATES)
STUDY = Study(backbones=["MobileNet"], protocols=["by_view"], scenarios=["nine_classes"], weights="none")


def forecast(study: Study = STUDY, at_once: int = 1, paths: StudyPaths | None = None, step: str = "") -> Forecast:
    planned = plan(study, "test", Inputs(data=Path()))
    runs = [run for run in planned if step in ("", run.step)]
    return Forecast(runs, study, 100, RATES, at_once, planned, paths)


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


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine one with some GPUs."""

    def with_gpus(count: int) -> None:
        found = [f"GPU {i}: NVIDIA H100 80GB HBM3 (UUID: GPU-{i})" for i in range(count)]
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(workers, "gpus", lambda: found)
        monkeypatch.setattr(workers, "cores", lambda: 4)
        monkeypatch.setattr(workers, "default_jobs", lambda: 4)

    return with_gpus


def test_only_what_takes_more_than_an_hour_and_has_no_gpu_is_confirmed(machine):
    short, long = (forecast(STUDY.model_copy(update={"finetune_epochs": 0, "transfer_epochs": n})) for n in (4, 4000))
    machine(0)
    assert is_long(long, Options()) and not is_long(short, Options())
    assert not is_long(long, Options(scheduler="tcp://127.0.0.1:1"))  # its workers may have some
    machine(1)
    assert not is_long(long, Options())


def test_every_gpu_worker_sees_its_own_gpu_and_light_notebooks_see_none(machine, monkeypatch):
    def devices(kind: str, **options) -> list[str]:
        given = workers.local_workers(Options(**options))
        return sorted(one["env"]["CUDA_VISIBLE_DEVICES"] for one in given if kind in one["resources"])

    machine(2)
    assert devices("heavy", per_gpu=2) == ["0", "0", "1", "1"] and set(devices("light")) == {"-1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices("heavy") == ["1"]
