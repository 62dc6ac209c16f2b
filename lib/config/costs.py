"""What a run of each step costs: seconds beside the start of its kernel, and bytes on the disk.

Computed from rates that tests/benchmarks/gpu.py measured. The seconds are those of a run that never stops early.
"""

import math
from dataclasses import dataclass
from typing import Any

from lib.config.params import Study, scenarios

FLOAT = 4  # bytes
MASK_BYTES = 4e3  # the mask of an image as PNG
OVERLAY_BYTES = 1e5  # a Grad-CAM overlay

Cost = tuple[float, float]  # seconds, bytes


@dataclass(frozen=True)
class Work:
    """What the cost of a run depends on.

    Attributes:
        axes: the run's cell.
        files: images of the data set.
        rates: those of the machine.
        network: those of the cell's backbone; empty where the cell has none.
    """

    study: Study
    axes: dict[str, Any]
    files: int
    rates: dict[str, Any]
    network: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        return self.study.settings(self.axes)

    @property
    def scale(self) -> float:
        """Pixels of an image against those of the images whose rates were measured."""
        return (self.study.image_size / self.rates["image_size"]) ** 2

    @property
    def rows(self) -> int:
        return images_of(self.study, self.axes["protocol"], self.files)


def unmeasured(work: Work) -> Cost:
    return 3.0, 0.0


def audit(work: Work) -> Cost:
    return work.files * work.rates["per_image"]["audit"], 0.0


def prepare(work: Work) -> Cost:
    seconds = work.rows * work.rates["per_image"]["prepare"] * work.scale
    return seconds, work.rows * work.study.image_size**2 * 3


def features(work: Work) -> Cost:
    seconds = work.network["trace_predict"] + work.rows * work.scale / work.network["predict"]
    return seconds, work.rows * work.network["channels"] * FLOAT


def train(work: Work) -> Cost:
    network, settings = work.network, work.settings
    images, val, test = parts_of(work.study, work.axes["protocol"], work.axes["scenario"], work.files)
    seconds = settings["transfer_epochs"] * math.ceil(images / settings["batch_size"]) * work.rates["head_step"]
    size = head = network["channels"] * (settings["units"] + 4) * FLOAT
    if settings["finetune_epochs"]:
        look, learn = work.scale / network["predict"], work.scale / network["train"]  # seconds an image
        epoch = images * learn + val * look
        seconds += network["trace_train"] + settings["finetune_epochs"] * epoch + (val + test) * look
        size += head + network["parameters"] * FLOAT
    return seconds, size


def gradcam(work: Work) -> Cost:
    images = work.settings["gradcam_images"]
    return work.network["trace_predict"] + 2 * images * work.scale / work.network["predict"], images * OVERLAY_BYTES


def kmeans(work: Work) -> Cost:
    images = work.study.kmeans_images or work.files
    return images * work.rates["per_image"]["kmeans"], images * MASK_BYTES


def report(work: Work) -> Cost:
    return 30.0, 0.0


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
