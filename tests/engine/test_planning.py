"""The plan: the matrix expanded into runs, and notebooks whose parameters would not arrive refused."""

from pathlib import Path

import pytest

from lib.config.params import AXES, Study
from lib.config.paths import NOTEBOOKS
from lib.config.steps import STEPS
from lib.engine.notebooks import NotebookError, declared_parameters
from lib.engine.planning import Inputs, plan, select, skipped_cells
from tests.engine.helpers import FIXTURES, write_notebook

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


def notebook(folder: Path, *cells: str, tags=("", "parameters")) -> Path:
    return write_notebook(folder / "n.ipynb", *cells, tags=tags)


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


def test_every_run_comes_after_what_it_waits_for_reads_what_an_earlier_run_writes_and_writes_where_no_other_does():
    seen, written = set(), set()
    for run in planned():
        assert set(run.waits_for) <= seen, run.id
        for output in run.outputs:
            assert not [one for one in written if Path(one).is_relative_to(output) or Path(output).is_relative_to(one)]
        for pattern in run.inputs:
            fixed = Path(pattern.split("*")[0])
            inside = [w for w in written if fixed.is_relative_to(w) or Path(w).is_relative_to(fixed)]
            assert inside or pattern == "state.json", f"{run.id} reads {pattern}, which no run before it writes"
        seen.add(run.id)
        written |= set(run.outputs)


def test_a_variant_makes_anew_what_its_settings_change_and_shares_the_rest():
    variants = {"rotated_less": {"rotation": 15.0}, "narrow": {"units": 64}}
    study = TWO.model_copy(update={"variants": variants, "protocols": ["by_view"], "seeds": [0]})
    by_id = {run.id: run for run in planned(study, notebooks=NOTEBOOKS)}
    plain = {run.id for run in planned(study.model_copy(update={"variants": {}}), notebooks=NOTEBOOKS)}
    assert plain <= set(by_id)
    new = {step: {name for name in set(by_id) - plain if by_id[name].step == step} for step in STEPS}
    cell = "native-nine_classes-MobileNet-seed0"
    assert new["prepare"] == {"prepare-rotated_less"}
    assert new["features"] == {"features-native-MobileNet-rotated_less", "features-native-ResNet50-rotated_less"}
    assert not any(new[step] for step in ("audit", "gradcam", "kmeans", "report"))
    narrow, turned = (by_id[f"train-by_view-{cell}-{name}"] for name in ("narrow", "rotated_less"))
    assert narrow.needs == ("prepare", "features-native-MobileNet") and narrow.parameters["units"] == 64
    assert turned.needs == ("prepare-rotated_less", "features-native-MobileNet-rotated_less")
    assert "prepared/images.npy" in narrow.inputs and "variants/rotated_less/prepared/images.npy" in turned.inputs
    assert all(output.startswith("variants/narrow/") for output in narrow.outputs)
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
    trainings = {f"train-clean-native-six_benign-MobileNet-seed{seed}" for seed in (0, 7)}
    assert names == {"audit", "prepare", "features-native-MobileNet", "evaluate-native-six_benign"} | trainings
    with pytest.raises(NotebookError, match="no run"):
        select(planned(), ["gradcam"], {"scenario": ["three_malignant"]})


def test_files_from_outside_are_inputs_of_the_steps_that_read_them_and_only_where_they_are_given(tmp_path):
    metadata = (Path("/truth.csv"), Path("/lesions.csv"))
    given = Inputs(Path("/up/data"), metadata, None, tmp_path, Path("/other"), data_given=Path("/up"))
    runs = planned(inputs=given, notebooks=NOTEBOOKS)
    external = {run.id: run.external for run in runs}
    assert list(external["features-native-MobileNet"]) == ["weights of MobileNet"]
    assert external["features-native-MobileNet"]["weights of MobileNet"].endswith("mobilenet_notop.weights.h5")
    assert {run.step for run in runs if "external" in run.external} == {"evaluate"}
    assert {run.parameters.get("data_given") for run in runs} == {"/up", None}  # counted by the audit, digested by none
    assert not any("data_given" in name for run in runs for name in run.external)
    for run in runs:
        if run.step in ("audit", "evaluate"):
            assert run.parameters["metadata"] == ["/truth.csv", "/lesions.csv"]
            assert (run.external["metadata"], run.external["metadata 1"]) == ("/truth.csv", "/lesions.csv")
    random = TWO.model_copy(update={"weights": "none"})
    assert not any(run.external for run in planned(random, Inputs(weights_dir=tmp_path), NOTEBOOKS))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("x = 1", "units: int = 1", "print(x)"), "'units' is never read"),
        (("x = 1", "units: int = 1", "units = int(units)\nprint(units)", "units = 5"), None),
        (("x = 1", "units: int = 1", "print('units')  # units"), "'units' is never read"),
        (("x = 1", "units: int = 1 + x", "print(units)"), "holds 'units: int = 1 \\+ x'"),
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
