"""The views whose features lie nearest to those of an image, and whether they show the same file or lesion."""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

SAME_FILE, SAME_GROUP = "same file", "same lesion or copy"  # relations, of source and group; "" where there is none


def nearest_views(
    features: np.ndarray, views: pd.DataFrame, rows: np.ndarray, count: int = 1, unrelated: bool = False
) -> pd.DataFrame:
    """The views whose features have the largest cosine with those of some views.

    Args:
        features: float [views, channels].
        views: one row per view: source and group (prepared/views.parquet).
        rows: int [n], the views whose `count` neighbours are wanted; none is its own neighbour.
        unrelated: only views of other groups, which show other pictures and lesions.

    Returns:
        One row per neighbour, the nearest first: of (its view), row (the neighbour), similarity (-1..1), and relation.
    """
    group, source = (pd.factorize(views[column])[0] for column in ("group", "source"))
    passed_by = np.bincount(group).max() if unrelated else 1  # views that may be nearer and are not wanted
    # in double precision: features of a random network differ in the last digits of float32
    unit = normalize(np.asarray(features, np.float64))
    search = NearestNeighbors(n_neighbors=min(count + passed_by, len(unit)), metric="cosine", algorithm="brute").fit(
        unit
    )
    distance, near = search.kneighbors(unit[rows])
    of, row = np.repeat(rows, near.shape[1]), near.ravel()
    relation = np.where(source[of] == source[row], SAME_FILE, np.where(group[of] == group[row], SAME_GROUP, ""))
    table = pd.DataFrame({"of": of, "row": row, "similarity": 1 - distance.ravel(), "relation": relation})
    table = table[(relation == "") if unrelated else (of != row)]
    return table.groupby("of", sort=False).head(count).reset_index(drop=True)


def nearest_neighbour_accuracy(features: np.ndarray, views: pd.DataFrame) -> dict[str, float]:
    """How often the nearest view has the class of an image: among all views, and among those of other groups.

    The difference is due to views of the same file, lesion or copy. Each original (view 0) counts once. Arguments are
    those of `nearest_views`, with the columns class (that of the folder) and view.
    """
    originals = np.flatnonzero(views["view"] == 0)
    label = views["class"].to_numpy()
    shares = {}
    for name, unrelated in (("nearest of all views", False), ("nearest of another lesion", True)):
        near = nearest_views(features, views, originals, unrelated=unrelated)
        shares[name] = float((label[near["row"]] == label[near["of"]]).sum() / len(originals))
    return shares
