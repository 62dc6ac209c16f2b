"""How long a study takes, what is said before it starts, and what is left of it. Good within a factor of two.

A run takes as long as it took before with the same parameters. Else measured rates say how long, corrected by what runs
of its step and backbone took in this study. The rates are those of this machine, measured by tests/benchmarks/gpu.py,
or those of the reference machine.
"""

import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import RATES, REFERENCE_RATES, StudyPaths
from lib.config.steps import work_of
from lib.config.text import duration
from lib.engine import workers
from lib.engine.freshness import Standing, read_stamp, recorded_parameters
from lib.engine.planning import Run

NOTEBOOK_BYTES = 4e5  # an executed notebook and its page, with figures
LONG = 3600.0  # seconds; a study that takes longer on CPUs is confirmed


def load_rates() -> dict[str, Any]:
    """Seconds of each kind of work on this machine where they were measured, else on the reference machine."""
    return read_json(RATES) or read_json(REFERENCE_RATES)


class Forecast:
    """What is left of `runs`, of which `at_once` run at once.

    Args:
        files: images of the data set.
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
        """Seconds until all have ended; `running` has the seconds since each of those started that run."""
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


def is_long(forecast: Forecast, options: workers.Options) -> bool:
    """Whether a study takes long because this machine has no GPU; what a cluster has is not known here."""
    return not options.scheduler and not workers.visible_gpus() and forecast.left() > LONG


def describe(runs: list[Run], forecast: Forecast, options: workers.Options, root: Path) -> list[str]:
    """What will be made, how long that takes, on what, how much disk it needs, and where the rates are from."""
    if not runs:
        return ["nothing to do: every run is fresh"]
    gpus, counts = workers.visible_gpus(), Counter(run.step for run in runs)
    steps = ", ".join(f"{number} {step} ({duration(forecast.of_step(step))})" for step, number in counts.items())
    free = shutil.disk_usage(next(folder for folder in (root, *root.absolute().parents) if folder.exists())).free
    where = f"this machine (GPUs: {len(gpus)}; notebooks at once: {len(workers.local_workers(options))})"
    if options.scheduler:
        where = f"one worker of the cluster at {options.scheduler} (more workers take less time)"
    hint = ", which has no GPU; measure this one with: python tests/benchmarks/gpu.py"
    rates = forecast.machine + (hint if gpus and not forecast.has_gpu else "")
    too_small = f"the disk may be too small: free some space or choose another folder with --results ({root})"
    return [
        f"runs to make: {len(runs)}: {steps}",
        f"about {duration(forecast.left())} on {where}",
        f"estimated from earlier runs in this folder and from rates measured on {rates}",
        f"up to {forecast.disk / 1e9:.1f} GB of disk ({free / 1e9:.1f} GB are free)",
        *([too_small] if free < forecast.disk else []),
    ]


def confirm(yes: bool, smaller: dict[str, float]) -> bool:
    """Whether a study that takes long may start: always with `yes`, else on a terminal the user says. Names `smaller`
    studies with their seconds."""
    names = [f"{name} ({duration(smaller[name])})" for name in sorted(smaller, key=smaller.get)]
    print(f"this takes long without a GPU; smaller studies: {', '.join(names) or 'none'}", flush=True)
    if yes or not sys.stdin.isatty():
        return True
    try:
        return input("start anyway? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def show_plan(runs: list[Run], standing: dict[str, Standing], name: str) -> None:
    """Print the status of every run, by step."""

    def statuses(some: list[Run]) -> str:
        counts = Counter(standing[run.id].status for run in some)
        return ", ".join(f"{counts[status]} {status}" for status in ("fresh", "stale", "missing"))

    print(f"{name}: {len(runs)} runs: {statuses(runs)}")
    for step in dict.fromkeys(run.step for run in runs):
        mine = [run for run in runs if run.step == step]
        print(f"{step}: {statuses(mine)}")
        for run in mine:
            changes = standing[run.id].changes
            print(f"  {run.id}: {standing[run.id].status}" + (f" ({'; '.join(changes)})" if changes else ""))
