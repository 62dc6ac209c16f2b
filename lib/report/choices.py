"""The choices that the paper leaves open: which of them reach the printed numbers."""

import pandas as pd
from IPython.display import HTML

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, Study
from lib.config.paths import DEFAULT_VARIANT
from lib.figures.accuracy import draw_choices
from lib.report import html
from lib.report.show import show
from lib.report.tables import TABLE_FILES
from lib.scores.choices import choice_name, compare_choices, reached_rows, reaching_choices

ROWS_FILE, CHOICES_FILE = "multiverse_rows", "multiverse_choices"


def compare_variants(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """What lib.scores.choices.compare_choices gives, variants named by their settings; empty where nothing is
    compared: one choice, or synthetic images."""
    one = len(study.preprocessings) * (1 + len(study.variants)) < 2
    found = compare_choices(scores.iloc[:0] if one or study.synthetic else scores)
    return found.assign(variant=[_variant_name(study, variant) for variant in found["variant"]])


def choice_tables(compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """File name -> table, for tables/; none where nothing is compared.

    Args:
        compared: what `compare_variants` gives.
    """
    return {ROWS_FILE: reached_rows(compared), CHOICES_FILE: reaching_choices(compared)} if len(compared) else {}


def show_choices(study: Study, compared: pd.DataFrame) -> HTML:
    """Every choice beside every printed row of each backbone.

    Args:
        compared: what `compare_variants` gives.
    """
    if compared.empty:
        return html.result("No choices were compared. A study of several: `python run_all.py multiverse`.")
    tables = choice_tables(compared)
    rows, by_choice = tables[ROWS_FILE], tables[CHOICES_FILE].sort_values("reached", ascending=False, kind="stable")
    never = (rows["reached"] == 0).sum()
    text = (
        f"Of {len(rows)} printed rows {never} are reached by none of the choices; a random number would be reached by "
        f"{rows['expected_by_chance'].mean():.1f} of {rows['choices'].max()} on average."
    )
    by_choice["choice"] = _names(by_choice)
    of_rows = ["scenario", "backbone", "phase", "printed", "lowest", "highest", "choices", "reached"]
    of_choices = ["choice", "backbone", "phase", "tables", "reached", "which"]
    caption = "Our lowest and highest accuracy of each printed row, per cent, and how many choices reach it."
    return html.joined(
        [
            html.result(text),
            *(_figure(study, own, *model) for model, own in compared.groupby(["phase", "backbone"], sort=False)),
            show(
                rows, "multiverse-rows", caption, f"tables/{ROWS_FILE}.csv",
                [*of_rows, "expected_by_chance", "reached_by"],
            ),
            show(
                by_choice, "multiverse-choices", "How many printed rows each choice reaches.",
                f"tables/{CHOICES_FILE}.csv", of_choices, folded=True,
            ),
        ]
    )  # fmt: skip


def _figure(study: Study, own: pd.DataFrame, phase: str, backbone: str) -> HTML:
    shown = own.assign(choice=_names(own), scenario=[scenarios()[name].title for name in own["scenario"]])
    reached = shown[shown["reaches"]]
    alt = f"{len(shown)} intervals; {len(reached)} hold the printed accuracy: " + (
        "; ".join(f"{row.scenario}: {row.choice}" for row in reached.itertuples()) or "none"
    )
    caption = (
        f"{backbone}, {PHASE_TITLES[phase].lower()}: a choice whose repetition interval (95 %, `by_view`) holds the "
    )
    caption += "printed accuracy, the vertical line, is thick and blue."
    figure = draw_choices(shown)
    return html.figure(f"multiverse-{phase}-{backbone}", figure, "Open choices", caption, alt, source=TABLE_FILES)


def _names(rows: pd.DataFrame) -> list[str]:
    return [choice_name(*choice) for choice in zip(rows["preprocessing"], rows["variant"])]


def _variant_name(study: Study, variant: str) -> str:
    """A variant's name; for the study's own settings the values that its variants change, as `rotation 180`."""
    if variant != DEFAULT_VARIANT:
        return variant
    changed = dict.fromkeys(key for settings in study.variants.values() for key in settings)
    own = study.model_dump()
    return ", ".join(f"{key} {own[key]:g}" if isinstance(own[key], float) else f"{key} {own[key]}" for key in changed)
