"""Study files: only differences from the defaults, and every mistake named with the nearest valid name."""

import json
import re

import pytest

from lib.config import params
from lib.config.params import load_study
from lib.config.schema import ParameterError


@pytest.fixture
def study_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("name", params.study_names())
def test_every_study_in_params_can_be_read_and_passes_through_json_to_the_report(name):
    study = load_study(name)
    assert study.cells(*params.AXES)
    noted = study.model_copy(update={"weights_note": {"MobileNetV2": "trained further on dogs"}})
    assert params.Study(**json.loads(json.dumps(noted.model_dump()))) == noted


def test_an_empty_study_file_is_the_defaults(study_file):
    assert load_study(study_file("")) == params.Study()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image_sise: 64", ["mine.yaml", "image_sise", "image_size"]),
        ("image_size: '64'", ["mine.yaml", "image_size", "'64'"]),
        ("backbones: [MobilNet]", ["mine.yaml", "backbones", "MobileNet"]),
        ("backbones: []", ["mine.yaml", "backbones"]),
        ("seeds: [0, 0]", ["mine.yaml", "seeds"]),
        ("pool_sizes: {melanom: 40}", ["mine.yaml", "melanoma"]),
        ("skip: [{backbone: [MobilNet]}]", ["mine.yaml", "no backbone 'MobilNet'", "'MobileNet'"]),
        ("overrides: [{when: {seed: 7}, set: {units: 8}}]", ["mine.yaml", "no seed 7"]),
        ("overrides: [{when: {backbone: MobileNet}, set: {finetune_epoch: 1}}]", ["mine.yaml", "finetune_epochs"]),
        ("weights_note: {MobilNetV2: trained on dogs}", ["mine.yaml", "MobilNetV2", "MobileNetV2"]),
        ("variants: {../up: {rotation: 15}}", ["mine.yaml", "cannot be named '../up'"]),
        ("variants: {a: {rotation: 999}}", ["mine.yaml", "rotation", "180"]),
        ("variants: {a: {seeds: [1]}}", ["mine.yaml", "'seeds' cannot be set by a variant"]),
        ("title: [unclosed", ["mine.yaml", "YAML"]),
        ("title: !!python/object/apply:os.getcwd []", ["mine.yaml, line 1", "YAML", "tags"]),
        ("units: 8\nseeds: [1]\nunits: 9", ["mine.yaml, line 3", "'units' is given twice"]),
        ("overrides: [{when: {seed: 0, seed: 1}, set: {units: 8}}]", ["mine.yaml", "'seed' is given twice"]),
        ("<<: {units: 8}\nunits: 9", ["mine.yaml", "'units' is given twice"]),
        ("finetune_learning_rate: .inf", ["mine.yaml, line 1", ".inf"]),
        (f"units: {'9' * 26}", ["mine.yaml, line 1", "9" * 26]),
        (f"seeds: [{2**32}]", ["mine.yaml", "seeds.0", "4294967296"]),
        ("title: a\0b", ["mine.yaml", "YAML"]),
        ("image_size: &size 64\nunits: *size", ["mine.yaml, line 1", "anchors"]),
        ("overrides: " + "[" * 50_000, ["mine.yaml, line 1", "nested"]),
        ("# a comment\n" * 20_000, ["mine.yaml", "128 KiB"]),
    ],
)
def test_a_mistake_is_refused_with_the_file_the_key_and_the_nearest_name(study_file, text, said):
    with pytest.raises(ParameterError) as refused:
        load_study(study_file(text))
    assert all(word in str(refused.value) for word in said), refused.value
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500 + len(study_file(""))


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.0e-5", "0.00001", "+1e-05", "10e-6", ".1e-4"])
def test_a_number_is_a_number_however_its_exponent_is_written(study_file, text):
    assert load_study(study_file(f"finetune_learning_rate: {text}")).finetune_learning_rate == pytest.approx(1e-5)


@pytest.mark.parametrize("name", ["reference", "Compare", "scratch", ".", ".."])
def test_a_study_whose_results_would_lie_on_other_folders_is_refused(tmp_path, name):
    (tmp_path / f"{name}.yaml").write_text("units: 8")
    with pytest.raises(ParameterError, match=f"cannot be named '{re.escape(name)}'"):
        load_study(str(tmp_path / f"{name}.yaml"))


def test_a_study_that_does_not_exist_is_answered_with_the_nearest_name():
    with pytest.raises(ParameterError, match="'demo'"):
        load_study("demmo")
    with pytest.raises(ParameterError):
        load_study("scenarios")  # a parameter file, but no study


def test_overrides_hold_in_their_cells_alone_and_left_out_cells_are_not_in_the_matrix(study_file):
    text = """
backbones: [MobileNet, ResNet50]
protocols: [clean, by_view]
skip: [{backbone: ResNet50, scenario: six_benign}]
overrides: [{when: {backbone: MobileNet, scenario: [nine_classes, six_benign]}, set: {finetune_epochs: 2}}]
"""
    study = load_study(study_file(text))
    assert study.protocols == ["by_view", "clean"]  # in one order, whatever the file has: the last is the strictest
    cells = study.cells("scenario", "backbone")
    assert len(cells) == 7 and {"scenario": "six_benign", "backbone": "ResNet50"} not in cells
    epochs = {tuple(cell.values()): study.settings(cell)["finetune_epochs"] for cell in cells}
    changed = {key for key, value in epochs.items() if value == 2}
    assert changed == {("nine_classes", "MobileNet"), ("six_benign", "MobileNet")}


def test_a_variant_changes_its_settings_and_overrides_still_hold(study_file):
    text = """
backbones: [MobileNet]
variants: {turned_less: {rotation: 15}, narrow: {units: 64, dropout_hidden: 0}}
overrides: [{when: {variant: narrow}, set: {dropout_hidden: 0.5}}]
skip: [{variant: narrow, scenario: [six_benign]}]
"""
    study = load_study(study_file(text))
    assert study.values_of_axes()["variant"] == ["default", "turned_less", "narrow"]
    assert len(study.cells("scenario", "variant")) == 4 * 3 - 1
    settings = {name: study.settings({"variant": name}) for name in study.values_of_axes()["variant"]}
    assert [own["rotation"] for own in settings.values()] == [180, 15, 180]
    assert (settings["narrow"]["units"], settings["narrow"]["dropout_hidden"]) == (64, 0.5)
