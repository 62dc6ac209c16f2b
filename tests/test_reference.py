"""The tables in results/reference are what its own predictions give."""

import pandas as pd
import pytest

from lib.config.paper import backbones, scenarios
from lib.config.paths import RESULTS, StudyPaths
from lib.scores import metrics

STUDIES = sorted(path.parent for path in (RESULTS / "reference").glob("*/runs"))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_every_accuracy_of_the_reference_tables_follows_from_the_predictions_beside_them(folder):
    paths, compared = StudyPaths(folder), 0
    for name, scenario in scenarios().items():
        table = pd.read_csv(paths.table(scenario.table)).query("seeds > 0")
        for (preprocessing, variant), rows in table.groupby(["preprocessing", "variant"]):
            cell = (preprocessing, name, list(rows["protocol"].unique()), list(backbones()), [0])
            found = metrics.tested(paths.of_variant(variant), *cell)
            for row in rows.itertuples():
                _, test = found[row.protocol, row.phase, row.backbone]
                assert len(test["row"].unique()) == row.n_test
                right = metrics.correctness(test)["correct"].mean()
                assert right == pytest.approx(row.test_accuracy, abs=1e-6), (name, row.protocol, row.backbone)
                compared += 1
    assert compared >= 12


def test_there_is_a_reference_to_check():
    assert STUDIES
