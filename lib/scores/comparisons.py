"""Models, seeds and folds compared: which differences between backbones are more than chance?"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range
from statsmodels.stats.multitest import multipletests

from lib.config.params import PHASES
from lib.scores.estimates import Score, difference, estimate
from lib.scores.metrics import compare
from lib.scores.resampling import LEVEL

PERMUTATIONS = 9999
CELL = ["scenario", "backbone", "phase"]


def seed_spread(cells: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """How far test accuracy moves with the seed and with the fold, beside the choice of test images.

    Args:
        cells: (scenario, backbone, phase) -> outcomes that `lib.scores.outcomes.select` gives.

    Returns:
        scenario, backbone, phase, seeds, folds, mean, lowest, highest (of the seeds), seed_sd, fold_sd (missing with
        one), run_sd (of the seeds' accuracies in one fold: what training alone moves one run of the paper's by),
        sampling_sd (of one seed's accuracy over resampled groups).
    """
    rows = []
    for key, frame in cells.items():
        runs = estimate(frame).runs
        of_seeds = [estimate(one) for _, one in frame.groupby("seed")]
        correct, folds = pd.Series([score.value for score in of_seeds]), runs.mean(axis=1)
        row = dict(zip(CELL, key)) | {"seeds": len(correct), "folds": len(folds), "mean": correct.mean()}
        row |= {"lowest": correct.min(), "highest": correct.max(), "seed_sd": correct.std(), "fold_sd": folds.std()}
        rows.append(row | {"run_sd": runs.var(axis=1).mean() ** 0.5, "sampling_sd": of_seeds[0].resampled.std()})
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
            rows.append(row | _compare(models[first], models[second], seed))
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
            pairs = _on_common_folds({b: cells[scenario, b, phase] for b in backbones})
            scores = {b: estimate(rows, seed=seed + number) for b, rows in pairs.items()}
            accuracy[scenario] = pd.Series({b: score.value for b, score in scores.items()})
            resampled.append(_ranks(np.stack([score.resampled for score in scores.values()], axis=1)))
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


def _compare(first: pd.DataFrame, second: pd.DataFrame, seed: int) -> dict[str, Any]:
    pair = _on_common_folds({"first": first, "second": second})
    scores: list[Score] = [estimate(rows, seed=seed) for rows in pair.values()]
    found = difference(*scores).interval()
    # of each group the summed difference of its images, seeds averaged
    groups = pd.concat({name: rows.groupby(["group", "row"])["correct"].mean() for name, rows in pair.items()}, axis=1)
    by_group = (groups["first"] - groups["second"]).groupby("group").sum().to_numpy()
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(PERMUTATIONS, len(by_group)))
    as_large = np.abs(signs @ by_group) >= abs(by_group.sum()) - 1e-9
    test = compare(*(rows[rows["seed"] == rows["seed"].min()] for rows in pair.values()))
    return {
        "images": scores[0].images, "groups": scores[0].groups,
        "difference": found.value, "low": found.low, "high": found.high,
        "only_first": test["only_proposed"], "only_second": test["only_baseline"], "p_mcnemar": test["p_value"],
        "p_groups": (1 + as_large.sum()) / (1 + PERMUTATIONS),
    }  # fmt: skip


def _on_common_folds(models: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The outcomes of several models in the folds that all of them trained, on the same views."""
    common = set.intersection(*(set(frame["fold"]) for frame in models.values()))
    found = {name: frame[frame["fold"].isin(common)] for name, frame in models.items()}
    views = [set(frame["row"]) for frame in found.values()]
    for name, tested in zip(found, views):
        if not tested or tested != views[0]:
            raise ValueError(f"{name} was not tested on the same images as {next(iter(models))}; use one protocol")
    return found


def _ranks(accuracy: np.ndarray) -> np.ndarray:
    """Rank of each column [m, k], 1 the most accurate, ties sharing their mean rank."""
    above = (accuracy[:, None, :] > accuracy[:, :, None]).sum(axis=2)
    equal = (accuracy[:, None, :] == accuracy[:, :, None]).sum(axis=2)
    return 1 + above + (equal - 1) / 2
