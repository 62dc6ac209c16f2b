"""One notebook in a kernel of its own, which never outlives this process, and its outputs put in place.

The kernel leads a session of its own. A watcher process holds the other end of a pipe from here: when this process
ends, however it ends, the pipe closes and the watcher kills the whole session, subprocesses of cells included.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
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

from lib.config import StudyPaths, write_json
from lib.engine import provenance
from lib.engine.freshness import Freshness, outputs_of
from lib.engine.planning import Run

WATCH = 0.5  # seconds between looks at a kernel's memory and at whether its run is still wanted


class Unwanted(Exception):
    """The run was called off while its notebook was being executed."""


def perform(
    run: Run,
    root: Path,
    described: dict[str, Any],
    force: bool = False,
    environment: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
    say: Callable[..., None] = lambda **news: None,
    wanted: Callable[[], bool] = lambda: True,
) -> dict[str, Any]:
    """Execute a run unless it is fresh, put its outputs in place and write its stamp.

    A kernel that is killed is tried once more, a notebook that raises is not.

    Args:
        root: results folder of the study.
        described: what `Freshness.describe` says of the run.
        force: run it though fresh.
        environment: variables for the kernel, beside those of this process.
        facts: what is known of the study as a whole, for the provenance of the run.
        say: told of progress by keywords: `attempt`, `cell`, `cells`, `line`.
        wanted: asked now and then; once it says no, the kernel is killed.

    Returns:
        `status` (done, failed, fresh or cancelled), `seconds`, `peak_memory` (bytes), and for a failure `error`,
        `cell` (number of the code cell) and `killed`.
    """
    paths = StudyPaths(root)
    try:
        with _only_one(paths, run.id, wanted):
            if not force and Freshness(root).changes(run, described) == []:
                return {"status": "fresh"}
            for attempt in (1, 2):
                say(attempt=attempt)
                result = _attempt(run, paths, described, environment or {}, facts or {}, say, wanted)
                result["attempts"] = attempt
                if not result.get("killed"):
                    break
            return result
    except Unwanted:
        return {"status": "cancelled"}
    except OSError as error:
        return _failure(f"{type(error).__name__}: {error}; free space or mend the folder, then run it again")


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    environment: dict[str, str] | None = None,
    say: Callable[..., None] = lambda **news: None,
    wanted: Callable[[], bool] = lambda: True,
) -> dict[str, Any]:
    """Execute a notebook in a fresh kernel in the notebook's folder; the executed notebook is written to `output`.

    Returns:
        As `perform` does, without stamps and outputs. `done` means that nothing was raised, the kernel lived to the
        end and every code cell has an execution count.
    """
    started = time.monotonic()
    node = parameterize_notebook(load_notebook_node(str(notebook)), parameters)
    node.metadata.papermill.update(input_path=notebook.name, output_path=output.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    watch = _Watch(say, wanted)
    result: dict[str, Any] = {"status": "done"}
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
    except PapermillExecutionError as error:
        result = _failure(f"{error.ename}: {error.evalue}", cell=watch.cell)
    except OSError:
        raise
    except DeadKernelError:
        result = _failure("", killed=True)
    except Exception as error:  # it did not start, or its messages could not be read
        result = _failure(f"the kernel did not answer: {type(error).__name__}: {error}", cell=watch.cell, killed=True)
    finally:
        watch.stop()
    if watch.unwanted:
        raise Unwanted
    # a kernel that was killed can look as if its notebook had ended well
    complete = all(cell.get("execution_count") for cell in node.cells if _counts(cell))
    if (result["status"] == "done" and not complete) or result.get("error") == "":
        result = _failure(watch.obituary(), cell=watch.cell, killed=True)
    return result | {"seconds": round(time.monotonic() - started, 3), "peak_memory": watch.peak}


def _attempt(run: Run, paths: StudyPaths, described, environment, facts, say, wanted) -> dict[str, Any]:
    folder = paths.attempts / run.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    attempt = StudyPaths(paths.root, folder)
    executed = attempt.new(paths.executed(run.id))
    parameters = dict(run.parameters)
    for name, value in (("results", paths.root), ("attempt", folder)):
        if name in run.injected:
            parameters[name] = str(value)
    read = Freshness(paths.root).inputs(run)  # before the notebook reads them
    result = execute(run.notebook, executed, parameters, environment, say, wanted)
    if result["status"] == "done":
        try:
            _after(run, attempt, executed)
            _check_outputs(run, folder)
        except OSError:
            raise
        except Exception as error:  # a report that cannot be made, or outputs that are not as planned
            result = result | _failure(f"{type(error).__name__}: {error}")
    if not wanted():
        raise Unwanted
    final = paths.executed(run.id)
    final.parent.mkdir(parents=True, exist_ok=True)
    final.with_suffix(".log").unlink(missing_ok=True)
    if result["status"] == "failed" and executed.with_suffix(".log").is_file():
        executed.with_suffix(".log").replace(final.with_suffix(".log"))  # may hold the last words of a killed kernel
    if executed.is_file():
        executed.replace(final)
    if result["status"] == "done":
        stamp = described | {"inputs": read, "seconds": result["seconds"], "peak_memory": result["peak_memory"]}
        provenance.complete(run, folder, stamp, facts, environment)
        new = folder / "stamp.json"  # written before anything is renamed: a full disk ends the run here
        write_json(new, stamp | {"outputs": outputs_of(folder, run)})
        paths.stamps.mkdir(exist_ok=True)
        paths.stamp(run.id).unlink(missing_ok=True)
        _put_in_place(run, folder, paths.root)
        new.replace(paths.stamp(run.id))
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _after(run: Run, attempt: StudyPaths, executed: Path) -> None:
    """What follows a notebook: the report becomes a page, and so does every notebook behind it."""
    if run.step == "report":
        from lib.report import notebooks, pages  # only the report needs nbconvert

        pages.to_html(executed, attempt.new(attempt.report))
        notebooks.write_pages(attempt)


def _check_outputs(run: Run, folder: Path) -> None:
    missing = [name for name in run.outputs if not (folder / name).exists()]
    if missing:
        raise RuntimeError(f"the notebook ended without writing {missing[0]}; see its last cells")
    allowed = [Path(name) for name in (*run.outputs, *run.may_write, "notebooks")]
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(relative.is_relative_to(name) for name in allowed):
            raise RuntimeError(
                f"the notebook wrote {relative}, which is no output of step {run.step}; see lib.engine.planning"
            )


def _put_in_place(run: Run, folder: Path, root: Path) -> None:
    """Rename outputs into the results folder. Without a stamp they count for nothing until the last one is there."""
    for name in (*run.outputs, *run.may_write):
        new, final = folder / name, root / name
        if not new.exists():
            continue
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir():
            old = folder / ".old"
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
        new.replace(final)


@contextmanager
def _only_one(paths: StudyPaths, run_id: str, wanted: Callable[[], bool]):
    """Hold the run's lock: a worker left over from an interrupted run_all may still be ending the same run."""
    paths.attempts.mkdir(parents=True, exist_ok=True)
    with (paths.attempts / f"{run_id}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not wanted():
                    raise Unwanted from None
                time.sleep(0.1)
        yield


def blocked(run: Run, results: dict[str, dict[str, Any]]) -> str:
    """Why a run cannot start, given how those before it ended; "" if it can.

    A run that sums up several others (`some_of`) starts as long as one of them ended well.
    """
    causes = {
        name: result.get("cause") or f"{name} {result['status']}"
        for name, result in results.items()
        if result["status"] not in ("done", "fresh")
    }
    for name in run.needs:
        if name in causes:
            return causes[name]
    summed = [name for name in run.some_of if name in results]
    if summed and all(name in causes for name in summed):
        return causes[summed[0]]
    return ""


class _Watch:
    """Looks after one kernel: its memory, its progress, whether it is still wanted, and its death."""

    def __init__(self, say: Callable[..., None], wanted: Callable[[], bool]):
        self.say, self.wanted = say, wanted
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

    def obituary(self) -> str:
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
        if shutil.which("setpriv"):  # the kernel ends with the thread that starts it, even if the watcher is gone
            command = ["setpriv", "--pdeathsig", "KILL", *command]
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
            self.watch.say(cell=self.watch.cell, cells=_code_cell(self.nb, len(self.nb.cells)))
        return super().execute_cell(cell, cell_index, *args, **kwargs)

    def process_message(self, message, *args, **kwargs):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            lines = [line.split("\r")[-1].strip() for line in message["content"]["text"].rstrip().split("\n")]
            for line in filter(None, lines):
                self.watch.say(line=line[:200])
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
            shutdown_kernel="immediate",  # its outputs are on the disk; TensorFlow takes seconds to leave in order
            watch=watch,
        )
        with stderr.open("ab") as log:  # what libraries in C write there would end up in the terminal
            return client.execute(cwd=cwd, env=env, stdout=log, stderr=log)


def _failure(error: str, cell: int = 0, killed: bool = False) -> dict[str, Any]:
    return {"status": "failed", "error": error, "cell": cell, "killed": killed}


def _counts(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _code_cell(node: nbformat.NotebookNode, index: int) -> int:
    """Number of a code cell as a reader counts them: from 1, without the injected one."""
    return sum(
        cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
        for cell in node.cells[: index + 1]
    )
