"""What has to be run, in which order, and how did it end, whatever the notebooks are about?"""

# not here: attempts and kernel, which need papermill and are imported by workers alone

from lib.engine import estimate, provenance, workers
from lib.engine.announcement import Prospect, agreed, show_plan
from lib.engine.arguments import chosen_steps, chosen_values, parser
from lib.engine.code import CodeError, Library
from lib.engine.execution import Standing, carry_out, standings
from lib.engine.freshness import FORMAT, Freshness, outputs_of
from lib.engine.interruption import Interruption
from lib.engine.locks import CalledOff, FolderError, check_format, locked
from lib.engine.planning import Inputs, NotebookError, Run, declared_parameters, left_out, plan, select
from lib.engine.progress import discard_output, duration, log, start_log, working
from lib.engine.provenance import hardware
from lib.engine.results import Result
from lib.engine.workers import ClusterError, Options

__all__ = [
    "CalledOff",
    "ClusterError",
    "CodeError",
    "FORMAT",
    "FolderError",
    "Freshness",
    "Inputs",
    "Interruption",
    "Library",
    "NotebookError",
    "Options",
    "Prospect",
    "Result",
    "Run",
    "Standing",
    "agreed",
    "carry_out",
    "check_format",
    "chosen_steps",
    "chosen_values",
    "declared_parameters",
    "discard_output",
    "duration",
    "estimate",
    "hardware",
    "left_out",
    "locked",
    "log",
    "outputs_of",
    "parser",
    "plan",
    "provenance",
    "select",
    "show_plan",
    "standings",
    "start_log",
    "workers",
    "working",
]
