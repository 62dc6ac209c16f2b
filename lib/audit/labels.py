"""Which labels look wrong to classifiers that did not train on them, and how often the official diagnosis agrees?

Confident learning (Northcutt, Jiang & Chuang, Journal of Artificial Intelligence Research 70:1373, 2021) by cleanlab,
on the out-of-fold probabilities that training saved. It knows nothing of the metadata, which then judge it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from statsmodels.stats.proportion import proportion_confint

from lib.audit.contents import disagrees
from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.predictions import class_columns, load_predictions

PROTOCOL, PHASE = "by_lesion", "transfer"  # labels as filed, lesions on one side; all folds are trained
RANKED = [
    *("source", "image_id", "group", "class", "suggested", "p_given", "p_suggested", "quality", "issue"),
    *("rank", "rank_in_class", "diagnosis", "contradicted", "kind"),
]
PRECISION = [
    *("class", "images", "contradicted", "base_rate", "k", "hits", "precision", "precision_low", "precision_high"),
    *("lift", "p_value"),
]


def label_errors(paths: StudyPaths, study: Study) -> dict:
    """Ranked label errors of the data set, and how many the official diagnosis confirms.

    Uses the originals' out-of-fold predictions under `by_lesion`, which leaves labels as filed and keeps all images of
    a known lesion on one side: the scenario with most classes, frozen backbones (all folds), the study's first
    preprocessing. Probabilities are averaged over backbones and seeds, since an average errs less than one of them.

    Returns ranked (RANKED columns, likeliest error first), precision (see `precision_at_k`), backbones (those averaged)
    and reason: why nothing was tested, with empty tables; else "".
    """
    scenario = max(scenarios(), key=lambda name: len(scenarios()[name].classes))
    cell = (PROTOCOL, study.preprocessings[0], scenario)
    frames = {name: load_predictions(paths, *cell, name, PHASE, study.seeds) for name in study.backbones}
    frames = {name: rows[(rows["part"] == "test") & (rows["view"] == 0)] for name, rows in frames.items() if len(rows)}
    if not frames:
        empty = {"ranked": pd.DataFrame(columns=RANKED), "precision": pd.DataFrame(columns=PRECISION), "backbones": []}
        return empty | {"reason": f"no predictions of {scenario} under {PROTOCOL}, which leaves labels as filed"}
    together = pd.concat(frames.values(), ignore_index=True)
    classes = class_columns(together)
    columns = dict.fromkeys(("image_id", "group", "true_class"), "first") | dict.fromkeys(classes, "mean")
    images = together.groupby("source", as_index=False).agg(columns).rename(columns={"true_class": "class"})
    if paths.image_index.is_file():
        known = pd.read_parquet(paths.image_index).groupby("source")["diagnosis"].first()
        images["diagnosis"] = images["source"].map(known).fillna("")
    ranked = rank_label_errors(images[classes].to_numpy(float), classes, images)
    return {"ranked": ranked, "precision": precision_at_k(ranked), "backbones": list(frames), "reason": ""}


def rank_label_errors(probabilities: np.ndarray, classes: Sequence[str], images: pd.DataFrame) -> pd.DataFrame:
    """Every image with how well its label fits, the likeliest label error first.

    Takes float [n, classes] of models that did not train on the image, columns in the order of `classes`, and images
    row by row: source, image_id, group, class and, where known, diagnosis (official code or "").

    Returns:
        RANKED columns. `quality`: probability of the given label relative to the best other one, 0..1 (cleanlab's
        normalized margin); `issue`: what confident learning calls an error; `contradicted`: the diagnosis does not
        allow the label (None without one); `kind`: "label error confirmed", "hard image" (an issue whose label the
        diagnosis allows), "label error not found", "label confirmed" or "no diagnosis".
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    filed = [name for name in classes if name in set(images["class"])]
    probabilities = probabilities[:, [list(classes).index(name) for name in filed]]
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 leaves rounding errors
    labels, rows = images["class"].map(filed.index).to_numpy(), np.arange(len(images))
    others = probabilities.copy()
    others[rows, labels] = -1
    diagnosis = images["diagnosis"].fillna("") if "diagnosis" in images else pd.Series("", index=images.index)
    contradicted = disagrees(images.assign(diagnosis=diagnosis))
    issue = find_label_issues(labels, probabilities, n_jobs=1)
    kind = np.where(issue, "hard image", "label confirmed").astype(object)
    kind[contradicted] = np.where(issue, "label error confirmed", "label error not found")[contradicted]
    table = images[["source", "image_id", "group", "class"]].assign(
        suggested=np.array(filed)[others.argmax(axis=1)],
        p_given=probabilities[rows, labels],
        p_suggested=others.max(axis=1),
        quality=get_label_quality_scores(labels, probabilities, method="normalized_margin"),
        issue=issue,
        diagnosis=diagnosis,
        contradicted=pd.array(np.where(diagnosis == "", None, contradicted), dtype="boolean"),
        kind=np.where(diagnosis == "", "no diagnosis", kind),
    )
    table = table.sort_values(["quality", "source"], ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table["rank_in_class"] = table.groupby("class").cumcount() + 1
    return table[RANKED]


def precision_at_k(ranked: pd.DataFrame, ks: Sequence[int] = (10, 25, 50, 100, 200)) -> pd.DataFrame:
    """How many of the k likeliest label errors the official diagnosis confirms, against a random order.

    Only images with a diagnosis count: the others can be neither confirmed nor refuted. PRECISION columns, one row per
    (class or "all", k), k up to the number of images, and one with k = the number of contradicted labels (there
    precision is recall too); k = 0 where none or all are contradicted. precision_low and _high: Wilson, 95 %; lift:
    precision over base rate; p_value: hypergeometric, as many hits or more in a random order.
    """
    known = ranked[ranked["diagnosis"] != ""]
    rows = []
    for name, part in [("all", known), *known.groupby("class")]:
        wrong = part.sort_values("rank")["contradicted"].to_numpy(bool)
        total, images = int(wrong.sum()), len(wrong)
        of_class = {"class": name, "images": images, "contradicted": total}
        of_class["base_rate"] = total / images if images else np.nan
        if total in (0, images):
            rows.append(of_class | {"k": 0, "hits": 0})
            continue
        for k in sorted({*(k for k in ks if k < images), total}):
            hits = int(wrong[:k].sum())
            low, high = proportion_confint(hits, k, method="wilson")
            row = {"k": k, "hits": hits, "precision": hits / k, "precision_low": low, "precision_high": high}
            row["lift"] = row["precision"] / of_class["base_rate"]
            row["p_value"] = float(hypergeom.sf(hits - 1, images, total, k))
            rows.append(of_class | row)
    return pd.DataFrame(rows, columns=PRECISION)
