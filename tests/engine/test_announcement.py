"""What is said before anything starts, on machines with and without GPUs."""

from dataclasses import replace
from pathlib import Path

import pytest

from lib.config.params import Study
from lib.engine import announcement, workers
from lib.engine.announcement import Prospect
from lib.engine.estimate import Forecast
from lib.engine.planning import Inputs, plan
from lib.engine.workers import Options
from tests.engine.test_estimate import RATES

STUDY = Study(backbones=["MobileNet"], protocols=["by_view"], scenarios=["nine_classes"], weights="none")


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine one with some GPUs."""

    def with_gpus(count: int) -> None:
        found = [f"GPU {i}: NVIDIA H100 80GB HBM3 (UUID: GPU-{i})" for i in range(count)]
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(workers, "gpus", lambda: found)
        monkeypatch.setattr(announcement, "gpus", lambda: found)
        monkeypatch.setattr(workers, "cores", lambda: 4)
        monkeypatch.setattr(workers, "default_jobs", lambda: 4)

    return with_gpus


def prospect(study: Study = STUDY, **options) -> Prospect:
    runs = plan(study, "test", Inputs(data=Path()))
    how = Options(**options)
    return Prospect(runs, Forecast(runs, study, 100, RATES, workers.at_once(how)), how)


def test_lines_say_what_is_made_how_long_on_what_and_how_much_disk(machine, tmp_path):
    machine(0)
    made, about, parts, known = prospect().lines(tmp_path / "not" / "there")
    assert made == "to make: 8 runs: 1 audit, 1 prepare, 1 features, 1 train, 1 evaluate, 1 gradcam, 1 kmeans, 1 report"
    assert " on 4 CPU cores without a GPU, 4 notebooks at once, up to 1." in about and "GB are free" in about
    assert parts.startswith("one after the other: audit 20 s, prepare ")
    assert "a machine of tests" in known
    (line,) = replace(prospect(), runs=[]).lines(tmp_path)
    assert line.startswith("nothing to do")


def test_a_machine_with_gpus_is_described_and_the_rates_are_of_one_without(machine, tmp_path):
    machine(2)
    lines = prospect().lines(tmp_path)
    assert any("on 2 GPUs (NVIDIA H100 80GB HBM3), 4 notebooks at once" in line for line in lines)
    assert any("tests/benchmarks/gpu.py" in line for line in lines)


def test_only_what_takes_more_than_an_hour_and_has_no_gpu_is_confirmed(machine):
    short, long = (STUDY.model_copy(update={"finetune_epochs": 0, "transfer_epochs": n}) for n in (40, 4000))
    machine(0)
    assert prospect(long).forecast.left() > 3600 > prospect(short).forecast.left() > 0
    assert prospect(long).is_long and not prospect(short).is_long
    assert not prospect(long, scheduler="tcp://127.0.0.1:1").is_long  # its workers may have some
    machine(1)
    assert not prospect(long).is_long


def test_a_disk_that_is_too_small_is_named(machine, tmp_path, monkeypatch):
    machine(0)
    monkeypatch.setattr(announcement.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e6}))
    assert prospect().lines(tmp_path)[-1].startswith("the disk may be too small")


def test_more_jobs_than_cores_make_a_machine_without_gpus_no_faster(machine):
    machine(0)
    assert prospect(jobs=1).forecast.left() > prospect(jobs=4).forecast.left() == prospect(jobs=40).forecast.left()
