"""What makes a run stale: whatever can change its numbers, by name, and nothing else."""

import ast
import json
import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest

import run_all
from lib.config.files import files_below
from lib.config.params import Study, load_study
from lib.config.paths import LIB, NOTEBOOKS, StudyPaths
from lib.engine.code import CodeError, _read_module, reached
from lib.engine.freshness import FORMAT, Freshness, standings
from lib.engine.locks import FolderError, check_format, locked
from lib.engine.planning import Inputs, plan
from tests.engine.helpers import FIXTURES, stamp_all, write_notebook


@pytest.fixture
def package(tmp_path):
    """A small lib, and a notebook that imports a part of it."""
    folder = tmp_path / "lib"
    for name, text in {
        "shapes/area.py": '"""Areas."""\nfrom lib.shapes import sides\n\ndef area(a):\n    return sides.square(a)\n',
        "shapes/sides.py": "def square(a):\n    import scipy\n    return a * a\n",
        "shapes/unused.py": "import sklearn\n",
        "shapes/template.html": "<p>",
        "figures/draw.py": "import matplotlib\n",
        "other/unused.py": "",
        "other/data.csv": "",
        "config/params.py": "from lib.config import paper\n",
        "config/paper.py": "from lib.config.paths import CLAIMS\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    first, second = "from lib.config import params\nfrom lib.figures import draw", "from lib.shapes.area import area"
    write_notebook(tmp_path / "n.ipynb", first, second, tags=())
    return folder


def reached_now(package: Path, figures: bool = False) -> tuple[dict[str, str], set[str]]:
    for cached in (reached, _read_module):
        cached.cache_clear()
    return reached(package.parent / "n.ipynb", figures, package)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_modules_count_that_a_notebook_imports_directly_or_through_others(package):
    code, packages = reached_now(package)
    assert code.keys() == {
        *("lib.shapes.area", "lib.shapes.sides", "lib/shapes/template.html"),
        *("lib.config.paper", "params/claims.yaml"),  # through lib.config.params, which itself decides no number
    }
    assert packages == {"numpy", "scipy"}
    with_figures, packages = reached_now(package, figures=True)
    assert with_figures.keys() - code.keys() == {"lib.figures.draw"} and "matplotlib" in packages


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("from . import sides", 1),
        ("from lib.shapes.sides import *", 1),
        ("import lib.nothing", 1),
        ("from lib import shapes", 1),  # a package offers nothing: its modules are imported
        ("def late():\n    from lib.nothing import a", 2),
    ],
)
def test_an_import_that_cannot_be_followed_is_refused_with_its_file_and_line(package, statement, line):
    text = (package / "shapes" / "area.py").read_text()
    (package / "shapes" / "area.py").write_text(f"{statement}\n{text}")
    with pytest.raises(CodeError, match=rf"area\.py:{line}: `"):
        reached_now(package)
    write_notebook(package.parent / "n.ipynb", "1", statement, tags=())
    with pytest.raises(CodeError, match=rf"n\.ipynb, code cell 2:{line}: `"):
        reached_now(package)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A study of the real notebooks with a stamp for every run; gives how they stand with an edited copy of lib."""
    root = tmp_path_factory.mktemp("real")
    small = Study(backbones=["MobileNet"], scenarios=["six_benign"], protocols=["by_view", "clean"], weights="none")
    runs = plan(small, "real", Inputs(), NOTEBOOKS)
    stamp_all(root, runs)

    def stale(lib: Path) -> dict[str, tuple[str, ...]]:
        standing = standings(runs, Freshness(root, lib))
        assert all(one.status != "missing" for one in standing.values())
        return {name: one.changes for name, one in standing.items() if one.status == "stale"}

    return stale


@pytest.fixture
def lib(tmp_path):
    shutil.copytree(LIB, tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "lib"


TRAININGS = [f"train-{protocol}-native-six_benign-MobileNet-seed0" for protocol in ("by_view", "clean")]
READER = "evaluate-native-six_benign"


def test_a_change_in_training_code_makes_the_trainings_and_what_reads_them_stale(real, lib):
    with (lib / "models" / "training.py").open("a") as module:
        module.write("\n\ndef train_folds():\n    return None\n")
    stale = real(lib)
    assert set(stale) == {*TRAININGS, READER, "gradcam-six_benign-MobileNet", "report"}
    assert all(stale[name] == ("lib.models.training",) for name in TRAININGS)
    assert stale[READER] == (f"{TRAININGS[0]} and 1 more will be made again first",)
    assert stale["gradcam-six_benign-MobileNet"] == (f"{TRAININGS[1]} will be made again first",)


@pytest.mark.parametrize(
    ("folders", "stale"),
    [
        (("figures", "report", "report/template", "verdicts"), {"report"}),
        (("engine", "explore"), set()),
        (("scores",), {READER, "report"}),
    ],
)
def test_a_change_beside_the_models_retrains_nothing(real, lib, folders, stale):
    for path in (path for folder in folders for path in (lib / folder).glob("*.*")):
        path.write_text(path.read_text() + "\n\nA = 1\n")
    assert set(real(lib)) == stale


def test_other_comments_docstrings_and_layout_or_another_default_of_a_study_make_nothing_stale(real, lib):
    for path in lib.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
                node.body[0] = ast.Expr(ast.Constant("Other words."))
        path.write_text("# a comment\n" + ast.unparse(tree))
    edit(lib / "config" / "params.py", "kmeans_k: int = Field(3", "kmeans_k: int = Field(4")
    assert real(lib) == {}


def test_the_switch_of_onednn_counts_for_what_keras_computes_and_for_nothing_else(real, monkeypatch):
    assert real(LIB) == {}
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    stale = real(LIB)
    assert all(stale[name] == ("package TF_ENABLE_ONEDNN_OPTS: none -> 0",) for name in TRAININGS)
    assert {"audit", "prepare"}.isdisjoint(stale)


@pytest.fixture
def study(data, tmp_path):
    """A results folder in which every run of the small study has a stamp, and the function that plans it again."""
    notebooks = tmp_path / "tests" / "fixtures" / "notebooks"
    shutil.copytree(FIXTURES / "notebooks", notebooks)
    root = tmp_path / "results"

    def again(**update):
        small = load_study(str(FIXTURES / "small.yaml")).model_copy(update=update)
        return {run.id: run for run in plan(small, "small", Inputs(data=data), notebooks)}

    stamp_all(root, list(again().values()))
    return root, again


def changes(root: Path, runs: dict) -> dict[str, list[str]]:
    freshness = Freshness(root)
    found = {name: freshness.changes(run) for name, run in runs.items()}
    return {name: change for name, change in found.items() if change != []}


def test_a_finished_study_is_fresh_and_what_differs_is_named_for_the_runs_that_it_concerns(study, data):
    root, again = study
    assert changes(root, again()) == {}
    trainings = [name for name in again() if name.startswith("train-")]
    assert changes(root, again(units=16)) == dict.fromkeys(trainings, ["parameter units: 8 -> 16"])
    output = root / "kmeans/images.parquet"
    output.unlink()
    assert changes(root, again())["kmeans"] == ["output kmeans/images.parquet missing"]
    output.write_text("by hand")
    assert changes(root, again())["kmeans"] == ["output kmeans/images.parquet changed by hand"]
    output.write_text("kmeans")  # as it was, at another time, as in a copied folder
    assert changes(root, again()) == {}
    stamp = StudyPaths(root).stamp("kmeans")
    edit(stamp, '"numpy": "', '"numpy": "0')
    (change,) = changes(root, again())["kmeans"]
    assert change.startswith("package numpy: 0")
    stamp.write_text(stamp.read_text()[:100])
    assert changes(root, again()) == {"kmeans": None}
    (root / "features/native/MobileNet/features.npy").write_text("other")
    (data / "nevus" / "image.jpg").write_bytes(b"other pixels")
    found = changes(root, again())
    assert found["train-clean-native-nine_classes-MobileNet-seed0"] == ["input features/native/MobileNet/features.npy"]
    assert found["audit"] == ["input data"]


def test_a_changed_cell_is_named_and_a_changed_text_comment_or_default_is_not(study):
    """A run is given every parameter, so what the notebook would do without is no part of it."""
    root, again = study
    path = next(iter(again().values())).notebook.parent / "07_kmeans.ipynb"
    node = nbformat.read(path, as_version=4)
    node.cells[0]["source"] += " More words."
    node.cells[1]["source"] += "\n# a comment"
    defaults = next(cell for cell in node.cells if "parameters" in cell["metadata"].get("tags", []))
    defaults["source"] = defaults["source"].replace(": int = ", ": int = 1")
    nbformat.write(node, path)
    assert ": int = 1" in defaults["source"] and changes(root, again()) == {}
    node.cells[4]["source"] += "\nx = 1"
    nbformat.write(node, path)
    assert changes(root, again()) == {"kmeans": ["notebook: code cell 4"]}


def test_images_behind_a_link_count_a_link_in_a_circle_ends_and_a_named_pipe_is_not_read(tmp_path):
    """Class folders may be links; what the study reads through them decides like any other image."""
    elsewhere, images = tmp_path / "elsewhere", tmp_path / "images"
    (images / "Train").mkdir(parents=True)
    elsewhere.mkdir()
    (images / "Train" / "nevus").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(images)
    os.mkfifo(elsewhere / "pipe.png")
    digests = set()
    for name, content in (("one", b"one"), ("two", b"two"), ("one", b"changed")):
        (elsewhere / f"{name}.png").write_bytes(content)
        digests.add(Freshness(tmp_path / "results").external(images))
    (elsewhere / "one.png").unlink()
    assert len(digests | {Freshness(tmp_path / "results").external(images)}) == 4
    assert [path.name for path in files_below(images)] == ["two.png"]


def test_files_of_any_name_count_and_one_that_cannot_be_read_counts_once_it_can(tmp_path, monkeypatch):
    name = Path(os.fsdecode(b"caf\xe9.png"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(b"one")
    digests = {Freshness(tmp_path / "results").external(tmp_path / "images")}
    with monkeypatch.context() as only_here:
        only_here.setattr("lib.engine.freshness.file_digest", Mock(side_effect=PermissionError))
        digests.add(Freshness(tmp_path / "results").external(tmp_path / "images"))
    assert len(digests) == 2


def test_verify_names_every_output_that_is_not_as_it_was_written_and_changes_nothing(study, capsys):
    """What keeps its size and time is fresh by default: a rotten disk or a bad copy leaves both."""
    root, again = study
    flags = [str(FIXTURES / "small.yaml"), "--verify", "--results", str(root)]
    assert run_all.main(flags) == 0 and "as it was written" in capsys.readouterr().out
    rotten, gone = root / "kmeans/images.parquet", next(root.glob("runs/**/images.parquet"))
    times = rotten.stat()
    rotten.write_bytes(bytes([rotten.read_bytes()[0] ^ 1]) + rotten.read_bytes()[1:])
    os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
    gone.unlink()
    StudyPaths(root).stamp("audit").write_text("[")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert changes(root, again()).keys().isdisjoint({"kmeans"})
    assert run_all.main(flags) == 1
    named = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()[:-1]]
    assert named == ["kmeans/images.parquet", gone.relative_to(root).as_posix(), "stamps/audit.json"]
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert run_all.main([*flags[:-1], str(root / "nothing")]) == 2


@pytest.mark.parametrize("text", [None, "", "[]", "{}"])
def test_a_folder_whose_format_file_is_lost_has_the_format_of_its_stamps(study, text):
    root, again = study
    paths = StudyPaths(root)
    if text is not None:
        paths.format.write_text(text)
    with locked(root):
        assert json.loads(paths.format.read_text())["format"] == FORMAT
    assert changes(root, again()) == {}
    paths.format.unlink()
    for stamp in paths.stamps.glob("*.json"):
        edit(stamp, f'"format": {FORMAT}', '"format": 1')
    with pytest.raises(FolderError, match="format 1, expected"):
        check_format(paths)
