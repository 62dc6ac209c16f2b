"""How long runs take, and how much disk: before a study starts and while it runs. Good within a factor of two.

A run takes as long as it took before with the same parameters. Else measured rates say how long, corrected by what runs
of its step and backbone took in this study. The rates are those of this machine, measured by tests/benchmarks/gpu.py,
or those of the reference machine.
"""

from collections import defaultdict
from typing import Any

from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import RATES, REFERENCE_RATES, StudyPaths
from lib.config.steps import work_of
from lib.engine.freshness import read_stamp, recorded_parameters
from lib.engine.planning import Run

NOTEBOOK_BYTES = 4e5  # an executed notebook and its page, with figures


def load_rates() -> dict[str, Any]:
    """Seconds of each kind of work on this machine where they were measured, else on the reference machine."""
    return read_json(RATES) or read_json(REFERENCE_RATES)


class Forecast:
    """What is left of some runs.

    Args:
        runs: those to make.
        files: images of the data set.
        rates: what `load_rates` gives.
        at_once: notebooks that run at once.
        planned: all runs of the study, of which some may have been made before in the results folder `paths`.
    """

    def __init__(
        self, runs, study: Study, files: int, rates, at_once: int, planned=(), paths: StudyPaths | None = None
    ):
        self.machine, self.has_gpu, self.at_once = rates["machine"], rates["gpu"], at_once
        self.disk = 0.0  # bytes
        self._left = {run.id: run for run in runs}
        self._by_rates: dict[str, float] = {}
        self._before: dict[str, float] = {}  # seconds of runs that were made before
        self._paces: dict[tuple, list[float]] = defaultdict(list)  # seconds taken, by seconds by the rates
        for run in {run.id: run for run in (*planned, *runs)}.values():
            work = work_of(run.step, study, run.axes, files)
            size = NOTEBOOK_BYTES + work.pop("bytes", 0)
            self.disk += size if run.id in self._left else 0
            self._by_rates[run.id] = rates["start"] + sum(n * _rate(rates[kind], run) for kind, n in work.items())
            stamp = read_stamp(paths.stamp(run.id)) if paths else None
            if stamp and stamp["parameters"] == recorded_parameters(run):
                self._before[run.id] = stamp["seconds"]
                self._learn(run, stamp["seconds"])

    def ended(self, run_id: str, seconds: float | None = None) -> None:
        """A run has ended after `seconds`; None where these say nothing about others."""
        run = self._left.pop(run_id, None)
        if run and seconds is not None:
            self._learn(run, seconds)

    def seconds(self, run: Run) -> float:
        """How long a run takes."""
        paces = self._paces.get(_kind(run), [1.0])
        return self._before.get(run.id, self._by_rates[run.id] * sum(paces) / len(paces))

    def left(self, running: dict[str, float] | None = None) -> float:
        """Seconds until all have ended.

        Args:
            running: id -> seconds since it started, of those that run.
        """
        since = running or {}
        rest = [max(self.seconds(run) - since.get(name, 0.0), 0.0) for name, run in self._left.items()]
        return max(sum(rest) / self.at_once, max(rest, default=0.0))

    def of_step(self, step: str) -> float:
        """Seconds of the runs of a step, one after the other."""
        return sum(self.seconds(run) for run in self._left.values() if run.step == step)

    def _learn(self, run: Run, seconds: float) -> None:
        self._paces[_kind(run)].append(seconds / self._by_rates[run.id])


def _kind(run: Run) -> tuple[str, str]:
    return run.step, run.axes.get("backbone", "")


def _rate(rate: float | dict[str, float], run: Run) -> float:
    """Seconds of one unit of work; a backbone that was not measured counts as the slowest."""
    return rate.get(run.axes.get("backbone"), max(rate.values())) if isinstance(rate, dict) else rate
