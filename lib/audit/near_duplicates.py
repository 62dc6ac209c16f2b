"""Which pictures are nearly the same although their perceptual hashes differ?

This lists the pairs that are as similar in their features as those that the hash finds, such as two photographs of one
lesion, or a rotated copy. Known lesions say how often either is right. Groups are not changed by it.
"""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.duplicates import rotated_and_mirrored
from lib.data.index import thumbnail

SHARE = 0.9  # of the hash's own pairs are at least as similar as the threshold, which is set without lesions or labels
NEIGHBOURS = 20  # compared with each picture
PAIRS = [
    *("first", "second", "class_first", "class_second", "similarity", "difference", "looks_alike"),
    *("same_class", "same_lesion", "same_group"),
]
RECALL = ["found_by", "pairs", "both_lesions_known", "one_lesion", "pairs_of_known_lesions", "recall"]


def near_duplicate_recall(paths: StudyPaths, study: Study) -> dict:
    """The pairs that features find and the hash misses, and how many pairs of known lesions each finds.

    Each content counts once, by its first file. The similarity of two is the cosine of their features, averaged
    over the backbones, which errs less than any one; SHARE of the pairs confirmed by hash and pixels reach `threshold`.

    Returns:
        pairs: PAIRS columns, the most similar first; difference is `least_difference` of pixels, looks_alike whether it
        is at most `near_duplicate_difference`, same_lesion None where one is not known. recall: RECALL columns, one row
        each for the hash, the features and either. threshold, hash_pairs, backbones; reason why nothing was compared.
    """
    nothing = {"pairs": pd.DataFrame(columns=PAIRS), "recall": pd.DataFrame(columns=RECALL), "backbones": []}
    nothing |= {"threshold": np.nan, "hash_pairs": 0}
    features = {name: paths.features(study.preprocessings[0], name) for name in study.backbones}
    features = {name: path for name, path in features.items() if path.is_file()}
    if not features or not paths.views.is_file():
        return nothing | {"reason": "no backbone has features"}
    views = pd.read_parquet(paths.views, columns=["source", "view"])
    originals = views[views["view"] == 0].reset_index(names="row")[["source", "row"]]
    files = pd.read_parquet(paths.image_index).drop_duplicates("content").merge(originals, on="source")
    near, lesion = files["near_group"].to_numpy(), files["lesion_id"].to_numpy()
    by_hash = _pairs_within(near)
    if not len(by_hash):
        return nothing | {"reason": "the hash finds no pair of different pictures, which would set the threshold"}
    unit = unit_rows([np.load(path, mmap_mode="r", allow_pickle=False)[files["row"]] for path in features.values()])
    chunks = np.array_split(by_hash, len(by_hash) // 1024 + 1)
    similar = np.concatenate([(unit[one] * unit[other]).sum(axis=1) for one, other in (pairs.T for pairs in chunks)])
    threshold = float(np.quantile(similar, 1 - SHARE))
    by_features, similarity = nearest_pairs(unit)
    by_features, similarity = by_features[similarity >= threshold], similarity[similarity >= threshold]
    missed = near[by_features[:, 0]] != near[by_features[:, 1]]
    pairs = _describe(paths, files, by_features[missed], similarity[missed], study.near_duplicate_difference)
    known, total = lesion != "", _count_within(lesion[lesion != ""])
    of_hash = _count_within(near), _count_within(near[known]), _count_within(near[known], lesion[known])
    either = np.add(of_hash, _count(by_features[missed], lesion)).tolist()
    found = {"perceptual hash": of_hash, "features": _count(by_features, lesion), "either": either}
    recall = [(name, *counts, total, counts[2] / total if total else np.nan) for name, counts in found.items()]
    result = {"pairs": pairs, "recall": pd.DataFrame(recall, columns=RECALL), "backbones": list(features)}
    return result | {"threshold": threshold, "hash_pairs": of_hash[0], "reason": ""}


def unit_rows(features: list[np.ndarray]) -> np.ndarray:
    """Features of all backbones, each [n, channels], side by side in float32: the product of two rows is the mean of
    the backbones' cosines."""
    norms = [np.linalg.norm(one, axis=1, keepdims=True).clip(1e-12) * len(features) ** 0.5 for one in features]
    return np.hstack([np.asarray(one / norm, np.float32) for one, norm in zip(features, norms)])


def nearest_pairs(unit: np.ndarray, count: int = NEIGHBOURS) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of pictures of which one is among the `count` nearest of the other by `unit_rows`, each once, the most
    similar first: int [pairs, 2], the smaller row first, and the mean cosine similarity."""
    search = NearestNeighbors(n_neighbors=min(count, len(unit) - 1), metric="cosine", algorithm="brute")
    distances, others = search.fit(unit).kneighbors()  # of the rows themselves: none is its own neighbour
    rows = np.repeat(np.arange(len(unit)), others.shape[1])
    table = pd.DataFrame({"first": np.minimum(rows, others.ravel()), "second": np.maximum(rows, others.ravel())})
    table = table.assign(similarity=1 - distances.ravel()).drop_duplicates(["first", "second"])
    table = table.sort_values(["similarity", "first", "second"], ascending=[False, True, True])
    return table[["first", "second"]].to_numpy(), table["similarity"].to_numpy()


def least_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference of two grey squares, 0..255, least over the rotations and reflections of the second."""
    return min(float(np.abs(first.astype(np.int16) - picture).mean()) for picture in rotated_and_mirrored(second))


def _pairs_within(groups: np.ndarray) -> np.ndarray:
    """Pairs of rows of one group, int [k, 2]: each row with the next NEIGHBOURS of its group."""
    order = np.argsort(groups, kind="stable")
    pairs = np.concatenate([np.column_stack([order[:-n], order[n:]]) for n in range(1, NEIGHBOURS + 1)])
    return pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]]]


def _count_within(*groups: np.ndarray) -> int:
    """The number of pairs of rows that are in one group by all of these."""
    sizes = pd.DataFrame(np.column_stack(groups)).value_counts()
    return int((sizes * (sizes - 1) // 2).sum())


def _count(pairs: np.ndarray, lesion: np.ndarray) -> tuple[int, int, int]:
    """Pairs; those whose lesions are both known; those of one lesion."""
    first, second = lesion[pairs.T]
    known = (first != "") & (second != "")
    return len(pairs), int(known.sum()), int((known & (first == second)).sum())


def _describe(
    paths: StudyPaths, files: pd.DataFrame, pairs: np.ndarray, similarity: np.ndarray, difference: float
) -> pd.DataFrame:
    images = np.load(paths.images, mmap_mode="r", allow_pickle=False)
    small = {number: thumbnail(images[files["row"].iloc[number]]) for number in np.unique(pairs).tolist()}
    one, other = (files.iloc[side].reset_index(drop=True) for side in pairs.T)
    known = (one["lesion_id"] != "") & (other["lesion_id"] != "")
    table = pd.DataFrame({"first": one["source"], "second": other["source"]})
    table = table.assign(class_first=one["class"], class_second=other["class"], similarity=similarity)
    table["difference"] = [least_difference(small[a], small[b]) for a, b in pairs.tolist()]
    return table.assign(
        looks_alike=table["difference"] <= difference,
        same_class=one["class"] == other["class"],
        same_lesion=pd.array(np.where(known, one["lesion_id"] == other["lesion_id"], None), dtype="boolean"),
        same_group=one["group"] == other["group"],
    )[PAIRS]
