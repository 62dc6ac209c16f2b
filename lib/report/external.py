"""The models on external images, and what of those files was left out."""

import pandas as pd
from IPython.display import HTML

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.external import REASONS
from lib.data.folder import lacking
from lib.report import html
from lib.report.data import read_csv, to_records
from lib.report.tables import measured_scores
from lib.scores import external
from lib.scores.outcomes import read_external_outcomes

HOW = (
    "No external images were given. `python run_all.py STUDY --external DIR` scores the models on class folders "
    "of such images (the classes of a scenario, or benign and malignant); no model is trained again for it."
)


def external_table(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """The scores of every model on external images, with variant, preprocessing and scenario in front; empty where
    there are none."""
    tables, axes = [], ("variant", "preprocessing", "scenario")
    for cell in study.cells(*axes):
        at = paths.of_variant(cell["variant"])
        own = measured_scores(at, study, cell["preprocessing"], cell["scenario"])
        outcomes = read_external_outcomes(at, cell["preprocessing"], cell["scenario"])
        table = external.external_scores(outcomes, own, study.protocols)
        if len(table):
            tables.append(pd.concat([pd.DataFrame(cell, index=table.index), table], axis=1))
    columns = [*axes, *external.SCORES]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def external_images_section(paths: StudyPaths, study: Study) -> HTML:
    """How many files there are and what is excluded, then each model on them and on the data set."""
    places = {cell["scenario"]: paths.external_files(**cell) for cell in study.cells("preprocessing", "scenario")}
    found = {scenario: read_csv(place) for scenario, place in places.items()}
    files = next((table for table in found.values() if table is not None), None)
    if files is None:
        return html.part("note", text=HOW)
    parts = [_counts(files, study), _excluded(files), *_not_scored(files, study)]
    return html.joined([*parts, *_scores(external_table(paths, study), study)])


def _counts(files: pd.DataFrame, study: Study) -> HTML:
    why = files["excluded"].fillna("")
    rows = [
        {"class": name, "files": len(of), "kept": int((of == "").sum())}
        | {key: int((of == key).sum()) for key in REASONS}
        for name, of in [*why.groupby(files["class"]), ("all", why)]
    ]
    shown = [key for key in REASONS if (why == key).any()]
    columns = [html.column("class", "Folder", "head"), html.column("files", "Files", "count")]
    columns += [html.column("kept", "Kept", "count"), *(html.column(key, key, "count", "Excluded") for key in shown)]
    caption = (
        "External images, and how many were excluded, each by the first reason that holds. Rotated and mirrored "
        f"copies count as near; a crop, or another photograph of a lesion, is not found.{html.if_synthetic(study)}"
    )
    return html.table("external-files", caption, columns, rows, source="outcomes/*/*_external_files.csv")


def _excluded(files: pd.DataFrame) -> HTML:
    rows = to_records(files[files["excluded"].notna()])
    if not rows:
        return html.part("note", text="No file is excluded: none is, or is near, an image of the data set.")
    columns = [
        *(html.column("source", "File", "head"), html.column("excluded", "Excluded: it")),
        html.column("because_of", "Because of", "small"),
    ]
    caption = "The excluded files, with their reasons."
    source = "outcomes/*/*_external_files.csv"
    return html.table("external-excluded", caption, columns, rows, source, ["excluded"], folded=len(rows) > 12)


def _not_scored(files: pd.DataFrame, study: Study) -> list[HTML]:
    """A line for each scenario of which a class has no image."""
    kept = set(files.loc[files["excluded"].isna(), "class"])
    missing = {scenarios()[name].title: lacking(scenarios()[name], kept) for name in study.scenarios}
    return [
        html.part("note", text=f"{title}: not scored, as there is no image of {', '.join(classes)}.")
        for title, classes in missing.items()
        if classes
    ]


def _scores(table: pd.DataFrame, study: Study) -> list[HTML]:
    if table.empty:
        return [html.missing("No model was scored on external images.")]
    rows = to_records(table)
    for row in rows:
        row |= {"scenario_title": scenarios()[row["scenario"]].title, "phase_name": html.PHASE_NAMES[row["phase"]]}
        row["_interval"] = {
            "accuracy": (row["low"], row["high"]),
            "own_accuracy": (row["own_low"], row["own_high"]),
            "difference": (row["difference_low"], row["difference_high"]),
        }
    columns = [
        *(html.column("scenario_title", "Scenario"), html.column("backbone", "Model")),
        *(html.column("phase_name", "Phase", extra=True), html.column("protocol", "Protocol")),
        *(html.column("images", "Images", "count", extra=True), html.column("groups", "Groups", "count", extra=True)),
        html.column("own_accuracy", "data set", "interval", "Accuracy"),
        html.column("accuracy", "elsewhere", "interval", "Accuracy"),
        html.column("difference", "Difference, points", "difference"),
        html.column("own_balanced_accuracy", "data set", "percent", "Balanced accuracy", extra=True),
        html.column("balanced_accuracy", "elsewhere", "percent", "Balanced accuracy", extra=True),
    ]
    if len(study.preprocessings) > 1:
        columns.insert(3, html.column("preprocessing", "Input"))
    if study.variants:
        columns.insert(3, html.column("variant", "Variant"))
    caption = (
        "Each model on the data set (all folds, as its protocol scores them) and on external images, per cent. "
        "There it is one model a seed, that of the first fold, whose weights are kept: its interval is that of the "
        "images and holds nothing of what differs from training to training. The images are others, so the difference "
        "is not paired (Newcombe). Plain accuracies depend on how many images each class has; balanced ones do not."
    )
    filters = ["scenario_title", "backbone", "phase_name", "protocol"]
    source = "tables/external.csv"
    return [html.table("external-scores", caption, columns, rows, source, filters, data=table, folded=len(rows) > 24)]
