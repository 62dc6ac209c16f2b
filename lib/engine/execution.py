"""Carries out the plan of a study on Dask workers, a run a task; what depends on another run waits for its future.

Nothing here decides numbers. A run that fails is a result like any other, so that what does not depend on it goes on.
"""

import fcntl
import os
import pickle
import queue
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lib.config import REPOSITORY, StudyPaths, chosen_backend, read_json, write_json
from lib.engine.freshness import FORMAT, Freshness
from lib.engine.planning import Run
from lib.engine.progress import View
from lib.engine.provenance import gpus

GIB = 2**30
GUESS = {
    "train": 300.0,
    "features": 60.0,
    "gradcam": 60.0,
    "report": 60.0,
}  # seconds, until runs of this study tell better


class EngineError(RuntimeError):
    """The study cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """How a study is run: see `run_all.py --help`.

    `force` names the steps to run again, all where it has "all". With `same_numbers` a notebook gets as many threads
    whatever `jobs` is: TensorFlow splits sums by threads, so their number changes the last digits.
    """

    jobs: int = 0
    per_gpu: int = 1
    scheduler: str = ""
    force: frozenset[str] = frozenset()
    fail_fast: bool = False
    dashboard: bool = False
    same_numbers: bool = True


@dataclass(frozen=True)
class Standing:
    """How a run stands before anything starts: `fresh`, `stale` (with what changed) or `missing`."""

    status: str
    changes: tuple[str, ...] = ()


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold a results folder for this process alone; the lock goes with the process, however it ends.

    Raises:
        EngineError: another run_all works there, the folder cannot be written, or its stamps have another format.
    """
    paths = StudyPaths(root)
    try:
        paths.stamps.mkdir(parents=True, exist_ok=True)
        lock = paths.lock.open("a+")
        (paths.stamps / ".writable").write_text("")
        (paths.stamps / ".writable").unlink()
    except OSError as error:
        raise EngineError(
            f"results folder {root} cannot be written ({error.strerror}); nothing was started: "
            "make it writable, free space or give another --results"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise EngineError(
                f"another run_all ({lock.read().strip() or 'unknown process'}) works in {root}; "
                "wait for it, end it, or give another --results"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        check_format(paths)
        write_json(paths.format, {"format": FORMAT})
        yield


def check_format(paths: StudyPaths) -> None:
    """Refuse a results folder whose stamps another version of the engine wrote."""
    written = (read_json(paths.format) or {}).get("format", None if not paths.format.exists() else "unknown")
    if written is None and any(paths.stamps.glob("[!.]*.json")):
        written = "unknown"
    if written not in (None, FORMAT):
        raise EngineError(
            f"results folder {paths.root} was written by another version of this software (format {written}, "
            f"expected {FORMAT}); it is left as it is: move it away or give another --results"
        )


def standings(runs: list[Run], freshness: Freshness, force: frozenset[str] = frozenset()) -> dict[str, Standing]:
    """How every run stands. A fresh run whose inputs are about to be made again counts as stale, with that as cause;
    a change that only touches figures makes nothing else stale."""
    found: dict[str, Standing] = {}
    for run in runs:
        changes = freshness.changes(run)
        if changes is None:
            found[run.id] = Standing("missing")
            continue
        if force & {"all", run.step}:
            changes = ["--force", *changes]
        before = [name for name in run.waits_for if name in found and _gives_other_numbers(found[name])]
        if not changes and before:
            more = f" and {len(before) - 1} more" if len(before) > 1 else ""
            changes = [f"{before[0]}{more} will be made again first"]
        found[run.id] = Standing("stale" if changes else "fresh", tuple(changes))
    return found


def carry_out(
    runs: list[Run],
    planned: list[Run],
    skipped: list[dict[str, Any]],
    root: Path,
    options: Options,
    facts: dict[str, Any],
    interrupted: threading.Event,
) -> dict[str, dict[str, Any]]:
    """Make every run that is not fresh, write state.json, then the report.

    Args:
        runs: those to carry out, each after what it waits for.
        planned: the whole study, of which `runs` may be a part.
        skipped: cells that the study leaves out, for state.json.
        facts: for the provenance of each run.
        interrupted: once set, everything is called off.

    Returns:
        How each run ended, by its id: `status` (done, fresh, failed, not run or cancelled) and more.
    """
    paths = StudyPaths(root)
    freshness = Freshness(root)
    standing = standings(runs, freshness, options.force)
    described = {run.id: freshness.describe(run) for run in runs if standing[run.id].status != "fresh"}
    freshness.save_external()
    first = [run for run in runs if run.step != "report"]
    todo = [run for run in first if standing[run.id].status != "fresh"]
    results = {run.id: {"status": "fresh"} for run in first if standing[run.id].status == "fresh"}
    with ExitStack() as stack:
        workers = cache(lambda: stack.enter_context(cluster(options)))  # started once something has to be run
        if todo:
            _sweep(paths)
            _on_workers(workers(), todo, described, planned, results, root, options, facts, interrupted)
        write_state(planned, skipped, results, paths)
        for report in (run for run in runs if run.step == "report"):
            if interrupted.is_set() or (options.fail_fast and _failed(results)):
                results[report.id] = {"status": "cancelled"}
                continue
            freshness = Freshness(root)  # what it reads has just been written
            now = {report.id: freshness.describe(report)}
            if not options.force & {"all", "report"} and freshness.changes(report, now[report.id]) == []:
                results[report.id] = {"status": "fresh"}
                continue
            made = {}  # a report is made whatever failed
            _on_workers(workers(), [report], now, planned, made, root, options, facts, interrupted)
            results |= made
    return results


def write_state(planned: list[Run], skipped: list[dict[str, Any]], results: dict, paths: StudyPaths) -> None:
    """Write how every run of the study stands, for the report; the report itself is not in it."""
    before = read_json(paths.state) or {}
    state: dict[str, dict[str, Any]] = {}
    for run in planned:
        if run.step == "report":
            continue
        stamp = read_json(paths.stamp(run.id))
        result = results.get(run.id)
        if result and result["status"] in ("failed", "not run"):
            entry = result
        elif stamp and (result is None or result["status"] != "cancelled"):
            entry = {"status": "done", "seconds": stamp["seconds"]}
        elif result is None and before.get(run.id, {}).get("status") == "failed":
            entry = before[run.id]
        else:
            entry = {"status": "not run", "cause": "called off" if result else "not asked for"}
        executed = paths.executed(run.id)
        state[run.id] = {
            "step": run.step,
            "axes": run.axes,
            "status": entry["status"],
            "cause": entry.get("cause", ""),
            "error": entry.get("error", ""),
            "notebook": executed.relative_to(paths.root).as_posix() if executed.is_file() else "",
            "seconds": entry.get("seconds", 0.0),
        }
    for cell in skipped:
        state[cell["id"]] = {
            "step": cell["step"],
            "axes": cell["axes"],
            "status": "left out",
            "cause": "left out by the study file",
            "error": "",
            "notebook": "",
            "seconds": 0.0,
        }
    if state != before:
        write_json(paths.state, state)


@dataclass(frozen=True)
class Pool:
    """Workers to send runs to: a Dask client, how many notebooks run at once, and the cluster if it is our own."""

    client: Any
    jobs: int
    local: Any = None

    def mend(self) -> str:
        """Replace workers of our own that died while they were starting; a word on it where all workers are gone."""
        if self.local:
            lost = [
                name for name, nanny in list(self.local.workers.items()) if nanny.status.name in ("closed", "failed")
            ]
            for name in lost:
                del self.local.workers[name]
            if lost:
                self.local.scale(len(self.local.worker_spec))
        elif not self.client.scheduler_info(n_workers=-1)["workers"]:
            return "the cluster has no worker left; waiting for one"
        return ""


@contextmanager
def cluster(options: Options) -> Iterator["Pool"]:
    """Dask workers: those of the given scheduler, or some on this machine that end with the context.

    Raises:
        EngineError: no scheduler answers at the address, or it has no worker.
    """
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 3,
            # Dask gives up a worker that is not back in time, on a busy machine for good; Pool.mend replaces it
            "distributed.deploy.lost-worker-timeout": "1 day",
        }
    )
    if options.scheduler:
        try:
            client = Client(options.scheduler, timeout=20, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise EngineError(
                f"no Dask scheduler answers at {options.scheduler!r} ({error}); start one with `dask scheduler`"
            ) from error
        with client:
            threads = sum(client.nthreads().values())
            if not threads:
                raise EngineError(
                    f"the scheduler at {options.scheduler!r} has no worker; start some: `dask worker ADDR`"
                )
            yield Pool(client, threads)
        return
    workers = {
        i: {"cls": Nanny, "options": {"nthreads": 1, "memory_limit": 0, "silence_logs": 50, **worker}}
        for i, worker in enumerate(local_workers(options))
    }
    address = f"127.0.0.1:{8787 if options.dashboard else 0}"
    scheduler = {
        "cls": Scheduler,
        "options": {"dashboard": options.dashboard, "dashboard_address": address, "host": "127.0.0.1", "port": 0},
    }
    with (
        SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50, name="skincas") as local,
        Client(local, set_as_default=False) as client,
    ):
        yield Pool(client, len(workers), local)


