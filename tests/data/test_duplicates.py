"""Near-duplicates are joined as comparing all pairs joins them, and groups join what belongs together."""

import cv2
import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from lib.data.duplicates import add_groups, near_duplicates
from tests.fixtures.pictures import picture, read, save


def test_groups_join_what_shares_a_lesion_a_content_or_is_a_near_duplicate_however_long_the_chain(folder, tmp_path):
    train = folder / "Train"
    noise = np.random.default_rng(0).integers(-2, 3, (32, 32, 3))
    save(train / "nevus" / "near.png", np.clip(picture(0) + noise, 0, 255).astype(np.uint8))
    save(train / "melanoma" / "copy.png", picture(1))
    metadata = tmp_path / "metadata.csv"
    # 0 ~ near (pixels), near and copy (lesion), copy = 1 (content), 1 and 2 (lesion)
    metadata.write_text(
        "isic_id,isic2019_diagnosis,lesion_id\nnear,NV,HAM_1\ncopy,,HAM_1\nISIC_0000001,,HAM_2\nISIC_0000002,AK,HAM_2\n"
    )
    index, _ = read(folder, metadata)
    index = index.set_index("image_id")
    chain = ["ISIC_0000000", "near", "copy", "ISIC_0000001", "ISIC_0000002"]
    assert index.loc[chain, "group"].nunique() == 1
    assert index["group"].value_counts().tolist() == [5] + [1] * 24
    assert index["near_group"].value_counts().tolist() == [2, 2] + [1] * 25
    assert index.loc["near", "diagnosis"] == "NV" and index.loc["copy", "diagnosis"] == ""


def made_up(generator: np.random.Generator, single: int, centres: int, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and thumbnails, some in clusters a few bits and grey levels apart, so that chains form."""
    hashes = generator.integers(0, 2**64, single + centres, dtype=np.uint64)
    thumbnails = generator.integers(60, 190, (single + centres, 1, 1))
    which = np.concatenate([np.arange(single), np.arange(single, single + centres).repeat(copies)])
    hashes, thumbnails = hashes[which], thumbnails[which] + generator.integers(-4, 5, (len(which), 64, 64))
    thumbnails += generator.integers(-6, 7, (len(which), 1, 1))
    for _ in range(6):
        bits = generator.integers(0, 64, len(hashes)).astype(np.uint64)
        hashes = np.where(generator.random(len(hashes)) < 0.7, hashes ^ (np.uint64(1) << bits), hashes)
    order = generator.permutation(len(hashes))
    return hashes[order], thumbnails[order].astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 12), st.integers(1, 9), st.sampled_from([0, 3, 8, 16]))
def test_groups_are_those_of_comparing_all_pairs(seed, single, centres, copies, bits):
    hashes, thumbnails = made_up(np.random.default_rng(seed), single, centres, copies)
    n = len(hashes)
    texts = pd.Series([f"{value:016x}" for value in hashes], dtype=str)
    index = pd.DataFrame({"content": np.arange(n).astype(str), "phash": texts, "lesion_id": ""})
    unpacked = np.unpackbits(hashes.view(np.uint8).reshape(n, 8), axis=1)
    near = squareform(pdist(unpacked, "hamming")) * 64 <= bits + 1e-9
    near &= squareform(pdist(thumbnails.reshape(n, -1).astype(float), "cityblock")) <= 5.0 * 4096
    count, expected = connected_components(near)
    found = add_groups(index, thumbnails, bits, 5.0)["near_group"]
    assert pd.crosstab(expected, found).astype(bool).sum().eq(1).all() and found.nunique() == count
    pairs = near_duplicates(index, thumbnails, bits, 5.0)
    assert len(pairs) == n - count and near[tuple(pairs.T)].all()


def test_copies_are_compared_once_with_what_they_are_joined_to(monkeypatch):
    """4,000 copies of one picture took 8 million comparisons of pixels, and as many rows of memory."""
    compared, norm = [], cv2.norm
    monkeypatch.setattr(cv2, "norm", lambda *pair: compared.append(1) or norm(*pair))
    thumbnails = np.random.default_rng(0).integers(100, 104, (4000, 64, 64)).astype(np.uint8)
    index = pd.DataFrame({"content": np.arange(4000).astype(str), "phash": "0123456789abcdef"})
    assert len(near_duplicates(index, thumbnails, 8, 9.0)) == len(compared) == 3999
