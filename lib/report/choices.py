"""The multiverse of open choices: which of them reach the printed numbers, a section of the report."""

import itertools

import pandas as pd
from IPython.display import HTML

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.figures.accuracy import draw_choices
from lib.report import html
from lib.report.data import rows_where, to_records
from lib.report.tables import stacked_variants, table_files
from lib.scores.choices import choice_name, compare_choices, reached_rows, reaching_choices

REACHED_FILE, CHOICES_FILE = "multiverse_rows", "multiverse_choices"


def tried(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """What lib.verdicts.compare_choices gives, variants named by their settings; empty where nothing is compared:
    one set of choices, or synthetic images."""
    one = len(study.preprocessings) * (1 + len(study.variants)) < 2
    tables = stacked_variants(paths, study)
    found = compare_choices(tables.iloc[:0] if one or study.synthetic else tables)
    return found.assign(variant=[_with_setting(study, variant) for variant in found["variant"]])


def multiverse(study: Study, found: pd.DataFrame) -> HTML:
    """Every choice beside every printed row of each backbone; a sentence where there is nothing to compare.

    Args:
        found: what `tried` gives.
    """
    if found.empty:
        return html.missing(
            "No choices were set beside printed numbers. A study that tries several: python run_all.py multiverse"
        )
    rows, by_choice = reached_rows(found), reaching_choices(found)
    parts = [*(html.part("note", text=text) for text in _in_words(rows, by_choice))]
    parts += [_figure(study, found, *model) for model in found[["phase", "backbone"]].drop_duplicates().to_numpy()]
    return html.joined([*parts, _table(rows), _choices_table(by_choice)])


def multiverse_tables(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """File name -> table of the section, for tables/; none where nothing is compared.

    Args:
        found: what `tried` gives.
    """
    return {REACHED_FILE: reached_rows(found), CHOICES_FILE: reaching_choices(found)} if len(found) else {}


def _in_words(rows: pd.DataFrame, by_choice: pd.DataFrame) -> list[str]:
    said = []
    for (phase, backbone), own in rows.groupby(["phase", "backbone"], sort=False):
        choices = rows_where(by_choice, phase=phase, backbone=backbone)
        whole = choices[(choices["reached"] == choices["tables"]) & (choices["tables"] > 0)]
        name = f"{backbone}, {html.PHASE_NAMES[phase].lower()}"
        never = [scenarios()[s].title.lower() for s in own.loc[own["reached"] == 0, "scenario"]]
        text = f"{name}: {len(choices)} choices were tried on {len(own)} printed rows. "
        if len(whole):
            names = "; ".join(choice_name(*c) for c in whole[["preprocessing", "variant"]].to_numpy())
            text += f"All rows at once are reached by {len(whole)} of them: {names}. "
        else:
            text += "None reaches all rows at once. "
        if never:
            text += f"No choice tried reproduces the printed number of {', '.join(never)}. "
        some = own[own["reached"] > 0]
        if len(some) and not len(whole):
            pairs = [f"{scenarios()[r.scenario].title.lower()} ({r.reached_by})" for r in some.itertuples()]
            text += f"Single rows are reached: {', '.join(pairs)}. "
        chance = own["expected_by_chance"].mean()
        text += (
            f"A number that says nothing, drawn evenly between guessing and 100 %, would be reached by {chance:.1f} of "
            f"the {len(choices)} choices on average, and by at least one with a chance of "
            f"{100 * own['any_by_chance'].mean():.0f} %."
        )
        said.append(text)
    return said


def _figure(study: Study, found: pd.DataFrame, phase: str, backbone: str) -> HTML:
    own = rows_where(found, phase=phase, backbone=backbone)
    titles = {name: scenarios()[name].title for name in study.scenarios}
    variants = [_with_setting(study, variant) for variant in [DEFAULT_VARIANT, *study.variants]]
    names = {choice: choice_name(*choice) for choice in itertools.product(study.preprocessings, variants)}
    reached = own[own["reaches"]]
    alt = f"{len(own)} intervals of {len(names)} choices; {len(reached)} hold the printed accuracy: " + (
        "; ".join(f"{titles[r.scenario]}: {names[r.preprocessing, r.variant]}" for r in reached.itertuples()) or "none"
    )
    caption = (
        f"{backbone}, {html.PHASE_NAMES[phase].lower()}: the repetition interval of every choice (95 %, one more run "
        "like the paper's) under by_view. The vertical line is the printed accuracy; a choice that reaches it is "
        "thick and blue."
    )
    shown = own.assign(choice=[names[key] for key in zip(own["preprocessing"], own["variant"])])
    figure = draw_choices(shown.assign(scenario=shown["scenario"].map(titles)))
    name = f"multiverse-{phase}-{backbone}"
    title, source = "The multiverse of open choices", table_files(study)
    return html.figure(name, figure, title, caption, alt, source=source)


def _with_setting(study: Study, variant: str) -> str:
    """A variant's name; for the study's own settings the values that its variants change, as `rotation 180`; "" where
    there is no variant."""
    if variant != DEFAULT_VARIANT:
        return variant
    changed = dict.fromkeys(key for settings in study.variants.values() for key in settings)
    own = study.model_dump()
    values = (f"{own[key]:g}" if isinstance(own[key], float) else str(own[key]) for key in changed)
    return ", ".join(f"{key} {value}" for key, value in zip(changed, values))


def _table(rows: pd.DataFrame) -> HTML:
    records = to_records(rows)
    for row in records:
        row |= {"scenario_title": scenarios()[row["scenario"]].title, "phase_name": html.PHASE_NAMES[row["phase"]]}
    columns = [
        *(html.column("scenario_title", "Scenario", "head"), html.column("backbone", "Model")),
        *(html.column("phase_name", "Phase"), html.column("printed", "Printed", "percent")),
        *(html.column("lowest", "Lowest", "percent"), html.column("highest", "Highest", "percent")),
        *(html.column("choices", "Choices", "count"), html.column("reached", "Reach it", "count")),
        *(html.column("expected_by_chance", "By chance", "decimal"), html.column("reached_by", "Which", "small")),
    ]
    caption = "For each printed row our lowest and highest accuracy, per cent, and how many choices reach the print."
    return html.table("multiverse-rows", caption, columns, records, f"tables/{REACHED_FILE}.csv")


def _choices_table(by_choice: pd.DataFrame) -> HTML:
    records = to_records(by_choice.sort_values("reached", ascending=False, kind="stable"))
    for row in records:
        row |= {"choice": choice_name(row["preprocessing"], row["variant"])}
        row |= {"phase_name": html.PHASE_NAMES[row["phase"]]}
    columns = [
        *(html.column("choice", "Choice", "head"), html.column("backbone", "Model")),
        *(html.column("phase_name", "Phase"), html.column("tables", "Printed rows", "count")),
        *(html.column("reached", "Reached", "count"), html.column("which", "Which", "small")),
    ]
    caption = "How many of the printed rows each choice reaches."
    name = "multiverse-choices"
    return html.table(name, caption, columns, records, f"tables/{CHOICES_FILE}.csv", folded=True)
