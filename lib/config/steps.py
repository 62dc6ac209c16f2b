"""The steps of the study. To add a step: its notebook in notebooks/, its files in lib.config.paths, its entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.config.paper import backbones
from lib.config.params import AXES, Study
from lib.config.paths import DEFAULT_VARIANT

MAX_CHANNELS = 2048  # of the features of a backbone
WEIGHTS_BYTES = 1e8  # the largest backbone with its head
PICTURE_BYTES = 1e5  # a mask or an overlay
STOPPED = 0.56  # share of their epochs that heads go through before they stop early


@dataclass(frozen=True)
class Step:
    """A step of the paper: one notebook, executed once for each cell of its axes.

    Attributes:
        axes: those of the matrix over which it runs; `fixed` gives others one value for the whole study.
        reads: what a run reads of the results folder, by the names of StudyPaths: files and folders of its cell, and
            of every value of axes that its cell lacks.
        writes: what it must write; `may_write`: what it may.
        needs: steps of whose runs for this cell every one must have ended well; `some_of`: at least one must.
        last: comes after all other steps, whatever failed, and reads all that they wrote and `StudyPaths.state`.
        heavy: trains or predicts, on a GPU where there is one.
        pictures: figures are among the outputs. Those of other steps live in the executed notebook alone, so a
            change to lib.figures leaves their numbers as they are.
    """

    name: str
    notebook: str
    axes: tuple[str, ...] = ()
    fixed: Callable[[Study], dict[str, Any]] = lambda study: {}
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    may_write: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    some_of: tuple[str, ...] = ()
    last: bool = False
    heavy: bool = False
    pictures: bool = False


def _explained_models(study: Study) -> dict[str, Any]:
    """Grad-CAM explains the models of the best protocol at hand, of the first seed, and of the study's own settings."""
    protocol, preprocessing, seed = study.protocols[-1], study.preprocessings[0], study.seeds[0]
    return {"protocol": protocol, "preprocessing": preprocessing, "seed": seed, "variant": DEFAULT_VARIANT}


# fmt: off
_ALL = (
    Step("audit", "01_audit", writes=("audit",), pictures=True),
    Step("prepare", "02_prepare_data", ("variant",), reads=("image_index",), writes=("prepared",), needs=("audit",)),
    Step("features", "03_extract_features", ("preprocessing", "backbone", "variant"), heavy=True,
         reads=("images", "views"), writes=("feature_folder",), needs=("prepare",)),
    Step("train", "04_train", AXES, heavy=True,
         reads=("images", "views", "protocol", "features"), writes=("run",), needs=("prepare", "features")),
    Step("evaluate", "05_evaluate", ("preprocessing", "scenario", "variant"),
         reads=("run", "image_index", "views", "protocol", "not_evaluable", "printed_audit"), writes=("outcomes",),
         may_write=("external_outcomes", "external_files"), needs=("prepare",), some_of=("train",)),
    Step("gradcam", "06_gradcam", ("scenario", "backbone"), _explained_models, heavy=True, pictures=True,
         reads=("images", "views", "protocol", "run"), writes=("gradcam_maps",), needs=("train",)),
    Step("kmeans", "07_kmeans", reads=("image_index",), writes=("kmeans",), needs=("audit",), pictures=True),
    Step("report", "08_report", last=True, pictures=True,
         writes=("report_folder", "tables", "claims"), may_write=("gradcam_table",)),
)
# fmt: on
STEPS = {step.name: step for step in _ALL}


def work_of(step: str, study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    """How much a run does, for lib.engine.estimate.

    Args:
        files: images of the data set.

    Returns:
        Kind -> amount: results/reference/rates.json has the seconds of one unit of each kind; and `bytes` on the disk.
        An image is one of 224 px, or as many pixels.
    """
    settings, views, pixels = study.settings(cell), study.count_views(files), study.image_size**2
    scale = pixels / 224**2
    if step == "train":  # heads stop early; the fine-tuning is taken to go through all its epochs
        images = 0.8 * study.count_images(cell["scenario"])
        work = {"head": STOPPED * settings["transfer_epochs"] * len(settings["transfer_folds"]) * images}
        if epochs := settings["finetune_epochs"] * len(settings["finetune_folds"]):
            kind = "predict" if settings["finetune_layers"] else "train"  # few layers learn as fast as they predict
            work |= {kind: epochs * images * scale, "trace": 1, "bytes": WEIGHTS_BYTES}
        return work
    explained, segmented = settings["gradcam_images"] + files / 10, study.kmeans_images or files
    return {
        "audit": {"audit": files},
        "prepare": {"prepare": views * scale, "bytes": views * pixels * 3},
        "features": {"predict": views * scale, "bytes": views * MAX_CHANNELS * 4},
        "gradcam": {"predict": 2 * explained * scale, "kmeans": explained, "bytes": explained * PICTURE_BYTES},
        "kmeans": {"kmeans": segmented, "bytes": segmented * PICTURE_BYTES},
        "report": {"report": 1},
    }.get(step, {})


def outside_files(study: Study, cell: dict[str, Any], given: dict[str, str | list[str]]) -> dict[str, str]:
    """Of the files and folders outside the results folder, by parameter, those that decide what a run writes.

    All do, but for weights: only the files of those backbones count that the run loads.
    """
    files = {name: path for name, path in given.items() if name not in ("metadata", "weights_dir")}
    files |= {f"metadata {number}" if number else "metadata": f for number, f in enumerate(given.get("metadata", ()))}
    if "weights_dir" not in given or study.settings(cell)["weights"] == "none":
        return files
    names = [cell["backbone"]] if "backbone" in cell else study.backbones
    return files | {f"weights of {name}": str(Path(given["weights_dir"], backbones()[name].weights)) for name in names}
