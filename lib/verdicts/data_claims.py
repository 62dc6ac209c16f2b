"""Claims that need no trained model: counts of the data set, the split, k-means; and Grad-CAM."""

import numpy as np
import pandas as pd

from lib.config.paper import MALIGNANT
from lib.scores.resampling import Estimate, group_weights, mean_estimate, wilson
from lib.verdicts.answers import NO, NOT_TESTED, UNDECIDED, YES, Answer, combine, judge_lead, numbers_of, with_interval
from lib.verdicts.claims import Check, Rules
from lib.verdicts.evidence import Evidence
from lib.verdicts.printed_claims import judge_split

# columns of gradcam.csv: the share in the lesion of what sees no image, and of what sees another
NULLS = {"gaussian_in_lesion": "a centred Gaussian", "other_map_in_lesion": "another image's map"}


def answer_of_data(test: Check, evidence: Evidence) -> Answer:
    """The answer to a claim about the data set, the printed split, k-means or Grad-CAM."""
    rules = {"split_ratio": judge_split, "segmentation_dice": _segmentation, "gradcam_focus": _focus}
    rules |= {"label_error_share": _labels, "none": lambda test, _: Answer(NOT_TESTED, test.reason)}
    return rules.get(test.measure, _counted)(test, evidence)


def _counted(test: Check, evidence: Evidence) -> Answer:
    audit = evidence.dataset_audit
    if not audit:
        return Answer(NOT_TESTED, "the data set was not audited")
    copies, classes = audit.get("marked_copies", 0), {name: n["all"] for name, n in audit["class_counts"].items()}
    benign = sum(count for name, count in classes.items() if name not in MALIGNANT) / sum(classes.values())
    value, unit = {
        "images": (audit["files"] - copies, "readable images" + (f", and {copies} marked copies" if copies else "")),
        "classes": (sum(count > 0 for count in classes.values()), "classes have images"),
        "benign_share": (benign, "of the images are benign"),
        "contradictory_contents": (audit["contradictory_contents"], "pictures are filed under more than one class"),
    }[test.measure]
    name, target = test.comparison
    true = {"equals": value == target, "at_least": value >= target, "at_most": value <= target}[name]
    shown = f"{100 * value:.1f} %" if test.measure == "benign_share" else f"{value:,}"
    return Answer(YES if true else NO, f"{shown} {unit}", {"value": float(value), "claimed": target})


def _labels(test: Check, evidence: Evidence) -> Answer:
    """Labels that contradict an official diagnosis, of files whose picture is filed once."""
    known = (evidence.dataset_audit.get("diagnosed") or {}).get("filed_once") or {}
    files, wrong = known.get("files", 0), known.get("contradicted", 0)
    if not files:
        return Answer(NOT_TESTED, "no official diagnoses")
    share = wilson(wrong / files, files, evidence.rules.level)
    outcome = judge_lead(share.shifted(-test.at_most).negated())
    reason = f"{wrong} of {files:,} labels of pictures that are filed once contradict the official diagnosis"
    reason += f" ({with_interval(share, '', '%')}){_would_tell(outcome, 'diagnoses')}"
    return Answer(outcome, reason, {"wrong": wrong, "files": files} | numbers_of(share, "share"))


def _segmentation(test: Check, evidence: Evidence) -> Answer:
    file = evidence.paths.segmentation
    table = pd.read_csv(file) if file.is_file() else pd.DataFrame()
    known = table.reindex(columns=table.columns.union(["dice", "dice_union"])).dropna(subset="dice")
    if known.empty:
        return Answer(NOT_TESTED, "no ground-truth masks")
    found, best = _mean_over_groups(known["dice"], known, evidence.rules), float(known["dice_union"].mean())
    outcome = judge_lead(found.shifted(-test.at_least))
    reason = f"mean Dice of the named cluster {found.value:.2f} [{found.low:.2f}, {found.high:.2f}], {len(known)} masks"
    reason += f"; no naming of clusters reaches more than {best:.2f}{_would_tell(outcome, 'masks')}"
    numbers = {"dice": found.value, "low": found.low, "high": found.high, "dice_union": best, "masks": len(known)}
    return Answer(outcome, reason, numbers)


def _focus(_: Check, evidence: Evidence) -> Answer:
    """Whether more of a map lies in the true lesion than of each null."""
    paths, columns = evidence.paths, ["share_in_lesion", *NULLS]
    files = paths.glob("gradcam/*/*/maps.csv") or [file for file in [paths.gradcam_table] if file.is_file()]
    table = pd.concat([pd.DataFrame(), *map(pd.read_csv, files)], ignore_index=True)
    table = table.reindex(columns=table.columns.union([*columns, "lesion_from"]))
    table = table[table["lesion_from"] == "mask"].dropna(subset=columns)  # k-means prefers the middle, too
    if table.empty:
        return Answer(NOT_TESTED, "no ground-truth masks")
    leads = {name: _mean_over_groups(table["share_in_lesion"] - table[name], table, evidence.rules) for name in NULLS}
    outcomes = {name: judge_lead(lead) for name, lead in leads.items()}
    outcome = combine([*outcomes.values()])
    share = 100 * float(table["share_in_lesion"].mean())
    reason = f"over {len(table)} maps the true lesion holds {share:.1f} % of the map, "
    reason += " and ".join(f"{with_interval(leads[name])} against {what}" for name, what in NULLS.items())
    reason += _would_tell(outcome, "masks")
    numbers = {"share_in_lesion": share} | {name: numbers_of(lead, "lead") for name, lead in leads.items()}
    return Answer(outcome, reason, numbers | {"maps": len(table), "groups": table["group"].nunique()})


def _mean_over_groups(values: pd.Series, table: pd.DataFrame, rules: Rules) -> Estimate:
    """A mean with its interval, for which whole groups are resampled."""
    weights, codes = group_weights(table["group"].to_numpy(), rules.resamples, rules.seed)
    resampled = (weights @ np.bincount(codes, values)) / (weights @ np.bincount(codes))
    return mean_estimate(float(values.mean()), resampled, [], rules.level)


def _would_tell(outcome: str, of_what: str) -> str:
    return f"; more {of_what} would tell" if outcome == UNDECIDED else ""
