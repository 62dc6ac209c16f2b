"""What is shown while a study runs: live in a terminal, as plain lines elsewhere; all of it is logged."""

import io
import logging
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lib.config.text import duration
from lib.engine.estimate import Forecast
from lib.engine.results import Result

SILENT = (
    "code cell {cell} has printed nothing and used no processor for {minutes} min; if it waits for what will not come "
    "(input, a server, a lock), press Ctrl-C, mend that and repeat the command: finished runs are kept"
)
log = logging.getLogger("skincas")
log.addHandler(logging.NullHandler())


def start_log(path: Path) -> None:
    """Append all that happens to a log file."""
    logging.raiseExceptions = False  # a log that cannot be written is no reason to stop
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        print(f"{path} cannot be written ({error.strerror}): this run is not logged", flush=True)
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


class _Lasting(io.FileIO):
    """Where is printed; what cannot be, since the reader has gone (`| head`) or the disk is full, ends no study."""

    def write(self, data: Any) -> int:
        with suppress(OSError):
            return super().write(data)
        return len(data)


def outlast_output() -> None:
    """Let this process print whatever becomes of its output."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and stream is not None:  # not what a test put there
            file = io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False))
            lines = stream.line_buffering
            setattr(sys, name, io.TextIOWrapper(file, stream.encoding, "backslashreplace", line_buffering=lines))


class View:
    """Shows the runs of one call: a line per run that starts, ends or fails; on a terminal also what runs now.

    `forecast` tells how long the `total` runs to make take. A notebook without output and processor time is named after
    `silence` minutes, unless they are 0.
    """

    def __init__(self, total: int, forecast: Forecast | None = None, console: Console | None = None, silence: int = 0):
        self.console = console or Console()
        self.total, self.forecast, self.silence = total, forecast, silence
        self.ended_well = self.failed = 0
        self._since: dict[str, float] = {}  # when each running notebook started
        self._latest: dict[str, str] = {}  # its cell, or the line that it printed last
        self._over: set[str] = set()
        self._lock = threading.Lock()  # never held while a line is printed, which waits for what draws the runs
        self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "View":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def cancel(self) -> None:
        """Show no run any more: they are cancelled."""
        with self._lock:
            self._over |= self._since.keys()
            self._since.clear()
        self.say("ending the running notebooks")

    def update(self, run_id: str, attempt=1, line="", cell=0, cells=0, silent=0, worker="") -> None:
        """A run has started, a cell of it, another `attempt`; its notebook prints a line, or is silent for minutes.
        Dask adds the `worker`."""
        with self._lock:
            if run_id in self._over:  # this arrives late
                return
            if starts := run_id not in self._since:
                self._since[run_id], self._latest[run_id] = time.monotonic(), "starting"
            if cell:
                silence = f", silent for {silent} min" * (silent >= self.silence > 0)
                self._latest[run_id] = f"cell {cell}/{cells}{silence}"
            if line:  # of a progress bar all states arrive, each after a carriage return
                self._latest[run_id] = line.strip().rpartition("\r")[2]
        if starts:
            self.say(f"{run_id}: started", shown=not self.console.is_terminal)
        if attempt > 1:
            self.say(f"{run_id}: its kernel was killed; second attempt", level=logging.WARNING)
        if cell and silent == self.silence > 0:
            self.say(f"{run_id}: {SILENT.format(cell=cell, minutes=silent)}", level=logging.WARNING)
        if line:
            self.say(f"{run_id}: {line}", shown=False, level=logging.DEBUG if "\r" in line else logging.INFO)

    def ended(self, run_id: str, result: Result) -> None:
        """A run has ended."""
        with self._lock:
            self._since.pop(run_id, None)
            self._over.add(run_id)
            if self.forecast:
                self.forecast.ended(run_id, result.seconds if result.status == "done" else None)
            bad = result.status in ("failed", "not run")
            self.failed += bad
            self.ended_well += result.well
            detail = result.error or result.cause or duration(result.seconds)
            place = f"[{self.ended_well + self.failed}/{self.total}] {run_id}"
            text = f"{place}: {result.status}: {detail}{self._time_left()}"
        level = logging.ERROR if result.status == "failed" else logging.INFO
        self.say(text, shown=bad or not self.console.is_terminal, level=level)

    def say(self, text: str, shown: bool = True, level: int = logging.INFO) -> None:
        """Log a text, and print it on a line of its own where it is `shown`."""
        log.log(level, "%s", text)
        if shown:
            self.console.print(Text(text), soft_wrap=True)

    def _time_left(self) -> str:
        running = {name: time.monotonic() - since for name, since in self._since.items()}
        return f", about {duration(self.forecast.left(running))} left" if self.forecast else ""

    def _render(self) -> Group:
        """`3 of 12 runs, 1 failed, 2 running, about 5 min left`, and each running one with what it does."""
        with self._lock:
            failed = f", {self.failed} failed" if self.failed else ""
            ended = f"{self.ended_well + self.failed} of {self.total} runs{failed}"
            rows = [f"{ended}, {len(self._since)} running{self._time_left()}"]  # first: what does not fit is cut off
            for name, since in self._since.items():
                rows += [f"{name}  {duration(time.monotonic() - since)}", f"  {self._latest[name]}"]
            return Group(*(Text(row, no_wrap=True, overflow="ellipsis") for row in rows))
