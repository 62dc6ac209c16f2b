"""One notebook in a kernel of its own, which never outlives this process.

The kernel leads a session of its own, which is leashed: it ends with this process, subprocesses of cells included.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import papermill
import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from lib.engine.leash import Leash
from lib.engine.results import Cancelled, Result

MOST_TEXT = 2**20  # characters that a cell may print, and of any other text in an executed notebook
MOST_ERROR = 2000  # characters of an exception
LONG_LINE = re.compile(r"[^\r\n]{1000}(?=[^\r\n])")  # wrapped: nbclient merges the states of bars in the square of it
CUT = "\n[cut here: a cell kept printing or showing text; print less, or write it to a file]\n"
INTERVAL = 0.5  # seconds between checks of what a kernel uses and of whether its run was cancelled
MINUTE = 60.0  # of silence: nothing from the kernel, and its processes used less than 5 % of a core


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    environment: dict[str, str] | None = None,
    report_progress: Callable[..., None] = lambda **progress: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Execute a notebook in a fresh kernel in the notebook's folder; the executed notebook is written to `output`.

    Args:
        environment: variables for the kernel, beside those of this process.
        report_progress: called with `cell` and `cells` when a cell starts, with each `line` that one prints, and with
            the minutes for which one was `silent`.
        is_cancelled: checked every `INTERVAL`; the kernel is killed once it returns true, and Cancelled raised.

    Returns:
        `done` where nothing was raised, the kernel lived to the end and every code cell has an execution count;
        else `failed`.
    """
    started = time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").disabled = True  # it would print into the live view
    kernel = _Kernel(notebook, report_progress, is_cancelled)
    error, whole = "", False
    try:
        with output.with_suffix(".log").open("ab") as log:  # what libraries in C print would end up in the terminal
            node = papermill.execute_notebook(
                *(str(path).replace("{", "{{").replace("}", "}}") for path in (notebook, output)),  # they are formatted
                parameters,
                kernel_name="python3",
                progress_bar=False,
                start_timeout=300,
                stdout_file=kernel,
                kernel_manager_class=_manager(kernel, environment or {}, log),
                resources={"metadata": {"path": str(notebook.parent)}},  # where it runs
                on_cell_execute=kernel.start_cell,
                iopub_timeout=60,
                coalesce_streams=True,  # of a progress bar only its last state is kept
                shutdown_kernel="immediate",  # its outputs are on the disk; TensorFlow takes seconds to shut down
            )
        if any(output.get("ename") == "SystemExit" for cell in node.cells for output in cell.get("outputs", [])):
            error = "a cell called sys.exit, which ends no run well; remove that, or raise an error that says why"
        # papermill may take a notebook whose kernel was killed for one that ended well
        whole = bool(error) or all(
            cell.execution_count for cell in node.cells if cell.cell_type == "code" and cell.source.strip()
        )
    except PapermillExecutionError as raised:
        error, whole = f"{raised.ename}: {raised.evalue}", True
    except OSError:
        raise
    except DeadKernelError:
        pass  # described below
    except Exception as raised:  # the kernel did not start, or its messages could not be read
        error = f"the kernel did not answer: {type(raised).__name__}: {raised}"
    finally:
        kernel.end()
    if kernel.cancelled:
        raise Cancelled
    if not whole:
        error = error or kernel.describe_death()
    status, cell = ("failed", kernel.cell) if error else ("done", 0)
    return Result(status, round(time.monotonic() - started, 3), kernel.peak, error, cell, killed=not whole)


