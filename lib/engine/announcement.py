"""What a study will run, how long that takes and on what: shown before anything starts."""

import shutil
import sys
from collections import Counter
from pathlib import Path

from lib.config.text import duration
from lib.engine import workers
from lib.engine.estimate import Forecast
from lib.engine.execution import Standing
from lib.engine.planning import Run

STATUSES = ("fresh", "stale", "missing")
LONG = 3600.0  # seconds; a study that takes longer on CPUs is confirmed


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
    if options.scheduler:
        where = f"one worker of the cluster at {options.scheduler} (more workers take less time)"
    else:
        where = f"this machine (GPUs: {len(gpus)}; notebooks at once: {len(workers.local_workers(options))})"
    hint = ", which has no GPU; measure this one with: python tests/benchmarks/gpu.py"
    rates = forecast.machine + (hint if gpus and not forecast.has_gpu else "")
    lines = [
        f"runs to make: {len(runs)}: {steps}",
        f"about {duration(forecast.left())} on {where}",
        f"estimated from earlier runs in this folder and from rates measured on {rates}",
        f"up to {forecast.disk / 1e9:.1f} GB of disk ({free / 1e9:.1f} GB are free)",
    ]
    if free < forecast.disk:
        lines.append(f"the disk may be too small: free some space or choose another folder with --results ({root})")
    return lines


def confirm(yes: bool, smaller: dict[str, float]) -> bool:
    """Whether a study that takes long may start; on a terminal that is for the user to say.

    Args:
        yes: it may, without asking.
        smaller: study -> seconds of those that take less.
    """
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
    print(f"{name}: {len(runs)} runs: {_statuses(runs, standing)}")
    for step in dict.fromkeys(run.step for run in runs):
        mine = [run for run in runs if run.step == step]
        print(f"{step}: {_statuses(mine, standing)}")
        for run in mine:
            changes = standing[run.id].changes
            print(f"  {run.id}: {standing[run.id].status}" + (f" ({'; '.join(changes)})" if changes else ""))


def _statuses(runs: list[Run], standing: dict[str, Standing]) -> str:
    counts = Counter(standing[run.id].status for run in runs)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES)
