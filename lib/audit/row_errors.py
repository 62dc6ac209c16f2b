"""Which printed rows contradict themselves or repeat another, and how many wrong digits these checks can find.

Precision, recall and F1 are averages weighted by support; weighted recall then equals accuracy by definition, and for
two classes all confusion matrices that give a row can be enumerated (lib.audit.matrices). Values are whole hundredths
of a per cent, one row of `units` per printed row, its columns in the order of VALUES.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from lib.audit.fractions import VALUES, correct_counts, fits, group_of, nearest_fractions, size_groups
from lib.audit.matrices import TOLERANCE, binary_matrices

ACCURACIES, AVERAGES = VALUES[:2], VALUES[2:]


def find_row_errors(
    units: np.ndarray, names: Sequence[str], groups: list[dict], classes: int, sizes: np.ndarray
) -> list[dict]:
    """What is wrong with the rows of one table.

    Args:
        units: int [rows, 5]; names: of the rows, to name the one that another repeats.
        groups: see `size_groups`; classes: of the table's scenario, how many; sizes: those of test sets that are tried.

    Returns:
        [{"row": position, "what", "scores": columns that the error is about, "printed", "expected"}]; of values that
        repeat another row also `copied_from`, that row's position.
    """
    errors, repetitions = [], _repetitions(units, names)
    copies = {row for row, _, scores, *_ in repetitions if "test_accuracy" not in scores}
    for row, values in enumerate(units.tolist()):
        group = group_of(row, groups)
        of_row = [] if group else _accuracy_errors(values, groups, sizes)
        # averages of another row are wrong alone, and a recall that does not fit the accuracy's test set
        sound = row in copies or (bool(group) and not correct_counts(values[3], group["test_n"]))
        of_row += _average_errors(*values[1:], sound)
        if classes == 2:
            of_row += _matrix_errors(*values[1:], candidate_sizes(row, values[1], groups, sizes))
        errors += [(row, *error) for error in of_row]
    errors += repetitions
    return [dict(zip(("row", "what", "scores", "printed", "expected", "copied_from"), error)) for error in errors]


def candidate_sizes(row: int, test: int, groups: list[dict], sizes: np.ndarray) -> list[int]:
    """Test-set sizes to look for a row's matrix at: its group's, else those of the groups, else all that fit."""
    if group := group_of(row, groups):
        return [group["test_n"]]
    if groups:
        return [group["test_n"] for group in groups if correct_counts(test, group["test_n"])]
    return sizes[fits([test], sizes)[0]].tolist()


def detection_rate(tables: dict[str, np.ndarray], classes: dict[str, int], sizes: np.ndarray) -> dict:
    """The share of all changes of one printed digit after which `find_row_errors` names the changed row.

    Every digit of every number is replaced by each of the nine others, in the rows that have no error as printed.

    Takes units and number of classes by table number; returns changes, caught, share, and the share by_column.
    """

    def rows_named(number: str, units: np.ndarray, groups: list[dict]) -> set[int]:
        return {error["row"] for error in find_row_errors(units, [""] * len(units), groups, classes[number], sizes)}

    outcomes = []
    for number, units in tables.items():
        groups = size_groups(units[:, :2], sizes)
        for row in set(range(len(units))) - rows_named(number, units, groups):
            for column, name in enumerate(VALUES):
                for value in _one_digit_changes(int(units[row, column])):
                    changed = units.copy()
                    changed[row, column] = value
                    caught = row in rows_named(number, changed, groups)
                    if not caught and name in ACCURACIES:  # only accuracies decide the groups
                        caught = row in rows_named(number, changed, size_groups(changed[:, :2], sizes))
                    outcomes.append((name, caught))
    table = pd.DataFrame(outcomes, columns=["column", "caught"])
    return {
        "changes": len(table),
        "caught": int(table["caught"].sum()),
        "share": round(float(table["caught"].mean()), 4) if len(table) else None,
        "by_column": table.groupby("column", sort=False)["caught"].mean().round(4).to_dict(),
    }


def _accuracy_errors(values: list[int], groups: list[dict], sizes: np.ndarray) -> list[tuple]:
    """Which accuracy of a row in no group is no fraction: of the sizes of the nearest group, else of any size."""
    printed = dict(zip(ACCURACIES, values))
    if not groups:
        expected = f"a fraction of {sizes[0]}..{sizes[-1]} images"
        wrong = {name: value for name, value in printed.items() if not fits([value], sizes).any()}
        return [(f"{name} is no k/n", [name], value / 100, expected) for name, value in wrong.items()]
    of_groups = [dict(zip(ACCURACIES, (group["val_n"], group["test_n"]))) for group in groups]
    wrong = [{name: n for name, n in sizes.items() if not correct_counts(printed[name], n)} for sizes in of_groups]
    errors = []
    for name, n in min(wrong, key=len).items():
        expected = " or ".join(f"{near / 100:.2f}" for near in nearest_fractions(printed[name], n))
        what = f"{name} is no k/n at the size other rows share"
        errors.append((what, [name], printed[name] / 100, f"a fraction of {n}: {expected}"))
    return errors


def _average_errors(accuracy: int, precision: int, recall: int, f1: int, sound: bool) -> list[tuple]:
    """Breaches of what holds for weighted averages of any confusion matrix, with any number of classes.

    F1 <= 2PR/(P+R): the harmonic mean is concave, so its average over classes is at most that of the averages.
    P >= accuracy^2 and F1 >= accuracy^2: Cauchy-Schwarz over classes, since supports and predictions both add up to n.
    These are necessary conditions only: a row that meets them may still be impossible. `sound`: the accuracy is not
    to blame.
    """
    errors, blamed = [], [] if sound else ["test_accuracy"]
    if recall != accuracy:
        errors.append(("weighted recall is not accuracy", ["recall", *blamed], recall / 100, accuracy / 100))
    highest = 2 * (precision + 0.5) * (recall + 0.5) / (precision + recall + 1)
    if f1 - 0.5 > highest + TOLERANCE:
        what = "F1 above the harmonic mean of precision and recall"
        errors.append((what, list(AVERAGES), f1 / 100, f"<= {highest / 100:.2f}"))
    lowest = (accuracy - 0.5) ** 2 / 10000
    for name, value in (("precision", precision), ("f1", f1)):
        if value + 0.5 < lowest - TOLERANCE:
            what = f"{name.replace('f1', 'F1')} below the square of accuracy"
            errors.append((what, [name, *blamed], value / 100, f">= {lowest / 100:.2f}"))
    return errors


def _matrix_errors(accuracy: int, precision: int, recall: int, f1: int, candidates: list[int]) -> list[tuple]:
    """Two classes: no confusion matrix of a candidate size gives the row."""
    if recall != accuracy or any(len(binary_matrices(n, accuracy, precision, recall, f1)) for n in candidates):
        return []
    printed = f"precision {precision / 100:.2f}, F1 {f1 / 100:.2f}"
    size = f"n = {candidates[0]}" if len(candidates) == 1 else "any n that fits"
    what = f"no 2x2 confusion matrix at {size}"
    return [(what, list(VALUES), printed, "a matrix that gives all four")] if candidates else []


def _repetitions(units: np.ndarray, names: Sequence[str]) -> list[tuple]:
    """Rows whose averages are those of another row."""
    errors = []
    for one, other in combinations(range(len(units)), 2):
        same = units[one] == units[other]
        if not same[2:].all() or (same[1] and not same[0]):
            continue
        # the row whose recall is its accuracy owns the values
        copy, owner = (other, one) if same[1] or units[one, 3] == units[one, 1] else (one, other)
        what = "all values repeat another row" if same[1] else "precision, recall and F1 repeat another row"
        printed = ", ".join(f"{value / 100:.2f}" for value in units[copy, 2:])
        expected = f"values of its own, not those of {names[owner]}"
        errors.append((copy, what, list(VALUES if same[1] else AVERAGES), printed, expected, owner))
    return errors


def _one_digit_changes(unit: int) -> list[int]:
    """Every number that differs from a percentage such as 84.91 in one of its four digits."""
    digits = f"{unit:04d}"
    changed = (int(digits[:i] + new + digits[i + 1 :]) for i in range(4) for new in "0123456789" if new != digits[i])
    return [value for value in changed if value <= 10000]
