import json

import pytest

from lib.config.paths import StudyPaths
from lib.data.by_hand import compare_with_study


@pytest.mark.parametrize("made", [False, True])
def test_a_notebook_by_hand_writes_beside_a_study_that_run_all_has_made_and_into_one_that_it_has_not(tmp_path, made):
    root = tmp_path / "results" / "demo"
    if made:
        StudyPaths(root).stamps.mkdir(parents=True)
    paths = StudyPaths.of(str(root), "scratch")
    written = tmp_path / "results" / "scratch" / "demo" if made else root
    assert paths.new(paths.segmentation) == written / "kmeans" / "segmentation.csv"
    assert (paths.attempt is not None) == made


def test_numbers_of_both_are_shown_by_hand_also_those_that_one_of_the_two_has(tmp_path):
    root = tmp_path / "results" / "demo"
    StudyPaths(root).stamps.mkdir(parents=True)
    (root / "scores.json").write_text('{"a": 1, "b": 2}')
    paths = StudyPaths.of(str(root), "scratch")
    paths.new(root / "scores.json").write_text('{"b": 5, "c": 6}')
    shown = compare_with_study(paths, root / "scores.json", lambda path: json.loads(path.read_text()))
    assert shown["the study's"].dropna().to_dict() == {"a": 1, "b": 2}
    assert shown["yours"].dropna().to_dict() == {"b": 5, "c": 6}
    shown = compare_with_study(paths, root / "scores.json", lambda path: {("clean", "transfer"): 0.5})
    assert shown.index.tolist() == ["clean, transfer"]
