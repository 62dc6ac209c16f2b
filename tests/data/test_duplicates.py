"""Near-duplicates are found without comparing all pairs, and groups join what belongs together."""

import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data import duplicates
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


def near_hashes(generator: np.random.Generator, centres: int, copies: int) -> np.ndarray:
    """Clusters of hashes a few bits apart."""
    hashes = generator.integers(0, 2**64, centres, dtype=np.uint64).repeat(copies)
    for _ in range(6):
        bits = generator.integers(0, 64, len(hashes)).astype(np.uint64)
        hashes = np.where(generator.random(len(hashes)) < 0.7, hashes ^ (np.uint64(1) << bits), hashes)
    return hashes


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 120),
    st.integers(0, 40),
    st.integers(1, 9),
    st.sampled_from([0, 1, 3, 6, 8, 16]),
)
def test_candidates_are_exactly_the_pairs_that_comparing_all_pairs_finds(seed, single, centres, copies, bits):
    generator = np.random.default_rng(seed)
    spread = generator.integers(0, 2**64, single, dtype=np.uint64)
    hashes = generator.permutation(np.concatenate([spread, near_hashes(generator, centres, copies)]))
    found = [tuple(map(int, row)) for chunk in duplicates.candidate_pairs(hashes, bits) for row in zip(*chunk)]
    numbers = [int(value) for value in hashes]
    pairs = itertools.combinations(range(len(numbers)), 2)
    expected = [(i, j, (numbers[i] ^ numbers[j]).bit_count()) for i, j in pairs]
    assert sorted(found) == [entry for entry in expected if entry[2] <= bits]  # each pair once


def test_planted_pairs_are_found_among_many_hashes():
    generator = np.random.default_rng(1)
    hashes = generator.integers(0, 2**64, 50_000, dtype=np.uint64)
    places = generator.permutation(50_000)[:600].reshape(300, 2)
    for first, second in places:
        flips = generator.permutation(64)[: generator.integers(0, 9)]
        hashes[second] = hashes[first] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    found = np.concatenate([np.column_stack(chunk[:2]) for chunk in duplicates.candidate_pairs(hashes, 8)])
    # unplanted 64-bit hashes come within 8 bits of each other about once in 3 billion pairs
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, np.sort(places).tolist()))


def test_pixels_decide_among_pictures_with_near_hashes():
    hashes, thumbnails = ["0" * 16, "0" * 15 + "1", "f" * 16, "0" * 16], np.zeros((4, 64, 64), np.uint8)
    thumbnails[1], thumbnails[3] = 9, 10
    index = pd.DataFrame({"content": list("abcd"), "phash": hashes})
    pairs = duplicates.near_duplicates(index, thumbnails, bits=1, difference=9.0)
    assert pairs.values.tolist() == [[0, 1, 1, 9.0], [1, 3, 1, 1.0]]
