"""What accuracy does not say: calibration, operating points, decision curves.

Everything is a query of the outcomes, under `clean` on the originals unless another protocol is named: with ten folds
each image is scored once, by a model that was trained on no image of its group. Intervals are those of
lib.scores.resampling for a new data set of this size. Where a study has several seeds a measure is the mean of the
seeds'. Areas and curves pool the folds' probabilities, and with them the differences in scale between folds.
"""

from collections.abc import Callable
from dataclasses import astuple
from functools import partial

import numpy as np
import pandas as pd

from lib.config.paper import MALIGNANT
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.scores.comparisons import CELL, compare_backbones, seed_spread
from lib.scores.outcomes import class_columns, read_outcomes, select
from lib.scores.resampling import LEVEL, RESAMPLES, Estimate, group_weights, mean_estimate

BINS = 15  # of equal width, as in Guo et al., On calibration of modern neural networks, ICML 2017
SPECIFICITIES = (0.90, 0.95)
THRESHOLDS = np.arange(1, 61) / 100  # of the probability of malignancy at which one would act


def tables(paths: StudyPaths, study: Study, protocol: str = "clean") -> dict[str, pd.DataFrame]:
    """Every table beyond accuracy by name: calibration, malignant, class_auc, seeds, comparisons.

    A table whose runs are missing is empty, with the reason in `.attrs["not_tested"]`.
    """
    cells = select_cells(paths, study, protocol)
    made = {
        "calibration": calibration(cells),
        "malignant": malignant(cells),
        "class_auc": class_auc(cells),
        "seeds": seed_spread(cells),
        "comparisons": compare_backbones(cells),
    }
    for table in made.values():
        if table.empty:
            table.attrs.setdefault("not_tested", f"no predictions under {protocol} that allow it")
    return made


def select_cells(paths: StudyPaths, study: Study, protocol: str = "clean") -> dict[tuple[str, ...], pd.DataFrame]:
    """(scenario, backbone, phase) -> the outcomes of all folds and seeds at the study's first preprocessing, of the
    cells that were run."""
    cells = {}
    for scenario in study.scenarios:
        rows = select(read_outcomes(paths, study.preprocessings[0], scenario), protocol)
        models = sorted(rows.groupby(["backbone", "phase"], sort=False), key=lambda m: study.backbones.index(m[0][0]))
        cells |= {(scenario, *model): outcomes for model, outcomes in models}
    return cells