class _Kernel:
    """Looks after one kernel: its end, its memory, its progress and silence, and whether its run was cancelled.

    Papermill writes what the notebook prints to it, as to a file.
    """

    def __init__(self, notebook: Path, report_progress: Callable[..., None], is_cancelled: Callable[[], bool]):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        self.cells = sum(cell["cell_type"] == "code" and bool("".join(cell["source"]).strip()) for cell in cells)
        self.cell = 0  # the code cell that runs, counted from 1 without the injected one
        self.peak = 0  # bytes, of the kernel and its subprocesses
        self.cancelled = False
        self.process: subprocess.Popen | None = None
        self._printed: dict[str, tuple[int, int]] = {}  # characters of the cell that runs, and of its last line
        self._heard = time.monotonic()  # when it last sent something or used the processor
        self._report_progress, self._is_cancelled = report_progress, is_cancelled
        self._leash = Leash()
        self.sockets = self._leash.folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def begin(self, process: subprocess.Popen) -> None:
        """Leash a kernel that has just been started as the leader of its session."""
        self.process = process
        self._leash.hold(process.pid)
        self._thread.start()

    def end(self) -> None:
        """End what is left of the kernel's session."""
        self._over.set()
        self._leash.close()
        if self.process:
            self.process.wait()
            self._thread.join()

    def start_cell(self, cell: Any, cell_index: int) -> None:
        """A code cell starts."""
        self.cell += "injected-parameters" not in cell.metadata.get("tags", [])
        self._report_progress(cell=self.cell, cells=self.cells)

    def write(self, text: str) -> None:
        """The notebook prints; a line may hold the states of a progress bar, each after a carriage return."""
        for line in text.split("\n"):
            if line.strip():
                self._report_progress(line=line[-200:])

    def flush(self) -> None:
        """Nothing is held back."""

    def cut(self, message: dict[str, Any]) -> bool:
        """Cut the texts in a message of the kernel to what is kept; whether anything is left of it."""
        self._heard = time.monotonic()
        content, cell = message["content"], message["parent_header"].get("msg_id")
        if "evalue" in content:
            content["evalue"] = shorten(content["evalue"], MOST_ERROR)
            content["traceback"] = [shorten(line, 4 * MOST_ERROR) for line in content.get("traceback", [])]
        elif message["msg_type"] == "stream":
            before, column = self._printed.get(cell, (0, 0))
            wrapped = LONG_LINE.sub(r"\g<0>\n", " " * column + content["text"])
            text = content["text"] = wrapped[column:]
            *lines, last = text.split("\n")
            # a bar counts once it ends its line: until then its next state replaces it
            new = sum(len(line.rpartition("\r")[2]) + 1 for line in lines) + len(last) * ("\r" not in last)
            self._printed = {cell: (before + new, len(re.split(r"[\r\n]", wrapped)[-1]))}
            if before + new > MOST_TEXT:
                self.write(text.rstrip("\n").rpartition("\n")[2])
                content["text"] = text[: max(0, MOST_TEXT - before)] + CUT
                return before <= MOST_TEXT
        for kind, text in content.get("data", {}).items():
            if kind.startswith("text/") and isinstance(text, str):
                content["data"][kind] = shorten(text, MOST_TEXT)
        return True

    def describe_death(self) -> str:
        """How the kernel died, in words."""
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the kernel {how}{hint}; its peak memory was {self.peak / 2**20:.0f} MiB"

    def _watch(self) -> None:
        used = silent = 0.0
        while True:
            with suppress(psutil.Error):
                leader = psutil.Process(self.process.pid)
                processes = (leader, *leader.children(recursive=True))
                self.peak = max(self.peak, sum(process.memory_info().rss for process in processes))
                before, used = used, sum(sum(process.cpu_times()[:2]) for process in processes)
                if abs(used - before) > 0.05 * INTERVAL:
                    self._heard = time.monotonic()
            before, silent = silent, (time.monotonic() - self._heard) // MINUTE
            if silent != before:
                self._report_progress(silent=int(silent), cell=self.cell, cells=self.cells)
            if not self.cancelled and self._is_cancelled():
                self.cancelled = True
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            if self._over.wait(INTERVAL):
                return


async def _next_message(get_message: Callable[..., Any], kernel: _Kernel, **options: Any) -> dict[str, Any]:
    """The next message with anything in it that is kept."""
    while not kernel.cut(message := await get_message(**options)):
        pass
    return message


def shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + CUT


def _manager(kernel: _Kernel, environment: dict[str, str], log: Any) -> type[AsyncKernelManager]:
    """What papermill starts a kernel with: this interpreter, leashed, behind sockets that are files of this user."""

    class Manager(AsyncKernelManager):
        def __init__(self, **options: Any):
            files = dict(ip=str(kernel.sockets / "ipc"), connection_file=str(kernel.sockets / "kernel.json"))
            super().__init__(transport="ipc", **files, **options)

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            # a kernelspec of the user may start another Python
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file, *(extra_arguments or [])]

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            env = options["env"] | _own_configuration(kernel.sockets / "config") | environment
            env = {name: value for name, value in env.items() if value is not None}
            options |= dict(env=env, stdout=log, stderr=log)
            await super()._async_launch_kernel(kernel_cmd, **options)
            kernel.begin(self.provisioner.process)

        _launch_kernel = _async_launch_kernel

        def client(self, **options: Any) -> Any:
            client = super().client(**options)
            for channel in (client.iopub_channel, client.shell_channel):
                channel.get_msg = partial(_next_message, channel.get_msg, kernel)
            return client

    return Manager


def _own_configuration(folder: Path) -> dict[str, str]:
    """Variables that keep the user's configuration out of a kernel; what Keras has downloaded stays in its place."""
    folder.mkdir(exist_ok=True)
    with suppress(OSError):  # Keras falls back to a temporary folder, too
        models = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "models")
        models.mkdir(parents=True, exist_ok=True)
        (folder / "models").symlink_to(models)
    own = dict.fromkeys(("KERAS_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"), str(folder))
    own |= {"PYTHONSTARTUP": "", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    return own | {"MATPLOTLIBRC": os.devnull}  # with a folder of its own each kernel would list the fonts anew
