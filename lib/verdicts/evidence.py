"""What a study measured, as the rules of the verdicts need it: samples of scores, and counts of the data set."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from lib.config import MALIGNANT, PHASES, Study, StudyPaths, read_json, scenarios
from lib.data import DIAGNOSIS_CLASSES, class_columns
from lib.verdicts.claims import Rules, compared, printed_table
from lib.verdicts.ladder import group_weights, percentile_interval, predictions


class Evidence:
    """What the study measured, read once; samples of one test set share their resamples, so differences are paired."""

    def __init__(self, paths: StudyPaths, study: Study, rules: Rules, preprocessing: str):
        self.paths, self.study, self.rules, self.preprocessing = paths, study, rules, preprocessing
        self.published_audit = read_json(paths.published_audit)
        self.dataset_audit = read_json(paths.dataset_audit)
        self.state = read_json(paths.state) or {}
        self.sample = cache(self._sample)
        self.weights = cache(self._weights)
        self.frames = cache(self._frames)

    def _frames(self, protocol: str, scenario: str, part: str) -> dict[tuple[str, str], pd.DataFrame]:
        found = {}
        for backbone in compared():
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

    def _sample(self, protocol: str, scenario: str, backbone: str, phase: str, measure: str) -> "Sample | None":
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
            return Sample(value, score, images, frame["group"].nunique())
        if measure == "val_loss":
            own = probability[np.arange(len(frame)), truth]
            values = -np.log(np.clip(own, np.finfo(np.float32).eps, 1))
        else:
            values = (probability.argmax(axis=1) == truth).astype(float)
        sums, counts = (
            np.bincount(codes, weights=w, minlength=weights.shape[1]) for w in (values, np.ones(len(values)))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return Sample(values.mean(), (weights @ sums) / (weights @ counts), images, frame["group"].nunique())

    def printed(self, scenario: str, phase: str, backbone: str, measure: str) -> tuple[float, float, float]:
        """A printed score with Wilson's interval at the smallest test-set size that fits, as fractions of 1; without
        an audit the printed number stands alone."""
        table = scenarios()[scenario].table
        value = float(printed_table().loc[(table, phase, backbone), measure]) / 100
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


class Sample:
    """A measure of one cell: its value, its resampled values [resamples], and on how many images and groups."""

    def __init__(self, value: float, resampled: np.ndarray, images: int, groups: int):
        self.value, self.resampled, self.images, self.groups = float(value), resampled, images, groups

    def interval(self, rules: Rules, proportion: bool = True) -> tuple[float, float]:
        if proportion and self.value in (0.0, 1.0):  # nothing varies: Wilson with a group as one image
            hits = self.value * self.groups
            low, high = proportion_confint(hits, self.groups, alpha=1 - rules.level, method="wilson")
            return float(low), float(high)
        return percentile_interval(self.resampled, rules.level)

    def less(self, other: "Sample") -> "Sample":
        """The paired difference self - other."""
        return Sample(self.value - other.value, self.resampled - other.resampled, self.images, self.groups)


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


def data_measure(measure: str, evidence: Evidence) -> tuple[float | None, str]:
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


def _csv(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path) if path.is_file() else None
