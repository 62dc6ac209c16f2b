"""Who is let in: other users of this machine, other addresses, and settings that belong to other clusters."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import dask
import pytest

from lib.config.paths import REPOSITORY
from lib.engine import workers
from lib.engine.workers import Options
from tests.engine.helpers import wait_for

# as slurm.sh exports them, and what else would lead a local study astray
ELSEWHERE = {
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": "/nowhere/cert.pem",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": "/nowhere/cert.pem",
    "DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY": "/nowhere/key.pem",
    "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['nowhere']",
    "DASK_TEMPORARY_DIRECTORY": "/nowhere",
}
OTHER_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
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
                inside.append(address)
                break
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


def _other_user_can_try() -> bool:
    imports = [*OTHER_USER, sys.executable, "-c", "import distributed.comm"]
    return os.getuid() == 0 and bool(shutil.which("setpriv")) and not subprocess.run(imports, cwd="/").returncode


def _places(client) -> tuple[list[str], list[str]]:
    """Addresses of a scheduler, of one of its workers and of what watches it; the folders of that worker."""
    (worker, facts), *_ = client.scheduler_info()["workers"].items()
    folder = Path(facts["local_directory"])
    return [client.scheduler.address, worker, facts["nanny"]], [str(folder), str(folder.parents[1])]


def _stranger(client, *prefix: str) -> list:
    """Who a stranger is, the addresses that let it in, and the folders that it can read."""
    command = [*prefix, sys.executable, "-c", STRANGER, json.dumps(_places(client))]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env={"HOME": "/nowhere"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_stranger_is_let_in_where_a_cluster_is_open(tmp_path):
    """Else what follows would hold for a wrong reason."""
    from distributed import Client, LocalCluster

    open_to_all = dict(host="127.0.0.1", n_workers=1, dashboard_address=None, local_directory=str(tmp_path))
    with LocalCluster(**open_to_all) as cluster, Client(cluster, set_as_default=False) as client:
        addresses, folders = _places(client)
        assert _stranger(client) == [os.getuid(), addresses, folders]
        if _other_user_can_try():
            assert _stranger(client, *OTHER_USER)[:2] == [65534, addresses]


def test_without_the_certificate_of_the_run_nobody_reaches_scheduler_or_worker_from_no_address(local):
    assert local.client.submit(sum, [1, 2]).result() == 3
    assert _stranger(local.client)[:2] == [os.getuid(), []]
    for address in _places(local.client)[0]:
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=60)
        socket.create_connection(("127.0.0.1", port), timeout=60).close()


def test_another_user_of_this_machine_reaches_nothing_and_cannot_read_the_folders_of_the_workers(local):
    folder = Path(_places(local.client)[1][1])
    assert folder.stat().st_mode & 0o777 == 0o700 and folder.name.startswith("skincas-")
    if not _other_user_can_try():
        pytest.skip("needs root, setpriv and a Python whose packages others may read")
    assert _stranger(local.client, *OTHER_USER) == [65534, [], []]


def test_a_suspended_machine_loses_no_worker(local):
    """The scheduler does not look for workers that were silent for long, which all are after a suspension."""
    assert "worker-ttl" not in local.local.scheduler.periodic_callbacks


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_the_private_folder_ends_with_its_process_and_has_room_for_sockets(tmp_path, end):
    long = tmp_path / ("long" * 30)
    long.mkdir()
    code = f"import os, signal\nfrom lib.engine.leash import Leash\nprint(Leash().folder, flush=True)\n{end}"
    for temporary in (long, Path("/tmp")):
        options = dict(cwd=REPOSITORY, env=os.environ | {"TMPDIR": str(temporary)}, stdout=subprocess.PIPE, text=True)
        folder = Path(subprocess.run([sys.executable, "-c", code], **options).stdout.strip())
        assert folder.parent == Path("/tmp") and folder.name.startswith("skincas-")
        wait_for(lambda folder=folder: not folder.exists())


@pytest.fixture
def other():
    """The port of something else than a scheduler, which says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_port_without_a_scheduler_is_refused_in_a_sentence(other, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    for address in (other, f"tcp://{other}", f"tls://{other}", "127.0.0.1:1", "no address", "ftp://a:1"):
        refused = pytest.raises(workers.ClusterError, match="no Dask scheduler answers at")
        with refused, workers.cluster(Options(scheduler=address)):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_the_wait_for_a_scheduler(command, tmp_path, other, number):
    flags = ("--step", "audit", "--scheduler", other)
    with (tmp_path / "printed").open("w") as log:
        process = subprocess.Popen(command(tmp_path / "r", *flags), stdout=log, stderr=log)
    wait_for(lambda: "starting the workers" in (tmp_path / "printed").read_text(), process)
    process.send_signal(number)
    assert process.wait() == 130
    assert "Traceback" not in (tmp_path / "printed").read_text()


def test_an_address_without_encryption_is_named_unless_it_is_of_this_machine():
    for address in ("tcp://10.0.0.5:8786", "10.0.0.5:8786", "tcp://[fd00::1]:8786"):
        assert workers.exposed(address).startswith(f"{address} is not encrypted")
    for address in ("tls://10.0.0.5:8786", "127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786"):
        assert workers.exposed(address) == ""
