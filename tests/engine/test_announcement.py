"""What is said before anything starts, on machines with and without GPUs."""

from pathlib import Path

import pytest

from lib.config.params import Study
from lib.engine import estimate, workers
from lib.engine.estimate import Forecast, describe, is_long
from lib.engine.planning import Inputs, plan
from lib.engine.workers import Options
from tests.engine.test_estimate import RATES

STUDY = Study(backbones=["MobileNet"], protocols=["by_view"], scenarios=["nine_classes"], weights="none")
NO_OPTIONS = Options()


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


def forecast(study: Study = STUDY, options: Options = NO_OPTIONS) -> Forecast:
    return Forecast(plan(study, "test", Inputs(data=Path())), study, 100, RATES, workers.at_once(options))


def lines(folder: Path) -> str:
    return "\n".join(describe(plan(STUDY, "test", Inputs(data=Path())), forecast(), Options(), folder))


def test_lines_say_how_many_runs_how_long_on_what_and_by_whose_rates(machine, tmp_path):
    machine(0)
    shown = lines(tmp_path / "not" / "there")
    assert "8: 1 audit (20 s), 1 prepare (" in shown and "GPUs: 0; notebooks at once: 4" in shown
    assert "a machine of tests" in shown and "gpu.py" not in shown
    assert len(describe([], forecast(), Options(), tmp_path)) == 1
    machine(2)
    shown = lines(tmp_path)
    assert "GPUs: 2; notebooks at once: 4" in shown and "tests/benchmarks/gpu.py" in shown


def test_only_what_takes_more_than_an_hour_and_has_no_gpu_is_confirmed(machine):
    short, long = (forecast(STUDY.model_copy(update={"finetune_epochs": 0, "transfer_epochs": n})) for n in (40, 4000))
    machine(0)
    assert long.left() > 3600 > short.left() > 0
    assert is_long(long, Options()) and not is_long(short, Options())
    assert not is_long(long, Options(scheduler="tcp://127.0.0.1:1"))  # its workers may have some
    machine(1)
    assert not is_long(long, Options())


def test_a_disk_that_is_too_small_is_named(machine, tmp_path, monkeypatch):
    machine(0)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e6}))
    assert "the disk may be too small" in lines(tmp_path)


def test_more_jobs_than_cores_make_a_machine_without_gpus_no_faster(machine):
    machine(0)
    one, four, forty = (forecast(options=Options(jobs=jobs)).left() for jobs in (1, 4, 40))
    assert one > four == forty
