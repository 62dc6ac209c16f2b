"""Every claim of params/claims.yaml against what the study measured: the rules are code, none is judged by hand.

A claim is tested under each protocol on the saved predictions. The rules, with the numbers of claims.yaml's `rules`:

- `equals`, an accuracy or another score: holds where the interval of (ours - printed) covers 0. Both have sampling
  errors: ours by resampling groups, the printed one by Wilson's interval at the test-set size that the audit infers;
  the two are joined by Newcombe's square-and-add. This asks whether the printed number is one that a repetition could
  give (Patil, Peng & Leek, Perspectives on Psychological Science 11:539, 2016).
- `above`, and a gain that is to be positive: the whole interval lies above the value.
- `rank`: ours has that rank among the six backbones, and has it in more than half of the resamples.
- `order: printed`: Kendall's tau between our order of the backbones and the printed one is positive beyond chance.
- `better_than`, `worse_than`: the interval of the paired difference from each rival excludes 0, Bonferroni-corrected.
- `at_least`, `at_most`, and `equals` for counts of the data set: compared as they are.

A claim that the paper's own tables contradict, or that no test set could give, is impossible as printed.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from scipy.stats import kendalltau
from statsmodels.stats.proportion import proportion_confint

from lib.config import (
    MALIGNANT,
    PARAMS,
    PHASES,
    PROTOCOLS,
    ParameterError,
    Strict,
    Study,
    StudyPaths,
    backbones,
    nearest,
    published,
    read_yaml,
    scenarios,
    validated,
)
from lib.data import class_columns
from lib.verdicts.ladder import difference_interval, group_weights, percentile_interval, predictions

REPRODUCED = "reproduced"
LEAKAGE = "reproduced only with leakage"
NOT_REPRODUCED = "not reproduced"
IMPOSSIBLE = "impossible as printed"
NOT_TESTED = "not tested"
VERDICTS = (REPRODUCED, LEAKAGE, NOT_REPRODUCED, IMPOSSIBLE, NOT_TESTED)

SCORES = ("test_accuracy", "val_accuracy", "precision", "recall", "f1")
DATA_SET = ("images", "classes", "contradictory_contents", "label_disagreements", "benign_share")
COMPARISONS = ("equals", "rank", "order", "above", "at_least", "at_most", "better_than", "worse_than")


class Check(Strict):
    """How a claim is tested: one measure, where it is taken, and one comparison."""

    measure: Literal[
        *SCORES, "val_loss", "gain", *DATA_SET, "test_images", "segmentation_dice", "gradcam_focus", "none"
    ]
    scenario: str | None = None
    backbone: str | list[str] | None = None  # of a list each must pass
    phase: Literal[PHASES] | None = None
    # per cent and points for scores and gains, plain numbers for losses, counts and shares; `printed`: published.csv
    equals: float | Literal["printed"] | None = None
    rank: int | None = Field(None, ge=1, le=6)
    order: Literal["printed"] | None = None
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    better_than: list[str] | None = None
    worse_than: list[str] | None = None
    reason: str | None = None  # of `none`: why the study cannot test it

    @model_validator(mode="after")
    def makes_sense(self) -> "Check":
        given = [name for name in COMPARISONS if getattr(self, name) is not None]
        if self.measure == "none":
            if given or not self.reason:
                raise ValueError("measure `none` takes a reason and no comparison")
            return self
        if len(given) != 1 or self.reason is not None:
            raise ValueError(f"measure {self.measure!r} takes exactly one of {', '.join(COMPARISONS)}, and no reason")
        valid = {
            **dict.fromkeys(SCORES, set(COMPARISONS) - {"at_least", "at_most"}),
            "val_loss": {"equals"},
            "gain": {"equals", "above"},
            "test_images": {"at_most"},
        }.get(self.measure, {"equals", "at_least", "at_most"})
        if given[0] not in valid:
            raise ValueError(f"measure {self.measure!r} cannot be compared by {given[0]!r}, only by {sorted(valid)}")
        model = self.measure in (*SCORES, "val_loss", "gain")
        needs = ["scenario"] * (model or self.measure == "test_images")
        needs += ["backbone"] * (model and self.order is None) + ["phase"] * (model and self.measure != "gain")
        for name in ("scenario", "backbone", "phase"):
            if (getattr(self, name) is not None) != (name in needs):
                raise ValueError(f"measure {self.measure!r} {'needs' if name in needs else 'takes no'} {name!r}")
        for value, names in ((self.scenario, scenarios()), *((b, backbones()) for b in self.named_backbones)):
            if value is not None and value not in names:
                raise ValueError(f"no {value!r}{nearest(value, names)}")
        return self

    @property
    def own(self) -> list[str]:
        """The backbones that the claim is about."""
        return [self.backbone] if isinstance(self.backbone, str) else self.backbone or []

    @property
    def named_backbones(self) -> list[str]:
        return [*self.own, *(self.better_than or []), *(self.worse_than or [])]

    @property
    def comparison(self) -> tuple[str, Any]:
        """The one comparison given, as (name, value); ("", None) of `none`."""
        given = [(name, getattr(self, name)) for name in COMPARISONS if getattr(self, name) is not None]
        return given[0] if given else ("", None)


class Claim(Strict):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    place: Literal["abstract", "section", "table", "figure"]
    where: str  # "abstract", "section IV.B", "Table V", "Fig. 14"
    quote: str
    kind: Literal["number", "rank", "improvement", "literature", "data set", "method"]
    test: Check


class Rows(Strict):
    """One claim for each printed row of Tables I-IV: the value of `measure` there."""

    measure: Literal[SCORES]


class Rules(Strict):
    level: float = Field(0.95, gt=0.5, lt=1)  # of every interval
    alpha: float = Field(0.05, gt=0, lt=0.5)  # of the rank correlation and, corrected, of comparisons with rivals
    widest: float = Field(20.0, gt=0)  # points: a wider interval of (ours - printed) cannot confirm a number
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)


class Claims(Strict):
    rules: Rules = Rules()
    claims: list[Claim]
    every_row: list[Rows] = []

    @model_validator(mode="after")
    def each_once(self) -> "Claims":
        names = [claim.id for claim in self.claims]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"claim ids must be unique; {', '.join(twice)} stands more than once")
        return self


def load_claims(path: Path = PARAMS / "claims.yaml") -> Claims:
    """The claims with their rules; `every_row` is expanded to one claim a printed row.

    Raises:
        ParameterError: unknown key or measure, a comparison that does not fit the measure, an id used twice.
    """
    content = read_yaml(path)
    # entry by entry first, so that the message names the claim
    for number, entry in enumerate(content.get("claims") or []):
        if not isinstance(entry, dict):
            raise ParameterError(f"{path}: claim {number + 1} must hold `key: value` lines")
        validated(Claim, entry, path, str(entry.get("id", f"claims.{number}")))
    read = validated(Claims, content, path)
    rows = [claim for entry in read.every_row for claim in _table_claims(entry.measure)]
    return Claims(rules=read.rules, claims=[*read.claims, *rows])


def judge(paths: StudyPaths, study: Study, claims: Claims | None = None, preprocessing: str = "") -> list[dict]:
    """The verdict on every claim, as claims.json holds it.

    Args:
        paths: the study; the audits, predictions, segmentation and Grad-CAM tables are read where they are there.
        preprocessing: the input range that is judged; the study's first if empty.

    Returns:
        A dict a claim: id, place, where, quote, kind, test (as in the file), rule (in words), verdict, reason,
        preprocessing, and `protocols`: protocol (or "all" where no protocol matters) -> verdict, reason,
        holds (true, false or null: what the rule gave, also on synthetic images), numbers.
    """
    claims = claims or load_claims()
    evidence = _Evidence(paths, study, claims.rules, preprocessing or study.preprocessings[0])
    return [_judged(claim, evidence) for claim in claims.claims]


def summary(verdicts: list[dict]) -> pd.DataFrame:
    """How many claims have each verdict: a row a kind and one for all, a column a verdict, `claims` their number."""
    table = pd.DataFrame([(claim["kind"], claim["verdict"]) for claim in verdicts], columns=["kind", "verdict"])
    counts = pd.crosstab(table["kind"], table["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    counts.loc["all"] = counts.sum()
    return counts.assign(claims=counts.sum(axis=1)).rename_axis(index="kind", columns=None).reset_index()


def as_table(verdicts: list[dict]) -> pd.DataFrame:
    """claims.json as a table: id, where, kind, quote, verdict, reason, rule, and a column with the verdict under each
    protocol."""
    rows = []
    for claim in verdicts:
        row = {key: claim[key] for key in ("id", "place", "where", "kind", "quote", "verdict", "reason", "rule")}
        for protocol in PROTOCOLS:
            own = claim["protocols"].get(protocol) or claim["protocols"].get("all") or {}
            row[protocol] = own.get("verdict", NOT_TESTED)
        rows.append(row)
    return pd.DataFrame(rows)


def rule_in_words(test: Check, rules: Rules) -> str:
    """The rule of a test, with its interval, test and margin, in one sentence."""
    interval = f"{100 * rules.level:g} % interval (groups resampled {rules.resamples} times)"
    name, value = test.comparison
    if test.measure == "none":
        return "none: the study has nothing to test it with"
    if test.measure == "test_images":
        return f"holds if one test set of at most {value:g} images gives every printed accuracy of the table"
    if test.measure == "gradcam_focus":
        return "holds if the lesion's share of the Grad-CAM map is larger than its share of the image, on average"
    if test.measure in (*DATA_SET, "segmentation_dice"):
        what = {"equals": "equals", "at_least": "is at least", "at_most": "is at most"}[name]
        return f"holds if {test.measure.replace('_', ' ')} {what} {value:g}"
    measure = test.measure.replace("_", " ")
    if test.measure == "gain":
        measure = "test accuracy gained by fine-tuning"
    if name == "equals" and test.measure == "val_loss":
        return f"holds if the {interval} of our validation loss covers the printed {value:g}"
    if name == "equals":
        return (
            f"holds if the {100 * rules.level:g} % interval of ({measure}, ours - printed) covers 0: groups resampled "
            f"{rules.resamples} times for ours, Wilson at the inferred test-set size for the printed; not tested if it "
            f"covers 0 but is wider than {rules.widest:g} points"
        )
    if name == "above":
        return f"holds if the whole {interval} of our {measure} is above {value:g}"
    if name == "rank":
        also = f"also in more than half of {rules.resamples} resamples"
        return f"holds if its {measure} has rank {value} of the six models, {also}"
    if name == "order":
        return (
            "holds if Kendall's tau between our order of the six models and the printed one is positive "
            f"with p < {rules.alpha:g} (exact, one-sided)"
        )
    side = "above" if name == "better_than" else "below"
    corrected = f"Bonferroni-corrected for {len(value)} rivals" if len(value) > 1 else "one rival"
    return f"holds if its {measure} is {side} that of {', '.join(value)}: paired {interval}, {corrected}, excludes 0"


class _Evidence:
    """What the study measured, read once; samples of one test set share their resamples, so differences are paired."""

    def __init__(self, paths: StudyPaths, study: Study, rules: Rules, preprocessing: str):
        self.paths, self.study, self.rules, self.preprocessing = paths, study, rules, preprocessing
        self.published_audit = _json(paths.published_audit)
        self.dataset_audit = _json(paths.dataset_audit)
        self.state = _json(paths.state) or {}
        self.sample = cache(self._sample)
        self.weights = cache(self._weights)
        self.frames = cache(self._frames)

    def _frames(self, protocol: str, scenario: str, part: str) -> dict[tuple[str, str], pd.DataFrame]:
        found = {}
        for backbone in _compared():
            for phase in PHASES:
                seeds = self.study.seeds
                frame = predictions(
                    self.paths, protocol, self.preprocessing, scenario, backbone, phase, seeds=seeds, part=part
                )
                if len(frame):
                    found[backbone, phase] = frame
        return found

    def _weights(self, protocol: str, scenario: str, part: str) -> tuple[np.ndarray, pd.Series]:
        groups = pd.concat([frame["group"] for frame in self.frames(protocol, scenario, part).values()]).unique()
        weights, codes = group_weights(groups, self.rules.resamples, self.rules.seed)
        return weights, pd.Series(codes, index=groups)

    def _sample(self, protocol: str, scenario: str, backbone: str, phase: str, measure: str) -> "_Sample | None":
        part = "val" if measure.startswith("val_") else "test"
        frame = self.frames(protocol, scenario, part).get((backbone, phase))
        if frame is None:
            return None
        weights, code_of = self.weights(protocol, scenario, part)
        codes = frame["group"].map(code_of).to_numpy()
        classes = class_columns(frame)
        images = len(frame) // frame["seed"].nunique()
        probability = frame[classes].to_numpy(float)
        truth = pd.Categorical(frame["true_class"], categories=classes).codes
        if measure in ("precision", "recall", "f1"):
            size = len(classes)
            cells = truth * size + probability.argmax(axis=1)
            counts = np.zeros((weights.shape[1], size * size))
            np.add.at(counts, (codes, cells), 1)
            score = weighted_scores((weights @ counts).reshape(-1, size, size))[measure]
            value = weighted_scores(counts.sum(axis=0).reshape(1, size, size))[measure][0]
            return _Sample(value, score, images, frame["group"].nunique())
        if measure == "val_loss":
            own = probability[np.arange(len(frame)), truth]
            values = -np.log(np.clip(own, np.finfo(np.float32).eps, 1))
        else:
            values = (probability.argmax(axis=1) == truth).astype(float)
        sums, counts = (
            np.bincount(codes, weights=w, minlength=weights.shape[1]) for w in (values, np.ones(len(values)))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return _Sample(values.mean(), (weights @ sums) / (weights @ counts), images, frame["group"].nunique())

    def printed(self, scenario: str, phase: str, backbone: str, measure: str) -> tuple[float, float, float]:
        """A printed score with Wilson's interval at the smallest test-set size that fits, as fractions of 1; without
        an audit the printed number stands alone."""
        table = scenarios()[scenario].table
        value = float(_published().loc[(table, phase, backbone), measure]) / 100
        return value, *self.wilson(value, table, phase, backbone, measure)

    def wilson(self, value: float, table: int, phase: str, backbone: str, measure: str) -> tuple[float, float]:
        size = self.printed_size(table, phase, backbone, "val_n" if measure == "val_accuracy" else "test_n")
        if size is None:
            return value, value
        low, high = proportion_confint(value * size, size, alpha=1 - self.rules.level, method="wilson")
        return float(low), float(high)

    def printed_size(self, table: int, phase: str, backbone: str, key: str) -> int | None:
        """The size that the audit infers for a row, else the smallest that fits the whole table; None without one."""
        table_sizes = self.table(table).get(key) or [None]
        return self.row(table, phase, backbone).get(f"inferred_{key}") or min(table_sizes)

    def table(self, number: int) -> dict:
        """The audit of one printed table; empty where there is none."""
        return ((self.published_audit or {}).get("tables") or {}).get(str(number)) or {}

    def row(self, table: int, phase: str, backbone: str) -> dict:
        """The audit of one printed row; empty where there is none."""
        for row in self.table(table).get("rows") or []:
            if (row.get("phase"), row.get("backbone")) == (phase, backbone):
                return row
        return {}

    def why_missing(self, protocol: str, scenario: str, backbone: str, phase: str) -> str:
        """Why a cell has no predictions, from the runner's state where it says so."""
        cell = f"{backbone}, {phase} phase, {scenario}, protocol {protocol}"
        for axis, values in (
            ("protocol", self.study.protocols),
            ("scenario", self.study.scenarios),
            ("backbone", self.study.backbones),
        ):
            value = {"protocol": protocol, "scenario": scenario, "backbone": backbone}[axis]
            if value not in values:
                return f"{value} is not in this study"
        run = self.state.get(
            f"train-{protocol}-{self.preprocessing}-{scenario}-{backbone}-seed{self.study.seeds[0]}", {}
        )
        if run.get("status") in ("failed", "not run", "left out"):
            why = run.get("cause") or run.get("error")
            return f"{cell}: {run['status']}" + (f" ({why})" if why else "")
        if (self.paths.run(protocol, self.preprocessing, scenario, backbone, self.study.seeds[0])).is_dir():
            return f"{cell}: this phase was not run"
        return f"{cell}: not run"


