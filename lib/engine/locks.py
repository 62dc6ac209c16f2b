"""Who may write where: one run_all a results folder, one worker a run. A lock goes with its process."""

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lib.config.files import read_json, write_json
from lib.config.paths import CHECKPOINTS, StudyPaths
from lib.engine.freshness import FORMAT
from lib.engine.results import Cancelled

UNFINISHED = "stamp.json"  # in an attempt's folder while its outputs are put in place
EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB


class FolderError(RuntimeError):
    """A results folder that cannot be used; the message says why and what to do."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold a results folder for this process alone.

    Raises:
        FolderError: another run_all works there, the folder cannot be written, or it is not a study of this format.
    """
    paths = StudyPaths(root)
    check_format(paths)
    try:
        paths.stamps.mkdir(parents=True, exist_ok=True)
        lock = paths.lock.open("a+")
        (paths.stamps / ".writable").write_text("")
        (paths.stamps / ".writable").unlink()
    except OSError as error:
        raise FolderError(
            f"results folder {root} cannot be written ({error.strerror}); nothing was started: "
            "make it writable, free space or give another --results"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, EXCLUSIVE)
        except BlockingIOError:
            lock.seek(0)
            raise FolderError(
                f"another run_all ({lock.read().strip() or 'unknown process'}) works in {root}; "
                "wait for it, end it, or give another --results"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        if not paths.format.exists():
            write_json(paths.format, {"format": FORMAT})
        yield


def check_format(paths: StudyPaths) -> None:
    """Refuse a folder that holds something else than a study, or stamps that another version of the engine wrote."""
    if not paths.format.exists() and paths.root.is_dir():
        names = sorted(path.name for path in paths.root.iterdir() if path != paths.lock)
        if names and not (paths.stamps.is_dir() and (names == ["stamps"] or any(paths.stamps.glob("[!.]*.json")))):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise FolderError(
                f"results folder {paths.root} holds {names[0]}{more}, and no results of a study; nothing was started: "
                "give a new or empty folder with --results"
            )
    written = (read_json(paths.format) or {}).get("format", None if not paths.format.exists() else "unknown")
    if written is None and any(paths.stamps.glob("[!.]*.json")):
        written = "unknown"
    if written not in (None, FORMAT):
        raise FolderError(
            f"results folder {paths.root} was written by another version of this software (format {written}, "
            f"expected {FORMAT}); it is left as it is: move it away or give another --results"
        )


@contextmanager
def run_locked(paths: StudyPaths, run_id: str, is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold a run: a worker left over from an interrupted run_all may still be ending the same one.

    Raises:
        Cancelled: the run was cancelled before it could be held.
    """
    paths.attempts.mkdir(parents=True, exist_ok=True)
    with (paths.attempts / f"{run_id}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, EXCLUSIVE)
                break
            except BlockingIOError:
                if is_cancelled():
                    raise Cancelled from None
                time.sleep(0.1)
        yield


def remove_leftovers(paths: StudyPaths, planned: frozenset[str] = frozenset()) -> None:
    """Remove what interrupted runs left, but for the checkpoints of `planned` ones, which go on from there.

    What a worker that is about to end still holds is left alone.
    """
    for folder in paths.attempts.glob("*"):
        if not folder.is_dir():
            continue
        with (paths.attempts / f"{folder.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, EXCLUSIVE)
            except BlockingIOError:
                continue
            remove_attempt(folder, checkpoints=folder.name not in planned)


def remove_attempt(folder: Path, checkpoints: bool = True) -> None:
    """Remove what an attempt wrote, and its checkpoints or not; also outputs that it had begun to put in place."""
    if unfinished := read_json(folder / UNFINISHED):
        remove_outputs(folder.parents[1], unfinished["outputs"])
    if checkpoints or not (folder / CHECKPOINTS).is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir() and path.name != CHECKPOINTS:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink()


def remove_outputs(root: Path, names: Iterable[str]) -> None:
    """Remove files of a results folder, and the folders that are empty then."""
    for name in names:
        (root / name).unlink(missing_ok=True)
    folders = {parent for name in names for parent in Path(name).parents if parent.name}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        with suppress(OSError):  # others have files there
            (root / folder).rmdir()
