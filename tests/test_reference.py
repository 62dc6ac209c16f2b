"""The tables in results/reference are what the outcomes beside them give."""

import pandas as pd
import pytest

from lib.config.paper import scenarios
from lib.config.paths import RESULTS, StudyPaths
from lib.scores.estimates import estimate
from lib.scores.outcomes import read_outcomes, select_models

STUDIES = sorted(path.parent for path in (RESULTS / "reference").glob("*/outcomes"))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_every_accuracy_of_the_reference_tables_follows_from_the_outcomes_beside_them(folder):
    paths, compared = StudyPaths(folder), 0
    for name, scenario in scenarios().items():
        table = pd.read_csv(paths.table(scenario.table)).query("seeds > 0")
        for (preprocessing, variant), rows in table.groupby(["preprocessing", "variant"]):
            outcomes = read_outcomes(paths.of_variant(variant), preprocessing, name)
            models = select_models(outcomes, rows["protocol"].unique())
            for row in rows.itertuples():
                score = estimate(models[row.protocol, row.phase, row.backbone], resamples=1)
                assert score.images == row.n_test
                assert score.value == pytest.approx(row.test_accuracy, abs=1e-6), (name, row.protocol, row.backbone)
                compared += 1
    assert compared >= 12


def test_there_is_a_reference_to_check():
    assert STUDIES
