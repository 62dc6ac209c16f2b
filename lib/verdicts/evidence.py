"""What a study measured, as the questions of a verdict need it: by choice, over all folds and seeds that were trained.

A *choice* is a protocol with an input range and a variant of the study. `by_view` and `by_file` are two readings of the
paper, both scored on all views; the study's first input range under `by_view` is the default. Unseen lesions are those
of `clean`: originals, by the corrected labels.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

import pandas as pd

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.data.predictions import read_not_evaluable, still_learning
from lib.scores.choices import PROTOCOLS, choice_name
from lib.scores.estimates import Score, estimate
from lib.scores.measures import WEIGHTED
from lib.scores.outcomes import read_outcomes, select
from lib.scores.printed import printed_size
from lib.verdicts.claims import Rules

Model = tuple[str, str]  # backbone, phase


class Missing(Exception):
    """Why there is nothing to test a claim with."""


class Choice(NamedTuple):
    protocol: str
    preprocessing: str
    variant: str = DEFAULT_VARIANT

    @property
    def name(self) -> str:
        return choice_name(*self[:2], "" if self.variant == DEFAULT_VARIANT else self.variant)


class Evidence:
    """Everything that a study measured, each file read once and each score computed once."""

    def __init__(self, paths: StudyPaths, study: Study, rules: Rules):
        self.paths, self.study, self.rules = paths, study, rules
        # the choices that a study can try, the default first
        tried = product(PROTOCOLS, (DEFAULT_VARIANT, *study.variants), study.preprocessings)
        self.choices = [Choice(protocol, preprocessing, variant) for protocol, variant, preprocessing in tried]
        self.default, self.clean = self.choices[0], Choice("clean", study.preprocessings[0])
        self.printed_audit = read_json(paths.printed_audit) or {}
        self.dataset_audit = read_json(paths.dataset_audit) or {}
        self.outcomes = cache(lambda where, scenario: read_outcomes(paths.of_variant(where[1]), where[0], scenario))
        self.rows, self.scores = cache(self._rows), cache(self._scores)

    def _rows(self, choice: Choice, scenario: str, part: str) -> dict[Model, pd.DataFrame]:
        """The outcomes of a choice that are scored, of each model."""
        rows = select(self.outcomes(choice[1:], scenario), choice.protocol, part)
        return dict(iter(rows.groupby(["backbone", "phase"], sort=False)))

    def _scores(self, choice: Choice, scenario: str, models: tuple[Model, ...], measure: str) -> list[Score]:
        """A measure of models, on the folds that all of them trained; of the validation parts where it is one of them.

        Raises:
            Missing: one of them was not run, or no fold was trained by all.
        """
        of_choice = self.rows(choice, scenario, _part(measure))
        for axis, values in (("protocol", [choice.protocol]), ("scenario", [scenario]), ("backbone", dict(models))):
            if missing := set(values) - set(getattr(self.study, f"{axis}s")):
                raise Missing(f"{axis} {', '.join(sorted(missing))} is not in this study")
        if missing := [model for model in models if model not in of_choice]:
            raise Missing(f"{missing[0][0]}, {missing[0][1]} phase, {scenario}, {choice.protocol}: not run")
        rows = [of_choice[model] for model in models]
        common = set.intersection(*(set(own["fold"]) for own in rows))
        if not common:
            raise Missing(f"{', '.join(' '.join(model) for model in models)}: no fold was trained by all of them")
        how = measure if measure in WEIGHTED else "accuracy", self.rules.resamples, self.rules.seed
        return [estimate(own[own["fold"].isin(common)], *how) for own in rows]

    def printed_size(self, scenario: str, phase: str, backbone: str, measure: str) -> int:
        """The size that the audit infers for the set that a printed measure was taken on; 0 without an audit."""
        return printed_size(self.printed_audit, scenarios()[scenario].table, phase, backbone, _part(measure))

    def cut_short(self, choice: Choice, scenario: str, backbone: str) -> bool:
        """Whether a scored fine-tuning may have ended while its validation loss still fell, or has no history."""
        paths, cell = self.paths.of_variant(choice.variant), (choice.protocol, choice.preprocessing, scenario, backbone)
        seeds = self.rows(choice, scenario, "test")[backbone, "finetune"]["seed"].unique()
        histories = [paths.run(*cell, seed) / "history.csv" for seed in seeds]
        return any(not history.is_file() or still_learning(pd.read_csv(history)) for history in histories)

    def classes(self, choice: Choice, scenario: str) -> str:
        """How many classes are scored, as `9 classes` or `8 of 9 classes`."""
        names, missing = scenarios()[scenario].names, read_not_evaluable(self.paths, choice.protocol, scenario)
        return f"{len(names) - len(missing)} of {len(names)} classes" if missing else f"{len(names)} classes"


def _part(measure: str) -> str:
    return "val" if measure == "val_accuracy" else "test"
