"""Does any choice that the paper leaves open reach its numbers? (Steegen et al. 2016, the multiverse analysis)"""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import f

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.scores.estimates import estimate
from lib.scores.outcomes import read_outcomes, select

PROTOCOLS = ("by_view", "by_file")  # the two orders of augmentation and split: both fit the printed test sets
CHOICE = ["protocol", "preprocessing", "variant"]  # a choice: an order, an input range and a variant of the study
MODEL = ["phase", "backbone"]


def compare_choices(tables: pd.DataFrame) -> pd.DataFrame:
    """Each choice's repetition interval beside the printed accuracy.

    Args:
        tables: rows of tables/table_1..4.csv under each other, fractions of 1, with `scenario`.

    Returns:
        One row per (phase, backbone, scenario, choice) that was measured and is printed: test_accuracy, repetition_low,
        repetition_high, printed, and `reaches`: the printed number lies in the repetition interval.
    """
    columns = [*MODEL, "scenario", *CHOICE, "test_accuracy", "repetition_low", "repetition_high", "printed", "reaches"]
    own = tables[tables["protocol"].isin(PROTOCOLS)].rename(columns={"printed_test_accuracy": "printed"})
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


def fold_accuracies(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """The accuracy of each fold on all views under every choice, one row per fold and one column per table.

    Returns:
        Fractions of 1 by (protocol, preprocessing, variant, phase, backbone, fold), without the backbones whose weights
        are not ImageNet's. Where a variant leaves a table out, it has that of the study's own settings.
    """
    found = []
    for cell in study.cells("variant", "preprocessing", "scenario"):
        outcomes = read_outcomes(paths.of_variant(cell["variant"]), cell["preprocessing"], cell["scenario"])
        for protocol in [name for name in PROTOCOLS if name in study.protocols]:
            for (phase, backbone), rows in select(outcomes, protocol, originals=False).groupby(["phase", "backbone"]):
                folds = estimate(rows, resamples=1).runs.mean(axis=1).rename_axis("fold").reset_index(name="accuracy")
                table = scenarios()[cell["scenario"]].table
                found.append(folds.assign(**cell, protocol=protocol, phase=phase, backbone=backbone, table=table))
    keys = [*CHOICE, *MODEL, "fold"]
    rows = pd.concat(found) if found else pd.DataFrame(columns=[*keys, "table", "accuracy"])
    rows = rows[~rows["backbone"].isin(study.weights_note)]
    runs = rows.pivot_table(index=keys, columns="table", values="accuracy", sort=False)
    own = runs_where(runs, variant=DEFAULT_VARIANT).droplevel("variant")
    return runs.fillna(own.reindex(runs.index.droplevel("variant")).set_axis(runs.index))


def runs_where(runs: pd.DataFrame, **values: str) -> pd.DataFrame:
    """The rows of `fold_accuracies` that have these values in their index."""
    return runs[np.logical_and.reduce([runs.index.get_level_values(key) == value for key, value in values.items()])]


def joint_distance(folds: pd.DataFrame, printed: pd.Series) -> tuple[float, float]:
    """How far printed rows lie from one more run: Hotelling's T^2 of a prediction, for all tables together.

    Args:
        folds: one row per fold, one column per table.
        printed: one number per table.

    Returns:
        The root mean square distance of `printed` from the mean of the folds, and p: how likely another run lies as far
        off; NaN with too few folds.
    """
    values = folds.to_numpy(float)
    values = values[~np.isnan(values).any(axis=1)]
    number, tables = values.shape
    if not number:
        return np.nan, np.nan
    away = printed.to_numpy(float) - values.mean(axis=0)
    distance = float(np.sqrt(np.mean(away**2)))
    if number < tables + 2 or np.linalg.matrix_rank(spread := np.atleast_2d(np.cov(values.T))) < tables:
        return distance, np.nan
    squared = away @ np.linalg.solve(spread, away) / (1 + 1 / number)
    return distance, float(f.sf(squared * (number - tables) / (tables * (number - 1)), tables, number - tables))


def split_p(scores: pd.DataFrame, lower: Iterable[str]) -> float:
    """The share of all splits of the networks that part them at least as far as the one with `lower` below.

    A split is the same in all halves, which may depend on each other in any way: with six networks it is at least 1/20.
    """
    means, number = scores.mean(), len([*lower])
    sums = np.array([sum(side) for side in combinations(means, number)])
    return float(np.mean(sums <= means[[*lower]].sum() + 1e-9))


def choice_name(*choice: str) -> str:
    """`by_view, raw, rotation 15`: a choice in words; `by_view, raw` where the study has no variants."""
    *names, variant = choice
    return ", ".join(filter(None, (*names, variant.replace("_", " "))))


def _length_of_union(intervals: np.ndarray) -> float:
    """The length that intervals [n, 2] cover together."""
    length, end = 0.0, -np.inf
    for low, high in intervals[np.argsort(intervals[:, 0])]:
        length += max(0.0, high - max(low, end))
        end = max(end, high)
    return length
