"""The ladder from the printed accuracy down to the one on unseen lesions, as the report selects and words it."""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import DEFAULT_VARIANT
from lib.figures.rungs import RUNG_NAMES
from lib.report.tables import shown_model
from lib.report.wording import percent, signed
from lib.scores import ladder


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
