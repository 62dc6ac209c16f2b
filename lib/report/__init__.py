"""How the study is shown as pages."""

from lib.report import accuracy, audits, compare, html, methods, notebooks, pages, paper_figures, summary, tables
from lib.report.site import finish

__all__ = [
    "accuracy",
    "audits",
    "compare",
    "finish",
    "html",
    "methods",
    "notebooks",
    "pages",
    "paper_figures",
    "summary",
    "tables",
]
