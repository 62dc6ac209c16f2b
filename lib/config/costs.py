"""What a run of each step costs: seconds beside the start of its kernel, and bytes on the disk.

Computed from rates that tests/benchmarks/gpu.py measured. Early stopping is counted for heads as it was in real
studies; a fine-tuning is taken to go through all its epochs.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from lib.config.params import Study, scenarios

FLOAT = 4  # bytes
MASK_BYTES = 4e3  # the mask of an image as PNG
OVERLAY_BYTES = 1e5  # a Grad-CAM overlay
# Of the epochs that a head may have; 0.49 to 0.86 on drawn and on real images, with a patience of 8 of 20 and 40.
EPOCHS_OF_HEADS = 0.56
# Seconds of a processor, measured on the demo: what heads need before the first step, and in each fold beside its
# steps; what evaluating, explaining and reporting need beside the start of a kernel, and asking the models about images
# from elsewhere, as drawn studies do.
TRACE_HEAD, FOLD_OF_HEADS = 4.0, 1.2
EVALUATE, EXPLAIN, REPORT, ELSEWHERE = 2.0, 3.0, 30.0, 10.0
# What a training prints after an epoch, and where it goes on from what was kept of a killed one.
EPOCH = re.compile(r"fold (?P<fold>\d+) (?P<phase>transfer|finetune) (goes on after )?epoch (?P<epoch>\d+)/(?P<of>\d+)")
ENDED = re.compile(r"fold (?P<fold>\d+) (?P<phase>transfer|finetune) had ended before")

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
    def slower(self) -> float:
        """How many times as long a network takes in the one thread that it has without a GPU; 1 on a GPU."""
        return self.network.get("threads", 1)

    @property
    def rows(self) -> int:
        return views_of(self.study, self.files)


class Reached(NamedTuple):
    """How far a run has come: the share of its expected seconds, its phase, and whether a killed one had done that."""

    share: float
    phase: str
    kept: bool


Share = Callable[[Work, str], Reached | None]


def unmeasured(work: Work) -> Cost:
    return 3.0, 0.0


def no_share(work: Work, line: str) -> None:
    return None


def audit(work: Work) -> Cost:
    return work.files * work.rates["per_image"]["audit"], 0.0


def prepare(work: Work) -> Cost:
    seconds = work.rows * work.rates["per_image"]["prepare"] * work.scale
    return seconds, work.rows * work.study.image_size**2 * 3


def features(work: Work) -> Cost:
    seconds = work.network["trace_predict"] + work.rows * work.scale / work.network["predict"] * work.slower
    return seconds, work.rows * work.network["channels"] * FLOAT


def train(work: Work) -> Cost:
    network, settings = work.network, work.settings
    size = head = network["channels"] * (settings["units"] + 4) * FLOAT
    if settings["finetune_epochs"]:
        size += head + network["parameters"] * FLOAT
    return sum(_training(work).values()), size


def share_of_training(work: Work, line: str) -> Reached | None:
    """How far a training has come by a `line` that it prints; None where that tells of no epoch of it."""
    epoch, ended = EPOCH.search(line), ENDED.search(line)
    if not (told := epoch or ended):
        return None
    phase, fold, of_fold = told["phase"], int(told["fold"]), 1.0
    if fold not in (folds := work.settings[f"{phase}_folds"]):
        return None
    if epoch:
        epochs = _epochs_of_heads(work) if phase == "transfer" else int(epoch["of"])
        of_fold = min(1.0, int(epoch["epoch"]) / epochs)
    seconds = _training(work)
    before = 0.0 if phase == "transfer" else seconds["transfer"] + seconds["trace"]
    over = before + (folds.index(fold) + of_fold) / len(folds) * seconds[phase]
    return Reached(over / sum(seconds.values()), phase, kept=bool(ended or epoch[3]))


def _training(work: Work) -> dict[str, float]:
    """Seconds of each phase over its folds, and of what comes between them."""
    network, settings = work.network, work.settings
    views = pool_of(work.study, work.axes["scenario"])
    images, held_out = 0.8 * views, 0.2 * views  # of a fold
    folds, steps = len(settings["transfer_folds"]), math.ceil(images / settings["transfer_batch_size"])
    transfer = TRACE_HEAD + folds * (FOLD_OF_HEADS + _epochs_of_heads(work) * steps * network["head_step"])
    if not settings["finetune_epochs"]:
        return {"transfer": transfer, "trace": 0.0, "finetune": 0.0}
    look = work.scale / network["predict"]  # seconds an image
    # where only the last layers learn, nearly all that is done for an image is to look at it
    learn = look if settings["finetune_layers"] else work.scale / network["train"]
    epoch = images * learn + held_out / 2 * look
    fold = settings["finetune_epochs"] * epoch + held_out * look
    finetune = work.slower * len(settings["finetune_folds"]) * fold
    return {"transfer": transfer, "trace": network["trace_train"], "finetune": finetune}


def _epochs_of_heads(work: Work) -> float:
    epochs = work.settings["transfer_epochs"]
    return max(EPOCHS_OF_HEADS * epochs, min(work.settings["patience"], epochs))


def evaluate(work: Work) -> Cost:
    return EVALUATE + (ELSEWHERE if work.study.synthetic else 0), 0.0


def gradcam(work: Work) -> Cost:
    shown = work.settings["gradcam_images"]
    images = shown + work.files / 10  # a tenth of the originals is tested in the fold that is explained
    look = 2 * work.slower * work.scale / work.network["predict"]
    seconds = images * (look + work.scale * work.rates["per_image"]["kmeans"])
    return EXPLAIN + work.network["trace_predict"] + seconds, shown * OVERLAY_BYTES


def kmeans(work: Work) -> Cost:
    images = work.study.kmeans_images or work.files
    return images * work.rates["per_image"]["kmeans"], images * MASK_BYTES


def report(work: Work) -> Cost:
    return REPORT, 0.0


def views_of(study: Study, files: int) -> int:
    """Rows of the pool. A view that both pools have is one row; a tenth is added for those that only one has."""
    return round(1.1 * max(files, sum(study.pool_sizes.values()), 2 * study.pool_size_benign_malignant))


def pool_of(study: Study, scenario: str) -> int:
    """Views of a scenario over all tenths."""
    if scenarios()[scenario].pool == "two_classes":
        return 2 * study.pool_size_benign_malignant
    return sum(study.pool_sizes[name] for name in scenarios()[scenario].label_of())
