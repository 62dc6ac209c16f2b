"""Which pictures are nearly the same though the perceptual hash does not say so?

The hash finds copies that were compressed, scaled or lightened. Two photographs of one lesion, or a turned copy, have
other hashes. What the frozen networks make of the pictures tells more: here are the pairs that are as near to each
other in their features as those are that the hash finds. The known lesions say how often either is right. Nothing is
regrouped by it: the list is for a look.
"""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.duplicates import turned
from lib.data.index import thumbnail

# Of the hash's own pairs so many are at least as similar as the threshold, which is set without lesions or labels.
SHARE = 0.9
NEIGHBOURS = 20  # of each picture that are looked at
PAIRS = [
    *("first", "second", "class_first", "class_second", "similarity", "difference", "looks_alike"),
    *("same_class", "same_lesion", "same_group"),
]
RECALL = ["found_by", "pairs", "both_lesions_known", "one_lesion", "pairs_of_known_lesions", "recall"]


def near_duplicate_recall(paths: StudyPaths, study: Study) -> dict:
    """The pairs that features find and the hash misses, and how many pairs of known lesions each finds.

    Pictures are compared, not files: each content counts once, by its first file. The similarity of two pictures is the
    cosine of their features, averaged over the study's backbones, which errs less than any one of them; the threshold
    is the similarity that SHARE of the pairs confirmed by hash and pixels reach.

    Returns:
        pairs: PAIRS columns, the most similar first: files, their classes, similarity (-1..1), mean absolute difference
        of pixels (grey levels, the least over the eight ways to turn and mirror the second), whether that is at most
        `near_duplicate_difference`, and whether class, lesion (None where one is not known) and group are the same.
        recall: RECALL columns, a row for the hash, the features and either: pairs found; of these, those whose lesions
        are both known, and those of one lesion; all pairs of one lesion, and the share found.
        threshold, hash_pairs, backbones; reason: why nothing was compared, "" where it was.
    """
    nothing = {"pairs": pd.DataFrame(columns=PAIRS), "recall": pd.DataFrame(columns=RECALL), "backbones": []}
    nothing |= {"threshold": np.nan, "hash_pairs": 0}
    found = {name: paths.features(study.preprocessings[0], name) for name in study.backbones}
    found = {name: path for name, path in found.items() if path.is_file()}
    if not found or not paths.views.is_file():
        return nothing | {"reason": "no backbone has features"}
    files = _pictures(paths)
    features = unit_rows([np.load(path, mmap_mode="r", allow_pickle=False)[files["row"]] for path in found.values()])
    first, second, similarity = neighbours(features)
    near, lesion = files["near_group"].to_numpy(), files["lesion_id"].to_numpy()
    by_hash = _pairs_within(near)
    if not len(by_hash):
        return nothing | {"reason": "the hash finds no pair of different pictures, which would set the threshold"}
    one, other = by_hash.T
    threshold = float(np.quantile((features[one] * features[other]).sum(axis=1), 1 - SHARE))
    by_features = np.column_stack([first, second])[similarity >= threshold]
    missed = near[first] != near[second]
    missed &= similarity >= threshold
    pairs = _described(paths, files, first[missed], second[missed], similarity[missed], study)
    ways = {"perceptual hash": by_hash, "features": by_features, "either": np.vstack([by_hash, by_features])}
    same = len(_pairs_within(lesion))
    recall = pd.DataFrame([_recall(name, np.unique(way, axis=0), lesion, same) for name, way in ways.items()])
    told = {"threshold": threshold, "hash_pairs": len(by_hash), "backbones": list(found), "reason": ""}
    return {"pairs": pairs, "recall": recall[RECALL]} | told


def unit_rows(features: list[np.ndarray]) -> np.ndarray:
    """Features of all backbones side by side, float32 [n, channels], scaled so that the product of two rows is the mean
    of the backbones' cosines.

    Args:
        features: of each backbone, float [n, channels].
    """
    norms = [np.linalg.norm(one, axis=1, keepdims=True).clip(1e-12) * len(features) ** 0.5 for one in features]
    return np.hstack([np.asarray(one / norm, np.float32) for one, norm in zip(features, norms)])


