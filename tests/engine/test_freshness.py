"""What makes a run stale: whatever can change its numbers, by name, and nothing else."""

import ast
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from lib.config.files import files_below, write_json
from lib.config.params import Study, load_study
from lib.config.paths import LIB, NOTEBOOKS, REPOSITORY, StudyPaths
from lib.engine.code import CodeError, Library
from lib.engine.execution import standings
from lib.engine.freshness import Freshness, outputs_of
from lib.engine.planning import Inputs, plan

FIXTURES = REPOSITORY / "tests" / "fixtures"


@pytest.fixture
def package(tmp_path):
    """A small lib and a notebook that uses a part of it."""
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "shapes.py").write_text(
        '"""Shapes."""\nfrom lib import helpers\nimport scipy\n\nSIDES = 4\nUNUSED = 1\n\n'
        'def area(a):\n    """The area."""\n    return helpers.square(a) * SIDES\n\n'
        "def other(a):\n    return scipy.fft(a) + UNUSED\n\n"
        "class Box:\n    corners = 8\n\n    def volume(self):\n        return helpers.cube(self.a)\n\n"
        "    def colour(self):\n        return helpers.paint(self.a)\n"
    )
    (folder / "helpers.py").write_text(
        "def square(a):\n    return a * a\n\ndef cube(a):\n    return a**3\n\n"
        "def paint(a):\n    import sklearn\n    return a\n"
    )
    (folder / "figures.py").write_text("def draw(a):\n    return a\n")
    node = nbformat.v4.new_notebook()
    code = ["from lib import figures, shapes", "figures.draw(shapes.area(2))\nshapes.Box().volume()"]
    node.cells = [nbformat.v4.new_code_cell(cell) for cell in code]
    nbformat.write(node, tmp_path / "n.ipynb")
    return folder


def code(package: Path, pictures: bool = False) -> dict[str, str]:
    return Library(package).reached(package.parent / "n.ipynb", pictures)[0]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_code_counts_when_a_notebook_reaches_it_and_only_then(package):
    reached = code(package)
    assert set(reached) == {
        *("lib.shapes.area", "lib.shapes.SIDES", "lib.shapes.Box", "lib.shapes.Box.volume"),
        *("lib.helpers.square", "lib.helpers.cube"),
    }
    assert set(code(package, pictures=True)) - set(reached) == {"lib.figures.draw"}


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("helpers.py", "a * a", "a * a + 0", {"lib.helpers.square"}),
        ("helpers.py", "a**3", "a**4", {"lib.helpers.cube"}),
        ("shapes.py", "SIDES = 4", "SIDES = 5", {"lib.shapes.SIDES"}),
        ("shapes.py", "corners = 8", "corners = 9", {"lib.shapes.Box"}),
        ("shapes.py", "UNUSED = 1", "UNUSED = 2", set()),
        ("shapes.py", "The area.", "The surface.", set()),
        ("shapes.py", "def area(a):", "# a comment\ndef area(a):", set()),
        ("shapes.py", "scipy.fft(a)", "scipy.ifft(a)", set()),
        ("shapes.py", "helpers.paint(self.a)", "helpers.paint(0)", set()),
        ("figures.py", "return a", "return None", set()),
    ],
)
def test_a_change_is_seen_where_it_can_change_numbers_and_nowhere_else(package, file, old, new, changed):
    before = code(package)
    edit(package / file, old, new)
    after = code(package)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == changed


def test_packages_count_when_reached_code_imports_them(package):
    packages = Library(package).reached(package.parent / "n.ipynb", False)[1]
    assert "numpy" in packages and not {"scipy", "sklearn"} & packages
    edit(package / "shapes.py", "helpers.cube(self.a)", "scipy.cbrt(self.colour())")
    packages = Library(package).reached(package.parent / "n.ipynb", False)[1]
    assert {"scipy", "sklearn"} <= packages


def test_a_parameter_file_counts_where_code_names_it_and_a_long_text_is_no_file_name(package):
    before = code(package)
    edit(package / "shapes.py", "SIDES = 4", f'SIDES = len("{"word " * 100}") + len("claims.yaml")')
    assert set(code(package)) - set(before) == {"params/claims.yaml"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("from . import helpers", "shapes.py:1: `from . import helpers`: import by full names"),
        ("from lib.helpers import *", "shapes.py:1: `from lib.helpers import *`: import by full names"),
        ("import lib.nothing", "shapes.py:1: `import lib.nothing`: there is no lib.nothing"),
        ("from lib import nothing", "shapes.py:1: `from lib import nothing`: there is no lib.nothing"),
        ("from lib.helpers import nothing", "there is no lib.helpers.nothing"),
        ("def late():\n    from lib.helpers import nothing", "shapes.py:2: `from lib.helpers import nothing`"),
        ("import importlib\nimportlib.import_module('lib.helpers')", "shapes.py:2: import_module"),
        ("from importlib import import_module as get", "shapes.py:1: `from importlib import import_module as get`"),
        ("helpers = __import__('lib.helpers')", "shapes.py:1: __import__"),
    ],
)
def test_an_import_that_cannot_be_followed_is_refused_with_its_line(package, code, message):
    text = (package / "shapes.py").read_text()
    (package / "shapes.py").write_text(f"{code}\n{text}")
    with pytest.raises(CodeError, match=re.escape(message)):
        Library(package)


