"""What a study measured, as the two questions of a verdict need it.

The procedure is judged on what `by_view` tests: all views. Unseen lesions are judged on the originals under `clean`,
by the corrected labels. Both take the out-of-fold predictions of all folds and seeds that were trained.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import AXES, PHASES, Study
from lib.config.paths import StudyPaths, run_id
from lib.data.predictions import class_columns, out_of_fold
from lib.scores.resampling import Estimate, group_weights, mean_estimate, wilson
from lib.verdicts.claims import Rules, compared, printed_table

PROCEDURE, UNSEEN = "procedure", "unseen"  # the two questions
PROTOCOL_OF = {PROCEDURE: "by_view", UNSEEN: "clean"}
AXES_OF_STUDY = {"protocol": "protocols", "scenario": "scenarios", "backbone": "backbones"}


@dataclass(frozen=True)
class Sample:
    """A measure of one cell: its value over all images, over resampled groups, and of each training run alone."""

    value: float
    resampled: np.ndarray  # [resamples]
    runs: np.ndarray  # [folds, seeds], NaN where a run is missing
    images: int
    groups: int

    def estimate(self, level: float, share: bool = True) -> Estimate:
        """The value with the interval of its mean.

        Args:
            share: a share of images. One of 0 or 1 leaves nothing to resample: Wilson then, a group as one image.
        """
        if share and self.value in (0.0, 1.0):
            hits = self.value * self.groups
            low, high = proportion_confint(hits, self.groups, alpha=1 - level, method="wilson")
            return Estimate(self.value, float(low), float(high))
        return mean_estimate(self.value, self.resampled, self.runs, level)

    def less(self, other: "Sample") -> "Sample":
        """The paired difference self - other, of two samples of the same images."""
        value, resampled, runs = self.value - other.value, self.resampled - other.resampled, self.runs - other.runs
        return Sample(value, resampled, runs, self.images, self.groups)

    def turned(self) -> "Sample":
        """The same with the other sign."""
        return Sample(-self.value, -self.resampled, -self.runs, self.images, self.groups)

    @property
    def counts(self) -> dict[str, int]:
        seeds = int((~np.isnan(self.runs)).any(axis=0).sum())
        return {"folds": len(self.runs), "seeds": seeds, "images": self.images, "groups": self.groups}


@dataclass(frozen=True)
class Outcomes:
    """The predictions of one cell as arrays, a row an image, view and seed."""

    group: np.ndarray  # int [n], the place of the group among those of the question
    fold: np.ndarray
    seed: np.ndarray
    truth: np.ndarray  # int [n], the place of the true class
    probability: np.ndarray  # float [n, classes]

    def of_folds(self, folds: list[int]) -> "Outcomes":
        kept = np.isin(self.fold, folds)
        parts = (self.group, self.fold, self.seed, self.truth, self.probability)
        return Outcomes(*(part[kept] for part in parts))


class Evidence:
    """Everything that a study measured, each file read once.

    Samples of the same groups share their resamples, so their differences are paired.
    """

    def __init__(self, paths: StudyPaths, study: Study, rules: Rules, preprocessing: str = ""):
        self.paths, self.study, self.rules = paths, study, rules
        self.preprocessing = preprocessing or study.preprocessings[0]
        self.printed_audit = read_json(paths.printed_audit) or {}
        self.dataset_audit = read_json(paths.dataset_audit) or {}
        self.state = read_json(paths.state) or {}
        self.outcomes = cache(self._outcomes)
        self.sample = cache(self._sample)

    def predictions(self, question: str, scenario: str, backbone: str, phase: str, part: str) -> pd.DataFrame:
        """The out-of-fold predictions of a cell that a question is judged on."""
        cell = (PROTOCOL_OF[question], self.preprocessing, scenario, backbone, phase, self.study.seeds)
        return out_of_fold(self.paths, *cell, part=part, originals=question == UNSEEN)

    def _outcomes(self, question: str, scenario: str, part: str) -> tuple[dict[tuple[str, str], Outcomes], int]:
        """(backbone, phase) -> Outcomes, and the number of groups among them."""
        frames = {(b, p): self.predictions(question, scenario, b, p, part) for b in compared() for p in PHASES}
        frames = {key: frame for key, frame in frames.items() if len(frame)}
        groups = np.unique(np.concatenate([frame["group"].to_numpy() for frame in frames.values()] or [[]]))
        found = {}
        for key, frame in frames.items():
            classes = class_columns(frame)
            found[key] = Outcomes(
                group=np.searchsorted(groups, frame["group"].to_numpy()),
                fold=frame["fold"].to_numpy(),
                seed=frame["seed"].to_numpy(),
                truth=pd.Categorical(frame["true_class"], categories=classes).codes.astype(int),
                probability=frame[classes].to_numpy(float),
            )
        return found, len(groups)

    def folds(self, question: str, scenario: str, backbone: str, phase: str, measure: str) -> set[int]:
        """The folds that were trained."""
        found = self.outcomes(question, scenario, _part(measure))[0].get((backbone, phase))
        return set() if found is None else set(found.fold.tolist())

    def _sample(
        self, question: str, scenario: str, backbone: str, phase: str, measure: str, folds: frozenset[int] | None = None
    ) -> Sample | None:
        """A measure of a cell; None where the cell was not run, or in none of `folds`.

        Args:
            measure: test_accuracy, val_accuracy, precision, recall, f1 (weighted by support) or val_loss
                (cross-entropy); validation measures on the validation part of each fold.
            folds: only these; all that were trained if None.
        """
        cells, groups = self.outcomes(question, scenario, _part(measure))
        found = cells.get((backbone, phase))
        if found is not None and folds is not None:
            found = found.of_folds(sorted(folds))
        if found is None or not len(found.group):
            return None
        # the cell's own groups: the interval is the one that its tables have, and cells of the same images share it
        own = np.unique(found.group)
        weights = group_weights(own, self.rules.resamples, self.rules.seed)[0]
        # what a resample adds up is a sum a group: of hits and images, or of confusion matrices
        sums, score = _sums(found, measure)
        per_group = np.zeros((groups, sums.shape[1]))
        np.add.at(per_group, found.group, sums)
        folds_run, fold_codes = np.unique(found.fold, return_inverse=True)
        seeds = sorted(self.study.seeds)
        seed_codes = np.searchsorted(seeds, found.seed)
        per_run = np.zeros((len(folds_run) * len(seeds), sums.shape[1]))
        np.add.at(per_run, fold_codes * len(seeds) + seed_codes, sums)
        return Sample(
            value=float(score(sums.sum(axis=0, keepdims=True))[0]),
            resampled=score(weights @ per_group[own]),
            runs=score(per_run).reshape(len(folds_run), len(seeds)),
            images=len(found.group) // len(np.unique(found.seed)),
            groups=len(own),
        )

    def gain(self, question: str, scenario: str, backbone: str) -> Sample | None:
        """Test accuracy gained by fine-tuning, image by image, on the folds that both phases trained."""
        both = [self.folds(question, scenario, backbone, phase, "test_accuracy") for phase in PHASES]
        common = frozenset(both[0] & both[1])
        pair = [self.sample(question, scenario, backbone, phase, "test_accuracy", common) for phase in PHASES]
        return None if None in pair else pair[1].less(pair[0])

    def printed(self, value: float, scenario: str, phase: str, backbone: str, measure: str) -> tuple[Estimate, int]:
        """A printed score with Wilson's interval at the test-set size that the audit infers, and that size.

        Without an audit the number stands alone, at size 0.
        """
        size = self.printed_size(scenarios()[scenario].table, phase, backbone, measure)
        return wilson(value, size, self.rules.level), size

    def printed_gain(self, scenario: str, backbone: str) -> tuple[Estimate, Estimate, int]:
        """The two printed accuracies whose difference a printed gain is (fine-tuned, transfer), and their size."""
        accuracies = printed_table().loc[scenarios()[scenario].table]["test_accuracy"] / 100
        ends = [self.printed(accuracies[p, backbone], scenario, p, backbone, "test_accuracy") for p in PHASES]
        return ends[1][0], ends[0][0], ends[1][1]

    def printed_size(self, table: int, phase: str, backbone: str, measure: str) -> int:
        """The size that the audit infers for a row, else the smallest that fits the whole table; 0 without one."""
        key = "val_n" if measure.startswith("val_") else "test_n"
        sizes = self.table(table).get(key) or [0]
        return self.row(table, phase, backbone).get(f"inferred_{key}") or min(sizes)

    def table(self, number: int) -> dict:
        """The audit of one printed table; empty where there is none."""
        return (self.printed_audit.get("tables") or {}).get(str(number)) or {}

    def row(self, table: int, phase: str, backbone: str) -> dict:
        """The audit of one printed row; empty where there is none."""
        for row in self.table(table).get("rows") or []:
            if (row.get("phase"), row.get("backbone")) == (phase, backbone):
                return row
        return {}

    def why_missing(self, question: str, scenario: str, backbone: str, phase: str) -> str:
        """Why a cell has no predictions, from the runner's state where it says so."""
        protocol = PROTOCOL_OF[question]
        for axis, value in (("protocol", protocol), ("scenario", scenario), ("backbone", backbone)):
            if value not in getattr(self.study, AXES_OF_STUDY[axis]):
                return f"{axis} {value} is not in this study"
        cell = f"{backbone}, {phase} phase, {scenario}, protocol {protocol}"
        seed = self.study.seeds[0]
        axes = dict(zip(AXES, (protocol, self.preprocessing, scenario, backbone, seed)))
        run = self.state.get(run_id("train", axes), {})
        if run.get("status") in ("failed", "not run", "skipped"):
            why = run.get("cause") or run.get("error")
            return f"{cell}: {run['status']}" + (f" ({why})" if why else "")
        if self.paths.run(protocol, self.preprocessing, scenario, backbone, seed).is_dir():
            return f"{cell}: this phase was not run"
        return f"{cell}: not run"


