"""Does any choice that the paper leaves open reach its numbers? (Steegen et al. 2016, the multiverse analysis)"""

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr

from lib.config.paper import scenarios

CHOICE = ["preprocessing", "variant"]  # a choice: an input range and a variant of the study
MODEL = ["phase", "backbone"]


def compare_choices(tables: pd.DataFrame, protocol: str = "by_view") -> pd.DataFrame:
    """Each choice's repetition interval beside the printed accuracy.

    Args:
        tables: rows of tables/table_1..4.csv under each other, fractions of 1, with `scenario`.
        protocol: the one that the printed numbers are of.

    Returns:
        One row per (phase, backbone, scenario, choice) that was measured and is printed: test_accuracy, repetition_low,
        repetition_high, printed, and `reaches`: the printed number lies in the repetition interval.
    """
    columns = [*MODEL, "scenario", *CHOICE, "test_accuracy", "repetition_low", "repetition_high", "printed", "reaches"]
    own = tables[tables["protocol"] == protocol].rename(columns={"printed_test_accuracy": "printed"})
    own = own.dropna(subset=["test_accuracy", "repetition_low", "repetition_high", "printed"])
    inside = own["printed"].between(own["repetition_low"], own["repetition_high"])
    return own.assign(reaches=inside)[columns].reset_index(drop=True)


def reached_rows(choices: pd.DataFrame) -> pd.DataFrame:
    """For each printed row how many choices reach it, and how many would reach a number that says nothing.

    Such a number is drawn evenly between the share right by guessing, 1 / classes, and 1. `expected_by_chance` is how
    many of the choices then reach it on average: the widths of their intervals together, over that range.
    `any_by_chance` is how likely at least one does: the length of the intervals' union over it.

    Args:
        choices: what `compare_choices` gives.
    """
    rows = []
    for (phase, backbone, scenario), own in choices.groupby([*MODEL, "scenario"], sort=False):
        guess = 1 / len(scenarios()[scenario].classes)
        intervals = np.clip(own[["repetition_low", "repetition_high"]].to_numpy(float), guess, 1)
        reached = own[own["reaches"]]
        rows.append(
            {"phase": phase, "backbone": backbone, "scenario": scenario, "printed": own["printed"].iloc[0]}
            | {"choices": len(own), "lowest": own["test_accuracy"].min(), "highest": own["test_accuracy"].max()}
            | {"reached": len(reached), "reached_by": "; ".join(choice_name(*c) for c in reached[CHOICE].to_numpy())}
            | {"expected_by_chance": float(np.diff(intervals).sum() / (1 - guess))}
            | {"any_by_chance": _length_of_union(intervals) / (1 - guess)}
        )
    return pd.DataFrame(rows)


def reaching_choices(choices: pd.DataFrame) -> pd.DataFrame:
    """For each phase and backbone and choice the printed rows that it reaches: `tables` measured, `reached`, `which`.

    A choice that reaches every table of a backbone would explain them all at once. Where each table is reached by
    another choice, none does.
    """
    rows = [
        dict(zip([*MODEL, *CHOICE], key))
        | {"tables": len(own), "reached": int(own["reaches"].sum())}
        | {"which": "; ".join(scenarios()[name].title for name in own.loc[own["reaches"], "scenario"])}
        for key, own in choices.groupby([*MODEL, *CHOICE], sort=False)
    ]
    return pd.DataFrame(rows, columns=[*MODEL, *CHOICE, "tables", "reached", "which"])


def input_range_hypothesis(tables: pd.DataFrame) -> pd.DataFrame:
    """Does one input range for all backbones bring our accuracies near the printed ones?

    Args:
        tables: rows of tables/table_1..4.csv under each other, fractions of 1, with `scenario`.

    Returns:
        One row per (protocol, phase, table, preprocessing), and one with table "all" for the tables together: rows (how
        many pairs of accuracies), mean_absolute_error and mean_error (ours - printed, points), spearman and kendall
        with their p-values (missing below 3 rows, where an order says nothing), `nearest` (the preprocessing has
        the smallest mean absolute error of those that cover the same rows), `note`.
    """
    columns = ["protocol", "phase", "table", "preprocessing", "rows", "mean_absolute_error", "mean_error"]
    columns += ["spearman", "spearman_p", "kendall", "kendall_p", "nearest", "note"]
    known = tables.dropna(subset=["test_accuracy", "printed_test_accuracy"])
    numbers = known["scenario"].map({name: str(scenario.table) for name, scenario in scenarios().items()})
    both = pd.concat([known.assign(table=numbers), known.assign(table="all")])
    rows = []
    for (protocol, phase, table), part in both.groupby(["protocol", "phase", "table"], sort=True):
        ranges = [_agreement(name, own) for name, own in part.groupby("preprocessing")]
        errors = [row["mean_absolute_error"] for row in ranges]
        comparable = len(ranges) > 1 and len({row["rows"] for row in ranges}) == 1
        for row in ranges:
            nearest = comparable and row["mean_absolute_error"] == min(errors)
            rows.append({"protocol": protocol, "phase": phase, "table": table, **row, "nearest": nearest})
    return pd.DataFrame(rows, columns=columns)


def choice_name(preprocessing: str, variant: str) -> str:
    """`raw, rotation 15`: a choice in words; `raw` where the study has no variants."""
    return ", ".join(filter(None, (preprocessing, variant.replace("_", " "))))


def _agreement(preprocessing: str, rows: pd.DataFrame) -> dict:
    ours, printed = rows["test_accuracy"].to_numpy(float), rows["printed_test_accuracy"].to_numpy(float)
    row = {"preprocessing": preprocessing, "rows": len(rows), "note": ""}
    row |= {"mean_absolute_error": 100 * np.abs(ours - printed).mean(), "mean_error": 100 * (ours - printed).mean()}
    if len(rows) < 3 or 1 in (len(set(ours)), len(set(printed))):
        why = "too few" if len(rows) < 3 else "all accuracies are the same"
        return row | {"note": f"no rank correlation of {len(rows)} accuracies: {why}"}
    for name, test in (("spearman", spearmanr), ("kendall", kendalltau)):
        result = test(ours, printed)
        row |= {name: float(result.statistic), f"{name}_p": float(result.pvalue)}
    return row


def _length_of_union(intervals: np.ndarray) -> float:
    """The length that intervals [n, 2] cover together."""
    length, end = 0.0, -np.inf
    for low, high in intervals[np.argsort(intervals[:, 0])]:
        length += max(0.0, high - max(low, end))
        end = max(end, high)
    return length
