"""What the printed tables say by themselves: test-set sizes, rows that contradict themselves, slips in the text.

Accuracies give away the size of their test set (lib.audit.fractions), averages their confusion matrices
(lib.audit.matrices). lib.audit.row_errors checks the rows, lib.audit.prose the text.
"""

from itertools import combinations, product

import numpy as np
import pandas as pd

from lib.audit.fractions import VALUES, correct_counts, fits, group_of, hundredths, size_groups
from lib.audit.matrices import binary_matrices
from lib.audit.prose import text_errors
from lib.audit.row_errors import candidate_sizes, detection_rate, find_row_errors
from lib.config.paper import IMAGES, SPLIT, Scenario, scenarios

COPIED = ("phase", "backbone", "inferred_test_n", "test_correct")  # of the row that another repeats


def printed_audit(
    printed: pd.DataFrame,
    text: pd.DataFrame,
    literature: pd.DataFrame | None = None,
    min_n: int = 100,
    max_n: int = 1500,
) -> dict:
    """Everything that the printed numbers say about themselves, as plain values for JSON.

    Args:
        printed: one row per (table, phase, backbone) with val_accuracy, test_accuracy, precision, recall and f1 in
            per cent, two decimals (params/printed.csv).
        text: numbers and ranks stated in prose (params/text_numbers.csv), see `text_errors`.
        literature: Table V (params/literature.csv); None skips what the text says about it.
        min_n, max_n: range of the test-set sizes tried, both included, from 2.

    Returns:
        tables, row_errors of `audit_tables`; text_errors; pool of `pool_implied`; detection of `detection_rate`.

    Raises:
        ValueError: a percentage outside 0..100 or with more than two decimals, a text entry that refers to no cell.
    """
    tables, errors = audit_tables(printed, min_n, max_n)
    units = {str(number): hundredths(rows[list(VALUES)]) for number, rows in printed.groupby("table")}
    return {
        "tables": tables,
        "row_errors": errors,
        "text_errors": text_errors(printed, text, literature),
        "pool": pool_implied({number: table["groups"] for number, table in tables.items()}),
        "detection": detection_rate(units, _classes(), np.arange(min_n, max_n + 1)),
    }


def audit_tables(printed: pd.DataFrame, min_n: int, max_n: int) -> tuple[dict, list[dict]]:
    """The test-set sizes and the errors of all tables.

    Returns:
        By table number: val_n and test_n, the sizes that fit all its rows; groups: rows that share sizes, with the
        supports that two classes can have; rows: for each row the sizes that fit it, those of its group with the
        images that are then right (`val_correct`, `test_correct`) and, for two classes, how many confusion matrices
        give it (else None) with a few of them. Errors: table, phase, backbone and what `find_row_errors` says, of
        `copied_from` what COPIED names.
    """
    classes, sizes = _classes(), np.arange(min_n, max_n + 1)
    tables, errors = {}, []
    for table, rows in printed.groupby("table"):
        number = str(table)
        units = hundredths(rows[list(VALUES)])
        groups = size_groups(units[:, :2], sizes)
        names = rows[["phase", "backbone"]].to_dict("records")
        tables[number] = _describe_table(units, groups, names, classes[number], sizes)
        titles = [f"{name['backbone']} ({name['phase']})" for name in names]
        found = find_row_errors(units, titles, groups, classes[number], sizes)
        for error in found:
            if "copied_from" in error:
                owner = tables[number]["rows"][error["copied_from"]]
                error["copied_from"] = {key: owner[key] for key in COPIED}
            errors.append({"table": number} | names[error.pop("row")] | error)
    return tables, errors


