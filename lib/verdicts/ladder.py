"""The way from the printed accuracy to the honest one, step by step, with intervals that respect groups.

Images of one lesion, duplicates and views of one image are not independent. Every interval here resamples whole
groups (the cluster bootstrap: Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8);
where each image is its own group this is the ordinary bootstrap.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr
from statsmodels.stats.proportion import proportion_confint

from lib.config import PHASES, PROTOCOLS, Study, StudyPaths, published, scenarios
from lib.data import predicted_class, read_predictions, without

LEVEL = 0.95
RESAMPLES = 2000
STEPS = {  # column -> (from, to, what the step changes)
    "reproduction": ("printed", "published", "our run with the leak against the print"),
    "leakage": (
        "published",
        "grouped",
        "no lesion, duplicate or view on both sides; the test images no longer augmented and balanced",
    ),
    "labels": (
        "grouped",
        "clean",
        "labels that contradict each other or the diagnosis put right or dropped; another draw of the split",
    ),
}


def decomposition(paths: StudyPaths, study: Study, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """The accuracies on the way and the part of each step, a row a (scenario, backbone, phase, preprocessing).

    Accuracies and steps are fractions of 1, each with `_low` and `_high` (95 %, groups resampled; several seeds are
    averaged image by image). `reproduction`, `leakage` and `labels` are the differences of STEPS; one that needs a
    protocol that was not run is missing, and `residual` is then what the known steps leave of `total`
    (last protocol run, minus printed). `not_run` names the missing protocols; rows without any are left out.

    Returns:
        Columns: scenario, table, backbone, phase, preprocessing, seeds, printed, then for each protocol p of
        `published`, `grouped`, `clean`: p, p_low, p_high, p_images, p_groups; each step s: s, s_low, s_high;
        total, residual, not_run.
    """
    print_ = published().set_index(["table", "phase", "backbone"])["test_accuracy"] / 100
    rows = []
    for cell in study.cells("preprocessing", "scenario", "backbone"):
        table = scenarios()[cell["scenario"]].table
        for phase in PHASES:
            runs = {
                protocol: image_correctness(predictions(paths, protocol, **cell, phase=phase, seeds=study.seeds))
                for protocol in PROTOCOLS
            }
            if any(len(run) for run in runs.values()):
                seeds = max(int(run["seeds"].max()) for run in runs.values() if len(run))
                row = {"scenario": cell["scenario"], "table": table, "backbone": cell["backbone"], "phase": phase}
                row |= {"preprocessing": cell["preprocessing"], "seeds": seeds}
                printed = float(print_.get((table, phase, cell["backbone"]), np.nan))  # nan: not one of the paper's
                rows.append(row | _steps(printed, runs, resamples, seed))
    return pd.DataFrame(rows, columns=_columns())


def predictions(
    paths: StudyPaths,
    protocol: str,
    preprocessing: str,
    scenario: str,
    backbone: str,
    phase: str,
    seeds: Sequence[int],
    part: str = "test",
) -> pd.DataFrame:
    """The saved predictions of a cell for one part, its seeds under each other in column `seed`.

    Test images of a class that is not evaluable (prepared/<protocol>/not_evaluable.csv) are left out, as they are
    in the tables.

    Returns:
        seed, source, image_id, group, view, part, true_class, then a column a class; empty where none was saved.
    """
    frames = []
    for seed in seeds:
        frame = read_predictions(paths.run(protocol, preprocessing, scenario, backbone, seed), phase)
        if frame is not None:
            frames.append(frame[frame["part"] == part].assign(seed=seed))
    if not frames:
        return pd.DataFrame(columns=["seed"])
    frame = without(pd.concat(frames, ignore_index=True), _not_evaluable(paths, protocol, scenario))
    return frame[["seed", *frame.columns.drop("seed")]]


def image_correctness(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a test image and view: source, view, group, seeds, correct (0..1, the share of seeds that are right)."""
    if frame.empty:
        return pd.DataFrame(columns=["source", "view", "group", "seeds", "correct"])
    predicted = predicted_class(frame)
    right = frame.assign(correct=(predicted == frame["true_class"].to_numpy()).astype(float))
    return right.groupby(["source", "view"], as_index=False).agg(
        group=("group", "first"), seeds=("seed", "nunique"), correct=("correct", "mean")
    )


