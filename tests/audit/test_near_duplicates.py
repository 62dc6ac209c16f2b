"""Planted pairs that the hash misses are found by features, and an unknown lesion is neither the same nor another."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from lib.audit.near_duplicates import least_difference, near_duplicate_recall
from lib.config.paths import StudyPaths
from tests.fixtures.pictures import picture
from tests.fixtures.predictions import made_up_index, study, write_prepared

CHANNELS = 40


@pytest.fixture
def made(tmp_path):
    """A study whose files 0 and 1 are the hash's pair; 20 and 21 are one lesion by the metadata and by features, 30 and
    31 by the metadata alone, and 40 and 50 by features alone, file 50 being file 40 mirrored."""
    paths = StudyPaths(tmp_path)
    index = made_up_index(files=16)
    index["group"] = np.arange(len(index))
    index.loc[1, ["near_group", "group"]] = index.loc[0, ["near_group", "group"]]
    for a, b, name in ((20, 21, "L1"), (30, 31, "L2")):
        index.loc[[a, b], "lesion_id"] = name
        index.loc[b, "group"] = index.loc[a, "group"]
    index.loc[40, "lesion_id"] = "L3"
    write_prepared(paths, index, sizes=dict.fromkeys(set(index["class"]), 20))
    views = pd.read_parquet(paths.views)
    rows = {source: row for row, source, view in zip(views.index, views["source"], views["view"]) if view == 0}
    images = np.stack([picture(row) for row in range(len(views))])
    images[rows[index["source"][50]]] = images[rows[index["source"][40]]][:, ::-1]
    np.save(paths.images, images)
    random = np.random.default_rng(0)
    for backbone in ("EfficientNetV2B3", "MobileNet"):
        features = random.normal(size=(len(views), CHANNELS)).astype(np.float32)
        for (a, b), apart in {(0, 1): 0.3, (20, 21): 0.2, (40, 50): 0.1}.items():
            near = features[rows[index["source"][a]]] + apart * random.normal(size=CHANNELS)
            features[rows[index["source"][b]]] = near
        paths.feature_folder("native", backbone).mkdir(parents=True)
        np.save(paths.features("native", backbone), features)
    return paths, index


def test_planted_pairs_are_found_and_described_and_recall_counts_those_of_known_lesions(made):
    paths, index = made
    found = near_duplicate_recall(paths, study())
    assert found["backbones"] == ["EfficientNetV2B3", "MobileNet"] and found["hash_pairs"] == 1 and not found["reason"]
    pairs = found["pairs"]
    sources = index["source"][[40, 50, 20, 21]].tolist()
    assert pairs[["first", "second"]].to_numpy().ravel().tolist() == sources
    assert (pairs["similarity"] >= found["threshold"]).all() and pairs["similarity"].is_monotonic_decreasing
    mirrored, lesion = pairs.iloc[0], pairs.iloc[1]
    assert mirrored["difference"] == 0 and mirrored["looks_alike"] and not lesion["looks_alike"]
    assert pd.isna(mirrored["same_lesion"]) and lesion["same_lesion"]
    assert not mirrored["same_group"] and lesion["same_group"] and not mirrored["same_class"]
    grey = picture(5)[..., 0]
    assert least_difference(grey, np.rot90(grey)) == least_difference(grey, grey[::-1].T) == 0
    assert least_difference(np.full((4, 4), 10, np.uint8), np.full((4, 4), 17, np.uint8)) == 7
    recall = found["recall"].set_index("found_by")
    assert recall.loc["perceptual hash", ["pairs", "one_lesion"]].tolist() == [1, 0]
    assert recall.loc["features", ["pairs", "both_lesions_known", "one_lesion"]].tolist() == [3, 1, 1]
    assert recall.loc["either", "recall"] == 0.5 and (recall["pairs_of_known_lesions"] == 2).all()


def test_without_features_or_a_pair_of_the_hash_the_reason_is_given_and_pairs_of_many_copies_are_only_counted(made):
    paths, index = made
    assert near_duplicate_recall(paths, study(backbones=["ResNet50"]))["reason"] == "no backbone has features"
    index.assign(near_group=np.arange(len(index))).to_parquet(paths.image_index)
    found = near_duplicate_recall(paths, study())
    assert "no pair of different pictures" in found["reason"] and found["pairs"].empty
    # 3,960 near-identical pictures have 7.8 million pairs
    index.loc[:99, "near_group"] = 0
    index.loc[:4, "lesion_id"] = "L9"
    index.to_parquet(paths.image_index)
    found = near_duplicate_recall(paths, study())
    recall = found["recall"].set_index("found_by").loc["perceptual hash"]
    lesion = index["lesion_id"].head(100)
    known = [(a, b) for a, b in combinations(lesion, 2) if a and b]
    expected = [100 * 99 // 2, len(known), sum(a == b for a, b in known)]
    assert recall[["pairs", "both_lesions_known", "one_lesion"]].tolist() == expected and found["hash_pairs"] == 4950
