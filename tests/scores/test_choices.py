"""Planted choices and input ranges are found."""

import numpy as np
import pandas as pd
import pytest

from lib.config.params import Study
from lib.scores.choices import compare_choices, reached_rows

CELL = {"protocol": "by_view", "phase": "transfer", "backbone": "MobileNet", "preprocessing": "native"}


def row(scenario, variant, low, high, printed, **other):
    interval = {"repetition_low": low, "repetition_high": high, "test_accuracy": (low + high) / 2}
    return CELL | interval | {"scenario": scenario, "variant": variant, "printed_test_accuracy": printed} | other


def test_a_printed_number_is_reached_where_it_lies_in_the_repetition_interval_of_a_choice():
    table = pd.DataFrame(
        [
            row("nine_classes", "a", 0.50, 0.60, 0.55),
            row("nine_classes", "b", 0.56, 0.66, 0.55),
            row("six_benign", "a", 0.50, 0.60, 0.90),
            row("six_benign", "b", 0.50, 0.60, 0.58, protocol="by_file"),
            row("six_benign", "b", 0.0, 1.0, 0.58, protocol="clean"),
            row("six_benign", "c", np.nan, np.nan, 0.58),
        ]
    )
    choices = compare_choices(table, Study())
    assert choices["reaches"].tolist() == [True, False, False, True]
    rows = reached_rows(choices).set_index("scenario")
    assert rows["reached_by"].to_dict() == {"nine_classes": "by_view, native, a", "six_benign": "by_file, native, b"}


def test_what_chance_reaches_is_what_numbers_drawn_evenly_reach():
    intervals = [(0.30, 0.55), (0.50, 0.70), (0.05, 0.20), (0.90, 0.93)]
    table = pd.DataFrame([row("nine_classes", str(i), *ends, 0.5) for i, ends in enumerate(intervals)])
    (found,) = reached_rows(compare_choices(table, Study())).to_dict("records")
    drawn = np.random.default_rng(0).uniform(1 / 9, 1, 200_000)
    inside = np.array([(low <= drawn) & (drawn <= high) for low, high in intervals])
    assert found["expected_by_chance"] == pytest.approx(inside.sum(axis=0).mean(), abs=0.01)


def test_only_choices_with_imagenets_weights_are_set_beside_printed_numbers():
    table = pd.DataFrame([row("nine_classes", "default", 0.5, 0.6, 0.5), row("six_benign", "random", 0.5, 0.6, 0.5)])
    varied = {"random": {"weights": "none"}}
    assert compare_choices(table, Study(variants=varied))["variant"].tolist() == ["default"]
    for study in (Study(weights="none", variants=varied), Study(weights_note={"MobileNet": "trained on dogs"})):
        assert reached_rows(compare_choices(table, study)).empty
