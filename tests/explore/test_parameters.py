"""A value that cannot be used stops a notebook at its top: by name, with what this study allows, before TensorFlow."""

import subprocess
import sys

import nbformat
import pytest

from lib.config.paths import NOTEBOOKS

WRONG = {  # notebook -> a parameter, its value, and what the message says of it
    "01_audit": ("near_duplicate_bits", 17, "near_duplicate_bits: Input should be less than or equal to 16, not 17"),
    "02_prepare_data": ("results", "../results/smal", "results: no study in {} is named 'smal'; did you mean 'small'?"),
    "03_extract_features": ("preprocessing", "own", "preprocessing: not known: 'own'; there are native, minmax, raw"),
    "04_train": ("transfer_folds", [0], "finetune_folds has fold 1, which transfer_folds lacks"),
    "05_evaluate": ("scenario", "nine", "scenario: not known: 'nine'; did you mean 'nine_classes'?"),
    "06_gradcam": ("backbone", "ResNet50", "backbone: small does not have 'ResNet50'; there are MobileNet"),
    "07_kmeans": ("masks", "nowhere", "masks: no file or folder 'nowhere'; give one, or leave it empty"),
    "08_report": ("results", "../results/smal", "results: no study in {} is named 'smal'; did you mean 'small'?"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_with_what_this_study_allows_before_tensorflow_starts(study, name):
    parameter, value, message = WRONG[name]
    value = str(study.root.parent / "smal") if parameter == "results" else value
    code = [cell for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code"]
    filled = [next(place for place, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", []))]
    filled += [next(place for place, cell in enumerate(code) if "\ncheck(" in cell.source)]
    given = {"results": str(study.root), "protocol": "by_lesion", "protocols": ["by_lesion"]} | {parameter: value}
    source = [cell.source for cell in code[: filled[1] + 1]]
    source[filled[0]] += "".join(f"\n{key} = {one!r}" for key, one in given.items())
    watched = "import sys, atexit\natexit.register(lambda: print('started', 'tensorflow' in sys.modules))"
    command = [sys.executable, "-c", "\n".join([watched, *source])]
    ended = subprocess.run(command, cwd=NOTEBOOKS, capture_output=True, text=True, check=False)
    assert message.format(study.root.parent) in ended.stderr.splitlines()[-1], ended.stderr
    assert "started False" in ended.stdout
