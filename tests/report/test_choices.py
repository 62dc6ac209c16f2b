"""The multiverse of open choices in the report, from what 04_train and 05_evaluate write."""

import numpy as np
import pytest

from lib.config.paths import StudyPaths
from lib.config.printed import printed_rows
from lib.report import tables
from lib.scores.choices import compare_choices, reached_rows
from lib.scores.metrics import model_scores
from lib.scores.outcomes import read_outcomes
from tests.fixtures.predictions import made_up_index, study, write_prepared, write_run
from tests.report.made_study import evaluate

SKILLS = {"default": 0.9, "rotated": 0.55}


@pytest.fixture(scope="module")
def multiverse(tmp_path_factory):
    """A study of two variants whose models are right with SKILLS; one's skill is near the printed accuracy."""
    paths = StudyPaths(tmp_path_factory.mktemp("multiverse"))
    tried = study(backbones=["MobileNet"], protocols=["by_view"], variants={"rotated": {"rotation": 15}})
    write_prepared(paths, made_up_index())
    for variant, skill in SKILLS.items():
        own, draw = paths.of_variant(variant), np.random.default_rng(1)
        if variant != "default":
            write_prepared(own, made_up_index())
        cell = {"preprocessing": "native", "scenario": "three_malignant"}
        right = lambda views, skill=skill, draw=draw: draw.random(len(views)) < skill  # noqa: E731
        write_run(own, "by_view", "three_malignant", "MobileNet", "transfer", right)
        evaluate(own, tried, cell)
    return paths, tried


def test_a_table_has_a_row_per_variant_and_the_ladder_has_them_too(multiverse):
    paths, tried = multiverse
    scores = tables.score_table(paths, tried).query("seeds > 0")
    table = scores.query("phase == 'transfer' and scenario == 'three_malignant'").set_index("variant")
    for variant in SKILLS:
        measured = model_scores(read_outcomes(paths.of_variant(variant), "native", "three_malignant"), ["by_view"])
        assert table.at[variant, "test_accuracy"] == pytest.approx(measured["test_accuracy"].iloc[0], abs=1e-6)
    assert len(tables.select_own(scores, tried)) == 1
    assert set(tables.ladder_table(paths, tried)["variant"]) == set(SKILLS)


def test_the_page_says_which_variants_reach_the_print_and_how_many_were_tried(multiverse):
    paths, tried = multiverse
    rows = printed_rows().query("table == 4 and phase == 'transfer' and backbone == 'MobileNet'")
    printed = rows["test_accuracy"].iloc[0] / 100
    scores = tables.score_table(paths, tried)
    found = compare_choices(scores)
    reached = {row.variant for row in found.itertuples() if row.repetition_low <= printed <= row.repetition_high}
    assert len(found) == 2 and reached == set(found.loc[found["reaches"], "variant"])
    named = tables.compare_variants(scores, tried)
    assert set(named["variant"]) == {"rotation 180", "rotated"}
    assert reached_rows(named)["reached"].tolist() == [len(reached)]


def test_nothing_is_compared_of_one_choice_or_of_synthetic_images(multiverse):
    paths, tried = multiverse
    for other in ({"variants": {}}, {"synthetic": True}):
        study_of_one = tried.model_copy(update=other)
        assert tables.compare_variants(tables.score_table(paths, study_of_one), study_of_one).empty
