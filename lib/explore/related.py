"""Which images belong to one image: the same picture, content or lesion, and those nearest to it in features?"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from lib.explore.opened import NOWHERE, Opened

METRICS = ("cosine", "euclidean")
NEIGHBOURS = 6
PARTS = ("train", "val", "test", NOWHERE)
# the closest first: (relation, column whose value both share, value that says nothing)
RELATIONS = (
    ("same picture", "source", None),
    ("same content", "content", ""),
    ("same lesion", "lesion_id", ""),
    ("near-duplicate", "near_group", -1),
    ("same group", "group", None),
)


def relations(subject: dict[str, Any], others: pd.DataFrame) -> pd.Series:
    """How each of `others` (rows of Opened.views) belongs to an image, by RELATIONS; "" where it does not.

    A group joins what shares content, near-duplicates and lesions, also by way of a third image.
    """
    found = pd.Series("", index=others.index)
    for name, column, unknown in reversed(RELATIONS):
        if subject[column] != unknown:
            found[others[column] == subject[column]] = name
    return found


def relatives(opened: Opened, subject: dict[str, Any]) -> pd.DataFrame:
    """The other views that belong to an image, with `relation` and their `part` in the fold of `subject`.

    Training views come first, then the closest relation. Views of classes that the scenario does not have are listed
    too, with NOWHERE.
    """
    kin = opened.views[opened.views["row"] != subject["row"]]
    kin = kin.assign(relation=relations(subject, kin))
    kin = kin[kin["relation"] != ""]
    parts = opened.pool(subject["fold"]).set_index("row")["part"]
    kin = kin.assign(part=parts.reindex(kin["row"]).fillna(NOWHERE).array)
    closest = {name: place for place, (name, _, _) in enumerate(RELATIONS)}
    kin = kin.assign(near=kin["relation"].map(closest), at=kin["part"].map(PARTS.index))
    kin = kin.sort_values(["at", "near", "source", "view"])
    return kin.drop(columns=["near", "at"]).reset_index(drop=True)


def nearest(
    features: np.ndarray, query: np.ndarray, pool: pd.DataFrame, metric: str, count: int = NEIGHBOURS, skip: int = -1
) -> pd.DataFrame:
    """The images of `pool` whose features are nearest to `query`, each file once, by its nearest view.

    Args:
        features: float32 [n, channels].
        query: float32 [channels].
        pool: rows of Opened.pool; `row` is the row in `features`.
        metric: `cosine` (1 - cosine of the angle) or `euclidean` distance.
        skip: the row of `features` that is the query itself; -1: none.

    Returns:
        At most `count` rows of `pool`, nearest first, with `distance`.
    """
    pool = pool[pool["row"] != skip]
    if pool.empty:
        return pool.assign(distance=[])
    # in double precision: a network with random weights tells images apart by the last digits of float32
    candidates = features[pool["row"].to_numpy()].astype(np.float64)
    distances = pairwise_distances(candidates, query[None].astype(np.float64), metric=metric)[:, 0]
    ordered = pool.assign(distance=distances).sort_values(["distance", "row"])
    return ordered.drop_duplicates("source").head(count).reset_index(drop=True)
