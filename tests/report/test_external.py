"""The section on external images, on what the steps before really write."""

import shutil

import numpy as np
import pandas as pd

from lib.config.paper import CLASSES, scenarios
from lib.config.paths import StudyPaths
from lib.data.external import external_images, read_external
from lib.report import ladder, tables
from lib.scores.outcomes import external_outcomes, write_outcomes
from tests.fixtures.pictures import picture, save
from tests.report.made_study import STUDY

CELL = {"preprocessing": "native", "scenario": "three_malignant"}


def test_external_images_are_counted_and_scored_and_scenarios_without_a_class_are_named(results, tmp_path):
    """Four images per class, none of a nevus, and a broken file; the models guess."""
    paths = StudyPaths(shutil.copytree(results, tmp_path / "study"))
    for place, label in enumerate(name for name in CLASSES if name != "nevus"):
        for number in range(4):
            save(tmp_path / "images" / label / f"{place}-{number}.png", picture(100 * place + number))
    (tmp_path / "images" / "melanoma" / "<b>.png").write_text("no picture")
    index = pd.read_parquet(paths.image_index)
    files = read_external(tmp_path / "images", scenarios(), [], index, tmp_path, bits=8, difference=9.0)
    table = external_images(files, scenarios()[CELL["scenario"]]).assign(phase="transfer", backbone="MobileNet")
    table = table.assign(seed=0, fold=0, row=table.index, view=0, part="external")
    table = table.merge(pd.DataFrame({"protocol": STUDY.protocols}), how="cross")
    table[scenarios()[CELL["scenario"]].names] = np.random.default_rng(0).dirichlet([1, 1, 1], len(table))
    write_outcomes(external_outcomes(table), paths.external_outcomes(**CELL))
    files.to_csv(paths.external_files(**CELL), index=False)
    counts = tables.count_external_files(files := tables.read_external_files(paths, STUDY)).set_index("class")
    assert counts.loc["all"].sort_values().tolist() == [1, 32, 33] and counts.at["melanoma", "kept"] == 4
    assert "melanoma/<b>.png" in files.loc[files["excluded"].notna(), "source"].iloc[0]
    missing = tables.missing_classes(files, STUDY).set_index("scenario")["without"]
    assert missing["nine_classes"] == "nevus" and "three_malignant" not in missing
    scores = tables.external_table(paths, STUDY, tables.score_table(paths, STUDY))
    assert set(scores["scenario"]) == {"three_malignant"}
    for own in (paths, StudyPaths(results)):  # a rung only where there are some
        rungs = ladder.rung_table(tables.ladder_table(own, STUDY))
        assert ("external images" in set(rungs["scored_on"])) == (own is paths)
