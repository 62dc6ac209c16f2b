"""From the printed accuracy to the honest one: the ladder, and each finding by its type of leakage."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from lib.config.paper import scenarios
from lib.config.params import PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.figures.rungs import RUNG_NAMES, draw_ladder
from lib.figures.style import save_svg
from lib.report import html, wording
from lib.report.data import read_csv, rows_where, to_records, written
from lib.report.tables import shown_model
from lib.scores import ladder

FROZEN_OR_NOT = {"transfer": "frozen", "finetune": "fine-tuned"}
RUNG_COLUMNS = [
    html.column("rung_name", "Rung", "head"),
    html.column("accuracy", "Accuracy", "interval"),
    html.column("step", "Step, points", "difference"),
    html.column("images", "Scored", "count", extra=True),
    html.column("groups", "Lesions", "count", extra=True),
    html.column("folds", "Folds", "count", extra=True),
]


@dataclass(frozen=True)
class Ladder:
    """tables/ladder.csv, read once and drawn once for the whole report.

    Args:
        table: every rung of every model; of synthetic images without what compares them with the print.
        shown: the rows of it for `shown_model` of each scenario, under the study's first preprocessing.
        titles: (scenario, backbone, phase, preprocessing) of each panel drawn -> its title.
        picture: a row of panels a phase; None where there is no row to show.
    """

    table: pd.DataFrame
    shown: pd.DataFrame
    titles: dict[tuple, str]
    picture: Figure | None

    @classmethod
    def read(cls, paths: StudyPaths, study: Study) -> "Ladder":
        found = read_csv(written(paths, paths.ladder))
        table = pd.DataFrame(columns=ladder.COLUMNS) if found is None else found
        table = ladder.without_printed(table) if study.synthetic else table
        models = table["scenario"].map({scenario: shown_model(study, scenario) for scenario in study.scenarios})
        own = (table["variant"] == DEFAULT_VARIANT) & (table["preprocessing"] == study.preprocessings[0])
        shown, titles = table[(table["backbone"] == models) & own], {}
        trained = set(shown[["scenario", "phase"]].itertuples(index=False, name=None))
        for phase, scenario in itertools.product(PHASES, study.scenarios):
            if (scenario, phase) in trained:
                model = shown_model(study, scenario)
                key = (scenario, model, phase, study.preprocessings[0])
                titles[key] = f"{scenarios()[scenario].title}\n{model}, {FROZEN_OR_NOT[phase]}"
        picture = draw_ladder(shown, titles, columns=min(4, len(study.scenarios))) if titles else None
        return cls(table, shown, titles, picture)

    @property
    def elsewhere(self) -> bool:
        """Whether a rung stands for external images."""
        return bool((self.table["rung"] == ladder.EXTERNAL.name).any())

    def save(self, paths: StudyPaths) -> None:
        """Write the picture as tables/ladder.svg."""
        if self.picture:
            save_svg(self.picture, paths.new(paths.ladder_picture))

    def way(self, scenario: str) -> pd.DataFrame:
        """The rungs of a scenario's `shown_model`, by rung, in the phase with the most folds.

        One fold tests a tenth of the images, which says little. Fine-tuned, if both phases have as many.
        """
        rows = rows_where(self.shown, scenario=scenario)
        folds = rows.groupby("phase")["folds"].max()
        phase = max(folds.index, key=lambda name: (folds[name], PHASES.index(name)), default="")
        return rows[rows["phase"] == phase].set_index("rung")


def rungs(steps: Ladder) -> HTML:
    """What is trained and scored on each rung, and what the step to it changes; `external` where there is one."""
    rows = [{"rung": RUNG_NAMES["printed"], "step": "nothing: the paper's own number"}]
    for rung in (*ladder.RUNGS, ladder.EXTERNAL) if steps.elsewhere else ladder.RUNGS:
        row = {
            "rung": RUNG_NAMES[rung.name],
            "trained": rung.protocol,
            "labels": rung.labels,
            "step": rung.step,
        }
        rows.append(row | {"scored": f"its {rung.scored_on}" if rung.name == "by view" else rung.scored_on})
    columns = [
        *(html.column("rung", "Rung", "head"), html.column("step", "What the step to it isolates")),
        *(html.column("trained", "Trained on"), html.column("scored", "Scored on"), html.column("labels", "Labels")),
    ]
    caption = "Each rung changes one thing, so a step is worth what that one thing is worth."
    table = html.table("rungs", caption, columns, rows, source="lib/scores/ladder.py", cards=True)
    return html.joined([html.part("protocols"), table])


def ladder_figure(steps: Ladder, study: Study) -> HTML:
    """The picture of the ladder with its caption."""
    if steps.picture is None:
        return html.missing("tables/ladder.csv has no row for the models that stand for the scenarios.")
    alt = "; ".join(
        f"{' '.join(steps.titles[key].split())}: "
        + ", ".join(f"{RUNG_NAMES[r.rung]} {wording.percent(r.accuracy)}" for r in rows.itertuples())
        for key, rows in steps.shown.groupby(["scenario", "backbone", "phase", "preprocessing"], sort=False)
    )
    first, above = (
        ("our run", "") if study.synthetic else ("the printed number (hollow)", "the printed accuracy, then ")
    )
    caption = (
        f"Test accuracy, per cent, from {first} down to the honest one, with 95 % intervals. On the right {above}"
        "the step to each rung in points, in colour where its interval leaves out 0. Steps are paired image by image"
        + (", but for that to external images, which are other images" if steps.elsewhere else "")
        + ". Where a rung was not run, the step after it is not known."
    )
    title = "From the leak to the honest number" if study.synthetic else "From printed to honest"
    return html.figure("ladder", steps.picture, title, caption, alt, source="tables/ladder.csv")


def ladder_table(steps: Ladder, study: Study) -> HTML:
    """Every rung of every model, as tables/ladder.csv has them."""
    table = steps.table
    if table.empty:
        return html.missing("tables/ladder.csv is not there or empty: no model was evaluated.")
    rows = to_records(table)
    for row in rows:
        row["_interval"] = {"accuracy": (row["low"], row["high"]), "step": (row["step_low"], row["step_high"])}
        row |= {"scenario_title": scenarios()[row["scenario"]].title, "phase_name": html.PHASE_NAMES[row["phase"]]}
        row |= {"rung_name": RUNG_NAMES[row["rung"]], "_block": row["rung"] == table["rung"].iat[0]}
    columns = [
        *(html.column("scenario_title", "Scenario"), html.column("backbone", "Model")),
        *(html.column("phase_name", "Phase"), *RUNG_COLUMNS),
    ]
    if len(study.preprocessings) > 1:
        columns.insert(3, html.column("preprocessing", "Input"))
    if study.variants:
        columns.insert(3, html.column("variant", "Variant"))
    caption = "Every rung of every model: accuracy in per cent, steps in points, 95 % intervals in square brackets."
    filters = ["scenario_title", "backbone", "phase_name", "rung_name"]
    filters += ["preprocessing"] if len(study.preprocessings) > 1 else []
    return html.table(
        "ladder-table", caption, columns, rows, "tables/ladder.csv", filters, data=table, folded=len(rows) > 12
    )


def step_in_words(rungs: pd.DataFrame, rung: str) -> str:
    """`-12.3 [-15.0, -9.5]` points; empty where the step is not known."""
    if rung not in rungs.index or not np.isfinite(rungs.at[rung, "step"]):
        return ""
    low, high = (wording.signed(100 * rungs.at[rung, end]) for end in ("step_low", "step_high"))
    return f"{wording.signed(100 * rungs.at[rung, 'step'])} [{low}, {high}]"
