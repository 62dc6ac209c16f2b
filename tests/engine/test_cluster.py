"""Studies on workers that are started elsewhere, on loopback: the Slurm script, and workers that join and leave."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lib.config.paths import REPOSITORY
from tests.engine.helpers import FIXTURES, alive, wait_for

SRUN = """#!/bin/bash
# a stand-in for Slurm's: as many tasks as the job has, here, each with a GPU of its own
while [[ $1 == --* ]]; do shift; done
for ((task = 0; task < SLURM_NTASKS; task++)); do CUDA_VISIBLE_DEVICES=$task SLURM_PROCID=$task "$@" & done
wait
"""


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
    script = ["bash", str(REPOSITORY / "slurm.sh"), *command(root, "--step", "train")[2:]]
    options = dict(cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    job = subprocess.Popen(script, **options, start_new_session=True)
    try:
        wait_for((root / "waits").exists, job)
        folder = here / "results" / "slurm-7"
        address = json.loads((folder / "scheduler.json").read_text())["address"]
        exports = re.findall(r"export (\S+)=(.*)", (folder / "tls.env").read_text())
        assert address.startswith("tls://127.0.0.1:") and folder.stat().st_mode & 0o077 == 0
        assert knock(address, {name: value.strip("'") for name, value in exports})
        assert not knock(address.replace("tls", "tcp"), {})
        below = psutil.Process(job.pid).children(recursive=True)
        kernels = [p for p in below if "ipykernel_launcher" in command_of(p)]
        assert {p.environ()["CUDA_VISIBLE_DEVICES"] for p in kernels} <= {"0", "1"} and kernels
        psutil.Process(int((root / "waits").read_text())).kill()  # it gets a second attempt
        printed, _ = job.communicate()
        assert job.returncode == 0, printed
        assert printed.splitlines()[-1].startswith("7 done in"), printed
        wait_for(lambda: not any(map(alive, below)))
        assert not list(folder.glob("*.pem"))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


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


@pytest.fixture
def dask(tmp_path):
    """Starts a process of Dask, `scheduler` or `worker`; each is killed with all that it started."""
    address, started = tmp_path / "scheduler.json", []

    def start(role: str, *flags: str, **environment: str) -> subprocess.Popen:
        program = [sys.executable, "-m", "dask", role, "--scheduler-file", str(address), "--no-dashboard", *flags]
        options = dict(cwd=tmp_path, env=os.environ | environment, stderr=subprocess.DEVNULL, start_new_session=True)
        started.append(subprocess.Popen(program, **options))
        return started[-1]

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
    wait_for(lambda: address.exists() and address.read_text().rstrip().endswith("}"), scheduler)
    yield scheduler, json.loads(address.read_text())["address"], start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_scheduler_that_is_killed_ends_the_study_in_a_sentence(command, tmp_path, dask):
    scheduler, address, start = dask
    start("worker", "--nthreads", "1", FIXTURE_BREAK="audit once", FIXTURE_HOW="wait")
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen(command(tmp_path / "r", "--step", "train", "--scheduler", address), **output)
    wait_for((tmp_path / "r" / "waits").exists, process)
    scheduler.kill()
    printed, errors = process.communicate()
    assert process.returncode == 1 and not errors, errors
    assert "audit failed: the scheduler has ended or cannot be reached" in printed


@pytest.mark.slow
def test_a_study_waits_for_its_first_worker_uses_one_that_joins_and_repeats_the_run_of_one_that_leaves(
    command, tmp_path, dask
):
    root, printed, (_, address, start) = tmp_path / "r", tmp_path / "printed", dask
    with printed.open("w") as log:
        process = subprocess.Popen(command(root, "--step", "train", "--scheduler", address), stdout=log)
    wait_for(lambda: "waiting for one: dask worker" in printed.read_text(), process)
    first = start("worker", "--nthreads", "1", FIXTURE_BREAK="features-native-MobileNet once", FIXTURE_HOW="wait")
    wait_for((root / "waits").exists, process)
    assert (root / "stamps/audit.json").exists()
    start("worker", "--nthreads", "1")  # while the first one waits in a notebook, this does what is independent of it
    wait_for((root / "stamps/train-clean-native-nine_classes-MobileNetV2-seed0.json").exists, process)
    first.terminate()  # as a job does whose time is over
    first.wait()
    assert process.wait() == 0, printed.read_text()
    lines = printed.read_text().splitlines()
    assert lines[-1].startswith("7 done in") and not any("failed" in line for line in lines), lines
    assert sum("the cluster has no worker" in line for line in lines) == 1  # before the first came, and then no more
