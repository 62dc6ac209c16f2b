"""What a reader sees while a study runs: live in a terminal, as plain lines elsewhere; the log gets it all."""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lib.config.text import duration
from lib.engine.forecast import Forecast, Slots
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


@contextmanager
def working(text: str, plainly: bool = True) -> Iterator[None]:
    """Show what is done before any notebook runs; `plainly`: where there is no terminal, too."""
    console = LastingConsole()
    if console.is_terminal:
        with console.status(Text(text)):
            yield
    else:
        if plainly:
            console.print(Text(text))
        yield


class LastingConsole(Console):
    """A console that goes quiet where its reader has gone (`| head`), instead of ending the study."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output()


def discard_output() -> None:
    """Send what is still to be printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class View:
    """Shows the runs of one call: how many are over, what runs, what failed, how long is left.

    Args:
        total: runs that have to be made, the report among them.
        forecast: of these runs; None where no rates are known.
    """

    def __init__(self, total: int, forecast: Forecast | None = None, console: Console | None = None):
        self.console = console or LastingConsole()
        self.total, self.forecast = total, forecast
        self.ended_well = self.failed = 0
        self.doing = ""  # instead of the runs, while none runs
        self._running: dict[str, dict[str, Any]] = {}
        self._over: set[str] = set()
        self._lock = threading.Lock()
        self._printed_at = 0.0
        self._left = (-math.inf, "")  # when it was last asked for, and what was said
        self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "View":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    @property
    def running(self) -> list[str]:
        """The runs that have started and are not over."""
        with self._lock:
            return list(self._running)

    def call_off(self, text: str) -> None:
        """Show no run any more, and what is done instead."""
        with self._lock:
            self._over |= self._running.keys()
            self._running.clear()
            self.doing = text
            log.info("%s", text)
            if not self.console.is_terminal:
                self._print(text)

    def set_slots(self, slots: Slots | None) -> None:
        """Workers of a cluster came or went."""
        if self.forecast and slots:
            self.forecast.slots = slots

    def update(self, run_id: str, **news: Any) -> None:
        """A running notebook says which cell it is in, the last line that it printed, or how far a `bar` has got."""
        with self._lock:
            if run_id in self._over:  # its last words came late
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
            if "line" in news and not news.get("bar"):  # a bar says the same again and again
                log.info("%s: %s", run_id, news["line"])
                if self.forecast:
                    self.forecast.told(run_id, news["line"], time.monotonic() - entry["since"])
            if not self.console.is_terminal and time.monotonic() - self._printed_at > PLAIN_LINES:
                self._printed_at = time.monotonic()
                for name, running in self._running.items():
                    self._print(f"{name}: {_where(running)}")
                self._print(self._summary())

    def ended(self, run_id: str, result: Result) -> None:
        """A run is over."""
        with self._lock:
            entry = self._running.pop(run_id, None)
            self._over.add(run_id)
            status = result.status
            if self.forecast:
                told = entry and status == "done" and result.attempts == 1
                self.forecast.ended(run_id, time.monotonic() - entry["since"] if told else None)
            self._left = (-math.inf, "")
            self.ended_well += status in ("done", "fresh")
            self.failed += status in ("failed", "not run")
            text = {
                "done": f"{run_id}: done in {duration(result.seconds)}",
                "fresh": f"{run_id}: still fresh, its inputs are the same",
                "failed": f"{run_id}: FAILED: {result.error}",
                "not run": f"{run_id}: not run: {result.cause}",
                "cancelled": f"{run_id}: cancelled",
            }[status]
            (log.error if status == "failed" else log.info)("%s", text)
            over = self.ended_well + self.failed
            if status in ("failed", "not run") or not self.console.is_terminal:
                self._print(text if self.console.is_terminal else f"[{over}/{self.total}] {text}")

    def announce(self, text: str) -> None:
        """A line of its own, in the log too."""
        log.info("%s", text)
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def _time_left(self) -> str:
        """`, about 5 min left`; asked for once a second at most, since a large study has many runs to play forward."""
        now = time.monotonic()
        if self.forecast and now - self._left[0] >= 1:
            running = {name: now - entry["since"] for name, entry in self._running.items()}
            self._left = (now, f", about {duration(self.forecast.left(running))} left")
        return self._left[1]

    def _summary(self) -> str:
        if self.doing and not self._running:
            return f"{self.ended_well + self.failed} of {self.total} runs, {self.doing}"
        failed = f", {self.failed} failed" if self.failed else ""
        over = f"{self.ended_well + self.failed} of {self.total} runs{failed}"
        return f"{over}, {len(self._running)} running{self._time_left()}"

    def _render(self) -> Group:
        with self._lock:
            # a terminal writes ^C behind the last line: were that full, the screen would move and a row stay behind
            width = max(20, self.console.width - 4)
            names = 2 * len(self._running) >= self.console.height - 3
            lines = [line for name, entry in self._running.items() for line in _rows(name, entry, width, one=names)]
            summary = self._summary()
            over = self.ended_well + self.failed
            bar = ProgressBar(self.total, over, width=max(4, width - len(summary) - 2))
            last = Table.grid(padding=(0, 2, 0, 0))
            last.add_row(bar, Text(summary, no_wrap=True, overflow="ellipsis"))
            return Group(*lines, last)


def _rows(name: str, running: dict[str, Any], width: int, one: bool) -> list[Text]:
    """A run in two rows, its name and what it does, or in one where many run."""
    since = duration(time.monotonic() - running["since"])
    if one:
        title = f"{cut(name, max(12, width - 56))}  {since}  "
        return [Text(title + cut(running.get("line") or _where(running), width - len(title)), no_wrap=True)]
    title = Text(cut(name, width - len(since) - 2), style="bold", no_wrap=True)
    return [title.append(f"  {since}", style="not bold"), Text(cut(f"  {_where(running)}", width), no_wrap=True)]


def cut(text: str, width: int) -> str:
    """A text that is too long without its middle: what a line begins with and what it ends with matters."""
    if len(text) <= width:
        return text
    end = (width - 1) // 3
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def _where(running: dict[str, Any]) -> str:
    cell = f"cell {running['cell']}/{running['cells']}" if "cell" in running else "starting"
    return f"{cell}  {running['line']}" if "line" in running else cell
