"""One run: its notebook executed at most twice, its outputs put in place as a whole, its stamp written last."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.config.files import read_json, text_digest, write_json
from lib.config.paths import CHECKPOINTS, StudyPaths
from lib.engine import provenance
from lib.engine.freshness import Freshness, expand, outputs_of, read_stamp
from lib.engine.kernel import execute
from lib.engine.locks import REPLACED, STAMP, remove_attempt, remove_outputs, run_locked
from lib.engine.planning import Run
from lib.engine.results import Cancelled, Result


def perform(
    run: Run,
    root: Path,
    described: dict[str, Any],
    force: bool = False,
    environment: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
    report_progress: Callable[..., None] = lambda **progress: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Execute a run unless it is fresh, put its outputs in place and write its stamp.

    A notebook whose kernel is killed gets a second attempt, one that raises does not. The next attempt, now or after
    an interruption, finds the checkpoints of a killed one as long as all that the run depends on is the same.

    Args:
        root: results folder of the study.
        described: what `Freshness.describe` says of the run.
        force: execute it though fresh, and from its beginning.
        environment, report_progress, is_cancelled: see `kernel.execute`; `attempt` is reported, too, when one starts.
        facts: what is known of the study as a whole, for the provenance of the run.
    """
    paths = StudyPaths(root)
    try:
        with run_locked(paths, run.id, is_cancelled):
            if not force and Freshness(root).changes(run, described) == []:
                return Result("fresh")
            if force:
                remove_attempt(paths.attempts / run.id)
            for attempt in (1, 2):
                report_progress(attempt=attempt)
                result = _attempt(run, paths, described, environment or {}, facts or {}, report_progress, is_cancelled)
                if not result.killed or attempt == 2:
                    return result
    except Cancelled:
        return Result("cancelled")
    except OSError as error:
        text = f"{type(error).__name__}: {error}; free space or repair the folder, then run it again"
        return Result("failed", error=text)


def _attempt(run: Run, paths: StudyPaths, described, environment, facts, report_progress, is_cancelled) -> Result:
    folder = paths.attempts / run.id
    stamp = described | {"inputs": Freshness(paths.root).inputs(run)}  # digests from before the notebook reads them
    # checkpoints that were made from the same are kept
    mark, digest = folder / CHECKPOINTS / "made_from.json", text_digest(json.dumps(stamp, sort_keys=True))
    remove_attempt(folder, checkpoints=read_json(mark) != digest)
    write_json(mark, digest)
    executed = StudyPaths(paths.root, folder).new(paths.executed(run.id))
    places = {"results": str(paths.root), "attempt": str(folder)}
    parameters = run.parameters | {name: places[name] for name in places if name in run.injected}
    result = execute(run.notebook, executed, parameters, environment, report_progress, is_cancelled)
    if result.status == "done":
        shutil.rmtree(folder / CHECKPOINTS)
        if problem := _wrong_outputs(run, folder):
            result = replace(result, status="failed", error=problem)
    if is_cancelled():
        raise Cancelled
    _keep_notebook(executed, paths.executed(run.id), with_log=result.status == "failed")
    if result.status == "done":
        stamp |= {"seconds": result.seconds, "peak_memory_bytes": result.peak_memory}
        provenance.complete(run, folder, stamp, facts, environment)
        # written before anything is moved: a full disk ends the run here
        write_json(folder / STAMP, stamp | {"outputs": outputs_of(folder, run)})
        _put_in_place(run, folder, paths)
    remove_attempt(folder, checkpoints=not result.killed)
    return result


def _wrong_outputs(run: Run, folder: Path) -> str:
    """What a notebook has not written, or has though it is not an output of its step; "" where all is as planned."""
    if missing := [name for name in run.outputs if not (folder / name).exists()]:
        return f"the notebook ended without writing {missing[0]}; see its last cells"
    allowed = (*run.outputs, *run.may_write, "notebooks")
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    others = [name for name in files if not any(name.is_relative_to(place) for place in allowed)]
    return f"the notebook wrote {others[0]}, not an output of step {run.step}; see lib.config.steps" if others else ""


def _keep_notebook(executed: Path, final: Path, with_log: bool) -> None:
    """Move the executed notebook to the results, with what its kernel wrote to stderr where it failed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    final.with_suffix(".log").unlink(missing_ok=True)
    for path in (executed, *([executed.with_suffix(".log")] if with_log else [])):
        if path.is_file():
            path.replace(final.with_suffix(path.suffix))


def _put_in_place(run: Run, folder: Path, paths: StudyPaths) -> None:
    """Replace the files that the run wrote before by its new ones; files of others stay.

    Without a stamp the files count for nothing; an attempt that is killed here leaves both stamps, for their removal.
    """
    with suppress(FileNotFoundError):
        paths.stamp(run.id).replace(folder / REPLACED)
        remove_outputs(paths.root, (read_stamp(folder / REPLACED) or {}).get("outputs", {}))
    for output in (*run.outputs, *run.may_write):
        (paths.root / output if (folder / output).is_dir() else paths.root).mkdir(parents=True, exist_ok=True)
        for name in expand(folder, [output]):
            (paths.root / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(paths.root / name)
    (folder / REPLACED).unlink(missing_ok=True)
    paths.stamps.mkdir(exist_ok=True)
    (folder / STAMP).replace(paths.stamp(run.id))
