"""The pool: every view that any protocol uses, each once. Protocols (lib.data.protocols) are tables over its rows.

The paper augments each class to one size; `benign_malignant` has a pool of its own, with sizes for its two classes. A
view that is in both pools is one row, so a backbone passes over it once.
"""

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.config.paper import MALIGNANT

POOLS = ("nine_classes", "two_classes")  # as in scenarios.yaml
VIEW_COLUMNS = ["source", "image_id", "view", "class", "group", "in_nine_classes", "in_two_classes"]


def pool_views(index: pd.DataFrame, sizes: Mapping[str, int], size_benign_malignant: int, seed: int) -> pd.DataFrame:
    """The views of the pool, one row each, in the order of images.npy.

    Every file is in the pool as it is (view 0). Augmented views of the files of a class are then added in turn, until
    the class has its size; a class with more files than that keeps them all.

    Args:
        index: one row per file: source, image_id, class, group (audit/images.parquet).
        sizes: views per class in the pool of the nine classes.
        size_benign_malignant: views of benign, and as many of malignant, in the other pool.
        seed: of the order in which files get one more view.

    Returns:
        VIEW_COLUMNS, sorted by source and view. `class` is that of the folder, in_... (bool) whether it is in a pool.
    """
    files = index.sort_values("source", ignore_index=True)
    sizes_of = {"nine_classes": sizes, "two_classes": dict.fromkeys(("benign", "malignant"), size_benign_malignant)}
    nine, two = (
        _augmented(files["source"], pool_class(files["class"], pool), sizes_of[pool], seed, pool) for pool in POOLS
    )
    both = nine.merge(two, on=["source", "view"], how="outer")
    both = both.assign(**{f"in_{pool}": both[pool].notna() for pool in POOLS})
    views = both.merge(files[["source", "image_id", "class", "group"]], on="source")[VIEW_COLUMNS]
    return views.sort_values(["source", "view"], ignore_index=True)


def pool_class(classes: pd.Series, pool: str) -> pd.Series:
    """The class of a folder class in a pool: itself among the nine, else benign or malignant."""
    return classes if pool == "nine_classes" else classes.isin(MALIGNANT).map({True: "malignant", False: "benign"})


def random_for(seed: int, *names: str) -> np.random.Generator:
    """An own generator for each purpose, so that no purpose changes the numbers of another."""
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])


def examples(views: pd.DataFrame, per_class: int) -> list[int]:
    """The rows of the first views of the most augmented image of each class, for a figure."""
    rows = []
    for _, members in views.groupby("class"):
        most = members["source"].value_counts(sort=True).index[0]
        rows += members.index[members["source"] == most][:per_class].tolist()
    return rows


def _augmented(sources: pd.Series, labels: pd.Series, sizes: Mapping[str, int], seed: int, pool: str) -> pd.DataFrame:
    """source, view and a column named as the pool: the files of each class in turn until there are enough views."""
    parts = []
    for label, members in sources.groupby(labels):
        order = random_for(seed, "pool", pool, label).permutation(members.to_numpy())
        numbers = np.arange(max(sizes[label], len(order)))
        parts.append(pd.DataFrame({"source": order[numbers % len(order)], "view": numbers // len(order)}))
    return pd.concat(parts, ignore_index=True).assign(**{pool: True})
