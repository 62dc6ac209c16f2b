"""Scores from saved predictions alone: equations 10 to 13 of the paper, intervals, and tests between models."""

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from lib.config.params import PHASES
from lib.config.paths import StudyPaths
from lib.data.predictions import class_columns, out_of_fold, predicted_class
from lib.scores.resampling import proportion_estimate, repetition_interval

SCORED_ON = {"by_view": "views"}  # the paper tests augmented views; the honest protocols test originals
MODEL = ["protocol", "phase", "backbone"]


def tested(
    paths: StudyPaths, preprocessing: str, scenario: str, protocols: list[str], backbones: list[str], seeds: list[int]
) -> dict[tuple[str, str, str], tuple[pd.DataFrame, pd.DataFrame]]:
    """(protocol, phase, backbone) -> its out-of-fold predictions of the validation and of the test parts.

    Under `by_view` all views are scored, as the paper does, under the other protocols the originals.
    """
    found = {}
    for protocol in protocols:
        for phase in PHASES:
            for backbone in backbones:
                cell = (protocol, preprocessing, scenario, backbone, phase, seeds)
                originals = SCORED_ON.get(protocol) != "views"
                val, test = (out_of_fold(paths, *cell, part=part, originals=originals) for part in ("val", "test"))
                if len(test):
                    found[protocol, phase, backbone] = val, test
    return found


def metrics(val: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Scores of one model on one scenario over all folds and seeds, as fractions of 1.

    Accuracy (equation 10); recall, precision and F1 (11 to 13) of each class, averaged with the class's support as
    weight, as the paper's are; balanced accuracy; ROC-AUC (one against the rest, weighted by support; nan where
    only one class is there). The test accuracy has the 95 % interval of its mean and that of one more run like the
    paper's (lib.scores.resampling); n_test counts each view once, over all folds.
    """
    right = correctness(test)
    images = right.groupby("row", as_index=False).agg(group=("group", "first"), correct=("correct", "mean"))
    runs = right.groupby(["fold", "seed"])["correct"].mean().unstack().to_numpy()
    mean = proportion_estimate(images["correct"].to_numpy(), images["group"].to_numpy(), runs)
    again = repetition_interval(runs)
    true, predicted = test["true_class"], predicted_class(test)
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average="weighted", zero_division=0)
    return {
        "seeds": right["seed"].nunique(),
        "folds": right["fold"].nunique(),
        "n_test": len(images),
        "val_accuracy": float(correctness(val)["correct"].mean()) if len(val) else np.nan,
        "test_accuracy": mean.value,
        "test_accuracy_low": mean.low,
        "test_accuracy_high": mean.high,
        "repetition_low": again.low,
        "repetition_high": again.high,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "balanced_accuracy": balanced_accuracy_score(true, predicted),
        "roc_auc": _weighted_auc(test),
    }


def correctness(predictions: pd.DataFrame) -> pd.DataFrame:
    """row, group, fold, seed, correct (0 or 1) of predictions."""
    right = (predicted_class(predictions) == predictions["true_class"].to_numpy()).astype(float)
    return predictions[["row", "group", "fold", "seed"]].assign(correct=right)


def image_correctness(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a test image and view: source, view, fold, group, seeds, correct (0..1, the share of seeds)."""
    right = frame.assign(correct=(predicted_class(frame) == frame["true_class"].to_numpy()).astype(float))
    return right.groupby(["source", "view"], as_index=False).agg(
        fold=("fold", "first"), group=("group", "first"), seeds=("seed", "nunique"), correct=("correct", "mean")
    )


