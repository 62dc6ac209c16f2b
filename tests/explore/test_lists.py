"""What is listed, related, counted and said, on what the steps of a small study wrote."""

import hashlib
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from lib.config.paper import CLASSES, MALIGNANT
from lib.data.folder import decode
from lib.explore import answers, lists, panels, related, threshold
from lib.explore.opened import NOWHERE, open_model
from lib.explore.results import find_models, find_studies

PREDICTIONS = "predictions_transfer.parquet"


@pytest.fixture(scope="module")
def models(study):
    return find_models(study.root)


@pytest.fixture(scope="module")
def model_of(study, models):
    """(protocol, scenario) -> the model."""
    found = {(row["protocol"], row["scenario"]): row for row in models.to_dict("records")}
    return {key: open_model(study, row) for key, row in found.items()}


@pytest.fixture(scope="module")
def by_view(model_of):
    return model_of["by_view", "nine_classes"]


def test_only_folders_with_a_trained_model_are_studies(study, models):
    assert list(find_studies(study.root)) == ["small"]
    assert list(models["protocol"]) == ["by_view", "by_lesion", "by_lesion"]


@pytest.mark.parametrize("fold", [0, 7])
def test_leaked_are_the_test_views_with_a_relative_in_training(by_view, study, fold):
    views, table = pd.read_parquet(study.views), pd.read_parquet(study.protocol("by_view"))
    groups, tenth = table["group"], table["tenth_nine_classes"]
    in_training = set(groups[(tenth >= 0) & ~tenth.isin([fold, (fold + 1) % 10])])
    expected = views[(tenth == fold) & groups.isin(in_training)]
    found = lists.leaked(by_view, "test", fold)
    assert set(zip(found["source"], found["view"])) == set(zip(expected["source"], expected["view"])) and len(found)
    first = found.iloc[0]
    same = (views["source"] == first["source"]) & (tenth >= 0) & ~tenth.isin([fold, (fold + 1) % 10])
    assert first["note"] == f"{same.sum()} training view{'s' if same.sum() > 1 else ''}: same picture"


def test_nothing_leaks_under_grouped_and_it_is_said(model_of):
    found, told = lists.asked(model_of["by_lesion", "nine_classes"], "leaked", "test", 0, None, None)
    assert found.empty and told == "Nothing leaks here: grouped keeps all views of a lesion on one side."


def test_contents_in_two_classes_are_those_of_equal_pixels(by_view, drawn):
    content, filed = {}, {}
    for path in sorted(drawn.folder.glob("T*/*/*.jpg")):
        source = path.relative_to(drawn.folder).as_posix()
        content[source] = hashlib.sha256(decode(path).tobytes()).hexdigest()
        filed.setdefault(content[source], set()).add(path.parent.name)
    expected = {source for source, digest in content.items() if len(filed[digest]) > 1}
    found = lists.in_two_classes(by_view)
    assert set(found["source"]) == expected == {f for case in drawn.planted["two_classes"] for f in case["files"]}
    shown = [content[source] for source in found["source"]]
    assert len(list(groupby(shown))) == len(set(shown)), "files of one content stand side by side"
    for row in found.itertuples():
        assert {row.source.split("/")[1], *row.note.removeprefix("also ").split(", ")} == filed[content[row.source]]


def test_the_pictures_of_a_lesion_are_its_planted_files_with_all_views(by_view, study, drawn):
    lesion = drawn.planted["lesions"][0]
    found = lists.of_lesion(by_view, by_view.subject(lesion["files"][0], 0))
    assert set(found["source"]) == set(lesion["files"])
    assert len(found) == pd.read_parquet(study.views)["source"].isin(lesion["files"]).sum()
    assert set(found["note"]) == {f"lesion {lesion['lesion_id']}"}


