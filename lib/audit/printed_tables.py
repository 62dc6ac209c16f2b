"""What the printed tables say by themselves: test-set sizes, rows that contradict themselves, slips in the text.

Accuracies betray the size of their test set (lib.audit.fractions). Precision, recall and F1 are averages weighted by
support; weighted recall then equals accuracy by definition, and for two classes all confusion matrices that give a row
can be enumerated (lib.audit.matrices). lib.audit.prose reads the text. Units are hundredths of a per cent.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from lib.audit.fractions import (
    VALUES,
    as_sizes,
    fits,
    fractions_of,
    group_of,
    hundredths,
    nearest_fractions,
    size_fits,
    size_groups,
)
from lib.audit.matrices import TOLERANCE, binary_matrices, describe_matrices, matching_matrices, shared_supports
from lib.audit.prose import text_errors
from lib.config.paper import Scenario
from lib.config.paper import scenarios as paper_scenarios

SPLIT = (8, 1, 1)  # section III.A, step 3


def printed_audit(
    printed: pd.DataFrame,
    text: pd.DataFrame,
    images: int,
    min_n: int,
    max_n: int,
    *,
    literature: pd.DataFrame | None = None,
    scenarios: Mapping[str, Scenario] | None = None,
) -> dict:
    """Everything the printed numbers say about themselves, as plain values for JSON.

    Args:
        printed: a row a (table, phase, backbone) with val_accuracy, test_accuracy, precision, recall and f1 in
            per cent, two decimals (params/printed.csv).
        text: numbers and ranks stated in prose (params/text_numbers.csv), see `text_errors`.
        images: number of images the paper says it has.
        min_n, max_n: range of the sizes tried, both included.
        literature: Table V (params/literature.csv); None leaves out what the text says about it.
        scenarios: the paper's tasks; default params/scenarios.yaml.

    Returns:
        tables: by table number, sizes that fit all its rows, `groups` of rows that share a size, every row's sizes
            and, for two classes, how many 2x2 confusion matrices give the row (else null) with a few of them.
        row_errors, text_errors: what is wrong as printed, with what was expected.
        pool: the pools these sizes imply against `images`, and whether the sizes add up across scenarios.
        rankings, detection: ranks recomputed; the share of one-digit changes of a table this audit can catch.

    Raises:
        ValueError: a percentage outside 0..100 or with more than two decimals, an empty range of sizes, a text entry
            that refers to no cell.
    """
    scenarios = paper_scenarios() if scenarios is None else scenarios
    tables, errors = audit_tables(printed, min_n, max_n, scenarios=scenarios)
    groups = {number: table["groups"] for number, table in tables.items()}
    return {
        "tables": tables,
        "row_errors": errors,
        "text_errors": text_errors(printed, text, literature, scenarios),
        "pool": pool_implied(groups, images, scenarios),
        "rankings": rankings(printed),
        "f1_from_averages": f1_from_averages(printed),
        "omitted_from_table_5": text.loc[text["kind"] == "omitted", ["place", "row", "value"]].to_dict("records"),
        "not_in_tables": text.loc[text["kind"] == "not_in_tables", ["place", "quote", "value"]].to_dict("records"),
        "detection": detection_rate(printed, min_n, max_n, scenarios=scenarios),
    }


def audit_tables(
    printed: pd.DataFrame, min_n: int, max_n: int, *, scenarios: Mapping[str, Scenario] | None = None
) -> tuple[dict, list[dict]]:
    """The entries `tables` and `row_errors` of `printed_audit`, which says what they hold."""
    classes = _classes(printed, paper_scenarios() if scenarios is None else scenarios)
    tables, errors = {}, []
    for number, rows in _tables(printed).items():
        tables[number], found = _audit_table(rows, classes[number], min_n, max_n)
        errors += [{"table": number} | error for error in found]
    return tables, errors


def pool_implied(groups: dict[str, list[dict]], images: int, scenarios: Mapping[str, Scenario] | None = None) -> dict:
    """The pools that test sets of these sizes were split from at 8-1-1, against the images the paper says it has.

    Args:
        groups: by table number, groups as `audit_tables` gives them.
        images: number of images of the data set.

    Returns:
        images, split, test_n_expected (a tenth of `images`), tables: per group the pool and its bounds (each class
        rounded on its own, up or down), times_images; sums: sizes of scenarios that share classes, set side by side.
    """
    scenarios = paper_scenarios() if scenarios is None else scenarios
    by_table = {str(scenario.table): scenario for scenario in scenarios.values()}
    whole = sum(SPLIT)
    tables = {}
    for number, found in groups.items():
        slack = (whole - 1) * len(by_table[number].classes)
        tables[number] = [
            {
                "val_n": group["val_n"],
                "test_n": group["test_n"],
                "rows": len(group["rows"]),
                "pool": whole * group["test_n"],
                "pool_low": whole * group["test_n"] - slack,
                "pool_high": whole * group["test_n"] + slack,
                "times_images": round(whole * group["test_n"] / images, 2),
                "larger_than_images": whole * group["test_n"] - slack > images,
            }
            for group in found
        ]
    return {
        "images": images,
        "split": list(SPLIT),
        "test_n_expected": round(images * SPLIT[2] / whole, 1),
        "tables": tables,
        "sums": _sums(groups, by_table),
    }


def rankings(printed: pd.DataFrame) -> dict[str, dict[str, list[dict]]]:
    """Backbones of each table and phase from the highest test accuracy down, equal values with equal rank."""
    ranked = {}
    for (table, phase), rows in printed.groupby(["table", "phase"], sort=False):
        rank = rows["test_accuracy"].rank(method="min", ascending=False).astype(int)
        order = rows.assign(rank=rank).sort_values("rank", kind="stable")
        ranked.setdefault(str(table), {})[phase] = order[["rank", "backbone", "test_accuracy"]].to_dict("records")
    return ranked


def f1_from_averages(printed: pd.DataFrame) -> dict[str, int]:
    """In how many rows equation 13 on the printed (averaged) precision and recall gives the printed F1.

    Where it does not, F1 was averaged over classes, as a support-weighted F1 is.
    """
    precision, recall, f1 = (np.array(hundredths(printed[column])) for column in ("precision", "recall", "f1"))
    low, high = (_harmonic(precision + half, recall + half) for half in (-0.5, 0.5))
    return {"rows": len(f1), "equal": int(((f1 + 0.5 >= low) & (f1 - 0.5 <= high)).sum())}


def detection_rate(
    printed: pd.DataFrame, min_n: int, max_n: int, *, scenarios: Mapping[str, Scenario] | None = None
) -> dict:
    """The share of all changes of one printed digit that the audit answers with an error at the row changed.

    Every digit of every number is replaced by each of the nine others, in the rows that have no error as printed.

    Returns:
        changes, caught, share; by_column and by_table: the share within them.
    """
    classes = _classes(printed, paper_scenarios() if scenarios is None else scenarios)
    sizes = np.arange(min_n, max_n + 1)
    outcomes = []
    for number, rows in _tables(printed).items():
        units = _table_units(rows)
        groups = size_groups(units[:, :2], sizes)
        for row in set(range(len(units))) - _accused(units, groups, classes[number], sizes):
            for column, name in enumerate(VALUES):
                for value in _one_digit_changes(int(units[row, column])):
                    changed = units.copy()
                    changed[row, column] = value
                    caught = row in _accused(changed, groups, classes[number], sizes)
                    if not caught and column < 2:  # only accuracies tell sizes
                        caught = row in _accused(changed, size_groups(changed[:, :2], sizes), classes[number], sizes)
                    outcomes.append((number, name, caught))
    table = pd.DataFrame(outcomes, columns=["table", "column", "caught"])
    return {
        "changes": len(table),
        "caught": int(table["caught"].sum()),
        "share": round(float(table["caught"].mean()), 4) if len(table) else None,
        "by_column": table.groupby("column", sort=False)["caught"].mean().round(4).to_dict(),
        "by_table": table.groupby("table", sort=False)["caught"].mean().round(4).to_dict(),
    }


def _tables(printed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(table): rows.reset_index(drop=True) for table, rows in printed.groupby("table", sort=True)}


def _classes(printed: pd.DataFrame, scenarios: Mapping[str, Scenario]) -> dict[str, int]:
    classes = {str(scenario.table): len(scenario.classes) for scenario in scenarios.values()}
    unknown = {str(table) for table in printed["table"]} - set(classes)
    if unknown:
        raise ValueError(f"no scenario has table {', '.join(sorted(unknown))}; known are {', '.join(sorted(classes))}")
    return classes


def _audit_table(rows: pd.DataFrame, n_classes: int, min_n: int, max_n: int) -> tuple[dict, list[dict]]:
    """A table's entry of the audit, and its rows' errors."""
    units = _table_units(rows)
    sizes = np.arange(min_n, max_n + 1)
    fitting = {column: size_fits(rows[column], min_n, max_n) for column in VALUES[:2]}
    groups = size_groups(units[:, :2], sizes)
    errors = [
        {"phase": rows["phase"][row], "backbone": rows["backbone"][row]}
        | {"what": what, "printed": printed, "expected": _name_rows(expected, rows)}
        for row, what, printed, expected in _errors(units, groups, n_classes, sizes)
    ]
    entry = {
        "val_n": as_sizes(fitting["val_accuracy"].all(axis=0), min_n),
        "test_n": as_sizes(fitting["test_accuracy"].all(axis=0), min_n),
        "phases": {
            phase: {
                f"{column[:-9]}_n": as_sizes(fitting[column][rows["phase"] == phase].all(axis=0), min_n)
                for column in fitting
            }
            for phase in rows["phase"].unique()
        },
        "groups": [
            group | {"rows": [{"phase": rows["phase"][i], "backbone": rows["backbone"][i]} for i in group["rows"]]}
            for group in groups
        ],
        "rows": [],
    }
    for row in range(len(rows)):
        group = group_of(row, groups) or {"val_n": None, "test_n": None}
        found = {"phase": rows["phase"][row], "backbone": rows["backbone"][row]}
        found |= {f"{column[:-9]}_n": as_sizes(fitting[column][row], min_n) for column in fitting}
        found |= {"inferred_val_n": group["val_n"], "inferred_test_n": group["test_n"]}
        if n_classes == 2:
            found |= describe_matrices(units[row], _candidate_sizes(row, units[row, 1], groups, sizes))
        else:  # only the bounds of _bounds are checked
            found |= {"confusion_matrices": None}
        entry["rows"].append(found)
    if n_classes == 2:
        for group, described in zip(groups, entry["groups"]):
            described["supports"] = shared_supports(units, group)
            for row in group["rows"]:
                matrices = binary_matrices(group["test_n"], *(units[row, 1:] / 100))
                at_shared = [m.tolist() for m in matrices if int(m.sum(axis=1).min()) in described["supports"]]
                entry["rows"][row]["matrices_at_shared_supports"] = at_shared
    return entry, errors


def _candidate_sizes(row: int, test: int, groups: list[dict], sizes: np.ndarray) -> list[int]:
    """Test-set sizes to look for a row's matrix at: its group's, else those of the groups, else all that fit."""
    group = group_of(row, groups)
    if group:
        return [group["test_n"]]
    if groups:
        return [group["test_n"] for group in groups if test in fractions_of(group["test_n"])]
    return as_sizes(fits([test], sizes)[0], int(sizes[0]))


def _errors(units: np.ndarray, groups: list[dict], n_classes: int, sizes: np.ndarray) -> list[tuple]:
    """(row, what, printed, expected) for each contradiction; `expected` may hold {row} for a row's name."""
    errors = []
    for row, (val, test, precision, recall, f1) in enumerate(units.tolist()):
        group = group_of(row, groups)
        if group is None:
            errors += [(row, *error) for error in _no_size(val, test, groups, sizes)]
        if recall != test:
            errors.append((row, "weighted recall is not accuracy", recall / 100, test / 100))
        errors += [(row, *error) for error in _bounds(test, precision, recall, f1)]
        if n_classes == 2 and recall == test:
            candidates = _candidate_sizes(row, test, groups, sizes)
            if candidates and not any(
                len(matching_matrices(n, "weighted", test, precision, recall, f1)) for n in candidates
            ):
                printed = f"precision {precision / 100:.2f}, F1 {f1 / 100:.2f}"
                at = f"at n = {candidates[0]}" if len(candidates) == 1 else "at any n that fits"
                errors.append((row, f"no 2x2 confusion matrix {at}", printed, "a matrix that gives all four"))
    for one, other in combinations(range(len(units)), 2):
        same_scores = (units[one, 2:] == units[other, 2:]).all()
        if same_scores and units[one, 1] != units[other, 1]:
            # the row whose recall is its accuracy owns the values
            copy, owner = (one, other) if units[one, 3] != units[one, 1] else (other, one)
            errors.append((copy, "precision, recall and F1 repeat another row", _triple(units[copy]), owner))
        elif same_scores and units[one, 0] == units[other, 0]:
            errors.append((other, "all values repeat another row", _triple(units[other]), one))
    return errors


