"""The steps of the study. To add a step: its notebook in notebooks/, its files in lib.config.paths, its entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.config.paper import backbones
from lib.config.params import AXES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths, run_predictions, run_record, run_weights

MAX_CHANNELS = 2048  # of the features of a backbone
WEIGHTS_BYTES = 1e8  # the largest backbone with its head
PICTURE_BYTES = 1e5  # a mask or an overlay
STOPPED = 0.56  # share of their epochs that heads go through before they stop early


def _outside_files(study: Study, cell: dict[str, Any], outside: dict[str, str]) -> dict[str, str]:
    """All that is given, but for weights: only the files of those backbones count that a run loads."""
    weights = outside.get("weights_dir") if study.settings(cell)["weights"] == "imagenet" else None
    names = ([cell["backbone"]] if "backbone" in cell else study.backbones) if weights else []
    files = {name: path for name, path in outside.items() if name != "weights_dir"}
    return files | {f"weights of {name}": str(Path(weights) / backbones()[name].weights) for name in names}


@dataclass(frozen=True)
class Step:
    """A step of the paper: one notebook, executed once for each cell of its axes.

    Attributes:
        axes: those of the matrix over which it runs; `fixed` gives others one value for the whole study. Both reach
            the functions below by name, but for the variant: the paths that they are given are those of it.
        inputs: the files of the results folder that a run reads; a `*` in a name stands for any.
        outputs: files or folders that a run must write; `may_write` those that it may.
        reads_outside: of the files and folders outside the results folder whose names the notebook declares, by
            parameter, those that decide what it writes.
        needs: steps of whose runs for this cell every one must have ended well; `some_of`: at least one must.
        last: comes after all other steps, whatever failed, and reads all that they wrote and `StudyPaths.state`.
        heavy: trains or predicts, on a GPU where there is one.
        pictures: figures are among the outputs. Those of other steps live in the executed notebook alone, so a
            change to lib.figures leaves their numbers as they are.
        work: how much a run does, for lib.engine.estimate: kind -> amount, where results/reference/rates.json has the
            seconds of one unit of each kind, and `bytes` on the disk. An image is one of 224 px, or as many pixels.
    """

    name: str
    notebook: str
    axes: tuple[str, ...] = ()
    fixed: Callable[[Study], dict[str, Any]] = lambda study: {}
    inputs: Callable[..., list[Path]] = lambda at, **cell: []
    reads_outside: Callable[[Study, dict[str, Any], dict[str, str]], dict[str, str]] = _outside_files
    outputs: Callable[..., list[Path]] = lambda at, **cell: []
    may_write: Callable[..., list[Path]] = lambda at, **cell: []
    needs: tuple[str, ...] = ()
    some_of: tuple[str, ...] = ()
    last: bool = False
    heavy: bool = False
    pictures: bool = False
    work: Callable[[Study, dict[str, Any], int], dict[str, float]] = lambda study, cell, files: {}


def _explained_models(study: Study) -> dict[str, Any]:
    """Grad-CAM explains the models of the best protocol at hand, of the first seed, and of the study's own settings."""
    return dict(
        protocol=study.protocols[-1],
        preprocessing=study.preprocessings[0],
        seed=study.seeds[0],
        variant=DEFAULT_VARIANT,
    )


def _prepared(at: StudyPaths, protocol: str) -> list[Path]:
    return [at.images, at.views, at.protocol(protocol)]


def _scale(study: Study) -> float:
    return (study.image_size / 224) ** 2


