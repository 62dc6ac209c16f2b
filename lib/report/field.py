"""Beside the field: what others reach on related sets, grouped by lesion and not, and ours on their metrics."""

import csv
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from IPython.display import HTML
from pydantic import Field

from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import RELATED_WORK, StudyPaths
from lib.config.schema import ParameterError, Strict, validated
from lib.report import html, wording
from lib.report.data import rows_where, to_records
from lib.report.ladder import FROZEN_OR_NOT
from lib.report.tables import in_paper_order, shown_model
from lib.scores.metrics import class_scores, model_scores
from lib.scores.outcomes import read_outcomes, select_models

SCENARIO = "nine_classes"  # whose numbers of ours stand beside the others'
METRICS = {  # as params/related_work.csv names them -> column of `ours`
    "accuracy": "test_accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "ROC AUC": "roc_auc",
    "ROC AUC of melanoma": "melanoma_roc_auc",
}
ANSWERED = ("kind of lesion", "melanoma or not")  # questions that a model of the nine classes answers
EXTRA = {"question", "classes", "split", "differs", "peer_reviewed", "read", "note"}  # not on a telephone, nor in print
COLUMNS = (  # of the table of others: key, name and kind
    ("reference", "Reference", "head"),
    ("on", "Model and data", "small"),
    ("question", "Question", "text"),
    ("classes", "Classes", "text"),
    ("by_lesion", "Grouped by lesion", "text"),
    ("metric", "Metric", "text"),
    ("value", "Theirs", "percent"),
    ("split", "Their split", "small"),
    ("differs", "What else differs from ours", "small"),
    ("peer_reviewed", "Peer-reviewed", "text"),
    ("read", "Number read in", "text"),
    ("note", "Note", "small"),
)
MODEL = ["protocol", "phase", "backbone"]
NOT_COMPARED = "The images of this study are drawn. Its numbers are compared to nothing."


class Other(Strict):
    """What others report: a row of params/related_work.csv."""

    reference: str = Field(min_length=1)
    year: int = Field(strict=False, ge=1990, le=2100)
    model: str = Field(min_length=1)
    data: str = Field(min_length=1)
    question: Literal["kind of lesion", "melanoma or not", "thickness of a melanoma"]
    classes: str = Field(min_length=1)
    split: str = Field(min_length=1)
    by_lesion: Literal["yes", "no", "not stated"]  # all images of a lesion on one side
    metric: Literal[tuple(METRICS)]
    value: float | None = Field(strict=False, gt=0, le=1)  # fraction of 1; None where it could not be read
    source: str = Field(pattern=r"^https?://[\w.-]+\.[a-z]{2,}/\S+$")
    peer_reviewed: Literal["yes", "no"]
    checked: Literal["in the source's own words", "from an excerpt"]
    differs: str = Field(min_length=1)  # from ours: data, classes, model
    note: str


def others(path: Path = RELATED_WORK) -> list[Other]:
    """What others report, in the order of params/related_work.csv.

    Raises:
        ParameterError: a column is missing or unknown, or a value is none of those allowed; it names the row.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, restkey="more", restval=""))
    if not lines:
        raise ParameterError(f"{path}: has no row; give one for each number that others report")
    rows = []
    for number, line in enumerate(lines, start=2):
        row = line | {"value": line.get("value") or None}
        rows.append(validated(Other, row, path, f"line {number} ({line.get('reference') or 'no reference'})"))
    return rows


def ours(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Our scores of the nine classes on the others' metrics, a row a (protocol, phase, backbone) that was evaluated.

    MODEL, folds, n_test and the columns of METRICS, fractions of 1, under the study's first preprocessing: those of
    lib.scores.metrics, the mean F1 of the classes that have images, and melanoma's ROC AUC.
    """
    columns = [*MODEL, "folds", "n_test", *METRICS.values()]
    outcomes = read_outcomes(paths, study.preprocessings[0], SCENARIO)
    models = select_models(outcomes, study.protocols)
    if not models or SCENARIO not in study.scenarios:
        return pd.DataFrame(columns=columns)
    metrics = model_scores(outcomes, study.protocols)
    classes = pd.concat([class_scores(rows).assign(**dict(zip(MODEL, key))) for key, rows in models.items()])
    f1 = classes[classes["support"] > 0].groupby(MODEL)["f1"].mean().rename("macro_f1")
    melanoma = rows_where(classes, **{"class": "melanoma"}).set_index(MODEL)["roc_auc"].rename("melanoma_roc_auc")
    table = metrics.join(f1, on=MODEL).join(melanoma, on=MODEL)
    order = {name: place for place, name in enumerate([*study.protocols, *html.PHASE_NAMES])}
    order |= {name: place for place, name in enumerate(in_paper_order(study.backbones))}
    return table.sort_values(MODEL, key=lambda column: column.map(order), ignore_index=True)[columns]


