"""A study of made-up numbers, whose report is read as a file and in a browser."""

from pathlib import Path

import pytest

from tests.report.made_study import make_report, write_study


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """The results of a study of made-up numbers, some of whose runs failed; tests change copies of it only."""
    root = tmp_path_factory.mktemp("study")
    write_study(root)
    return root


@pytest.fixture(scope="session")
def page(results) -> Path:
    """The report of that study."""
    return make_report(results)
