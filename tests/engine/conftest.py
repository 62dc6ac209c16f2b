"""The small study of stand-in notebooks, as a command."""

import sys

import pytest

from lib.config.paper import CLASSES
from lib.config.params import load_study
from lib.config.paths import REPOSITORY
from lib.engine.planning import Inputs, plan

FIXTURES = REPOSITORY / "tests" / "fixtures"


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    """What the environment names (the real images, their metadata, weights) is not of the small study."""
    for name in ("SKINCAS_DATA", "SKINCAS_METADATA", "SKINCAS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command(tmp_path):
    """The command that runs the small study on an image per class in a results folder, with flags."""
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "image.jpg").write_bytes(name.encode())
    script = [sys.executable, str(FIXTURES / "run_fixture.py"), str(FIXTURES / "small.yaml")]
    return lambda root, *flags: [*script, "--data", str(tmp_path / "data"), "--results", str(root), *flags]


@pytest.fixture
def small(tmp_path):
    """The small study: its runs by id, its results folder."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "image.jpg").write_bytes(b"pixels")
    root = tmp_path / "results"
    study = load_study(str(FIXTURES / "small.yaml"))
    runs = plan(study, "small", Inputs(data=data), FIXTURES / "notebooks")
    return {run.id: run for run in runs}, root