def _work_of_prepare(study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    views = study.count_views(files)
    return {"prepare": views * _scale(study), "bytes": views * study.image_size**2 * 3}


def _work_of_features(study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    views = study.count_views(files)
    return {"predict": views * _scale(study), "bytes": views * MAX_CHANNELS * 4}


def _work_of_train(study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    """Heads stop early; the fine-tuning is taken to go through all its epochs."""
    settings, images = study.settings(cell), 0.8 * study.count_images(cell["scenario"])
    work = {"head": STOPPED * settings["transfer_epochs"] * len(settings["transfer_folds"]) * images}
    if epochs := settings["finetune_epochs"] * len(settings["finetune_folds"]):
        kind = "predict" if settings["finetune_layers"] else "train"  # few layers learn nearly as fast as they predict
        work |= {kind: epochs * images * _scale(study), "trace": 1, "bytes": WEIGHTS_BYTES}
    return work


def _work_of_gradcam(study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    images = study.settings(cell)["gradcam_images"] + files / 10  # the originals of one test fold
    return {"predict": 2 * images * _scale(study), "kmeans": images, "bytes": images * PICTURE_BYTES}


def _work_of_kmeans(study: Study, cell: dict[str, Any], files: int) -> dict[str, float]:
    images = study.kmeans_images or files
    return {"kmeans": images, "bytes": images * PICTURE_BYTES}


STEPS = {
    step.name: step
    for step in (
        Step(
            "audit",
            "01_audit",
            outputs=lambda at: [at.audit],
            pictures=True,
            work=lambda study, cell, files: {"audit": files},
        ),
        Step(
            "prepare",
            "02_prepare_data",
            axes=("variant",),
            inputs=lambda at: [at.image_index],
            outputs=lambda at: [at.prepared],
            needs=("audit",),
            work=_work_of_prepare,
        ),
        Step(
            "features",
            "03_extract_features",
            axes=("preprocessing", "backbone", "variant"),
            inputs=lambda at, **cell: [at.images, at.views],
            outputs=lambda at, **cell: [at.feature_folder(**cell)],
            needs=("prepare",),
            heavy=True,
            work=_work_of_features,
        ),
        Step(
            "train",
            "04_train",
            axes=AXES,
            inputs=lambda at, protocol, preprocessing, backbone, **cell: [
                *_prepared(at, protocol),
                at.features(preprocessing, backbone),
            ],
            outputs=lambda at, **cell: [at.run(**cell)],
            needs=("prepare", "features"),
            heavy=True,
            work=_work_of_train,
        ),
        Step(
            "evaluate",
            "05_evaluate",
            axes=("preprocessing", "scenario", "variant"),
            inputs=lambda at, **cell: [
                run_predictions(at.run("*", **cell, backbone="*", seed="*"), "*"),
                run_weights(at.run("*", **cell, backbone="*", seed="*"), "*"),
                run_record(at.run("*", **cell, backbone="*", seed="*")),
                at.image_index,
                at.views,
                at.protocol("clean"),
                at.not_evaluable,
                at.printed_audit,
            ],
            outputs=lambda at, **cell: [at.outcomes(**cell)],
            may_write=lambda at, **cell: [at.external_outcomes(**cell), at.external_files(**cell)],
            needs=("prepare",),
            some_of=("train",),
        ),
        Step(
            "gradcam",
            "06_gradcam",
            axes=("scenario", "backbone"),
            fixed=_explained_models,
            inputs=lambda at, **cell: [
                *_prepared(at, cell["protocol"]),
                at.run(**cell) / "*.h5",
                at.run(**cell) / "predictions_*.parquet",
            ],
            outputs=lambda at, scenario, backbone, **cell: [at.gradcam_maps(scenario, backbone)],
            needs=("train",),
            heavy=True,
            pictures=True,
            work=_work_of_gradcam,
        ),
        Step(
            "kmeans",
            "07_kmeans",
            inputs=lambda at: [at.image_index],
            outputs=lambda at: [at.kmeans],
            needs=("audit",),
            pictures=True,
            work=_work_of_kmeans,
        ),
        Step(
            "report",
            "08_report",
            outputs=lambda at: [at.report.parent, at.tables, at.claims],
            may_write=lambda at: [at.gradcam / "gradcam.csv"],
            last=True,
            pictures=True,
            work=lambda study, cell, files: {"report": 1},
        ),
    )
}