def test_a_name_that_its_module_lacks_is_refused_with_its_line(package):
    edit(package / "shapes.py", "helpers.square(a)", "helpers.squared(a)")
    with pytest.raises(CodeError, match=r"shapes\.py:10: lib\.helpers has no squared"):
        code(package)


def test_a_notebook_that_imports_what_is_not_there_is_refused_with_its_cell(package):
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("import lib.no")])
    nbformat.write(node, package.parent / "n.ipynb")
    with pytest.raises(CodeError, match=r"n\.ipynb, code cell 2:1: `import lib\.no`: there is no lib\.no"):
        code(package)


def test_what_is_bound_by_other_statements_counts_with_them(package):
    edit(package / "shapes.py", "SIDES = 4", "try:\n    SIDES = 4\nexcept ImportError:\n    SIDES = 0")
    before = code(package)
    edit(package / "shapes.py", "SIDES = 0", "SIDES = 1")
    assert {name for name, value in code(package).items() if before[name] != value} == {"lib.shapes"}


def stamp_all(root: Path, runs: list, lib: Path = LIB) -> None:
    """Give every run outputs and a stamp."""
    for run in runs:
        for name in run.outputs:
            path = root / name if Path(name).suffix else root / name / "images.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(run.id)
        freshness = Freshness(root, lib)
        stamp = freshness.describe(run) | {"inputs": freshness.inputs(run), "seconds": 1.0}
        write_json(StudyPaths(root).stamp(run.id), stamp | {"outputs": outputs_of(root, run)})


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


def test_a_change_in_training_code_makes_the_trainings_and_what_reads_them_stale_and_names_the_function(real, lib):
    with (lib / "models" / "training.py").open("a") as module:
        module.write("\n\ndef train_folds():\n    return None\n")
    stale = real(lib)
    assert set(stale) == {*TRAININGS, READER, "gradcam-six_benign-MobileNet", "report"}
    assert all(stale[name] == ("lib.models.training.train_folds",) for name in TRAININGS)
    assert stale[READER] == (f"{TRAININGS[0]} and 1 more will be made again first",)
    assert stale["gradcam-six_benign-MobileNet"] == (f"{TRAININGS[1]} will be made again first",)


@pytest.mark.parametrize(
    ("module", "function"),
    [("figures/predictions.py", "roc"), ("report/accuracy.py", "accuracy_table"), ("report/pages.py", "to_html")],
)
def test_a_change_in_figures_or_in_the_report_makes_the_report_alone_stale(real, lib, module, function):
    path = lib / module
    assert f"def {function}(" in path.read_text()
    path.write_text(path.read_text() + f"\n\ndef {function}():\n    return None\n")
    assert real(lib) == {"report": (f"lib.{module.removesuffix('.py').replace('/', '.')}.{function}",)}


def test_other_comments_docstrings_and_layout_or_another_default_of_a_study_make_nothing_stale(real, lib):
    for path in lib.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
                node.body[0] = ast.Expr(ast.Constant("Other words."))
        path.write_text("# a comment\n" + ast.unparse(tree))
    edit(lib / "config" / "params.py", "kmeans_k: int = Field(3", "kmeans_k: int = Field(4")
    assert real(lib) == {}