def test_suspect_labels_are_originals_whose_class_fits_less_than_another(by_view, models, study):
    ranked, reason = lists.rank_labels(by_view, models)
    found = lists.suspect_labels(by_view, ranked)
    assert reason == "" and len(found) and (found["view"] == 0).all()
    told = pd.read_parquet(study.run("by_lesion", "native", "nine_classes", "MobileNet", 0) / PREDICTIONS)
    told = told[(told["part"] == "test") & (told["view"] == 0)].set_index("source").loc[found["source"]]
    given = np.array([row[row["true_class"]] for row in told.to_dict("records")])
    others = told[list(CLASSES)].to_numpy()
    best = np.where(others == given[:, None], -1, others).max(axis=1)
    margin = given - best
    assert (margin < 0).all() and (np.diff(margin) > -1e-6).all(), "the likeliest error first"


def test_a_view_that_no_fold_tested_has_no_saved_answer_and_says_what_it_was_to_the_model(model_of):
    three = model_of["by_lesion", "three_malignant"]
    tested = three.predictions[three.predictions["part"] == "test"].iloc[0]
    known = three.subject(tested["source"], tested["view"])
    assert known["saved"] == {name: tested[name] for name in MALIGNANT} and known["fold"] == tested["fold"]
    nevus = three.views[three.views["folder_class"] == "nevus"].iloc[0]
    unknown = three.subject(nevus["source"], nevus["view"])
    assert unknown["saved"] is None and unknown["part"] == NOWHERE and unknown["true_class"] == "nevus"
    assert "No part of this scenario" in answers.whose_answer(three, unknown)
    assert three.subject("no/such.jpg", 0) is None


def test_relatives_are_all_views_of_the_group_those_in_training_first(by_view, study, drawn):
    table = pd.read_parquet(study.protocol("by_view"))
    for source in (drawn.planted["lesions"][0]["files"][0], drawn.planted["two_classes"][0]["files"][0]):
        subject = by_view.subject(source, 0)
        kin = related.relatives(by_view, subject)
        group = table.index[table["group"] == subject["group"]]
        assert set(kin["row"]) == set(group) - {subject["row"]} and len(kin)
        parts = list(kin["part"])
        assert parts == sorted(parts, key=["train", "val", "test", NOWHERE].index)
        tenth = table["tenth_nine_classes"]
        held = {subject["fold"]: "test", (subject["fold"] + 1) % 10: "val", -1: NOWHERE}
        assert parts == [held.get(tenth[row], "train") for row in kin["row"]]
    assert (kin["relation"] == "same content").any() and "filed under" in answers.about_relatives(kin, subject)


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.5, 1.0])
def test_sensitivity_and_specificity_are_those_of_scikit_learn(model_of, study, limit):
    grouped = model_of["by_lesion", "nine_classes"]
    told = pd.read_parquet(study.run("by_lesion", "native", "nine_classes", "MobileNet", 0) / PREDICTIONS)
    told = told[(told["part"] == "test") & (told["fold"] == 2)]
    counts = threshold.at_threshold(grouped, limit, fold=2)
    for name, some in (("all views", told), ("originals", told[told["view"] == 0])):
        true = some["true_class"].isin(MALIGNANT)
        called = some[list(MALIGNANT)].to_numpy(float).sum(axis=1) >= limit
        assert counts.at[name, "sensitivity"] == pytest.approx(recall_score(true, called))
        assert counts.at[name, "specificity"] == pytest.approx(recall_score(~true, ~called))
    assert threshold.has_threshold("benign_malignant") and not threshold.has_threshold("six_benign")


def test_lines_of_a_list_stand_under_their_heads_whatever_the_names(by_view):
    listed = lists.all_images(by_view, "test", 0).head(3)
    listed["image_id"] = ["x" * 60, "a\u202eb\nc", "short"]
    listed.loc[2, "predicted_class"] = np.nan
    head, lines = panels.list_header(), panels.list_lines(listed)
    for line, label in zip(lines, listed["true_class"]):
        assert line[head.index("true class") :].startswith(label) and "\n" not in line and "\u202e" not in line
    assert "not saved" in lines[2] and lines[0].count("x") == panels.WIDTHS["image"] - 2