class _Sample:
    """A measure of one cell: its value, its resampled values [resamples], and on how many images and groups."""

    def __init__(self, value: float, resampled: np.ndarray, images: int, groups: int):
        self.value, self.resampled, self.images, self.groups = float(value), resampled, images, groups

    def interval(self, rules: Rules, proportion: bool = True) -> tuple[float, float]:
        if proportion and self.value in (0.0, 1.0):  # nothing varies: Wilson with a group as one image
            hits = self.value * self.groups
            low, high = proportion_confint(hits, self.groups, alpha=1 - rules.level, method="wilson")
            return float(low), float(high)
        return percentile_interval(self.resampled, rules.level)

    def less(self, other: "_Sample") -> "_Sample":
        """The paired difference self - other."""
        return _Sample(self.value - other.value, self.resampled - other.resampled, self.images, self.groups)


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
    share = support / support.sum(axis=1, keepdims=True)
    return {
        "precision": (share * precision).sum(axis=1),
        "recall": (share * recall).sum(axis=1),
        "f1": (share * f1).sum(axis=1),
    }


def _judged(claim: Claim, evidence: _Evidence) -> dict:
    test = claim.test
    impossible = _contradiction(test, evidence)
    model = test.measure in (*SCORES, "val_loss", "gain")
    outcomes = {}
    if test.measure == "none":
        outcomes["all"] = (None, test.reason, {})
    elif test.measure == "test_images":
        outcomes["all"] = _test_images(test, evidence)
    elif not model:
        outcomes["all"] = _of_the_data(test, evidence)
    else:
        for protocol in PROTOCOLS:
            if protocol not in evidence.study.protocols:
                outcomes[protocol] = (None, f"protocol {protocol} is not in this study", {})
            elif test.scenario not in evidence.study.scenarios:
                outcomes[protocol] = (None, f"scenario {test.scenario} is not in this study", {})
            else:
                outcomes[protocol] = _of_models(test, evidence, protocol)
    synthetic = evidence.study.synthetic and test.measure not in ("none", "test_images")
    protocols = {
        name: _entry(holds, reason, numbers, impossible or _ceiling(test, evidence, name), synthetic)
        for name, (holds, reason, numbers) in outcomes.items()
    }
    verdict, reason = _overall(protocols)
    return {
        **claim.model_dump(exclude={"test"}),
        "test": test.model_dump(exclude_none=True),
        "rule": rule_in_words(test, evidence.rules),
        "verdict": verdict,
        "reason": reason,
        "preprocessing": evidence.preprocessing if model else "",
        "protocols": protocols,
    }


