"""Carries out the plan of a study on Dask workers, a run a task; what depends on another run waits for its future.

Nothing here decides numbers. A run that fails is a result like any other, so that what does not depend on it goes on.
"""

import os
import pickle
import queue
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lib.config.backends import chosen_backend
from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine.estimate import Forecast
from lib.engine.freshness import Freshness
from lib.engine.interruption import Interruption
from lib.engine.locks import remove_leftovers
from lib.engine.planning import Run
from lib.engine.progress import View
from lib.engine.results import Result, blocked, write_state
from lib.engine.workers import (
    Options,
    Pool,
    cluster,
    cores,
    default_jobs,
    heavy_workers,
    kernel_environment,
    visible_gpus,
)


@dataclass(frozen=True)
class Standing:
    """How a run stands before anything starts, what changed where it is stale, and what decides it now."""

    status: Literal["fresh", "stale", "missing"]
    changes: tuple[str, ...] = ()
    described: dict[str, Any] = field(default_factory=dict)

    @property
    def gives_other_numbers(self) -> bool:
        """Whether what reads the run has to be made again too; a change to figures alone leaves the numbers."""
        figures_only = self.changes and all(change.startswith("lib.figures") for change in self.changes)
        return self.status != "fresh" and not figures_only


def standings(runs: list[Run], freshness: Freshness, force: frozenset[str] = frozenset()) -> dict[str, Standing]:
    """How every run stands. A fresh run whose inputs are about to be made again counts as stale, with that as cause."""
    standing: dict[str, Standing] = {}
    for run in runs:
        described = freshness.describe(run)
        changes = freshness.changes(run, described)
        if changes is None:
            standing[run.id] = Standing("missing", described=described)
            continue
        if force & {"all", run.step}:
            changes = ["--force", *changes]
        before = [name for name in run.waits_for if name in standing and standing[name].gives_other_numbers]
        if not changes and before:
            more = f" and {len(before) - 1} more" if len(before) > 1 else ""
            changes = [f"{before[0]}{more} will be made again first"]
        standing[run.id] = Standing("stale" if changes else "fresh", tuple(changes), described)
    return standing


def carry_out(
    runs: list[Run],
    standing: dict[str, Standing],
    planned: list[Run],
    skipped: list[dict[str, Any]],
    root: Path,
    options: Options,
    facts: dict[str, Any],
    interruption: Interruption,
    forecast: Forecast | None = None,
) -> dict[str, Result]:
    """Make every run that is not fresh, write state.json, then the runs that come last.

    Args:
        runs: those to carry out, each after what it waits for.
        standing: how these stand.
        planned: the whole study, of which `runs` may be a part.
        skipped: cells that the study leaves out, for state.json.
        facts: for the provenance of each run.
        interruption: once noted, everything is cancelled.
        forecast: of those that are not fresh.

    Returns:
        How each run ended, by its id.
    """
    paths = StudyPaths(root)
    results = {run.id: Result("fresh") for run in runs if standing[run.id].status == "fresh" and not run.declared.last}
    todo = [run for run in runs if not run.declared.last and run.id not in results]
    last = [run for run in runs if run.declared.last]
    made = sum(standing[run.id].status != "fresh" for run in runs)
    with interruption.in_order(), View(made, forecast) as view, ExitStack() as stack:

        @cache  # started once something has to be run
        def workers() -> Pool:
            view.activity = "starting the workers"
            pool = stack.enter_context(cluster(options))
            if options.dashboard:
                view.announce(f"dashboard: {pool.client.dashboard_link}")
            return pool

        def make(some: list[Run], described: dict[str, dict], before: dict[str, Result]) -> dict[str, Result]:
            batch = _Batch(workers(), some, described, before, root, options, facts)
            return batch.carry_out(view, interruption)

        if todo:
            remove_leftovers(paths, frozenset(run.id for run in planned))
            results |= make(todo, {run.id: standing[run.id].described for run in todo}, results)
        write_state(planned, skipped, results, paths)
        for run in last:
            if interruption.noted or (options.fail_fast and any(not result.well for result in results.values())):
                results[run.id] = Result("not started")
                continue
            freshness = Freshness(root)  # what it reads has just been written
            now = {run.id: freshness.describe(run)}
            if not options.force & {"all", run.step} and freshness.changes(run, now[run.id]) == []:
                results[run.id] = Result("fresh")
            else:
                view.total += standing[run.id].status == "fresh"  # until what it reads was made again
                results |= make([run], now, {})  # whatever failed
        view.activity = "ending the workers"
    return results