def _accused(units: np.ndarray, groups: list[dict], n_classes: int, sizes: np.ndarray) -> set[int]:
    return {row for row, *_ in _errors(units, groups, n_classes, sizes)}


def _no_size(val: int, test: int, groups: list[dict], sizes: np.ndarray) -> list[tuple]:
    """Which accuracy of a row in no group is no fraction: of the sizes of the nearest group, else of any size."""
    errors = []
    if groups:
        nearest = max(
            groups, key=lambda group: (val in fractions_of(group["val_n"])) + (test in fractions_of(group["test_n"]))
        )
        for name, value, n in (("val_accuracy", val, nearest["val_n"]), ("test_accuracy", test, nearest["test_n"])):
            if value not in fractions_of(n):
                expected = f"a fraction of {n}: " + " or ".join(
                    f"{near / 100:.2f}" for near in nearest_fractions(value, n)
                )
                errors.append((f"{name} is no k/n at the size other rows share", value / 100, expected))
        return errors
    for name, value in (("val_accuracy", val), ("test_accuracy", test)):
        if not fits([value], sizes).any():
            errors.append((f"{name} is no k/n", value / 100, f"a fraction of {sizes[0]}..{sizes[-1]} images"))
    return errors


def _bounds(accuracy: int, precision: int, recall: int, f1: int) -> list[tuple]:
    """What holds for weighted averages of any confusion matrix, with any number of classes.

    F1 <= 2PR/(P+R): the harmonic mean is concave, so its average over classes is at most that of the averages.
    P >= accuracy^2 and F1 >= accuracy^2: Cauchy-Schwarz over classes, since supports and predictions both add up to n.
    These are necessary conditions only: a row that meets them may still be impossible.
    """
    errors = []
    highest = _harmonic(precision + 0.5, recall + 0.5)
    if f1 - 0.5 > highest + TOLERANCE:
        errors.append(("F1 above the harmonic mean of precision and recall", f1 / 100, f"<= {highest / 100:.2f}"))
    lowest = (accuracy - 0.5) ** 2 / 10000
    for name, value in (("precision", precision), ("F1", f1)):
        if value + 0.5 < lowest - TOLERANCE:
            errors.append((f"{name} below the square of accuracy", value / 100, f">= {lowest / 100:.2f}"))
    return errors


