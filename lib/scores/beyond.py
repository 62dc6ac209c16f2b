"""What accuracy does not say: calibration, operating points, decision curves.

Everything is a query of the outcomes, under `clean` on the originals unless another protocol is named: with ten folds
each image is scored once, by a model that was trained on no image of its group. Intervals resample groups. Where a
study has several seeds a measure is the mean of the seeds', each resampled with the same groups. Areas and curves pool
the folds' probabilities, and with them the differences in scale between folds.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lib.config.paper import MALIGNANT
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.scores.comparisons import CELL, compare_backbones, rank_backbones, seed_spread
from lib.scores.outcomes import class_columns, read_outcomes, select
from lib.scores.resampling import LEVEL, RESAMPLES, group_weights

BINS = 15  # of equal width, as in Guo et al., On calibration of modern neural networks, ICML 2017
SPECIFICITIES = (0.90, 0.95)
THRESHOLDS = np.arange(1, 61) / 100  # of the probability of malignancy at which one would act


def tables(paths: StudyPaths, study: Study, protocol: str = "clean") -> dict[str, pd.DataFrame]:
    """Every table beyond accuracy by name: calibration, malignant, class_auc, seeds, comparisons, ranks.

    A table whose runs are missing is empty, with the reason in `.attrs["not_tested"]`.
    """
    cells = select_cells(paths, study, protocol)
    made = {
        "calibration": calibration(cells),
        "malignant": malignant(cells),
        "class_auc": class_auc(cells),
        "seeds": seed_spread(cells),
        "comparisons": compare_backbones(cells),
        "ranks": rank_backbones(cells),
    }
    for table in made.values():
        if table.empty:
            table.attrs.setdefault("not_tested", f"no predictions under {protocol} that allow it")
    return made


def select_cells(
    paths: StudyPaths, study: Study, protocol: str = "clean", preprocessing: str = ""
) -> dict[tuple[str, str, str], pd.DataFrame]:
    """(scenario, backbone, phase) -> the outcomes of all folds and seeds, of the cells that were run.

    Args:
        preprocessing: the study's first if empty.
    """
    cells = {}
    for scenario in study.scenarios:
        rows = select(read_outcomes(paths, preprocessing or study.preprocessings[0], scenario), protocol)
        found = dict(iter(rows.groupby(["backbone", "phase"], sort=False)))
        order = sorted(found, key=lambda key: study.backbones.index(key[0]))
        cells |= {(scenario, *key): found[key] for key in order}
    return cells


def calibration(cells: dict[tuple, pd.DataFrame], bins: int = BINS) -> pd.DataFrame:
    """Expected calibration error of each cell, and what chance alone would give.

    Returns:
        scenario, backbone, phase, images, accuracy, confidence (mean probability of the predicted class), ece,
        ece_low, ece_high (resampling adds to the error, so these lie high), ece_if_calibrated (mean over outcomes drawn
        with the stated probabilities: the error of a perfectly calibrated model on as many images), p_value (share of
        those draws with an error as large).
    """
    rows = []
    for key, frame in cells.items():
        confidence, correct = top_confidence(frame)
        value, low, high = _with_interval(frame, lambda part, weights: _ece(*top_confidence(part), weights, bins))
        chance = _ece_if_calibrated(frame, bins)
        row = dict(zip(CELL, key)) | {"images": _images(frame), "accuracy": correct.mean()}
        row |= {"confidence": confidence.mean(), "ece": value, "ece_low": low, "ece_high": high}
        p_value = (1 + (chance >= value).sum()) / (1 + len(chance))
        rows.append(row | {"ece_if_calibrated": chance.mean(), "p_value": p_value})
    columns = [*CELL, "images", "accuracy", "confidence", "ece", "ece_low", "ece_high", "ece_if_calibrated", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def reliability(frame: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """The reliability diagram of a cell: low, high (of the bin), images, confidence, accuracy; without empty bins."""
    confidence, correct = top_confidence(frame)
    table = pd.DataFrame({"bin": _bin(confidence, bins), "confidence": confidence, "accuracy": correct})
    table = table.groupby("bin").agg(
        images=("accuracy", "size"), confidence=("confidence", "mean"), accuracy=("accuracy", "mean")
    )
    edges = {"low": table.index / bins, "high": (table.index + 1) / bins}
    return table.assign(**edges).reset_index(drop=True)[["low", "high", "images", "confidence", "accuracy"]]


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


def malignant(cells: dict[tuple, pd.DataFrame], specificities: Sequence[float] = SPECIFICITIES) -> pd.DataFrame:
    """Malignant against benign, of each cell that has both.

    Returns:
        scenario, backbone, phase, images, malignant (images), auc, auc_low, auc_high, and for each specificity, as
        in 90: sensitivity_at_90, sensitivity_at_90_low, sensitivity_at_90_high. The threshold is the one that gives
        the highest sensitivity at that specificity on the test images themselves, so this is what the ranking
        allows, not what a threshold fixed beforehand would reach; resamples choose theirs anew.
    """
    columns = [*CELL, "images", "malignant", "auc", "auc_low", "auc_high"]
    names = [f"sensitivity_at_{100 * s:g}" for s in specificities]
    rows = []
    for key, frame in cells.items():
        sides = malignancy(frame)
        if sides is None:
            continue
        row = dict(zip(CELL, key)) | {"images": _images(frame)}
        row["malignant"] = int(sides[0].sum()) // frame["seed"].nunique()
        row |= _named("auc", _with_interval(frame, lambda part, weights: _auc(*malignancy(part), weights)))
        for name, wanted in zip(names, specificities):
            row |= _named(
                name,
                _with_interval(frame, lambda part, weights, s=wanted: _sensitivity(*malignancy(part), weights, s)),
            )
        rows.append(row)
    return pd.DataFrame(rows, columns=[*columns, *(f"{name}{end}" for name in names for end in ("", "_low", "_high"))])


def decision_curve(frame: pd.DataFrame, thresholds: np.ndarray = THRESHOLDS) -> pd.DataFrame:
    """Net benefit of acting on the model, on everyone and on no one (Vickers & Elkin, Medical Decision Making 2006).

    Net benefit = TP/n - FP/n * t/(1-t) at threshold t, per image, at the test set's own share of malignant images.

    Returns:
        threshold, model, model_low, model_high, all, none; empty where the scenario holds only one side.
    """
    columns = ["threshold", "model", "model_low", "model_high", "all", "none"]
    sides = malignancy(frame)
    if sides is None:
        return pd.DataFrame(columns=columns)
    value, low, high = _with_interval(
        frame, lambda part, weights: _net_benefit(*malignancy(part), weights, np.asarray(thresholds))
    )
    share = sides[0].mean()
    everyone = share - (1 - share) * thresholds / (1 - thresholds)
    values = (thresholds, value, low, high, everyone, np.zeros(len(thresholds)))
    return pd.DataFrame(dict(zip(columns, values)))


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
            rows.append(row | _named("auc", _with_interval(frame, area)))
    return pd.DataFrame(rows, columns=[*CELL, "class", "images", "auc", "auc_low", "auc_high"])


def _with_interval(frame: pd.DataFrame, statistic: Callable[[pd.DataFrame, np.ndarray], np.ndarray]):
    """Mean over seeds of a weighted statistic, with the interval over resampled groups.

    Args:
        statistic: (rows of one seed, weights [m, n]) -> [m] or [m, k].

    Returns:
        value, low, high: floats, or arrays [k].
    """
    weights, codes = group_weights(frame["group"].to_numpy())
    seeds = frame["seed"].to_numpy()
    values, resampled = [], []
    for seed in np.unique(seeds):
        part = frame[seeds == seed]
        values.append(statistic(part, np.ones((1, len(part))))[0])
        resampled.append(statistic(part, weights[:, codes[seeds == seed]]))
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(np.mean(resampled, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.mean(values, axis=0), low, high


def _ece(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """Expected calibration error of each row of weights [m, n]."""
    in_bin = np.eye(bins)[_bin(confidence, bins)]
    # the number of images in a bin cancels: (images / n) * |mean difference| is |sum of differences| / n
    return np.abs(weights @ (in_bin * (confidence - correct)[:, None])).sum(axis=1) / weights.sum(axis=1)


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip((confidence * bins).astype(int), 0, bins - 1)


def _ece_if_calibrated(frame: pd.DataFrame, bins: int, draws: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """ECE [draws], mean over seeds, of outcomes drawn with the stated confidence.

    A group's images share one uniform draw, which keeps their outcomes as alike as they can be.
    """
    groups, codes = np.unique(frame["group"].to_numpy(), return_inverse=True)
    seeds = frame["seed"].to_numpy()
    uniform = np.random.default_rng(seed).random((draws, len(groups)))
    errors = []
    for one in np.unique(seeds):
        confidence = top_confidence(frame[seeds == one])[0]
        in_bin = np.eye(bins)[_bin(confidence, bins)]
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


def _net_benefit(truth: np.ndarray, score: np.ndarray, weights: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    called = score[:, None] >= thresholds
    worth = called * np.where(truth[:, None], 1.0, -thresholds / (1 - thresholds))
    return weights @ worth / weights.sum(axis=1, keepdims=True)


def _named(name: str, measured: tuple) -> dict:
    value, low, high = measured
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _images(frame: pd.DataFrame) -> int:
    return len(frame) // frame["seed"].nunique()
