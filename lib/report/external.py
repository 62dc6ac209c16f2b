"""The models on external images."""

import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.folder import lacking
from lib.report.data import read_csv, rows_where
from lib.scores.metrics import EXTERNAL, external_scores
from lib.scores.outcomes import read_external_outcomes

AXES = ["variant", "preprocessing", "scenario"]


def external_table(paths: StudyPaths, study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of every model on external images, with AXES in front; empty where there are none."""
    tables = []
    for cell in study.cells(*AXES):
        at, where = paths.of_variant(cell["variant"]), (cell["preprocessing"], cell["scenario"])
        own, outcomes = rows_where(scores[scores["seeds"] > 0], **cell), read_external_outcomes(at, *where)
        tables.append(external_scores(outcomes, own, study.protocols).assign(**cell))
    return pd.concat(tables, ignore_index=True).reindex(columns=[*AXES, *EXTERNAL])


def read_files(paths: StudyPaths, study: Study) -> pd.DataFrame | None:
    """The external images, one row per file; `excluded`: why, if so. None where none were given."""
    places = [paths.external_files(**cell) for cell in study.cells("preprocessing", "scenario")]
    return next((table for place in places if (table := read_csv(place)) is not None), None)


def count_files(files: pd.DataFrame) -> pd.DataFrame:
    """External images of each class, by what excludes them."""
    counts = pd.crosstab(files["class"], files["excluded"].fillna("kept"), margins=True, margins_name="all")
    return counts.rename_axis(columns=None).reset_index()


def missing_classes(files: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The scenarios that are not scored, with the classes of which no external image is kept."""
    kept = set(files.loc[files["excluded"].isna(), "class"])
    classes = {name: ", ".join(lacking(scenarios()[name], kept)) for name in study.scenarios}
    rows = [{"scenario": name, "without": names} for name, names in classes.items() if names]
    return pd.DataFrame(rows, columns=["scenario", "without"])
