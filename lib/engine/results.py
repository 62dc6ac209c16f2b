"""How runs end, what follows for those that need them, and state.json, which the report reads."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lib.config.files import read_json, write_json
from lib.config.paths import StudyPaths
from lib.engine.freshness import read_stamp
from lib.engine.planning import Run

Status = Literal["done", "fresh", "failed", "not run", "cancelled", "not started"]
ENTRY = {"status": "", "cause": "", "error": "", "notebook": "", "seconds": 0.0}  # of state.json


class Cancelled(Exception):
    """A run that was cancelled."""


@dataclass(frozen=True)
class Result:
    """How a run ended. One that was cancelled before it started is "not started"."""

    status: Status
    seconds: float = 0.0
    peak_memory: int = 0  # bytes
    error: str = ""
    cell: int = 0  # the code cell that failed, 0 where it was in none
    killed: bool = False  # the kernel, or its worker, died
    cause: str = ""  # why it could not start

    @property
    def well(self) -> bool:
        return self.status in ("done", "fresh")


def blocked(run: Run, results: dict[str, Result]) -> str:
    """Why a run cannot start, given how those before it ended; "" if it can.

    A run that sums up several others (`some_of`) starts as long as one of them ended well.
    """

    def cause(name: str) -> str:
        result = results[name]
        return "" if result.well else result.cause or f"{name} {result.status}"

    needed = [cause(name) for name in run.needs if name in results]
    some = [cause(name) for name in run.some_of if name in results]
    return next(filter(None, needed), some[0] if some and all(some) else "")


def write_state(planned: list[Run], skipped: list[dict[str, Any]], results: dict[str, Result], root: Path) -> None:
    """Write state.json: how every run of the study stands, except the report itself, and the cells that it skips."""
    paths = StudyPaths(root)
    before = read_json(paths.state, dict) or {}
    state: dict[str, dict[str, Any]] = {}
    for run in planned:
        if run.declared.last:
            continue
        stamp, result, old = read_stamp(paths.stamp(run.id)), results.get(run.id), before.get(run.id)
        if result and result.status in ("failed", "not run"):
            ended = asdict(result)
        elif stamp and (not result or result.well):
            ended = {"status": "done", "seconds": stamp["seconds"]}
        elif not result and isinstance(old, dict) and old.get("status") in ("failed", "kept"):
            ended = old
        else:
            ended = {"status": "not run", "cause": result.status if result else "not selected"}
        executed = paths.executed(run.id)
        ended["notebook"] = executed.relative_to(paths.root).as_posix() if executed.is_file() else ""
        entry = ENTRY | {key: ended[key] for key in ENTRY if key in ended}
        state[run.id] = {"step": run.step, "axes": run.axes} | entry
    reason = {"status": "skipped", "cause": "skipped by the study file"}
    state |= {cell["id"]: {"step": cell["step"], "axes": cell["axes"]} | ENTRY | reason for cell in skipped}
    if state != before:
        write_json(paths.state, state)
