"""Which labels look wrong to classifiers that never saw them, and how often the official diagnosis agrees.

Confident learning (Northcutt, Jiang & Chuang, Journal of Artificial Intelligence Research 70:1373, 2021) by cleanlab,
on the out-of-fold probabilities that training saved. It knows nothing of the metadata, which then judge it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from statsmodels.stats.proportion import proportion_confint

from lib.audit.contents import disagrees
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.predictions import class_columns, out_of_fold

PROTOCOL, SCENARIO, PHASE = (
    "by_lesion",
    "nine_classes",
    "transfer",
)  # labels as filed, lesions on one side, all folds
RANKED = [
    *("source", "image_id", "group", "class", "suggested", "p_given", "p_suggested", "quality", "issue"),
    *("rank", "rank_in_class", "diagnosis", "contradicted", "kind"),
]


def label_errors(paths: StudyPaths, study: Study) -> dict:
    """Ranked label errors of the data set, and how many the official diagnosis confirms.

    Uses the originals' out-of-fold predictions under `by_lesion`, which leaves labels as filed and lets no model
    see another image of the lesion: nine classes, frozen backbones (all folds), the study's first preprocessing. The
    probabilities are averaged over the study's backbones and seeds, since an average errs less than any one of them.

    Returns:
        ranked: RANKED columns, likeliest error first; precision: see `precision_at_k`; backbones: those averaged;
        reason: why nothing was tested, "" where it was (then `ranked` and `precision` are empty tables).
    """
    frames = {}
    for backbone in study.backbones:
        cell = (PROTOCOL, study.preprocessings[0], SCENARIO, backbone, PHASE)
        frame = out_of_fold(paths, *cell, study.seeds, originals=True)
        if len(frame):
            frames[backbone] = frame
    if not frames:
        nothing = pd.DataFrame(columns=RANKED)
        reason = f"no predictions of {SCENARIO} under {PROTOCOL}, the protocol that leaves labels as they are filed"
        return {"ranked": nothing, "precision": precision_at_k(nothing), "backbones": [], "reason": reason}
    classes = class_columns(next(iter(frames.values())))
    together = pd.concat(frames.values(), ignore_index=True)
    columns = dict.fromkeys(("image_id", "group", "true_class"), "first") | dict.fromkeys(classes, "mean")
    images = together.groupby("source", as_index=False).agg(columns).rename(columns={"true_class": "class"})
    probabilities = images[classes].to_numpy(float)
    if paths.image_index.is_file():
        known = pd.read_parquet(paths.image_index).groupby("source")["diagnosis"].first()
        images["diagnosis"] = images["source"].map(known).fillna("")
    ranked = rank_label_errors(probabilities, classes, images)
    return {"ranked": ranked, "precision": precision_at_k(ranked), "backbones": list(frames), "reason": ""}


def rank_label_errors(probabilities: np.ndarray, classes: Sequence[str], images: pd.DataFrame) -> pd.DataFrame:
    """Every image with how well its label fits, the likeliest label error first.

    Args:
        probabilities: float [n, classes] of models that did not see the image, columns in the order of `classes`.
        images: row i = probabilities[i]: source, image_id, group, class and, where known, diagnosis (official code
            or ""). A class that no image is filed under is left out.

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
    labels = images["class"].map(filed.index).to_numpy()
    quality = get_label_quality_scores(labels, probabilities, method="normalized_margin")
    issue = find_label_issues(labels, probabilities, n_jobs=1)
    other = _best_other(labels, probabilities)
    rows = np.arange(len(labels))
    diagnosis = images["diagnosis"].fillna("") if "diagnosis" in images else pd.Series("", index=images.index)
    contradicted = disagrees(images.assign(diagnosis=diagnosis))
    table = images[["source", "image_id", "group", "class"]].assign(
        suggested=np.array(filed)[other],
        p_given=probabilities[rows, labels],
        p_suggested=probabilities[rows, other],
        quality=quality,
        issue=issue,
        diagnosis=diagnosis,
        contradicted=pd.array(np.where(diagnosis == "", None, contradicted), dtype="boolean"),
    )
    names = {(True, True): "label error confirmed", (True, False): "hard image"}
    names |= {(False, True): "label error not found", (False, False): "label confirmed"}
    known = [names[bool(looks_wrong), bool(wrong)] for looks_wrong, wrong in zip(issue, contradicted)]
    table["kind"] = np.where(diagnosis == "", "no diagnosis", known)
    table = table.sort_values(["quality", "source"], ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table["rank_in_class"] = table.groupby("class").cumcount() + 1
    return table[RANKED]


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
