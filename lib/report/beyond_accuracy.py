"""What accuracy does not say: calibration, malignant against benign, and the models compared."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.paper import scenarios
from lib.config.params import PHASES, Study
from lib.config.paths import StudyPaths
from lib.figures.accuracy import draw_ranks
from lib.figures.predictions import draw_decision_curve, draw_reliability, draw_roc
from lib.report import html, wording
from lib.report.data import to_records
from lib.report.tables import proposed_first
from lib.scores import beyond

CAPTIONS = {
    "calibration": "Expected calibration error, and what chance alone would give a perfectly calibrated model.",
    "malignant": "Malignant against benign: area under the ROC curve, sensitivity at fixed specificity.",
    "class_auc": "Area under the ROC curve of each class against the rest.",
    "seeds": "How far test accuracy moves with the training, beside how far it moves with the choice of test images.",
    "comparisons": "Every two models on the same test images; p-values corrected by Holm's method.",
}


def figures_and_tables(paths: StudyPaths, study: Study, tables: Mapping[str, pd.DataFrame]) -> HTML:
    """Calibration, malignant against benign, and the models compared, under the study's last protocol.

    Args:
        tables: what lib.scores.beyond.tables gives for that protocol.
    """
    protocol = study.protocols[-1]
    cells = beyond.select_cells(paths, study, protocol)
    parts = []
    for scenario, draw in _drawn_scenarios(study):
        backbone = next(
            (b for b in proposed_first(study.backbones) if any((scenario, b, p) in cells for p in PHASES)), ""
        )
        phase = next((p for p in reversed(PHASES) if (scenario, backbone, p) in cells), "")
        if phase:
            label = f"{backbone}, {html.PHASE_NAMES[phase].lower()}, {protocol}"
            parts += draw(cells[scenario, backbone, phase], label, scenarios()[scenario].title)
    drawn, parts = html.joined(parts, "pair"), ranks_of_models(tables, protocol)
    for name, caption in CAPTIONS.items():
        table = without_spread_of_one(tables[name]) if name == "seeds" else tables[name]
        if table.empty:
            reason = wording.sentence(table.attrs.get("not_tested", "not measured"))
            parts.append(html.missing(f"{caption} {reason}."))
        else:
            caption, file = f"{caption} Protocol {protocol}.", f"tables/beyond_{name}.csv"
            where = f"beyond-{name.replace('_', '-')}"
            parts.append(html.records_table(where, caption, to_records(table), file, folded=True))
    return html.joined([drawn, *parts])


def ranks_of_models(tables: Mapping[str, pd.DataFrame], protocol: str) -> list[HTML]:
    """Mean ranks over the scenarios, of the phases that have several; over one there is nothing to average or test."""
    ranks = tables["ranks"]
    ranks = ranks[ranks["scenarios"] > 1]
    if ranks.empty:
        return [html.part("note", text="Models are not ranked: no two scenarios have all of them.")]
    said = [
        f"{html.PHASE_NAMES[phase].lower()} {of_phase['critical_difference'].iloc[0]:.1f}"
        for phase, of_phase in ranks.groupby("phase", sort=False)
        if len(of_phase) > 2
    ]
    count = " and ".join(map(str, ranks["scenarios"].astype(int).unique()))
    caption = (
        f"Mean rank over {count} scenarios, {protocol}; lines are 95 % intervals. A black bar joins models that no "
        "test tells apart in any scenario."
    )
    caption += f" Nemenyi's critical difference, in ranks: {', '.join(said)}." if said else ""
    alt = "; ".join(
        f"{row.backbone}, {html.PHASE_NAMES[row.phase].lower()}: {row.mean_rank:.2f}" for row in ranks.itertuples()
    )
    wide = draw_ranks(ranks, tables["comparisons"])
    source = "tables/beyond_ranks.csv"
    return [html.figure("ranks", wide, "Models ranked", caption, alt, source=source)]


def without_spread_of_one(table: pd.DataFrame) -> pd.DataFrame:
    """The spreads without those of seeds, or of folds, where every model has one."""
    gone = [] if (table["seeds"] > 1).any() else ["seeds", "seed_sd", "run_sd", "lowest", "highest"]
    gone += [] if (table["folds"] > 1).any() else ["fold_sd"]
    return table.drop(columns=gone)


def _drawn_scenarios(study: Study) -> list[tuple[str, Callable[[pd.DataFrame, str, str], list[HTML]]]]:
    """The scenario with the most classes and its drawing, and the one that asks for malignancy alone and its."""
    classes = {name: scenarios()[name].names for name in scenarios() if name in study.scenarios}
    most = max(classes, key=lambda name: len(classes[name]))
    asked = [name for name, names in classes.items() if "malignant" in names]
    return [(most, _calibration_figure), *((name, _malignant_figures) for name in asked[:1])]


def _calibration_figure(frame: pd.DataFrame, label: str, title: str) -> list[HTML]:
    table = beyond.reliability(frame)
    figure = draw_reliability(table)
    alt = "; ".join(f"stated {row.confidence:.2f}, right {row.accuracy:.2f}" for row in table.itertuples())
    caption = (
        f"{title}, {label}. On the dotted line a stated probability is the share that is right; "
        "below it the model is too sure."
    )
    return [html.figure("reliability", figure, "Calibration", caption, alt, source="runs/*/predictions_*.parquet")]


def _malignant_figures(frame: pd.DataFrame, label: str, title: str) -> list[HTML]:
    sides = beyond.malignancy(frame)
    if sides is None:
        return []
    source = "runs/*/predictions_*.parquet"
    curve = beyond.decision_curve(frame)
    caption = f"Malignant against benign, {label}: true against false positive rate over all thresholds."
    roc = html.figure("roc", draw_roc(*sides), "ROC", caption, f"ROC curve of {label}.", source=source)
    caption = f"Malignant against benign, {label}: acting on the model is worth it where its line is above both others."
    alt = f"Net benefit at threshold 0.1: {curve.set_index('threshold')['model'].get(0.1, np.nan):.3f}."
    figure = draw_decision_curve(curve)
    return [roc, html.figure("decision-curve", figure, "Decision curve", caption, alt, source=source)]
