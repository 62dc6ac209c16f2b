"""The pages of the report, written by the last cell of 08_report."""

from lib.config.paths import StudyPaths
from lib.report import notebooks, pages


def write_pages(paths: StudyPaths) -> None:
    """Write the report's own page, from 08_report as executed so far, and a page of every notebook behind it.

    A notebook that is run by hand has no executed copy yet, so nothing is written.
    """
    executed = paths.new(paths.executed("report"))
    if paths.attempt and executed.is_file():
        pages.to_html(executed, paths.new(paths.report))
        notebooks.write_pages(paths)
