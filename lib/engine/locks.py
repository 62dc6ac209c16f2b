"""Who may write where: one run_all per results folder, one worker per run. A lock ends with its process."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lib.config.files import read_json, write_json
from lib.config.paths import CHECKPOINTS, StudyPaths
from lib.engine.freshness import FORMAT, read_stamp
from lib.engine.results import Cancelled

# in an attempt's folder while its outputs are moved: the stamp of the files that they replace, and their own
UNFINISHED = REPLACED, STAMP = "replaced.json", "stamp.json"


class FolderError(RuntimeError):
    """A results folder that cannot be used; the message says why and what to do."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold a results folder for this process alone; a FolderError where another run_all works there, it cannot be
    written, or it holds something else."""
    paths = StudyPaths(root)
    check_format(paths)
    try:
        write_json(paths.format, {"format": FORMAT})
        lock = paths.lock.open("w")
    except OSError as error:
        raise FolderError(
            f"results folder {root} cannot be written ({error.strerror}); nothing was started: "
            "make it writable, free space or give another --results"
        ) from error
    with lock:
        if (held := _hold(lock)) is False:
            raise FolderError(f"another run_all works in {root}; wait for it, end it, or give another --results")
        if held is None:
            print(f"the file system of {root} has no locks: do not start a second run_all there meanwhile", flush=True)
        for left in (*paths.root.glob(".*.json.[0-9]*"), *paths.stamps.glob(".*.json.[0-9]*")):
            left.unlink(missing_ok=True)  # a file that was being written when its process was killed
        yield


def check_format(paths: StudyPaths) -> None:
    """Refuse, with a FolderError, a folder that holds anything but results of this version."""
    contents = map(read_json, (paths.format, *paths.stamps.glob("[!.]*.json")))  # a copy may lack hidden files
    written = next((one["format"] for one in contents if isinstance(one, dict) and "format" in one), None)
    others = [path for path in paths.root.glob("*") if path not in (paths.lock, paths.stamps)]
    if written != FORMAT and (others or any(paths.stamps.glob("[!.]*"))):
        raise FolderError(
            f"results folder {paths.root} is not empty and holds no results of this version of the software (format "
            f"{written}, expected {FORMAT}); nothing was started: give a new or empty folder with --results"
        )


@contextmanager
def run_locked(paths: StudyPaths, run_id: str, is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold a run: a worker left over from an interrupted run_all may still be ending the same one. Raises Cancelled
    where it was before it could be held."""
    paths.attempts.mkdir(parents=True, exist_ok=True)
    with (paths.attempts / f"{run_id}.lock").open("w") as lock:
        while _hold(lock) is False:
            if is_cancelled():
                raise Cancelled
            time.sleep(0.1)
        yield


def _hold(lock: IO) -> bool | None:
    """Lock an open file, unless another process has; None where it has no locks. A lock ends with its process."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some file systems of clusters
        return None
    return True


def remove_leftovers(paths: StudyPaths, planned: frozenset[str] = frozenset()) -> None:
    """Remove what interrupted runs left, except the checkpoints of `planned` ones, which are resumed.

    A run that a worker still holds is left alone.
    """
    for folder in paths.attempts.glob("*/"):
        with (paths.attempts / f"{folder.name}.lock").open("w") as lock:
            if _hold(lock) is not False:
                remove_attempt(folder, checkpoints=folder.name not in planned)


def remove_attempt(folder: Path, checkpoints: bool = True) -> None:
    """Remove what an attempt wrote, with or without its checkpoints, and outputs that it was putting in place."""
    for name in UNFINISHED:
        remove_outputs(folder.parents[1], (read_stamp(folder / name) or {}).get("outputs", {}))
    for path in folder.glob("*"):
        if path.is_file():
            path.unlink()
        elif checkpoints or path.name != CHECKPOINTS:
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # checkpoints are kept there
        folder.rmdir()


def remove_outputs(root: Path, names: Iterable[str]) -> None:
    """Remove files of a results folder, and the folders that are empty then."""
    for name in names:
        (root / name).unlink(missing_ok=True)
    folders = {parent for name in names for parent in Path(name).parents if parent.name}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        with suppress(OSError):  # others have files there
            (root / folder).rmdir()