def neighbours(features: np.ndarray, count: int = NEIGHBOURS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of pictures of which one is among the `count` nearest of the other.

    Args:
        features: what `unit_rows` gives.

    Returns:
        first, second (int, first < second, each pair once) and the mean over backbones of their cosine similarity.
    """
    search = NearestNeighbors(n_neighbors=min(count, len(features) - 1), metric="cosine", algorithm="brute")
    distances, others = search.fit(features).kneighbors()  # of the rows themselves: none is its own neighbour
    rows = np.repeat(np.arange(len(features)), others.shape[1])
    table = pd.DataFrame({"first": np.minimum(rows, others.ravel()), "second": np.maximum(rows, others.ravel())})
    table = table.assign(similarity=1 - distances.ravel()).drop_duplicates(["first", "second"])
    table = table.sort_values(["similarity", "first", "second"], ascending=[False, True, True])
    return tuple(table[column].to_numpy() for column in table)


def turned_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference, the least over the eight ways to turn and mirror the second; grey [s, s], 0..255."""
    return min(float(np.abs(first.astype(np.int16) - picture).mean()) for picture in turned(second))


def _pictures(paths: StudyPaths) -> pd.DataFrame:
    """A row a content: its first file as audit/images.parquet has it, and the row of that file in the pool."""
    views = pd.read_parquet(paths.views, columns=["source", "view"])
    rows = pd.Series(views.index, index=views["source"])[(views["view"] == 0).to_numpy()]
    files = pd.read_parquet(paths.image_index).drop_duplicates("content")
    files = files.assign(row=files["source"].map(rows))
    return files.dropna(subset="row").astype({"row": int}).reset_index(drop=True)


def _pairs_within(groups: np.ndarray) -> np.ndarray:
    """All pairs of rows of one group, int [k, 2], first < second; the group "" is none."""
    rows = pd.Series(np.arange(len(groups))).groupby(groups).agg(list)
    found = [(a, b) for name, of in rows.items() if name != "" for i, a in enumerate(of) for b in of[i + 1 :]]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _recall(name: str, pairs: np.ndarray, lesion: np.ndarray, same: int) -> dict:
    a, b = lesion[pairs[:, 0]], lesion[pairs[:, 1]]
    known = (a != "") & (b != "")
    right = int((known & (a == b)).sum())
    row = {"found_by": name, "pairs": len(pairs), "both_lesions_known": int(known.sum()), "one_lesion": right}
    return row | {"pairs_of_known_lesions": same, "recall": right / same if same else np.nan}


def _described(paths: StudyPaths, files: pd.DataFrame, first, second, similarity, study: Study) -> pd.DataFrame:
    images = np.load(paths.images, mmap_mode="r", allow_pickle=False)
    needed = {row: thumbnail(images[files["row"].iloc[row]]) for row in {*first.tolist(), *second.tolist()}}
    one, other = files.iloc[first].reset_index(drop=True), files.iloc[second].reset_index(drop=True)
    difference = np.array([turned_difference(needed[a], needed[b]) for a, b in zip(first, second)])
    known = (one["lesion_id"] != "") & (other["lesion_id"] != "")
    same_lesion = np.where(known, one["lesion_id"] == other["lesion_id"], None)
    return pd.DataFrame(
        {
            "first": one["source"],
            "second": other["source"],
            "class_first": one["class"],
            "class_second": other["class"],
            "similarity": similarity,
            "difference": difference,
            "looks_alike": difference <= study.near_duplicate_difference,
            "same_class": one["class"] == other["class"],
            "same_lesion": pd.array(same_lesion, dtype="boolean"),
            "same_group": one["group"] == other["group"],
        }
    )[PAIRS]
