"""The explorer over what run_all makes of the demo: every control answers, fast, and changes no file."""

import hashlib
import subprocess
import sys
import time

import pytest
import yaml

from lib.config.paths import NOTEBOOKS, PARAMS, StudyPaths
from lib.explore import lists
from lib.explore.explorer import Explorer
from tests.explore.test_widgets import pictures, png, text, upload

LIMIT = 2.0  # seconds of processor time: those on the wall depend on what else runs
NARROWED = {
    "backbones": ["MobileNet"],
    "scenarios": ["nine_classes", "six_benign"],
    "transfer_epochs": 2,  # it does not matter what the models have learnt
    "finetune_folds": [0],
    "finetune_epochs": 1,
    "overrides": [{"when": {"scenario": ["six_benign"]}, "set": {"finetune_epochs": 0}}],
    "skip": [],
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's own settings with one backbone, two scenarios and few epochs, up to its evaluation."""
    folder = tmp_path_factory.mktemp("finished")
    settings = yaml.safe_load((PARAMS / "demo.yaml").read_text(encoding="utf-8")) | NARROWED
    study = folder / "narrow.yaml"
    study.write_text(yaml.safe_dump(settings), encoding="utf-8")
    root = folder / "results" / "demo"
    flags = ["--step", "evaluate", "--results", str(root), "--jobs", "2"]
    command = [sys.executable, str(NOTEBOOKS.parent / "run_all.py"), str(study), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return StudyPaths(root)


def digest(root) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


@pytest.mark.slow
def test_every_control_answers_over_the_finished_demo_and_no_file_changes(demo):
    """About three minutes on two quiet cores, most of them for the demo."""
    before = digest(demo.root)
    explorer = Explorer(str(demo.root))
    chooser, slow, titles = explorer.chooser, {}, {}

    def act(widget, value, loads: bool = False) -> None:
        """Set a value; whatever is shown must be whole, and quick unless a model has to be loaded."""
        start = time.process_time()
        widget.value = value
        assert not explorer.message.value, f"{value}: {text(explorer.message)}"
        titles[value] = text(explorer.title)
        if not loads and time.process_time() - start > LIMIT:
            slow[value] = time.process_time() - start

    assert "synthetic study" in text(explorer.banner) and "random weights" in text(explorer.title)
    assert chooser.lists.value == "leaked" and (explorer.relatives.kin["part"] == "train").any()
    for name in ("two_classes", "lesion", "errors", "all"):
        act(chooser.lists, name)
        assert len(chooser.listed) and len(pictures(explorer.maps)) == 2, name
    for fold in (3, 9, lists.EVERY_FOLD, 0):
        act(chooser.fold, fold)
    assert len(chooser.listed) == 180, "a tenth of 200 views of each of nine classes"
    segments, maps = explorer.segments, explorer.maps
    act(segments.k, 5)
    act(segments.start, 3)
    act(segments.features, "colour_texture")
    act(maps.explain, "melanoma")
    act(maps.opacity, 0.3)
    act(chooser.label, "melanoma")
    act(explorer.beside, True, loads=True)
    for axis, value in (("protocol", "by_lesion"), ("phase", "finetune"), ("scenario", "six_benign")):
        act(explorer.second.axes[axis], value, loads=True)
    assert "Not among its answers: basal cell carcinoma, melanoma" in titles["six_benign"]
    act(explorer.first.axes["phase"], "finetune", loads=True)
    act(explorer.first.axes["scenario"], "six_benign", loads=True)
    upload(explorer, "mine.png", png(explorer.scene.image))
    assert "mine.png: of six benign classes the nearest is" in text(explorer.title)
    assert slow == {} and digest(demo.root) == before
