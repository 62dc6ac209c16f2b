"""The small study of stand-in notebooks, as a command and as runs."""

import sys

import pytest

from lib.config.params import load_study
from lib.engine.planning import Inputs, plan
from tests.engine.helpers import FIXTURES


@pytest.fixture
def command(data):
    """The command that runs the small study in a results folder, with flags."""
    script = [sys.executable, str(FIXTURES / "run_fixture.py"), str(FIXTURES / "small.yaml")]
    return lambda root, *flags: [*script, "--data", str(data), "--results", str(root), *flags]


@pytest.fixture
def small(data):
    """The small study: its runs by id, its results folder."""
    study = load_study(str(FIXTURES / "small.yaml"))
    runs = plan(study, "small", Inputs(data=data), FIXTURES / "notebooks")
    return {run.id: run for run in runs}, data.parent / "results"
