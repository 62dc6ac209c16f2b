"""The audit of printed tables, against decimal arithmetic, scikit-learn and tables whose truth is known."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from lib.audit import printed_tables
from lib.audit.fractions import VALUES, fits, hundredths
from lib.audit.matrices import binary_matrices
from lib.audit.row_errors import detection_rate
from lib.config.paper import backbones, scenarios
from lib.config.params import PHASES
from lib.config.printed import literature, printed_rows, text_numbers

CLASSES = {scenario.table: len(scenario.classes) for scenario in scenarios().values()}
MIN_N, MAX_N = 100, 1500
SIZES = {1: 901, 2: 401, 3: 594, 4: 307}  # of `sound`


@pytest.fixture(scope="module")
def paper() -> dict:
    return printed_tables.printed_audit(printed_rows(), text_numbers(), literature(), MIN_N, MAX_N)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(0, 10000), min_size=1, max_size=3), st.integers(1, 300))
def test_sizes_are_those_that_decimal_arithmetic_finds(units, min_n):
    percentages = [Decimal(unit) / 100 for unit in units]
    expected = [[is_fraction(p, n) for n in range(min_n, min_n + 40)] for p in percentages]
    assert np.array_equal(fits(units, np.arange(min_n, min_n + 40)), expected)


@pytest.mark.parametrize("rounded", [3.12, 3.13])
def test_a_tie_may_be_rounded_either_way(rounded):
    assert fits(hundredths([rounded]), np.array([32])).all()  # 1/32 is 3.125 %


def test_matrices_are_those_that_scikit_learn_finds_by_trying_all():
    n, expected = 11, {}
    for support in range(1, n):
        for right in range(support + 1):
            for other in range(n - support + 1):
                matrix = ((right, support - right), (n - support - other, other))
                expected.setdefault(_printed(np.array(matrix)), set()).add(matrix)
    for printed, matrices in expected.items():
        found = binary_matrices(n, *hundredths(printed))
        assert {tuple(map(tuple, matrix)) for matrix in found.tolist()} >= matrices
        # any other rounds to the printed values within half a hundredth, ties included
        assert all(np.allclose(_exact(matrix), printed, atol=0.005 + 1e-9) for matrix in found)


@pytest.mark.parametrize("seed", range(3))
def test_sizes_of_generated_tables_are_found_and_no_row_is_accused(seed):
    rng = np.random.default_rng(seed)
    sizes = {table: (int(n), int(n) + int(rng.integers(-3, 4))) for table, n in zip(CLASSES, rng.integers(230, 950, 4))}
    tables, errors = printed_tables.audit_tables(_tables(sizes, rng), MIN_N, MAX_N)
    assert errors == []
    for number, (val_n, test_n) in sizes.items():
        table = tables[str(number)]
        assert val_n in table["val_n"] and test_n in table["test_n"]
        (group,) = table["groups"]
        assert (group["val_n"], group["test_n"], len(group["rows"])) == (val_n, test_n, 12)
        for row in table["rows"]:
            assert val_n in row["val_n"] and test_n in row["test_n"]
            assert row["confusion_matrices"] is None if CLASSES[number] > 2 else row["confusion_matrices"] >= 1


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.data())
def test_no_confusion_matrix_breaks_the_bounds(data):
    """Any counts at all, never-predicted classes included: what a real matrix gives is never called impossible."""
    table = data.draw(st.sampled_from([1, 3, 4]))
    k = CLASSES[table]
    matrix = np.array(data.draw(st.lists(st.integers(0, 30), min_size=k * k, max_size=k * k))).reshape(k, k)
    matrix[:, data.draw(st.integers(0, k - 1))] = 0  # one class is never predicted
    matrix[matrix.sum(axis=1) == 0, 0] = 1
    n = int(matrix.sum())
    _, errors = printed_tables.audit_tables(_table(table, [(50.0, matrix)]), max(2, n - 5), n + 5)
    assert all(error["scores"] == ["val_accuracy"] for error in errors)


@pytest.fixture
def sound() -> pd.DataFrame:
    return _tables({table: (n, n) for table, n in SIZES.items()}, np.random.default_rng(11))


@pytest.mark.parametrize("table", CLASSES)
@pytest.mark.parametrize("column", ["val_accuracy", "test_accuracy"])
def test_a_digit_that_makes_an_accuracy_no_fraction_names_its_row(sound, table, column):
    row = sound.index[sound["table"] == table][7]
    value = next(v for v in _digit_changes(sound.loc[row, column]) if not is_fraction(Decimal(str(v)), SIZES[table]))
    columns = [column] if column == "val_accuracy" else [column, "recall"]  # recall stays equal: only n can tell
    sound.loc[row, columns] = value
    _, errors = printed_tables.audit_tables(sound, MIN_N, MAX_N)
    assert {_name(error) for error in errors if column in error["scores"]} == {_name(sound.loc[row])}
    assert {_name(error) for error in errors} == {_name(sound.loc[row])}


def test_recall_that_is_not_accuracy_and_a_copied_row_are_named(sound):
    rows = sound.index[sound["table"] == 3]
    copy, owner = rows[10], rows[2]
    sound.loc[copy, ["precision", "recall", "f1"]] = sound.loc[owner, ["precision", "recall", "f1"]]
    _, errors = printed_tables.audit_tables(sound, MIN_N, MAX_N)
    assert {_name(error) for error in errors} == {_name(sound.loc[copy])}
    named = [set(error["scores"]) for error in errors]
    assert {"recall"} in named and {"precision", "recall", "f1"} in named  # the accuracy is its own
    assert any(sound.loc[owner, "backbone"] in str(error["expected"]) for error in errors)


def test_the_detection_rate_is_what_a_recount_by_hand_gives(sound):
    """Validation accuracy: a change is caught exactly where the new number is no fraction of the known size."""
    rows = sound[sound["table"] == 4]
    units = hundredths(rows[list(VALUES)])
    rate = detection_rate({"4": units}, {"4": 3}, np.arange(MIN_N, MAX_N + 1))
    changed = [value for printed in rows["val_accuracy"] for value in _digit_changes(printed)]
    caught = [not is_fraction(Decimal(str(value)), 307) for value in changed]
    assert rate["by_column"]["val_accuracy"] == pytest.approx(np.mean(caught), abs=1e-4)
    assert rate["by_column"]["test_accuracy"] == rate["by_column"]["recall"] == 1.0  # recall must equal accuracy
    assert rate["changes"] == 5 * 36 * len(rows)
    assert 0 < rate["by_column"]["f1"] < 1


def test_sizes_of_the_papers_tables_hold_by_decimal_arithmetic_and_imply_pools_larger_than_the_images(paper):
    tables = paper["tables"]
    for number, n in (("1", 901), ("3", 594), ("4", 307)):
        assert n in tables[number]["val_n"] and n in tables[number]["test_n"]
        assert [group["test_n"] for group in tables[number]["groups"]] == [n]
        rows = printed_rows()[printed_rows()["table"] == int(number)]
        for column in ("val_accuracy", "test_accuracy"):
            assert all(is_fraction(Decimal(f"{value:.2f}"), n) for value in rows[column])
    assert tables["2"]["val_n"] == tables["2"]["test_n"] == []
    groups = {group["test_n"]: group for group in tables["2"]["groups"]}
    assert {n: (group["val_n"], len(group["rows"])) for n, group in groups.items()} == {401: (401, 6), 500: (500, 6)}
    assert {row["backbone"] for row in groups[500]["rows"]} == {"EfficientNetV2B3", "EfficientNetB3", "ResNet50"}
    assert (groups[500]["supports"], groups[401]["supports"]) == ([250], [200])  # pools of equal classes
    pool = paper["pool"]
    of_all = [group for groups in pool["tables"].values() for group in groups]
    assert all(group["larger_than_images"] for group in of_all)
    assert pool["tables"]["1"][0]["pool_low"] <= 9010 <= pool["tables"]["1"][0]["pool_high"]
    agrees = {(tuple(entry["tables"]), entry["of"]): entry["agrees"] for entry in pool["sums"]}
    assert agrees == {(("3", "4"), "1"): True, (("2",), "1"): False, (("3", "4"), "2"): False}


def test_one_row_is_impossible_its_accuracy_is_sound_and_the_rest_is_copied(paper):
    rows = {(row["phase"], row["backbone"]): row for row in paper["tables"]["2"]["rows"]}
    name = ("finetune", "ResNet50")
    assert {(e["table"], e["phase"], e["backbone"]) for e in paper["row_errors"]} == {("2", *name)}
    assert [key for key, row in rows.items() if row["confusion_matrices"] == 0] == [name]
    assert {score for error in paper["row_errors"] for score in error["scores"]} == {"precision", "recall", "f1"}
    assert (rows[name]["test_correct"], rows[name]["inferred_test_n"]) == (464, 500) and round(46400 / 500, 2) == 92.80
    (owner,) = [error["copied_from"] for error in paper["row_errors"] if "copied_from" in error]
    assert owner == {"phase": "finetune", "backbone": "ResNet50V2", "inferred_test_n": 401, "test_correct": 367}
    assert round(36700 / 401, 2) == 91.52
    # the matrix of figure 13 follows from its printed row
    one, mirrored = rows["finetune", "EfficientNetV2B3"]["matrices_at_shared_supports"]
    assert np.array_equal(np.array(one), np.array(mirrored)[::-1, ::-1])
    assert _printed(np.array(one)) == (94.00, 94.01, 94.00, 94.00)


def test_slips_in_the_papers_prose_are_those_found_by_reading_it(paper):
    found = {(error["place"], str(error["printed"]), str(error["expected"])) for error in paper["text_errors"]}
    assert found == {
        ("section IV.B", "2", "1"),  # 'Following Table II' on Table I
        ("section IV.B", "69.25", "69.37"),  # precision given for accuracy
        ("section IV.B", "< 19.32", "22.09"),  # EfficientNetB3's 'moderate' increase
        ("section II", "30", "29"),  # Malo in Table V
        ("references", "2021", "2023"),  # Mijwil
        ("references", "2022", "2023"),  # Bechelli, Malo
        ("references", "2023", "2021"),  # Viknesh
    }
    misprints = {(e["row"], e["column"], str(e["printed"])): e["printed_as"] for e in paper["text_errors"]}
    assert misprints.pop(("ResNet50", "test_accuracy", "69.25")) == ["precision"] and not any(misprints.values())


def _digit_changes(printed: float) -> list[float]:
    text = f"{printed:05.2f}"
    return [float(text[:i] + digit + text[i + 1 :]) for i in (0, 1, 3, 4) for digit in "0123456789" if digit != text[i]]


def _name(row) -> tuple:
    return str(row["table"]), row["phase"], row["backbone"]


def is_fraction(percentage: Decimal, n: int) -> bool:
    """By trying every k with exact fractions and both ways of rounding to two decimals."""
    place = Decimal("0.01")
    for k in range(n + 1):
        exact = Fraction(100 * k, n)
        if abs(exact - Fraction(percentage)) > 1:
            continue
        value = Decimal(exact.numerator) / Decimal(exact.denominator)
        if percentage in (value.quantize(place, ROUND_HALF_UP), value.quantize(place, ROUND_HALF_EVEN)):
            return True
    return False


def _exact(matrix: np.ndarray) -> tuple:
    """Accuracy, precision, recall, F1 in per cent by scikit-learn from one label per image."""
    true = np.repeat(np.arange(len(matrix)), matrix.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(len(matrix)), row) for row in matrix])
    scores = precision_recall_fscore_support(true, predicted, zero_division=0, average="weighted")[:3]
    return tuple(100 * value for value in (accuracy_score(true, predicted), *scores))


def _printed(matrix: np.ndarray) -> tuple:
    return tuple(round(float(value), 2) for value in _exact(matrix))


def _matrix(supports: list[int], accuracy: float, rng: np.random.Generator) -> np.ndarray:
    """A confusion matrix of these class sizes with about this accuracy, the errors spread at random."""
    k = len(supports)
    rows = []
    for i, support in enumerate(supports):
        wrong = rng.dirichlet(np.ones(k - 1)) * (1 - accuracy)
        rows.append(rng.multinomial(support, np.insert(wrong, i, accuracy)))
    return np.array(rows)


def _val(n: int, rng: np.random.Generator) -> float:
    return round(100 * int(rng.integers(n // 2, n)) / n, 2)


def _table(number: int, rows: list[tuple[float, np.ndarray]]) -> pd.DataFrame:
    """A printed table from validation accuracies and confusion matrices of the test set."""
    names = [(phase, backbone) for phase in PHASES for backbone in backbones()]
    return pd.DataFrame(
        [
            {"table": number, "phase": phase, "backbone": backbone, "val_accuracy": val}
            | dict(zip(("test_accuracy", "precision", "recall", "f1"), _printed(matrix)))
            for (phase, backbone), (val, matrix) in zip(names, rows)
        ]
    )


def _tables(sizes: dict[int, tuple[int, int]], rng: np.random.Generator) -> pd.DataFrame:
    """Twelve rows a table, at known (val_n, test_n) and accuracies that all differ."""
    tables = []
    for number, (val_n, test_n) in sizes.items():
        supports = [len(part) for part in np.array_split(np.arange(test_n), CLASSES[number])]
        accuracies = np.linspace(0.55, 0.93, 12)
        tables.append(_table(number, [(_val(val_n, rng), _matrix(supports, a, rng)) for a in accuracies]))
    return pd.concat(tables, ignore_index=True)
