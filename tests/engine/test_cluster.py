"""Studies on workers that are started elsewhere, on loopback: the Slurm script, and workers that join and leave."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lib.config.paths import REPOSITORY

FIXTURES = REPOSITORY / "tests" / "fixtures"
DASK = [sys.executable, "-m", "dask"]
SRUN = """#!/bin/bash
# a stand-in for Slurm's: as many tasks as the job has, here, each with a GPU of its own
while [[ $1 == --* ]]; do shift; done
for ((task = 0; task < SLURM_NTASKS; task++)); do CUDA_VISIBLE_DEVICES=$task SLURM_PROCID=$task "$@" & done
wait
"""


def wait_for(condition, process: subprocess.Popen) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.1)


def end(processes: list[subprocess.Popen]) -> None:
    """A worker whose scheduler was killed may take SIGTERM and then wait for that scheduler: such a one is killed."""
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_shellcheck_finds_nothing_in_the_recipe_for_slurm():
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    found = subprocess.run(["shellcheck", "slurm.sh"], cwd=REPOSITORY, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.slow
def test_the_recipe_for_slurm_makes_a_study_with_one_worker_per_task_and_refuses_clients_without_its_key(
    command, tmp_path
):
    """The script as it is, in a repository of stand-in notebooks, with an `srun` that starts its tasks here."""
    here = tmp_path / "repository"
    (here / "results").mkdir(parents=True)
    (here / "run_all.py").symlink_to(FIXTURES / "run_fixture.py")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text(SRUN)
    (tmp_path / "bin" / "srun").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(Path(sys.executable).parent.parent),
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS": "2",
        "SKINCAS_INTERFACE": "lo",
        "FIXTURE_BREAK": "features-native-MobileNet once",
        "FIXTURE_HOW": "wait",
    }
    root = tmp_path / "r"
    job = subprocess.Popen(
        ["bash", str(REPOSITORY / "slurm.sh"), *command(root, "--step", "train")[2:]],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for((root / "waits").exists, job)
        folder = here / "results" / "slurm-7"
        address = json.loads((folder / "scheduler.json").read_text())["address"]
        with_key = {
            name: value.strip("'") for name, value in re.findall(r"export (\S+)=(.*)", read(folder / "tls.env"))
        }
        assert address.startswith("tls://127.0.0.1:") and folder.stat().st_mode & 0o077 == 0
        assert knock(address, with_key) and not knock(address.replace("tls", "tcp"), {})
        below = psutil.Process(job.pid).children(recursive=True)
        kernels = [p for p in below if "ipykernel_launcher" in command_of(p)]
        assert {p.environ()["CUDA_VISIBLE_DEVICES"] for p in kernels} <= {"0", "1"} and kernels
        psutil.Process(int(read(root / "waits"))).kill()  # it gets a second attempt
        printed, _ = job.communicate()
        assert job.returncode == 0, printed
        assert printed.splitlines()[-1].startswith("7 done in"), printed
        psutil.wait_procs(below, timeout=60)
        assert not [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        assert not list(folder.glob("*.pem"))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def knock(address: str, environment: dict[str, str]) -> bool:
    """Whether a client is let in."""
    code = f"from distributed import Client\nwith Client({address!r}, timeout=60) as c: print(len(c.nthreads()))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)
    return done.returncode == 0 and done.stdout == "2\n"


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; none where it has just ended, as what asks the machine for its hardware does."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def read(path: Path) -> str:
    return path.read_text()


def test_a_scheduler_that_is_killed_ends_the_study_in_a_sentence(command, tmp_path):
    address = tmp_path / "scheduler.json"
    here = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)]
    started = [subprocess.Popen([*DASK, "scheduler", *here], cwd=tmp_path, stderr=subprocess.DEVNULL)]
    try:
        wait_for(lambda: address.exists() and address.read_text().rstrip().endswith("}"), started[0])
        worker = ["worker", "--scheduler-file", str(address), "--nthreads", "1", "--no-dashboard"]
        environment = os.environ | {"FIXTURE_BREAK": "audit once", "FIXTURE_HOW": "wait"}
        started.append(subprocess.Popen([*DASK, *worker], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL))
        flags = ("--step", "train", "--scheduler", json.loads(address.read_text())["address"])
        output = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process = subprocess.Popen(command(tmp_path / "r", *flags), **output)
        wait_for((tmp_path / "r" / "waits").exists, process)
        started[0].kill()
        printed, errors = process.communicate()
        assert process.returncode == 1 and not errors, errors
        assert "audit failed: the scheduler has ended or cannot be reached" in printed
    finally:
        end(started)


@pytest.mark.slow
def test_a_study_waits_for_its_first_worker_uses_one_that_joins_and_repeats_the_run_of_one_that_leaves(
    command, tmp_path
):
    root, address = tmp_path / "r", tmp_path / "scheduler.json"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)]
    started = [subprocess.Popen([*DASK, *scheduler], cwd=tmp_path, stderr=subprocess.DEVNULL)]

    def join(**environment: str) -> subprocess.Popen:
        worker = ["worker", "--scheduler-file", str(address), "--nthreads", "1", "--no-dashboard"]
        started.append(
            subprocess.Popen([*DASK, *worker], cwd=tmp_path, env=os.environ | environment, stderr=subprocess.DEVNULL)
        )
        return started[-1]

    try:
        wait_for(lambda: address.exists() and address.read_text().rstrip().endswith("}"), started[0])
        where = json.loads(address.read_text())["address"]
        flags = ("--step", "train", "--scheduler", where)
        process = subprocess.Popen(command(root, *flags), stdout=subprocess.PIPE, text=True)
        started.append(process)
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout))
        reader.start()
        wait_for(lambda: any("waiting for one: dask worker" in line for line in lines), process)
        first = join(FIXTURE_BREAK="features-native-MobileNet once", FIXTURE_HOW="wait")
        wait_for((root / "waits").exists, process)
        assert (root / "stamps/audit.json").exists()
        join()  # while the first one waits in a notebook, this one does all that needs no features of MobileNet
        wait_for((root / "stamps/train-clean-native-nine_classes-MobileNetV2-seed0.json").exists, process)
        first.terminate()  # as a job does whose time is over
        first.wait()
        reader.join()
        assert process.wait() == 0, "".join(lines)
        assert lines[-1].startswith("7 done in"), "".join(lines)
        assert not any("FAILED" in line for line in lines)
        assert (
            sum("the cluster has no worker" in line for line in lines) == 1
        )  # before the first came, and then no more
    finally:
        end(started)
