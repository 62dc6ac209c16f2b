"""What a reader sees while a study runs: live in a terminal, as plain lines elsewhere; the log gets it all."""

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from lib.config import duration
from lib.engine.results import Result

log = logging.getLogger("skincas")
log.addHandler(logging.NullHandler())
PLAIN_LINES = 30.0  # seconds between those on notebooks that go on


def start_log(path: Path) -> None:
    """Append everything that happens to a log file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for old in list(log.handlers):
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


class LastingConsole(Console):
    """A console that goes quiet where its reader has gone (`| head`), instead of ending the study."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output()


def discard_output() -> None:
    """Send what is still to be printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class View:
    """Shows the runs of one call: how many are done, what runs, what failed, how long it will take.

    Args:
        expected: run -> seconds it is expected to take, for every run that has to be made.
        jobs: notebooks at once.
    """

    def __init__(self, expected: dict[str, float], jobs: int, console: Console | None = None):
        self.console = console or LastingConsole()
        self.jobs = max(1, jobs)
        self.expected = dict(expected)
        self.done = self.failed = 0
        self.total = len(expected)
        self._running: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._printed_at = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._task = self._bar.add_task("runs", total=self.total, left="")
        self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "View":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def update(self, run_id: str, **news: Any) -> None:
        """A running notebook says which cell it is in, or the last line that it printed."""
        with self._lock:
            if run_id not in self.expected:  # it has ended; its last words came late
                return
            entry = self._running.get(run_id)
            if entry is None:
                entry = self._running[run_id] = {"since": time.monotonic()}
                log.info("%s starts", run_id)
                if not self.console.is_terminal:
                    self._print(f"{run_id}: starts")
            if news.get("attempt", 1) > 1:
                self._print(f"{run_id}: the kernel was killed, once more")
                log.warning("%s: the kernel was killed, once more", run_id)
            entry.update(news)
            if "line" in news:
                log.info("%s: %s", run_id, news["line"])
            if not self.console.is_terminal and time.monotonic() - self._printed_at > PLAIN_LINES:
                self._printed_at = time.monotonic()
                for name, running in self._running.items():
                    self._print(f"{name}: {_where(running)}")
                self._print(self._summary())

    def ended(self, run_id: str, result: Result) -> None:
        """A run is over."""
        with self._lock:
            self._running.pop(run_id, None)
            status = result.status
            self.expected.pop(run_id, None)
            self.done += status in ("done", "fresh")
            self.failed += status in ("failed", "not run")
            text = {
                "done": f"{run_id}: done in {duration(result.seconds)}",
                "fresh": f"{run_id}: still fresh, its inputs are the same",
                "failed": f"{run_id}: FAILED: {result.error}",
                "not run": f"{run_id}: not run: {result.cause}",
                "cancelled": f"{run_id}: called off",
            }[status]
            (log.error if status == "failed" else log.info)("%s", text)
            if status in ("failed", "not run") or not self.console.is_terminal:
                self._print(text if self.console.is_terminal else f"[{self.done + self.failed}/{self.total}] {text}")

    def announce(self, text: str) -> None:
        """A line of its own, in the log too."""
        log.info("%s", text)
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def _left(self) -> float:
        now = time.monotonic()
        spent = sum(min(now - running["since"], self.expected.get(name, 0)) for name, running in self._running.items())
        return max(0.0, sum(self.expected.values()) - spent) / self.jobs

    def _summary(self) -> str:
        left = f", about {duration(self._left())} left" if any(self.expected.values()) else ""
        return f"{self.done} of {self.total} runs done, {len(self._running)} running, {self.failed} failed{left}"

    def _render(self) -> Group:
        with self._lock:
            self._bar.update(self._task, completed=self.done + self.failed, description="", left=self._summary())
            table = Table.grid(padding=(0, 2))
            for name, running in self._running.items():
                since = duration(time.monotonic() - running["since"])
                table.add_row(
                    Text(name, style="bold"), Text(since), Text(_where(running), overflow="ellipsis", no_wrap=True)
                )
            return Group(table, self._bar)


def _where(running: dict[str, Any]) -> str:
    cell = f"cell {running['cell']}/{running['cells']}" if "cell" in running else "starting"
    return f"{cell}  {running['line']}" if "line" in running else cell