@pytest.fixture
def study(tmp_path):
    """A results folder in which every run of the small study has a stamp, and the function that plans it again."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "image.jpg").write_bytes(b"pixels")
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


def test_a_finished_study_is_fresh_and_a_run_without_a_stamp_is_missing(study):
    root, again = study
    assert changes(root, again()) == {}
    StudyPaths(root).stamp("kmeans").unlink()
    assert changes(root, again()) == {"kmeans": None}


def test_a_changed_parameter_is_named_with_both_values_and_touches_only_who_declares_it(study):
    root, again = study
    assert changes(root, again(units=16)) == {
        name: ["parameter units: 8 -> 16"] for name in again() if name.startswith("train-")
    }


def test_the_report_knows_every_setting_by_its_own_name(tmp_path):
    demo = load_study("demo")
    described = []
    for study in (demo, demo.model_copy(update={"units": 65})):
        *_, report = plan(study, "demo", Inputs(), NOTEBOOKS)
        described.append(Freshness(tmp_path).describe(report)["parameters"])
    assert described[0].keys() == demo.model_dump().keys()
    assert {key for key, value in described[0].items() if value != described[1][key]} == {"units"}


def test_a_changed_cell_is_named_and_a_changed_text_or_comment_is_not(study):
    root, again = study
    path = next(iter(again().values())).notebook.parent / "07_kmeans.ipynb"
    node = nbformat.read(path, as_version=4)
    node.cells[0]["source"] += " More words."
    node.cells[1]["source"] += "\n# a comment"
    nbformat.write(node, path)
    assert changes(root, again()) == {}
    node.cells[4]["source"] += "\nx = 1"
    nbformat.write(node, path)
    assert changes(root, again()) == {"kmeans": ["notebook: code cell 4"]}


def test_a_changed_default_of_a_notebook_makes_nothing_stale(study):
    """A run is given every parameter, so what the notebook would do without is no part of it."""
    root, again = study
    path = next(iter(again().values())).notebook.parent / "04_train.ipynb"
    node = nbformat.read(path, as_version=4)
    defaults = next(cell for cell in node.cells if "parameters" in cell["metadata"].get("tags", []))
    assert "units: int = 64" in defaults["source"]
    defaults["source"] = defaults["source"].replace("units: int = 64", "units: int = 80")
    nbformat.write(node, path)
    assert changes(root, again()) == {}


def test_a_changed_input_is_named_for_those_who_read_it(study):
    root, again = study
    (root / "prepared/clean.parquet").parent.mkdir(exist_ok=True, parents=True)
    (root / "features/native/MobileNet/features.npy").write_text("other")
    assert changes(root, again())["train-clean-native-nine_classes-MobileNet-seed0"] == [
        "input features/native/MobileNet/features.npy (new)"
    ]
    (root.parent / "data" / "image.jpg").write_bytes(b"other pixels")
    found = changes(root, again())
    assert found["audit"] == found["kmeans"] == ["input data"]


def test_a_change_to_the_look_of_the_report_or_to_what_makes_its_pages_makes_the_report_again_and_nothing_else(study):
    root, again = study
    lib = root.parent / "lib"
    shutil.copytree(LIB, lib)

    def stale(copy: Path) -> dict[str, list[str]]:
        freshness = Freshness(root, copy)
        found = {name: freshness.changes(run) for name, run in again().items()}
        return {name: change for name, change in found.items() if change}

    assert stale(lib) == {}
    edit(lib / "report" / "template" / "style.css", "color-scheme: light dark", "color-scheme: dark")
    assert stale(lib) == {"report": ["input lib/report/template"]}
    other = root.parent / "other"
    shutil.copytree(lib, other)
    edit(other / "report" / "notebooks.py", "new_markdown_cell", "new_raw_cell")
    assert stale(other) == {"report": ["lib.report.notebooks.notebook_page", "input lib/report/template"]}


def test_a_changed_package_version_is_named(study):
    root, again = study
    path = StudyPaths(root).stamp("kmeans")
    stamp = json.loads(path.read_text())
    stamp["packages"]["numpy"] = "1.0"
    path.write_text(json.dumps(stamp))
    (change,) = changes(root, again())["kmeans"]
    assert change.startswith("package numpy: 1.0 -> ")


def test_an_output_that_is_gone_or_was_edited_is_named_but_a_copied_folder_is_fresh(study, tmp_path):
    root, again = study
    (root / "kmeans/images.parquet").unlink()
    assert changes(root, again())["kmeans"] == ["output kmeans/images.parquet is missing"]
    (root / "kmeans/images.parquet").write_text("by hand")
    assert changes(root, again())["kmeans"] == ["output kmeans/images.parquet was changed by hand"]
    (root / "kmeans/images.parquet").write_text("kmeans")  # as it was, at another time
    assert changes(root, again()) == {}


def test_a_named_pipe_in_a_folder_outside_is_not_opened(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").write_bytes(b"one")
    before = Freshness(tmp_path / "results").external(tmp_path / "images")
    os.mkfifo(tmp_path / "images" / "pipe.png")
    assert Freshness(tmp_path / "results").external(tmp_path / "images") == before


def test_images_behind_a_link_count_and_a_link_in_a_circle_ends(tmp_path):
    """Class folders may be links; what the study reads through them decides like any other image."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one.png").write_bytes(b"one")
    (tmp_path / "images" / "Train").mkdir(parents=True)
    (tmp_path / "images" / "Train" / "nevus").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "images")

    def digest():
        return Freshness(tmp_path / "results").external(tmp_path / "images")

    digests = {digest()}
    (tmp_path / "elsewhere" / "two.png").write_bytes(b"two")
    digests.add(digest())
    (tmp_path / "elsewhere" / "one.png").write_bytes(b"changed")
    digests.add(digest())
    (tmp_path / "elsewhere" / "one.png").unlink()
    assert len(digests | {digest()}) == 4
    assert [path.name for path in files_below(tmp_path / "images")] == ["two.png"]


def test_a_stamp_cut_short_counts_for_nothing(study):
    root, again = study
    path = StudyPaths(root).stamp("kmeans")
    path.write_text(path.read_text()[:100])
    assert changes(root, again()) == {"kmeans": None}
