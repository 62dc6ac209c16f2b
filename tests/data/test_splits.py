"""What each protocol promises, on sets with planted groups and contradictions and on the real set."""

import numpy as np
import pandas as pd
import pytest

from lib.config import CLASSES, Study, scenarios
from lib.data import build_index, find_folder, splits

SIZES = dict.fromkeys(CLASSES, 100)


@pytest.fixture(scope="module")
def index():
    """40 files a class, 12 of them in lesions of 2 to 4 images; two contents filed under two classes each."""
    random = np.random.default_rng(5)
    rows = []
    for place, name in enumerate(CLASSES):
        groups = [1000 * place + group for group in [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, *range(4, 32)]]
        rows += [{"source": f"{name}/{place}_{i}.jpg", "class": name, "group": group} for i, group in enumerate(groups)]
    table = pd.DataFrame(rows).assign(part="", diagnosis="", lesion_id="", width=10, height=10)
    table["image_id"] = table["source"].str.extract(r"/(.*)\.jpg", expand=False)
    table["content"] = table["source"]
    copy = table[table["class"].isin(["melanoma", "nevus"])].groupby("class").tail(1)
    copies = copy.assign(
        **{"class": ["seborrheic keratosis", "actinic keratosis"]}, source=lambda t: "copy_of_" + t["source"]
    )
    return pd.concat([table, copies], ignore_index=True).sample(frac=1, random_state=random.integers(99))


def views_of(index, protocol, min_test_images=2, seed=0):
    return splits.split(index, protocol, SIZES, 250, min_test_images, seed)[0]


def test_published_brings_every_class_to_its_pool_and_splits_it_8_1_1(index):
    views = views_of(index, "published")
    counts = pd.crosstab(views["class"], views["part"])[["train", "val", "test"]]
    assert (counts == [80, 10, 10]).all(axis=None)
    assert views["part_two_classes"].value_counts()[["train", "val", "test"]].tolist() == [400, 50, 50]


def test_published_mixes_views_of_one_file_across_parts_by_as_much_as_chance_predicts(index):
    """A file has 100/40 = 2.5 views on average; a test view is seen unless all its sisters miss the training part."""
    chosen = splits.select(views_of(index, "published"), scenarios()["nine_classes"])
    sizes = chosen["source"].map(chosen["source"].value_counts())
    expected = (1 - 0.2 ** (sizes[chosen["part"] == "test"] - 1)).mean()  # each sister is in training 8 times of 10
    assert splits.mixed_share(chosen, "source") == pytest.approx(expected, abs=0.12)
    assert splits.mixed_share(chosen, "source") > 0.7


