"""The ladder from the printed accuracy down to the one on unseen lesions with corrected labels."""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import DEFAULT_VARIANT
from lib.figures.rungs import RUNG_NAMES
from lib.report import html, wording
from lib.report.data import rows_where
from lib.report.show import show
from lib.report.tables import shown_model
from lib.scores import ladder


def select_shown(steps: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rungs of `shown_model` of each scenario, under the study's own settings and first preprocessing.

    Args:
        steps: rows of tables/ladder.csv.
    """
    models = steps["scenario"].map({scenario: shown_model(study, scenario) for scenario in study.scenarios})
    own = (steps["variant"] == DEFAULT_VARIANT) & (steps["preprocessing"] == study.preprocessings[0])
    return steps[(steps["backbone"] == models) & own]


def panel_titles(shown: pd.DataFrame) -> dict[tuple[str, str, str, str], str]:
    """(scenario, backbone, phase, preprocessing) of each panel of the figure -> its title; one row per phase."""
    panels = shown[["scenario", "backbone", "phase", "preprocessing"]].drop_duplicates().itertuples(index=False)
    order = {pair: place for place, pair in enumerate(itertools.product(PHASES, scenarios()))}
    panels = sorted(map(tuple, panels), key=lambda panel: order[panel[2], panel[0]])
    return {panel: f"{scenarios()[panel[0]].title}\n{panel[1]}, {PHASE_TITLES[panel[2]].lower()}" for panel in panels}


def select_scenario(shown: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """The rungs of one scenario, indexed by rung, in the phase with the most folds.

    One fold tests a tenth of the images, which says little. Fine-tuned, if both phases have as many folds.
    """
    rows = rows_where(shown, scenario=scenario)
    folds = rows.groupby("phase")["folds"].max()
    phase = max(folds.index, key=lambda name: (folds[name], PHASES.index(name)), default="")
    return rows[rows["phase"] == phase].set_index("rung")


def step_in_words(rungs: pd.DataFrame, rung: str) -> str:
    """`-12.3 [-15.0, -9.5]` points; empty where the step is not known."""
    if rung not in rungs.index or not np.isfinite(rungs.at[rung, "step"]):
        return ""
    low, high = (wording.signed(100 * rungs.at[rung, end]) for end in ("step_low", "step_high"))
    return f"{wording.signed(100 * rungs.at[rung, 'step'])} [{low}, {high}]"


def ladder_figure(figure: Figure, shown: pd.DataFrame, titles: Mapping[tuple, str]) -> HTML:
    """The drawn ladder with its caption."""
    if not titles:
        return html.missing("tables/ladder.csv has no row for the models that stand for the scenarios.")
    alt = "; ".join(
        f"{' '.join(titles[key].split())}: "
        + ", ".join(f"{RUNG_NAMES[row.rung]} {wording.percent(row.accuracy)}" for row in rows.itertuples())
        for key, rows in shown.groupby(["scenario", "backbone", "phase", "preprocessing"], sort=False)
    )
    printed = (shown["rung"] == "printed").any()
    caption = (
        f"Test accuracy, per cent, from {'the printed number (hollow)' if printed else 'our run'} down to unseen "
        "lesions with corrected labels, with 95 % intervals. On the right the step to each rung in points, in colour "
        "where its interval excludes 0. Steps are paired image by image; that to external images cannot be. A rung "
        "that was not run leaves the step after it unknown."
    )
    title = "From printed to unseen lesions" if printed else "From the leak to unseen lesions"
    return html.figure("ladder", figure, title, caption, alt, source="tables/ladder.csv")


def rung_table(steps: pd.DataFrame) -> pd.DataFrame:
    """What is trained and scored on each rung, and what the step to it isolates."""
    rows = [{"rung": "printed", "change": "nothing: the paper's own number"}]
    for rung in ladder.RUNGS + ((ladder.EXTERNAL,) if (steps["rung"] == ladder.EXTERNAL.name).any() else ()):
        row = {"rung": rung.name, "change": rung.step, "trained_on": rung.protocol}
        rows.append(row | {"scored_on": rung.scored_on, "labels": rung.labels})
    return pd.DataFrame(rows).fillna("")


def show_ladder(steps: pd.DataFrame) -> HTML:
    """Every rung of every model."""
    if steps.empty:
        return html.missing("tables/ladder.csv has no row: no model was evaluated.")
    single = [key for key in ("preprocessing", "variant") if steps[key].nunique() == 1]
    columns = ["scenario", "backbone", "phase", "preprocessing", "variant", "rung"]
    columns += ["accuracy", "step", "images", "groups", "folds"]
    caption = "Every rung of every model: accuracy in per cent, steps in points, 95 % intervals in square brackets."
    return show(
        steps, "ladder-table", caption, "tables/ladder.csv", [key for key in columns if key not in single],
        blocks=["scenario", "backbone", "phase", "preprocessing", "variant"], folded=len(steps) > 12,
    )  # fmt: skip


def leak_sentence(shown: pd.DataFrame, study: Study, proposed: str) -> str:
    """What the leak is worth and what is left without it, over the scenarios."""
    by_scenario = {name: rungs for name in study.scenarios if len(rungs := select_scenario(shown, name))}
    leaks = {name: rungs.loc["by lesion"] for name, rungs in by_scenario.items() if step_in_words(rungs, "by lesion")}
    left = [rungs.at["clean", "accuracy"] for rungs in by_scenario.values() if "clean" in rungs.index]
    if not leaks or not left:
        return "What a test set that shares lesions with training is worth was not measured in this study."
    lost = [-100 * row["step"] for row in leaks.values() if row["step_high"] < 0]
    models = sorted({shown_model(study, scenario) for scenario in by_scenario})
    phases = sorted({PHASE_TITLES[rungs["phase"].iloc[0]].lower() for rungs in by_scenario.values()})
    if lost:
        text = f"{wording.span(lost)} points of our test accuracy come from pictures that are in training, too"
        text += f", in {len(lost)} of {len(leaks)} scenarios" if len(lost) < len(leaks) else ""
    else:
        text = f"In none of {len(leaks)} scenarios does the accuracy fall beyond chance when training shares no lesion"
    where = "synthetic images" if study.synthetic else "lesions that are not in training"
    text += f"; on {where} {' and '.join(models)}, {' or '.join(phases)}, {'is' if len(models) == 1 else 'are'} right "
    text += f"in {wording.span([100 * share for share in left])} %."
    return text + ("" if proposed in models or study.synthetic else f" {proposed} was not run in this study.")