def _entry(holds: bool | None, reason: str, numbers: dict, impossible: str, synthetic: bool) -> dict:
    if impossible:
        verdict, why = IMPOSSIBLE, impossible
    elif synthetic:
        verdict, why = NOT_TESTED, "synthetic images"
    else:
        verdict, why = {True: REPRODUCED, False: NOT_REPRODUCED, None: NOT_TESTED}[holds], reason
    return {"verdict": verdict, "reason": why, "holds": holds, "outcome": reason, "numbers": numbers}


def _overall(protocols: dict[str, dict]) -> tuple[str, str]:
    """One verdict from those under the protocols; `published` becomes "only with leakage" where it is.

    The strictest protocol without the leak that was tested (clean, else grouped) decides. What holds under `published`
    and under no tested protocol without the leak, holds only with leakage. What was tested only under `published` and
    holds there is left open: the leak may explain it.
    """
    verdicts = {name: entry["verdict"] for name, entry in protocols.items()}
    if "all" in protocols:
        return verdicts["all"], protocols["all"]["reason"]
    impossible = [name for name, verdict in verdicts.items() if verdict == IMPOSSIBLE]
    if len(impossible) == len(protocols):
        return IMPOSSIBLE, protocols[impossible[0]]["reason"]
    tested = [name for name, verdict in verdicts.items() if verdict in (REPRODUCED, NOT_REPRODUCED)]
    honest = [name for name in tested if name != "published"]
    with_leak = verdicts.get("published") == REPRODUCED
    if not tested:
        name = (impossible or list(protocols))[-1]
        return verdicts[name], protocols[name]["reason"]
    if not honest:
        if with_leak:
            why = protocols["clean"]["reason"]
            return NOT_TESTED, f"holds under published, but nothing without the leak was tested ({why})"
        return NOT_REPRODUCED, f"published: {protocols['published']['reason']}"
    last = honest[-1]
    if verdicts[last] == REPRODUCED:
        return REPRODUCED, f"{last}: {protocols[last]['reason']}"
    if with_leak and all(verdicts[name] == NOT_REPRODUCED for name in honest):
        protocols["published"]["verdict"] = LEAKAGE
        return LEAKAGE, f"published: {protocols['published']['reason']}; {last}: {protocols[last]['reason']}"
    return NOT_REPRODUCED, f"{last}: {protocols[last]['reason']}"


