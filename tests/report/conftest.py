"""A study of made-up numbers, whose report is read as a file and in a browser."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """The results of a study of made-up numbers, some of whose runs failed; tests change copies of it only."""
    from tests.report.test_report import write_study

    root = tmp_path_factory.mktemp("study")
    write_study(root)
    return root


@pytest.fixture(scope="session")
def page(results) -> Path:
    """The report of that study."""
    from tests.report.test_report import make_report

    return make_report(results)
