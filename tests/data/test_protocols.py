"""What each protocol promises, on sets with planted groups and contradictions and on the real set."""

import zlib

import numpy as np
import pandas as pd
import pytest

from lib.config.paper import CLASSES, MALIGNANT, scenarios
from lib.config.params import PROTOCOLS, Study
from lib.data.folder import find_folder
from lib.data.folds import FOLDS, parts_of_fold, select
from lib.data.index import build_index
from lib.data.pool import pool_views
from lib.data.protocols import corrected_labels, deal, files_in_training, not_evaluable, share_in_training
from tests.fixtures.predictions import made_up_index

SIZES = dict.fromkeys(CLASSES, 100)
DIGESTS = {"by_view": 1253532112, "by_file": 1016403333, "by_lesion": 3946106353, "clean": 3946106353}  # CRC-32


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
    table["near_group"] = np.arange(len(table))
    copy = table[table["class"].isin(["melanoma", "nevus"])].groupby("class").tail(1)
    copies = copy.assign(
        **{"class": ["seborrheic keratosis", "actinic keratosis"]}, source=lambda t: "copy_of_" + t["source"]
    )
    return pd.concat([table, copies], ignore_index=True).sample(frac=1, random_state=random.integers(99))


def dealt(index, protocol, seed=0, sizes=SIZES, two=250):
    views = pool_views(index, sizes, two, seed)
    return views, deal(index, views, protocol, seed)[0]


def chosen(index, protocol, scenario="nine_classes", **options):
    views, table = dealt(index, protocol, **options)
    return select(views, table, scenarios()[scenario])


def test_the_pool_has_every_file_once_as_it_is_and_each_class_at_its_size(index):
    views = pool_views(index, SIZES, 250, 0)
    assert sorted(views.loc[views["view"] == 0, "source"]) == sorted(index["source"])
    assert not views.duplicated(["source", "view"]).any()
    assert (views[views["in_nine_classes"]]["class"].value_counts() == 100).all()
    malignant = views.loc[views["in_two_classes"], "class"].isin(MALIGNANT)
    assert malignant.sum() == (~malignant).sum() == 250
    per_file = views[views["in_nine_classes"]].groupby("source").size()
    assert per_file.groupby(views.drop_duplicates("source").set_index("source")["class"]).agg(np.ptp).max() <= 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scenario", list(scenarios()))
def test_every_view_is_tested_once_and_validated_once_and_folds_are_8_1_1(index, protocol, scenario):
    rows = chosen(index, protocol, scenario)
    parts = pd.concat([parts_of_fold(rows, fold) for fold in range(FOLDS)])
    counts = pd.crosstab(parts["row"], parts["part"])
    assert (counts["test"] == 1).all() and (counts["val"] == 1).all() and (counts["train"] == 8).all()
    shares = pd.crosstab(parts["fold"], parts["part"], normalize="index")
    assert np.allclose(shares["train"], 0.8, atol=0.04) and np.allclose(shares["test"], 0.1, atol=0.04)


@pytest.mark.parametrize("protocol", ["by_lesion", "clean"])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_group_and_no_content_crosses_and_each_class_is_spread_as_evenly_as_its_groups_allow(index, protocol, seed):
    for scenario in ("nine_classes", "benign_malignant"):
        rows = chosen(index, protocol, scenario, seed=seed)
        rows = rows.merge(index[["source", "content"]], on="source")
        assert rows.groupby("group")["tenth"].nunique().max() == 1
        assert rows.groupby("content")["tenth"].nunique().max() == 1
        assert share_in_training(rows, "group") == share_in_training(rows, "source") == 0
    originals = chosen(index, protocol, seed=seed).query("view == 0")
    counts = pd.crosstab(originals["label"], originals["tenth"])
    even = counts.sum(axis=1).to_numpy()[:, None] / FOLDS
    assert (abs(counts - even) <= 2).all(axis=None), counts  # the largest group of a class has four files of 40


@pytest.mark.parametrize("scenario", ["nine_classes", "benign_malignant"])
def test_by_file_keeps_the_views_of_a_file_together_and_spreads_files_evenly_whatever_their_group(index, scenario):
    rows = chosen(index, "by_file", scenario)
    assert rows.groupby("source")["tenth"].nunique().max() == 1 and share_in_training(rows, "source") == 0
    originals = rows[rows["view"] == 0].merge(index[["source", "class"]], on="source")
    assert pd.crosstab(originals["class"], originals["tenth"]).agg(np.ptp, axis=1).max() <= 1
    # another file of the group is in training unless all lie in the own tenth or the next
    others = originals["group"].map(originals["group"].value_counts()) - 1
    assert share_in_training(originals, "group") == pytest.approx((1 - 0.2**others).mean(), abs=0.06)


