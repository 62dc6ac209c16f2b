"""What a study will run, how long that takes and on what: shown before anything starts."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from rich.tree import Tree

from lib.config.text import roughly
from lib.engine import workers
from lib.engine.estimate import Forecast
from lib.engine.execution import Standing
from lib.engine.planning import Run
from lib.engine.progress import LastingConsole
from lib.engine.provenance import gpus

STATUSES = ("fresh", "stale", "missing")
LONG = 3600.0  # seconds; a study that takes longer on CPUs is confirmed


@dataclass(frozen=True)
class Prospect:
    """The runs to make, how long they take, and how they are run."""

    runs: list[Run]
    forecast: Forecast
    options: workers.Options

    @property
    def is_long(self) -> bool:
        """Whether the study takes long because this machine has no GPU; what a cluster has is not known here."""
        return not self.options.scheduler and not workers.visible_gpus() and self.forecast.left() > LONG

    def lines(self, root: Path) -> list[str]:
        """What will be made, how long that takes, on what, how much disk it needs, and where the rates are from."""
        if not self.runs:
            return ["nothing to do: every run is fresh"]
        steps = ", ".join(f"{count} {step}" for step, count in Counter(run.step for run in self.runs).items())
        free = shutil.disk_usage(next(folder for folder in (root, *root.absolute().parents) if folder.exists())).free
        disk = f"up to {_gigabytes(self.forecast.disk)} of disk ({_gigabytes(free)} are free)"
        parts = ", ".join(f"{step} {roughly(seconds)}" for step, seconds in self.forecast.of_steps().items())
        lines = [
            f"to make: {count(len(self.runs), 'run')}: {steps}",
            f"about {roughly(self.forecast.left())} on {self.device()}, {disk}",
            f"one after the other: {parts}",
            f"estimated from earlier runs in this folder and from rates measured on {self.forecast.machine}",
        ]
        if workers.visible_gpus() and not self.forecast.has_gpu:
            lines.append("that machine had no GPU; measure this one with: python tests/benchmarks/gpu.py")
        if free < self.forecast.disk:
            lines.append(f"the disk may be too small: free some space or choose another folder with --results ({root})")
        return lines

    def device(self) -> str:
        """What the study runs on."""
        if self.options.scheduler:
            return f"one worker of the cluster at {self.options.scheduler} (more workers take less time)"
        notebooks = f"{count(len(workers.local_workers(self.options)), 'notebook')} at once"
        if devices := workers.visible_gpus():
            names = dict.fromkeys(name.partition(": ")[2].partition(" (UUID")[0] for name in gpus())
            return f"{count(len(devices), 'GPU')} ({', '.join(names)}), {notebooks}"
        return f"{count(workers.cores(), 'CPU core')} without a GPU, {notebooks}"


def confirm(prospect: Prospect, yes: bool, find_smaller: Callable[[], dict[str, float]]) -> tuple[bool, bool]:
    """Whether the study may start, and whether that was asked; on a terminal, of one that takes long on CPUs.

    Args:
        yes: it may, without asking.
        find_smaller: gives study -> seconds of those that take less.
    """
    if not prospect.is_long:
        return True, False
    smaller = sorted(find_smaller().items(), key=lambda pair: pair[1])
    names = ", ".join(f"{name} ({roughly(seconds)})" for name, seconds in smaller)
    print(f"this takes long without a GPU; smaller studies: {names or 'none'}", flush=True)
    if yes or not on_terminal():
        return True, False
    try:
        answer = input("start anyway? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes"), True


def on_terminal() -> bool:
    """Whether a user can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def show_plan(runs: list[Run], standing: dict[str, Standing], name: str) -> None:
    """Print the status of every run, by step."""
    tree = Tree(Text(f"{name}: {len(runs)} runs: {_statuses(runs, standing, STATUSES)}"))
    for step in dict.fromkeys(run.step for run in runs):
        mine = [run for run in runs if run.step == step]
        branch = tree.add(Text(f"{step}: {_statuses(mine, standing)}"))
        for run in mine:
            changes = standing[run.id].changes
            branch.add(Text(f"{run.id}: {standing[run.id].status}" + (f" ({'; '.join(changes)})" if changes else "")))
    LastingConsole(width=10_000).print(tree)  # a terminal wraps what is long; a pipe must not lose it


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _statuses(runs: list[Run], standing: dict[str, Standing], always: tuple[str, ...] = ()) -> str:
    counts = Counter(standing[run.id].status for run in runs)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in always or counts[status])


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
