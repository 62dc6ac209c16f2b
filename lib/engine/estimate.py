"""How long a study will take and how much disk it needs, before anything is started.

A run that was made before with the same parameters is expected to take as long again, another what its step's cost says
by measured rates: those that tests/benchmarks/gpu.py measured on this machine (results/rates.json), else those of
results/reference/rates.json, whose machine is named with every estimate.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lib.config import costs
from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import RATES, REFERENCE_RATES, StudyPaths
from lib.engine.freshness import recorded_parameters
from lib.engine.planning import Run

NOTEBOOK_BYTES = 4e5  # an executed notebook and its page, with figures


@dataclass(frozen=True)
class Estimate:
    """What a study takes.

    Attributes:
        of_run: seconds of each run by its id; `of_step` their sums by step. How long they take side by side:
            lib.engine.forecast.
        disk: bytes of all results.
        machine: where the rates were measured.
        gpu: whether that machine had one.
        assumed: backbones that have not been measured, with the one whose rates stand in.
        shares: of each run, what a line that it prints says of how far it has come (`lib.config.steps.Step.share`).
    """

    of_run: dict[str, float]
    of_step: dict[str, float]
    disk: float
    machine: str
    gpu: bool
    assumed: dict[str, str]
    shares: dict[str, Callable[[str], costs.Reached | None]] = field(compare=False)

    @property
    def seconds(self) -> float:
        """Of all notebooks, one after the other."""
        return sum(self.of_run.values())


def rates() -> dict[str, Any]:
    """The measured rates: this machine's where there are any, else the reference's; empty where there are none."""
    return read_json(RATES) or read_json(REFERENCE_RATES) or {}


def estimate(
    runs: Iterable[Run],
    study: Study,
    files: int,
    measured: dict[str, Any],
    paths: StudyPaths | None = None,
) -> Estimate:
    """Estimate what `runs` take.

    Args:
        files: images of the data set.
        measured: what `rates` gives.
        paths: a results folder, in which runs may have been made before.
    """
    of_run: dict[str, float] = {}
    of_step: dict[str, float] = {}
    disk, assumed, shares = 0.0, {}, {}
    networks = measured["backbones"]
    slowest = max(networks, key=lambda name: networks[name]["multiply_adds"])
    for run in runs:
        backbone = run.axes.get("backbone")
        if backbone and backbone not in networks:
            assumed[backbone] = slowest
        network = networks[assumed.get(backbone, backbone)] if backbone else {}
        work = costs.Work(study, run.axes, files, measured, network)
        seconds, size = run.declared.cost(work)
        shares[run.id] = partial(run.declared.share, work)
        stamp = read_json(paths.stamp(run.id)) if paths else None
        again = stamp and stamp.get("parameters") == recorded_parameters(run)
        of_run[run.id] = seconds = stamp["seconds"] if again else measured["start"] + seconds
        of_step[run.step] = of_step.get(run.step, 0.0) + seconds
        disk += NOTEBOOK_BYTES + size
    return Estimate(of_run, of_step, disk, measured["machine"], measured["gpu"], assumed, shares)
