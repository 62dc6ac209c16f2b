"""How is the study shown as pages?"""

from lib.report import (
    accuracy,
    audits,
    beyond_accuracy,
    choices,
    compare,
    compare_page,
    field,
    honest,
    html,
    leakage,
    methods,
    notebooks,
    pages,
    paper_figures,
    reforms,
    summary,
    tables,
)
from lib.report.site import finish

__all__ = [
    "accuracy",
    "audits",
    "beyond_accuracy",
    "choices",
    "compare",
    "compare_page",
    "field",
    "finish",
    "honest",
    "html",
    "leakage",
    "methods",
    "notebooks",
    "pages",
    "paper_figures",
    "reforms",
    "summary",
    "tables",
]
