"""Planted choices and input ranges are found."""

import numpy as np
import pandas as pd
import pytest

from lib.config.paper import scenarios
from lib.scores.choices import compare_choices, input_range_hypothesis, reached_rows, reaching_choices

CELL = {"protocol": "by_view", "phase": "transfer", "backbone": "MobileNet", "preprocessing": "native"}


def row(scenario, variant, low, high, printed, **other):
    interval = {"repetition_low": low, "repetition_high": high, "test_accuracy": (low + high) / 2}
    return CELL | interval | {"scenario": scenario, "variant": variant, "printed_test_accuracy": printed} | other


def test_a_printed_number_is_reached_where_it_lies_in_the_repetition_interval_of_a_choice_under_by_view():
    table = pd.DataFrame(
        [
            row("nine_classes", "a", 0.50, 0.60, 0.55),
            row("nine_classes", "b", 0.56, 0.66, 0.55),
            row("six_benign", "a", 0.50, 0.60, 0.90),
            row("six_benign", "b", 0.50, 0.60, 0.58),
            row("six_benign", "b", 0.0, 1.0, 0.58, protocol="clean"),
            row("six_benign", "c", np.nan, np.nan, 0.58),
        ]
    )
    choices = compare_choices(table)
    assert choices["reaches"].tolist() == [True, False, False, True]
    rows = reached_rows(choices).set_index("scenario")
    assert rows["reached_by"].to_dict() == {"nine_classes": "native, a", "six_benign": "native, b"}
    by_choice = reaching_choices(choices).set_index("variant")
    assert by_choice["reached"].to_dict() == {"a": 1, "b": 1} and (by_choice["tables"] == 2).all()
    assert by_choice["which"].to_dict() == {
        name: scenarios()[s].title for name, s in (("a", "nine_classes"), ("b", "six_benign"))
    }


def test_what_chance_reaches_is_what_numbers_drawn_evenly_reach():
    intervals = [(0.30, 0.55), (0.50, 0.70), (0.05, 0.20), (0.90, 0.93)]
    table = pd.DataFrame([row("nine_classes", str(i), *ends, 0.5) for i, ends in enumerate(intervals)])
    (found,) = reached_rows(compare_choices(table)).to_dict("records")
    drawn = np.random.default_rng(0).uniform(1 / 9, 1, 200_000)
    inside = np.array([(low <= drawn) & (drawn <= high) for low, high in intervals])
    assert found["expected_by_chance"] == pytest.approx(inside.sum(axis=0).mean(), abs=0.01)
    assert found["any_by_chance"] == pytest.approx(inside.any(axis=0).mean(), abs=0.01)


def test_the_range_that_made_the_printed_numbers_is_found():
    generator = np.random.default_rng(6)
    printed = pd.Series(generator.uniform(0.4, 0.9, 8))
    rows = []
    for name, ours in (("native", printed[::-1].to_numpy()), ("raw", printed + 0.01), ("minmax", printed * 0 + 0.5)):
        rows += [
            {"protocol": "by_view", "phase": "transfer", "scenario": list(scenarios())[k // 2], "preprocessing": name,
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
