"""How is the study shown as pages?"""

from lib.report import (
    accuracy,
    audits,
    beyond_accuracy,
    compare,
    compare_page,
    external,
    honest,
    html,
    leakage,
    methods,
    notebooks,
    pages,
    paper_figures,
    summary,
    tables,
)
from lib.report.site import finish

__all__ = [
    "accuracy",
    "audits",
    "beyond_accuracy",
    "compare",
    "compare_page",
    "external",
    "finish",
    "honest",
    "html",
    "leakage",
    "methods",
    "notebooks",
    "pages",
    "paper_figures",
    "summary",
    "tables",
]
