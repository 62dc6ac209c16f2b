"""Which labels look wrong to a classifier that never saw them, and how often the official diagnosis agrees.

Confident learning (Northcutt, Jiang & Chuang, Journal of Artificial Intelligence Research 70:1373, 2021) by cleanlab,
on cross-validated probabilities from cached features. It knows nothing of the metadata, which then judge it.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.proportion import proportion_confint

from lib.audit.contents import disagrees
from lib.config import Study, StudyPaths

RANKED = [
    *("source", "image_id", "group", "class", "suggested", "p_given", "p_suggested", "quality", "issue"),
    *("rank", "rank_in_class", "diagnosis", "contradicted", "kind"),
]


def label_errors(paths: StudyPaths, study: Study, seed: int = 0) -> dict:
    """Ranked label errors of the data set, from the cached features that are there, and how many are confirmed.

    Uses the images themselves (view 0) under a protocol that leaves labels as they are (`grouped`, else `published`)
    with the study's first preprocessing and the first backbone whose features were extracted.

    Returns:
        ranked: RANKED columns, likeliest error first; precision: see `precision_at_k`; features: which were used;
        reason: why nothing was tested, "" where it was (then `ranked` and `precision` are empty tables).
    """
    nothing = {"ranked": pd.DataFrame(columns=RANKED), "precision": precision_at_k(pd.DataFrame(columns=RANKED))}
    preprocessing = study.preprocessings[0]
    for protocol in ("grouped", "published"):
        for backbone in study.backbones:
            file = paths.features(protocol, preprocessing, backbone)
            if file.is_file() and paths.index(protocol).is_file():
                index = pd.read_parquet(paths.index(protocol))
                originals = np.flatnonzero(index["view"] == 0)
                features = np.load(file, mmap_mode="r", allow_pickle=False)[originals]
                labels = index.iloc[originals].reset_index(drop=True)
                if paths.image_index.is_file():
                    known = pd.read_parquet(paths.image_index).set_index("source")["diagnosis"]
                    labels["diagnosis"] = labels["source"].map(known).fillna("")
                ranked = rank_label_errors(features, labels, seed=seed)
                return {
                    "ranked": ranked,
                    "precision": precision_at_k(ranked),
                    "features": f"features/{protocol}/{preprocessing}/{backbone}",
                    "reason": "",
                }
    reason = "no features under a protocol that leaves labels as they are (grouped or published)"
    return nothing | {"features": "", "reason": reason}


def rank_label_errors(features: np.ndarray, images: pd.DataFrame, folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Every image with how well its label fits, the likeliest label error first.

    Args:
        features: float [n, channels].
        images: row i = features[i]: source, image_id, group, class and, where known, diagnosis (official code or "").

    Returns:
        RANKED columns. `quality`: cross-validated probability of the given label relative to the best other one, 0..1
        (cleanlab's normalized margin); `issue`: what confident learning calls an error; `contradicted`: the
        diagnosis does not allow the label (None without one); `kind`: "label error confirmed", "hard image" (an
        issue whose label the diagnosis allows), "label error not found", "label confirmed" or "no diagnosis".
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels, classes = pd.factorize(images["class"], sort=True)
    probabilities = cross_validated_probabilities(features, labels, images["group"].to_numpy(), folds, seed)
    quality = get_label_quality_scores(labels, probabilities, method="normalized_margin")
    issue = find_label_issues(labels, probabilities, n_jobs=1)
    diagnosis = images["diagnosis"].fillna("") if "diagnosis" in images else pd.Series("", index=images.index)
    contradicted = disagrees(images.assign(diagnosis=diagnosis))
    table = images[["source", "image_id", "group", "class"]].assign(
        suggested=classes[_best_other(labels, probabilities)],
        p_given=probabilities[np.arange(len(labels)), labels],
        p_suggested=np.take_along_axis(probabilities, _best_other(labels, probabilities)[:, None], axis=1)[:, 0],
        quality=quality,
        issue=issue,
        diagnosis=diagnosis,
        contradicted=pd.array(np.where(diagnosis == "", None, contradicted), dtype="boolean"),
    )
    names = {(True, True): "label error confirmed", (True, False): "hard image"}
    names |= {(False, True): "label error not found", (False, False): "label confirmed"}
    known = [names[found, wrong] for found, wrong in zip(issue, contradicted)]
    table["kind"] = np.where(diagnosis == "", "no diagnosis", known)
    table = table.sort_values(["quality", "source"], ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table["rank_in_class"] = table.groupby("class").cumcount() + 1
    return table[RANKED]


def cross_validated_probabilities(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Probabilities of a regularised logistic regression for images whose group it was not trained on.

    Args:
        features: float [n, channels]; labels: int [n], 0..classes-1; groups: [n], never split between folds.

    Returns:
        float64 [n, classes], rows adding up to 1; a class that a fold's training part lacks gets 0.
    """
    probabilities = np.zeros((len(labels), labels.max() + 1))
    splits = StratifiedGroupKFold(n_splits=min(folds, len(np.unique(groups))), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # then it is in fewer folds, no more
        parts = list(splits.split(features, labels, groups))
    for train, test in parts:
        # strong regularisation: there are about as many channels as training images
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        model.fit(features[train], labels[train])
        probabilities[np.ix_(test, model.classes_)] = model.predict_proba(features[test])
    return probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 features leave rounding errors


def precision_at_k(ranked: pd.DataFrame, ks: Sequence[int] = (10, 25, 50, 100, 200)) -> pd.DataFrame:
    """How many of the k likeliest label errors the official diagnosis confirms, against drawing at random.

    Only images with a diagnosis count: the others can be neither confirmed nor refuted.

    Returns:
        A row a (class or "all", k), k up to the number of images, and one with k = the number of contradicted labels
        (there precision is recall too); where none or all are contradicted there is nothing to rank: one row with
        k = 0. Columns: class, images, contradicted, base_rate, k, hits, precision, precision_low,
        precision_high (Wilson, 95 %), lift (precision over base rate), p_value (hypergeometric: as many hits or more
        at random).
    """
    columns = ["class", "images", "contradicted", "base_rate", "k", "hits", "precision", "precision_low"]
    columns += ["precision_high", "lift", "p_value"]
    if ranked.empty:
        return pd.DataFrame(columns=columns)
    known = ranked[ranked["diagnosis"] != ""]
    rows = []
    for name, part in [("all", known), *known.groupby("class")]:
        wrong = part.sort_values("rank")["contradicted"].to_numpy(bool)
        total = int(wrong.sum())
        about = {"class": name, "images": len(wrong), "contradicted": total}
        about["base_rate"] = total / len(wrong) if len(wrong) else np.nan
        if total in (0, len(wrong)):
            rows.append(about | {"k": 0, "hits": 0})
            continue
        for k in sorted({*(k for k in ks if k < len(wrong)), total}):
            hits = int(wrong[:k].sum())
            low, high = proportion_confint(hits, k, method="wilson")
            row = {"k": k, "hits": hits, "precision": hits / k, "precision_low": low, "precision_high": high}
            row["lift"] = row["precision"] / about["base_rate"]
            row["p_value"] = float(hypergeom.sf(hits - 1, len(wrong), total, k))
            rows.append(about | row)
    return pd.DataFrame(rows, columns=columns)


def _best_other(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The likeliest class other than the given one, int [n]."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    return others.argmax(axis=1)
