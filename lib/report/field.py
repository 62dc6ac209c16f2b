"""What others report on related sets (params/related_work.csv), and our scores on the same metrics."""

import pandas as pd

from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import RELATED_WORK, StudyPaths
from lib.report.data import rows_where
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


def select_ours(study: Study, scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The model of `our_scores` whose scores stand beside the others', in words, and its scores by protocol:
    `shown_model`, fine-tuned, where it was run. None of synthetic images, which are compared to nothing."""
    if study.synthetic or scores.empty:
        return "", scores.iloc[:0].set_index("protocol")
    models = [shown_model(study, SCENARIO), *in_paper_order(scores["backbone"].unique())]
    own = rows_where(scores, backbone=next(name for name in models if name in set(scores["backbone"])))
    own = rows_where(own, phase=next(phase for phase in reversed(PHASES) if phase in set(own["phase"])))
    words = f"{own['backbone'].iloc[0]}, {PHASE_TITLES[own['phase'].iloc[0]].lower()}"
    return words, own.set_index("protocol").loc[[name for name in study.protocols if name in set(own["protocol"])]]


def add_ours(others: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """The others' numbers as the report names them, and `ours_<protocol>` on the same metric, where a model of the nine
    classes answers the same question."""
    table = others.assign(reference=others["reference"] + " " + others["year"].astype(str))
    table = table.assign(reference_link=others["source"], on=others["model"] + " on " + others["data"])
    scores = {f"ours_{name}": row[others["metric"].map(METRICS)].to_numpy() for name, row in ours.iterrows()}
    answered = others["question"].isin(ANSWERED)
    table = table.assign(**{name: pd.Series(values, others.index).where(answered) for name, values in scores.items()})
    return table.rename(columns={"value": "theirs", "by_lesion": "grouped", "note": "differs_note"})
