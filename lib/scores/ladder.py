"""The ladder from the printed accuracy to the honest one: every rung changes one thing.

Neighbouring rungs are scored on the same images as far as both have them, so a step is a paired difference. Accuracies
pool the predictions of all folds: with ten folds every view is tested once. Intervals are those of
lib.scores.resampling.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.paper import printed_rows, scenarios
from lib.config.params import PHASES
from lib.config.paths import StudyPaths
from lib.data.predictions import out_of_fold, predicted_class, read_not_evaluable
from lib.scores.resampling import (
    RESAMPLES,
    Estimate,
    difference_of_independent,
    mean_estimate,
    proportion_estimate,
    resampled_means,
    step_estimate,
    wilson,
)


@dataclass(frozen=True)
class Rung:
    """What is trained and how it is scored; `step` says what the step to this rung changes."""

    name: str
    protocol: str
    scored_on: Literal["views", "originals", "external images"]
    labels: Literal["as filed", "corrected"]
    step: str


RUNGS = (
    Rung("by view", "by_view", "views", "as filed", "our run against the print"),
    Rung("by lesion", "by_lesion", "views", "as filed", "no view, duplicate or lesion on both sides of the split"),
    Rung("originals", "by_lesion", "originals", "as filed", "tested on the pictures themselves, as often as they come"),
    Rung("corrected labels", "by_lesion", "originals", "corrected", "scored by corrected labels"),
    Rung("clean", "clean", "originals", "corrected", "trained on corrected labels"),
)
CELL = ["scenario", "backbone", "phase", "preprocessing", "variant"]
COLUMNS = [*CELL, "rung", "accuracy", "low", "high", "images", "groups", "folds", "step", "step_low", "step_high"]


def ladder(
    paths: StudyPaths,
    cells: Iterable[dict[str, str]],
    seeds: list[int],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """The rungs of every cell that was trained.

    Args:
        cells: preprocessing, scenario and backbone of each.
        seeds: those of the study.
        resamples, seed: of the intervals.

    Returns:
        COLUMNS, fractions of 1, a row a rung; `step` is the difference to the rung before, low and high 95 %
        intervals. The rung `printed` has the printed number, where the paper has the cell. A rung that was not
        trained is left out, and the step after it is missing.
    """
    tables = [ladder_of_cell(paths, cell, phase, seeds, resamples, seed) for cell in cells for phase in PHASES]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def without_print(table: pd.DataFrame) -> pd.DataFrame:
    """A ladder without the printed rung and the step from it, which synthetic images cannot be compared with."""
    own = table[table["rung"] != "printed"].copy()
    own.loc[own["rung"] == RUNGS[0].name, ["step", "step_low", "step_high"]] = np.nan
    return own


def ladder_of_cell(
    paths: StudyPaths, cell: dict[str, str], phase: str, seeds: list[int], resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """The rungs of one cell (preprocessing, scenario, backbone) and phase; no row where nothing was trained."""
    tested = {rung.name: rung_correctness(paths, rung, cell, phase, seeds) for rung in RUNGS}
    tested = {name: table for name, table in tested.items() if len(table)}
    if not tested:
        return pd.DataFrame(columns=COLUMNS)
    printed = printed_accuracy(paths, cell["scenario"], phase, cell["backbone"])
    rows = [{"rung": "printed", "accuracy": printed.value}] if printed else []
    joined = pd.concat([table.assign(rung=name) for name, table in tested.items()])
    values = joined.pivot_table(index="row", columns="rung", values="correct")[list(tested)]
    groups = joined.groupby("row")["group"].first().loc[values.index].to_numpy()
    means = dict(zip(tested, resampled_means(values.to_numpy(), groups, resamples, seed).T))
    before = None
    for rung in (rung for rung in RUNGS if rung.name in tested):
        table = tested[rung.name]
        folds = fold_means(table)
        ours = proportion_estimate(table["correct"].to_numpy(), table["group"].to_numpy(), folds, resamples, seed)
        row = {"rung": rung.name, "accuracy": ours.value, "low": ours.low, "high": ours.high}
        row |= {"images": len(table), "groups": table["group"].nunique(), "folds": len(folds)}
        step = None
        if rung.name == "by view" and printed:
            step = difference_of_independent(ours, printed)
        elif before is not None and RUNGS.index(before) == RUNGS.index(rung) - 1:
            step = _step(before, rung, tested, means)
        if step:
            row |= {"step": step.value, "step_low": step.low, "step_high": step.high}
        rows.append(row)
        before = rung
    return pd.DataFrame(rows, columns=COLUMNS).assign(**cell, phase=phase, variant=paths.variant)


def rung_correctness(paths: StudyPaths, rung: Rung, cell: dict[str, str], phase: str, seeds: list[int]) -> pd.DataFrame:
    """Which tested views are right: row, group, fold, correct (0..1, the share of seeds that are right)."""
    originals = rung.scored_on == "originals"
    frame = out_of_fold(paths, rung.protocol, **cell, phase=phase, seeds=seeds, originals=originals)
    if frame.empty:
        return pd.DataFrame(columns=["row", "group", "fold", "correct"])
    if rung.labels == "corrected" and rung.protocol != "clean":
        frame = with_labels_that_hold(paths, frame, cell["scenario"])
    right = frame.assign(correct=(predicted_class(frame) == frame["true_class"].to_numpy()).astype(float))
    return right.groupby("row", as_index=False).agg(
        group=("group", "first"), fold=("fold", "first"), correct=("correct", "mean")
    )


def with_labels_that_hold(paths: StudyPaths, frame: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """Predictions with the true class that `clean` gives; what it drops, or moves out of the scenario, is left out."""
    if not paths.protocol("clean").is_file():
        return frame.iloc[:0]
    clean = pd.read_parquet(paths.protocol("clean")).set_index("row")["class"]
    truth = frame["row"].map(clean).map(scenarios()[scenario].label_of())
    kept = truth.notna() & ~truth.isin(read_not_evaluable(paths, "clean", scenario))
    return frame.assign(true_class=truth)[kept]


def fold_means(table: pd.DataFrame) -> np.ndarray:
    """The accuracy of each fold [folds], by fold."""
    return table.groupby("fold")["correct"].mean().to_numpy()


def printed_accuracy(paths: StudyPaths, scenario: str, phase: str, backbone: str) -> Estimate | None:
    """The printed test accuracy, a fraction of 1, with Wilson's interval at the size that the audit infers.

    None where the paper has no such row."""
    number = scenarios()[scenario].table
    rows = printed_rows()
    row = rows[(rows["table"] == number) & (rows["phase"] == phase) & (rows["backbone"] == backbone)]
    if row.empty:
        return None
    audit = ((read_json(paths.printed_audit) or {}).get("tables") or {}).get(str(number)) or {}
    size = min(audit.get("test_n") or [0])
    for entry in audit.get("rows") or []:
        if (entry.get("phase"), entry.get("backbone")) == (phase, backbone):
            size = entry.get("inferred_test_n") or size
    return wilson(float(row["test_accuracy"].iloc[0]) / 100, size)


def _step(before: Rung, rung: Rung, tested: dict[str, pd.DataFrame], means: dict[str, np.ndarray]) -> Estimate:
    first, second = tested[before.name], tested[rung.name]
    value = float(second["correct"].mean() - first["correct"].mean())
    resampled = means[rung.name] - means[before.name]
    if before.protocol == "by_view":  # its tenths are others, so only the images are paired
        sides = [(means[name], fold_means(tested[name])) for name in (before.name, rung.name)]
        return step_estimate(value, resampled, sides)
    paired = (second.groupby("fold")["correct"].mean() - first.groupby("fold")["correct"].mean()).dropna()
    return mean_estimate(value, resampled, paired.to_numpy())
