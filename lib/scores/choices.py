"""Does any choice that the paper leaves open reach its numbers? (Steegen et al. 2016, the multiverse analysis)"""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import f

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.scores.estimates import estimate
from lib.scores.outcomes import read_outcomes, select
from lib.scores.printed import other_weights

PROTOCOLS = ("by_view", "by_file")  # the two orders of augmentation and split: both fit the printed test sets
CHOICE = ["protocol", "preprocessing", "variant"]  # a choice: an order, an input range and a variant of the study
MODEL = ["phase", "backbone"]


def compare_choices(tables: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Each choice's repetition interval beside the printed accuracy.

    Args:
        tables: rows of tables/table_1..4.csv under each other, fractions of 1, with `scenario`.

    Returns:
        One row per (phase, backbone, scenario, choice) that is printed and was measured with ImageNet's weights:
        test_accuracy, repetition_low, repetition_high, printed, and `reaches`: the printed number lies in the
        repetition interval.
    """
    columns = [*MODEL, "scenario", *CHOICE, "test_accuracy", "repetition_low", "repetition_high", "printed", "reaches"]
    own = tables[tables["protocol"].isin(PROTOCOLS)].rename(columns={"printed_test_accuracy": "printed"})
    own = _of_imagenet(own.dropna(subset=["test_accuracy", "repetition_low", "repetition_high", "printed"]), study)
    inside = own["printed"].between(own["repetition_low"], own["repetition_high"])
    return own.assign(reaches=inside)[columns].reset_index(drop=True)


def reached_rows(choices: pd.DataFrame) -> pd.DataFrame:
    """For each printed row how many choices reach it, and how many would reach a number that says nothing.

    `expected_by_chance` is the latter: `reached_by_chance`.

    Args:
        choices: what `compare_choices` gives.
    """
    rows = []
    for (phase, backbone, scenario), own in choices.groupby([*MODEL, "scenario"], sort=False):
        reached, intervals = own[own["reaches"]], own[["repetition_low", "repetition_high"]]
        rows.append(
            {"phase": phase, "backbone": backbone, "scenario": scenario, "printed": own["printed"].iloc[0]}
            | {"choices": len(own), "lowest": own["test_accuracy"].min(), "highest": own["test_accuracy"].max()}
            | {"reached": len(reached), "reached_by": "; ".join(choice_name(*c) for c in reached[CHOICE].to_numpy())}
            | {"expected_by_chance": reached_by_chance(intervals.to_numpy(float), scenario)}
        )
    return pd.DataFrame(rows)


def reached_by_chance(intervals: ArrayLike, scenario: str) -> float:
    """How many of these intervals [n, 2] contain a number that says nothing, on average.

    Such a number is drawn evenly between the share right by guessing, 1 / classes, and 1.
    """
    guess = 1 / len(scenarios()[scenario].names)
    return float(np.diff(np.clip(intervals, guess, 1)).sum() / (1 - guess))


def fold_accuracies(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """The accuracy of each fold on all views under every choice, one row per fold and one column per table.

    Returns:
        Fractions of 1 by (protocol, preprocessing, variant, phase, backbone, fold), of runs with ImageNet's weights.
        Where a variant leaves a table out, it has that of the study's own settings.
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
    runs = _of_imagenet(rows, study).pivot_table(index=keys, columns="table", values="accuracy", sort=False)
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


def _of_imagenet(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows whose backbone had ImageNet's weights: others test no printed number."""
    models = rows[["backbone", "variant"]].itertuples(index=False, name=None)
    return rows[~np.array([bool(other_weights(study, *model)) for model in models], bool)]
