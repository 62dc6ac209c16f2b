import json

from lib.config.paths import StudyPaths
from lib.data.by_hand import compare_with_study


def test_a_notebook_by_hand_writes_beside_a_study_that_is_made_and_shows_the_numbers_of_both(tmp_path):
    root = tmp_path / "results" / "demo"
    paths = StudyPaths.of(str(root), "scratch")
    assert paths.new(paths.segmentation) == root / "kmeans" / "segmentation.csv" and paths.attempt is None
    StudyPaths(root).stamps.mkdir(parents=True)
    (root / "scores.json").write_text('{"a": 1, "b": 2}')
    paths = StudyPaths.of(str(root), "scratch")
    assert paths.new(root / "scores.json") == tmp_path / "results" / "scratch" / "demo" / "scores.json"
    paths.new(root / "scores.json").write_text('{"b": 5, "c": 6}')
    shown = compare_with_study(paths, root / "scores.json", lambda path: json.loads(path.read_text()))
    assert shown["the study's"].dropna().to_dict() == {"a": 1, "b": 2}
    assert shown["yours"].dropna().to_dict() == {"b": 5, "c": 6}
    shown = compare_with_study(paths, root / "scores.json", lambda path: {("clean", "transfer"): 0.5})
    assert shown.index.tolist() == ["clean, transfer"]
