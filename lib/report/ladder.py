"""The ladder from the printed accuracy down to the one on unseen lesions as the report selects and words it, and its
steps by type of leakage (Kapoor & Narayanan, Patterns 4:100804, 2023)."""

import itertools
from collections.abc import Mapping
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.config.schema import read_yaml
from lib.figures.rungs import RUNG_NAMES
from lib.report.data import read_csv, rows_where
from lib.report.html import TEMPLATE
from lib.report.tables import shown_model
from lib.report.wording import percent, signed
from lib.scores import ladder

COUNTS = ["same_label_duplicates", "contradictory_contents", "near_duplicate_groups", "official_test_in_train"]
COUNTS += ["lesions_with_several_images"]
STEPS = ["by file", "by lesion", "originals", "corrected labels", "clean"]  # in leakage_types.yaml


def select_shown(steps: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rungs of `shown_model` of each scenario in tables/ladder.csv, under the study's own settings and first
    preprocessing."""
    models = steps["scenario"].map({scenario: shown_model(study, scenario) for scenario in study.scenarios})
    own = (steps["variant"] == DEFAULT_VARIANT) & (steps["preprocessing"] == study.preprocessings[0])
    return steps[(steps["backbone"] == models) & own]


def select_phases(shown: pd.DataFrame) -> pd.DataFrame:
    """Of each scenario the rungs in the phase with the most folds; fine-tuned, if both phases have as many.

    One fold tests a tenth of the images, which says little.
    """
    folds = shown.groupby(["scenario", "phase"])["folds"].transform("max").fillna(0)
    order = folds + shown["phase"].map(PHASES.index) / len(PHASES)
    return shown[order == order.groupby(shown["scenario"]).transform("max")]


def panel_titles(shown: pd.DataFrame) -> dict[tuple[str, str, str, str], str]:
    """(scenario, backbone, phase, preprocessing) of each panel of the figure -> its title; one row per phase."""
    panels = shown[["scenario", "backbone", "phase", "preprocessing"]].drop_duplicates().itertuples(index=False)
    order = {pair: place for place, pair in enumerate(itertools.product(PHASES, scenarios()))}
    panels = sorted(map(tuple, panels), key=lambda panel: order[panel[2], panel[0]])
    return {panel: f"{scenarios()[panel[0]].title}\n{panel[1]}\n{PHASE_TITLES[panel[2]].lower()}" for panel in panels}


def describe_panels(shown: pd.DataFrame, titles: Mapping[tuple, str]) -> str:
    """The alternative text of the figure: every rung of each panel with its accuracy."""
    return "; ".join(
        f"{' '.join(titles[key].split())}: "
        + ", ".join(f"{RUNG_NAMES[row.rung]} {percent(row.accuracy)}" for row in rows.itertuples())
        for key, rows in shown.groupby(["scenario", "backbone", "phase", "preprocessing"], sort=False)
    )


def step_in_words(rungs: pd.DataFrame, rung: str) -> str:
    """`-12.3 [-15.0, -9.5]` points, of the rungs of one model, by rung; empty where the step is not known."""
    if rung not in rungs.index or not np.isfinite(rungs.at[rung, "step"]):
        return ""
    step, low, high = (signed(100 * rungs.at[rung, key]) for key in ("step", "step_low", "step_high"))
    return f"{step} [{low}, {high}]"


def rung_table(steps: pd.DataFrame) -> pd.DataFrame:
    """What is trained and scored on each rung, and what the step to it isolates."""
    rows = [{"rung": "printed", "change": "nothing: the paper's own number"}]
    for rung in ladder.RUNGS + ((ladder.EXTERNAL,) if (steps["rung"] == ladder.EXTERNAL.name).any() else ()):
        row = {"rung": rung.name, "change": rung.step, "trained_on": rung.protocol}
        rows.append(row | {"scored_on": rung.scored_on, "labels": rung.labels})
    return pd.DataFrame(rows).fillna("")


def leakage_types(paths: StudyPaths, shown: pd.DataFrame) -> pd.DataFrame:
    """One row per type of the taxonomy, and one for wrong labels: type, leakage, outcome, evidence; `shown` is what
    `select_shown` gives."""
    numbers = read_evidence(paths) | step_sizes(shown)
    rows = [
        {"type": kind, "leakage": entry["leakage"], "outcome": judge(entry.get("found_by"), numbers)}
        | {"evidence": "; ".join(fill_known(entry["evidence"], numbers))}
        for kind, entry in read_yaml(TEMPLATE / "leakage_types.yaml").items()
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
