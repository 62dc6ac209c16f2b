"""What has to be run, in which order, and whether it ended well; knows notebooks and files, nothing of skin."""

from lib.engine import estimate, execution, freshness, kernel, provenance
from lib.engine.freshness import FORMAT, Freshness, Library, outputs_of
from lib.engine.planning import Inputs, NotebookError, Run, left_out, plan, read_notebook, select
from lib.engine.progress import duration, log, start_log
from lib.engine.provenance import hardware

__all__ = [
    "FORMAT",
    "Freshness",
    "Inputs",
    "Library",
    "NotebookError",
    "Run",
    "duration",
    "estimate",
    "execution",
    "freshness",
    "hardware",
    "kernel",
    "left_out",
    "log",
    "outputs_of",
    "plan",
    "provenance",
    "read_notebook",
    "select",
    "start_log",
]
