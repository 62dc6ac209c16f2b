"""The explorer over what run_all makes of the demo: every button and slider answers, fast, and changes no file."""

import hashlib
import subprocess
import sys

import pytest
import yaml

from lib.config.paths import NOTEBOOKS, PARAMS, StudyPaths
from lib.explore import lists, tour
from lib.explore.explorer import Explorer
from tests.explore.test_widgets import pictures, png, taken, text, upload

LIMIT = 2.0  # seconds of processor time: those on the wall depend on what else runs
NARROWED = {
    "backbones": ["MobileNet"],
    "scenarios": ["nine_classes", "six_benign"],
    "transfer_epochs": 2,  # what the models have learnt is not asked
    "finetune_folds": [0],
    "finetune_epochs": 1,
    "overrides": [{"when": {"scenario": ["six_benign"]}, "set": {"finetune_epochs": 0}}],
    "skip": [],
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's own settings with one backbone, two scenarios and few epochs, as far as its models are trained."""
    folder = tmp_path_factory.mktemp("finished")
    settings = yaml.safe_load((PARAMS / "demo.yaml").read_text(encoding="utf-8")) | NARROWED
    study = folder / "narrow.yaml"
    study.write_text(yaml.safe_dump(settings), encoding="utf-8")
    root = folder / "results" / "demo"
    flags = ["--step", "train", "--results", str(root), "--jobs", "2"]
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
    ui, slow, told = explorer.ui, {}, {}

    def act(what: str, widget, value=None, loads: bool = False) -> None:
        """Set a value, or click; whatever is shown must be whole, and quick unless a model has to be loaded."""
        if value is None:
            widget.click()
        else:
            widget.value = value
        assert not ui.message.value, f"{what}: {text(ui.message)}"
        told[what] = text(ui.title)
        if not loads and explorer.seconds[1] > LIMIT:
            slow[what] = explorer.seconds[1]

    assert "Synthetic study" in text(ui.banner) and "Random weights" in text(ui.title)
    assert ui.lists.value == "leaked" and (explorer.kin["part"] == "train").any()
    for name in ("two_classes", "lesion", "errors", "suspects", "all"):
        act(name, ui.lists, name)
        assert len(explorer.listed) and len(pictures(ui.shown)) == 1, name
    for fold in (3, 9, lists.EVERY_FOLD, 0):
        act(f"fold {fold}", ui.fold, fold)
    assert len(explorer.listed) == 180, "a tenth of 200 views of each of nine classes"
    act("next", ui.next)
    act("previous", ui.before)
    values = ((ui.k, 5), (ui.start, 3), (ui.init, ("random", 1)), (ui.kind, "colour_texture"), (ui.painted, "outline"))
    values += ((ui.explained, "melanoma"), (ui.opacity, 0.3), (ui.threshold, 0.2), (ui.metric, "euclidean"))
    for widget, value in (*values, (ui.among, "all"), (ui.label, "melanoma"), (ui.part, "val")):
        act(widget.description, widget, value)
    act("beside", ui.beside, True, loads=True)
    for axis, value in (("protocol", "by_lesion"), ("phase", "finetune"), ("scenario", "six_benign")):
        act(f"second {value}", ui.axes_second[axis], value, loads=True)
    assert "Melanoma is not among its answers" in told["second six_benign"]
    act("another image beside", ui.next)
    for kind in ("png", "svg"):
        act(kind, getattr(ui, kind))
        assert len(taken(ui.saved_figure)[1]) > 10_000
    act("csv", ui.csv)
    act("phase", ui.axes["phase"], "finetune", loads=True)
    act("six benign", ui.axes["scenario"], "six_benign", loads=True)
    act("none of its classes", ui.part, lists.OTHER)
    assert "is not among its answers" in told["none of its classes"]
    upload(explorer, "mine.png", png(explorer.image))
    assert "mine.png: of six benign classes the nearest is" in text(ui.title) and explorer.seconds[1] < LIMIT
    assert slow == {} and digest(demo.root) == before
    (row,) = tour.studies(demo.root).to_dict("records")
    assert row["steps"] == ["audit", "prepare", "features", "train"] and (row["runs"], row["models"]) == (9, 9)
