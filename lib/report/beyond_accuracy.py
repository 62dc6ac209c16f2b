"""What accuracy does not say: calibration, malignant against benign, and the models compared."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.paper import scenarios
from lib.config.params import PHASE_TITLES, PHASES, Study
from lib.config.paths import StudyPaths
from lib.figures.predictions import draw_decision_curve, draw_reliability, draw_roc
from lib.report import html
from lib.report.show import show
from lib.report.tables import in_paper_order
from lib.scores import beyond

CAPTIONS = {
    "calibration": "Expected calibration error, and what chance alone would give a perfectly calibrated model.",
    "malignant": "Malignant against benign: area under the ROC curve, sensitivity at fixed specificity.",
    "class_auc": "Area under the ROC curve of each class against the rest.",
    "seeds": "How far test accuracy moves with the training, and how far with the choice of test images.",
    "comparisons": "Every two models on the same test images; p-values corrected by Holm's method.",
}
OUTCOMES = "outcomes/*/*.parquet"


def figures_and_tables(paths: StudyPaths, study: Study, tables: Mapping[str, pd.DataFrame]) -> HTML:
    """Calibration, malignant against benign, and the models compared, under the study's last protocol.

    Args:
        tables: what lib.scores.beyond.tables gives for that protocol.
    """
    protocol = study.protocols[-1]
    pairs = tables["comparisons"]
    differing = f"{pairs['different'].sum()} of {len(pairs)} pairs of models" if len(pairs) else "No two models"
    parts = [html.result(f"{differing} differ beyond chance on the test images of `{protocol}`.")]
    parts.append(html.joined(_model_figures(paths, study, protocol), "pair"))
    for name, caption in CAPTIONS.items():
        table, where = tables[name], f"beyond-{name.replace('_', '-')}"
        if table.empty:
            parts.append(html.missing(f"{caption} {table.attrs.get('not_tested', 'not measured').capitalize()}."))
        else:
            table = without_single_spreads(table) if name == "seeds" else table
            parts.append(
                show(table, where, f"{caption} Protocol {protocol}.", f"tables/beyond_{name}.csv", folded=True)
            )
    return html.joined(parts)


def without_single_spreads(table: pd.DataFrame) -> pd.DataFrame:
    """The spreads without those of seeds, or of folds, where every model has one."""
    gone = [] if (table["seeds"] > 1).any() else ["seeds", "seed_sd", "run_sd", "lowest", "highest"]
    gone += [] if (table["folds"] > 1).any() else ["fold_sd"]
    return table.drop(columns=gone)


def _model_figures(paths: StudyPaths, study: Study, protocol: str) -> list[HTML]:
    """Calibration in the scenario with the most classes; ROC and decision curve in that of malignant and benign."""
    models, figures = beyond.select_cells(paths, study, protocol), []
    classes = {name: scenarios()[name].names for name in study.scenarios}
    most = max(classes, key=lambda name: len(classes[name]))
    for scenario in [most, *[name for name, names in classes.items() if "malignant" in names][:1]]:
        cells = [
            (scenario, backbone, phase) for backbone in in_paper_order(study.backbones) for phase in reversed(PHASES)
        ]
        cell = next((cell for cell in cells if cell in models), None)
        if cell is None:
            continue
        frame, label = (
            models[cell],
            f"{scenarios()[scenario].title}, {cell[1]}, {PHASE_TITLES[cell[2]].lower()}, {protocol}",
        )
        if scenario == most:
            table = beyond.reliability(frame)
            alt = "; ".join(f"stated {row.confidence:.2f}, right {row.accuracy:.2f}" for row in table.itertuples())
            caption = f"Below the dotted line the model is too sure. {label}."
            figures.append(html.figure("reliability", draw_reliability(table), "Calibration", caption, alt, OUTCOMES))
        sides = beyond.malignancy(frame)
        if scenario != most and sides is not None:
            curve = beyond.decision_curve(frame)
            benefit = curve.set_index("threshold")["model"].get(0.1, np.nan)
            caption = f"True against false positive rate over all thresholds. {label}."
            figures.append(html.figure("roc", draw_roc(*sides), "ROC", caption, f"ROC curve of {label}.", OUTCOMES))
            caption = f"The model is worth asking where its line is above both others. {label}."
            alt = f"Net benefit at threshold 0.1: {benefit:.3f}."
            figures.append(
                html.figure("decision-curve", draw_decision_curve(curve), "Decision curve", caption, alt, OUTCOMES)
            )
    return figures
