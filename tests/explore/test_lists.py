"""What is listed, related and counted, on what the steps of a small study wrote."""

import hashlib
from itertools import groupby

import pandas as pd
import pytest

from lib.config.files import read_json
from lib.config.paper import MALIGNANT
from lib.data.folder import decode
from lib.explore import lists
from lib.explore.model import UNUSED, Model
from lib.explore.results import find_models


@pytest.fixture(scope="module")
def model_of(study):
    """(protocol, scenario) -> the model."""
    return {
        (row["protocol"], row["scenario"]): Model(study.root, "", **row)
        for _, row in find_models(study.root).iterrows()
    }


@pytest.fixture(scope="module")
def by_view(model_of):
    return model_of["by_view", "nine_classes"]


@pytest.mark.parametrize("fold", [0, 7])
def test_leaked_are_the_test_views_with_a_relative_in_training_and_none_by_lesion(model_of, by_view, study, fold):
    views, table = pd.read_parquet(study.views), pd.read_parquet(study.protocol("by_view"))
    groups, tenth = table["group"], table["tenth_nine_classes"]
    in_training = groups[(tenth >= 0) & ~tenth.isin([fold, (fold + 1) % 10])]
    expected = views[(tenth == fold) & groups.isin(set(in_training))]
    found = lists.select_images(by_view, "leaked", fold)
    assert set(zip(found["source"], found["view"])) == set(zip(expected["source"], expected["view"])) and len(found)
    first = views.index[(views["source"] == found["source"][0]) & (views["view"] == found["view"][0])][0]
    assert found["note"][0].endswith(f" of the picture, {(in_training == groups[first]).sum()} of its group")
    assert lists.select_images(model_of["by_lesion", "nine_classes"], "leaked", lists.EVERY_FOLD).empty


def test_contents_in_two_classes_are_those_of_equal_pixels(by_view, drawn):
    content, filed = {}, {}
    for path in sorted(drawn.glob("T*/*/*.jpg")):
        source = path.relative_to(drawn).as_posix()
        content[source] = hashlib.sha256(decode(path).tobytes()).hexdigest()
        filed.setdefault(content[source], set()).add(path.parent.name)
    expected = {source for source, digest in content.items() if len(filed[digest]) > 1}
    found = lists.in_two_classes(by_view)
    assert set(found["source"]) == expected
    planted = read_json(drawn / "planted.json")["two_classes"]
    assert expected == {file for case in planted for file in case["files"]}
    shown = [content[source] for source in found["source"]]
    assert len(list(groupby(shown))) == len(set(shown)), "files of one content stand side by side"


def test_a_view_that_no_fold_tested_has_no_saved_probabilities(model_of):
    three = model_of["by_lesion", "three_malignant"]
    tested = three.outcomes.iloc[0]
    known = three.describe(tested["source"], tested["view"])
    assert known["saved"] == {name: tested[name] for name in MALIGNANT} and known["fold"] == tested["fold"]
    nevus = three.views[three.views["folder_class"] == "nevus"].iloc[0]
    unknown = three.describe(nevus["source"], nevus["view"])
    assert unknown["saved"] is None and unknown["part"] == UNUSED and unknown["true_class"] == "nevus"


def test_relatives_are_all_views_of_the_group_those_in_training_first(by_view, study, drawn):
    table = pd.read_parquet(study.protocol("by_view"))
    planted = read_json(drawn / "planted.json")
    lesion, copies = planted["lesions"][0]["files"], planted["two_classes"][0]["files"]
    for source, other, relation in ((lesion[0], lesion[1], "same lesion"), (copies[0], copies[1], "same content")):
        subject = by_view.describe(source, 0)
        kin = lists.relatives(by_view, subject)
        group = table.index[table["group"] == subject["group"]]
        assert set(kin["row"]) == set(group) - {subject["row"]} and len(kin)
        assert (kin["relation"][kin["source"] == source] == "same picture").all()
        assert (kin["relation"][kin["source"] == other] == relation).all()
        parts = list(kin["part"])
        assert parts == sorted(parts, key=["train", "val", "test", UNUSED].index)
        held = {subject["fold"]: "test", (subject["fold"] + 1) % 10: "val", -1: UNUSED}
        assert parts == [held.get(table["tenth_nine_classes"][row], "train") for row in kin["row"]]
