"""The notebooks as a reader gets them: in one form, without outputs, and they run from top to bottom as they are."""

import ast
import os
import re
import shutil

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from lib.config.files import file_digest, read_json
from lib.config.params import AXES, Study, load_study
from lib.config.paths import LIB, NOTEBOOKS, PARAMS, RESULTS, StudyPaths
from lib.config.steps import STEPS
from lib.data.predictions import predicted_class, read_predictions
from lib.engine.notebooks import declared_parameters
from lib.explore.explorer import Explorer
from lib.explore.results import find_models
from lib.report import pages

FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
TOUR = NOTEBOOKS / "00_start.ipynb"  # a tour of the others, not a step
NUMBERED = [path for path in FILES if path.stem[:2].isdigit() and path != TOUR]
# What the runner fills in: the study's settings, the axes of a cell, and where files are.
OUTSIDE = ("attempt", "data", "metadata", "masks", "external", "weights_dir", "data_given")
FILLED = {*Study.model_fields, *AXES, "settings", "results", "variant_of", *OUTSIDE}
LONGEST_CELL = 18  # lines; the rule is about 10

each_notebook = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def test_there_is_a_notebook_for_every_step_of_the_study():
    assert [path.stem for path in NUMBERED] == [step.notebook for step in STEPS.values()]


def test_the_first_notebook_leads_to_every_other():
    linked = re.findall(r"\]\(([^)]+)\)", " ".join(cell.source for cell in _read(TOUR).cells))
    assert {name for name in linked if name.endswith(".ipynb")} == {path.name for path in FILES} - {TOUR.name}
    assert all((NOTEBOOKS / name).is_file() for name in linked)


@each_notebook
def test_is_stored_without_outputs_and_counts(path):
    for cell in _code(_read(path)):
        assert cell.outputs == [], cell.source
        assert cell.execution_count is None, cell.source


@each_notebook
def test_opens_with_its_title_and_ends_with_versions(path):
    notebook = _read(path)
    first, last = notebook.cells[0], notebook.cells[-1]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    if path in [TOUR, *NUMBERED]:
        assert first.source.startswith(f"# {path.stem[:2]} ")
    assert last.cell_type == "code" and "versions(" in last.source


@each_notebook
def test_code_cells_are_short_and_define_no_function_or_class(path):
    notebook = _read(path)
    for cell in _code(notebook):
        if cell is not _parameters_cell(notebook):  # that one has a line for each parameter
            assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not any(isinstance(node, definitions) for node in ast.walk(ast.parse(cell.source))), cell.source


@each_notebook
def test_has_one_parameters_cell_of_typed_literals_each_with_a_comment(path):
    cell = _parameters_cell(_read(path))
    lines = cell.source.splitlines()
    for statement in ast.parse(cell.source).body:
        text = ast.get_source_segment(cell.source, statement)
        assert isinstance(statement, ast.AnnAssign) and statement.value is not None, f"not `name: type = value`: {text}"
        ast.literal_eval(statement.value)
        own_lines = lines[statement.lineno - 1 : statement.end_lineno]
        assert any("#" in line for line in own_lines), f"no comment: {text}"


@each_notebook
def test_every_parameter_is_one_the_runner_can_fill_and_is_read_by_later_code(path):
    declared = set(declared_parameters(path))  # which refuses one that is never read
    assert declared <= FILLED, f"the runner fills none of {sorted(declared - FILLED)}"


@each_notebook
def test_the_defaults_are_those_of_the_demo(path):
    declared = _declared(_read(path))
    demo = load_study("demo")
    expected = demo.model_dump() | {"results": "../results/demo", "settings": {}, "variant_of": {}}
    expected |= dict.fromkeys(OUTSIDE, "") | {"attempt": "scratch", "metadata": []}
    for axis, values in demo.values_of_axes().items():
        if axis in declared:
            assert declared[axis] in values
            expected[axis] = declared[axis]
    assert declared == {name: expected[name] for name in declared}