def per_class(predictions: pd.DataFrame) -> pd.DataFrame:
    """class, precision, recall, f1, support and one-against-the-rest roc_auc of the test images."""
    test, classes = predictions, class_columns(predictions)
    scores = precision_recall_fscore_support(test["true_class"], predicted_class(test), labels=classes, zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), scores)))
    table.insert(0, "class", classes)
    return table.assign(roc_auc=[_auc(test, name) for name in classes])


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """true_class, predicted_class, count over the test images, in the scenario's class order."""
    test, classes = predictions, class_columns(predictions)
    counts = confusion_matrix(test["true_class"], predicted_class(test), labels=classes)
    pairs = pd.MultiIndex.from_product([classes, classes], names=["true_class", "predicted_class"])
    return pd.Series(counts.ravel(), index=pairs, name="count").reset_index()


def as_matrix(confusion_rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `confusion` for one model as a square table, true classes in rows, in the scenario's order."""
    order = confusion_rows["true_class"].unique()
    return confusion_rows.pivot(index="true_class", columns="predicted_class", values="count").loc[order, order]


def compare(proposed: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float]:
    """McNemar's exact test of two models on the images that both were tested on.

    Returns:
        n, how many images only one of them gets right, the statistic (the smaller count) and the two-sided p-value.

    Raises:
        ValueError: the two have no test image in common.
    """
    places = [pd.MultiIndex.from_frame(p[["source", "view"]]) for p in (proposed, baseline)]
    common = places[0].intersection(places[1]).sort_values()
    if common.empty:
        raise ValueError("McNemar's test needs two models tested on the same images; evaluate both under one protocol")
    pair = [p.set_axis(place)[place.isin(common)].sort_index() for p, place in zip((proposed, baseline), places)]
    right = [table["true_class"].to_numpy() == predicted_class(table) for table in pair]
    table = [[np.sum(a & b) for b in (right[1], ~right[1])] for a in (right[0], ~right[0])]
    result = mcnemar(table, exact=True)
    return {
        "n": len(pair[0]),
        "only_proposed": int(table[0][1]),
        "only_baseline": int(table[1][0]),
        "statistic": float(result.statistic),
        "p_value": float(result.pvalue),
    }


def evaluate(
    found: dict[tuple[str, str, str], tuple[pd.DataFrame, pd.DataFrame]], proposed: str
) -> dict[str, pd.DataFrame]:
    """All tables of one scenario: metrics, per_class, confusion, and mcnemar (each baseline against `proposed`).

    Args:
        found: what `tested` gives.
    """
    tests = {key: test for key, (_, test) in found.items()}
    rows = [dict(zip(MODEL, key)) | metrics(val, test) for key, (val, test) in found.items()]
    pairs = [
        {"protocol": protocol, "phase": phase, "seed": seed, "baseline": backbone, "proposed": proposed}
        | compare(_of_seed(tests[protocol, phase, proposed], seed), own)
        for (protocol, phase, backbone), test in tests.items()
        for seed, own in test.groupby("seed")
        if backbone != proposed and (protocol, phase, proposed) in tests
    ]
    counts = ["n", "only_proposed", "only_baseline", "statistic", "p_value"]
    return {
        "metrics": pd.DataFrame(rows),
        "per_class": _stack(tests, per_class),
        "confusion": _stack(tests, confusion),
        "mcnemar": pd.DataFrame(pairs, columns=["protocol", "phase", "seed", "baseline", "proposed", *counts]),
    }


def _of_seed(test: pd.DataFrame, seed: int) -> pd.DataFrame:
    return test[test["seed"] == seed]


def _stack(tests: dict, table_of) -> pd.DataFrame:
    tables = [table_of(test).assign(**dict(zip(MODEL, key))) for key, test in tests.items()]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _auc(test: pd.DataFrame, name: str) -> float:
    is_class = (test["true_class"] == name).to_numpy()
    return float(roc_auc_score(is_class, test[name])) if 0 < is_class.sum() < len(test) else np.nan


def _weighted_auc(test: pd.DataFrame) -> float:
    support = test["true_class"].value_counts()
    scores = pd.Series({name: _auc(test, name) for name in support.index}).dropna()
    return float(np.average(scores, weights=support[scores.index])) if len(scores) else np.nan