def _harmonic(precision, recall):
    return 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def _triple(row: np.ndarray) -> str:
    return ", ".join(f"{value / 100:.2f}" for value in row[2:])


def _name_rows(expected, rows: pd.DataFrame):
    """An error's expectation; the position of a row becomes its name."""
    if isinstance(expected, int):
        return f"values of its own, not those of {rows['backbone'][expected]} ({rows['phase'][expected]})"
    return expected


def _table_units(rows: pd.DataFrame) -> np.ndarray:
    return np.array([hundredths(rows[column]) for column in VALUES]).T


def _one_digit_changes(unit: int) -> list[int]:
    """Every number that differs from a percentage such as 84.91 in one of its four digits."""
    digits = f"{unit:04d}"
    return [
        int(digits[:place] + new + digits[place + 1 :])
        for place in range(len(digits))
        for new in "0123456789"
        if new != digits[place] and int(digits[:place] + new + digits[place + 1 :]) <= 10000
    ]


def _sums(groups: dict[str, list[dict]], by_table: dict[str, Scenario]) -> list[dict]:
    """Scenarios whose classes together are another's: do their sizes add up to its size?"""
    covers = {number: set(by_table[number].label_of()) for number in groups}
    sums = []
    for whole in groups:
        others = [number for number in groups if number != whole]
        for parts in [(one,) for one in others] + list(combinations(others, 2)):
            together = [source for part in parts for source in covers[part]]
            if len(together) != len(set(together)) or set(together) != covers[whole]:
                continue
            if len(parts) == 1 and int(whole) > int(parts[0]):
                continue  # the same two scenarios the other way round
            entry = {"tables": list(parts), "of": whole}
            for size in ("val_n", "test_n"):
                # the sum over all ways to take one group from each part
                totals = {0}
                for part in parts:
                    totals = {total + group[size] for total in totals for group in groups[part]}
                entry[size] = sorted(totals)
                entry[f"{size}_of"] = sorted({group[size] for group in groups[whole]})
                entry[f"{size}_all_groups"] = sum(group[size] for part in parts for group in groups[part])
            entry["agrees"] = all(
                len(entry[size]) > 0 and entry[size] == entry[f"{size}_of"] for size in ("val_n", "test_n")
            )
            sums.append(entry)
    return sums
