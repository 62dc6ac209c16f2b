"""What accuracy does not say: calibration, operating points, decision curves, spread of seeds, models compared.

Everything comes from the saved out-of-fold predictions, under `clean` on the originals unless told otherwise: with ten
folds each image is scored once, by a model that saw no image of its group. Intervals resample groups; differences of
accuracy heed the spread of the folds too. Where a study has several seeds a measure is the mean of the seeds', each
resampled with the same groups. Areas and curves pool the folds' probabilities, and hold their differences in scale.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range
from statsmodels.stats.multitest import multipletests

from lib.config.paper import MALIGNANT
from lib.config.params import PHASES, Study
from lib.config.paths import StudyPaths
from lib.data.predictions import class_columns, out_of_fold, predicted_class
from lib.scores import metrics
from lib.scores.resampling import LEVEL, RESAMPLES, group_weights, mean_estimate, resampled_means

BINS = 15  # of equal width, as in Guo et al., On calibration of modern neural networks, ICML 2017
SPECIFICITIES = (0.90, 0.95)
THRESHOLDS = np.arange(1, 61) / 100  # of the probability of malignancy at which one would act
PERMUTATIONS = 9999
CELL = ["scenario", "backbone", "phase"]


def tables(paths: StudyPaths, study: Study, protocol: str = "clean") -> dict[str, pd.DataFrame]:
    """Every table of this module by name: calibration, malignant, class_auc, seeds, comparisons, ranks.

    A table whose runs are missing is empty, with the reason in `.attrs["not_tested"]`.
    """
    cells = found(paths, study, protocol)
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


def found(
    paths: StudyPaths, study: Study, protocol: str = "clean", preprocessing: str = ""
) -> dict[tuple[str, str, str], pd.DataFrame]:
    """(scenario, backbone, phase) -> test predictions of all folds and seeds, of the cells that were run.

    Originals alone, but under `by_view`, whose test sets are of views.

    Args:
        preprocessing: the study's first if empty.
    """
    cells = {}
    for scenario in study.scenarios:
        for backbone in study.backbones:
            for phase in PHASES:
                cell = (protocol, preprocessing or study.preprocessings[0], scenario, backbone, phase)
                frame = out_of_fold(paths, *cell, study.seeds, originals=protocol != "by_view")
                if len(frame):
                    cells[scenario, backbone, phase] = frame
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
        right = confident(frame)
        value, low, high = _measured(frame, lambda part, weights: _ece(*confident(part), weights, bins))
        chance = _ece_if_calibrated(frame, bins)
        row = dict(zip(CELL, key)) | {"images": _images(frame), "accuracy": right[1].mean()}
        row |= {"confidence": right[0].mean(), "ece": value, "ece_low": low, "ece_high": high}
        p_value = (1 + (chance >= value).sum()) / (1 + len(chance))
        rows.append(row | {"ece_if_calibrated": chance.mean(), "p_value": p_value})
    columns = [*CELL, "images", "accuracy", "confidence", "ece", "ece_low", "ece_high", "ece_if_calibrated", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def reliability(frame: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """The reliability diagram of a cell: low, high (of the bin), images, confidence, accuracy; empty bins left out."""
    confidence, right = confident(frame)
    number = _bin(confidence, bins)
    table = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": right})
    table = table.groupby("bin").agg(
        images=("accuracy", "size"), confidence=("confidence", "mean"), accuracy=("accuracy", "mean")
    )
    edges = {"low": table.index / bins, "high": (table.index + 1) / bins}
    return table.assign(**edges).reset_index(drop=True)[["low", "high", "images", "confidence", "accuracy"]]


def confident(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the predicted class, and whether it was right (0 or 1), both float [n]."""
    confidence = frame[class_columns(frame)].to_numpy(float).max(axis=1)
    right = predicted_class(frame) == frame["true_class"].to_numpy()
    return confidence, right.astype(float)


