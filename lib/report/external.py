"""The models on external images, and which of those files are excluded."""

import pandas as pd
from IPython.display import HTML

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.folder import lacking
from lib.report import html
from lib.report.data import read_csv, rows_where
from lib.report.show import show
from lib.scores.metrics import EXTERNAL, external_scores
from lib.scores.outcomes import read_external_outcomes

AXES = ["variant", "preprocessing", "scenario"]
FILES = "outcomes/*/*_external_files.csv"
HOW = (
    "`python run_all.py STUDY --external DIR` scores the models on class folders "
    "of such images (the classes of a scenario, or benign and malignant); no model is trained again for it."
)


def external_table(paths: StudyPaths, study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of every model on external images, with AXES in front; empty where there are none."""
    tables = []
    for cell in study.cells(*AXES):
        at, where = paths.of_variant(cell["variant"]), (cell["preprocessing"], cell["scenario"])
        own, outcomes = rows_where(scores[scores["seeds"] > 0], **cell), read_external_outcomes(at, *where)
        tables.append(external_scores(outcomes, own, study.protocols).assign(**cell))
    return pd.concat(tables, ignore_index=True).reindex(columns=[*AXES, *EXTERNAL])


def external_images_section(paths: StudyPaths, study: Study, scores: pd.DataFrame) -> HTML:
    """Each model on external images and on the data set, and which files are excluded."""
    places = [paths.external_files(**cell) for cell in study.cells("preprocessing", "scenario")]
    files = next((table for place in places if (table := read_csv(place)) is not None), None)
    if files is None:
        return html.joined([html.result("No external images were given."), html.part("note", text=HOW)])
    excluded, kept = files[files["excluded"].notna()], files[files["excluded"].isna()]
    counts = pd.crosstab(files["class"], files["excluded"].fillna("kept"), margins=True, margins_name="all")
    caption = f"External images of each class, and how many are excluded for which reason{html.if_synthetic(study)}."
    parts = [
        html.result(f"{len(kept)} of {len(files)} external images are neither images of the data set nor near to one."),
        show(counts.rename_axis(columns=None).reset_index(), "external-files", caption, FILES),
    ]
    if len(excluded):
        shown = excluded[["source", "excluded", "because_of"]]
        caption = "The excluded files, with their reasons."
        parts.append(show(shown, "external-excluded", caption, FILES, folded=len(shown) > 12))
    missing = {scenarios()[name].title: lacking(scenarios()[name], set(kept["class"])) for name in study.scenarios}
    for title, classes in missing.items():
        if classes:
            parts.append(html.part("note", text=f"{title}: not scored, as there is no image of {', '.join(classes)}."))
    return html.joined([*parts, _scores(external_table(paths, study, scores))])


def _scores(table: pd.DataFrame) -> HTML:
    if table.empty:
        return html.missing("No model was scored on external images.")
    axes = [axis for axis in ("preprocessing", "variant") if table[axis].nunique() > 1]
    groups = {"Accuracy": ["own_accuracy", "accuracy"], "Balanced": ["own_balanced_accuracy", "balanced_accuracy"]}
    columns = ["scenario", "backbone", "phase", *axes, "protocol", "images", "groups"]
    columns += ["own_accuracy", "accuracy", "difference", "own_balanced_accuracy", "balanced_accuracy"]
    titles = {"own_accuracy": "data set", "accuracy": "external", "own_balanced_accuracy": "data set"}
    caption = (
        "Accuracy on the data set and on external images, per cent. The external images are scored by the model of the "
        "first fold; the difference is not paired (Newcombe)."
    )
    shown = table.rename(columns={"own_low": "own_accuracy_low", "own_high": "own_accuracy_high"})
    about = {"titles": titles | {"balanced_accuracy": "external"}, "groups": groups, "data": table}
    return show(shown, "external-scores", caption, "tables/external.csv", columns, folded=len(table) > 24, **about)
