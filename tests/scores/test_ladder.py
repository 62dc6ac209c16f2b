"""Planted steps are found, each where it belongs, and add up."""

import numpy as np
import pytest

from lib.config.paths import StudyPaths
from lib.data.predictions import Models
from lib.scores.ladder import COLUMNS, RUNGS, ladder, without_printed
from lib.scores.metrics import external_scores, model_scores
from lib.scores.outcomes import collect_outcomes
from tests.fixtures.predictions import made_up_index, write_prepared, write_run

CELL = {"preprocessing": "native", "scenario": "three_malignant", "variant": "default"}
AXES = {"scenario": "three_malignant", "backbone": "MobileNet", "phase": "transfer"}
PROTOCOLS = ["by_view", "by_file", "by_lesion", "clean"]
MISLABELLED = 4


def chance(share, salt=1):
    """Right with the given chance, by the row alone, so that what is the same on two rungs is right on both."""
    return lambda held_out: np.array([np.random.default_rng([salt, row]).random() < share for row in held_out["row"]])


def outcomes_of(root, shares, index=None, folds=range(10), **prepared):
    """The outcomes of a study whose model is right with this chance under each protocol."""
    paths = StudyPaths(root)
    write_prepared(paths, made_up_index() if index is None else index, **prepared)
    for protocol, share in shares.items():
        write_run(paths, protocol, **AXES, right=chance(share), folds=folds)
    return collect_outcomes(Models(paths, "native", "three_malignant", PROTOCOLS, ["MobileNet"], [0]))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """A study in which the leak is worth 25 points and the views say nothing; four melanomas are carcinomas."""
    index = made_up_index(files=60, mislabelled=MISLABELLED)
    sizes = dict.fromkeys(set(index["class"]), 240)
    shares = dict(zip(PROTOCOLS, (0.9, 0.65, 0.65, 0.65)))
    return outcomes_of(tmp_path_factory.mktemp("study"), shares, index, sizes=sizes)


@pytest.fixture(scope="module")
def rungs(outcomes):
    return ladder(outcomes, CELL, {}).set_index("rung")


def test_every_rung_is_there_in_order_counts_what_it_scores_and_steps_add_up_to_the_accuracies(rungs):
    assert list(rungs.index) == ["printed", *(rung.name for rung in RUNGS)]
    assert rungs["images"].tolist()[1:] == [720, 720, 720, 180, 180, 180, 180]
    assert rungs["shared"].tolist()[2:] == [720, 720, 180, 180, 180, 180] and rungs["shared"].isna()[:2].all()
    assert (rungs["folds"].dropna() == 10).all() and (rungs["classes"].dropna() == 3).all()
    assert (rungs["groups"].dropna() == 90).all()
    ours = rungs.iloc[1:]
    assert ours["accuracy"].diff().iloc[1:].tolist() == pytest.approx(ours["step"].iloc[1:].tolist())
    assert rungs.loc["by view", "step"] == pytest.approx(ours["accuracy"].iloc[0] - rungs.loc["printed", "accuracy"])
    own = without_printed(rungs.reset_index()).set_index("rung")
    assert list(own.index) == list(ours.index) and own.isna().loc["by view", ["step", "step_low", "step_high"]].all()


def test_the_leak_is_found_where_it_was_planted_and_nowhere_else(rungs):
    assert rungs.loc["by file", "step"] == pytest.approx(-0.25, abs=0.05)
    assert rungs.loc["by file", "step_high"] < 0
    for name in ("by lesion", "originals", "same classes", "clean"):
        assert rungs.loc[name, "step_low"] <= 0 <= rungs.loc[name, "step_high"]


def test_corrected_labels_change_the_outcomes_of_the_mislabelled_alone(outcomes):
    filed, corrected = (rung.select(outcomes).set_index("row")["correct"] for rung in RUNGS[3:5])
    assert 0 < (filed != corrected).sum() <= MISLABELLED


def test_where_clean_lacks_a_class_the_step_to_its_classes_takes_the_answers_that_are_never_right(tmp_path):
    index = made_up_index()
    index.loc[index["class"] == "melanoma", "diagnosis"] = "BCC"
    own = outcomes_of(tmp_path, {"by_lesion": 0.7, "clean": 0.7}, index)
    table = ladder(own, CELL, {}).set_index("rung")
    assert table.loc["by lesion":, "classes"].tolist() == [3, 3, 2, 2, 2]
    rows = own[(own["protocol"] == "by_lesion") & (own["part"] == "test") & (own["view"] == 0)]
    two = rows[["basal cell carcinoma", "squamous cell carcinoma"]].idxmax(axis=1)
    assert table.loc["same classes", "accuracy"] == pytest.approx((two == rows["corrected_class"]).mean())
    assert table.loc["same classes", "step"] > 0.1 and (rows["predicted_class"] == "melanoma").any()


def test_a_single_fold_of_two_protocols_shares_few_views_and_the_step_says_how_many(tmp_path):
    own = outcomes_of(tmp_path, {"by_view": 0.9, "by_file": 0.6}, folds=[0])
    views = [set(own.loc[(own["protocol"] == p) & (own["part"] == "test"), "row"]) for p in ("by_view", "by_file")]
    table = ladder(own, CELL, {}).set_index("rung")
    assert table.loc["by file", "shared"] == len(views[0] & views[1]) < min(map(len, views)) / 2
    assert table.loc["by file", ["step_low", "step", "step_high"]].is_monotonic_increasing


def test_the_interval_of_external_images_is_that_of_these_images_for_one_model(outcomes):
    test = outcomes.query("protocol == 'clean' and part == 'test' and fold == 0 and view == 0")
    outside, groups = test.assign(part="external"), test.groupby("group")["right_corrected"].mean()
    half = 1.96 * groups.std(ddof=0) / np.sqrt(len(groups))  # groups are equally large
    rung = ladder(outcomes, CELL, {}, outside).set_index("rung").loc["external"]
    row = external_scores(outside, model_scores(outcomes, ["clean"]), ["clean"]).iloc[0]
    assert [rung["accuracy"] - rung["low"], row["accuracy"] - row["low"]] == pytest.approx([half, half], rel=0.04)


def test_a_rung_that_was_not_trained_is_missing_with_the_step_over_it_and_without_runs_so_are_all(tmp_path):
    table = ladder(outcomes_of(tmp_path, {"by_view": 0.9, "clean": 0.6}), CELL, {}).set_index("rung")
    assert list(table.index) == ["printed", "by view", "clean"] and np.isnan(table.loc["clean", "step"])
    empty = ladder(outcomes_of(tmp_path / "empty", {}), CELL, {})
    assert empty.empty and list(empty.columns) == COLUMNS
