"""The small study of stand-in notebooks, as a command."""

import sys

import pytest

from lib.config.paper import CLASSES
from lib.config.paths import REPOSITORY

FIXTURES = REPOSITORY / "tests" / "fixtures"


@pytest.fixture
def command(tmp_path):
    """The command that runs the small study on an image per class in a results folder, with flags."""
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "image.jpg").write_bytes(name.encode())
    script = [sys.executable, str(FIXTURES / "run_fixture.py"), str(FIXTURES / "small.yaml")]
    return lambda root, *flags: [*script, "--data", str(tmp_path / "data"), "--results", str(root), *flags]
