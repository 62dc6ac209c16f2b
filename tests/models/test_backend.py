"""Keras on JAX needs no TensorFlow, each backend reads what the other trained, and stamps name the one that ran."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.config.paths import REPOSITORY, StudyPaths
from tests.fixtures.tiny import write_tiny

SMALL_TRAINING = REPOSITORY / "tests" / "fixtures" / "small_training.py"

WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class WithoutTensorFlow(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorFlow
"""


@pytest.fixture(scope="module")
def jax(tmp_path_factory) -> dict[str, str]:
    """The environment of a machine with JAX alone: TensorFlow cannot be imported."""
    folder = tmp_path_factory.mktemp("jax")
    (folder / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    compiled_once = {  # by all processes of these tests
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SKINCAS_")}
    return environment | compiled_once | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(folder)}


def python(*arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def trained(jax, tmp_path_factory) -> Path:
    """A training by each backend, and what each computes from both: <trained by>/<read by>.npz."""
    root = tmp_path_factory.mktemp("trained")
    by = {name: root / name for name in ("tensorflow", "jax")}
    for folder in by.values():
        folder.mkdir()
    tensorflow = os.environ | {"KERAS_BACKEND": "tensorflow"}
    python(SMALL_TRAINING, f"train={by['tensorflow']}", env=tensorflow)
    python(SMALL_TRAINING, f"train={by['jax']}", f"read={by['tensorflow']}", env=jax)
    python(SMALL_TRAINING, f"read={by['jax']}", env=tensorflow)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["tensorflow", "jax"])
def test_the_other_backend_computes_the_same_with_a_trained_network(trained, trainer):
    read = [np.load(trained / trainer / f"{name}.npz") for name in ("tensorflow", "jax")]
    spread = read[0]["probabilities"].std(axis=0).max(), read[0]["features"].std(axis=0).max()
    assert min(spread) > 0.1  # images differ, so that equal numbers mean something
    assert read[0]["maps"].max() == 1.0
    for what in ("probabilities", "features", "maps"):
        assert np.abs(read[0][what] - read[1][what]).max() < 1e-4, what


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_a_kernel_that_is_given_more_threads_trains_to_the_same_bytes(name, trained, jax, tmp_path):
    """As in JupyterLab, whose kernels may use every core, and under run_all, whose kernels share them."""
    counted = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
    environment = (os.environ | {"KERAS_BACKEND": "tensorflow"}) if name == "tensorflow" else jax
    python(SMALL_TRAINING, f"train={tmp_path}", env=environment | dict.fromkeys(counted, "3"))
    before, now = (np.load(folder / f"{name}.npz") for folder in (trained / name, tmp_path))
    for what in ("losses", "probabilities", "features", "maps"):
        assert before[what].tobytes() == now[what].tobytes(), what


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["tensorflow", "jax"])
def test_both_phases_train_and_training_again_gives_the_same_numbers(trained, trainer):
    numbers = np.load(trained / trainer / f"{trainer}.npz")
    first, second, on_device = numbers["losses"]
    assert first[-1] < 0.7 * first[0]
    assert np.array_equal(first, second) and np.array_equal(first, on_device)
    assert numbers["difference"] == 0
    assert 0 < numbers["moved"] < 1e-3
    assert bool(numbers["tensorflow"]) == (trainer == "tensorflow")


@pytest.mark.slow
@pytest.mark.parametrize(("trainer", "reader"), [("tensorflow", "jax"), ("jax", "tensorflow")])
def test_a_head_is_not_loaded_onto_the_random_backbone_of_another_backend(trained, trainer, reader):
    refusal = str(np.load(trained / trainer / f"{reader}.npz")["refused"])
    assert refusal.endswith(f"set KERAS_BACKEND={trainer}")


@pytest.mark.slow
def test_notebooks_run_under_jax_alone_and_a_change_of_backend_makes_them_stale(jax, tmp_path):
    """03_extract_features, 04_train and 06_gradcam, and what they need, as run_all.py runs them."""
    settings = dict(protocols=["clean"], image_size=64, finetune_epochs=1, finetune_learning_rate=1e-7)
    study, root = write_tiny(tmp_path / "one.yaml", gradcam_images=3, **settings), tmp_path / "results"
    command = ["run_all.py", study, "--results", root, "--step", "gradcam"]
    python(*command, env=jax)
    paths = StudyPaths(root)
    run = paths.run("clean", "native", "three_malignant", "MobileNet", 0)
    for phase in ("transfer", "finetune"):
        table = pd.read_parquet(run / f"predictions_{phase}.parquet")
        classes = [name for name in table.columns if table[name].dtype == np.float32]
        assert len(classes) == 3 and np.allclose(table[classes].sum(axis=1), 1, atol=1e-4)
    record = json.loads((run / "run.json").read_text())
    assert record["machine"]["backend"] == record["provenance"]["environment"]["KERAS_BACKEND"] == "jax"
    for path in (path for step in ("features", "train", "gradcam") for path in paths.stamps.glob(f"{step}-*.json")):
        packages = json.loads(path.read_text())["packages"]
        assert packages["jax"] == version("jax") and "tensorflow" not in packages, path.stem
    again = python(*command, "--dry-run", env=jax).stdout
    assert "5 fresh, 0 stale, 0 missing" in again
    other = python(*command, "--dry-run", env=os.environ | {"KERAS_BACKEND": "tensorflow"}).stdout
    assert "2 fresh, 3 stale, 0 missing" in other
    assert other.count("package backend: jax -> tensorflow") == 3


@pytest.mark.parametrize("chosen", ["jx", "torch", "tensorflow"])
def test_a_backend_that_cannot_run_is_refused_by_name_before_anything_starts(jax, tmp_path, chosen):
    command = [sys.executable, "run_all.py", "demo", "--results", str(tmp_path / "results")]
    done = subprocess.run(command, cwd=REPOSITORY, env=jax | {"KERAS_BACKEND": chosen}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"run_all.py: KERAS_BACKEND={chosen!r}")
    assert not (tmp_path / "results").exists()
