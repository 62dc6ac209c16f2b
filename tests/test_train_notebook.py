"""04_train on a small synthetic study: killed and resumed, it writes the same bytes."""

import contextlib
import random
import signal

import psutil
import pytest

from lib.config.paper import CLASSES
from lib.config.params import load_study
from lib.config.paths import NOTEBOOKS, StudyPaths
from lib.data import demo
from lib.engine import attempts
from lib.engine.freshness import Freshness
from lib.engine.planning import Inputs, plan
from lib.engine.workers import kernel_environment
from tests.fixtures.tiny import write_tiny

KILLS = 6


def perform(run, root, **more):
    described = Freshness(root).describe(run)
    return attempts.perform(
        run, root, described, environment=kernel_environment(1, {"KERAS_BACKEND": "tensorflow"}), **more
    )


def numbers(root, run) -> dict[str, bytes]:
    """What a run wrote, except run.json, in which the engine notes seconds."""
    (folder,) = run.outputs
    return {path.name: path.read_bytes() for path in (root / folder).iterdir() if path.name != "run.json"}


@pytest.mark.slow
def test_killed_at_random_epochs_it_resumes_and_writes_the_bytes_of_an_undisturbed_run(tmp_path):
    """SIGKILL as the kernel prints an epoch: before, while or after its checkpoint is written."""
    root, folds = tmp_path / "results" / "small", dict(transfer_folds=[0, 3], finetune_folds=[0, 3], patience=2)
    epochs = dict(transfer_epochs=3, finetune_epochs=3, finetune_learning_rate=1e-3, finetune_layers=2)
    path = write_tiny(tmp_path / "small.yaml", pool_sizes=dict.fromkeys(CLASSES, 30), **folds, **epochs)
    study, data = load_study(str(path)), StudyPaths(root).demo_data
    demo.ensure(data, study.demo_images, study.demo_size)
    runs = plan(study, "small", Inputs(data, (data / "metadata.csv",), data / "masks"), NOTEBOOKS)
    runs = [run for run in runs if run.step in ("audit", "prepare", "features", "train")]
    for run in runs:  # the last one is the training
        result = perform(run, root)
        assert result.status == "done", result.error
    undisturbed, chance, lines, killed = numbers(root, run), random.Random(20261127), [], []
    assert run.step == "train"

    def listen(line="", **_):
        lines.append(line)
        if " epoch " in line and len(killed) < KILLS and chance.random() < (0.5 if "finetune" in line else 0.1):
            killed.append(line)
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    if "ipykernel_launcher" in child.cmdline():
                        child.send_signal(signal.SIGKILL)

    StudyPaths(root).stamp(run.id).unlink()
    while (result := perform(run, root, report_progress=listen)).status != "done":
        assert result.killed, result.error
    assert len(killed) == KILLS and any("finetune" in line and "restored" in line for line in lines)
    assert any("transfer" in line and "restored" in line for line in lines)
    assert numbers(root, run) == undisturbed
    assert not (StudyPaths(root).attempts / run.id).exists()