def calibration(cells: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """Expected calibration error of each cell, and what chance alone would give.

    Returns:
        scenario, backbone, phase, images, accuracy, confidence (mean probability of the predicted class), ece,
        ece_low, ece_high, ece_if_calibrated (mean over outcomes drawn with the stated probabilities: the error of a
        perfectly calibrated model on as many images), p_value (share of those draws with an error as large).
    """
    rows = []
    for key, frame in cells.items():
        confidence, correct = top_confidence(frame)
        row = dict(zip(CELL, key)) | {"images": _images(frame), "accuracy": correct.mean()}
        row |= _interval_of("ece", frame, lambda part, weights: _ece(*top_confidence(part), weights))
        chance = _ece_if_calibrated(frame)
        p_value = (1 + (chance >= row["ece"]).sum()) / (1 + len(chance))
        rows.append(row | {"confidence": confidence.mean(), "ece_if_calibrated": chance.mean(), "p_value": p_value})
    columns = [*CELL, "images", "accuracy", "confidence", "ece", "ece_low", "ece_high", "ece_if_calibrated", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def reliability(frame: pd.DataFrame) -> pd.DataFrame:
    """The reliability diagram of a cell: low, high (of the bin), images, confidence, accuracy; without empty bins."""
    confidence, correct = top_confidence(frame)
    bins = pd.DataFrame({"bin": _bin(confidence), "confidence": confidence, "accuracy": correct}).groupby("bin")
    table = bins.mean().assign(images=bins.size()).reset_index()
    table = table.assign(low=table["bin"] / BINS, high=(table["bin"] + 1) / BINS)
    return table[["low", "high", "images", "confidence", "accuracy"]]


def top_confidence(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the predicted class, and whether it was right (0 or 1), both float [n]."""
    return frame[class_columns(frame)].to_numpy(float).max(axis=1), frame["correct"].to_numpy(float)


def malignancy(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether each image is malignant (bool [n]) and the probability given to that (float [n]).

    From `benign_malignant` as predicted, from `nine_classes` the sum over the malignant classes; None where a
    scenario holds only one side.
    """
    classes = class_columns(frame)
    malignant_classes = ["malignant"] if "malignant" in classes else [name for name in classes if name in MALIGNANT]
    truth = frame["truth"].isin(malignant_classes).to_numpy()
    if truth.all() or not truth.any():
        return None
    return truth, frame[malignant_classes].to_numpy(float).sum(axis=1)


def malignant(cells: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """Malignant against benign, of each cell that has both.

    Returns:
        scenario, backbone, phase, images, malignant (images), auc, auc_low, auc_high, and for each specificity, as
        in 90: sensitivity_at_90, sensitivity_at_90_low, sensitivity_at_90_high. The threshold is the one that gives
        the highest sensitivity at that specificity on the test images themselves, so this is what the ranking
        allows, not what a threshold fixed beforehand would reach; resamples choose theirs anew.
    """
    measures = {"auc": _auc}
    measures |= {f"sensitivity_at_{100 * s:g}": partial(_sensitivity, specificity=s) for s in SPECIFICITIES}
    rows = []
    for key, frame in cells.items():
        sides = malignancy(frame)
        if sides is None:
            continue
        row = dict(zip(CELL, key)) | {"images": _images(frame), "malignant": _images(frame[sides[0]])}
        for name, measure in measures.items():
            row |= _interval_of(name, frame, lambda part, weights, of=measure: of(*malignancy(part), weights))
        rows.append(row)
    ends = [f"{name}{end}" for name in measures for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*CELL, "images", "malignant", *ends])


def decision_curve(frame: pd.DataFrame) -> pd.DataFrame:
    """Net benefit of acting on the model, on everyone and on no one (Vickers & Elkin, Medical Decision Making 2006).

    Net benefit = TP/n - FP/n * t/(1-t) at threshold t, per image, at the test set's own share of malignant images.

    Returns:
        threshold, model, model_low, model_high, all, none; empty where the scenario holds only one side.
    """
    columns = ["threshold", "model", "model_low", "model_high", "all", "none"]
    sides = malignancy(frame)
    if sides is None:
        return pd.DataFrame(columns=columns)
    benefit = _with_interval(frame, lambda part, weights: _net_benefit(*malignancy(part), weights))
    share = sides[0].mean()
    everyone = share - (1 - share) * THRESHOLDS / (1 - THRESHOLDS)
    model = np.transpose([astuple(estimate) for estimate in benefit])
    return pd.DataFrame(dict(zip(columns, (THRESHOLDS, *model, everyone, 0.0 * THRESHOLDS))))


def class_auc(cells: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """One class against the rest: scenario, backbone, phase, class, images (of the class), auc, auc_low, auc_high."""
    rows = []
    for key, frame in cells.items():
        for name in class_columns(frame):
            truth = frame["truth"] == name
            if truth.all() or not truth.any():
                continue

            def area(part: pd.DataFrame, weights: np.ndarray, name: str = name) -> np.ndarray:
                return _auc((part["truth"] == name).to_numpy(), part[name].to_numpy(float), weights)

            row = dict(zip(CELL, key)) | {"class": name, "images": int(truth.sum()) // frame["seed"].nunique()}
            rows.append(row | _interval_of("auc", frame, area))
    return pd.DataFrame(rows, columns=[*CELL, "class", "images", "auc", "auc_low", "auc_high"])


def _with_interval(frame: pd.DataFrame, statistic: Callable[[pd.DataFrame, np.ndarray], np.ndarray]) -> list[Estimate]:
    """Mean over seeds of a weighted statistic, with its interval for a new data set of this size: one estimate or k, of
    (rows of one seed, weights [m, n]) -> [m] or [m, k]. A fold of one class alone tells nothing of its spread."""
    weights, codes = group_weights(frame["group"].to_numpy())
    seeds = frame["seed"].to_numpy()
    parts = {seed: frame[seeds == seed] for seed in np.unique(seeds)}
    value = np.mean([statistic(part, np.ones((1, len(part))))[0] for part in parts.values()], axis=0)
    resampled = np.mean([statistic(part, weights[:, codes[seeds == seed]]) for seed, part in parts.items()], axis=0)
    tested = [fold for _, fold in frame.groupby("fold") if fold["truth"].nunique() > 1]
    folds = np.array([statistic(fold, np.ones((1, len(fold))))[0] for fold in tested])
    columns = zip(np.atleast_1d(value), np.atleast_2d(resampled.T), np.atleast_2d(folds.T))
    return [mean_estimate(float(one), *spreads, LEVEL) for one, *spreads in columns]


def _interval_of(name: str, frame: pd.DataFrame, statistic: Callable) -> dict[str, float]:
    """`_with_interval` of one measure of 0 to 1 as the columns name, name_low and name_high."""
    (found,) = _with_interval(frame, statistic)
    return {name: found.value, f"{name}_low": max(0.0, found.low), f"{name}_high": min(1.0, found.high)}


def _images(frame: pd.DataFrame) -> int:
    return len(frame) // frame["seed"].nunique()


def _ece(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error of each row of weights [m, n]."""
    in_bin = np.eye(BINS)[_bin(confidence)]
    # the number of images in a bin cancels: (images / n) * |mean difference| is |sum of differences| / n
    return np.abs(weights @ (in_bin * (confidence - correct)[:, None])).sum(axis=1) / weights.sum(axis=1)


def _bin(confidence: np.ndarray) -> np.ndarray:
    return np.clip((confidence * BINS).astype(int), 0, BINS - 1)


def _ece_if_calibrated(frame: pd.DataFrame, draws: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """ECE [draws], mean over seeds, of outcomes drawn with the stated confidence.

    A group's images share one uniform draw, which keeps their outcomes as alike as they can be.
    """
    groups, codes = np.unique(frame["group"].to_numpy(), return_inverse=True)
    seeds = frame["seed"].to_numpy()
    uniform = np.random.default_rng(seed).random((draws, len(groups)))
    errors = []
    for one in np.unique(seeds):
        confidence = top_confidence(frame[seeds == one])[0]
        in_bin = np.eye(BINS)[_bin(confidence)]
        correct = uniform[:, codes[seeds == one]] < confidence
        errors.append(np.abs((confidence - correct) @ in_bin).sum(axis=1) / len(confidence))
    return np.mean(errors, axis=0)


def _auc(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each row of weights [m, n]: the weighted Mann-Whitney statistic, ties half."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    weights, truth = weights[:, order], np.asarray(truth)[order]
    positive, negative = (np.add.reduceat(weights * side, starts, axis=1) for side in (truth, ~truth))
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def _sensitivity(truth: np.ndarray, score: np.ndarray, weights: np.ndarray, specificity: float) -> np.ndarray:
    """The highest sensitivity of each row of weights [m, n] at a specificity of at least `specificity`."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(score[order]) < 0, True])  # images of equal score are called together
    weights, truth = weights[:, order], np.asarray(truth)[order]
    called, false = (np.cumsum(weights * side, axis=1) for side in (truth, ~truth))
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = called[:, ends] / called[:, -1:]
        allowed = false[:, ends] / false[:, -1:] <= 1 - specificity + 1e-12
    # no threshold at all calls nobody
    return np.where(allowed, sensitivity, 0.0).max(axis=1)


def _net_benefit(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    called = score[:, None] >= THRESHOLDS
    worth = called * np.where(truth[:, None], 1.0, -THRESHOLDS / (1 - THRESHOLDS))
    return weights @ worth / weights.sum(axis=1, keepdims=True)
