import json
from pathlib import Path

import pytest

from lib.config.paths import StudyPaths
from lib.data.by_hand import compare_with_study


@pytest.mark.parametrize("results", ["results/demo", "results/demo/", "results/demo/audit/..", "results/nowhere"])
def test_what_is_made_by_hand_lies_over_the_study_and_never_in_it(tmp_path, monkeypatch, results):
    """Whatever the folder holds: no stamps, as a copy of a kept study has none, or nothing."""
    monkeypatch.chdir(tmp_path)
    root = (tmp_path / results).resolve()
    scratch, study = tmp_path / "results" / "scratch" / root.name, StudyPaths(root)
    (tmp_path / "results" / "demo" / "audit").mkdir(parents=True)
    paths = StudyPaths.of(results, "scratch")
    assert paths.new(paths.segmentation) == scratch / "kmeans" / "segmentation.csv"
    assert paths.run("clean", "native", "a", "b", 0) == study.run("clean", "native", "a", "b", 0)
    shares = [path.gradcam_shares("nine_classes", name) for path, name in ((study, "A"), (study, "B"), (paths, "B"))]
    for path, place in zip(shares, (study.new, study.new, paths.new)):
        place(path).write_text("1")
    assert paths.glob("gradcam/*/*/maps.csv") == [shares[0], scratch / shares[1].relative_to(root)]
    assert paths.new(paths.gradcam_shares("nine_classes", "B")) == paths.gradcam_shares("nine_classes", "B")


def test_the_numbers_of_both_stand_beside_each_other(tmp_path):
    paths = StudyPaths.of(str(tmp_path / "results" / "demo"), "scratch")
    StudyPaths(paths.root).new(paths.claims).write_text('{"a": 1, "b": 2}')
    paths.new(paths.claims).write_text('{"b": 5, "c": 6}')
    shown = compare_with_study(paths, paths.claims, lambda path: json.loads(path.read_text()))
    assert shown["the study's"].dropna().to_dict() == {"a": 1, "b": 2}
    assert shown["yours"].dropna().to_dict() == {"b": 5, "c": 6}
    shown = compare_with_study(paths, Path(paths.claims), lambda path: {("clean", "transfer"): 0.5})
    assert shown.index.tolist() == ["clean, transfer"]
