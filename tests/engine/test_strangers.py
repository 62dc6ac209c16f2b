"""Who is let in: other users of this machine, other addresses, and settings that belong to other clusters."""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import pytest

from lib.config.paths import REPOSITORY
from lib.engine import workers
from lib.engine.workers import Options

# as slurm.sh exports them, and what else would lead a local study astray
ELSEWHERE = {
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": "/nowhere/cert.pem",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": "/nowhere/cert.pem",
    "DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY": "/nowhere/key.pem",
    "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['nowhere']",
    "DASK_TEMPORARY_DIRECTORY": "/nowhere",
}
# a client of Dask without a certificate, one with a certificate of its own, and one who lists the folders
STRANGER = """
import asyncio, json, os, sys
from distributed.comm import connect
from distributed.security import Security
addresses, folders = json.loads(sys.argv[1])
async def knock():
    inside = []
    for address in addresses:
        own = Security.temporary().get_connection_args("client")
        for url, secured in ((address.replace("tls", "tcp"), {}), (address, own)):
            try:
                await connect(url, timeout=5, **secured)
                inside.append(url)
            except (OSError, ValueError):
                pass
    return inside
print(json.dumps([os.getuid(), asyncio.run(knock()), [f for f in folders if os.access(f, os.R_OK | os.X_OK)]]))
"""


@pytest.fixture
def local(monkeypatch):
    """A cluster of this machine, started amid settings for another."""
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    dask.config.refresh()
    try:
        with workers.cluster(Options(jobs=1)) as pool:
            pool.client.wait_for_workers(1)
            yield pool
    finally:
        monkeypatch.undo()
        dask.config.refresh()


def _stranger(pool, *prefix: str) -> subprocess.CompletedProcess:
    (worker, facts), *_ = pool.client.scheduler_info()["workers"].items()
    addresses = [pool.client.scheduler.address, worker, facts["nanny"]]
    where = json.dumps([addresses, [facts["local_directory"], str(Path(facts["local_directory"]).parents[1])]])
    command = [*prefix, sys.executable, "-c", STRANGER, where]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env={"HOME": "/nowhere"})


def test_a_client_without_the_certificate_of_the_run_reaches_neither_scheduler_nor_worker(local):
    assert local.client.submit(sum, [1, 2]).result() == 3
    done = _stranger(local)
    assert json.loads(done.stdout)[:2] == [os.getuid(), []], done.stderr


def test_another_user_of_this_machine_reaches_nothing_and_cannot_read_the_folders_of_the_workers(local):
    other = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if os.getuid() or not shutil.which("setpriv") or subprocess.run([*other, sys.executable, "-c", ""]).returncode:
        pytest.skip("needs root, setpriv and a Python that others may execute")
    done = _stranger(local, *other)
    assert json.loads(done.stdout) == [65534, [], []], done.stderr
    folder = Path(next(iter(local.client.scheduler_info()["workers"].values()))["local_directory"]).parents[1]
    assert folder.stat().st_mode & 0o777 == 0o700 and folder.name.startswith("skincas-")


def test_another_address_of_this_machine_is_refused(local):
    (worker, facts), *_ = local.client.scheduler_info()["workers"].items()
    for address in (local.client.scheduler.address, worker, facts["nanny"]):
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_suspended_machine_loses_no_worker(local):
    """The scheduler does not look for workers that were silent for long, which all are after a suspension."""
    assert "worker-ttl" not in local.local.scheduler.periodic_callbacks


def test_the_private_folder_ends_with_its_process_and_has_room_for_sockets(tmp_path):
    long = tmp_path / ("long" * 30)
    long.mkdir()
    code = "import os, signal\nfrom lib.engine.leash import Leash\nprint(Leash().folder, flush=True)\n{}"
    for end in ("os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"):
        for temporary in (long, Path("/tmp")):
            environment = os.environ | {"TMPDIR": str(temporary)}
            done = subprocess.run(
                [sys.executable, "-c", code.format(end)],
                cwd=REPOSITORY,
                env=environment,
                capture_output=True,
                text=True,
            )
            folder = Path(done.stdout.strip())
            assert folder.parent == Path("/tmp") and folder.name.startswith("skincas-")
            while folder.exists():
                time.sleep(0.01)


@pytest.fixture
def web():
    """Something else than a scheduler: a web server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_port_without_a_scheduler_is_refused_in_a_sentence(web, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    for address in (web, f"tcp://{web}", f"tls://{web}", "127.0.0.1:1", "nowhere.invalid:1", "no address", "ftp://a:1"):
        refused = pytest.raises(workers.ClusterError, match="no Dask scheduler answers at")
        with refused, workers.cluster(Options(scheduler=address)):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_the_wait_for_a_scheduler(command, tmp_path, web, number):
    flags = ("--step", "audit", "--scheduler", web)
    process = subprocess.Popen(
        command(tmp_path / "r", *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while "starting the workers" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    assert process.wait() == 130
    assert "Traceback" not in process.stderr.read()


def test_an_address_without_encryption_is_named_unless_it_is_of_this_machine():
    for address in ("tcp://10.0.0.5:8786", "10.0.0.5:8786", "tcp://[fd00::1]:8786"):
        assert workers.exposed(address).startswith(f"{address} is not encrypted")
    for address in ("tls://10.0.0.5:8786", "127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786"):
        assert workers.exposed(address) == ""