def malignancy(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether each image is malignant (bool [n]) and the probability given to that (float [n]).

    From `benign_malignant` as predicted, from `nine_classes` the sum over the malignant classes; None where a
    scenario holds only one side.
    """
    classes = class_columns(frame)
    malignant_classes = ["malignant"] if "malignant" in classes else [name for name in classes if name in MALIGNANT]
    truth = frame["true_class"].isin(malignant_classes).to_numpy()
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
        row |= _named("auc", _measured(frame, lambda part, weights: _auc(*malignancy(part), weights)))
        for name, wanted in zip(names, specificities):
            row |= _named(
                name,
                _measured(frame, lambda part, weights, s=wanted: _sensitivity(*malignancy(part), weights, s)),
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
    value, low, high = _measured(
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
            truth = frame["true_class"] == name
            if truth.all() or not truth.any():
                continue

            def area(part: pd.DataFrame, weights: np.ndarray, name: str = name) -> np.ndarray:
                return _auc((part["true_class"] == name).to_numpy(), part[name].to_numpy(float), weights)

            row = dict(zip(CELL, key)) | {"class": name, "images": int(truth.sum()) // frame["seed"].nunique()}
            rows.append(row | _named("auc", _measured(frame, area)))
    return pd.DataFrame(rows, columns=[*CELL, "class", "images", "auc", "auc_low", "auc_high"])


def seed_spread(cells: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """How far test accuracy moves with the seed and with the fold, beside the choice of test images.

    Returns:
        scenario, backbone, phase, seeds, folds, mean, lowest, highest (of the seeds), seed_sd, fold_sd (missing with
        one), run_sd (of the seeds' accuracies in one fold: what training alone moves one run of the paper's by),
        sampling_sd (of one seed's accuracy over resampled groups).
    """
    rows = []
    for key, frame in cells.items():
        right = pd.Series(confident(frame)[1])
        correct = right.groupby(frame["seed"].to_numpy()).mean()
        runs = right.groupby([frame["fold"].to_numpy(), frame["seed"].to_numpy()]).mean().unstack()
        folds = right.groupby(frame["fold"].to_numpy()).mean()
        one = metrics.image_correctness(frame[frame["seed"] == frame["seed"].iloc[0]])
        resampled = resampled_means(one["correct"].to_numpy(), one["group"].to_numpy())
        row = dict(zip(CELL, key)) | {"seeds": len(correct), "folds": len(folds), "mean": correct.mean()}
        row |= {"lowest": correct.min(), "highest": correct.max(), "seed_sd": correct.std(), "fold_sd": folds.std()}
        rows.append(row | {"run_sd": runs.var(axis=1).mean() ** 0.5, "sampling_sd": resampled.std()})
    spreads = ["seed_sd", "fold_sd", "run_sd", "sampling_sd"]
    return pd.DataFrame(rows, columns=[*CELL, "seeds", "folds", "mean", "lowest", "highest", *spreads])


def compare_backbones(cells: dict[tuple, pd.DataFrame], alpha: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Every two backbones of a scenario and phase on the folds of both, p-values corrected by Holm's method.

    Two tests of "equally accurate": McNemar's exact test (the first seed of each; it takes images as independent), and
    a permutation test that swaps the two models' outcomes group by group (all seeds averaged; it respects groups, and
    is the one to go by). Each is corrected over the pairs of its scenario and phase.

    Returns:
        scenario, phase, first, second, images, groups, difference (accuracy, first - second), low, high, only_first,
        only_second, p_mcnemar, p_mcnemar_holm, p_groups, p_groups_holm, different (p_groups_holm < alpha).

    Raises:
        ValueError: two backbones were not tested on the same images.
    """
    columns = ["scenario", "phase", "first", "second", "images", "groups", "difference", "low", "high", "only_first"]
    columns += ["only_second", "p_mcnemar", "p_mcnemar_holm", "p_groups", "p_groups_holm", "different"]
    families = []
    for scenario, phase in dict.fromkeys((scenario, phase) for scenario, _, phase in cells):
        models = {b: frame for (s, b, p), frame in cells.items() if (s, p) == (scenario, phase)}
        rows = []
        for first, second in combinations(models, 2):
            row = {"scenario": scenario, "phase": phase, "first": first, "second": second}
            rows.append(row | _compared(models[first], models[second], seed))
        if rows:
            family = pd.DataFrame(rows)
            for test in ("mcnemar", "groups"):
                family[f"p_{test}_holm"] = multipletests(family[f"p_{test}"], method="holm")[1]
            families.append(family.assign(different=family["p_groups_holm"] < alpha))
    return pd.concat(families, ignore_index=True)[columns] if families else pd.DataFrame(columns=columns)


def rank_backbones(cells: dict[tuple, pd.DataFrame], alpha: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Mean rank of each backbone over the scenarios, for a critical-difference picture, a block of rows a phase.

    Uses the scenarios in which all backbones of that phase were run. Four scenarios that share their images are no
    sample of data sets: Friedman's test and Nemenyi's critical difference (Demsar, JMLR 7:1, 2006) are given because
    readers expect them, and with four scenarios hardly any difference can pass. The intervals of the ranks come from
    resampling groups within each scenario instead: they say how sure the ranking is on these scenarios, not on others.

    Returns:
        phase, backbone, mean_rank (1 is best), low, high, best (share of resamples in which it has the best mean
        rank, ties shared), scenarios (how many), friedman_p (missing below 3 backbones or 2 scenarios),
        critical_difference (Nemenyi, ranks; missing with friedman_p), a column rank_<scenario> each. Empty below 2
        backbones.
    """
    blocks = []
    for phase in PHASES:
        backbones = list(dict.fromkeys(b for _, b, p in cells if p == phase))
        shared = list(dict.fromkeys(s for s, _, p in cells if p == phase))
        shared = [s for s in shared if all((s, b, phase) in cells for b in backbones)]
        if len(backbones) < 2 or not shared:
            continue
        accuracy, resampled = {}, []
        for number, scenario in enumerate(shared):
            correct = _side_by_side({b: cells[scenario, b, phase] for b in backbones})
            accuracy[scenario] = correct[backbones].mean()
            values, groups = correct[backbones].to_numpy(), correct["group"].to_numpy()
            resampled.append(_ranks(resampled_means(values, groups, RESAMPLES, seed + number)))
        ranks = pd.DataFrame({f"rank_{s}": _ranks(a.to_numpy()[None])[0] for s, a in accuracy.items()}, index=backbones)
        means = np.mean(resampled, axis=0)
        is_best = means == means.min(axis=1, keepdims=True)
        block = pd.DataFrame({"phase": phase, "backbone": backbones, "mean_rank": ranks.mean(axis=1).to_numpy()})
        block["low"], block["high"] = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        block["best"] = (is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0)
        block["scenarios"] = len(shared)
        testable = len(backbones) > 2 and len(shared) > 1
        block["friedman_p"] = friedmanchisquare(*(pd.DataFrame(accuracy).to_numpy())).pvalue if testable else np.nan
        block["critical_difference"] = critical_difference(len(backbones), len(shared), alpha) if testable else np.nan
        blocks.append(pd.concat([block, ranks.reset_index(drop=True)], axis=1).sort_values("mean_rank"))
    columns = ["phase", "backbone", "mean_rank", "low", "high", "best", "scenarios", "friedman_p"]
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=[*columns, "critical_difference"])


def critical_difference(models: int, datasets: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks (Demsar 2006, section 3.2.2)."""
    q = studentized_range.ppf(1 - alpha, models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(models * (models + 1) / (6 * datasets)))


def _measured(frame: pd.DataFrame, statistic: Callable[[pd.DataFrame, np.ndarray], np.ndarray]):
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


def _ece(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """Expected calibration error of each row of weights [m, n]."""
    in_bin = np.eye(bins)[_bin(confidence, bins)]
    # the number of images in a bin cancels: (images / n) * |mean difference| is |sum of differences| / n
    return np.abs(weights @ (in_bin * (confidence - right)[:, None])).sum(axis=1) / weights.sum(axis=1)


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
        confidence = confident(frame[seeds == one])[0]
        in_bin = np.eye(bins)[_bin(confidence, bins)]
        right = uniform[:, codes[seeds == one]] < confidence
        errors.append(np.abs((confidence - right) @ in_bin).sum(axis=1) / len(confidence))
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


def _compared(first: pd.DataFrame, second: pd.DataFrame, seed: int) -> dict:
    one = _side_by_side({"first": first, "second": second})
    difference = (one["first"] - one["second"]).to_numpy()
    groups, codes = np.unique(one["group"].to_numpy(), return_inverse=True)
    by_group = np.bincount(codes, difference)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(PERMUTATIONS, len(groups)))
    as_large = np.abs(signs @ by_group) >= abs(by_group.sum()) - 1e-9
    resampled = resampled_means(difference, one["group"].to_numpy(), seed=seed)[:, 0]
    of_folds = pd.Series(difference).groupby(one["fold"].to_numpy()).mean().to_numpy()
    found = mean_estimate(float(difference.mean()), resampled, of_folds)
    pair = [
        frame[(frame["seed"] == frame["seed"].min()) & frame["fold"].isin(one["fold"])] for frame in (first, second)
    ]
    test = metrics.compare(*pair)
    return {
        "images": len(one), "groups": len(groups), "difference": found.value, "low": found.low, "high": found.high,
        "only_first": test["only_proposed"], "only_second": test["only_baseline"], "p_mcnemar": test["p_value"],
        "p_groups": (1 + as_large.sum()) / (1 + PERMUTATIONS),
    }  # fmt: skip


def _side_by_side(models: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a test image of the folds that all models trained: fold, group, and how often each is right (0..1)."""
    common = set.intersection(*(set(frame["fold"]) for frame in models.values()))
    table = None
    for name, frame in models.items():
        correct = metrics.image_correctness(frame[frame["fold"].isin(common)]).set_index(["source", "view"])
        if table is None:
            table = correct[["fold", "group"]]
        if not len(correct) or not correct.index.equals(table.index):
            raise ValueError(f"{name} was not tested on the same images as {next(iter(models))}; use one protocol")
        table = table.assign(**{name: correct["correct"]})
    return table.reset_index()


def _ranks(accuracy: np.ndarray) -> np.ndarray:
    """Rank of each column [m, k], 1 the most accurate, ties sharing their mean rank."""
    above = (accuracy[:, None, :] > accuracy[:, :, None]).sum(axis=2)
    equal = (accuracy[:, None, :] == accuracy[:, :, None]).sum(axis=2)
    return 1 + above + (equal - 1) / 2


def _named(name: str, measured: tuple) -> dict:
    value, low, high = measured
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _images(frame: pd.DataFrame) -> int:
    return len(frame) // frame["seed"].nunique()
