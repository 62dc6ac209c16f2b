"""How often the rules err: studies are simulated whose truth is known, and judged by the code that judges studies.

Lesions have a difficulty and several images or views each; a training run has a level of its own. Under `by_view`
views are dealt to folds at random, under `clean` whole lesions are. A true number is one more run under `by_view`; so
is a leaked one, which `clean` does not reach; a random one is drawn evenly between guessing and 100 %.
"""

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from lib.audit.printed_tables import audit_tables
from lib.config.paper import backbones
from lib.config.params import PHASES, Study
from lib.config.paths import StudyPaths
from lib.config.printed import printed_rows
from lib.verdicts import claims, judging, model_claims, printed_claims
from lib.verdicts.claims import Claims, Rules
from lib.verdicts.evidence import Choice, Evidence
from lib.verdicts.judging import HOLDS, LEAKAGE, NOT_REACHED

RULES = Rules(resamples=200)  # enough for how often; a study takes 2000
KINDS = ("true", "leaked", "random")
RIGHT = {"by_view": 0.84, "clean": {"true": 0.84, "leaked": 0.70, "random": 0.84}}
PRINTED, ORIGINALS = 400, 150  # test views of a printed run and of a fold under by_view; originals under clean


class Simulated(Evidence):
    """Twelve models of a study, simulated: `chance` is (backbone, phase) -> protocol -> the mean chance of being right,
    `folds` how many were trained, `spread` the standard deviation of a run's level, on the logit."""

    def __init__(self, seed: int, chance: dict, folds: int = 10, spread: float = 0.1):
        super().__init__(StudyPaths(Path("nowhere")), Study(), RULES)
        self.random = np.random.default_rng(seed)
        self.chance, self.trained, self.spread, self.cut_short = chance, folds, spread, lambda *run: False
        rows = [{"inferred_test_n": PRINTED, "backbone": backbone, "phase": phase} for backbone, phase in chance]
        self.printed_audit = {"tables": {"1": {"rows": rows}}}
        # four views of each lesion under by_view, one to three images of each under clean
        views = self.random.permutation(np.repeat(np.arange(10 * PRINTED // 4), 4))
        originals = np.sort(self.random.integers(0, 5 * ORIGINALS, 10 * ORIGINALS))
        self.lesions = {"by_view": views, "clean": originals}
        self.difficulty = {name: self.random.normal(0, 1, lesions.max() + 1) for name, lesions in self.lesions.items()}

    def _rows(self, choice: Choice, scenario: str, part: str) -> dict[tuple[str, str], pd.DataFrame]:
        if choice.protocol not in self.lesions:
            return {}
        fold = np.repeat(np.arange(self.trained), {"by_view": PRINTED, "clean": ORIGINALS}[choice.protocol])
        lesion = self.lesions[choice.protocol][: len(fold)]
        rows = pd.DataFrame({"row": np.arange(len(fold)), "group": lesion, "fold": fold, "seed": 0})
        difficulty = self.difficulty[choice.protocol][lesion]
        right = {m: self.draw(chance[choice.protocol], fold, difficulty) for m, chance in self.chance.items()}
        return {model: rows.assign(correct=correct.astype(float)) for model, correct in right.items()}

    def draw(self, chance: float, fold: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
        """Which images are right, bool; 1.16 makes up for the pull of the difficulties towards one half."""
        level = self.random.normal(0, self.spread, self.trained)[fold]
        return self.random.random(len(difficulty)) < expit(1.16 * logit(chance) + level + difficulty)

    def one_more_run(self, chance: float) -> float:
        """A printed accuracy, per cent to two decimals."""
        lesion = self.random.choice(self.lesions["by_view"], PRINTED, replace=False)
        right = self.draw(chance, np.zeros(PRINTED, int), self.difficulty["by_view"][lesion])
        return round(100 * float(right.mean()), 2)


def print_table(accuracies: dict, patch: pytest.MonkeyPatch) -> None:
    """Let Table I print these accuracies, so that it contradicts no claim."""
    table = claims.printed_table().copy()
    for (backbone, phase), value in accuracies.items():
        table.loc[(1, phase, backbone), "test_accuracy"] = value
    for module in (claims, printed_claims, model_claims):
        patch.setattr(module, "printed_table", lambda: table)


def judge(study: Evidence, tests: dict, patch: pytest.MonkeyPatch) -> dict:
    """The verdicts on claims, judged together."""
    patch.setattr(judging, "Evidence", lambda *given: study)
    entry = {"place": "abstract", "where": "abstract", "quote": "good", "kind": "number"}
    made = Claims(rules=RULES, claims=[entry | {"id": f"x{n}", "test": test} for n, test in enumerate(tests.values())])
    return dict(zip(tests, (claim["verdict"] for claim in judging.judge(study.paths, study.study, made))))


def of_numbers(studies: int, **how) -> dict[str, Counter]:
    """The verdicts on twelve numbers in each of so many studies, four of each kind."""
    models = [(backbone, phase) for backbone in backbones() for phase in PHASES]
    kind_of = {model: KINDS[number % 3] for number, model in enumerate(models)}
    chance = {model: {"by_view": 0.84, "clean": RIGHT["clean"][kind]} for model, kind in kind_of.items()}
    found = {kind: Counter() for kind in KINDS}
    for seed in range(studies):
        study = Simulated(seed, chance, **how)
        printed = {model: study.one_more_run(0.84) for model in models}
        at_random = {model: round(study.random.uniform(100 / 9, 100), 2) for model in models}
        printed |= {model: at_random[model] for model in models if kind_of[model] == "random"}
        test = {"measure": "test_accuracy", "scenario": "nine_classes"}
        tests = {m: test | {"backbone": m[0], "phase": m[1], "equals": printed[m]} for m in models}
        with pytest.MonkeyPatch.context() as patch:
            print_table(printed, patch)
            for model, verdict in judge(study, tests, patch).items():
                found[kind_of[model]][verdict] += 1
    return found


def test_of_a_copied_row_the_averages_are_contradicted_and_the_accuracy_is_not():
    rows, averages = printed_rows().query("table == 3").reset_index(drop=True), ["precision", "recall", "f1"]
    found = Counter()
    for seed in range(10):
        copy, owner = np.random.default_rng(seed).choice(len(rows), 2, replace=False)
        table = rows.copy()
        table.loc[copy, averages] = rows.loc[owner, averages]
        evidence = Evidence(StudyPaths(Path("nowhere")), Study(), RULES)
        evidence.printed_audit = dict(zip(("tables", "row_errors"), audit_tables(table, 590, 600)))
        for (row, name), measure in product([(copy, "copy"), (owner, "owner")], ["test_accuracy", *averages]):
            cell = {"scenario": "six_benign", **table.loc[row, ["backbone", "phase"]], "equals": "printed"}
            outcome = printed_claims.judge_possible(claims.Check(measure=measure, **cell), evidence).outcome
            found[name, measure in averages, outcome] += 1
    yes = {("copy", False, "yes"): 10, ("owner", True, "yes"): 30, ("owner", False, "yes"): 10}
    assert found == yes | {("copy", True, "no"): 30}


@pytest.mark.parametrize("how", [{"spread": 0.2}, {"folds": 1, "spread": 0.0}])
def test_the_error_rates_of_rules_for_numbers_are_low(how):
    found = of_numbers(12, **how)
    true, leaked, random = found.values()
    assert true[NOT_REACHED] + true[LEAKAGE] <= 1 and true[HOLDS] >= (12 if "folds" not in how else 0), found
    assert leaked[HOLDS] == 0 and leaked[NOT_REACHED] <= 1, found
    assert leaked[LEAKAGE] >= (40 if "folds" not in how else 12), found
    assert random[HOLDS] + random[LEAKAGE] <= 10 and random[NOT_REACHED] >= 30, found