def local_workers(options: Options) -> list[dict[str, Any]]:
    """What each worker of this machine is given: one thread, what it may run, and its own GPU."""
    mine = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"  # run_all alone answers Ctrl-C
    common = {"preload": [mine], "env": {"TF_CPP_MIN_LOG_LEVEL": "3"}}
    devices = visible_gpus()
    if not devices:
        jobs = options.jobs or default_jobs()
        return [common | {"resources": {"heavy": 1, "light": 1}} for _ in range(jobs)]
    workers = []
    for i in range(_heavy_workers(options)):
        env = common["env"] | {"CUDA_VISIBLE_DEVICES": devices[i % len(devices)]}
        workers.append(common | {"resources": {"heavy": 1}, "env": env})
    for _ in range(min(2, default_jobs())):
        env = common["env"] | {"CUDA_VISIBLE_DEVICES": "-1"}
        workers.append(common | {"resources": {"light": 1}, "env": env})
    return workers


def _heavy_workers(options: Options) -> int:
    return options.jobs or len(visible_gpus()) * options.per_gpu


def visible_gpus() -> list[str]:
    """Numbers or names of the GPUs that this process may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name.strip() not in ("", "-1")] if gpus() else []
    return [str(i) for i in range(len(gpus()))]


def default_jobs() -> int:
    """Notebooks at once without GPUs: one a core, as long as each has 4 GiB."""
    from distributed.system import MEMORY_LIMIT

    return max(1, min(_cores(), MEMORY_LIMIT // (4 * GIB)))


def _on_workers(pool: Pool, todo, described, planned, results, root, options, facts, interrupted) -> None:
    """Submit runs as tasks, their dependencies as futures, and add to `results` how they end."""
    with View(_expected(todo, planned, Freshness(root)), pool.jobs) as view:
        if options.dashboard:
            view.say(f"dashboard: {pool.client.dashboard_link}")
        threads = 0 if options.scheduler or options.same_numbers else max(1, _cores() // pool.jobs)
        _collect(pool, todo, described, results, root, options, threads, facts, view, interrupted)


def _collect(pool: Pool, todo, described, results, root, options, threads, facts, view: View, interrupted) -> None:
    client, task = pool.client, _task()
    word = ""
    by_id = {run.id: run for run in todo}
    futures: dict[str, Any] = {}
    ended: queue.Queue = queue.Queue()
    topic = f"skincas-{os.getpid()}-{time.time_ns()}"
    on_gpu = 0 if options.scheduler or not visible_gpus() else max(1, _cores() // _heavy_workers(options))
    offers = {name for info in client.scheduler_info(n_workers=-1)["workers"].values() for name in info["resources"]}

    def submit(run: Run) -> None:
        names = [name for name in run.waits_for if name in by_id or name in results]
        payload = pickle.dumps(
            {
                "run": run,
                "root": root,
                "described": described[run.id],
                "force": bool(options.force & {"all", run.step}),
                "threads": threads or (on_gpu if run.heavy else 0),
                "backend": chosen_backend(),  # a worker started elsewhere may have another in its environment
                "facts": facts,
                "before": names,
                "topic": topic,
            }
        )
        kind = "heavy" if run.heavy else "light"
        futures[run.id] = client.submit(
            task,
            str(REPOSITORY),
            payload,
            *(results.get(name) or futures[name] for name in names),
            key=f"{run.id}-{time.time_ns()}",
            resources={kind: 1} if kind in offers else None,
            priority=2 if run.heavy else 1,
            pure=False,
        )
        futures[run.id].add_done_callback(lambda future: ended.put((run.id, future)))

    client.subscribe_topic(topic, lambda event: view.news(**event[1]))
    for run in todo:
        submit(run)
    waiting = set(by_id)
    while waiting:
        if interrupted.is_set():
            break
        try:
            name, future = ended.get(timeout=0.5)
        except queue.Empty:
            before, word = word, pool.mend()
            if word and word != before:
                view.say(word)
            continue
        if future is not futures[name] or name not in waiting:
            continue
        if future.status == "finished":
            results[name] = future.result()
        elif future.status == "error" and _blames(future, futures[name]):
            error = "its worker died again and again, most likely for want of memory; try fewer --jobs"
            results[name] = {"status": "failed", "error": error, "cell": 0, "killed": True}
        elif future.status == "error":  # what it waits for took a worker with it; it may go on without
            if any(
                other in waiting and futures[other].status == "error"
                for other in by_id[name].waits_for
                if other in by_id
            ):
                ended.put((name, future))
                time.sleep(0.05)
                continue
            submit(by_id[name])
            continue
        else:
            results[name] = {"status": "cancelled"}
        waiting.discard(name)
        view.ended(name, results[name])
        if options.fail_fast and results[name]["status"] == "failed":
            break
    for name in waiting:
        results[name] = {"status": "cancelled"}
    if waiting:
        client.cancel(list(futures.values()), force=True)
    client.unsubscribe_topic(topic)


def _task() -> Callable[..., dict[str, Any]]:
    """The function that workers are sent. It travels by value, so a worker started anywhere can run it."""

    def task(repository: str, payload: bytes, *before: dict) -> dict:
        import sys

        if repository not in sys.path:
            sys.path.insert(0, repository)
        from lib.engine import execution

        return execution.on_worker(payload, before)

    return task


def on_worker(payload: bytes, before: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Carry out one run in this Dask worker; called by the task that `carry_out` submits."""
    from distributed import get_worker

    # jsonschema does without it, notebooks have no IRIs to check, and building its grammar takes a second
    sys.modules.setdefault("rfc3987_syntax", None)
    from lib.engine import kernel

    job = pickle.loads(payload)
    run: Run = job["run"]
    if cause := kernel.blocked(run, dict(zip(job["before"], before))):
        return {"status": "not run", "cause": cause}
    worker = get_worker()
    key = worker.get_current_task()

    def say(**news: Any) -> None:
        worker.log_event(job["topic"], {"run_id": run.id, **news})

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    threads = job["threads"] or max(1, _cores() // default_jobs())
    environment = _environment(threads, job["backend"])
    say()
    return kernel.perform(run, job["root"], job["described"], job["force"], environment, job["facts"], say, wanted)


def _blames(future, own) -> bool:
    from distributed.scheduler import KilledWorker

    error = future.exception()
    return not isinstance(error, KilledWorker) or error.task == own.key


def _environment(threads: int, backend: str) -> dict[str, str]:
    """Variables of a kernel: the backend of Keras, and threads for TensorFlow, JAX (NPROC), BLAS and OpenCV, so that
    notebooks side by side do not fight for cores."""
    counted = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "NPROC",
        "OPENCV_FOR_THREADS_NUM",
    )
    fixed = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
    return dict.fromkeys(counted, str(threads)) | fixed


def _cores() -> int:
    from dask.system import CPU_COUNT

    return CPU_COUNT


def _expected(todo: list[Run], planned: list[Run], freshness: Freshness) -> dict[str, float]:
    """Seconds that each run is expected to take: as its step took before, else a guess."""
    taken: dict[str, list[float]] = {}
    for run in planned:
        if stamp := freshness.stamp(run.id):
            taken.setdefault(run.step, []).append(stamp["seconds"])
    means = {step: sum(values) / len(values) for step, values in taken.items()}
    return {run.id: means.get(run.step, GUESS.get(run.step, 10.0)) for run in todo}


def _gives_other_numbers(standing: Standing) -> bool:
    figures_only = standing.changes and all(change.startswith("lib.figures") for change in standing.changes)
    return standing.status != "fresh" and not figures_only


def _failed(results: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, result in results.items() if result["status"] in ("failed", "not run")]


def _sweep(paths: StudyPaths) -> None:
    """Remove what interrupted runs left, unless a worker that is about to end still holds it."""
    for folder in paths.attempts.glob("*"):
        if not folder.is_dir():
            continue
        with (paths.attempts / f"{folder.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder, ignore_errors=True)
