"""Duplicates and near-duplicates, which must not be split between training and testing."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def add_groups(index: pd.DataFrame, thumbnails: np.ndarray, bits: int, difference: float) -> pd.DataFrame:
    """The index with near_group (equal and nearly equal pictures) and group (those, and pictures of one lesion).

    Args:
        index: columns content, phash and lesion_id.
        thumbnails, bits, difference: as `near_duplicates` takes them.
    """
    pairs = near_duplicates(index, thumbnails, bits, difference)[["first", "second"]].to_numpy()
    near = [pairs, _links(index["content"])]
    group = _components(len(index), *near, _links(index["lesion_id"]))
    return index.assign(near_group=_components(len(index), *near), group=group)


def near_duplicates(index: pd.DataFrame, thumbnails: np.ndarray, bits: int, difference: float) -> pd.DataFrame:
    """Pairs of different contents whose perceptual hashes are near and whose pixels confirm it.

    A rotated or mirrored copy has another hash and is not found.

    Args:
        index: columns content and phash.
        thumbnails: uint8 [n, 64, 64], grey, row i of `index`.

    Returns:
        first, second (row numbers of the first file of each content, first < second), bits, difference (grey levels).
    """
    once = np.flatnonzero(~index["content"].duplicated().to_numpy())
    hashes = np.array([int(text, 16) for text in index["phash"].iloc[once]], dtype=np.uint64)
    tables = [np.empty((0, 4))]
    for first, second, distance in candidate_pairs(hashes, bits):
        for start in range(0, len(first), 1024):  # 1024 pairs take 16 MB
            a, b = once[first[start : start + 1024]], once[second[start : start + 1024]]
            gap = np.abs(thumbnails[a].astype(np.int16) - thumbnails[b]).mean(axis=(1, 2))
            tables.append(np.column_stack([a, b, distance[start : start + 1024], gap])[gap <= difference])
    table = pd.DataFrame(np.concatenate(tables), columns=["first", "second", "bits", "difference"])
    types = {"first": np.int64, "second": np.int64, "bits": np.int64}
    return table.astype(types).sort_values(["first", "second"], ignore_index=True)


def rotated_and_mirrored(picture: np.ndarray) -> list[np.ndarray]:
    """A square picture and its mirror image, each rotated by 0, 90, 180 and 270 degrees; the first is the picture."""
    return [np.ascontiguousarray(np.rot90(side, n)) for side in (picture, picture[:, ::-1]) for n in range(4)]


def candidate_pairs(hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of 64-bit hashes within `bits` of each other, each once, without comparing all pairs.

    The 64 bits are split into bands. Two hashes that differ in at most `bits` bits agree in all but at most `bits`
    bands, so they are equal under one of the masks that keep the other bands (pigeonhole): hashes are sorted under
    each mask and only equal neighbours compared. The number of bands is chosen for the number of hashes.

    Args:
        hashes: uint64 [n].
        bits: 0 to 63.

    Yields:
        first, second (int [k], first < second) and their distance (uint8 [k]); at most n pairs at a time.
    """
    masks = _masks(len(hashes), bits)
    for number, mask in enumerate(masks):
        order = np.argsort(hashes & mask, kind="stable")
        key = (hashes & mask)[order]
        left, step = np.arange(len(key)), 0
        while True:  # compare every hash with the step-th next one of the same key, until no run of keys is that long
            step += 1
            left = left[left + step < len(key)]
            left = left[key[left] == key[left + step]]
            if not len(left):
                break
            a, b = order[left], order[left + step]
            differing = hashes[a] ^ hashes[b]
            distance = np.bitwise_count(differing)
            keep = distance <= bits
            for earlier in masks[:number]:  # a pair that is equal under several masks is given under the first
                keep &= (differing & earlier) != 0
            if keep.any():
                yield np.minimum(a, b)[keep], np.maximum(a, b)[keep], distance[keep]


def _masks(n: int, bits: int) -> list[np.uint64]:
    """Masks such that two hashes within `bits` bits are equal under at least one: cheapest number of bands for n."""

    def cost(bands: int) -> float:
        tables = math.comb(bands, bits)
        kept = 64 * (bands - bits) // bands  # bits that a mask keeps
        return tables * (n * math.log2(n + 2) + n * n / 2 / 2**kept * (1 + tables / 8))

    # 2000 masks are more than any set of images needs
    choices = [bands for bands in range(bits + 1, 65) if math.comb(bands, bits) <= 2000]
    bands = min(choices, key=cost)
    # neighbouring bits of the hash go together, so they are dealt out to the bands in turn
    single = [sum(1 << bit for bit in range(band, 64, bands)) for band in range(bands)]
    return [np.uint64(sum(kept)) for kept in itertools.combinations(single, bands - bits)]


def _links(values: pd.Series) -> np.ndarray:
    """Pairs of row numbers that link each value to its first occurrence; empty text links nothing."""
    first = pd.Series(np.arange(len(values))).groupby(values.to_numpy()).transform("first")
    return np.column_stack([first, np.arange(len(values))])[(values != "").to_numpy()]


def _components(n: int, *links: np.ndarray) -> np.ndarray:
    """int64 [n]: connected components of n rows under pairs of row numbers, numbered in order of first row."""
    first, second = np.concatenate([np.empty((0, 2), np.int64), *links]).T
    graph = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(n, n))
    return pd.factorize(connected_components(graph, directed=False)[1])[0].astype(np.int64)
