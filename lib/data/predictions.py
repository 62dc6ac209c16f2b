"""The predictions that a training run saves: a row an image and view, a column a class."""

from pathlib import Path

import numpy as np
import pandas as pd

from lib.config import PHASES, run_predictions

DESCRIPTION = ["seed", "source", "image_id", "group", "view", "part", "true_class"]


def read_predictions(folder: Path, phase: str) -> pd.DataFrame | None:
    """The predictions of a phase of a training run; None where the phase was not run."""
    path = run_predictions(folder, phase)
    return pd.read_parquet(path) if path.is_file() else None


def read_all(runs: dict[tuple[str, int], Path]) -> dict[tuple[str, str, int], pd.DataFrame]:
    """(phase, backbone, seed) -> predictions, of the training runs (backbone, seed) -> folder that are there."""
    found = {}
    for (backbone, seed), folder in runs.items():
        for phase in PHASES:
            table = read_predictions(folder, phase)
            if table is not None:
                found[phase, backbone, seed] = table
    return found


def class_columns(predictions: pd.DataFrame) -> list[str]:
    """The classes of a scenario, in its order: the columns after the description of the image."""
    return [column for column in predictions.columns if column not in DESCRIPTION]


def predicted_class(predictions: pd.DataFrame) -> np.ndarray:
    """The class of highest probability of each image, [n] of str."""
    classes = class_columns(predictions)
    return np.array(classes)[predictions[classes].to_numpy().argmax(axis=1)]


def without(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Predictions of the images whose class can be evaluated: those of `classes` (too few to test) are left out."""
    return predictions[~predictions["true_class"].isin(classes)].reset_index(drop=True)
