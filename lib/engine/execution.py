"""Carries out the plan of a study on Dask workers: one task per run, sent once what it waits for has ended.

A run that fails is a result like any other, so that what does not depend on it is carried out.
"""

import os
import pickle
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine.estimate import Forecast
from lib.engine.freshness import Freshness, Standing, deciding_environment
from lib.engine.locks import remove_leftovers
from lib.engine.planning import Run
from lib.engine.progress import View
from lib.engine.results import Result, blocked, write_state
from lib.engine.workers import Options, Pool, cluster, exposed, kernel_environment, kernel_threads


class Interruption:
    """Whether Ctrl-C or SIGTERM has interrupted this process.

    A signal raises KeyboardInterrupt, which ends any wait at once, or is only `noted` once `raises` is false, for
    notebooks to be ended in order. A second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.noted, self.raises = False, True

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals inside this context."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, _number: int, _frame: object) -> None:
        if self.noted:
            os._exit(130)  # workers and kernels are leashed and end with this process
        self.noted = True
        if self.raises:
            raise KeyboardInterrupt


@dataclass
class Execution:
    """The runs of one call. Some wait for others, some are sent to workers, the rest have ended."""

    runs: list[Run]  # those to carry out, each after what it waits for
    standing: dict[str, Standing]
    planned: list[Run]  # the whole study
    skipped: list[dict[str, Any]]  # cells that the study skips, for state.json
    root: Path
    options: Options
    facts: dict[str, Any]  # for the provenance of each run

    def carry_out(self, interruption: Interruption, forecast: Forecast | None = None) -> dict[str, Result]:
        """Make every run that is not fresh, write state.json, then make the runs that come last.

        Returns how each ended, by its id. Once an interruption is noted, the others are `cancelled` or `not started`.
        """
        fresh = {run.id for run in self.runs if self.standing[run.id].status == "fresh" and not run.declared.last}
        self.results = {name: Result("fresh") for name in fresh}
        self.waiting = {run.id: run for run in self.runs if run.id not in fresh}
        self.sent: dict[str, Any] = {}  # futures
        self.ended: queue.Queue = queue.Queue()
        self.topic, self.interruption = f"skincas-{os.getpid()}-{time.time_ns()}", interruption
        total = sum(one.status != "fresh" for one in self.standing.values())
        with View(total, forecast, silence=self.options.silence) as self.view, ExitStack() as self.stack:
            self._carry_out()
        return self.results

    def _carry_out(self) -> None:
        problem = ""
        self._send_ready()
        while self.sent and not self.interruption.noted:
            try:
                name, future = self.ended.get(timeout=0.5)
            except queue.Empty:
                before, problem = problem, self.pool.replace_lost_workers()
                if problem not in ("", before):
                    self.view.say(problem)
                continue
            del self.sent[name]
            self._end(name, _result(future))
            gone = future.status == "cancelled"  # with its scheduler
            if gone or self.options.fail_fast and self.results[name].status == "failed":
                break
            self._send_ready()
        if names := [*self.sent, *self.waiting]:
            self.view.cancel()
            self.results |= {name: Result("cancelled" if name in self.sent else "not started") for name in names}
            with suppress(OSError):  # where the scheduler has gone
                self.pool.client.cancel(list(self.sent.values()), force=True)
        write_state(self.planned, self.skipped, self.results, self.root)

    @cached_property
    def pool(self) -> Pool:
        """The workers, started once something has to be run."""
        self.view.say("starting the workers")
        remove_leftovers(StudyPaths(self.root), frozenset(run.id for run in self.planned))
        self.interruption.raises = bool(self.options.scheduler)  # until it answers nothing has to be ended
        pool = self.stack.enter_context(cluster(self.options))
        self.interruption.raises = False
        if self.options.scheduler and (warning := exposed(self.options.scheduler)):
            self.view.say(warning)
        if self.options.dashboard:
            self.view.say(f"dashboard: {pool.client.dashboard_link}")
        pool.client.subscribe_topic(self.topic, lambda event: self.view.update(**event[1]))
        return pool

    def _send_ready(self) -> None:
        """Send the runs that wait for nothing any more; one that cannot start ends here."""
        for run in list(self.waiting.values()):  # each after what it waits for
            if any(name in self.waiting or name in self.sent for name in run.waits_for):
                continue
            del self.waiting[run.id]
            described = self.standing[run.id].described
            if run.declared.last:  # what it reads has just been written
                write_state(self.planned, self.skipped, self.results, self.root)
                if not self.options.force & {"all", run.step} and Freshness(self.root).changes(run, described) == []:
                    self.results[run.id] = Result("fresh")
                    continue
                self.view.total += self.standing[run.id].status == "fresh"  # until its inputs were made again
            if cause := blocked(run, self.results):
                self._end(run.id, Result("not run", cause=cause))
            else:
                self._send(run, described)

    def _send(self, run: Run, described: dict[str, Any]) -> None:
        kind = "heavy" if run.declared.heavy else "light"
        force = bool(self.options.force & {"all", run.step})
        arguments = dict(run=run, root=self.root, described=described, force=force, facts=self.facts)
        # a worker started elsewhere may have others in its environment
        job = (self.topic, kernel_threads(self.options, run.declared.heavy), deciding_environment(), arguments)
        future = self.sent[run.id] = self.pool.client.submit(
            _task(),
            str(REPOSITORY),
            pickle.dumps(job),
            key=f"{run.id}-{self.topic}",
            resources={kind: 1} if self.pool.local else None,
            priority=2 if run.declared.heavy else 1,
            pure=False,
        )
        future.add_done_callback(lambda future: self.ended.put((run.id, future)))

    def _end(self, name: str, result: Result) -> None:
        self.results[name] = result
        self.view.ended(name, result)


def _result(future: Any) -> Result:
    """How the run of a future that is done ended."""
    if future.status == "finished":
        return Result(**future.result())
    if future.status != "error":
        return Result("failed", error="the scheduler has ended or cannot be reached; with a new one the study resumes")
    error = future.exception()
    hint = "its worker died again and again, probably out of memory, or lacks this machine's packages"
    return Result("failed", error=f"{type(error).__name__}: {error}; {hint}", killed=True)


def _task() -> Callable[[str, bytes], dict[str, Any]]:
    """The function that workers are sent. It travels by value and takes and gives plain data, for a worker that was
    started elsewhere and does not know the repository."""

    def task(repository: str, job: bytes) -> dict:
        import sys

        if repository not in sys.path:
            sys.path.insert(0, repository)
        from lib.engine import execution

        return execution.on_worker(job)

    return task


def on_worker(job: bytes) -> dict[str, Any]:
    """Carry out one run in this Dask worker; called by the task that `carry_out` submits."""
    from distributed import get_worker

    # jsonschema does without it, notebooks have no IRIs to check, and building its grammar takes a second
    sys.modules.setdefault("rfc3987_syntax", None)
    from lib.engine.attempts import perform

    topic, threads, deciding, arguments = pickle.loads(job)
    worker = get_worker()
    key = worker.get_current_task()

    def report_progress(**progress: Any) -> None:
        worker.log_event(topic, {"run_id": arguments["run"].id, **progress})

    def is_cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in ("executing", "long-running")

    report_progress()
    arguments["environment"] = kernel_environment(threads, deciding)
    return asdict(perform(**arguments, report_progress=report_progress, is_cancelled=is_cancelled))