def test_by_view_trains_on_more_files_than_the_others_and_mixes_views_of_a_file_by_as_much_as_chance_predicts(index):
    counted = {}
    for protocol in PROTOCOLS:
        rows = chosen(index, protocol)
        folds = [parts_of_fold(rows, fold) for fold in range(FOLDS)]
        counted[protocol] = np.mean([fold.loc[fold["part"] == "train", "source"].nunique() for fold in folds])
        assert files_in_training(rows) == pytest.approx(counted[protocol])
    assert counted["by_file"] == pytest.approx(0.8 * len(index)) and counted["by_view"] > counted["by_file"]
    # a test view is unseen only if all other views of its file lie in its own tenth or the next
    rows = chosen(index, "by_view")
    sisters = rows["source"].map(rows["source"].value_counts()) - 1
    assert share_in_training(rows, "source") == pytest.approx((1 - 0.2**sisters).mean(), abs=0.06)


def test_protocols_differ_in_no_view_but_those_that_clean_drops_and_depend_on_the_seed_but_not_the_order(index):
    views = pool_views(index, SIZES, 250, 0)
    tables = {protocol: deal(index, views, protocol, 0)[0] for protocol in PROTOCOLS}
    assert all(table["row"].tolist() == list(range(len(views))) for table in tables.values())
    for pool in ("nine_classes", "two_classes"):
        parts = {protocol: tables[protocol][f"tenth_{pool}"] for protocol in PROTOCOLS}
        assert ((parts["by_view"] == -1) == (parts["by_lesion"] == -1)).all()
        kept = tables["clean"]["class"] != ""
        assert (parts["clean"][kept] == parts["by_lesion"][kept]).all() and (parts["clean"][~kept] == -1).all()
    for protocol, table in tables.items():
        assert table.equals(dealt(index.iloc[::-1], protocol)[1])
        assert not table.equals(dealt(index, protocol, seed=1)[1])


@pytest.mark.parametrize(
    ("classes", "codes", "label"),
    [
        (["nevus", "melanoma"], ["", "MEL"], "melanoma"),
        (["nevus", "melanoma"], ["", ""], ""),
        (["nevus", "nevus"], ["", ""], "nevus"),
        (["vascular lesion"], ["DF"], "dermatofibroma"),
        (["seborrheic keratosis"], ["BKL"], "seborrheic keratosis"),
        (["seborrheic keratosis", "pigmented benign keratosis"], ["BKL", "BKL"], ""),
        (["nevus"], ["BKL"], ""),
        (["nevus"], ["AKIEC"], ""),
    ],
)
def test_clean_takes_the_diagnosis_for_near_identical_files_and_drops_what_it_cannot_decide(classes, codes, label):
    sources = [f"{name}/{place}.jpg" for place, name in enumerate(classes)]
    files = pd.DataFrame({"source": sources, "image_id": "a", "class": classes, "near_group": 0, "diagnosis": codes})
    labels, changes = corrected_labels(files)
    assert labels.to_dict() == dict.fromkeys(sources, label)
    assert changes["source"].tolist() == sorted(files["source"][files["class"] != label])


def test_a_class_with_too_few_originals_is_reported_and_a_set_too_small_for_ten_folds_refused(index):
    small = index[(index["class"] != "dermatofibroma") | index["group"].isin(range(2004, 2009))]
    views, table = dealt(small, "clean")
    rows = {name: select(views, table, scenario) for name, scenario in scenarios().items()}
    listed = not_evaluable(rows, scenarios(), 10)
    assert listed[["scenario", "class", "originals"]].to_numpy().tolist() == [
        [name, "dermatofibroma", 5] for name in ("nine_classes", "six_benign")
    ]
    tiny = made_up_index(files=8)
    with pytest.raises(ValueError, match="ten folds need at least 10 groups and a class of at least 10 files"):
        deal(tiny, pool_views(tiny, dict.fromkeys(CLASSES, 20), 40, 0), "by_lesion", 0)


def test_tenths_stay_what_they_were_so_that_kept_results_can_be_made_again():
    views = pool_views(made_up_index(), SIZES, 250, 0)
    for protocol, digest in DIGESTS.items():
        tenths = deal(made_up_index(mislabelled=2), views, protocol, 0)[0][["tenth_nine_classes", "tenth_two_classes"]]
        assert zlib.crc32(tenths.to_numpy(np.int8).tobytes()) == digest, protocol


def test_default_pools_give_the_printed_test_sets_and_real_lesions_contents_and_near_duplicates_stay_whole(
    real_data, real_metadata
):
    study = Study()
    near = study.near_duplicate_bits, study.near_duplicate_difference
    real_index, _ = build_index(find_folder(str(real_data)), [real_metadata], *near)
    pools = {"sizes": study.pool_sizes, "two": study.pool_size_benign_malignant}
    for name, size in {"nine_classes": 901, "benign_malignant": 500, "six_benign": 594, "three_malignant": 307}.items():
        assert set(chosen(real_index, "by_view", name, **pools)["tenth"].value_counts()) == {size}
    for protocol in ("by_lesion", "clean"):
        rows = chosen(real_index, protocol, **pools)[["source", "tenth"]]
        rows = rows.merge(real_index[["source", "content", "lesion_id", "group"]], on="source")
        for column in ("content", "lesion_id", "group"):
            assert rows[rows[column] != ""].groupby(column)["tenth"].nunique().max() == 1
