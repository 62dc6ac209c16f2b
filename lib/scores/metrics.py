"""The scores of Tables I to IV (equations 10 to 13 of the paper), the same on external images, and McNemar's test."""

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from lib.scores.estimates import estimate
from lib.scores.outcomes import MODEL, class_columns, select_models
from lib.scores.resampling import Estimate, difference_of_independent

PAIR = ["only_proposed", "only_baseline", "statistic", "p_value"]
SCORES = [
    *(*MODEL, "seeds", "folds", "n_test", "groups", "val_accuracy"),
    *("test_accuracy", "test_accuracy_low", "test_accuracy_high", "repetition_low", "repetition_high"),
    *("precision", "recall", "f1", "balanced_accuracy", "roc_auc"),
]
INTERVAL = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
EXTERNAL = [
    *(*MODEL, "seeds", "images", "groups", "accuracy", "low", "high", "balanced_accuracy", "precision", "recall", "f1"),
    *("roc_auc", "own_accuracy", "own_low", "own_high", "own_balanced_accuracy"),
    *("difference", "difference_low", "difference_high"),
]


def model_scores(outcomes: pd.DataFrame, protocols: Sequence[str], part: str = "test") -> pd.DataFrame:
    """The scores of every model of a scenario, over all its folds and seeds.

    Args:
        outcomes: of one scenario and preprocessing.
        part: test, or external.

    Returns:
        SCORES, fractions of 1, one row per model: accuracy (equation 10) with the 95 % interval of its mean, for a new
        data set of this size (external: for other external images), and that of one more run like the paper's;
        precision, recall and F1 (11 to 13) weighted by support, as the paper's are; balanced accuracy; ROC-AUC (one
        against the rest, weighted by support). n_test counts each view once.
    """
    rows = []
    for key, tested in select_models(outcomes, protocols, part).items():
        accuracy = estimate(tested)
        mean, again = accuracy.interval(new_data=part == "test"), accuracy.repetition()
        row = dict(zip(MODEL, key)) | accuracy.counts | dict(zip(INTERVAL, astuple(mean)))
        row |= {"n_test": accuracy.images, "repetition_low": again.low, "repetition_high": again.high}
        labels = tested["truth"], tested["predicted_class"]
        weighted = precision_recall_fscore_support(*labels, average="weighted", zero_division=0)
        row |= dict(zip(("precision", "recall", "f1"), weighted))
        rows.append(row | {"balanced_accuracy": balanced_accuracy_score(*labels), "roc_auc": _weighted_auc(tested)})
    table = pd.DataFrame(rows, columns=SCORES)
    if part == "test":
        validated = {key: rows["correct"].mean() for key, rows in select_models(outcomes, protocols, "val").items()}
        table["val_accuracy"] = [validated.get(key, np.nan) for key in table[MODEL].itertuples(index=False, name=None)]
    return table


def external_scores(external: pd.DataFrame, own: pd.DataFrame, protocols: Sequence[str]) -> pd.DataFrame:
    """The models of one scenario on external images: another camera, other people, in no training.

    Only the first fold's weights are kept of a run, so an accuracy is that of one model per seed, trained on eight
    tenths, and its interval covers other external images, not other trainings. Nothing pairs these images with those of
    the data set, so the difference has Newcombe's interval, of this one and that of the accuracy on the data set.

    Args:
        external: their outcomes on external images; may be empty.
        own: `model_scores` of the same models on the data set.

    Returns:
        EXTERNAL, fractions of 1, one row per model: on external images, the same on the data set (`own_`), and the
        difference; low and high are 95 % intervals.
    """
    table = model_scores(external, protocols, "external").rename(columns={"n_test": "images"})
    table = table.rename(columns=dict(zip(INTERVAL, ("accuracy", "low", "high"))))
    ours = own.set_index(MODEL)[[*INTERVAL, "balanced_accuracy"]]
    names = ["own_accuracy", "own_low", "own_high", "own_balanced_accuracy"]
    table = table.join(ours.set_axis(names, axis=1), on=MODEL)
    pairs = table[["accuracy", "low", "high", *names[:3]]].to_numpy(float)
    steps = [difference_of_independent(Estimate(*pair[:3]), Estimate(*pair[3:])) for pair in pairs]
    return table.join(pd.DataFrame(map(astuple, steps), columns=EXTERNAL[-3:]))[EXTERNAL]


def class_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """class, precision, recall, f1, support and one-against-the-rest roc_auc of the rows of one model."""
    classes = class_columns(rows)
    scores = precision_recall_fscore_support(rows["truth"], rows["predicted_class"], labels=classes, zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), scores)))
    table.insert(0, "class", classes)
    return table.assign(roc_auc=[_auc(rows, name) for name in classes])


def confusion(rows: pd.DataFrame) -> pd.DataFrame:
    """How many images of each class are taken for which: true classes in rows, in the scenario's order."""
    classes = class_columns(rows)
    counts = confusion_matrix(rows["truth"], rows["predicted_class"], labels=classes)
    index, columns = pd.Index(classes, name="true_class"), pd.Index(classes, name="predicted_class")
    return pd.DataFrame(counts, index=index, columns=columns)


def compare(proposed: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float]:
    """McNemar's exact test of two models, of one seed each, on the views that both were tested on.

    Returns:
        n, how many images only one of them gets right, the statistic (the smaller count) and the two-sided p-value.

    Raises:
        ValueError: the two have no test image in common.
    """
    pair = [rows.set_index("row")["correct"].astype(bool) for rows in (proposed, baseline)]
    common = pair[0].index.intersection(pair[1].index)
    if common.empty:
        raise ValueError("McNemar's test needs two models tested on the same images; evaluate both under one protocol")
    first, second = (right[common].to_numpy() for right in pair)
    only = int((first & ~second).sum()), int((second & ~first).sum())
    result = mcnemar([[0, only[0]], [only[1], 0]], exact=True)
    return {"n": len(common)} | dict(zip(PAIR, (*only, float(result.statistic), float(result.pvalue))))


def compare_with_proposed(outcomes: pd.DataFrame, protocols: Sequence[str], proposed: str) -> pd.DataFrame:
    """McNemar's test of every baseline against the paper's own model, one row per baseline and seed.

    Returns:
        protocol, phase, seed, baseline, proposed, n, then PAIR.
    """
    models = select_models(outcomes, protocols)
    rows = []
    for (protocol, phase, backbone), tested in models.items():
        own = models.get((protocol, phase, proposed))
        if own is None or backbone == proposed:
            continue
        for seed, one in tested.groupby("seed"):
            row = {"protocol": protocol, "phase": phase, "seed": seed, "baseline": backbone, "proposed": proposed}
            rows.append(row | compare(own[own["seed"] == seed], one))
    return pd.DataFrame(rows, columns=["protocol", "phase", "seed", "baseline", "proposed", "n", *PAIR])


def _auc(rows: pd.DataFrame, name: str) -> float:
    is_class = (rows["truth"] == name).to_numpy()
    return float(roc_auc_score(is_class, rows[name])) if 0 < is_class.sum() < len(rows) else np.nan


def _weighted_auc(rows: pd.DataFrame) -> float:
    support = rows["truth"].value_counts()
    scores = pd.Series({name: _auc(rows, name) for name in support.index}).dropna()
    return float(np.average(scores, weights=support[scores.index])) if len(scores) else np.nan
