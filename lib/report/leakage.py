"""The findings by type of leakage (Kapoor & Narayanan, Patterns 4:100804, 2023)."""

from collections.abc import Mapping
from string import Formatter
from typing import Any

import pandas as pd
import yaml

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.paths import StudyPaths
from lib.report.data import read_csv, rows_where
from lib.report.html import TEMPLATE
from lib.report.ladder import select_phases, step_in_words

COUNTS = ["same_label_duplicates", "contradictory_contents", "near_duplicate_groups", "official_test_in_train"]
COUNTS += ["lesions_with_several_images"]
STEPS = ["by file", "by lesion", "originals", "corrected labels", "same classes", "clean"]


def leakage_types(paths: StudyPaths, shown: pd.DataFrame) -> pd.DataFrame:
    """One row per type of the taxonomy, and one for wrong labels: type, leakage, outcome, evidence; `shown` is what
    lib.report.ladder.select_shown gives."""
    numbers = read_evidence(paths) | step_sizes(shown)
    types = yaml.safe_load((TEMPLATE / "leakage_types.yaml").read_text(encoding="utf-8"))
    rows = [
        {"type": entry["type"], "leakage": entry["leakage"], "outcome": judge(entry.get("found_by"), numbers)}
        | {"evidence": "; ".join(fill_known(entry["evidence"], numbers))}
        for entry in types
    ]
    return pd.DataFrame(rows)


def judge(keys: list[str] | None, numbers: Mapping[str, Any]) -> str:
    """`found` where one of these numbers is above 0; `not testable` where there are no keys."""
    if keys is None:
        return "not testable"
    known = [numbers[key] for key in keys if key in numbers]
    return "not measured" if not known else "found" if max(known) > 0 else "not found"


def read_evidence(paths: StudyPaths) -> dict[str, Any]:
    """The numbers in leakage_types.yaml, but for the steps of the ladder; without those that are not known."""
    pool, data = ((read_json(path) or {}) for path in (paths.printed_audit, paths.dataset_audit))
    pool, numbers = pool.get("pool") or {}, {key: data[key] for key in COUNTS if key in data}
    if tables := pool.get("tables"):
        sizes = [" and ".join(str(group["test_n"]) for group in groups) for groups in tables.values()]
        larger = sum(any(group["larger_than_images"] for group in groups) for groups in tables.values())
        numbers |= {"sizes": ", ".join(sizes), "larger": larger, "tables": len(tables), "tables_without_test": 0}
        numbers |= {"images": pool["images"]}
    seen, changes = read_csv(paths.seen_in_training), read_csv(paths.label_changes)
    for protocol in ("by_view", "clean"):
        for key in ("file", "group"):
            if len(shares := rows_where(seen, protocol=protocol).get(key, ())):
                numbers[f"most_{key}_{protocol}"] = shares.max()
                ends = dict.fromkeys(f"{100 * share:.1f} %" for share in (shares.min(), shares.max()))
                numbers[f"seen_{key}_{protocol}"] = " to ".join(ends)
    return numbers | ({} if changes is None else {"label_changes": len(changes)})


def step_sizes(shown: pd.DataFrame) -> dict[str, str]:
    """`step_<rung>` -> the step to that rung in every scenario where it is known, in words."""
    longest, sizes = select_phases(shown).groupby("scenario", sort=False), {}
    rungs = {scenarios()[name].title.lower(): rows.set_index("rung") for name, rows in longest}
    for rung in STEPS:
        steps = {title: step_in_words(own, rung) for title, own in rungs.items()}
        known = [f"{words} points in {title}" for title, words in steps.items() if words]
        sizes |= {f"step_{rung.replace(' ', '_')}": ", ".join(known)} if known else {}
    return sizes


def fill_known(sentences: list[str], numbers: Mapping[str, Any]) -> list[str]:
    """The sentences whose numbers are all known, with them filled in."""
    names = {text: {name for _, name, _, _ in Formatter().parse(text) if name} for text in sentences}
    return [text.format_map(numbers) for text in sentences if names[text] <= numbers.keys()]
