"""The printed scores with the sampling error of the test set that the audit infers for them."""

from typing import Any

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import DEFAULT_VARIANT
from lib.config.printed import printed_rows
from lib.scores.resampling import LEVEL, Estimate, wilson


def printed_accuracy(audit: dict[str, Any], scenario: str, phase: str, backbone: str) -> Estimate | None:
    """The printed test accuracy, a fraction of 1, with Wilson's interval; None where the paper has no such row.

    Args:
        audit: audit/printed.json; empty without one, then the number stands alone.
    """
    table = scenarios()[scenario].table
    rows = printed_rows().query("table == @table and phase == @phase and backbone == @backbone")
    if rows.empty:
        return None
    return wilson(float(rows["test_accuracy"].iloc[0]) / 100, printed_size(audit, table, phase, backbone), LEVEL)


def other_weights(study: Study, backbone: str, variant: str = DEFAULT_VARIANT) -> str:
    """Why runs of a backbone test no printed number: their weights are not ImageNet's; empty if they are."""
    weights = study.variants.get(variant, {}).get("weights", study.weights)
    note = "random weights" if weights == "none" else study.weights_note.get(backbone, "")
    return note and f"{backbone} has other weights than ImageNet's: {note}"


def printed_size(audit: dict[str, Any], table: int, phase: str, backbone: str, part: str = "test") -> int:
    """The size that the audit infers for a row's test or validation set, else the smallest that fits the whole table;
    0 where it was not audited."""
    sizes = audited_table(audit, table).get(f"{part}_n") or [0]
    return audited_row(audit, table, phase, backbone).get(f"inferred_{part}_n") or min(sizes)


def audited_table(audit: dict[str, Any], table: int) -> dict[str, Any]:
    """The audit of one printed table; empty where there is none."""
    return (audit.get("tables") or {}).get(str(table)) or {}


def audited_row(audit: dict[str, Any], table: int, phase: str, backbone: str) -> dict[str, Any]:
    """The audit of one printed row; empty where there is none."""
    for row in audited_table(audit, table).get("rows") or []:
        if (row.get("phase"), row.get("backbone")) == (phase, backbone):
            return row
    return {}
