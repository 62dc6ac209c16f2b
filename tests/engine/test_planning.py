"""The plan: the matrix expanded into runs, and notebooks whose parameters would not arrive refused."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from lib.config.params import AXES, Study, load_study
from lib.config.paths import NOTEBOOKS, REPOSITORY, StudyPaths, _Name
from lib.config.steps import STEPS, Step
from lib.engine import planning
from lib.engine.notebooks import NotebookError, declared_parameters
from lib.engine.planning import Inputs, plan, select, skipped_cells

FIXTURES = REPOSITORY / "tests" / "fixtures"
STAND_INS = FIXTURES / "notebooks"
TWO = Study(
    backbones=["MobileNet", "ResNet50"],
    scenarios=["nine_classes", "six_benign"],
    protocols=["by_view", "clean"],
    seeds=[0, 7],
    skip=[{"backbone": "ResNet50", "scenario": "six_benign"}],
    overrides=[{"when": {"backbone": "MobileNet", "protocol": "clean"}, "set": {"units": 32}}],
)


DATA = Inputs(data=Path("/data"))


def planned(study=TWO, inputs=DATA, notebooks=STAND_INS):
    return plan(study, "two", inputs, notebooks)


def notebook(folder: Path, *cells: str, tags=(None, "parameters")) -> Path:
    """A notebook of code cells; `tags` belong to the cells in order."""
    node = nbformat.v4.new_notebook()
    for i, cell in enumerate(cells):
        tag = tags[i] if i < len(tags) else None
        node.cells.append(nbformat.v4.new_code_cell(cell, metadata={"tags": [tag]} if tag else {}))
    path = folder / "n.ipynb"
    nbformat.write(node, path)
    return path


def test_every_cell_of_the_matrix_is_one_training_run_except_skipped_ones():
    runs = planned()
    train = [run for run in runs if run.step == "train"]
    assert len(train) == 2 * 2 * 2 * 2 - 2 * 2  # protocols x scenarios x backbones x seeds, less six_benign of ResNet50
    assert len({run.id for run in runs}) == len(runs)
    assert "train-clean-native-nine_classes-MobileNet-seed7" in {run.id for run in train}
    gone = skipped_cells(TWO)
    assert len(gone) == 4
    assert all(cell["axes"]["backbone"] == "ResNet50" and list(cell["axes"]) == list(AXES) for cell in gone)
    assert not {cell["id"] for cell in gone} & {run.id for run in runs}


def test_every_run_comes_after_what_it_waits_for_and_reads_only_what_an_earlier_run_writes():
    runs = planned()
    seen: set[str] = set()
    written: set[str] = set()
    for run in runs:
        assert set(run.waits_for) <= seen, run.id
        for pattern in run.inputs:
            fixed = Path(pattern.split("*")[0])
            inside = [w for w in written if fixed.is_relative_to(w) or Path(w).is_relative_to(fixed)]
            assert inside or pattern == "state.json", f"{run.id} reads {pattern}, which no run before it writes"
        seen.add(run.id)
        written |= set(run.outputs)


def test_no_two_runs_write_to_the_same_place():
    outputs = [Path(output) for run in planned() for output in run.outputs]
    for i, one in enumerate(outputs):
        for other in outputs[i + 1 :]:
            assert not one.is_relative_to(other) and not other.is_relative_to(one), (one, other)


VARIANTS = {"rotated_less": {"rotation": 15.0}, "narrow": {"units": 64}}


def test_a_variant_makes_anew_what_its_settings_change_and_shares_the_rest():
    study = TWO.model_copy(update={"variants": VARIANTS, "protocols": ["by_view"], "seeds": [0]})
    by_id = {run.id: run for run in planned(study, notebooks=NOTEBOOKS)}
    plain = {run.id for run in planned(study.model_copy(update={"variants": {}}), notebooks=NOTEBOOKS)}
    assert plain <= set(by_id)
    new = {step: {name for name in set(by_id) - plain if by_id[name].step == step} for step in STEPS}
    cell = "native-nine_classes-MobileNet-seed0"
    assert new["prepare"] == {"prepare-rotated_less"}
    assert new["features"] == {"features-native-MobileNet-rotated_less", "features-native-ResNet50-rotated_less"}
    assert {f"train-by_view-{cell}-{name}" for name in VARIANTS} <= new["train"]
    assert {f"evaluate-native-six_benign-{name}" for name in VARIANTS} <= new["evaluate"]
    assert not any(new[step] for step in ("audit", "gradcam", "kmeans", "report"))
    narrow, turned = (by_id[f"train-by_view-{cell}-{name}"] for name in ("narrow", "rotated_less"))
    assert narrow.needs == ("prepare", "features-native-MobileNet") and narrow.parameters["units"] == 64
    assert turned.needs == ("prepare-rotated_less", "features-native-MobileNet-rotated_less")
    assert "prepared/images.npy" in narrow.inputs and "variants/rotated_less/prepared/images.npy" in turned.inputs
    assert all(output.startswith("variants/narrow/") for output in narrow.outputs)
    assert by_id["prepare-rotated_less"].parameters["rotation"] == 15 and by_id["prepare"].parameters["rotation"] == 180
    assert set(by_id["evaluate-native-nine_classes-narrow"].some_of) < new["train"]
    assert not any("narrow" in name for name in by_id["gradcam-nine_classes-MobileNet"].needs)


def test_a_variant_of_a_setting_that_no_step_reads_that_runs_once_per_variant_is_refused():
    study = TWO.model_copy(update={"variants": {"other": {"kmeans_k": 5}}})
    with pytest.raises(NotebookError, match="variant 'other': no step .* reads 'kmeans_k'"):
        planned(study, notebooks=NOTEBOOKS)


def test_evaluation_runs_with_some_of_its_models_and_gradcam_needs_its_own():
    by_id = {run.id: run for run in planned()}
    evaluate = by_id["evaluate-native-nine_classes"]
    assert evaluate.needs == ("prepare",)
    assert len(evaluate.some_of) == 8 and all("native-nine_classes" in name for name in evaluate.some_of)
    # the best protocol at hand, the first seed
    assert by_id["gradcam-nine_classes-MobileNet"].needs == ("train-clean-native-nine_classes-MobileNet-seed0",)
    assert set(by_id["report"].after) == set(by_id) - {"report"} and not by_id["report"].needs


def test_only_and_step_keep_the_selected_runs_and_what_they_need():
    names = {run.id for run in select(planned(), [], {"backbone": ["MobileNet"], "protocol": ["clean"]})}
    assert "report" in names and "audit" in names
    assert not any("ResNet50" in name or "by_view" in name for name in names)
    names = {run.id for run in select(planned(), ["evaluate"], {"scenario": ["six_benign"], "protocol": ["clean"]})}
    assert names == {
        "audit",
        "prepare",
        "features-native-MobileNet",
        "train-clean-native-six_benign-MobileNet-seed0",
        "train-clean-native-six_benign-MobileNet-seed7",
        "evaluate-native-six_benign",
    }
    with pytest.raises(NotebookError, match="no run"):
        select(planned(), ["gradcam"], {"scenario": ["three_malignant"]})


def test_the_weights_of_a_backbone_are_an_input_only_where_they_are_loaded(tmp_path):
    weights = {run.id: run.external for run in planned(inputs=Inputs(data=Path("/data"), weights_dir=tmp_path))}
    assert list(weights["features-native-MobileNet"]) == ["weights of MobileNet"]
    assert weights["features-native-MobileNet"]["weights of MobileNet"].endswith("mobilenet_notop.weights.h5")
    random = TWO.model_copy(update={"weights": "none"})
    assert not any(run.external for run in planned(random, Inputs(weights_dir=tmp_path)))


def test_external_images_are_an_input_of_the_scores_alone_and_only_where_they_are_given():
    runs = planned(inputs=Inputs(data=Path("/data"), external=Path("/elsewhere")), notebooks=NOTEBOOKS)
    reads = {run.step for run in runs if "external" in run.external}
    assert reads == {"evaluate"} and all(run.parameters["external"] for run in runs if run.step == "evaluate")
    without = [run for run in planned(notebooks=NOTEBOOKS) if run.step == "evaluate"]
    assert not any("external" in run.external or run.parameters["external"] for run in without)


def test_each_metadata_file_is_an_input_of_the_steps_that_read_them():
    given = Inputs(data=Path("/data"), metadata=(Path("/truth.csv"), Path("/lesions.csv")))
    runs = [run for run in planned(inputs=given, notebooks=NOTEBOOKS) if run.step in ("audit", "evaluate")]
    for run in runs:
        assert run.parameters["metadata"] == ["/truth.csv", "/lesions.csv"]
        assert (run.external["metadata"], run.external["metadata 1"]) == ("/truth.csv", "/lesions.csv")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("x = 1", "units: int = 1", "print(x)"), "'units' is never read"),
        (("x = 1", "units: int = 1", "units = int(units)\nprint(units)", "units = 5"), None),
        (("print(units)", "units: int = 1", "print(1)"), "'units' is never read"),
        (("x = 1", "units: int = 1", "def f():\n    return units"), None),
        (("x = 1", "units: int = 1", "print('units')  # units"), "'units' is never read"),
        (("x = 1", "units: int = 1 + x", "print(units)"), "holds 'units: int = 1 \\+ x'"),
        (("x = 1", "print(1)", "2"), "write only `name: type = literal`"),
        (("x = 1", "units: int = 1", "units +"), "code cell 3 is not Python"),
    ],
)
def test_a_parameter_that_would_be_lost_is_refused_by_name(tmp_path, cells, message):
    path = notebook(tmp_path, *cells)
    if message is None:
        assert declared_parameters(path) == ("units",)
    else:
        with pytest.raises(NotebookError, match=message):
            declared_parameters(path)


@pytest.mark.parametrize(("tags", "count"), [((), 0), (("parameters", "parameters"), 2)])
def test_a_notebook_without_exactly_one_parameters_cell_is_refused(tmp_path, tags, count):
    with pytest.raises(NotebookError, match=f"{count} cells have the tag"):
        declared_parameters(notebook(tmp_path, "a = 1", "b = 2", tags=tags))


def test_a_declared_parameter_that_nothing_fills_is_refused_with_the_names_that_could(tmp_path):
    for step in STEPS.values():
        content = json.loads((STAND_INS / f"{step.notebook}.ipynb").read_text())
        if step.name == "kmeans":
            cell = next(cell for cell in content["cells"] if "parameters" in cell["metadata"].get("tags", []))
            cell["source"].append("\nseed: int = 0  # not an axis of this step")
            content["cells"][-1]["source"] = ["print(seed)"]
        (tmp_path / f"{step.notebook}.ipynb").write_text(json.dumps(content))
    with pytest.raises(NotebookError, match="07_kmeans.ipynb: parameter 'seed' cannot be filled"):
        planned(notebooks=tmp_path)


def test_a_step_added_in_one_place_is_planned_with_its_files_and_read_by_the_report(tmp_path, monkeypatch):
    shutil.copytree(STAND_INS, tmp_path, dirs_exist_ok=True)
    shutil.copy(
        notebook(tmp_path, "import os", "protocol: str = 'clean'", "print(protocol)"), tmp_path / "09_new.ipynb"
    )
    added = Step(
        "new",
        "09_new",
        axes=("protocol",),
        fixed=lambda study: {"seed": study.seeds[0]},
        reads=("protocol",),
        writes=("new_files",),
        needs=("prepare",),
    )
    monkeypatch.setattr(StudyPaths, "new_files", _Name("new/{protocol}{seed}"), raising=False)
    *first, report = STEPS.values()
    monkeypatch.setattr(planning, "STEPS", {step.name: step for step in (*first, added, report)})
    runs = {run.id: run for run in planned(notebooks=tmp_path)}
    new, last = runs["new-clean"], runs["report"]
    assert (new.inputs, new.outputs, new.needs) == (("prepared/clean.parquet",), ("new/clean0",), ("prepare",))
    assert {"new-by_view", "new-clean"} <= set(last.after) and "new/clean0" in last.inputs


@pytest.mark.parametrize("name", ["paper", "demo"])
def test_the_studies_of_this_repository_can_be_planned(name):
    runs = plan(load_study(name), name, DATA, NOTEBOOKS)
    assert {run.step for run in runs} == set(STEPS)
    assert all(set(run.parameters) | {"results", "attempt"} >= set(run.injected) for run in runs)


def test_the_paper_study_passes_over_its_images_once_per_backbone():
    """Six runs of features for all protocols, folds and scenarios."""
    paper = load_study("paper")
    runs = plan(paper, "paper", DATA, NOTEBOOKS)
    expected = {f"features-{paper.preprocessings[0]}-{backbone}" for backbone in paper.backbones}
    assert {run.id for run in runs if run.step == "features"} == expected and len(expected) == 6
    assert [run.id for run in runs if run.step == "prepare"] == ["prepare"]
