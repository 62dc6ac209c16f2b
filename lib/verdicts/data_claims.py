"""Claims that need no trained model: counts of the data set, the printed test sets, k-means, Grad-CAM.

A count is compared as it is. Dice is judged by the interval of its mean: yes above the claimed value, no below it.
Grad-CAM's claim is a direction (lib.verdicts.model_claims): is the lesion's share of the map larger than its share of
the image? Intervals resample groups.
"""

import numpy as np
import pandas as pd

from lib.config.paper import MALIGNANT
from lib.data.metadata import DIAGNOSIS_CLASSES
from lib.scores.resampling import Estimate, group_weights, mean_estimate
from lib.verdicts import answers
from lib.verdicts.answers import NO, NOT_TESTED, UNDECIDED, YES, Answer
from lib.verdicts.claims import Check, Rules
from lib.verdicts.contradictions import sizes_of_table
from lib.verdicts.evidence import Evidence


def answer_of_data(test: Check, evidence: Evidence) -> Answer:
    """The answer to a claim about the data set, the printed tables, k-means or Grad-CAM."""
    if test.measure == "none":
        return Answer(NOT_TESTED, test.reason)
    if test.measure == "test_images":
        possible, reason, numbers = sizes_of_table(test, evidence)
        return Answer({True: YES, False: NO, None: NOT_TESTED}[possible], reason, numbers)
    if test.measure == "segmentation_dice":
        return _segmentation(test, evidence)
    if test.measure == "gradcam_focus":
        return _focus(test, evidence)
    value, unit = _count(test.measure, evidence)
    if value is None:
        return Answer(NOT_TESTED, unit)
    name, target = test.comparison
    true = {"equals": value == target, "at_least": value >= target, "at_most": value <= target}[name]
    shown = f"{100 * value:.1f} %" if test.measure == "benign_share" else f"{value:g}"
    return Answer(YES if true else NO, f"{unit}: {shown}", {"value": float(value), "claimed": target})


def _segmentation(test: Check, evidence: Evidence) -> Answer:
    file = evidence.paths.segmentation
    table = pd.read_csv(file) if file.is_file() else pd.DataFrame()
    if "dice" not in table or table["dice"].isna().all():
        return Answer(NOT_TESTED, "no ground-truth masks")
    known = table[table["dice"].notna()]
    found = _mean_over_groups(known["dice"], known, evidence.rules)
    outcome = YES if found.low >= test.at_least else NO if found.high < test.at_least else UNDECIDED
    numbers = {"dice": found.value, "low": found.low, "high": found.high, "at_least": test.at_least}
    numbers |= {name: float(known[name].mean()) for name in ("dice_best", "dice_union") if name in known}
    reason = f"mean Dice of the named cluster {found.value:.2f} [{found.low:.2f}, {found.high:.2f}], {len(known)} masks"
    if "dice_union" in numbers:
        reason += f"; no naming reaches more than {numbers['dice_union']:.2f} (best union of clusters)"
    if outcome == UNDECIDED:
        reason += ": more masks would decide"
    return Answer(outcome, reason, numbers | {"masks": len(known)})


def _focus(test: Check, evidence: Evidence) -> Answer:
    shares, rules = ["share_in_lesion", "lesion_area"], evidence.rules
    files = sorted(evidence.paths.gradcam.glob("*/*/maps.csv")) or [evidence.paths.gradcam_table]
    tables = [pd.read_csv(file) for file in files if file.is_file()]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    table = table.reindex(columns=[*table.columns.union(shares)]).dropna(subset=shares)
    if table.empty:
        return Answer(NOT_TESTED, "no Grad-CAM map has a segmented lesion")
    found = _mean_over_groups(table["share_in_lesion"] - table["lesion_area"], table, rules)
    lead = answers.shifted(found, -test.above / 100)
    outcome = answers.judge_lead(lead, rules)
    numbers = answers.numbers_of(found, "excess")
    numbers |= {name: 100 * float(table[name].mean()) for name in shares}
    numbers |= {"maps": len(table), "groups": _groups(table).nunique()}
    share, area = (numbers[name] for name in shares)
    reason = f"the lesion holds {share:.1f} % of the map and {area:.1f} % of the image"
    reason += f": {answers.in_points(found)} over {len(table)} maps{answers.reason_for_no(outcome, lead, rules)}"
    return Answer(outcome, reason + (": more maps would decide" if outcome == UNDECIDED else ""), numbers)


def _groups(table: pd.DataFrame) -> pd.Series:
    return table["group"] if "group" in table else table["source"]


def _mean_over_groups(values: pd.Series, table: pd.DataFrame, rules: Rules) -> Estimate:
    weights, codes = group_weights(_groups(table).to_numpy(), rules.resamples, rules.seed)
    resampled = (weights @ np.bincount(codes, values)) / (weights @ np.bincount(codes))
    return mean_estimate(float(values.mean()), resampled, [], rules.level)


def _count(measure: str, evidence: Evidence) -> tuple[float | None, str]:
    """A count of the data set and what it counts; or None and why there is none.

    Args:
        measure: images, classes, contradictory_contents, label_disagreements or benign_share.
    """
    audit, index_file = evidence.dataset_audit, evidence.paths.image_index
    counted = {"images": "files", "contradictory_contents": "contradictory_contents"}.get(measure)
    if counted not in audit if counted else not index_file.is_file():
        return None, "the data set was not audited"
    if measure == "images":
        copies = audit.get("marked_copies", 0)
        without = f", without {copies} that are marked as copies" if copies else ""
        return audit["files"] - copies, f"readable image files{without}"
    if measure == "contradictory_contents":
        return audit[measure], "contents filed under more than one class"
    index = pd.read_parquet(index_file)
    if measure == "classes":
        return int(index["class"].nunique()), "classes with images"
    if measure == "benign_share":
        return float(1 - index["class"].isin(MALIGNANT).mean()), "share of benign images"
    known = index[index["diagnosis"] != ""]
    if known.empty:
        return None, "no metadata with official diagnoses"
    disagree = [label not in DIAGNOSIS_CLASSES[code] for label, code in zip(known["class"], known["diagnosis"])]
    return int(np.sum(disagree)), f"labels that contradict the official diagnosis, of {len(known)} with one"
