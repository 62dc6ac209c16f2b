"""What others report on related sets, and ours beside it on the same metric."""

import pandas as pd
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import RELATED_WORK, StudyPaths
from lib.report import html
from lib.report.data import rows_where
from lib.report.show import show
from lib.report.tables import in_paper_order, shown_model
from lib.scores.metrics import class_scores, model_scores
from lib.scores.outcomes import read_outcomes, select_models

SCENARIO = "nine_classes"
METRICS = {  # as params/related_work.csv names them -> column of `our_scores`
    "accuracy": "test_accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "ROC AUC": "roc_auc",
    "ROC AUC of melanoma": "melanoma_roc_auc",
}
ANSWERED = ("kind of lesion", "melanoma or not")  # questions that a model of the nine classes answers
MODEL = ["protocol", "phase", "backbone"]
COLUMNS = ["reference", "on", "question", "classes", "grouped", "metric", "theirs"]


def our_scores(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Our scores of the nine classes on the others' metrics: one row per MODEL, the columns of METRICS, fractions of 1,
    under the study's first preprocessing. Macro F1 is the mean over the classes that have images."""
    outcomes = read_outcomes(paths, study.preprocessings[0], SCENARIO)
    models = select_models(outcomes, study.protocols)
    if not models or SCENARIO not in study.scenarios:
        return pd.DataFrame(columns=[*MODEL, *METRICS.values()])
    metrics = model_scores(outcomes, study.protocols)
    classes = pd.concat([class_scores(rows).assign(**dict(zip(MODEL, key))) for key, rows in models.items()])
    f1 = classes[classes["support"] > 0].groupby(MODEL)["f1"].mean().rename("macro_f1")
    melanoma = rows_where(classes, **{"class": "melanoma"}).set_index(MODEL)["roc_auc"].rename("melanoma_roc_auc")
    return metrics.join(f1, on=MODEL).join(melanoma, on=MODEL)[[*MODEL, *METRICS.values()]]


def load_related_work() -> pd.DataFrame:
    """params/related_work.csv: what others report, one row per number; `value`: fraction of 1, or NaN."""
    return pd.read_csv(RELATED_WORK, dtype={"classes": str}, keep_default_na=False, na_values={"value": [""]})


def related_work(paths: StudyPaths, study: Study) -> HTML:
    """What others report, and beside each number ours on its metric; synthetic images are compared to nothing."""
    others, scores = load_related_work(), our_scores(paths, study)
    table = others.assign(
        reference=others["reference"] + " " + others["year"].astype(str),
        reference_link=others["source"],
        on=others["model"] + " on " + others["data"],
        theirs=others["value"],
        grouped=others["by_lesion"],
    )
    ours, text = [], "No model of the nine classes was evaluated: nothing of ours stands beside these numbers."
    if study.synthetic:
        text = "The images of this study are synthetic: its numbers are compared to nothing."
    elif len(scores):
        models = [shown_model(study, SCENARIO), *in_paper_order(scores["backbone"].unique())]
        model = next(name for name in models if name in set(scores["backbone"]))
        phase = next(phase for phase in reversed(PHASES) if phase in set(rows_where(scores, backbone=model)["phase"]))
        own = rows_where(scores, backbone=model, phase=phase).set_index("protocol")
        ours = [name for name in study.protocols if name in own.index]
        for name in ours:
            scores_of = own.loc[name, others["metric"].map(METRICS)].to_numpy()
            table[f"ours_{name}"] = pd.Series(scores_of).where(others["question"].isin(ANSWERED))
        text = _in_words(paths, f"{model}, {PHASE_TITLES[phase].lower()}")
    caption = "Numbers of others and ours on the same metric, per cent; they share no test images."
    shown = [f"ours_{name}" for name in ours]
    columns = [*COLUMNS, *shown, "split", "differs", "peer_reviewed", "checked", "note"]
    body = show(table, "field", caption, "params/related_work.csv", columns, groups={"Ours": shown}, cards=True)
    return html.joined([html.part("note", text=text), body])


def _in_words(paths: StudyPaths, model: str) -> str:
    files = (read_json(paths.dataset_audit) or {}).get("files")
    count = f" of {files:,} files" if files else ""
    return (
        f"Ours are {model}, on the nine classes of the public set{count}. No other work here has these images, classes "
        "and split, so no two numbers can be ranked: the table shows the range of numbers without a leak. Our ROC AUC "
        "is that of each class against the rest, weighted by its images; others may weigh classes alike."
    )
