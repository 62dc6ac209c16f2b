"""Does one input range for all backbones bring our accuracies near the printed ones?"""

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr

from lib.config.paper import scenarios


def input_range_hypothesis(tables: pd.DataFrame) -> pd.DataFrame:
    """Does one input range for all backbones bring our accuracies near the printed ones?

    Args:
        tables: rows of tables/table_1..4.csv under each other, fractions of 1, with `table` added (or `scenario`):
            protocol, preprocessing, phase, backbone, test_accuracy, printed_test_accuracy.

    Returns:
        One row per (protocol, phase, table, preprocessing), and one with table "all" for the tables together: rows (how
        many pairs of accuracies), mean_absolute_error and mean_error (ours - printed, points), spearman and kendall
        with their p-values (missing below 3 rows, where an order says nothing), `nearest` (the preprocessing has
        the smallest mean absolute error of those that cover the same rows), `note`.
    """
    columns = ["protocol", "phase", "table", "preprocessing", "rows", "mean_absolute_error", "mean_error"]
    columns += ["spearman", "spearman_p", "kendall", "kendall_p", "nearest", "note"]
    if "table" not in tables and len(tables):
        tables = tables.assign(table=tables["scenario"].map({name: s.table for name, s in scenarios().items()}))
    if len(tables) == 0:
        return pd.DataFrame(columns=columns)
    known = tables.dropna(subset=["test_accuracy", "printed_test_accuracy"])
    both = pd.concat([known.assign(table=known["table"].astype(str)), known.assign(table="all")])
    rows = []
    for (protocol, phase, table), part in both.groupby(["protocol", "phase", "table"], sort=True):
        found = [_agreement(name, own) for name, own in part.groupby("preprocessing")]
        errors = [row["mean_absolute_error"] for row in found]
        comparable = len(found) > 1 and len({row["rows"] for row in found}) == 1
        for row in found:
            nearest = comparable and row["mean_absolute_error"] == min(errors)
            rows.append({"protocol": protocol, "phase": phase, "table": table, **row, "nearest": nearest})
    return pd.DataFrame(rows, columns=columns)


def _agreement(preprocessing: str, rows: pd.DataFrame) -> dict:
    ours, printed = rows["test_accuracy"].to_numpy(float), rows["printed_test_accuracy"].to_numpy(float)
    row = {"preprocessing": preprocessing, "rows": len(rows), "note": ""}
    row |= {"mean_absolute_error": 100 * np.abs(ours - printed).mean(), "mean_error": 100 * (ours - printed).mean()}
    if len(rows) < 3:
        return row | {"note": f"{len(rows)} accuracies: too few for a rank correlation"}
    if len(set(ours)) == 1 or len(set(printed)) == 1:
        return row | {"note": "all accuracies are the same: no rank correlation"}
    for name, test in (("spearman", spearmanr), ("kendall", kendalltau)):
        result = test(ours, printed)
        row |= {name: float(result.statistic), f"{name}_p": float(result.pvalue)}
    return row
