"""The multiverse of open choices in the report, from what 04_train and 05_evaluate write."""

import numpy as np
import pytest

from lib.config.paths import StudyPaths
from lib.report import tables
from lib.scores.metrics import model_scores
from lib.scores.outcomes import read_outcomes
from tests.fixtures.predictions import made_up_index, study, write_prepared, write_run
from tests.report.made_study import evaluate

SKILLS = {"default": 0.9, "rotated": 0.55}


def test_a_multiverse_has_a_row_per_variant_named_by_its_settings_and_one_choice_none(tmp_path):
    paths = StudyPaths(tmp_path)
    tried = study(backbones=["MobileNet"], protocols=["by_view"], variants={"rotated": {"rotation": 15}})
    for variant, skill in SKILLS.items():
        own, draw = paths.of_variant(variant), np.random.default_rng(1)
        write_prepared(own, made_up_index())
        right = lambda views, skill=skill, draw=draw: draw.random(len(views)) < skill  # noqa: E731
        write_run(own, "by_view", "three_malignant", "MobileNet", "transfer", right)
        evaluate(own, tried, {"preprocessing": "native", "scenario": "three_malignant"})
    every = tables.score_table(paths, tried)
    scores = every.query("seeds > 0")
    table = scores.query("phase == 'transfer' and scenario == 'three_malignant'").set_index("variant")
    for variant in SKILLS:
        measured = model_scores(read_outcomes(paths.of_variant(variant), "native", "three_malignant"), ["by_view"])
        assert table.at[variant, "test_accuracy"] == pytest.approx(measured["test_accuracy"].iloc[0], abs=1e-6)
    assert len(tables.select_own(scores, tried)) == 1
    assert set(tables.ladder_table(paths, tried)["variant"]) == set(SKILLS)
    assert set(tables.compare_variants(every, tried)["variant"]) == {"rotation 180", "rotated"}
    for other in ({"variants": {}}, {"synthetic": True}):
        study_of_one = tried.model_copy(update=other)
        assert tables.compare_variants(tables.score_table(paths, study_of_one), study_of_one).empty