class _Batch:
    """Runs sent to workers as tasks, those that they wait for as futures.

    Args:
        described: what `Freshness.describe` says of each run.
        before: how other runs ended, which these may wait for.
    """

    def __init__(self, pool: Pool, runs: list[Run], described, before: dict[str, Result], root, options, facts):
        self.pool, self.client, self.options = pool, pool.client, options
        self.runs = {run.id: run for run in runs}
        self.described, self.root, self.facts = described, root, facts
        self.before = {name: asdict(result) for name, result in before.items()}
        self.results: dict[str, Result] = {}
        self.futures: dict[str, Any] = {}
        self.ended: queue.Queue = queue.Queue()
        self.topic = f"skincas-{os.getpid()}-{time.time_ns()}"
        self.task = _task()

    def carry_out(self, view: View, interruption: Interruption) -> dict[str, Result]:
        """Carry the runs out and show how they go; what is cancelled is `cancelled`, or `not started`."""
        self.client.subscribe_topic(self.topic, lambda event: view.update(**event[1]))
        for run in self.runs.values():
            self._submit(run)
        told = ""
        while self._waiting() and not interruption.noted:
            try:
                name, future = self.ended.get(timeout=0.5)
            except queue.Empty:
                lost = self.pool.replace_lost_workers()
                if lost and lost != told:
                    view.announce(lost)
                told = lost
                continue
            if future is not self.futures[name] or name in self.results or not (result := self._result(name)):
                continue
            self.results[name] = result
            view.ended(name, result)
            if self.options.fail_fast and result.status == "failed":
                break
        if waiting := self._waiting():
            running = view.running
            view.cancel()
            self.results |= {name: Result("cancelled" if name in running else "not started") for name in waiting}
            self.client.cancel(list(self.futures.values()), force=True)
        self.client.unsubscribe_topic(self.topic)
        return self.results

    def _waiting(self) -> list[str]:
        return [name for name in self.runs if name not in self.results]

    def _submit(self, run: Run) -> None:
        names = [name for name in run.waits_for if name in self.runs or name in self.before]
        payload = {
            "run": run,
            "root": self.root,
            "described": self.described[run.id],
            "force": bool(self.options.force & {"all", run.step}),
            "threads": self._threads(run),
            "backend": chosen_backend(),  # a worker started elsewhere may have another in its environment
            "facts": self.facts,
            "before": names,
            "topic": self.topic,
        }
        kind = "heavy" if run.declared.heavy else "light"
        future = self.client.submit(
            self.task,
            str(REPOSITORY),
            pickle.dumps(payload),
            *(self._known(name) or self.futures[name] for name in names),
            key=f"{run.id}-{time.time_ns()}",
            resources={kind: 1} if kind in self.pool.kinds else None,
            priority=2 if run.declared.heavy else 1,
            pure=False,
        )
        self.futures[run.id] = future
        future.add_done_callback(lambda future: self.ended.put((run.id, future)))

    def _known(self, name: str) -> dict[str, Any] | None:
        return asdict(self.results[name]) if name in self.results else self.before.get(name)

    def _threads(self, run: Run) -> int:
        """Threads of a run's kernel; 0: as many as the worker's machine has for each of its notebooks."""
        if self.options.scheduler:
            return 0
        if not self.options.same_numbers:
            return max(1, cores() // self.pool.jobs)
        return max(1, cores() // heavy_workers(self.options)) if run.declared.heavy and visible_gpus() else 0

    def _result(self, name: str) -> Result | None:
        """How a run whose future is done ended; None where it has been sent once more."""
        future = self.futures[name]
        if future.status == "finished":
            return Result(**future.result())
        if future.status != "error":
            return Result("cancelled")
        if error := _own_error(future):
            return Result("failed", error=error, killed=True)
        # what it waits for took a worker with it; it may go on without, once that has been dealt with
        if any(
            other in self.runs and other not in self.results and self.futures[other].status == "error"
            for other in self.runs[name].waits_for
        ):
            self.ended.put((name, future))
            time.sleep(0.05)
        else:
            self._submit(self.runs[name])
        return None


def _own_error(future: Any) -> str:
    """What went wrong with a task on its workers; "" where it was one that it waits for."""
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if not isinstance(error, KilledWorker):
        return f"its worker could not begin it: {type(error).__name__}: {error}; has it the packages of this machine?"
    if error.task == future.key:
        return "its worker died again and again, most likely for want of memory; try fewer --jobs"
    return ""


def _task() -> Callable[..., dict[str, Any]]:
    """The function that workers are sent. It travels by value and takes and gives plain dictionaries, so that a worker
    started anywhere can run it."""

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
    from lib.engine.attempts import perform

    job = pickle.loads(payload)
    run: Run = job["run"]
    if cause := blocked(run, {name: Result(**ended) for name, ended in zip(job["before"], before)}):
        return asdict(Result("not run", cause=cause))
    worker = get_worker()
    key = worker.get_current_task()

    def report_progress(**news: Any) -> None:
        worker.log_event(job["topic"], {"run_id": run.id, **news})

    def is_cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in ("executing", "long-running")

    threads = job["threads"] or max(1, cores() // default_jobs())
    environment = kernel_environment(threads, job["backend"])
    report_progress()
    result = perform(
        run, job["root"], job["described"], job["force"], environment, job["facts"], report_progress, is_cancelled
    )
    return asdict(result)
