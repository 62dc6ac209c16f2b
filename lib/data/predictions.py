"""The predictions that a training run saves: one row per image and view, one column per class."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.config.paths import RUN_PREDICTIONS, StudyPaths

DESCRIPTION = ["seed", "fold", "row", "source", "image_id", "group", "view", "part", "true_class"]


class Models(NamedTuple):
    """Models of a scenario: those of every one of these protocols, backbones and seeds that a study has trained."""

    paths: StudyPaths
    preprocessing: str
    scenario: str
    protocols: Sequence[str]
    backbones: Sequence[str]
    seeds: Sequence[int]


def read_predictions(folder: Path, phase: str) -> pd.DataFrame | None:
    """The predictions of a phase of a training run; None where the phase was not run."""
    path = folder / RUN_PREDICTIONS.format(phase)
    return pd.read_parquet(path) if path.is_file() else None


def load_predictions(
    paths: StudyPaths, protocol: str, preprocessing: str, scenario: str, backbone: str, phase: str, seeds: Sequence[int]
) -> pd.DataFrame:
    """A cell's saved predictions over all folds and seeds: DESCRIPTION, then one column per class.

    With ten folds each view is tested once per seed, and validated once (`part`). Images of a class that is not
    evaluable under the protocol are dropped, as they are from every score. Empty where nothing was saved.
    """
    runs = [paths.run(protocol, preprocessing, scenario, backbone, seed) for seed in seeds]
    saved = [read_predictions(run, phase) for run in runs]
    frames = [frame.assign(seed=seed) for seed, frame in zip(seeds, saved) if frame is not None]
    if not frames:
        return pd.DataFrame(columns=["seed"])
    table = pd.concat(frames, ignore_index=True)
    too_few = read_not_evaluable(paths, protocol, scenario)
    return table[~table["true_class"].isin(too_few)].reset_index(drop=True)


def read_not_evaluable(paths: StudyPaths, protocol: str, scenario: str) -> list[str]:
    """The classes of a scenario that have too few images under a protocol to be scored."""
    if not paths.not_evaluable.is_file():
        return []
    table = pd.read_csv(paths.not_evaluable)
    return list(table.loc[(table["protocol"] == protocol) & (table["scenario"] == scenario), "class"])


def class_columns(predictions: pd.DataFrame) -> list[str]:
    """The classes of a scenario, in its order: the columns after the description of the image."""
    return [column for column in predictions.columns if column not in DESCRIPTION]


def predicted_class(predictions: pd.DataFrame) -> np.ndarray:
    """The class of highest probability of each image, [n] of str."""
    classes = class_columns(predictions)
    return np.array(classes)[predictions[classes].to_numpy().argmax(axis=1)]


def still_learning(history: pd.DataFrame, phase: str = "finetune") -> bool:
    """Whether a phase was stopped by its number of epochs while the validation loss still fell, in any of its folds, by
    history.csv of a training run. Where a fold stopped early, its last epoch is not the best."""
    rows = history[history["phase"] == phase].reset_index(drop=True)
    folds = rows.groupby("fold")
    return bool((folds["val_loss"].idxmin() == folds["epoch"].idxmax()).any())
