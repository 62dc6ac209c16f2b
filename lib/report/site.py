"""What the engine calls once 08_report has been executed."""

from pathlib import Path

from lib.config.paths import StudyPaths
from lib.report import notebooks, pages


def finish(attempt: StudyPaths, executed: Path) -> None:
    """Make the pages of the report: its own, of the notebook just executed, and one of every notebook behind it."""
    pages.to_html(executed, attempt.new(attempt.report))
    notebooks.write_pages(attempt)
