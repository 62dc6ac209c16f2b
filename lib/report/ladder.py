"""The ladder from the printed accuracy down to the one on unseen lesions as the report selects and words it, and its
steps by type of leakage (Kapoor & Narayanan, Patterns 4:100804, 2023)."""

from collections.abc import Mapping
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.paper import backbones, scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.config.printed import printed_rows, roman
from lib.config.schema import read_yaml
from lib.figures.rungs import describe_rung, place_rung, signed
from lib.report.data import read_csv, rows_where, to_records
from lib.report.html import TEMPLATE, part
from lib.report.tables import select_own, shown_model, shown_scenarios
from lib.scores import ladder

COUNTS = ["same_label_duplicates", "contradictory_contents", "near_duplicate_groups", "official_test_in_train"]
COUNTS += ["lesions_with_several_images"]
PICKED = ("network", "phase", "scenario")  # axes of the panels
ROW_RUNGS = {"by_view": "by view", "by_file": "by file", "by_lesion": "originals", "clean": "clean"}  # of Tables I-IV
STEPS = ["by file", "by lesion", "originals", "corrected labels", "clean"]  # in leakage_types.yaml


def select_shown(steps: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rungs of `shown_model` of each scenario in tables/ladder.csv, under the study's own settings and first
    preprocessing."""
    models = steps["scenario"].map({scenario: shown_model(study, scenario) for scenario in study.scenarios})
    own = (steps["variant"] == DEFAULT_VARIANT) & (steps["preprocessing"] == study.preprocessings[0])
    return steps[(steps["backbone"] == models) & own]


def select_phases(shown: pd.DataFrame) -> pd.DataFrame:
    """Of each scenario the rungs in the phase with the most folds; fine-tuned, if both phases have as many."""
    folds = shown.groupby(["scenario", "phase"])["folds"].transform("max").fillna(0)
    order = folds + shown["phase"].map(PHASES.index) / len(PHASES)
    return shown[order == order.groupby(shown["scenario"]).transform("max")]


def draw_panels(steps: pd.DataFrame, study: Study) -> list[tuple[dict[str, str], HTML]]:
    """The ladder of every model under the study's own settings, one panel each, for lib.report.html.picker."""
    own, panels = select_own(steps, study).dropna(subset="accuracy"), []
    for (backbone, phase, scenario), rungs in own.groupby(["backbone", "phase", "scenario"], sort=False):
        total, model = len(scenarios()[scenario].names), f"{backbone}, {PHASE_TITLES[phase].lower()}"
        fewest = rungs["classes"].min()
        note = f"{fewest} of {total} classes by corrected labels" if fewest < total else ""
        title = scenarios()[scenario].title
        panel = part(
            "ladder", scenario=title, model=model, note=note, rungs=[place_rung(row) for row in to_records(rungs)]
        )
        panels.append((dict(zip(PICKED, (backbone, PHASE_TITLES[phase].lower(), title))), panel))
    return panels


def choose_panels(shown: pd.DataFrame, study: Study) -> dict[str, str]:
    """The panels that are shown first: those of one network in the phase that most scenarios have."""
    longest = select_phases(shown)
    phases = [PHASE_TITLES[phase].lower() for phase in longest["phase"].mode()]
    return dict(zip(PICKED, (shown_model(study, study.scenarios[0]), *(phases[:1] or ["all"]), "all")))


def printed_beside_ours(steps: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Tables I to IV side by side: one row per phase and network in the paper's order, and of each scenario its columns
    `<scenario>:printed` and `<scenario>:<protocol>` but for by_lesion, fractions of 1, with what each rests on in
    `_tip`. Second: the heading of each scenario -> its columns."""
    ends = {ROW_RUNGS[name]: name for name in study.protocols if name != "by_lesion"}
    series = ([] if study.synthetic else ["printed"]) + [*ends.values()]
    own = select_own(steps, study).dropna(subset="accuracy")
    own = own[own["rung"].isin(ends)].assign(series=lambda rows: rows["rung"].map(ends))
    own = own.assign(tip=[describe_rung(row) for row in to_records(own)])
    printed, of_table = printed_rows(), {entry.table: name for name, entry in scenarios().items()}
    printed = printed.assign(scenario=printed["table"].map(of_table), accuracy=printed["test_accuracy"] / 100)
    rows = own if study.synthetic else pd.concat([printed.assign(series="printed", tip=""), own])
    if rows.empty:
        return rows, {}
    rows = rows.assign(key=rows["scenario"] + ":" + rows["series"])
    names = pd.MultiIndex.from_product([PHASES, list(backbones())], names=["phase", "backbone"])
    numbers, tips = (rows.pivot(index=names.names, columns="key", values=of) for of in ("accuracy", "tip"))
    titles = {
        name: f"Table {roman(scenarios()[name].table)}: {scenarios()[name].title.lower()}" for name in scenarios()
    }
    groups = {name: [key for of in series if (key := f"{name}:{of}") in numbers] for name in shown_scenarios(study)}
    table = numbers.join(tips.add_suffix("_tip")).reindex(names[names.isin(numbers.index)]).reset_index()
    keys = [key for own in groups.values() for key in (*own, *(f"{key}_tip" for key in own))]
    return table[["backbone", "phase", *keys]], {titles[name]: own for name, own in groups.items() if own}


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
