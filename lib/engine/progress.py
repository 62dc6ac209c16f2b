"""What is shown while a study runs: live in a terminal, as plain lines elsewhere; all of it is logged."""

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lib.config.text import duration, roughly
from lib.engine.estimate import Forecast
from lib.engine.results import Result

log = logging.getLogger("skincas")
log.addHandler(logging.NullHandler())
INTERVAL = 30.0  # seconds between plain lines on what runs


def start_log(path: Path) -> None:
    """Append all that happens to a log file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for old in list(log.handlers):
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


class LastingConsole(Console):
    """A console that falls silent once its reader has gone (`| head`), instead of ending the study."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output()


def discard_output() -> None:
    """Discard whatever is printed from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class View:
    """Shows the runs of one call: how many have ended, which ones run, what failed, how long is left.

    Args:
        total: number of runs to make, the report among them.
        forecast: tells how long these take; None where that is not known.
    """

    def __init__(self, total: int, forecast: Forecast | None = None, console: Console | None = None):
        self.console = console or LastingConsole()
        self.total, self.forecast = total, forecast
        self.ended_well = self.failed = 0
        self.activity = ""  # shown while no notebook runs
        self._running: dict[str, dict[str, Any]] = {}
        self._over: set[str] = set()
        self._lock = threading.Lock()
        self._printed_at = time.monotonic()
        self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "View":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    @property
    def running(self) -> list[str]:
        """The runs that have started and not ended."""
        with self._lock:
            return list(self._running)

    def announce(self, text: str) -> None:
        """Print a line of its own."""
        with self._lock:
            self._say(text)

    def cancel(self) -> None:
        """Show no run any more: they are cancelled."""
        with self._lock:
            self._over |= self._running.keys()
            self._running.clear()
            self.activity = "ending the running notebooks"
            self._say(self.activity, shown=not self.console.is_terminal)

    def update(self, run_id: str, attempt: int = 1, line: str = "", **progress: Any) -> None:
        """A run has started, a cell of it (`cell` of `cells`), another `attempt`; or its notebook prints a line."""
        with self._lock:
            if run_id in self._over:  # this arrives late
                return
            if run_id not in self._running:
                self._running[run_id] = {"since": time.monotonic()}
                self._say(f"{run_id}: started", shown=not self.console.is_terminal)
            if attempt > 1:
                self._say(f"{run_id}: its kernel was killed; second attempt", level=logging.WARNING)
            if line:
                progress["line"] = line.strip().rpartition("\r")[2]
                self._say(f"{run_id}: {line}", shown=False, level=logging.DEBUG if "\r" in line else logging.INFO)
            self._running[run_id].update(progress)
            if not self.console.is_terminal and time.monotonic() - self._printed_at > INTERVAL:
                self._printed_at = time.monotonic()
                for row in [*self._rows(), self._summary()]:
                    self.console.print(Text(row), soft_wrap=True)

    def ended(self, run_id: str, result: Result) -> None:
        """A run has ended."""
        with self._lock:
            self._running.pop(run_id, None)
            self._over.add(run_id)
            if self.forecast:
                self.forecast.ended(run_id, result.seconds if result.status == "done" else None)
            bad = result.status in ("failed", "not run")
            self.failed += bad
            self.ended_well += result.well
            text = {
                "done": f"done in {duration(result.seconds)}",
                "fresh": "still fresh, its inputs are the same",
                "failed": f"FAILED: {result.error}",
                "not run": f"not run: {result.cause}",
                "cancelled": "cancelled",
            }[result.status]
            self._say(
                f"[{self.ended_well + self.failed}/{self.total}] {run_id}: {text}",
                shown=bad or not self.console.is_terminal,
                level=logging.ERROR if result.status == "failed" else logging.INFO,
            )

    def _say(self, text: str, shown: bool = True, level: int = logging.INFO) -> None:
        log.log(level, "%s", text)
        if shown:
            self.console.print(Text(text), soft_wrap=True)

    def _rows(self) -> list[str]:
        """For each run its name and its cell, and the last line that it printed."""
        rows, now = [], time.monotonic()
        for name, run in self._running.items():
            cell = f"cell {run['cell']}/{run['cells']}" if "cell" in run else "starting"
            rows.append(f"{name}  {cell}  {duration(now - run['since'])}")
            rows += [f"  {run['line']}"] if "line" in run else []
        return rows

    def _summary(self) -> str:
        """`3 of 12 runs, 1 failed, 2 running, about 5 min left`."""
        parts = [f"{self.ended_well + self.failed} of {self.total} runs"]
        parts += [f"{self.failed} failed"] if self.failed else []
        if self.activity and not self._running:
            return ", ".join([*parts, self.activity])
        parts.append(f"{len(self._running)} running")
        if self.forecast:
            running = {name: time.monotonic() - run["since"] for name, run in self._running.items()}
            parts.append(f"about {roughly(self.forecast.left(running))} left")
        return ", ".join(parts)

    def _render(self) -> Group:
        with self._lock:  # the summary stands first: rows that do not fit on the screen are not shown
            return Group(*(Text(row, no_wrap=True, overflow="ellipsis") for row in [self._summary(), *self._rows()]))