def group_weights(groups: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """How often each group is drawn in each resample.

    Returns:
        weights float64 [resamples, number of groups], each row adding up to the number of groups; and the number
        of each image's group, int [n].
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    return _draws(len(names), resamples, seed), codes


def resampled_means(values: np.ndarray, groups: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Means of each column over resampled groups; all columns see the same resamples, so differences are paired.

    Args:
        values: float [n] or [n, k]; NaN where an image is not in that column's test set.
        groups: [n].

    Returns:
        float [resamples, k]; NaN where a resample has no image of a column.
    """
    values = np.asarray(values, float).reshape(len(groups), -1)
    weights, codes = group_weights(groups, resamples, seed)
    known = ~np.isnan(values)
    sums, counts = np.zeros((2, weights.shape[1], values.shape[1]))
    np.add.at(sums, codes, np.where(known, values, 0))
    np.add.at(counts, codes, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ sums) / (weights @ counts)


def group_interval(
    values: np.ndarray, groups: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean of `values` [n] over resampled groups.

    Values that are all 0 or all 1 leave the bootstrap nothing to vary: then Wilson's interval with a group as one
    image, which is never too narrow.
    """
    values = np.asarray(values, float)
    if len(values) == 0:
        return float("nan"), float("nan")
    if np.all(values == values[0]) and values[0] in (0.0, 1.0):
        size = len(np.unique(groups))
        low, high = proportion_confint(values[0] * size, size, alpha=1 - level, method="wilson")
        return float(low), float(high)
    return percentile_interval(resampled_means(values, groups, resamples, seed)[:, 0], level)


def percentile_interval(resampled: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The central `level` of resampled values [resamples]."""
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference_interval(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """first - second of two independent estimates (value, low, high), with its interval.

    Newcombe's square-and-add of the two intervals (Statistics in Medicine 17:873, 1998), which with Wilson's
    intervals is his hybrid score interval.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    difference = a - b
    return difference, difference - np.hypot(a - a_low, b_high - b), difference + np.hypot(a_high - a, b - b_low)


def input_range_hypothesis(tables: pd.DataFrame) -> pd.DataFrame:
    """Does one input range for all backbones bring our accuracies near the printed ones?

    Args:
        tables: rows of tables/table_1..4.csv under each other, fractions of 1, with `table` added (or `scenario`):
            protocol, preprocessing, phase, backbone, test_accuracy, published_test_accuracy.

    Returns:
        A row a (protocol, phase, table, preprocessing), and one with table "all" for the tables together: rows (how
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
    known = tables.dropna(subset=["test_accuracy", "published_test_accuracy"])
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


@lru_cache(maxsize=4)  # the same few test sets are resampled for every measure
def _draws(groups: int, resamples: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(groups, size=(resamples, groups))
    cells = drawn + groups * np.arange(resamples)[:, None]
    weights = np.bincount(cells.ravel(), minlength=resamples * groups).reshape(resamples, groups).astype(float)
    weights.flags.writeable = False
    return weights


def _not_evaluable(paths: StudyPaths, protocol: str, scenario: str) -> list[str]:
    file = paths.prepared(protocol) / "not_evaluable.csv"
    if not file.is_file():
        return []
    table = pd.read_csv(file)
    return list(table.loc[table["scenario"] == scenario, "class"])


def _agreement(preprocessing: str, rows: pd.DataFrame) -> dict:
    ours, printed = rows["test_accuracy"].to_numpy(float), rows["published_test_accuracy"].to_numpy(float)
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


def _steps(printed: float, runs: dict[str, pd.DataFrame], resamples: int, seed: int) -> dict:
    """One row's accuracies, steps and intervals; one resampling over the groups of all protocols together."""
    run = {protocol: frame for protocol, frame in runs.items() if len(frame)}
    values = pd.concat([frame.assign(**{name: frame["correct"]})[["group", name]] for name, frame in run.items()])
    means = resampled_means(values[list(run)].to_numpy(float), values["group"].to_numpy(), resamples, seed)
    resampled = dict(zip(run, means.T)) | {"printed": np.full(resamples, printed)}
    accuracy = {name: float(frame["correct"].mean()) for name, frame in run.items()} | {"printed": printed}
    row = {"printed": printed, "not_run": ", ".join(name for name in runs if name not in run)}
    for name, frame in run.items():
        low, high = group_interval(frame["correct"].to_numpy(), frame["group"].to_numpy(), LEVEL, resamples, seed)
        row |= {name: accuracy[name], f"{name}_low": low, f"{name}_high": high}
        row |= {f"{name}_images": len(frame), f"{name}_groups": frame["group"].nunique()}
    explained = 0.0
    for step, (start, end, _) in STEPS.items():
        if start in accuracy and end in accuracy:
            row[step] = accuracy[end] - accuracy[start]
            row[f"{step}_low"], row[f"{step}_high"] = percentile_interval(resampled[end] - resampled[start])
            explained += row[step]
    row["total"] = accuracy[list(run)[-1]] - printed
    return row | {"residual": row["total"] - explained}


def _columns() -> list[str]:
    columns = ["scenario", "table", "backbone", "phase", "preprocessing", "seeds", "printed"]
    for protocol in PROTOCOLS:
        columns += [protocol, *(f"{protocol}_{what}" for what in ("low", "high", "images", "groups"))]
    for step in STEPS:
        columns += [step, f"{step}_low", f"{step}_high"]
    return [*columns, "total", "residual", "not_run"]