def beside_the_field(paths: StudyPaths, study: Study) -> HTML:
    """What others report, ours beside it on the same metric, and all our models on these metrics.

    Of a synthetic study nothing of ours is shown: synthetic images are compared to nothing.
    """
    if study.synthetic:
        return html.joined(
            [html.part("note", text=NOT_COMPARED), _others_table(study, pd.DataFrame(columns=MODEL), "")]
        )
    table = ours(paths, study)
    if table.empty:
        missing = html.missing("No model of the nine classes was evaluated: there is nothing of ours to compare.")
        return html.joined([_others_table(study, pd.DataFrame(columns=MODEL), ""), missing])
    model, phase = _shown(table, study)
    shown = rows_where(table, backbone=model, phase=phase)
    label = f"{model}, {FROZEN_OR_NOT[phase]}"
    note = html.part("note", text=_ours_in_words(paths, study, label))
    return html.joined([note, _others_table(study, shown, label), _ours_table(paths, study, table)])


def _others_table(study: Study, shown: pd.DataFrame, label: str) -> HTML:
    """The rows of related_work.csv; with `shown`, a row a protocol, ours on the same metric beside each."""
    by_protocol = {record["protocol"]: record for record in to_records(shown)}
    protocols = [protocol for protocol in study.protocols if protocol in by_protocol]
    rows, data = [], []
    for other in others():
        row: dict[str, Any] = other.model_dump()
        if other.question in ANSWERED:
            row |= {f"ours_{name}": by_protocol[name][METRICS[other.metric]] for name in protocols}
        data.append(dict(row))
        row |= {"reference": f"{other.reference} {other.year}", "on": f"{other.model} on {other.data}"}
        row |= {"read": "own words" if other.checked.startswith("in ") else "excerpt"}
        row |= {"value": "not read" if other.value is None else other.value}
        rows.append(row | {"_link": {"reference": other.source}})
    columns = [html.column(key, name, kind, extra=key in EXTRA) for key, name, kind in COLUMNS]
    place = next(place for place, column in enumerate(columns, start=1) if column["key"] == "value")
    columns[place:place] = [html.column(f"ours_{name}", name, "percent", group=f"Ours: {label}") for name in protocols]
    caption = (
        "What others report on related sets, per cent. Grouped by lesion: all images of a lesion lie on one side of "
        "the split. An excerpt is a text that quotes the source."
    )
    source = "params/related_work.csv" + (f" and {_folder(study)}" if protocols else "")
    filters = ["metric", "by_lesion", "peer_reviewed"]
    return html.table("field", caption, columns, rows, source, filters, data=pd.DataFrame(data), cards=True)


def _ours_table(paths: StudyPaths, study: Study, table: pd.DataFrame) -> HTML:
    """All our models of the nine classes on the others' metrics."""
    behind = {"05_evaluate": html.notebook(paths, f"evaluate-{study.preprocessings[0]}-{SCENARIO}")}
    rows = [row | {"phase_name": html.PHASE_NAMES[row["phase"]]} for row in to_records(table)]
    for before, row in zip(rows, rows[1:]):
        row["_block"] = before["protocol"] != row["protocol"]
    columns = [html.column("backbone", "Model", "head"), html.column("phase_name", "Phase")]
    columns += [html.column("protocol", "Protocol"), html.column("n_test", "Tested", "count")]
    columns += [html.column("folds", "Folds", "count")]
    columns += [html.column(key, wording.sentence(name), "percent") for name, key in METRICS.items()]
    caption = "Our models of the nine classes on these metrics, per cent."
    source = f"{_folder(study)}"
    filters = ["backbone", "phase_name", "protocol"]
    about = {"data": table, "folded": True, "behind": behind}
    return html.table("field-ours", caption, columns, rows, source, filters, **about)


def _shown(table: pd.DataFrame, study: Study) -> tuple[str, str]:
    """The model that stands for ours, and its last phase: `shown_model`, or the first one that was evaluated."""
    model = shown_model(study, SCENARIO)
    if model not in set(table["backbone"]):
        model = in_paper_order(set(table["backbone"]))[0]
    phases = set(table.loc[table["backbone"] == model, "phase"])
    return model, next(phase for phase in reversed(html.PHASE_NAMES) if phase in phases)


def _ours_in_words(paths: StudyPaths, study: Study, label: str) -> str:
    """What ours are: data, classes, splits and metrics, in plain words."""
    files = (read_json(paths.dataset_audit) or {}).get("files")
    count = f" of {files:,} files" if isinstance(files, int) else ""
    return (
        f"Ours are {label}, on the nine classes of the public set{count}. No other work here has these images, these "
        "classes and this split, so no two numbers can be ranked: the table shows in which range honest numbers lie. "
        "Under by_view views of one picture are on both sides; the others' leak, where there is one, is of several "
        "pictures of a lesion. Under by_lesion and clean a lesion is on one side. Balanced accuracy is the mean recall "
        "of the classes, macro F1 their mean F1. Our ROC AUC is that of each class against the rest, weighted by its "
        "images; others may weigh classes alike."
    )


def _folder(study: Study) -> str:
    return f"outcomes/{study.preprocessings[0]}/{SCENARIO}.parquet"
