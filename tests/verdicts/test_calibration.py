"""How often the verdicts err: studies are simulated whose truth is known, and judged by the code that judges studies.

Lesions have a difficulty and several images or views each; a training run has a level of its own. Under `by_view`
views are dealt to folds at random, under `clean` whole lesions are. The printed number is one more run under
`by_view`.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.verdicts import claims, contradictions, evidence, model_claims
from lib.verdicts.claims import Claims, Rules
from lib.verdicts.evidence import PROCEDURE, UNSEEN, Evidence
from lib.verdicts.judging import LEAKAGE, NOT_REPRODUCED, REPRODUCED, judge_claim

OURS = "EfficientNetV2B3"
CELL = {"scenario": "nine_classes", "backbone": OURS}
NUMBER = CELL | {"measure": "test_accuracy", "phase": "transfer"}
RULES = Rules(resamples=200)  # enough for how often; a study takes 2000
PRINTED = 400  # test views of a printed run, and of a fold under by_view
ORIGINALS = 150  # test originals of a fold under clean
TRANSFER, FINETUNE = "transfer", "finetune"


class Simulated(Evidence):
    """Evidence that is simulated instead of read.

    Args:
        chance: (question, phase) -> the mean chance of being right.
        folds: how many were trained.
        spread: standard deviation of a run's level, on the logit.
    """

    def __init__(self, seed: int, chance: dict, folds: int = 10, spread: float = 0.1, originals: int = ORIGINALS):
        super().__init__(StudyPaths(Path("nowhere")), Study(), RULES)
        self.random = np.random.default_rng(seed)
        self.chance, self.trained, self.spread = chance, folds, spread
        self.a_fold = {PROCEDURE: PRINTED, UNSEEN: originals}
        sizes = {"inferred_test_n": PRINTED, "backbone": OURS}
        self.printed_audit = {"tables": {"1": {"rows": [sizes | {"phase": p} for p in (TRANSFER, FINETUNE)]}}}
        # four views of each lesion under by_view, one to three images of each under clean
        views = np.repeat(np.arange(10 * PRINTED // 4), 4)
        self.lesions = {PROCEDURE: self.random.permutation(views)}
        self.lesions[UNSEEN] = np.sort(self.random.integers(0, 5 * originals, 10 * originals))
        counts = {PROCEDURE: 10 * PRINTED // 4, UNSEEN: 5 * originals}
        self.difficulty = {question: self.random.normal(0, 1, count) for question, count in counts.items()}

    def _rows(self, question: str, scenario: str, part: str) -> dict[tuple[str, str], pd.DataFrame]:
        count = self.a_fold[question]
        fold = np.repeat(np.arange(self.trained), count)
        lesion = self.lesions[question][: len(fold)]
        found = {}
        for phase in (TRANSFER, FINETUNE):
            if (question, phase) in self.chance:
                level = self.random.normal(0, self.spread, self.trained)[fold]
                right = self.draw(self.chance[question, phase], level, self.difficulty[question][lesion])
                rows = {"row": np.arange(len(fold)), "group": lesion, "fold": fold, "seed": 0, "correct": right}
                found[OURS, phase] = pd.DataFrame(rows)
        return found

    def draw(self, chance: float, level: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
        """Which images are right, bool; 1.16 makes up for the pull of the difficulties towards one half."""
        return self.random.random(len(difficulty)) < expit(1.16 * logit(chance) + level + difficulty)

    def one_more_run(self, chance: float) -> float:
        """A printed accuracy, per cent to two decimals."""
        lesion = self.random.choice(self.lesions[PROCEDURE], PRINTED, replace=False)
        level = np.full(PRINTED, self.random.normal(0, self.spread))
        return round(100 * float(self.draw(chance, level, self.difficulty[PROCEDURE][lesion]).mean()), 2)


@pytest.fixture
def printed(monkeypatch):
    """Sets what Table I prints for our model, so that it contradicts no claim."""

    def set_to(**accuracy: float) -> None:
        table = claims.printed_table().copy()
        for phase, value in accuracy.items():
            table.loc[(1, phase, OURS), "test_accuracy"] = value
        for module in (contradictions, evidence, model_claims):
            monkeypatch.setattr(module, "printed_table", lambda: table)

    return set_to


def verdict(study: Evidence, **test) -> str:
    claim = {"id": "x", "place": "abstract", "where": "abstract", "quote": "good", "kind": "number", "test": test}
    return judge_claim(Claims(claims=[claim]).claims[0], study)["verdict"]


def of_numbers(printed, off: float = 0, clean: float | None = 0.84, studies: int = 100, **how) -> Counter:
    """The verdicts on numbers printed `off` points from one more run under `by_view`, which is right on 84 %.

    Args:
        clean: the share right under `clean`; None: that was not run.
    """
    found = Counter()
    for seed in range(studies):
        chance = {(PROCEDURE, TRANSFER): 0.84} | ({(UNSEEN, TRANSFER): clean} if clean else {})
        study = Simulated(seed, chance, **how)
        value = min(99.99, study.one_more_run(0.84) + off)
        printed(transfer=value)
        found[verdict(study, **NUMBER, equals=value)] += 1
    return found


@pytest.mark.parametrize(("folds", "spread"), [(10, 0.2), (10, 0.0), (1, 0.0)])
def test_a_number_of_the_same_process_is_seldom_called_not_reproduced(printed, folds, spread):
    found = of_numbers(printed, clean=None, studies=1500, folds=folds, spread=spread)
    assert found[NOT_REPRODUCED] / 1500 <= 0.06, found


def test_a_number_that_is_the_same_with_and_without_the_leak_is_not_put_down_to_it(printed):
    found = of_numbers(printed, studies=300)
    assert found[LEAKAGE] <= 2, found


@pytest.mark.parametrize("off", [10, -10])
def test_a_number_ten_points_off_is_called_not_reproduced(printed, off):
    found = of_numbers(printed, off)
    assert found[NOT_REPRODUCED] >= 90, found


def test_a_number_that_the_leak_makes_is_put_down_to_it(printed):
    found = of_numbers(printed, clean=0.70)
    assert found[LEAKAGE] >= 90 and found[REPRODUCED] == 0, found


def of_gains(printed, published: float, clean: float, **how) -> Counter:
    """The verdicts on "fine-tuning helps" where it gains so many points under either protocol."""
    printed(transfer=75.0, finetune=80.0)
    found = Counter()
    for seed in range(80):
        chance = {(question, TRANSFER): 0.75 for question in (PROCEDURE, UNSEEN)}
        chance |= {(PROCEDURE, FINETUNE): 0.75 + published / 100, (UNSEEN, FINETUNE): 0.75 + clean / 100}
        found[verdict(Simulated(seed, chance, **how), **CELL, measure="gain", above=0)] += 1
    return found


@pytest.mark.parametrize("gain", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("originals", [30, 200])
def test_a_gain_that_is_the_same_with_and_without_the_leak_is_never_put_down_to_it(printed, gain, originals):
    found = of_gains(printed, gain, gain, originals=originals)
    assert found[LEAKAGE] == 0, found


def test_a_gain_that_only_the_leak_gives_is_put_down_to_it(printed):
    found = of_gains(printed, 12, 0, originals=400)
    assert found[LEAKAGE] >= 0.9 * found.total(), found