def _of_models(test: Check, evidence: _Evidence, protocol: str) -> tuple[bool | None, str, dict]:
    """holds, reason, numbers of a claim about trained models, each of its backbones in turn; one failure decides."""
    name, _ = test.comparison
    if name == "order":
        return _order(test, evidence, protocol)
    rule = {"equals": _equals, "above": _above, "rank": _rank}.get(name, _better)
    parts = {backbone: rule(test, evidence, protocol, backbone) for backbone in test.own}
    if len(parts) == 1:
        return next(iter(parts.values()))
    outcomes = [holds for holds, _, _ in parts.values()]
    holds = False if False in outcomes else None if None in outcomes else True
    decisive = [f"{backbone}: {part[1]}" for backbone, part in parts.items() if holds is True or part[0] is holds]
    return holds, "; ".join(decisive), {backbone: part[2] for backbone, part in parts.items()}


def _measured(test: Check, evidence: _Evidence, protocol: str, backbone: str) -> "_Sample | str":
    """The sample of a backbone's measure, or why there is none."""
    if test.measure != "gain":
        sample = evidence.sample(protocol, test.scenario, backbone, test.phase, test.measure)
        return sample or evidence.why_missing(protocol, test.scenario, backbone, test.phase)
    samples = []
    for phase in ("finetune", "transfer"):
        sample = evidence.sample(protocol, test.scenario, backbone, phase, "test_accuracy")
        if sample is None:
            return evidence.why_missing(protocol, test.scenario, backbone, phase)
        samples.append(sample)
    return samples[0].less(samples[1])


