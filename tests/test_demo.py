"""The demo tells the story: its ladder falls where the planted leak goes, and moves as the planted labels say."""

import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from lib.config.files import read_json
from lib.config.paths import DEMO_PLANTED, NOTEBOOKS, PARAMS, REPOSITORY, StudyPaths
from lib.report import planted
from lib.scores import ladder
from lib.scores.outcomes import read_outcomes

NARROWED = {
    "backbones": ["MobileNet"],
    "scenarios": ["nine_classes"],
    "finetune_epochs": 0,
    "overrides": [],
    "skip": [],
}


@pytest.mark.slow
def test_the_ladder_of_the_demo_falls_where_the_leak_goes_and_not_where_labels_are_corrected(tmp_path):
    """The demo's own settings, nine classes and MobileNet alone; about four minutes on two quiet cores."""
    settings = yaml.safe_load((PARAMS / "demo.yaml").read_text(encoding="utf-8")) | NARROWED
    study = tmp_path / "narrow.yaml"
    study.write_text(yaml.safe_dump(settings), encoding="utf-8")
    paths = StudyPaths(tmp_path / "results")
    flags = ["--step", "evaluate", "--results", str(paths.root), "--jobs", "2"]
    command = [sys.executable, str(NOTEBOOKS.parent / "run_all.py"), str(study), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    cell = {"preprocessing": "native", "scenario": "nine_classes"}
    table = ladder.ladder(read_outcomes(paths, **cell), cell | {"variant": "default"}, {})
    rungs = table[table["phase"] == "transfer"].set_index("rung")
    assert rungs.at["by file", "step"] < -0.15 and rungs.at["by file", "step_high"] < 0
    assert (rungs.loc[["corrected labels", "clean"], "step"] >= 0).all()  # one label in eight is wrong
    images = pd.DataFrame(read_json(paths.demo_data / DEMO_PLANTED)["images"])
    bounds = planted.compare_with_best(paths, table, images).set_index("rung")
    for rung in ladder.RUNGS[1:]:  # bounded on unseen lesions, as some look like another class
        assert 0.2 < bounds.at[rung.name, "accuracy"] < bounds.at[rung.name, "best"]
    index, changes = pd.read_parquet(paths.image_index), pd.read_csv(paths.label_changes)
    for row in planted.find_flaws(read_json(paths.demo_data / DEMO_PLANTED), index, changes).to_dict("records"):
        assert (row["found"], row["invented"]) == (row["planted"], 0), row["what"]


def test_what_make_demo_tells_to_look_at_is_a_part_of_the_report():
    places = re.findall(r'echo "  #(\w+) ', (REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    report = (NOTEBOOKS / "08_report.ipynb").read_text(encoding="utf-8")
    assert len(places) == 3 and all(f'\\"{place}\\"' in report for place in places)
