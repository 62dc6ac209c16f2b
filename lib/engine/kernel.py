"""One notebook in a kernel of its own, which never outlives this process.

The kernel leads a session of its own. A watcher process holds the other end of a pipe from here: when this process
ends, however it ends, the pipe closes and the watcher kills the whole session, subprocesses of cells included.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.exceptions import PapermillExecutionError
from papermill.execute import raise_for_execution_errors
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from traitlets import Instance

from lib.engine.locks import Cancelled
from lib.engine.results import Result

WATCH = 0.5  # seconds between looks at a kernel's memory and at whether its run is still wanted


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    environment: dict[str, str] | None = None,
    report_progress: Callable[..., None] = lambda **news: None,
    wanted: Callable[[], bool] = lambda: True,
) -> Result:
    """Execute a notebook in a fresh kernel in the notebook's folder; the executed notebook is written to `output`.

    Args:
        environment: variables for the kernel, beside those of this process.
        report_progress: told of progress by keywords: `cell`, `cells`, `line`, and `bar` where that line is a bar's:
            one that the notebook writes over.
        wanted: asked now and then; once it says no, the kernel is killed.

    Returns:
        `done` where nothing was raised, the kernel lived to the end and every code cell has an execution count;
        else `failed`.

    Raises:
        Cancelled: the run was not wanted any more.
    """
    started = time.monotonic()
    node = parameterize_notebook(load_notebook_node(str(notebook)), parameters)
    node.metadata.papermill.update(input_path=notebook.name, output_path=output.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    watch = _Watch(report_progress, wanted)
    error, killed = "", False
    try:
        node = _Engine.execute_notebook(
            node,
            "python3",
            output_path=str(output),
            progress_bar=False,
            watch=watch,
            cwd=str(notebook.parent),
            env=os.environ | (environment or {}),
            stderr=output.with_suffix(".log"),
        )
        raise_for_execution_errors(node, str(output))
    except PapermillExecutionError as raised:
        error = f"{raised.ename}: {raised.evalue}"
    except OSError:
        raise
    except DeadKernelError:
        killed = True
    except Exception as raised:  # it did not start, or its messages could not be read
        error, killed = f"the kernel did not answer: {type(raised).__name__}: {raised}", True
    finally:
        watch.stop()
    if watch.unwanted:
        raise Cancelled
    # a kernel that was killed can look as if its notebook had ended well
    if not error and (killed or not all(cell.get("execution_count") for cell in node.cells if _counts(cell))):
        error, killed = watch.describe_death(), True
    return Result(
        "failed" if error else "done",
        seconds=round(time.monotonic() - started, 3),
        peak_memory=watch.peak,
        error=error,
        cell=watch.cell if error else 0,
        killed=killed,
    )


class _Watch:
    """Looks after one kernel: its memory, its progress, whether it is still wanted, and its death."""

    def __init__(self, report_progress: Callable[..., None], wanted: Callable[[], bool]):
        self.report_progress, self.wanted = report_progress, wanted
        self.peak = 0  # bytes, of the kernel and its subprocesses
        self.cell = 0  # the code cell that runs
        self.unwanted = False
        self.process: subprocess.Popen | None = None
        self.sockets = tempfile.mkdtemp(prefix="skincas-")  # short: the path of a socket may have 107 characters
        self._leash: subprocess.Popen | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def begin(self, process: subprocess.Popen) -> None:
        """Leash a kernel that has just been started as the leader of its session."""
        self.process = process
        self._leash = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'read -r _; kill -s KILL -- "-$0" 2>/dev/null; rm -rf "$1"',
                str(process.pid),
                self.sockets,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """End what is left of the kernel's session; idempotent."""
        self._over.set()
        if self._leash:
            self._leash.stdin.close()
            self._leash.wait()
            self._leash = None
            self.process.wait()
            self._thread.join()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def describe_death(self) -> str:
        """How the kernel died, in words."""
        code = self.process.returncode
        how = f"ended with exit status {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            how += " (out of memory?)" if code == -signal.SIGKILL else ""
        where = "" if self.cell else " before the first cell"
        return f"the kernel {how}{where}; its peak memory was {self.peak / 2**20:.0f} MiB"

    def _look(self) -> None:
        while True:
            try:
                kernel = psutil.Process(self.process.pid)
                used = sum(p.memory_info().rss for p in (kernel, *kernel.children(recursive=True)))
                self.peak = max(self.peak, used)
            except psutil.Error:
                pass
            if not self.unwanted and not self.wanted():
                self.unwanted = True
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            if self._over.wait(WATCH):
                return


class _KernelManager(AsyncKernelManager):
    """Starts kernels with this interpreter, leashed."""

    watch = Instance(_Watch)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = super().format_kernel_cmd(extra_arguments)
        if self.kernel_name == "python3":  # a kernelspec of the user may start another Python
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file, *(extra_arguments or [])]
        return command

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        await super()._async_launch_kernel(kernel_cmd, **kw)
        self.watch.begin(self.provisioner.process)

    _launch_kernel = _async_launch_kernel


class _Client(PapermillNotebookClient):
    """Tells which cell runs and the last line that it printed."""

    watch = Instance(_Watch)

    def create_kernel_manager(self) -> AsyncKernelManager:
        sockets = Path(self.watch.sockets)  # instead of TCP, which other users of the machine could reach
        self.km = _KernelManager(
            kernel_name=self.kernel_name,
            transport="ipc",
            ip=str(sockets / "ipc"),
            connection_file=str(sockets / "kernel.json"),
            config=self.config,
            watch=self.watch,
        )
        return self.km

    def execute_cell(self, cell, cell_index, *args, **kwargs):
        if cell.cell_type == "code":
            self.watch.cell = _code_cell(self.nb, cell_index)
            self.watch.report_progress(cell=self.watch.cell, cells=_code_cell(self.nb, len(self.nb.cells)))
        return super().execute_cell(cell, cell_index, *args, **kwargs)

    def process_message(self, message, *args, **kwargs):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            for line in message["content"]["text"].rstrip().split("\n"):
                if last := line.split("\r")[-1].strip():  # what a bar writes over is gone
                    self.watch.report_progress(line=last[:200], **({"bar": True} if "\r" in line else {}))
        return super().process_message(message, *args, **kwargs)


class _Engine(NBClientEngine):
    """papermill's engine with a kernel that is looked after."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, log_output=False, *, watch, cwd, env, stderr, **kwargs):
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=300,
            iopub_timeout=60,
            coalesce_streams=True,  # of a bar only its last state is kept
            shutdown_kernel="immediate",  # its outputs are on the disk; TensorFlow takes seconds to leave in order
            watch=watch,
        )
        with stderr.open("ab") as log:  # what libraries in C write there would end up in the terminal
            return client.execute(cwd=cwd, env=env, stdout=log, stderr=log)


def _counts(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _code_cell(node: nbformat.NotebookNode, index: int) -> int:
    """Number of a code cell as a reader counts them: from 1, without the injected one."""
    return sum(
        cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
        for cell in node.cells[: index + 1]
    )
