"""How runs end, what follows for those that need them, and state.json, which the report reads."""

from dataclasses import dataclass
from typing import Any, Literal

from lib.config.files import read_json, write_json
from lib.config.paths import StudyPaths
from lib.engine.planning import Run

Status = Literal["done", "fresh", "failed", "not run", "cancelled", "not started"]
ENTRY = {"status": "", "cause": "", "error": "", "notebook": "", "seconds": 0.0}  # of state.json


class Cancelled(Exception):
    """A run that was cancelled."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        seconds, peak_memory: of its notebook; bytes.
        error, cell: of a failure, with the number of the code cell, 0 where it was in none.
        killed: the kernel, or its worker, died.
        cause: why a run could not start. One that was cancelled before it did is "not started".
    """

    status: Status
    seconds: float = 0.0
    peak_memory: int = 0
    error: str = ""
    cell: int = 0
    killed: bool = False
    attempts: int = 0
    cause: str = ""

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


def write_state(
    planned: list[Run], skipped: list[dict[str, Any]], results: dict[str, Result], paths: StudyPaths
) -> None:
    """Write state.json: how every run of the study stands, except the report itself.

    Args:
        skipped: cells that the study skips.
    """
    before = read_json(paths.state) or {}
    state: dict[str, dict[str, Any]] = {}
    for run in planned:
        if run.declared.last:
            continue
        stamp, result, old = read_json(paths.stamp(run.id)), results.get(run.id), before.get(run.id, {})
        status = result.status if result else "not selected"
        entry = {"step": run.step, "axes": run.axes} | ENTRY
        if status in ("failed", "not run"):
            entry |= dict(status=status, cause=result.cause, error=result.error, seconds=result.seconds)
        elif stamp and status not in ("cancelled", "not started"):
            entry |= dict(status="done", seconds=stamp["seconds"])
        elif result is None and old.get("status") == "failed":
            entry |= {key: old[key] for key in ("status", "cause", "error", "seconds")}
        else:
            entry |= dict(status="not run", cause=status)
        executed = paths.executed(run.id)
        if executed.is_file():
            entry["notebook"] = executed.relative_to(paths.root).as_posix()
        state[run.id] = entry
    for cell in skipped:
        reason = {"status": "skipped", "cause": "skipped by the study file"}
        state[cell["id"]] = {"step": cell["step"], "axes": cell["axes"]} | ENTRY | reason
    if state != before:
        write_json(paths.state, state)
