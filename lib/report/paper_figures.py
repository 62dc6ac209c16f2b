"""The paper's figures that show results, drawn from ours."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.config.paper import scenarios
from lib.config.params import AXES, PHASE_TITLES, PHASES, Study
from lib.config.paths import StudyPaths
from lib.config.printed import printed_rows
from lib.figures.predictions import draw_confusion_matrix
from lib.figures.training import draw_training_curves
from lib.report import html
from lib.report.data import read_csv, read_parquet, rows_where
from lib.report.tables import accuracy_series, few_classes, shown_model, shown_scenarios
from lib.scores.metrics import confusion
from lib.scores.outcomes import read_outcomes, select_models


def count_images(paths: StudyPaths) -> pd.DataFrame | None:
    """Fig. 7: images of each class, as found and after the pool was filled up by augmentation."""
    views = read_parquet(paths.views)
    if views is None:
        return None
    counts = {"files": views[views["view"] == 0], "views in the pool": views[views["in_nine_classes"]]}
    counts = pd.DataFrame({name: rows["class"].value_counts() for name, rows in counts.items()})
    return counts.fillna(0).astype(int).sort_index()


def draw_scenario(paths: StudyPaths, study: Study, scenario: str) -> dict[str, tuple[Figure | None, str]]:
    """Figs. 8 to 19: `accuracy` and `loss` while `shown_model` is trained, and its `confusion`, one panel per protocol,
    each with its alternative text; None where there is no run."""
    model, histories = shown_model(study, scenario), read_histories(paths, study, scenario)
    matrices = confusion_matrices(paths, study, scenario)
    trained = {name: history for name, history in histories.items() if history is not None}
    printed = printed_end(study, scenario, pd.concat(trained.values())) if trained else None
    lines, figures = {"accuracy": {"printed": printed, "printed_for": model}, "loss": {}}, {}
    for quantity, line in lines.items():
        ends = [f"{name} ends at {history[f'val_{quantity}'].iloc[-1]:.3f}" for name, history in trained.items()]
        figure = draw_training_curves(histories, quantity, **line) if trained else None
        figures[quantity] = figure, f"Validation {quantity}: {'; '.join(ends)}"
    known = {name: counts.to_numpy() for name, counts in matrices.items() if counts is not None}
    right = [f"{name}: {np.trace(counts)} of {counts.sum()} right" for name, counts in known.items()]
    figures["confusion"] = draw_confusion_matrix(matrices) if known else None, "; ".join(right)
    return figures


def paper_number(scenario: str, shows: str) -> int:
    """The paper's figure that shows this of a scenario; 0 where it has none."""
    entries = html.paper_figures().items()
    return next((n for n, entry in entries if (entry.get("scenario"), entry.get("shows")) == (scenario, shows)), 0)


def read_histories(paths: StudyPaths, study: Study, scenario: str) -> dict[str, pd.DataFrame | None]:
    """Protocol -> the history of `shown_model`'s first seed; None where it was not trained."""
    own = study.preprocessings[0], scenario, shown_model(study, scenario), study.seeds[0]
    return {name: read_csv(paths.run(**dict(zip(AXES, (name, *own)))) / "history.csv") for name in study.protocols}


def printed_end(study: Study, scenario: str, history: pd.DataFrame) -> float | None:
    """The validation accuracy that the paper prints for the phase in which a history ends, a fraction of 1."""
    phase = next(phase for phase in reversed(PHASES) if (history["phase"] == phase).any())
    printed = printed_rows().set_index(["table", "phase", "backbone"])["val_accuracy"] / 100
    key = scenarios()[scenario].table, phase, shown_model(study, scenario)
    return None if study.synthetic else printed.get(key)


def confusion_matrices(paths: StudyPaths, study: Study, scenario: str) -> dict[str, pd.DataFrame | None]:
    """Protocol and phase -> the confusion matrix of `shown_model`, fine-tuned if it was; None where not evaluated."""
    model, matrices, few = shown_model(study, scenario), {}, few_classes(paths)
    models = select_models(read_outcomes(paths, study.preprocessings[0], scenario), study.protocols)
    for protocol in study.protocols:
        phase = next((phase for phase in reversed(PHASES) if (protocol, phase, model) in models), None)
        known = [protocol, PHASE_TITLES[phase].lower() if phase else "", few.get((scenario, protocol), "")]
        title = ", ".join(filter(None, known))
        matrices[title] = confusion(models[protocol, phase, model]) if phase else None
    return matrices


def summary_accuracies(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Fig. 20: scenario, series (`printed` or a protocol), accuracy, low, high of `shown_model`, fine-tuned."""
    rows = []
    for name in shown_scenarios(study):
        model, series = shown_model(study, name), accuracy_series(study, rows_where(scores, scenario=name))
        own = rows_where(series, backbone=model, phase="finetune")
        rows.append(own.assign(scenario=f"{scenarios()[name].title}, {model}"))
    return pd.concat(rows, ignore_index=True)
