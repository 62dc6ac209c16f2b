"""Where runs are carried out: Dask workers of this machine or of an existing cluster, their GPUs and their threads."""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from lib.engine.leash import Leash
from lib.engine.provenance import gpus

LOOPBACK = "127.0.0.1"
PATIENCE = 20  # seconds for a scheduler to answer


class ClusterError(RuntimeError):
    """There are no workers; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """How a study is run: see `run_all.py --help`."""

    jobs: int = 0
    per_gpu: int = 1
    scheduler: str = ""
    force: frozenset[str] = frozenset()  # steps, or "all"
    fail_fast: bool = False
    dashboard: bool = False
    silence: int = 0  # minutes without output and processor time after which a notebook is named


@dataclass(frozen=True)
class Pool:
    """Workers to send runs to: a Dask client, and this machine's own cluster unless a scheduler was given."""

    client: Any
    local: Any = None

    def replace_lost_workers(self) -> str:
        """Replace local workers that died while they started. Returns what to announce, "" for nothing."""
        if not self.local:
            # not `scheduler_info`, which may be a moment old
            start = f"dask worker {self.client.scheduler.address} --nthreads 1"
            with suppress(OSError):  # the scheduler has gone, and each run says so
                return "" if self.client.nthreads() else f"the cluster has no worker; waiting for one: {start}"
            return ""
        for name, nanny in list(self.local.workers.items()):
            if nanny.status.name in ("closed", "failed"):
                del self.local.workers[name]
                self.local.scale(len(self.local.worker_spec))
        return ""


@contextmanager
def cluster(options: Options) -> Iterator[Pool]:
    """Dask workers: those of the given scheduler, or some on this machine that end with the context. A ClusterError
    where no scheduler answers."""
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster
    from distributed.security import Security

    if options.scheduler:
        with _connect(options.scheduler) as client:
            yield Pool(client)
        return
    settings = {
        "distributed.scheduler.allowed-failures": 3,
        # Dask gives up a worker that is not back in time, on a busy machine for good; Pool replaces it
        "distributed.deploy.lost-worker-timeout": "1 day",
        "distributed.scheduler.worker-ttl": None,  # a machine that was suspended has lost no worker
        "distributed.worker.http.routes": [],
    } | ({} if options.dashboard else {"distributed.scheduler.http.routes": []})
    # who can send a worker a task can run code as this user: only who has the certificate of this run, on this machine
    security = Security.temporary()
    own = {"host": LOOPBACK, "protocol": "tls://", "security": security}
    dashboard = {"dashboard": options.dashboard, "dashboard_address": f"{LOOPBACK}:{8787 * options.dashboard}"}
    scheduler = {"cls": Scheduler, "options": own | {"port": 0} | dashboard}
    with (
        dask.config.set(dask.config.merge(*dask.config.defaults)),  # not the environment's, which are of other clusters
        dask.config.set(settings),
        closing(Leash()) as leash,
    ):
        common = own | {"nthreads": 1, "memory_limit": 0, "silence_logs": 50, "local_directory": str(leash.folder)}
        workers = {i: {"cls": Nanny, "options": common | worker} for i, worker in enumerate(local_workers(options))}
        with (
            SpecCluster(workers, scheduler=scheduler, security=security, silence_logs=50, name="skincas") as local,
            Client(local, set_as_default=False) as client,
        ):
            yield Pool(client, local)


def _connect(address: str) -> Any:
    """A client of the scheduler at an address; a ClusterError where none answers in time."""
    from distributed import Client
    from distributed.comm import connect
    from distributed.security import Security

    async def knock() -> None:
        """As Dask does, which waits for ever where something else listens."""
        secured = Security().get_connection_args("client")
        await (await asyncio.wait_for(connect(address, timeout=PATIENCE, **secured), PATIENCE)).close()

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it logs tracebacks
    try:
        asyncio.run(knock())
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # of a connection, or of something else that answers
        reason = str(error) or f"nothing that it understands in {PATIENCE} s"
        raise ClusterError(
            f"no Dask scheduler answers at {address!r} ({reason}); give the address that `dask scheduler` prints"
        ) from error


def exposed(address: str) -> str:
    """What to say of a scheduler that others can listen to; "" where its address is encrypted or of this machine."""
    from distributed.comm import resolve_address

    where = urlsplit(resolve_address(address))
    if where.scheme not in ("tcp", "ws") or ip_address(where.hostname).is_loopback:
        return ""
    return (
        f"{address} is not encrypted: who is on its network can read all and run code on its workers; slurm.sh has tls"
    )


def local_workers(options: Options) -> list[dict[str, Any]]:
    """Options of each worker of this machine: what it may run, and its own GPU. Heavy work has the GPUs, if any."""
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"  # run_all alone answers Ctrl-C

    def worker(device: str | None, *kinds: str) -> dict[str, Any]:
        env = {"TF_CPP_MIN_LOG_LEVEL": "3"} | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device})
        return {"preload": [ignore], "env": env, "resources": dict.fromkeys(kinds, 1)}

    devices = visible_gpus()
    if not devices:
        return [worker(None, "heavy", "light") for _ in range(heavy_jobs(options))]
    heavy = [worker(devices[i % len(devices)], "heavy") for i in range(heavy_jobs(options))]
    return heavy + [worker("-1", "light") for _ in range(min(2, default_jobs()))]


def heavy_jobs(options: Options) -> int:
    """How many notebooks that train run at once on this machine."""
    return options.jobs or len(visible_gpus()) * options.per_gpu or default_jobs()


def at_once(options: Options) -> int:
    """How many of them to expect for an estimate; of a cluster one, since its workers are not known before."""
    return 1 if options.scheduler else min(heavy_jobs(options), cores())


def visible_gpus() -> list[str]:
    """Numbers or names of the GPUs that this process may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name.strip() not in ("", "-1")] if gpus() else []
    return [str(i) for i in range(len(gpus()))]


def default_jobs() -> int:
    """Notebooks at once without GPUs: one per core, as long as each has 4 GiB."""
    from distributed.system import MEMORY_LIMIT

    return max(1, min(cores(), MEMORY_LIMIT // (4 * 2**30)))


def kernel_threads(options: Options, heavy: bool) -> int:
    """Threads of a run's kernel; 0: as many as its worker has for each, whatever `jobs` is.

    TensorFlow splits sums by threads, so that another number of them changes last digits.
    """
    return max(1, cores() // heavy_jobs(options)) if heavy and visible_gpus() and not options.scheduler else 0


def kernel_environment(threads: int, deciding: dict[str, str | None]) -> dict[str, str | None]:
    """Variables of a kernel: those of `deciding_environment`, and threads, so that notebooks do not compete for cores
    (0: by cores). What is None is taken away."""
    threads = threads or max(1, cores() // default_jobs())
    blas = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    others = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC", "OPENCV_FOR_THREADS_NUM")  # NPROC: JAX
    fixed = deciding | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
    return dict.fromkeys(blas + others, str(threads)) | fixed


def cores() -> int:
    from dask.system import CPU_COUNT

    return CPU_COUNT
