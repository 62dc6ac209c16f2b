"""Predictions of studies whose truth is planted: pool, protocols and folds are made by the code that a study runs."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd

from lib.config.paper import backbones, scenarios
from lib.config.paths import RUN_PREDICTIONS, StudyPaths
from lib.data.folds import FOLDS, parts_of_fold, select
from lib.data.pool import pool_views
from lib.data.predictions import Models
from lib.data.protocols import deal
from lib.scores.outcomes import collect_outcomes, write_outcomes

PROTOCOLS = ("by_view", "by_file", "by_lesion", "clean")
LEARNED, LEARNING = (1.0, 0.8, 0.9), (1.0, 0.9, 0.8)  # validation losses: the last epoch is not the best, or it is


@cache
def views_of(scenario: str, protocol: str, files: int, views: int) -> pd.DataFrame:
    """The views that take part in a scenario under a protocol, with their tenth: of so many files of each class."""
    classes = [name for names in scenarios()[scenario].classes.values() for name in names]
    rows = [(name, number) for name in classes for number in range(files)]
    index = pd.DataFrame(rows, columns=["class", "number"])
    index["image_id"] = [f"{name[:3]}{number:05}" for name, number in rows]
    index["source"] = "Train/" + index["class"] + "/" + index["image_id"] + ".jpg"
    index = index.assign(group=np.arange(len(index)), near_group=np.arange(len(index)), diagnosis="")
    both = files * len(classes)  # no view of the second pool beyond the files themselves
    pool = pool_views(index, dict.fromkeys(classes, views), both, seed=0)
    table, _ = deal(index, pool, protocol, seed=0)
    return select(pool, table, scenarios()[scenario])


def write_predictions(
    paths: StudyPaths,
    protocol: str,
    backbone: str,
    phase: str,
    share: float,
    files: int = 200,
    views: int = 300,
    scenario: str = "three_malignant",
    seed: int = 0,
    folds: Iterable[int] = range(FOLDS),
    order: int = 0,
    preprocessing: str = "native",
    losses: Iterable[float] = LEARNED,
) -> pd.DataFrame:
    """Save predictions and history where a training run would; of them exactly the share of `share` is right.

    Under `clean` that is the share of the originals, under the other protocols that of all views.

    Cells of the same `order` are right on the same images as far as their shares allow; others err independently.
    `losses` are those of the validation part in each epoch of each fold; none: no history is saved.
    """
    chosen, held_out = parts_of(scenario, protocol, files, views, tuple(folds))
    names = scenarios()[scenario].names
    scored = chosen["view"].to_numpy() == 0 if protocol == "clean" else np.ones(len(chosen), bool)
    place = np.random.default_rng(order).permutation(len(chosen))
    place = np.searchsorted(np.sort(place[scored]), place)  # its place among those that are scored
    right = pd.Series(place < round(share * scored.sum()), index=chosen["row"])[held_out["row"]].to_numpy()
    truth = held_out["true_class"].map(names.index).to_numpy()
    predicted = np.where(right, truth, (truth + 1) % len(names))
    probability = np.where(np.arange(len(names)) == predicted[:, None], 0.8, 0.2 / (len(names) - 1))
    table = held_out.assign(**dict(zip(names, probability.astype(np.float32).T)))
    folder = paths.run(protocol, preprocessing, scenario, backbone, seed)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / RUN_PREDICTIONS.format(phase))
    epochs = [(fold, epoch, phase, loss) for fold in folds for epoch, loss in enumerate(losses, 1)]
    if epochs:
        pd.DataFrame(epochs, columns=["fold", "epoch", "phase", "val_loss"]).to_csv(folder / "history.csv", index=False)
    return table


def evaluate(paths: StudyPaths, seeds: Iterable[int] = (0,)) -> None:
    """Write the outcomes of every scenario that has predictions, as 05_evaluate does."""
    for preprocessing, folder in {run.parts[-2:] for run in (paths.root / "runs").glob("*/*/*")}:
        target = paths.outcomes(preprocessing, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        models = Models(paths, preprocessing, folder, PROTOCOLS, list(backbones()), list(seeds))
        write_outcomes(collect_outcomes(models), target)


@cache
def parts_of(scenario: str, protocol: str, files: int, views: int, folds: tuple[int, ...]):
    """The views of `views_of`, and what a run describes of those that each fold holds out."""
    chosen = views_of(scenario, protocol, files, views)
    parts = pd.concat([parts_of_fold(chosen, fold) for fold in folds], ignore_index=True)
    held_out = parts[parts["part"] != "train"].rename(columns={"label": "true_class"})
    columns = ["fold", "row", "source", "image_id", "group", "view", "part", "true_class"]
    return chosen, held_out[columns].reset_index(drop=True)
