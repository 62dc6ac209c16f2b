"""What a study measured, as the two questions of a verdict need it.

The procedure is judged on what `by_view` tests: all views. Unseen lesions are judged on the originals under `clean`,
by the corrected labels. Both take the outcomes of all folds and seeds that were trained.
"""

from functools import cache

import pandas as pd

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import AXES, PHASES, Study
from lib.config.paths import StudyPaths, run_id
from lib.scores.estimates import Score, difference, estimate
from lib.scores.outcomes import read_outcomes, select
from lib.scores.printed import printed_size
from lib.scores.resampling import Estimate, wilson
from lib.verdicts.claims import Rules, printed_table

PROCEDURE, UNSEEN = "procedure", "unseen"  # the two questions
PROTOCOL_OF = {PROCEDURE: "by_view", UNSEEN: "clean"}
MEASURE_OF = {"test_accuracy": "accuracy", "val_accuracy": "accuracy", "val_loss": "loss"}  # of lib.scores.measures


class Evidence:
    """Everything that a study measured, each file read once and each score computed once."""

    def __init__(self, paths: StudyPaths, study: Study, rules: Rules, preprocessing: str = ""):
        self.paths, self.study, self.rules = paths, study, rules
        self.preprocessing = preprocessing or study.preprocessings[0]
        self.printed_audit = read_json(paths.printed_audit) or {}
        self.dataset_audit = read_json(paths.dataset_audit) or {}
        self.state = read_json(paths.state) or {}
        self.outcomes = cache(lambda scenario: read_outcomes(paths, self.preprocessing, scenario))
        self.rows, self.score = cache(self._rows), cache(self._score)

    def _rows(self, question: str, scenario: str, part: str) -> dict[tuple[str, str], pd.DataFrame]:
        """(backbone, phase) -> the outcomes that a question is judged on."""
        rows = select(self.outcomes(scenario), PROTOCOL_OF[question], part)
        return dict(iter(rows.groupby(["backbone", "phase"], sort=False)))

    def folds(self, question: str, scenario: str, backbone: str, phase: str, measure: str) -> set[int]:
        """The folds that were trained."""
        rows = self.rows(question, scenario, _part(measure)).get((backbone, phase))
        return set() if rows is None else set(rows["fold"].unique().tolist())

    def _score(
        self, question: str, scenario: str, backbone: str, phase: str, measure: str, folds: frozenset[int] | None = None
    ) -> Score | None:
        """A measure of a cell over `folds`, all that were trained if None; None where it was run in none of them.

        Validation measures are of the validation part of each fold.
        """
        rows = self.rows(question, scenario, _part(measure)).get((backbone, phase))
        if rows is not None and folds is not None:
            rows = rows[rows["fold"].isin(folds)]
        if rows is None or rows.empty:
            return None
        return estimate(rows, MEASURE_OF.get(measure, measure), self.rules.resamples, self.rules.seed)

    def gain(self, question: str, scenario: str, backbone: str) -> Score | None:
        """Test accuracy gained by fine-tuning, image by image, on the folds that both phases trained."""
        both = [self.folds(question, scenario, backbone, phase, "test_accuracy") for phase in PHASES]
        common = frozenset(both[0] & both[1])
        pair = [self.score(question, scenario, backbone, phase, "test_accuracy", common) for phase in PHASES]
        return None if None in pair else difference(pair[1], pair[0])

    def printed(self, value: float, scenario: str, phase: str, backbone: str, measure: str) -> tuple[Estimate, int]:
        """A printed score with Wilson's interval at the test-set size that the audit infers, and that size.

        Without an audit the number stands alone, at size 0.
        """
        size = self.printed_size(scenario, phase, backbone, measure)
        return wilson(value, size, self.rules.level), size

    def printed_gain(self, scenario: str, backbone: str) -> tuple[Estimate, Estimate, int]:
        """The two printed accuracies whose difference a printed gain is (fine-tuned, transfer), and their size."""
        accuracies = printed_table().loc[scenarios()[scenario].table]["test_accuracy"] / 100
        ends = [self.printed(accuracies[p, backbone], scenario, p, backbone, "test_accuracy") for p in PHASES]
        return ends[1][0], ends[0][0], ends[1][1]

    def printed_size(self, scenario: str, phase: str, backbone: str, measure: str) -> int:
        """The size that the audit infers for the set that a printed measure was taken on; 0 without an audit."""
        return printed_size(self.printed_audit, scenarios()[scenario].table, phase, backbone, _part(measure))

    def why_missing(self, question: str, scenario: str, backbone: str, phase: str) -> str:
        """Why a cell has no outcomes, from the runner's state where it says so."""
        protocol = PROTOCOL_OF[question]
        for axis, value in (("protocol", protocol), ("scenario", scenario), ("backbone", backbone)):
            if value not in getattr(self.study, f"{axis}s"):
                return f"{axis} {value} is not in this study"
        cell = f"{backbone}, {phase} phase, {scenario}, protocol {protocol}"
        seed = self.study.seeds[0]
        axes = dict(zip(AXES, (protocol, self.preprocessing, scenario, backbone, seed)))
        run = self.state.get(run_id("train", axes), {})
        if run.get("status") in ("failed", "not run", "skipped"):
            why = run.get("cause") or run.get("error")
            return f"{cell}: {run['status']}" + (f" ({why})" if why else "")
        if any(trained == backbone for trained, _ in self.rows(question, scenario, "test")):
            return f"{cell}: this phase was not run"
        return f"{cell}: not run"


def _part(measure: str) -> str:
    return "val" if measure.startswith("val_") else "test"