@pytest.mark.parametrize("protocol", ["grouped", "clean"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grouped_and_clean_share_no_group_and_no_content_between_parts(index, protocol, seed):
    views = views_of(index, protocol, seed=seed).merge(index[["source", "content"]], on="source")
    for pool in ("part", "part_two_classes"):
        used = views[views[pool] != ""]
        assert used.groupby("group")[pool].nunique().max() == 1
        assert used.groupby("content")[pool].nunique().max() == 1


@pytest.mark.parametrize("protocol", ["grouped", "clean"])
def test_only_training_images_are_augmented(index, protocol):
    views = views_of(index, protocol)
    assert (views.loc[views["part"].isin(["val", "test"]), "view"] == 0).all()
    assert (pd.crosstab(views["class"], views["part"])["train"] == 80).all()
    assert views.loc[views["part"] == "train", "view"].max() > 0


@pytest.mark.parametrize("seed", range(5))
def test_grouped_splits_each_class_8_1_1_within_rounding(index, seed):
    views = views_of(index, "grouped", seed=seed)
    held = views[(views["view"] == 0) & (views["part"] != "")]
    files = held.groupby("class").size()
    counts = pd.crosstab(held["class"], held["part"])
    for part in ("val", "test"):
        assert (abs(counts[part] - files / 10) <= 1).all(), counts


def test_clean_takes_the_diagnosis_drops_what_it_cannot_decide_and_lists_both(index):
    table = index.copy()
    melanoma = table["content"].str.startswith("melanoma") & table["content"].duplicated(keep=False)
    table.loc[melanoma, "diagnosis"] = "MEL"
    wrong = table.index[(table["class"] == "vascular lesion")][:1]
    table.loc[wrong, "diagnosis"] = "DF"
    waxy = table.index[(table["class"] == "seborrheic keratosis") & ~table["source"].str.startswith("copy")][:1]
    table.loc[waxy, "diagnosis"] = "BKL"
    kept, changes = splits.relabel(
        table.drop(columns="part").assign(folder_class=table["class"]).reset_index(drop=True)
    )
    kept = kept.set_index("source")
    assert kept.loc[kept["content"].isin(table.loc[melanoma, "content"]), "class"].tolist() == ["melanoma"]
    assert kept.loc[table.loc[wrong[0], "source"], "class"] == "dermatofibroma"
    assert kept.loc[table.loc[waxy[0], "source"], "class"] == "seborrheic keratosis"  # BKL covers it already
    undecided = table[table["content"].duplicated(keep=False) & ~melanoma]
    assert not kept.index.isin(undecided["source"]).any()
    assert len(changes) == 1 + 1 + len(undecided)
    assert set(undecided["source"]) <= set(changes["source"])


def test_a_diagnosis_of_two_classes_does_not_correct_a_third():
    files = pd.DataFrame({"source": ["a"], "image_id": ["a"], "content": ["a"], "folder_class": ["nevus"]})
    kept, changes = splits.relabel(files.assign(**{"class": "nevus"}, diagnosis="BKL", group=0))
    assert kept.empty and changes["class"].tolist() == [""]


def test_a_class_too_small_to_be_tested_is_trained_on_and_reported(index):
    small = index[(index["class"] != "dermatofibroma") | index["group"].isin(range(2004, 2014))]
    views = views_of(small, "clean", min_test_images=2)
    assert set(views.loc[(views["class"] == "dermatofibroma") & (views["part"] != ""), "part"]) == {"train"}
    listed = splits.not_evaluable(views, scenarios(), 2)
    assert set(zip(listed["scenario"], listed["class"])) >= {
        ("nine_classes", "dermatofibroma"),
        ("six_benign", "dermatofibroma"),
    }
    assert "benign_malignant" not in set(listed["scenario"])


def test_scenarios_slice_one_split(index):
    views = views_of(index, "published")
    nine = splits.select(views, scenarios()["nine_classes"])
    six = splits.select(views, scenarios()["six_benign"])
    three = splits.select(views, scenarios()["three_malignant"])
    assert sorted([*six["row"], *three["row"]]) == nine["row"].tolist()
    assert nine.set_index("row")["part"][six["row"]].tolist() == six["part"].tolist()


def test_a_split_depends_on_its_seed_and_not_on_the_order_of_the_files(index):
    first = views_of(index, "grouped")
    assert first.equals(views_of(index.iloc[::-1], "grouped"))
    assert not first.equals(views_of(index, "grouped", seed=1))


def test_default_pools_give_the_test_sets_that_the_printed_tables_imply(real_index):
    study = Study()
    views, _ = splits.split(real_index, "published", study.pool_sizes, study.pool_size_benign_malignant, 2, 0)
    tests = {name: (splits.select(views, scenario)["part"] == "test").sum() for name, scenario in scenarios().items()}
    assert tests == {"nine_classes": 901, "benign_malignant": 500, "six_benign": 594, "three_malignant": 307}


@pytest.mark.parametrize("protocol", ["grouped", "clean"])
def test_real_images_share_no_lesion_content_or_near_duplicate_between_parts(real_index, protocol):
    study = Study()
    views, _ = splits.split(real_index, protocol, study.pool_sizes, study.pool_size_benign_malignant, 2, 0)
    views = views.merge(real_index[["source", "content", "lesion_id"]], on="source")
    for column in ("content", "lesion_id", "group"):
        known = views[(views[column] != "") & (views["part"] != "")]
        assert known.groupby(column)["part"].nunique().max() == 1


@pytest.fixture(scope="module")
def real_index(real_data, real_metadata):
    study = Study()
    bits, difference = study.near_duplicate_bits, study.near_duplicate_difference
    return build_index(find_folder(str(real_data)), real_metadata, bits, difference)[0]
