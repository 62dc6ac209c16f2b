"""Metrics from saved predictions alone: equations 10 to 13 of the paper, intervals, and tests between models.

Predictions are out of fold (lib.data.out_of_fold): every number pools the folds that were trained.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from lib.data import class_columns, predicted_class, without
from lib.verdicts.resampling import proportion_estimate, repetition_interval

RUN = ["phase", "backbone", "seed"]


def metrics(predictions: pd.DataFrame) -> dict[str, float]:
    """Scores of one model on one scenario over all its folds and seeds, as fractions of 1.

    Accuracy (equation 10); recall, precision and F1 (11 to 13) of each class, averaged with the class's support as
    weight, as the paper's are; balanced accuracy; ROC-AUC (one against the rest, weighted by support; nan where
    only one class is there). Each pools the folds and is the mean over seeds. `test_accuracy_low`, `_high`: the 95 %
    interval of the mean (groups resampled, the spread of folds where it is larger). `repetition_low`, `_high`: where
    one more run, one split and one seed, falls in 95 % (from five folds on, else nan).

    Args:
        predictions: columns of lib.data.out_of_fold for both parts, with `seed`.
    """
    seeds = [part for _, part in predictions.groupby("seed", sort=True)]
    test = predictions[predictions["part"] == "test"]
    images = image_correctness(test)
    right = (predicted_class(test) == test["true_class"].to_numpy()).astype(float)
    runs = test.assign(right=right).pivot_table(index="fold", columns="seed", values="right").to_numpy()
    mean = proportion_estimate(images["correct"].to_numpy(), images["group"].to_numpy(), runs)
    run = repetition_interval(runs)
    counts = {"seeds": len(seeds), "folds": len(runs), "n_val": int((seeds[0]["part"] == "val").sum())}
    counts |= {"n_test": len(images), "correct": float(images["correct"].sum())}
    of_seeds = pd.DataFrame([_scores(part) for part in seeds]).mean().to_dict()
    accuracy = {"val_accuracy": of_seeds.pop("val_accuracy"), "test_accuracy": of_seeds.pop("test_accuracy")}
    accuracy |= {"test_accuracy_low": mean.low, "test_accuracy_high": mean.high}
    return counts | accuracy | {"repetition_low": run.low, "repetition_high": run.high} | of_seeds


def _scores(predictions: pd.DataFrame) -> dict[str, float]:
    """The scores of one seed, its folds pooled."""
    val, test = (predictions[predictions["part"] == part] for part in ("val", "test"))
    true, predicted = test["true_class"].to_numpy(), predicted_class(test)
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average="weighted", zero_division=0)
    return {
        "val_accuracy": float((val["true_class"].to_numpy() == predicted_class(val)).mean()) if len(val) else np.nan,
        "test_accuracy": float((true == predicted).mean()) if len(test) else np.nan,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "balanced_accuracy": balanced_accuracy_score(true, predicted),
        "roc_auc": _weighted_auc(test),
    }


def image_correctness(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a test image and view: source, view, fold, group, seeds, correct (0..1, the share of seeds)."""
    right = frame.assign(correct=(predicted_class(frame) == frame["true_class"].to_numpy()).astype(float))
    return right.groupby(["source", "view"], as_index=False).agg(
        fold=("fold", "first"), group=("group", "first"), seeds=("seed", "nunique"), correct=("correct", "mean")
    )


def per_class(predictions: pd.DataFrame) -> pd.DataFrame:
    """class, precision, recall, f1, support and one-against-the-rest roc_auc of the test images."""
    test = predictions[predictions["part"] == "test"]
    classes = class_columns(predictions)
    scores = precision_recall_fscore_support(test["true_class"], predicted_class(test), labels=classes, zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), scores)))
    table.insert(0, "class", classes)
    return table.assign(roc_auc=[_auc(test, name) for name in classes])


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """true_class, predicted_class, count over the test images, in the scenario's class order."""
    test = predictions[predictions["part"] == "test"]
    classes = class_columns(predictions)
    counts = confusion_matrix(test["true_class"], predicted_class(test), labels=classes)
    pairs = pd.MultiIndex.from_product([classes, classes], names=["true_class", "predicted_class"])
    return pd.Series(counts.ravel(), index=pairs, name="count").reset_index()


def as_matrix(confusion_rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `confusion` for one model as a square table, true classes in rows, in the scenario's order."""
    order = confusion_rows["true_class"].unique()
    return confusion_rows.pivot(index="true_class", columns="predicted_class", values="count").loc[order, order]


def compare(proposed: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float]:
    """McNemar's exact test of two models on the same test images, those of the folds that both trained.

    Returns:
        n, how many images only one of them gets right, the statistic (the smaller count) and the two-sided p-value.

    Raises:
        ValueError: the two were not tested on the same images.
    """
    keys = ["source", "view"]
    common = set(proposed["fold"]) & set(baseline["fold"])
    pair = [p[(p["part"] == "test") & p["fold"].isin(common)] for p in (proposed, baseline)]
    pair = [p.sort_values(keys, ignore_index=True) for p in pair]
    if not pair[0][keys].equals(pair[1][keys]):
        raise ValueError("McNemar's test needs two models tested on the same images; evaluate both under one protocol")
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
    found: dict[tuple[str, str, int], pd.DataFrame], proposed: str, left_out: list[str], originals: bool = False
) -> dict[str, pd.DataFrame]:
    """All tables of one scenario: metrics (a row a phase and backbone, its seeds together), per_class and confusion
    (a seed each), and mcnemar (each baseline against `proposed`, a seed each).

    Args:
        found: (phase, backbone, seed) -> predictions of all folds.
        left_out: classes with too few images to be tested.
        originals: leave augmented views out, as every protocol but `published` is scored.
    """
    found = {key: without(table[(table["view"] == 0) | (not originals)], left_out) for key, table in found.items()}
    seeds = {}
    for (phase, backbone, seed), table in found.items():
        seeds.setdefault((phase, backbone), []).append(table.assign(seed=seed))
    tables = {
        "metrics": pd.DataFrame(
            [dict(zip(RUN, key)) | metrics(pd.concat(of_seeds, ignore_index=True)) for key, of_seeds in seeds.items()]
        ),
        "per_class": _stack(found, per_class),
        "confusion": _stack(found, confusion),
    }
    rows = [
        {"phase": phase, "seed": seed, "baseline": backbone, "proposed": proposed}
        | compare(found[phase, proposed, seed], table)
        for (phase, backbone, seed), table in found.items()
        if backbone != proposed and (phase, proposed, seed) in found
    ]
    columns = ["phase", "seed", "baseline", "proposed", "n", "only_proposed", "only_baseline", "statistic", "p_value"]
    return tables | {"mcnemar": pd.DataFrame(rows, columns=columns)}


def _stack(found: dict, table_of) -> pd.DataFrame:
    return pd.concat([table_of(table).assign(**dict(zip(RUN, key))) for key, table in found.items()], ignore_index=True)


def _auc(test: pd.DataFrame, name: str) -> float:
    is_class = (test["true_class"] == name).to_numpy()
    return float(roc_auc_score(is_class, test[name])) if 0 < is_class.sum() < len(test) else np.nan


def _weighted_auc(test: pd.DataFrame) -> float:
    support = test["true_class"].value_counts()
    scores = pd.Series({name: _auc(test, name) for name in support.index}).dropna()
    return float(np.average(scores, weights=support[scores.index])) if len(scores) else np.nan