@pytest.mark.slow
def test_all_steps_run_top_to_bottom_on_the_demo_with_no_argument(tmp_path, monkeypatch):
    """As in JupyterLab: kernels start in notebooks/, one after the other, in a copy whose results are still empty."""
    for variable in [name for name in os.environ if name.startswith("SKINCAS_")]:
        monkeypatch.delenv(variable)
    for folder in (NOTEBOOKS, LIB, PARAMS):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for path in NUMBERED:
        notebook = _execute(path, tmp_path / "notebooks")
        assert all(cell.execution_count for cell in _code(notebook)), path.name
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["scratch"]
    # the last one, executed, becomes the page, as the runner does it
    nbformat.write(notebook, tmp_path / "08_report.ipynb")
    page = tmp_path / "index.html"
    pages.write_report(tmp_path / "08_report.ipynb", page)
    assert "How the runs ended is not recorded" in page.read_text(encoding="utf-8")
    _the_explorer_shows_a_finished_study_and_changes_no_file(tmp_path / "results" / "demo")
    _what_is_trained_by_hand_is_evaluated_and_compared_and_changes_no_file(tmp_path)


@pytest.mark.slow
def test_the_report_of_a_kept_study_made_by_hand_changes_none_of_its_bytes(tmp_path):
    kept = tmp_path / "mobilenet_cpu"
    shutil.copytree(RESULTS / "reference" / kept.name, kept)
    before = _digests(kept)
    _execute(NOTEBOOKS / "08_report.ipynb", NOTEBOOKS, results=str(kept))
    assert _digests(kept) == before
    made, judged = (StudyPaths(folder / kept.name).claims for folder in (tmp_path / "scratch", tmp_path))
    verdicts = [claim["verdict"] for claim in read_json(made)]
    assert verdicts == [claim["verdict"] for claim in read_json(judged)]
    assert verdicts.count("depends on open choices") > 3  # by the outcomes kept


def _execute(path, folder, **parameters):
    """The notebook, run from top to bottom by a kernel that starts in `folder`."""
    notebook = _read(path)
    _parameters_cell(notebook).source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    try:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    except CellExecutionError as error:
        error.add_note(f"in {path.name}")
        raise
    return notebook


def _digests(root):
    return {path: file_digest(path) for path in root.rglob("*") if path.is_file()}


def _read(path):
    return nbformat.read(path, as_version=4)


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _parameters_cell(notebook):
    tagged = [cell for cell in _code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, f"{len(tagged)} cells are tagged `parameters`, not one"
    return tagged[0]


def _declared(notebook):
    """Parameter -> default."""
    statements = ast.parse(_parameters_cell(notebook).source).body
    return {statement.target.id: ast.literal_eval(statement.value) for statement in statements}


def _what_is_trained_by_hand_is_evaluated_and_compared_and_changes_no_file(folder):
    """Another `units`, one fold: 04, then 05, over what was made before as the study."""
    study = folder / "results" / "demo"
    (folder / "results" / "scratch" / "demo").rename(study)
    before, changed = _digests(study), {"units": 16, "transfer_folds": [0], "finetune_folds": [0]}
    for name, given in {"04_train": changed, "05_evaluate": {}}.items():
        cells = _code(_execute(folder / "notebooks" / f"{name}.ipynb", folder / "notebooks", **given))
        outputs = [output for cell in cells for output in cell.outputs]
        shown = "\n".join(output.get("text") or output.get("data", {}).get("text/html", "") for output in outputs)
        assert "units 16 instead of 128" in shown and "epoch 2 of" not in shown and "NaN" not in shown
    said = re.search(
        r"transfer learning, clean: units 16 instead of 128: (.+) \[.+\] points on (\d+) views of fold 0", shown
    )
    cell = ("clean", "native", "nine_classes", "MobileNet", 0)
    saved = [
        read_predictions(at.run(*cell), "transfer") for at in (StudyPaths.of(str(study), "scratch"), StudyPaths(study))
    ]
    tested = [rows.query("part == 'test' and fold == 0").set_index("row") for rows in saved]
    right = [predicted_class(rows.reset_index(drop=True)) == rows["true_class"] for rows in tested]
    assert said.groups() == (f"{100 * (right[0].mean() - right[1].mean()):+.1f}", str(len(right[0])))
    assert _digests(study) == before
    assert "by hand" in set(find_models(study)["trained"])


def _the_explorer_shows_a_finished_study_and_changes_no_file(root):
    before = _digests(root.parent)
    explorer = Explorer(str(root))
    explorer.starting.join()
    explorer.beside.value = True
    for axis in ("protocol", "scenario", "phase"):
        for _, value in explorer.second.axes[axis].options:
            explorer.second.axes[axis].value = value
            assert not explorer.message.value and len(explorer.maps.heats) == 2, value
    assert _digests(root.parent) == before