def weighted_scores(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Support-weighted precision, recall and F1 (equations 11 to 13) of many confusion matrices at once.

    Args:
        confusions: float [m, classes, classes], rows the true class.

    Returns:
        precision, recall and f1, each float [m]; a class never predicted has precision 0.
    """
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    support, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(hits), where=both > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = support / support.sum(axis=1, keepdims=True)
    scores = {"precision": precision, "recall": recall, "f1": f1}
    return {name: (share * score).sum(axis=1) for name, score in scores.items()}


def _part(measure: str) -> str:
    return "val" if measure.startswith("val_") else "test"


def _sums(found: Outcomes, measure: str):
    """What to add up a row, float [n, k], and the function that makes the measure of such sums [m, k]."""
    classes = found.probability.shape[1]
    predicted = found.probability.argmax(axis=1)
    if measure in ("precision", "recall", "f1"):
        cells = np.eye(classes * classes)[found.truth * classes + predicted]
        return cells, lambda sums: weighted_scores(sums.reshape(-1, classes, classes))[measure]
    if measure == "val_loss":
        own = found.probability[np.arange(len(predicted)), found.truth]
        values = -np.log(np.clip(own, np.finfo(np.float32).eps, 1))
    else:
        values = (predicted == found.truth).astype(float)
    return np.stack([values, np.ones(len(values))], axis=1), _mean_of_sums


def _mean_of_sums(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[:, 0] / sums[:, 1]