def pool_implied(groups: dict[str, list[dict]]) -> dict:
    """The pools that test sets of these sizes were split from at 8-1-1, against the images that the paper describes.

    Takes the groups of `audit_tables` by table number. Returns images, split, test_n_expected (a tenth of the images);
    tables: per group the pool and its bounds (each class rounded on its own, up or down), and whether it
    must be larger than the images; sums: do the sizes of scenarios that share classes add up?
    """
    by_table = {str(scenario.table): scenario for scenario in scenarios().values()}
    parts = sum(SPLIT)

    def described(number: str, group: dict) -> dict:
        pool, slack = parts * group["test_n"], (parts - 1) * len(by_table[number].classes)
        entry = {"val_n": group["val_n"], "test_n": group["test_n"], "rows": len(group["rows"])}
        entry |= {"pool": pool, "pool_low": pool - slack, "pool_high": pool + slack}
        return entry | {"larger_than_images": pool - slack > IMAGES}

    return {
        "images": IMAGES,
        "split": list(SPLIT),
        "test_n_expected": round(IMAGES * SPLIT[2] / parts, 1),
        "tables": {number: [described(number, group) for group in of_table] for number, of_table in groups.items()},
        "sums": _sums(groups, by_table),
    }


def _classes() -> dict[str, int]:
    """Table number -> number of classes."""
    return {str(scenario.table): len(scenario.classes) for scenario in scenarios().values()}


def _describe_table(units: np.ndarray, groups: list[dict], names: list[dict], classes: int, sizes: np.ndarray) -> dict:
    fitting = {name: fits(units[:, column], sizes) for column, name in enumerate(("val_n", "test_n"))}
    entry = {name: sizes[of_rows.all(axis=0)].tolist() for name, of_rows in fitting.items()}
    entry["groups"] = [group | {"rows": [names[row] for row in group["rows"]]} for group in groups]
    entry["rows"] = []
    for row, name in enumerate(names):
        group = group_of(row, groups) or {"val_n": None, "test_n": None}
        described = name | {name: sizes[of_rows[row]].tolist() for name, of_rows in fitting.items()}
        for column, (size, n) in enumerate((("val", group["val_n"]), ("test", group["test_n"]))):
            right = correct_counts(units[row, column], n) if n else ()
            described |= {f"inferred_{size}_n": n, f"{size}_correct": int(right[0]) if len(right) == 1 else None}
        described["confusion_matrices"] = None
        if classes == 2:
            candidates = candidate_sizes(row, units[row, 1], groups, sizes)
            matrices = [matrix for n in candidates for matrix in binary_matrices(n, *units[row, 1:])]
            described["confusion_matrices"] = len(matrices)
        entry["rows"].append(described)
    for group, described in zip(groups, entry["groups"] if classes == 2 else []):
        matrices = {row: binary_matrices(group["test_n"], *units[row, 1:]) for row in group["rows"]}
        rarer = {row: of_row.sum(axis=2).min(axis=1).tolist() for row, of_row in matrices.items()}
        # a row that no matrix gives is an error of its own and must not hide what the others share
        supports = [set(values) for values in rarer.values() if values]
        described["supports"] = sorted(set.intersection(*supports)) if supports else []
        for row, of_row in matrices.items():
            shared = of_row[np.isin(rarer[row], described["supports"])]
            entry["rows"][row]["matrices_at_shared_supports"] = shared.tolist()
    return entry


def _sums(groups: dict[str, list[dict]], by_table: dict[str, Scenario]) -> list[dict]:
    """Scenarios whose classes together are another's: do their sizes add up to its size?"""
    covers = {number: sorted(by_table[number].label_of()) for number in groups}
    sums = []
    for whole, parts in product(groups, [*combinations(groups, 1), *combinations(groups, 2)]):
        same_pair = len(parts) == 1 and whole >= parts[0]  # the same two scenarios the other way round
        if same_pair or whole in parts or sorted(name for part in parts for name in covers[part]) != covers[whole]:
            continue
        entry = {"tables": list(parts), "of": whole}
        for size in ("val_n", "test_n"):
            choices = product(*(groups[part] for part in parts))  # one group from each part
            entry[size] = sorted({sum(group[size] for group in choice) for choice in choices})
            entry[f"{size}_of"] = sorted({group[size] for group in groups[whole]})
            entry[f"{size}_all_groups"] = sum(group[size] for part in parts for group in groups[part])
        entry["agrees"] = all(entry[size] and entry[size] == entry[f"{size}_of"] for size in ("val_n", "test_n"))
        sums.append(entry)
    return sums