def _equals(test: Check, evidence: _Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    sample = _measured(test, evidence, protocol, backbone)
    if isinstance(sample, str):
        return None, sample, {}
    rules = evidence.rules
    low, high = sample.interval(rules, proportion=test.measure in SCORES)
    if test.measure == "val_loss":
        numbers = {"ours": sample.value, "low": low, "high": high, "printed": test.equals} | _sizes(sample)
        holds = low <= test.equals <= high
        return holds, f"ours {sample.value:.2f} [{low:.2f}, {high:.2f}], printed {test.equals:g}", numbers
    table, phase = scenarios()[test.scenario].table, test.phase or "finetune"
    if test.measure == "gain":
        printed = test.equals / 100
        ends = [evidence.printed(test.scenario, p, backbone, "test_accuracy") for p in ("finetune", "transfer")]
        value, printed_low, printed_high = difference_interval(*ends)
        printed_low, printed_high = printed + printed_low - value, printed + printed_high - value
    else:
        printed = _claimed(test, backbone) / 100
        printed_low, printed_high = evidence.wilson(printed, table, phase, backbone, test.measure)
    difference, d_low, d_high = difference_interval((sample.value, low, high), (printed, printed_low, printed_high))
    size = evidence.printed_size(table, phase, backbone, "val_n" if test.measure == "val_accuracy" else "test_n")
    numbers = {
        "ours": 100 * sample.value, "low": 100 * low, "high": 100 * high, "printed": 100 * printed,
        "printed_low": 100 * printed_low, "printed_high": 100 * printed_high, "printed_n": size,
        "difference": 100 * difference, "difference_low": 100 * d_low, "difference_high": 100 * d_high,
    }  # fmt: skip
    numbers |= _sizes(sample)
    said = f"ours {100 * sample.value:.1f} [{100 * low:.1f}, {100 * high:.1f}], printed {100 * printed:.2f}"
    if not d_low <= 0 <= d_high:
        return False, f"{said}: {'higher' if difference > 0 else 'lower'} beyond chance", numbers
    if 100 * (d_high - d_low) > rules.widest:
        return None, f"{said}: too few test images to decide ({sample.images} of {sample.groups} groups)", numbers
    return True, said, numbers


def _above(test: Check, evidence: _Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    sample = _measured(test, evidence, protocol, backbone)
    if isinstance(sample, str):
        return None, sample, {}
    low, high = (100 * end for end in sample.interval(evidence.rules, proportion=test.measure in SCORES))
    ours = 100 * sample.value
    numbers = {"ours": ours, "low": low, "high": high, "value": test.above} | _sizes(sample)
    said = f"ours {ours:.1f} [{low:.1f}, {high:.1f}], to be above {test.above:g}"
    if low > test.above:
        return True, said, numbers
    return False, said + (": above, but not beyond chance" if ours > test.above else ": not above"), numbers


def _rank(test: Check, evidence: _Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    samples = {name: _measured(test, evidence, protocol, name) for name in _compared()}
    missing = [name for name, sample in samples.items() if isinstance(sample, str)]
    if missing:
        return None, f"a rank needs all six models; {samples[missing[0]]}", {"missing": missing}
    others = [sample for name, sample in samples.items() if name != backbone]
    rank = 1 + sum(sample.value > samples[backbone].value for sample in others)
    ranks = 1 + sum((sample.resampled > samples[backbone].resampled).astype(int) for sample in others)
    share = float(np.mean(ranks == test.rank))
    numbers = {"rank": rank, "share_of_resamples": share} | _sizes(samples[backbone])
    numbers["scores"] = {name: 100 * sample.value for name, sample in samples.items()}
    said = f"rank {rank} of 6; rank {test.rank} in {100 * share:.0f} % of the resamples"
    return rank == test.rank and share > 0.5, said, numbers


def _order(test: Check, evidence: _Evidence, protocol: str) -> tuple[bool | None, str, dict]:
    samples = {name: _measured(test, evidence, protocol, name) for name in _compared()}
    missing = [name for name, sample in samples.items() if isinstance(sample, str)]
    if missing:
        return None, f"an order needs all six models; {samples[missing[0]]}", {"missing": missing}
    printed = [_published().loc[(scenarios()[test.scenario].table, test.phase, name), test.measure] for name in samples]
    ours = [100 * sample.value for sample in samples.values()]
    result = kendalltau(ours, printed, alternative="greater")
    tau, p_value = float(result.statistic), float(result.pvalue)
    numbers = {"tau": tau, "p_value": p_value, "models": len(ours), "scores": dict(zip(samples, ours))}
    if not np.isfinite(tau):
        return False, "all our scores are the same: no order", numbers | {"tau": None, "p_value": None}
    return tau > 0 and p_value < evidence.rules.alpha, f"Kendall's tau {tau:.2f}, p = {p_value:.3f}, 6 models", numbers


def _better(test: Check, evidence: _Evidence, protocol: str, backbone: str) -> tuple[bool | None, str, dict]:
    side = 1 if test.better_than else -1
    rivals = test.better_than or test.worse_than
    own = _measured(test, evidence, protocol, backbone)
    if isinstance(own, str):
        return None, own, {}
    outcomes, numbers, said, missing = [], _sizes(own), [], ""
    for rival in rivals:
        sample = _measured(test, evidence, protocol, rival)
        if isinstance(sample, str):
            outcomes.append(None)
            missing = missing or sample
            continue
        difference = own.less(sample)
        low, high = percentile_interval(difference.resampled, 1 - evidence.rules.alpha / len(rivals))
        outcomes.append(low > 0 if side > 0 else high < 0)
        numbers[rival] = {"difference": 100 * difference.value, "low": 100 * low, "high": 100 * high}
        said.append(
            (outcomes[-1], f"{100 * difference.value:+.1f} [{100 * low:.1f}, {100 * high:.1f}] points against {rival}")
        )
    if False in outcomes:
        return False, "; ".join(text for good, text in said if not good), numbers
    if missing:
        return None, missing, numbers
    return True, "; ".join(text for _, text in said), numbers


def _of_the_data(test: Check, evidence: _Evidence) -> tuple[bool | None, str, dict]:
    value, unit = _data_measure(test.measure, evidence)
    if value is None:
        return None, unit, {}
    name, target = test.comparison
    holds = {"equals": value == target, "at_least": value >= target, "at_most": value <= target}[name]
    return bool(holds), f"{unit}: {value:g}", {"value": float(value), "claimed": target}


def _data_measure(measure: str, evidence: _Evidence) -> tuple[float | None, str]:
    """The value and what it is; or None and why there is none."""
    paths, audit = evidence.paths, evidence.dataset_audit or {}
    if measure == "segmentation_dice":
        table = _csv(paths.kmeans / "segmentation.csv")
        dice = table["dice"].dropna() if table is not None and "dice" in table else []
        return (
            (float(np.mean(dice)), f"mean Dice over {len(dice)} masks")
            if len(dice)
            else (None, "no ground-truth masks")
        )
    if measure == "gradcam_focus":
        return _gradcam_focus(paths)
    if measure == "images":
        if "files" not in audit:
            return None, "the data set was not audited"
        copies = audit.get("marked_copies", 0)
        return audit["files"] - copies, "readable image files" + (
            f", {copies} marked as copies left out" * bool(copies)
        )
    if measure == "contradictory_contents":
        what = "contents filed under more than one class"
        return (audit[measure], what) if measure in audit else (None, "the data set was not audited")
    if not paths.image_index.is_file():
        return None, "the data set was not audited"
    index = pd.read_parquet(paths.image_index)
    counts = index["class"].value_counts()
    if measure == "classes":
        return int((counts > 0).sum()), "classes with images"
    if measure == "benign_share":
        return float(1 - index["class"].isin(MALIGNANT).mean()), "share of benign images"
    from lib.data import DIAGNOSIS_CLASSES

    known = index[index["diagnosis"] != ""]
    if known.empty:
        return None, "no metadata with official diagnoses"
    disagree = [label not in DIAGNOSIS_CLASSES[code] for label, code in zip(known["class"], known["diagnosis"])]
    return int(np.sum(disagree)), f"labels that contradict the official diagnosis, of {len(known)} with one"


def _gradcam_focus(paths: StudyPaths) -> tuple[float | None, str]:
    """Mean over maps of (share of the map inside the lesion - share of the image that the lesion covers)."""
    maps = [pd.read_csv(file) for file in sorted(paths.gradcam.glob("*/*/maps.csv"))]
    maps = pd.concat(maps, ignore_index=True) if maps else pd.DataFrame(columns=["share_in_lesion"])
    if "lesion_share" not in maps and "source" in maps:
        segments = _csv(paths.kmeans / "segmentation.csv")
        if segments is not None and {"source", "abnormal_area"} <= set(segments.columns):
            area = segments.drop_duplicates("source").set_index("source")["abnormal_area"]
            maps = maps.assign(lesion_share=maps["source"].map(area))
    if not {"share_in_lesion", "lesion_share"} <= set(maps.columns):
        return None, "no Grad-CAM map with the lesion's share of map and image"
    excess = (maps["share_in_lesion"] - maps["lesion_share"]).dropna()
    if excess.empty:
        return None, "no Grad-CAM map has a segmented lesion"
    return float(
        excess.mean()
    ), f"share of the map inside the lesion minus the lesion's area, mean of {len(excess)} maps"


def _test_images(test: Check, evidence: _Evidence) -> tuple[bool | None, str, dict]:
    table = scenarios()[test.scenario].table
    audit = evidence.table(table)
    if not audit:
        return None, "the printed tables were not audited", {}
    sizes = [int(n) for n in audit.get("test_n") or []]
    groups = sorted({int(group["test_n"]) for group in audit.get("groups") or []})
    numbers = {"test_n": sizes, "sizes_of_groups": groups, "at_most": test.at_most}
    said = f"test-set sizes that give all accuracies of Table {_roman(table)}: {_listed(sizes)}"
    if not sizes:
        said = f"no single test-set size gives all accuracies of Table {_roman(table)}"
        said += f" (its rows share the sizes {_listed(groups)})" if groups else ""
    return any(n <= test.at_most for n in sizes), said, numbers


def _contradiction(test: Check, evidence: _Evidence) -> str:
    """Why the claim cannot be true of the paper's own tables; empty where it can."""
    if test.measure == "test_images":
        holds, reason, _ = _test_images(test, evidence)
        return f"{reason}; a tenth of the images is at most {test.at_most:g}" if holds is False else ""
    if test.measure not in (*SCORES, "gain"):
        return ""
    table, tables = scenarios()[test.scenario].table, _published()
    for backbone in test.own:
        said = _printed_says(test, tables, table, backbone)
        if said:
            return f"Table {_roman(table)} contradicts it: {said}"
        for phase in ([test.phase] if test.phase else PHASES) if test.comparison[0] == "equals" else []:
            said = _row_error(evidence, table, phase, backbone, test.measure)
            if said:
                return f"Table {_roman(table)}, {phase}, {backbone}: {said}"
    return ""


def _printed_says(test: Check, tables: pd.DataFrame, table: int, backbone: str) -> str:
    """What the printed table says against the claim; empty where it agrees."""
    name, value = test.comparison

    def printed(phase: str, who: str, measure: str = test.measure) -> float:
        return float(tables.loc[(table, phase, who), measure])

    if test.measure == "gain":
        before, after = (printed(phase, backbone, "test_accuracy") for phase in PHASES)
        gain = round(after - before, 2)
        # a claim with fewer decimals than the table is a rounded one
        wrong = abs(gain - value) > 0.5 * 10 ** -_decimals(value) + 1e-9 if name == "equals" else gain <= value
        return f"{before:.2f} to {after:.2f} is {gain:+.2f} points" if wrong else ""
    own = printed(test.phase, backbone)
    if name == "equals" and value != "printed" and own != value:
        return f"{test.measure.replace('_', ' ')} of {backbone} is {own:.2f}, not {value:.2f}"
    if name == "rank":
        rank = 1 + sum(printed(test.phase, other) > own for other in _compared())
        return f"{backbone} has rank {rank}" if rank != value else ""
    if name in ("better_than", "worse_than"):
        side = 1 if name == "better_than" else -1
        wrong = [other for other in value if side * (own - printed(test.phase, other)) <= 0]
        return "; ".join(f"{other} has {printed(test.phase, other):.2f}, {backbone} {own:.2f}" for other in wrong)
    if name == "above" and own <= value:
        return f"{own:.2f} is not above {value:g}"
    return ""


def _row_error(evidence: _Evidence, table: int, phase: str, backbone: str, measure: str) -> str:
    """What the audit has against a printed row: values that contradict each other, or that no test set gives."""
    for error in (evidence.published_audit or {}).get("row_errors") or []:
        same_row = (str(error.get("table")), error.get("phase"), error.get("backbone")) == (str(table), phase, backbone)
        if same_row and measure in _scores_named(error["what"]):
            return f"{error['what']} (printed {error.get('printed')}, expected {error.get('expected')})"
    row = evidence.row(table, phase, backbone)
    key = "val_n" if measure == "val_accuracy" else "test_n"
    if row and row.get(key) == [] and measure in ("test_accuracy", "val_accuracy", "recall"):
        return "no test set of any size in the audited range gives this accuracy"
    if row and row.get("confusion_matrices") == 0 and measure != "val_accuracy":
        return "no 2x2 confusion matrix gives accuracy, precision, recall and F1 together"
    return ""


def _scores_named(what: str) -> set[str]:
    """The scores that a row error is about: those it names, or all where it names none."""
    names = dict(
        zip(SCORES, (r"\b(test_)?accuracy\b", r"\bval_accuracy\b", r"\bprecision\b", r"\brecall\b", r"\bf1\b"))
    )
    return {score for score, pattern in names.items() if re.search(pattern, what, re.IGNORECASE)} or set(SCORES)


def _ceiling(test: Check, evidence: _Evidence, protocol: str) -> str:
    """The printed accuracy is above what any classifier can reach on this data set's contradictory contents."""
    if test.measure != "test_accuracy" or test.comparison[0] != "equals" or evidence.study.synthetic:
        return ""
    ceilings = (evidence.dataset_audit or {}).get("accuracy_ceiling") or {}
    ceiling = (ceilings.get(protocol) or {}).get(test.scenario) if isinstance(ceilings.get(protocol), dict) else None
    claimed = max(_claimed(test, backbone) for backbone in test.own)
    if ceiling is not None and claimed > 100 * ceiling + 0.005:
        return (
            f"contradictory labels: no classifier reaches more than {100 * ceiling:.2f} % on the test set of {protocol}"
        )
    return ""


def _table_claims(measure: str) -> list[Claim]:
    claims = []
    for (table, phase, backbone), row in _published().iterrows():
        scenario = next(name for name, entry in scenarios().items() if entry.table == table)
        quote = f"{backbones()[backbone].printed}, {phase}: {measure.replace('_', ' ')} {row[measure]:.2f}%"
        test = Check(measure=measure, scenario=scenario, backbone=backbone, phase=phase, equals="printed")
        claims.append(
            Claim(
                id=f"table-{table}-{phase}-{backbone}-{measure}".lower(), place="table", where=f"Table {_roman(table)}",
                quote=quote, kind="number", test=test,
            )
        )  # fmt: skip
    return claims


def _claimed(test: Check, backbone: str) -> float:
    """The claimed value of an `equals` test, per cent."""
    if test.equals == "printed":
        return float(_published().loc[(scenarios()[test.scenario].table, test.phase, backbone), test.measure])
    return test.equals


@cache
def _published() -> pd.DataFrame:
    return published().set_index(["table", "phase", "backbone"])


def _compared() -> list[str]:
    """The backbones that the paper compares; a study may have others beside them."""
    return list(published()["backbone"].unique())


def _sizes(sample: _Sample) -> dict[str, int]:
    return {"images": int(sample.images), "groups": int(sample.groups)}


def _listed(sizes: list[int]) -> str:
    return ", ".join(str(n) for n in sizes[:8]) + (", ..." if len(sizes) > 8 else "")


def _roman(table: int) -> str:
    return ("", "I", "II", "III", "IV", "V")[table]


def _decimals(value: float) -> int:
    return len(f"{value:g}".partition(".")[2])


def _json(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _csv(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path) if path.is_file() else None
