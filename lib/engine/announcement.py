"""What will be made, how long will it take, with what, and is that wanted? Said before anything starts."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from rich.tree import Tree

from lib.config.text import duration
from lib.engine import workers
from lib.engine.estimate import Estimate
from lib.engine.execution import Standing
from lib.engine.forecast import Forecast
from lib.engine.planning import Run
from lib.engine.progress import LastingConsole
from lib.engine.provenance import gpus

STATUSES = ("fresh", "stale", "missing")
LONG = 3600.0  # seconds from which a study without a GPU is asked about


@dataclass(frozen=True)
class Prospect:
    """The runs of a call that have to be made, and what they will take.

    Attributes:
        runs: those to make.
        estimate: of these; None where no rates are known.
        options: how they are run.
    """

    runs: list[Run]
    estimate: Estimate | None
    options: workers.Options

    def forecast(self) -> Forecast | None:
        """How long all of them take, at first and while they run."""
        if not (known := self.estimate):
            return None
        return Forecast(self.runs, known.of_run, workers.slots(self.options), known.shares)

    @property
    def seconds(self) -> float:
        forecast = self.forecast()
        return forecast.left() if forecast else 0.0

    @property
    def wants_a_gpu(self) -> bool:
        """Whether it takes long on this machine for want of a GPU; what a cluster has is not known here."""
        return not self.options.scheduler and not workers.visible_gpus() and self.seconds > LONG

    def lines(self, root: Path) -> list[str]:
        """What will be made, how long that takes, on what, how much disk, and how all this is known."""
        if not self.runs:
            return ["nothing has to be made"]
        steps = Counter(run.step for run in self.runs)
        many = "run" if len(self.runs) == 1 else "runs"
        lines = [f"to make: {len(self.runs)} {many}: {', '.join(f'{count} {step}' for step, count in steps.items())}"]
        if not self.estimate:
            return [*lines, f"on {self.device()}; how long is not known: no rates have been measured"]
        free = shutil.disk_usage(next(folder for folder in (root, *root.absolute().parents) if folder.exists())).free
        disk = f"{_gigabytes(self.estimate.disk)} of disk ({_gigabytes(free)} are free)"
        parts = [f"{step} {duration(seconds)}" for step, seconds in self.estimate.of_step.items()]
        lines += [f"about {duration(self.seconds)} on {self.device()}, {disk}", f"one by one: {', '.join(parts)}"]
        known = f"by rates measured on {self.estimate.machine}; runs made here before, by how long they took"
        lines.append(known)
        if workers.visible_gpus() and not self.estimate.gpu:
            lines.append("that machine had no GPU; for this one's rates: python tests/benchmarks/gpu.py")
        for name, stand_in in self.estimate.assumed.items():
            lines.append(f"{name} has not been measured: taken to be as slow as {stand_in}")
        if free < self.estimate.disk:
            lines.append(f"the disk is too small: give another folder with --results, or free some of {root}")
        return lines

    def device(self) -> str:
        if self.options.scheduler:
            return f"one worker of the cluster at {self.options.scheduler}; with more it takes less"
        at_once = len(workers.local_workers(self.options))
        notebooks = f"{at_once} {'notebook' if at_once == 1 else 'notebooks'} at once"
        devices = workers.visible_gpus()
        if not devices:
            cores = workers.cores()
            return f"{cores} CPU {'core' if cores == 1 else 'cores'} without a GPU, {notebooks}"
        names = dict.fromkeys(name.partition(": ")[2].partition(" (UUID")[0] for name in gpus())
        return f"{len(devices)} {'GPU' if len(devices) == 1 else 'GPUs'} ({', '.join(names)}), {notebooks}"


def agreed(prospect: Prospect, yes: bool, smaller: Callable[[], dict[str, float]]) -> tuple[bool, bool]:
    """Whether the study may start, and whether somebody was asked: on a terminal, of one that takes long without a GPU.

    Args:
        yes: that was answered ahead.
        smaller: study -> seconds of those that take less.
    """
    if not prospect.wants_a_gpu:
        return True, False
    others = [f"{name} ({duration(seconds)})" for name, seconds in sorted(smaller().items(), key=lambda pair: pair[1])]
    print(f"long, for want of a GPU; smaller studies: {', '.join(others) or 'none'}", flush=True)
    if yes or not on_terminal():
        return True, False
    try:
        answer = input("start it all the same? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes"), True


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def show_plan(runs: list[Run], standing: dict[str, Standing], name: str) -> None:
    """Print how every run stands."""
    total = Counter(one.status for one in standing.values())
    summary = ", ".join(f"{total[status]} {status}" for status in STATUSES)
    tree = Tree(Text(f"{name}: {len(runs)} runs: {summary}"))
    for step in dict.fromkeys(run.step for run in runs):
        mine = [run for run in runs if run.step == step]
        counts = Counter(standing[run.id].status for run in mine)
        counted = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        branch = tree.add(Text(f"{step}: {counted}"))
        for run in mine:
            changes = standing[run.id].changes
            branch.add(Text(f"{run.id}: {standing[run.id].status}" + (f" ({'; '.join(changes)})" if changes else "")))
    LastingConsole(width=10_000).print(tree)  # a terminal wraps what is long; a pipe must not lose it


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
