"""SIGKILL at random moments, then the same command again: nothing is lost or done twice, and no process stays."""

import hashlib
import json
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from lib.config.paths import StudyPaths

ROUNDS = 20


def start(command, root: Path) -> psutil.Popen:
    log = (root.parent / f"{root.name}.out").open("ab")
    return psutil.Popen(command(root, "--jobs", "2"), stdout=log, stderr=log)


def descendants(process: psutil.Process, what: str) -> list[psutil.Process]:
    """Living processes below one whose command line holds `what`."""
    found = []
    try:
        for child in process.children(recursive=True):
            try:
                if what in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return found


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


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
    for folder in ("audit", "prepared", "features", "runs", "evaluation", "gradcam", "kmeans", "tables", "report"):
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
    reference = tmp_path / "reference"
    assert start(command, reference).wait() == 0
    expected = outputs(reference)
    assert len(finished(reference)) == 12 and len(expected) > 25

    chance = random.Random(20260101)
    study, rounds, killed = 0, 0, {"run_all": 0, "worker": 0, "kernel": 0}
    seen: set[psutil.Process] = set()
    while True:
        root = tmp_path / f"study{study}"
        process, known = start(command, root), {}
        while True:
            if process.poll() is None and rounds < ROUNDS:
                kernels = _some_moment_later(process, chance)
                seen.update(kernels)
                rounds += _kill_one(process, kernels, chance, killed)
            elif process.poll() is None:
                process.wait()
            if process.poll() is not None:
                assert process.returncode in (0, 1, -signal.SIGKILL), (tmp_path / f"{root.name}.out").read_text()
                _wait_for_the_end_of(seen)
                now = finished(root)
                for name, (written, read) in known.items():
                    # a run whose kernel was killed twice has failed: tables of the others are made, and made again
                    # of more files once it has ended well; a kill may fall between the old stamp and the new
                    if name.startswith(("evaluate", "report")):
                        assert now.get(name, (written,))[0] == written or now[name][1] != read, f"{name} was done twice"
                    else:
                        assert now.get(name, (0,))[0] == written, f"{name} had finished and was lost or done twice"
                known = now
                if process.returncode == 0:
                    break
                process = start(command, root)
        assert outputs(root) == expected
        if rounds >= ROUNDS:
            break
        study += 1
    assert all(killed.values()), killed


def _some_moment_later(process: psutil.Process, chance: random.Random) -> list[psutil.Process]:
    """Let the study get going, then wait up to two seconds; the kernels seen on the way."""
    while process.poll() is None and not descendants(process, "ipykernel_launcher"):
        time.sleep(0.05)
    seen = descendants(process, "ipykernel_launcher")
    time.sleep(chance.uniform(0, 2))
    return seen + descendants(process, "ipykernel_launcher")


def _kill_one(process, kernels: list[psutil.Process], chance: random.Random, killed: dict[str, int]) -> int:
    kind = chance.choice(["run_all", "worker", "kernel"])
    targets = {
        "run_all": [process],
        "worker": descendants(process, "spawn_main"),
        "kernel": [kernel for kernel in kernels if alive(kernel)],
    }[kind]
    targets = [target for target in targets if alive(target)]
    if not targets:
        return 0
    try:
        chance.choice(targets).kill()
    except psutil.NoSuchProcess:
        return 0
    killed[kind] += 1
    if kind == "run_all":
        process.wait()
    return 1


def _wait_for_the_end_of(kernels: set[psutil.Process]) -> None:
    """Kernels may take a moment to go; a kernel that stays keeps this waiting until it is given up."""
    end = time.monotonic() + 300
    while left := [kernel for kernel in kernels if alive(kernel)]:
        assert time.monotonic() < end, f"kernels that outlived their run: {left}"
        time.sleep(0.1)


def test_nothing_of_a_study_lives_on_after_run_all_is_killed(command, tmp_path):
    """Neither workers nor kernels nor the processes that watch them."""
    process = start(command, tmp_path / "r")
    while process.poll() is None and not descendants(process, "ipykernel_launcher"):
        time.sleep(0.05)
    below = set(process.children(recursive=True))
    assert len(below) >= 3
    process.kill()
    process.wait()
    _wait_for_the_end_of(below)
