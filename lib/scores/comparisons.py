"""Models, seeds and folds compared: which differences between backbones are more than chance?"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from lib.scores.estimates import difference, estimate
from lib.scores.metrics import compare

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
        family = pd.DataFrame(_compare(models, *pair, seed) for pair in combinations(models, 2))
        if len(family):
            for test in ("mcnemar", "groups"):
                family[f"p_{test}_holm"] = multipletests(family[f"p_{test}"], method="holm")[1]
            family = family.assign(scenario=scenario, phase=phase, different=family["p_groups_holm"] < alpha)
            families.append(family[columns])
    return pd.concat(families, ignore_index=True) if families else pd.DataFrame(columns=columns)


def _compare(models: dict[str, pd.DataFrame], first: str, second: str, seed: int) -> dict[str, Any]:
    pair = _on_common_folds({name: models[name] for name in (first, second)})
    scores = [estimate(rows, seed=seed) for rows in pair.values()]
    step = difference(*scores).interval()
    # of each group the summed difference of its images, seeds averaged
    groups = pd.concat({name: rows.groupby(["group", "row"])["correct"].mean() for name, rows in pair.items()}, axis=1)
    by_group = (groups[first] - groups[second]).groupby("group").sum().to_numpy()
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(PERMUTATIONS, len(by_group)))
    as_large = np.abs(signs @ by_group) >= abs(by_group.sum()) - 1e-9
    test = compare(*(rows[rows["seed"] == rows["seed"].min()] for rows in pair.values()))
    return {
        "first": first, "second": second, "images": scores[0].images, "groups": scores[0].groups,
        "difference": step.value, "low": step.low, "high": step.high,
        "only_first": test["only_proposed"], "only_second": test["only_baseline"], "p_mcnemar": test["p_value"],
        "p_groups": (1 + as_large.sum()) / (1 + PERMUTATIONS),
    }  # fmt: skip


def _on_common_folds(models: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The outcomes of several models in the folds that all of them trained, on the same views."""
    common = set.intersection(*(set(frame["fold"]) for frame in models.values()))
    models = {name: frame[frame["fold"].isin(common)] for name, frame in models.items()}
    views = [set(frame["row"]) for frame in models.values()]
    if not views[0] or any(own != views[0] for own in views):
        raise ValueError(f"{', '.join(models)} were not tested on the same images; use one protocol")
    return models
