"""How long a study will take and how much disk it needs, from measured rates, before anything is started.

The rates are those that tests/benchmarks/gpu.py measured on this machine (results/rates.json), else those of
results/reference/rates.json, whose machine is named with every estimate.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lib.config import RATES, REFERENCE_RATES, Study, StudyPaths, read_json, scenarios
from lib.engine.planning import Run

FLOAT = 4  # bytes
NOTEBOOK_BYTES = 4e5  # an executed notebook and its page, with figures
MASK_BYTES = 4e3  # the mask of an image as PNG
OVERLAY_BYTES = 1e5  # a Grad-CAM overlay
FIXED_SECONDS = {"evaluate": 3.0, "report": 30.0}  # beside the start of the kernel

# Largest dense throughput of 16-bit matrix products with 32-bit sums, floating-point operations a second, from the
# makers' data sheets.
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "L40S": 362e12,
    "L4": 121e12,
    "T4": 65e12,
    "V100": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


@dataclass(frozen=True)
class Estimate:
    """What a study takes at most (early stopping makes it less).

    Attributes:
        seconds: of all notebooks, one after the other; `of_step` the same by step.
        wall: with `jobs` notebooks at once. Rates of a machine without a GPU are those of all its cores, which
            notebooks side by side share: there only runs that were made before, side by side, count less.
        disk: bytes of all results.
        machine: where the rates were measured.
        gpu: whether that machine had one.
        assumed: backbones that have not been measured, with the one whose rates stand in.
    """

    seconds: float
    wall: float
    of_step: dict[str, float]
    disk: float
    machine: str
    gpu: bool
    assumed: dict[str, str]


def rates() -> dict[str, Any]:
    """The measured rates: this machine's where there are any, else the reference's."""
    return read_json(RATES) or read_json(REFERENCE_RATES) or {}


def estimate(
    runs: Iterable[Run],
    study: Study,
    files: int,
    measured: dict[str, Any],
    paths: StudyPaths | None = None,
    jobs: int = 1,
) -> Estimate:
    """Estimate what `runs` take.

    Args:
        files: images of the data set.
        measured: what `rates` gives.
        paths: a results folder: a run that was made there before is expected to take as long again.
    """
    of_step: dict[str, float] = {}
    disk, wall, assumed = 0.0, 0.0, {}
    for run in runs:
        settings = study.settings(run.axes)
        name = run.axes.get("backbone", "")
        network = measured["backbones"].get(name)
        if name and network is None:
            stand_in = max(measured["backbones"], key=lambda other: measured["backbones"][other]["multiply_adds"])
            assumed[name], network = stand_in, measured["backbones"][stand_in]
        stamp = read_json(paths.stamp(run.id)) if paths else None
        seconds = stamp["seconds"] if stamp else _seconds(run, study, settings, files, measured, network)
        of_step[run.step] = of_step.get(run.step, 0.0) + seconds
        wall += seconds / jobs if stamp or measured["gpu"] else seconds
        disk += NOTEBOOK_BYTES + _disk(run, study, settings, files, network)
    return Estimate(sum(of_step.values()), wall, of_step, disk, measured["machine"], measured["gpu"], assumed)


def images_of(study: Study, protocol: str, files: int) -> int:
    """Rows of a protocol's images.npy at most: a view that is in both pools stands in one row and is counted twice."""
    pools = sum(study.pool_sizes.values()) + 2 * study.pool_size_benign_malignant
    return pools if protocol == "published" else round(0.8 * pools + 0.2 * files)


def parts_of(study: Study, protocol: str, scenario: str, files: int) -> tuple[float, float, float]:
    """Images of a scenario in training, validation and test: tenths of its pools, or of its files where held out."""
    share = 1.0
    pool = 2 * study.pool_size_benign_malignant
    if scenarios()[scenario].pool == "nine_classes":
        pool = sum(study.pool_sizes[name] for name in scenarios()[scenario].label_of())
        share = pool / sum(study.pool_sizes.values())
    held_out = 0.1 * (pool if protocol == "published" else files * share)
    return 0.8 * pool, held_out, held_out


def multiply_adds(network: Any) -> int:
    """Multiply-adds of one image through a Keras network: those of its convolutions and dense layers."""
    total = 0
    for layer in network.layers:
        if getattr(layer, "layers", None):
            total += multiply_adds(layer)
        elif getattr(layer, "kernel", None) is not None:
            # a kernel's values, each used once at every place of the output
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
    return total


def peak_of(device: str) -> float | None:
    """The device's largest throughput by its name, operations a second; None where it is not known."""
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b{name}\b", device)), None)


def _seconds(run: Run, study: Study, settings: dict, files: int, measured: dict, network: dict | None) -> float:
    start, scale = measured["start"], (study.image_size / measured["image_size"]) ** 2
    if run.step == "audit":
        return start + files * measured["per_image"]["audit"]
    if run.step == "prepare":
        return start + images_of(study, run.axes["protocol"], files) * measured["per_image"]["prepare"] * scale
    if run.step == "kmeans":
        return start + (study.kmeans_images or files) * measured["per_image"]["kmeans"]
    if network is None:
        return start + FIXED_SECONDS[run.step]
    look, learn = scale / network["predict"], scale / network["train"]  # seconds an image
    if run.step == "features":
        return start + network["trace_predict"] + images_of(study, run.axes["protocol"], files) * look
    if run.step == "gradcam":
        return start + network["trace_predict"] + 2 * settings["gradcam_images"] * look
    train, val, test = parts_of(study, run.axes["protocol"], run.axes["scenario"], files)
    steps = math.ceil(train / settings["batch_size"])
    seconds = start + settings["transfer_epochs"] * steps * measured["head_step"]
    if settings["finetune_epochs"]:
        epoch = train * learn + val * look
        seconds += network["trace_train"] + settings["finetune_epochs"] * epoch + (val + test) * look
    return seconds


def _disk(run: Run, study: Study, settings: dict, files: int, network: dict | None) -> float:
    if run.step == "prepare":
        return images_of(study, run.axes["protocol"], files) * study.image_size**2 * 3
    if run.step == "kmeans":
        return (study.kmeans_images or files) * MASK_BYTES
    if network is None:
        return 0.0
    if run.step == "features":
        return images_of(study, run.axes["protocol"], files) * network["channels"] * FLOAT
    if run.step == "gradcam":
        return settings["gradcam_images"] * OVERLAY_BYTES
    head = network["channels"] * (settings["units"] + 4) * FLOAT
    return head + (head + network["parameters"] * FLOAT if settings["finetune_epochs"] else 0.0)
