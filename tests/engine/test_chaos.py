"""SIGKILL at random moments, then the same command again: nothing is lost or done twice, and no process stays."""

import hashlib
import json
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lib.config.paths import StudyPaths
from tests.engine.helpers import alive, wait_for


def start(command, root: Path) -> psutil.Popen:
    log = (root.parent / f"{root.name}.out").open("ab")
    return psutil.Popen(command(root, "--jobs", "2"), stdout=log, stderr=log)


def descendants(process: psutil.Process, what: str) -> set[psutil.Process]:
    """Living processes below one whose command line holds `what`."""
    found = set()
    with suppress(psutil.Error):
        for child in process.children(recursive=True):
            with suppress(psutil.Error):
                found |= {child} if what in " ".join(child.cmdline()) else set()
    return found


def finished(root: Path) -> dict[str, tuple[int, dict]]:
    """Every run with a stamp: when that was written and the digests of what was read, after checking that what it
    vouches for is there as a whole."""
    stamps = {}
    for path in sorted((root / "stamps").glob("[!.]*.json")):
        try:
            written = path.stat().st_mtime_ns
            stamp = json.loads(path.read_text())
            for name, (size, _, digest) in stamp["outputs"].items():
                content = (root / name).read_bytes()
                assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), f"{name} is not whole"
        except FileNotFoundError:
            assert not path.exists(), f"{path.stem} has a stamp but not all it wrote"
            continue
        stamps[path.stem] = written, stamp["inputs"]
    return stamps


def outputs(root: Path) -> dict[str, str]:
    """Digest of every output; of run.json without what a clock, a path or a machine's load decides.

    Executed notebooks and their pages are not compared: they show the folder in which they were executed.
    """
    pages = StudyPaths(root).notebook_page("any").parent
    found = {}
    for folder in ("audit", "prepared", "features", "runs", "outcomes", "gradcam", "kmeans", "tables", "report"):
        assert (root / folder).is_dir(), folder
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.parent != pages:
                content = path.read_bytes()
                if path.name == "run.json":
                    record = json.loads(content)
                    for key in ("seconds", "peak_memory_bytes", "command", "git"):
                        del record["provenance"][key]
                    content = json.dumps(record).encode()
                found[path.relative_to(root).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.slow
def test_killed_at_random_twenty_times_a_study_ends_as_if_undisturbed(command, tmp_path):
    killed = kill_at_random(command, tmp_path, rounds=20, seed=20260101)
    assert all(killed.values()), killed


def kill_at_random(command, folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill what a study has started, again and again, and check that each study ends as an undisturbed one; how often
    run_all, a worker and a kernel were killed."""
    assert start(command, folder / "reference").wait() == 0
    expected = outputs(folder / "reference")
    assert len(finished(folder / "reference")) == 12 and len(expected) > 25
    chance, killed, seen, study = random.Random(seed), dict.fromkeys(("run_all", "worker", "kernel"), 0), set(), 0
    while sum(killed.values()) < rounds:
        root, known, ended = folder / f"study{study}", {}, None
        while ended != 0:
            process = start(command, root)
            while process.poll() is None and sum(killed.values()) < rounds:
                kernels = _some_moment_later(process, chance)
                seen.update(kernels)
                _kill_one(process, kernels, chance, killed)
            ended = process.wait()
            assert ended in (0, 1, -signal.SIGKILL), (folder / f"{root.name}.out").read_text()
            wait_for(lambda: not any(map(alive, seen)))  # a kernel may take a moment to go
            now = finished(root)
            for name, (written, read) in known.items():
                # a run whose kernel was killed twice has failed: tables of the others are made, and made again of more
                # files once it has ended well; a kill may fall between the old stamp and the new
                if name.startswith(("evaluate", "report")):
                    assert now.get(name, (written,))[0] == written or now[name][1] != read, f"{name} was done twice"
                else:
                    assert now.get(name, (0,))[0] == written, f"{name} had finished and was lost or done twice"
            known = now
        assert outputs(root) == expected
        study += 1
    return killed


def _some_moment_later(process: psutil.Process, chance: random.Random) -> set[psutil.Process]:
    """Let the study get going, then wait up to two seconds; the kernels seen on the way."""
    wait_for(lambda: process.poll() is not None or descendants(process, "ipykernel_launcher"))
    seen = descendants(process, "ipykernel_launcher")
    time.sleep(chance.uniform(0, 2))
    return seen | descendants(process, "ipykernel_launcher")


def _kill_one(process, kernels: set[psutil.Process], chance: random.Random, killed: dict[str, int]) -> None:
    kind = chance.choice(["run_all", "worker", "kernel"])
    targets = {"run_all": {process}, "worker": descendants(process, "spawn_main"), "kernel": kernels}[kind]
    if targets := sorted(filter(alive, targets), key=lambda target: target.pid):
        with suppress(psutil.NoSuchProcess):
            chance.choice(targets).kill()
            killed[kind] += 1
        if kind == "run_all":
            process.wait()


def test_nothing_of_a_study_lives_on_after_run_all_is_killed(command, tmp_path):
    """Neither workers nor kernels nor the processes that watch them."""
    process = start(command, tmp_path / "r")
    wait_for(lambda: descendants(process, "ipykernel_launcher"), process)
    below = set(process.children(recursive=True))
    assert len(below) >= 3
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, below)))
