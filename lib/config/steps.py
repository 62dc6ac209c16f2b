"""The steps of the study. To add a step: its notebook in notebooks/, its files in lib.config.paths, its entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.config.paper import backbones
from lib.config.params import AXES, Study
from lib.config.paths import DEFAULT_VARIANT


@dataclass(frozen=True)
class Step:
    """A step of the paper: one notebook, executed once for each cell of its axes. Files are named as in StudyPaths."""

    name: str
    notebook: str
    axes: tuple[str, ...] = ()  # of the matrix, over which it runs
    fixed: Callable[[Study], dict[str, Any]] = lambda study: {}  # other axes -> their one value in the whole study
    reads: tuple[str, ...] = ()  # of its cell, and of every value of axes that its cell lacks
    writes: tuple[str, ...] = ()  # files and folders that it must write
    may_write: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # steps of whose runs for this cell every one must have ended well
    some_of: tuple[str, ...] = ()  # steps of whose runs for this cell at least one must have ended well
    heavy: bool = False  # trains or predicts, on a GPU where there is one
    # Comes after all other steps, whatever failed; reads all that they wrote and `StudyPaths.state`; writes figures.
    # Those of other steps live in the executed notebook alone, so a change to lib.figures makes no number stale.
    last: bool = False


# fmt: off
STEPS = {step.name: step for step in (
    Step("audit", "01_audit", writes=("audit",)),
    Step("prepare", "02_prepare_data", ("variant",), reads=("image_index",), writes=("prepared",), needs=("audit",)),
    Step("features", "03_extract_features", ("preprocessing", "backbone", "variant"), heavy=True,
         reads=("images", "views"), writes=("feature_folder",), needs=("prepare",)),
    Step("train", "04_train", AXES, heavy=True,
         reads=("images", "views", "protocol", "features"), writes=("run",), needs=("prepare", "features")),
    Step("evaluate", "05_evaluate", ("preprocessing", "scenario", "variant"),
         reads=("run", "image_index", "views", "protocol", "not_evaluable", "printed_audit"), writes=("outcomes",),
         may_write=("external_outcomes", "external_files"), needs=("prepare",), some_of=("train",)),
    Step("gradcam", "06_gradcam", ("scenario", "backbone"), heavy=True,  # of the best protocol and the first seed
         fixed=lambda study: {"protocol": study.protocols[-1], "preprocessing": study.preprocessings[0],
                              "seed": study.seeds[0], "variant": DEFAULT_VARIANT},
         reads=("image_index", "images", "views", "protocol", "run"), writes=("gradcam_maps",), needs=("train",)),
    Step("kmeans", "07_kmeans", reads=("image_index",), writes=("kmeans",), needs=("audit",)),
    Step("report", "08_report", last=True, writes=("report_folder", "tables", "claims"), may_write=("gradcam_table",)),
)}
# fmt: on


def work_of(step: str, study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    """How much a run does on a data set of `files` images: kind -> amount, and `bytes` on the disk.

    results/reference/rates.json has the seconds of one unit of each kind. An image is one of 224 px, or as many pixels.
    """
    settings, views, pixels = study.settings(cell), study.count_views(files), study.image_size**2
    scale = pixels / 224**2
    if step == "train":  # heads stop early, after 0.56 of their epochs; the fine-tuning is taken to go through all
        images = 0.8 * study.count_images(cell["scenario"])
        work = {"head": 0.56 * settings["transfer_epochs"] * len(settings["transfer_folds"]) * images}
        if epochs := settings["finetune_epochs"] * len(settings["finetune_folds"]):
            kind = "predict" if settings["finetune_layers"] else "train"  # few layers learn as fast as they predict
            work |= {kind: epochs * images * scale, "trace": 1, "bytes": 1e8}  # the largest backbone
        return work
    explained, segmented = settings["gradcam_images"] + files / 10, study.kmeans_images or files
    return {
        "audit": {"audit": files},
        "prepare": {"prepare": views * scale, "bytes": views * pixels * 3},
        "features": {"predict": views * scale, "bytes": views * 2048 * 4},  # the most channels
        "gradcam": {"predict": 2 * explained * scale, "kmeans": explained, "bytes": explained * 1e5},  # overlays
        "kmeans": {"kmeans": segmented, "bytes": segmented * 1e5},  # masks
        "report": {"report": 1},
    }.get(step, {})


def outside_files(study: Study, cell: dict[str, Any], given: dict[str, str | list[str]]) -> dict[str, str]:
    """Of the files and folders outside the results folder, by parameter, those that decide what a run writes.

    All do, but for weights: only the files of those backbones count that the run loads.
    """
    lists = {name: [paths] if isinstance(paths, str) else paths for name, paths in given.items()}
    folders, _ = lists.pop("weights_dir", []), lists.pop("data_given", None)  # the latter is counted, not read
    names = [cell["backbone"]] if "backbone" in cell else study.backbones
    used = names if study.settings(cell)["weights"] != "none" else []
    files = {f"{name} {n}" if n else name: path for name, paths in lists.items() for n, path in enumerate(paths)}
    return files | {f"weights of {name}": str(Path(at, backbones()[name].weights)) for at in folders for name in used}
