"""Duplicates and near-duplicates, which must not be split between training and testing."""

from collections.abc import Iterable

import cv2
import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet


def add_groups(index: pd.DataFrame, thumbnails: np.ndarray, bits: int, difference: float) -> pd.DataFrame:
    """The index with near_group (equal and nearly equal pictures, by `near_duplicates`) and group (those, and pictures
    of one lesion); columns content, phash and lesion_id."""
    near = [near_duplicates(index, thumbnails, bits, difference), _links(index["content"])]
    group = _components(len(index), *near, _links(index["lesion_id"]))
    return index.assign(near_group=_components(len(index), *near), group=group)


def near_duplicates(index: pd.DataFrame, thumbnails: np.ndarray, bits: int, difference: float) -> np.ndarray:
    """Pairs that join all pictures of different contents whose perceptual hashes are near and whose pixels confirm it.

    A picture that is joined is not compared again, so n copies of one picture take n comparisons of pixels. A rotated
    or mirrored copy has another hash and is not found.

    Args:
        thumbnails: uint8 [n, 64, 64], grey, row i of `index` (columns content and phash).
        bits: largest Hamming distance of the hashes.
        difference: largest mean absolute difference of the thumbnails, grey levels.

    Returns:
        int [pairs, 2], row numbers of the first file of each content; each group of k pictures has k - 1 pairs.
    """
    once = np.flatnonzero(~index["content"].duplicated().to_numpy())
    hashes, thumbnails = hash_numbers(index["phash"].iloc[once]), thumbnails[once]
    coarse = thumbnails.reshape(-1, 8, 8, 8, 8).mean(axis=(2, 4))  # means differ by no more than the pixels do
    pairs, unseen = [], np.ones(len(once), bool)
    for first in range(len(once)):
        waiting = [first] if unseen[first] else []
        unseen[first] = False
        while waiting:
            one = waiting.pop()
            near = first + near_hashes(hashes[first:], hashes[one], bits)
            near = near[unseen[near]]
            near = near[np.abs(coarse[near] - coarse[one]).mean(axis=(1, 2)) <= difference]
            gaps = [cv2.norm(thumbnails[other], thumbnails[one], cv2.NORM_L1) for other in near]
            near = near[np.array(gaps) <= difference * thumbnails[one].size]
            unseen[near] = False
            waiting += near.tolist()
            pairs += [(once[one], once[other]) for other in near]
    return np.array(pairs, np.int64).reshape(-1, 2)


def rotated_and_mirrored(picture: np.ndarray) -> list[np.ndarray]:
    """A square picture and its mirror image, each rotated by 0, 90, 180 and 270 degrees; the first is the picture."""
    return [np.ascontiguousarray(np.rot90(side, n)) for side in (picture, picture[:, ::-1]) for n in range(4)]


def hash_numbers(texts: Iterable[str]) -> np.ndarray:
    """Perceptual hashes of 16 hex digits as uint64."""
    return np.array([int(text, 16) for text in texts], np.uint64)


def near_hashes(hashes: np.ndarray, one: np.uint64, bits: int) -> np.ndarray:
    """The places in `hashes` that differ from `one` in at most `bits` bits."""
    return np.flatnonzero(np.bitwise_count(hashes ^ one) <= bits)


def _links(values: pd.Series) -> np.ndarray:
    """Pairs of row numbers that link each value to its first occurrence; empty text links nothing."""
    first = pd.Series(np.arange(len(values))).groupby(values.to_numpy()).transform("first")
    return np.column_stack([first, np.arange(len(values))])[(values != "").to_numpy()]


def _components(n: int, *links: np.ndarray) -> np.ndarray:
    """int64 [n]: connected components of n rows under pairs of row numbers, numbered in order of first row."""
    joined = DisjointSet(range(n))
    for first, second in np.concatenate(links).tolist():
        joined.merge(first, second)
    return pd.factorize(np.array([joined[row] for row in range(n)]))[0].astype(np.int64)
