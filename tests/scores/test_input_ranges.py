"""The input range that made the printed numbers is found."""

import numpy as np
import pandas as pd
import pytest

from lib.scores.input_ranges import input_range_hypothesis


def test_the_range_that_made_the_printed_numbers_is_found():
    generator = np.random.default_rng(6)
    printed = pd.Series(generator.uniform(0.4, 0.9, 8))
    rows = []
    for name, ours in (("native", printed[::-1].to_numpy()), ("raw", printed + 0.01), ("minmax", printed * 0 + 0.5)):
        rows += [
            {"protocol": "by_view", "phase": "transfer", "table": 1 + k // 2, "preprocessing": name,
             "test_accuracy": value, "printed_test_accuracy": printed[k]}
            for k, value in enumerate(ours)
        ]  # fmt: skip
    table = input_range_hypothesis(pd.DataFrame(rows)).set_index(["table", "preprocessing"])
    assert table.loc[("all", "raw"), "nearest"] and not table.loc[("all", "native"), "nearest"]
    assert table.loc[("all", "raw"), "mean_absolute_error"] == pytest.approx(1)
    assert table.loc[("all", "raw"), "mean_error"] == pytest.approx(1)
    assert table.loc[("all", "raw"), "spearman"] == pytest.approx(1)
    by_hand = np.corrcoef(printed.rank(), printed[::-1].reset_index(drop=True).rank())[0, 1]
    assert table.loc[("all", "native"), "spearman"] == pytest.approx(by_hand)
    assert np.isnan(table.loc[("all", "minmax"), "spearman"])
    assert table.loc[("1", "raw"), "rows"] == 2 and "too few" in table.loc[("1", "raw"), "note"]


def test_no_rows_give_no_agreement():
    assert input_range_hypothesis(pd.DataFrame()).empty
