"""What the tests of the data set share."""

import itertools
from pathlib import Path

import pytest

from lib.config.paper import CLASSES
from tests.fixtures.pictures import picture, save


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images a class in Train, one in Test."""
    root, seeds = tmp_path / "set", itertools.count()
    for label in CLASSES:
        for part in ("Train", "Train", "Test"):
            seed = next(seeds)
            save(root / part / label / f"ISIC_{seed:07d}.png", picture(seed))
    return root
