import pytest

from lib.config.paths import StudyPaths


@pytest.fixture
def paths(tmp_path) -> StudyPaths:
    return StudyPaths(tmp_path)
