"""What the printed tables say by themselves: test-set sizes, rows that contradict themselves, slips in the text.

Every accuracy is k/n for whole k and n, so a few percentages printed to two decimals betray n (the GRIM test,
Brown and Heathers 2017). Precision, recall and F1 are averages weighted by support; weighted recall then equals
accuracy by definition, and for two classes all confusion matrices that give a row can be enumerated.
Percentages are handled as whole hundredths of a per cent, so rounding at ties is exact; a tie may go either way
(half up or half to even), because the paper does not say how it rounds.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import bdtrc

from lib.config import Scenario
from lib.config import scenarios as paper_scenarios

VALUES = ("val_accuracy", "test_accuracy", "precision", "recall", "f1")
AVERAGES = ("weighted", "macro", "one class")
SPLIT = (8, 1, 1)  # section III.A, step 3
CHANCE = 1e-3  # a size is taken for real where as many rows would fit some size by chance less often than this
VAL_TEST_DIFFERENCE = 10  # images; equal shares of one pool differ at most by rounding, once a class
TOLERANCE = 1e-9  # of floating point, in per cent


def published_audit(
    published: pd.DataFrame,
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
        published: a row a (table, phase, backbone) with val_accuracy, test_accuracy, precision, recall and f1 in
            per cent, two decimals (params/published.csv).
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
    tables, errors = audit_tables(published, min_n, max_n, scenarios=scenarios)
    groups = {number: table["groups"] for number, table in tables.items()}
    return {
        "tables": tables,
        "row_errors": errors,
        "text_errors": text_errors(published, text, literature, scenarios),
        "pool": pool_implied(groups, images, scenarios),
        "rankings": rankings(published),
        "f1_from_averages": f1_from_averages(published),
        "omitted_from_table_5": text.loc[text["kind"] == "omitted", ["place", "row", "value"]].to_dict("records"),
        "not_in_tables": text.loc[text["kind"] == "not_in_tables", ["place", "quote", "value"]].to_dict("records"),
        "detection": detection_rate(published, min_n, max_n, scenarios=scenarios),
    }


def audit_tables(
    published: pd.DataFrame, min_n: int, max_n: int, *, scenarios: Mapping[str, Scenario] | None = None
) -> tuple[dict, list[dict]]:
    """The entries `tables` and `row_errors` of `published_audit`, which says what they hold."""
    classes = _classes(published, paper_scenarios() if scenarios is None else scenarios)
    tables, errors = {}, []
    for number, rows in _tables(published).items():
        tables[number], found = _audit_table(rows, classes[number], min_n, max_n)
        errors += [{"table": number} | error for error in found]
    return tables, errors


def consistent_sizes(percentages: Sequence[float | str], min_n: int, max_n: int, decimals: int = 2) -> list[int]:
    """Every n in min_n..max_n for which each percentage is some k/n rounded to `decimals` places.

    Raises:
        ValueError: a percentage outside 0..100 or with more decimals, or an empty range.
    """
    return _sizes(size_fits(percentages, min_n, max_n, decimals).all(axis=0), min_n)


def size_fits(percentages: Sequence[float | str], min_n: int, max_n: int, decimals: int = 2) -> np.ndarray:
    """Which percentage is a fraction of which size: bool [percentages, max_n - min_n + 1]."""
    if not 1 <= min_n <= max_n:
        raise ValueError(f"sizes {min_n}..{max_n} are no range; give 1 <= min_n <= max_n")
    return _fits(_units(percentages, decimals), np.arange(min_n, max_n + 1), decimals)


def size_groups(rows: pd.DataFrame, min_n: int, max_n: int) -> list[dict]:
    """The fewest test-set sizes that explain a table: rows that share a pair (val_n, test_n), largest evidence first.

    Greedy: the pair that so many rows would fit by chance least often is taken, with all rows that fit it, until
    what is left could be chance (binomial tail, times the number of pairs tried, not below 0.001). That prefers 307
    to 614 where both fit. val_n and test_n may differ by 10 images.

    Returns:
        [{"val_n", "test_n", "rows": positions in `rows`, "chance"}]; rows in no group share no credible size.
    """
    units = np.array([_units(rows[column]) for column in VALUES[:2]]).T
    return _groups(units, np.arange(min_n, max_n + 1))


def binary_matrices(
    n: int, accuracy: float, precision: float, recall: float, f1: float, average: str = "weighted"
) -> np.ndarray:
    """Every 2x2 confusion matrix of n images, both classes present, that gives the four percentages as printed.

    Args:
        n: number of test images.
        accuracy, precision, recall, f1: per cent, two decimals.
        average: `weighted` by support (the paper's), `macro`, or `one class` (the second class alone).

    Returns:
        int [matrices, 2, 2], true class by predicted class; a matrix and its mirror image (classes swapped) are two.
    """
    if average not in AVERAGES:
        raise ValueError(f"no average {average!r}; one of {', '.join(AVERAGES)}")
    return _matrices(n, average, *_units([accuracy, precision, recall, f1])).copy()


def text_errors(
    published: pd.DataFrame,
    text: pd.DataFrame,
    literature: pd.DataFrame | None = None,
    scenarios: Mapping[str, Scenario] | None = None,
) -> list[dict]:
    """Statements of the prose that the tables contradict.

    Args:
        text: place, quote, kind, value, and the cell it is about (table, phase, row, column). Kinds: `value` (the
            cell's number), `increase` (fine-tuned less transfer, in points), `rank` (1 is the highest of its table and
            phase), `rises` (fine-tuned above transfer), `increase_below_proposed` (a smaller increase than the
            paper's model), `table_number` (the table the text names), `best_in_literature` (above all works of
            Table V with as many classes), `literature` (a column of Table V), `omitted` and `not_in_tables` (no check).

    Returns:
        [{"place", "quote", "table", "what", "printed", "expected"}].

    Raises:
        ValueError: a kind that is not one of these, or a cell that is not in the tables.
    """
    scenarios = paper_scenarios() if scenarios is None else scenarios
    classes = {str(scenario.table): len(scenario.classes) for scenario in scenarios.values()}
    cells = (
        published.assign(table=published["table"].astype(str)).set_index(["table", "phase", "backbone"]).sort_index()
    )
    proposed = published["backbone"].iloc[0]
    errors = []
    for entry in text.fillna("").astype(str).to_dict("records"):
        try:
            what, printed, expected, holds = _check(entry, cells, classes, literature, proposed)
        except KeyError as error:
            raise ValueError(f"text entry {entry['quote']!r}: nothing found for {error}; correct the entry") from error
        if not holds:
            place = {key: entry[key] for key in ("place", "quote", "table")}
            errors.append(place | {"what": what, "printed": printed, "expected": expected})
    return errors


def pool_implied(groups: dict[str, list[dict]], images: int, scenarios: Mapping[str, Scenario] | None = None) -> dict:
    """The pools that test sets of these sizes were split from at 8-1-1, against the images the paper says it has.

    Args:
        groups: by table number, groups as `size_groups` gives them.
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


def rankings(published: pd.DataFrame) -> dict[str, dict[str, list[dict]]]:
    """Backbones of each table and phase from the highest test accuracy down, equal values with equal rank."""
    ranked = {}
    for (table, phase), rows in published.groupby(["table", "phase"], sort=False):
        rank = rows["test_accuracy"].rank(method="min", ascending=False).astype(int)
        order = rows.assign(rank=rank).sort_values("rank", kind="stable")
        ranked.setdefault(str(table), {})[phase] = order[["rank", "backbone", "test_accuracy"]].to_dict("records")
    return ranked


def f1_from_averages(published: pd.DataFrame) -> dict[str, int]:
    """In how many rows equation 13 on the printed (averaged) precision and recall gives the printed F1.

    Where it does not, F1 was averaged over classes, as a support-weighted F1 is.
    """
    precision, recall, f1 = (np.array(_units(published[column])) for column in ("precision", "recall", "f1"))
    low, high = (_harmonic(precision + half, recall + half) for half in (-0.5, 0.5))
    return {"rows": len(f1), "equal": int(((f1 + 0.5 >= low) & (f1 - 0.5 <= high)).sum())}


def detection_rate(
    published: pd.DataFrame, min_n: int, max_n: int, *, scenarios: Mapping[str, Scenario] | None = None
) -> dict:
    """The share of all changes of one printed digit that the audit answers with an error at the row changed.

    Every digit of every number is replaced by each of the nine others, in the rows that have no error as printed.

    Returns:
        changes, caught, share; by_column and by_table: the share within them.
    """
    classes = _classes(published, paper_scenarios() if scenarios is None else scenarios)
    sizes = np.arange(min_n, max_n + 1)
    outcomes = []
    for number, rows in _tables(published).items():
        units = _table_units(rows)
        groups = _groups(units[:, :2], sizes)
        for row in set(range(len(units))) - _accused(units, groups, classes[number], sizes):
            for column, name in enumerate(VALUES):
                for value in _one_digit_changes(int(units[row, column])):
                    changed = units.copy()
                    changed[row, column] = value
                    caught = row in _accused(changed, groups, classes[number], sizes)
                    if not caught and column < 2:  # only accuracies tell sizes
                        caught = row in _accused(changed, _groups(changed[:, :2], sizes), classes[number], sizes)
                    outcomes.append((number, name, caught))
    table = pd.DataFrame(outcomes, columns=["table", "column", "caught"])
    return {
        "changes": len(table),
        "caught": int(table["caught"].sum()),
        "share": round(float(table["caught"].mean()), 4) if len(table) else None,
        "by_column": table.groupby("column", sort=False)["caught"].mean().round(4).to_dict(),
        "by_table": table.groupby("table", sort=False)["caught"].mean().round(4).to_dict(),
    }


# ---- one table ----


def _tables(published: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(table): rows.reset_index(drop=True) for table, rows in published.groupby("table", sort=True)}


def _classes(published: pd.DataFrame, scenarios: Mapping[str, Scenario]) -> dict[str, int]:
    classes = {str(scenario.table): len(scenario.classes) for scenario in scenarios.values()}
    unknown = {str(table) for table in published["table"]} - set(classes)
    if unknown:
        raise ValueError(f"no scenario has table {', '.join(sorted(unknown))}; known are {', '.join(sorted(classes))}")
    return classes


def _audit_table(rows: pd.DataFrame, n_classes: int, min_n: int, max_n: int) -> tuple[dict, list[dict]]:
    """A table's entry of the audit, and its rows' errors."""
    units = _table_units(rows)
    sizes = np.arange(min_n, max_n + 1)
    fits = {column: size_fits(rows[column], min_n, max_n) for column in VALUES[:2]}
    groups = _groups(units[:, :2], sizes)
    errors = [
        {"phase": rows["phase"][row], "backbone": rows["backbone"][row]}
        | {"what": what, "printed": printed, "expected": _name_rows(expected, rows)}
        for row, what, printed, expected in _errors(units, groups, n_classes, sizes)
    ]
    entry = {
        "val_n": _sizes(fits["val_accuracy"].all(axis=0), min_n),
        "test_n": _sizes(fits["test_accuracy"].all(axis=0), min_n),
        "phases": {
            phase: {
                f"{column[:-9]}_n": _sizes(fits[column][rows["phase"] == phase].all(axis=0), min_n) for column in fits
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
        group = _group_of(row, groups) or {"val_n": None, "test_n": None}
        found = {"phase": rows["phase"][row], "backbone": rows["backbone"][row]}
        found |= {f"{column[:-9]}_n": _sizes(fits[column][row], min_n) for column in fits}
        found |= {"inferred_val_n": group["val_n"], "inferred_test_n": group["test_n"]}
        if n_classes == 2:
            found |= _matrices_of(units[row], _candidate_sizes(row, units[row, 1], groups, sizes))
        else:  # only the bounds of _bounds are checked
            found |= {"confusion_matrices": None}
        entry["rows"].append(found)
    if n_classes == 2:
        for group, described in zip(groups, entry["groups"]):
            described["supports"] = _shared_supports(units, group)
            for row in group["rows"]:
                matrices = binary_matrices(group["test_n"], *(units[row, 1:] / 100))
                at_shared = [m.tolist() for m in matrices if int(m.sum(axis=1).min()) in described["supports"]]
                entry["rows"][row]["matrices_at_shared_supports"] = at_shared
    return entry, errors


def _groups(units: np.ndarray, sizes: np.ndarray) -> list[dict]:
    """Groups of rows by size; units: int [rows, 2], val and test accuracy in hundredths of a per cent."""
    val, test = (_fits(units[:, column], sizes) for column in (0, 1))
    left = np.arange(len(units))
    pairs = len(sizes) * (2 * VAL_TEST_DIFFERENCE + 1)
    groups = []
    while len(left):
        best = (CHANCE, None)
        val_left, test_left = val[left], test[left]
        # the least chance that so many rows could have, at the smallest size
        least = [pairs * float(bdtrc(count - 1, len(left), _share(sizes[0]) ** 2)) for count in range(1, len(left) + 1)]
        for shift in sorted(range(-VAL_TEST_DIFFERENCE, VAL_TEST_DIFFERENCE + 1), key=abs):
            first, last = max(0, -shift), len(sizes) - max(0, shift)  # val_n = size, test_n = size + shift
            if first >= last:
                continue
            fitting = (val_left[:, first:last] & test_left[:, first + shift : last + shift]).sum(axis=0, dtype=np.int16)
            for count in range(int(fitting.max()), 0, -1):
                if least[count - 1] >= best[0]:
                    break
                # of the sizes that as many rows fit, the smallest is the least likely by chance
                at = first + int(np.argmax(fitting == count))
                if fitting[at - first] == count:
                    by_chance = _share(sizes[at]) * _share(sizes[at + shift])
                    chance = pairs * float(bdtrc(count - 1, len(left), by_chance))
                    if chance < best[0]:
                        best = (chance, (at, at + shift))
        if best[1] is None:
            break
        at_val, at_test = best[1]
        inside = val[left, at_val] & test[left, at_test]
        groups.append(
            {
                "val_n": int(sizes[at_val]),
                "test_n": int(sizes[at_test]),
                "rows": [int(row) for row in left[inside]],
                "chance": best[0],
            }
        )
        left = left[~inside]
    return groups


def _share(n: int) -> float:
    """The share of the percentages with two decimals that are some k/n."""
    return min(1.0, (n + 1) / 10001)


def _group_of(row: int, groups: list[dict]) -> dict | None:
    return next((group for group in groups if row in group["rows"]), None)


def _candidate_sizes(row: int, test: int, groups: list[dict], sizes: np.ndarray) -> list[int]:
    """Test-set sizes to look for a row's matrix at: its group's, else those of the groups, else all that fit."""
    group = _group_of(row, groups)
    if group:
        return [group["test_n"]]
    if groups:
        return [group["test_n"] for group in groups if test in _of(group["test_n"])]
    return _sizes(_fits([test], sizes)[0], int(sizes[0]))


def _errors(units: np.ndarray, groups: list[dict], n_classes: int, sizes: np.ndarray) -> list[tuple]:
    """(row, what, printed, expected) for each contradiction; `expected` may hold {row} for a row's name."""
    errors = []
    for row, (val, test, precision, recall, f1) in enumerate(units.tolist()):
        group = _group_of(row, groups)
        if group is None:
            errors += [(row, *error) for error in _no_size(val, test, groups, sizes)]
        if recall != test:
            errors.append((row, "weighted recall is not accuracy", recall / 100, test / 100))
        errors += [(row, *error) for error in _bounds(test, precision, recall, f1)]
        if n_classes == 2 and recall == test:
            candidates = _candidate_sizes(row, test, groups, sizes)
            if candidates and not any(len(_matrices(n, "weighted", test, precision, recall, f1)) for n in candidates):
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
        nearest = max(groups, key=lambda group: (val in _of(group["val_n"])) + (test in _of(group["test_n"])))
        for name, value, n in (("val_accuracy", val, nearest["val_n"]), ("test_accuracy", test, nearest["test_n"])):
            if value not in _of(n):
                expected = f"a fraction of {n}: " + " or ".join(f"{near / 100:.2f}" for near in _nearest(value, n))
                errors.append((f"{name} is no k/n at the size other rows share", value / 100, expected))
        return errors
    for name, value in (("val_accuracy", val), ("test_accuracy", test)):
        if not _fits([value], sizes).any():
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


# ---- fractions ----


def _units(percentages: Sequence[float | str], decimals: int = 2) -> list[int]:
    """Percentages as whole units of their last decimal."""
    units = []
    for percentage in percentages:
        scaled = float(percentage) * 10**decimals
        if not (0 <= scaled <= 100 * 10**decimals and abs(scaled - round(scaled)) < 1e-6):
            raise ValueError(f"{percentage} is no percentage with {decimals} decimals; give one from 0 to 100")
        units.append(round(scaled))
    return units


def _table_units(rows: pd.DataFrame) -> np.ndarray:
    return np.array([_units(rows[column]) for column in VALUES]).T


def _fits(units: Sequence[int], sizes: np.ndarray, decimals: int = 2) -> np.ndarray:
    """bool [units, sizes]: a whole k lies where k/n rounds to the percentage, ties included on both sides."""
    value = np.asarray(units, np.int64)[:, None]
    whole = 200 * 10**decimals  # k/n in half units: whole * k / n lies in 2 * value - 1 .. 2 * value + 1
    lowest = -(-(2 * value - 1) * sizes // whole)
    highest = (2 * value + 1) * sizes // whole
    return np.maximum(lowest, 0) <= np.minimum(highest, sizes)


def _correct(unit: int, n: int) -> range:
    """Every k for which k/n rounds to `unit` hundredths of a per cent."""
    return range(max(0, -(-(2 * unit - 1) * n // 20000)), min(n, (2 * unit + 1) * n // 20000) + 1)


@lru_cache(maxsize=4096)
def _of(n: int) -> frozenset[int]:
    """The hundredths of a per cent that some k/n rounds to, ties to both sides."""
    k = np.arange(n + 1)
    return frozenset(np.floor(10000 * k / n + 0.5).astype(int)) | frozenset(np.ceil(10000 * k / n - 0.5).astype(int))


def _nearest(unit: int, n: int) -> list[int]:
    """The fractions of n next to a percentage that is none, below and above."""
    below = [value for value in _of(n) if value < unit]
    above = [value for value in _of(n) if value > unit]
    return [int(value) for value in ([max(below)] if below else []) + ([min(above)] if above else [])]


def _sizes(fits: np.ndarray, min_n: int) -> list[int]:
    return [int(n) for n in np.flatnonzero(fits) + min_n]


def _one_digit_changes(unit: int) -> list[int]:
    """Every number that differs from a percentage such as 84.91 in one of its four digits."""
    digits = f"{unit:04d}"
    return [
        int(digits[:place] + new + digits[place + 1 :])
        for place in range(len(digits))
        for new in "0123456789"
        if new != digits[place] and int(digits[:place] + new + digits[place + 1 :]) <= 10000
    ]


# ---- 2x2 confusion matrices ----


@lru_cache(maxsize=4096)
def _matrices(n: int, average: str, accuracy: int, *printed: int) -> np.ndarray:
    """`binary_matrices` of values in hundredths of a per cent; the array is shared and must not be changed.

    A class that is never predicted has precision 0 and F1 0, as scikit-learn has it by default.
    """
    found = [np.empty((0, 2, 2), int)]
    for correct in _correct(accuracy, n):
        # all ways to split the hits and the misses between the classes: int [hits of the first, misses of the first]
        hit, miss = np.arange(correct + 1)[:, None], np.arange(n - correct + 1)[None, :]
        hits, misses = np.array([hit, correct - hit]), np.array([miss, n - correct - miss])
        # precision leaves few; recall and F1 are looked at for these only
        precision = _average(average, n, *((h / np.maximum(h + m, 1), h + o) for h, o, m in _paired(hits, misses)))
        first, second = np.nonzero(_rounds_to(precision, printed[0]))
        hits, misses = hits[:, first, 0], misses[:, 0, second]
        both = (hits + misses > 0).all(axis=0)  # both classes are present
        hits, misses = hits[:, both], misses[:, both]
        recall = _average(average, n, *((h / (h + o), h + o) for h, o, _ in _paired(hits, misses)))
        f1 = _average(average, n, *((2 * h / (2 * h + o + m), h + o) for h, o, m in _paired(hits, misses)))
        agree = _rounds_to(recall, printed[1]) & _rounds_to(f1, printed[2])
        found.append(np.array([[hits[0], misses[0]], [misses[1], hits[1]]])[:, :, agree].transpose(2, 0, 1))
    return np.concatenate(found)


def _paired(hits: np.ndarray, misses: np.ndarray):
    """For each class: its hits, its misses, and the other class's misses, which are its false positives."""
    return zip(hits, misses, misses[::-1])


def _average(average: str, n: int, first: tuple, second: tuple) -> np.ndarray:
    """Two classes' (score, support) as one score in per cent."""
    if average == "weighted":
        return 100 * (first[0] * first[1] + second[0] * second[1]) / n
    return 50 * (first[0] + second[0]) if average == "macro" else 100 * second[0]


def _rounds_to(percentage: np.ndarray, unit: int) -> np.ndarray:
    return np.abs(percentage - unit / 100) <= 0.005 + TOLERANCE


def _matrices_of(units: np.ndarray, candidates: list[int], examples: int = 3) -> dict:
    """How many 2x2 matrices give a row at its candidate sizes, a few of them, and the count by other averages."""
    values = units[1:].tolist()
    found = [matrix.tolist() for n in candidates for matrix in _matrices(n, "weighted", *values)]
    counts = {average: sum(len(_matrices(n, average, *values)) for n in candidates) for average in AVERAGES}
    return {"confusion_matrices": len(found), "matrices_by_average": counts, "examples": found[:examples]}


def _shared_supports(units: np.ndarray, group: dict) -> list[int]:
    """Images of the rarer class that the matrices of every row of a group allow: its rows share one test set."""
    supports = [
        {int(support) for support in binary_matrices(group["test_n"], *(units[row, 1:] / 100)).sum(axis=2).min(axis=1)}
        for row in group["rows"]
    ]
    # a row that no matrix gives is an error of its own and must not hide what the others share
    return sorted(set.intersection(*filter(None, supports))) if any(supports) else []


# ---- across tables, and the text ----


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


def _check(entry: dict, cells: pd.DataFrame, classes: dict[str, int], literature, proposed: str) -> tuple:
    """(what, printed, expected, whether it holds) for one statement."""
    kind, value = entry["kind"], entry["value"]
    if kind in ("not_in_tables", "omitted"):
        return kind, value, value, True
    if kind == "literature":
        return _check_literature(entry, literature)
    cell = _cell(cells, entry)
    about = f"{entry['column']} of {entry['row']} ({entry['phase']}, Table {entry['table']})"
    if kind == "value":
        others = [name for name in VALUES if abs(_cell(cells, entry | {"column": name}) - float(value)) < 1e-6]
        hint = f"; the number is the row's {' and '.join(others)}" if others else ""
        return f"number given for {about}{hint}", float(value), cell, abs(cell - float(value)) < 1e-6
    if kind == "rank":
        column = cells.loc[(entry["table"], entry["phase"]), entry["column"]]
        rank = 1 + int((column > cell).sum())
        return f"rank of {about}", int(value), rank, rank == int(value)
    if kind == "table_number":
        return f"table named for {about}", int(value), int(entry["table"]), value == entry["table"]
    if kind == "best_in_literature":
        rivals = literature[(literature["classes"].astype(int) == classes[entry["table"]])]
        rivals = rivals.loc[~rivals["ref"].str.startswith("Proposed"), "accuracy"].astype(float)
        highest = float(rivals.max()) if len(rivals) else 0.0
        return f"{about} above the works of Table V with as many classes", cell, f"> {highest}", cell > highest
    increase = _increase(cells, entry)
    if kind == "increase":
        return f"increase in {about}, points", float(value), increase, abs(increase - float(value)) < 1e-6
    if kind == "rises":
        return f"said to rise by fine-tuning: {about}, points", "> 0", increase, increase > 0
    if kind == "increase_below_proposed":
        limit = _increase(cells, entry | {"row": proposed})
        return f"increase in {about} called smaller than {proposed}'s, points", f"< {limit}", increase, increase < limit
    raise ValueError(
        f"text entry {entry['quote']!r}: no kind {kind!r}; see lib.audit.printed_tables.text_errors for the kinds"
    )


def _check_literature(entry: dict, literature: pd.DataFrame | None) -> tuple:
    """A statement about another work against its row of Table V; a cell left empty there contradicts nothing."""
    column, value = entry["column"], entry["value"]
    what = f"{column} of {entry['row']} against Table V"
    if literature is None:
        return what, value, value, True
    rows = literature[literature["ref"].str.startswith(entry["row"])]
    if len(rows) != 1 or column not in rows:
        raise KeyError(f"{entry['row']}, {column} in Table V")
    printed = rows.iloc[0][column]
    if column == "ref":
        printed = printed.rpartition("[")[2].rstrip("]")
    return what, value, printed, printed == "" or float(printed) == float(value)


def _cell(cells: pd.DataFrame, entry: dict) -> float:
    return float(cells.loc[(entry["table"], entry["phase"], entry["row"]), entry["column"]])


def _increase(cells: pd.DataFrame, entry: dict) -> float:
    """Fine-tuned less transfer, in points."""
    return round(_cell(cells, entry | {"phase": "finetune"}) - _cell(cells, entry | {"phase": "transfer"}), 2)
