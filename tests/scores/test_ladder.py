"""Planted steps are found, each where it belongs, and add up."""

import numpy as np
import pytest

from lib.config.paths import StudyPaths
from lib.scores import ladder
from tests.fixtures.predictions import made_up_index, write_prepared, write_run

CELL = dict(preprocessing="native", scenario="three_malignant", backbone="MobileNet")
MISLABELLED = 4


def chance(share, salt):
    """Right with the given chance, by the row alone, so that what is the same on two rungs is right on both."""

    def right(held_out):
        return np.array([np.random.default_rng([salt, row]).random() < share for row in held_out["row"]])

    return right


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A study in which the leak is worth 25 points and the views say nothing; four melanomas are carcinomas."""
    paths = StudyPaths(tmp_path_factory.mktemp("study"))
    index = made_up_index(files=60, mislabelled=MISLABELLED)
    write_prepared(paths, index, sizes=dict.fromkeys(set(index["class"]), 240))
    write_run(paths, "by_view", **_axes(), right=lambda h: chance(0.9, 1)(h))
    write_run(paths, "by_lesion", **_axes(), right=lambda h: chance(0.65, 1)(h))
    write_run(paths, "clean", **_axes(), right=lambda h: chance(0.65, 1)(h))
    return paths


def _axes():
    return dict(scenario="three_malignant", backbone="MobileNet", phase="transfer")


@pytest.fixture(scope="module")
def rungs(paths):
    return ladder.ladder(paths, [CELL], [0]).set_index("rung")


def test_every_rung_is_there_in_order_and_counts_what_it_scores(rungs):
    assert list(rungs.index) == ["printed", "by_view", "by lesion", "originals", "corrected labels", "clean"]
    assert rungs["images"].tolist()[1:] == [720, 720, 180, 180, 180]
    assert (rungs["folds"].dropna() == 10).all()
    assert (rungs["groups"].dropna() == 90).all()


def test_the_leak_is_found_where_it_was_planted_and_nowhere_else(rungs):
    assert rungs.loc["by lesion", "step"] == pytest.approx(-0.25, abs=0.05)
    assert rungs.loc["by lesion", "step_high"] < 0
    for name in ("originals", "clean"):
        assert rungs.loc[name, "step_low"] <= 0 <= rungs.loc[name, "step_high"]


def test_steps_add_up_to_the_accuracies(rungs):
    ours = rungs.iloc[1:]
    assert ours["accuracy"].diff().iloc[1:].tolist() == pytest.approx(ours["step"].iloc[1:].tolist())
    assert rungs.loc["by_view", "step"] == pytest.approx(ours["accuracy"].iloc[0] - rungs.loc["printed", "accuracy"])


def test_without_the_print_its_rung_and_the_step_from_it_are_gone_and_the_rest_is_the_same(rungs):
    table = rungs.reset_index()
    own = ladder.without_print(table).set_index("rung")
    assert list(own.index) == list(rungs.index[1:])
    assert own.loc["by_view", ["step", "step_low", "step_high"]].isna().all()
    assert own.iloc[1:].equals(rungs.iloc[2:][own.columns])
    assert own.drop(columns=["step", "step_low", "step_high"]).equals(rungs.iloc[1:][own.columns].iloc[:, :-3])
    assert "printed" in set(table["rung"])  # the table that was given is left alone


def test_scoring_by_labels_that_hold_changes_the_answers_to_the_mislabelled_alone(paths):
    grouped = ladder.RUNGS[3]
    filed, hold = (ladder.rung_correctness(paths, rung, CELL, "transfer", [0]) for rung in ladder.RUNGS[2:4])
    assert grouped.name == "corrected labels"
    both = filed.merge(hold, on="row")
    assert 0 < (both["correct_x"] != both["correct_y"]).sum() <= MISLABELLED


def test_a_rung_that_was_not_trained_is_left_out_and_the_step_over_it_is_missing(paths, tmp_path):
    other = StudyPaths(tmp_path)
    write_prepared(other, made_up_index())
    write_run(other, "by_view", **_axes(), right=chance(0.9, 1))
    write_run(other, "clean", **_axes(), right=chance(0.6, 1))
    found = ladder.ladder(other, [CELL], [0]).set_index("rung")
    assert list(found.index) == ["printed", "by_view", "clean"]
    assert np.isnan(found.loc["clean", "step"])


def test_one_fold_is_enough_for_a_ladder_with_intervals_of_its_groups(tmp_path):
    paths = StudyPaths(tmp_path)
    write_prepared(paths, made_up_index())
    for protocol, share in (("by_view", 0.9), ("by_lesion", 0.5), ("clean", 0.5)):
        write_run(paths, protocol, **_axes(), right=chance(share, 1), folds=[0])
    found = ladder.ladder(paths, [CELL], [0]).set_index("rung")
    assert (found["folds"].dropna() == 1).all() and found["low"].notna().sum() == 5
    assert found.loc["by lesion", ["step_low", "step", "step_high"]].is_monotonic_increasing


def test_several_seeds_are_averaged_image_by_image(tmp_path):
    paths = StudyPaths(tmp_path)
    write_prepared(paths, made_up_index())
    for seed in (0, 1):
        write_run(paths, "by_view", **_axes(), right=chance(0.8, seed), seed=seed)
    table = ladder.rung_correctness(paths, ladder.RUNGS[0], CELL, "transfer", [0, 1])
    assert set(table["correct"]) == {0, 0.5, 1} and not table["row"].duplicated().any()


def test_a_study_without_runs_gives_an_empty_table_with_its_columns(tmp_path):
    found = ladder.ladder(StudyPaths(tmp_path), [CELL], [0])
    assert found.empty and list(found.columns) == ladder.COLUMNS
