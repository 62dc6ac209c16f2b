"""What the models are worth on external images: another camera, other people, in no fitting.

Only the first fold's weights are kept of a run, so an accuracy here is that of one model a seed, trained on eight
tenths. Its interval is that of the images (whole groups resampled) and holds nothing of what differs from training to
training. Nothing pairs these images with those of the data set, so a difference has Newcombe's interval.
"""

import numpy as np
import pandas as pd

from lib.scores.ladder import CELL, COLUMNS, Rung
from lib.scores.metrics import MODEL, evaluate
from lib.scores.resampling import Estimate, difference_of_independent

RUNG = Rung("external", "clean", "external images", "corrected", "other cameras, people and mix of classes")
SCORES = [
    *(*MODEL, "seeds", "images", "groups", "accuracy", "low", "high", "balanced_accuracy", "precision", "recall", "f1"),
    *("roc_auc", "own_accuracy", "own_low", "own_high", "own_balanced_accuracy"),
    *("difference", "difference_low", "difference_high"),
]


def external_tables(told: pd.DataFrame, metrics: pd.DataFrame, proposed: str) -> dict[str, pd.DataFrame]:
    """Tables of one scenario on external images.

    Args:
        told: what lib.models.outside.predict_outside gives; may be empty.
        metrics: the scores of the same models on the data set, lib.scores.metrics.evaluate.
        proposed: the paper's own model.

    Returns:
        metrics: SCORES, fractions of 1, a row a model: on these images, the same on the data set (`own_`), and the
        difference, low and high 95 % intervals; per_class and confusion as for the data set. None where nothing was
        told.
    """
    if told.empty:
        return {}
    found = {key: (table.iloc[:0], table.drop(columns=MODEL)) for key, table in told.groupby(MODEL, sort=False)}
    tables = evaluate(found, proposed)
    groups = {key: table["group"].nunique() for key, (_, table) in found.items()}
    own = metrics.set_index(MODEL)
    rows = []
    for row in tables["metrics"].to_dict("records"):
        model = tuple(row[name] for name in MODEL)
        row |= {"images": row["n_test"], "groups": groups[model], "accuracy": row["test_accuracy"]}
        row |= {"low": row["test_accuracy_low"], "high": row["test_accuracy_high"]}
        if model in own.index:
            here = own.loc[model]
            ours = Estimate(*here[["test_accuracy", "test_accuracy_low", "test_accuracy_high"]].astype(float))
            apart = difference_of_independent(Estimate(row["accuracy"], row["low"], row["high"]), ours)
            row |= {"own_accuracy": ours.value, "own_low": ours.low, "own_high": ours.high}
            row |= {"own_balanced_accuracy": here["balanced_accuracy"], "difference": apart.value}
            row |= {"difference_low": apart.low, "difference_high": apart.high}
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=SCORES)
    return {"metrics": table, "per_class": tables["per_class"], "confusion": tables["confusion"]}


def with_external(ladder: pd.DataFrame, scores: pd.DataFrame | None) -> pd.DataFrame:
    """The ladder with RUNG below `clean`, where models of that protocol were asked about external images.

    Args:
        ladder: lib.scores.ladder of one scenario and preprocessing.
        scores: `metrics` of `external_tables`, or None.
    """
    if scores is None or ladder.empty:
        return ladder
    scores = scores[scores["protocol"] == RUNG.protocol].set_index(["backbone", "phase"])
    parts = []
    for _, rungs in ladder.groupby(CELL, sort=False):
        parts.append(rungs)
        cell = rungs[CELL].iloc[0]
        if (cell["backbone"], cell["phase"]) not in scores.index:
            continue
        found = scores.loc[(cell["backbone"], cell["phase"])]
        row = dict(cell) | {"rung": RUNG.name, "folds": 1}
        row |= {name: found[name] for name in ("accuracy", "low", "high", "images", "groups")}
        before = rungs[rungs["rung"] == RUNG.protocol]
        if len(before):
            clean = Estimate(*before[["accuracy", "low", "high"]].iloc[0].astype(float))
            step = difference_of_independent(Estimate(row["accuracy"], row["low"], row["high"]), clean)
            row |= {"step": step.value, "step_low": step.low, "step_high": step.high}
        parts.append(pd.DataFrame([row]).reindex(columns=COLUMNS).fillna(np.nan))
    return pd.concat(parts, ignore_index=True)[COLUMNS]
