"""The views whose features lie nearest to those of an image, and whether they show the same file or lesion."""

import numpy as np
import pandas as pd

SAME_FILE, SAME_GROUP = "same file", "same lesion or copy"  # relations; "" where there is none
CHUNK = 256  # images that are compared with all views at once


def nearest_views(
    features: np.ndarray, views: pd.DataFrame, rows: np.ndarray, count: int = 1, unrelated: bool = False
) -> pd.DataFrame:
    """The views whose features have the largest cosine with those of some views.

    Args:
        features: float [views, channels].
        views: one row per view: source and group (prepared/views.parquet).
        rows: int [n], the views whose neighbours are wanted; none is its own neighbour.
        count: neighbours of each.
        unrelated: only views of other groups, which show other pictures and lesions.

    Returns:
        One row per neighbour, the nearest first: of (its view), row (the neighbour), similarity (-1..1), and relation
        (SAME_FILE, SAME_GROUP: a group is all files of one lesion with their copies and near-copies, or "").
    """
    # in double precision: features of a random network differ in the last digits of float32
    unit = np.array(features, np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True).clip(1e-300)
    group, source = (pd.factorize(views[column])[0] for column in ("group", "source"))
    tables = []
    for chunk in np.array_split(np.asarray(rows), -(-len(rows) // CHUNK) or 1):
        similarity = unit[chunk] @ unit.T
        similarity[np.arange(len(chunk)), chunk] = -np.inf
        if unrelated:
            similarity[group[chunk][:, None] == group] = -np.inf
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
        values = np.take_along_axis(similarity, nearest, axis=1)
        table = pd.DataFrame({"of": np.repeat(chunk, nearest.shape[1]), "row": nearest.ravel()})
        tables.append(table.assign(similarity=values.ravel()))
    table = pd.concat(tables, ignore_index=True)
    table = table[np.isfinite(table["similarity"])].reset_index(drop=True)
    of, row = table["of"].to_numpy(), table["row"].to_numpy()
    relation = np.where(source[of] == source[row], SAME_FILE, np.where(group[of] == group[row], SAME_GROUP, ""))
    return table.assign(relation=relation)


def nearest_neighbour_accuracy(features: np.ndarray, views: pd.DataFrame) -> dict[str, float]:
    """How often the nearest view has the class of an image: among all views, and among those of other groups.

    The difference is due to views of the same file, lesion or copy. Classes are those of the folders; each original
    (view 0) counts once.

    Args:
        features, views: as for `nearest_views`, with the columns class and view.
    """
    originals = np.flatnonzero(views["view"] == 0)
    label = views["class"].to_numpy()
    shares = {}
    for name, unrelated in (("nearest of all views", False), ("nearest of another lesion", True)):
        near = nearest_views(features, views, originals, unrelated=unrelated)
        shares[name] = float((label[near["row"]] == label[near["of"]]).sum() / len(originals))
    return shares
