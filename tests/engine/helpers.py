"""What tests of the engine share: notebooks of a few cells, stamped runs, and waits that end."""

import subprocess
import time
from pathlib import Path

import nbformat
import psutil

from lib.config.files import write_json
from lib.config.paths import LIB, REPOSITORY, StudyPaths
from lib.engine import attempts
from lib.engine.freshness import Freshness, outputs_of

FIXTURES = REPOSITORY / "tests" / "fixtures"
PATIENCE = 300  # seconds, for a busy machine; only a fault reaches them


def write_notebook(path: Path, *cells: str, tags=("parameters",)) -> Path:
    """A notebook of code cells; `tags` belong to the first ones, in order."""
    node = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    node.metadata["language_info"] = {"name": "python"}
    node.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    for cell, tag in zip(node.cells, tags):
        cell.metadata["tags"] = [tag] if tag else []
    nbformat.write(node, path)
    return path


def perform(run, root: Path, **options):
    return attempts.perform(run, root, Freshness(root).describe(run), **options)


def stamp_all(root: Path, runs: list, lib: Path = LIB) -> None:
    """Give every run outputs and a stamp, as if it had been made."""
    for run in runs:
        for name in run.outputs:
            files = [""] if Path(name).suffix else ["images.parquet", "clean.parquet", "features.npy"]
            for path in (root / name / file for file in files):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(run.id)
        freshness = Freshness(root, lib)
        stamp = freshness.describe(run) | {"inputs": freshness.inputs(run), "seconds": 1.0}
        write_json(StudyPaths(root).stamp(run.id), stamp | {"outputs": outputs_of(root, run)})


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def gone(*pids: int) -> bool:
    return not any(psutil.pid_exists(pid) and alive(psutil.Process(pid)) for pid in pids)


def wait_for(condition, *needed: subprocess.Popen) -> None:
    """Wait until a condition is true; fails once a process that it needs has ended, and where it never comes true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        ended = [process.args for process in needed if process.poll() is not None]
        assert not ended or condition(), f"ended too early: {ended}"
        assert time.monotonic() < end, f"not so after {PATIENCE} s: {condition}"
        time.sleep(0.05)
