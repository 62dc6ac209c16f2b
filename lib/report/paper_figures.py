"""The paper's figures, as far as they show results, beside ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.paper import backbones, proposed_backbone, scenarios
from lib.config.params import AXES, PHASE_TITLES, PHASES, Study
from lib.config.paths import StudyPaths, run_id
from lib.config.printed import printed_rows
from lib.explain import kmeans
from lib.figures.accuracy import draw_scenario_summary
from lib.figures.dataset import draw_class_counts, draw_sample_images
from lib.figures.predictions import draw_confusion_matrix
from lib.figures.training import draw_training_curves
from lib.report import html, wording
from lib.report.data import read_csv, read_parquet, read_picture, read_pool
from lib.report.tables import TABLE_FILES, select_own, shown_model, shown_scenarios
from lib.scores.metrics import confusion
from lib.scores.outcomes import read_outcomes, select_models

PICTURES = 10  # of Grad-CAM and of k-means that are shown


def samples_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 6: a picture of each class."""
    views, images = read_pool(paths)
    if views is None:
        return html.missing("Fig. 6: no images were prepared.", figure=6)
    rows = views[views["view"] == 0].groupby("class").head(1).sort_values("class")
    figure = draw_sample_images([(name, images[row]) for row, name in rows["class"].items()])
    caption = f"The first image of each class, {study.image_size} px{html.if_synthetic(study)}."
    alt, runs = "One image of each class: " + ", ".join(rows["class"]), _run(paths, "02_prepare_data", "prepare")
    return html.figure("fig-6", figure, "Sample images", caption, alt, "prepared/images.npy", runs, paper=6)


def counts_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 7: images of each class, as found and after the pool was filled up by augmentation."""
    views = read_parquet(paths.views)
    if views is None:
        return html.missing("Fig. 7: no images were prepared.", figure=7)
    counts = {"files": views[views["view"] == 0], "views in the pool": views[views["in_nine_classes"]]}
    counts = pd.DataFrame({name: rows["class"].value_counts() for name, rows in counts.items()})
    counts = counts.fillna(0).astype(int).sort_index()
    caption = "Images of each class: files of the data set, and the pool of nine classes after augmentation."
    alt = "Bars of " + "; ".join(f"{row[0]}: {row[1]}, {row[2]}" for row in counts.itertuples(name=None))
    runs, figure = _run(paths, "02_prepare_data", "prepare"), draw_class_counts(counts)
    return html.figure("fig-7", figure, "Class sizes", caption, alt, "prepared/views.parquet", runs, paper=7)


def curves_figures(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 8-9, 11-12, 14-15, 17-18: training curves of `shown_model` in one scenario, one panel per protocol."""
    model, title = shown_model(study, scenario), scenarios()[scenario].title
    histories, runs = {}, {}
    for protocol in study.protocols:
        cell = dict(zip(AXES, (protocol, study.preprocessings[0], scenario, model, study.seeds[0])))
        histories[protocol] = read_csv(paths.run(**cell) / "history.csv")
        if histories[protocol] is not None:
            runs |= _run(paths, f"04_train, {protocol}", run_id("train", cell))
    if not runs:
        return _missing(scenario, "accuracy", f"{model} was not trained on this scenario.")
    trained = pd.concat([history for history in histories.values() if history is not None])
    phase = next(phase for phase in reversed(PHASES) if (trained["phase"] == phase).any())
    printed = printed_rows().set_index(["table", "phase", "backbone"])["val_accuracy"] / 100
    printed = None if study.synthetic else printed.get((scenarios()[scenario].table, phase, model))
    source = f"runs/*/{study.preprocessings[0]}/{scenario}/{model}/seed{study.seeds[0]}/history.csv"
    parts = []
    for quantity in ("accuracy", "loss"):
        line = {"printed": printed, "printed_for": model} if quantity == "accuracy" else {}
        caption = f"{title}, {model}, seed {study.seeds[0]}. Thick: the first fold; thin: validation of the others."
        if line and printed is not None:
            caption += " Compare the end of the blue line with the dotted one: "
            caption += f"{wording.percent(printed)}, printed for {PHASE_TITLES[phase].lower()}."
        ends = [
            f"{protocol}: validation {quantity} {history[f'val_{quantity}'].iloc[-1]:.3f} at the end"
            for protocol, history in histories.items()
            if history is not None
        ]
        figure, name = draw_training_curves(histories, quantity, **line), f"{quantity.capitalize()} while training"
        parts.append(_figure(scenario, quantity, figure, name, caption, "; ".join(ends), source, runs))
    return html.joined(parts)


def confusion_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 10, 13, 16, 19: confusion matrices of `shown_model`, fine-tuned if it was, one panel per protocol."""
    model, preprocessing, matrices = shown_model(study, scenario), study.preprocessings[0], {}
    models = select_models(read_outcomes(paths, preprocessing, scenario), study.protocols)
    for protocol in study.protocols:
        phase = next((phase for phase in reversed(PHASES) if (protocol, phase, model) in models), None)
        title = f"{protocol}, {PHASE_TITLES[phase].lower()}" if phase else protocol
        matrices[title] = confusion(models[protocol, phase, model]) if phase else None
    if not any(counts is not None for counts in matrices.values()):
        return _missing(scenario, "confusion", f"{model} was not evaluated on this scenario.")
    right = {name: (np.trace(c.to_numpy()), c.to_numpy().sum()) for name, c in matrices.items() if c is not None}
    caption = (
        f"{scenarios()[scenario].title}, {model}, all folds and seeds; by_view counts views, the others originals."
    )
    alt = "; ".join(f"{name}: {trace} of {total} right" for name, (trace, total) in right.items())
    source, runs = f"outcomes/{preprocessing}/{scenario}.parquet", f"evaluate-{preprocessing}-{scenario}"
    figure, runs = draw_confusion_matrix(matrices), _run(paths, "05_evaluate", runs)
    return _figure(scenario, "confusion", figure, "A dark diagonal is a good model", caption, alt, source, runs)


def summary_figure(scores: pd.DataFrame, study: Study) -> HTML:
    """Fig. 20: `shown_model` after fine-tuning in every scenario, printed and under each protocol.

    Args:
        scores: what `lib.report.tables.score_table` gives.
    """
    printed = printed_rows().set_index(["table", "phase", "backbone"])["test_accuracy"] / 100
    rows = []
    for scenario in shown_scenarios(study):
        model = shown_model(study, scenario)
        title, key = f"{scenarios()[scenario].title}, {model}", (scenarios()[scenario].table, "finetune", model)
        rows += [] if study.synthetic else [(title, "printed", printed.get(key, np.nan), np.nan, np.nan)]
        own = select_own(scores, study, scenario=scenario, backbone=model, phase="finetune")
        rows += [
            (title, row.protocol, row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high)
            for row in own.itertuples()
        ]
    results = pd.DataFrame(rows, columns=["scenario", "series", "accuracy", "low", "high"])
    caption = "Test accuracy of the model named, fine-tuned, with 95 % intervals; a dash is not measured."
    alt = "; ".join(f"{row.scenario}, {row.series}: {wording.percent(row.accuracy)}" for row in results.itertuples())
    return html.figure("fig-20", draw_scenario_summary(results), "All scenarios", caption, alt, TABLE_FILES, paper=20)


def gradcam_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 3: Grad-CAM overlays, of the proposed model where it has some, else of the first cell that has."""
    folders = [paths.gradcam_maps(scenario, backbone) for scenario in scenarios() for backbone in backbones()]
    folders = [folder for folder in folders if any(folder.glob("*.png"))]
    if not folders:
        return html.missing("Fig. 3: there are no Grad-CAM maps.", figure=3)
    folder = min(folders, key=lambda folder: folder.name != proposed_backbone())
    pictures, table = sorted(folder.glob("*.png"))[:PICTURES], read_csv(folder / "maps.csv")
    scenario, backbone = folder.parent.name, folder.name
    # 06_gradcam numbers the pictures by the rows of maps.csv
    titles = [_map_title(row) for row in table.head(len(pictures)).to_dict("records")]
    caption = (
        f"{backbone}, {scenarios()[scenario].title.lower()}: where the map is warm, the score of the predicted class "
    )
    caption += f"grows with the features{html.if_synthetic(study)}."
    alt = "Heat maps laid over the images of: " + "; ".join(titles)
    figure = draw_sample_images(list(zip(titles, map(read_picture, pictures))))
    source, runs = (
        f"gradcam/{scenario}/{backbone}/maps.csv",
        _run(paths, "06_gradcam", f"gradcam-{scenario}-{backbone}"),
    )
    return html.figure("fig-3", figure, "Where the model looks", caption, alt, source, runs, paper=3)


def kmeans_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 4: the lesions that k-means finds, outlined on the images."""
    table, (views, images) = read_csv(paths.segmentation), read_pool(paths)
    if table is None or views is None:
        return html.missing("Fig. 4: there is no segmentation.csv, or no prepared image to draw it on.", figure=4)
    originals = views[views["view"] == 0].reset_index().set_index("source")
    shown = []
    for source in table["source"].iloc[:: max(1, len(table) // PICTURES)]:
        mask = paths.kmeans / "masks" / f"{source}.png"
        if source in originals.index and mask.is_file() and len(shown) < PICTURES:
            image = images[originals.at[source, "index"]]
            outlined = kmeans.outline(image, kmeans.read_mask(mask, image.shape[:2]))
            shown.append((originals.at[source, "class"], outlined))
    if not shown:
        return html.missing("Fig. 4: there are no k-means masks of the prepared images.", figure=4)
    caption = f"The cluster named abnormal, outlined; k = {study.kmeans_k}{html.if_synthetic(study)}."
    if "dice" in table and table["dice"].notna().any():
        dice = table[["dice", "dice_best", "dice_union"]].mean() if "dice_union" in table else table[["dice"]].mean()
        caption += f" Mean Dice against the true masks: {', '.join(f'{value:.2f}' for value in dice)}"
        caption += " (named, best single cluster, best union)." if len(dice) > 1 else "."
    alt = "Images with the border of the segmented lesion: " + ", ".join(title for title, _ in shown)
    runs, figure = _run(paths, "07_kmeans", "kmeans"), draw_sample_images(shown)
    return html.figure("fig-4", figure, "Segments", caption, alt, "kmeans/segmentation.csv", runs, paper=4)


def _figure(scenario: str, quantity: str, figure: Any, *about: Any) -> HTML:
    """A figure of one scenario under the paper's number, where the paper has it."""
    number = _number(scenario, quantity)
    return html.figure(f"fig-{number}" if number else f"{scenario}-{quantity}", figure, *about, paper=number)


def _missing(scenario: str, quantity: str, text: str) -> HTML:
    number = _number(scenario, quantity)
    name = f"Fig. {number}" if number else f"{scenarios()[scenario].title}, {quantity}"
    return html.missing(f"{name}: {text}", figure=number)


def _number(scenario: str, quantity: str) -> int:
    """The paper's figure of a scenario's accuracy, loss or confusion; 0 where the paper has none."""
    numbers = html.paper_figures().items()
    return next((n for n, entry in numbers if (entry.get("scenario"), entry.get("shows")) == (scenario, quantity)), 0)


def _run(paths: StudyPaths, name: str, run: str) -> dict[str, str]:
    """A notebook behind a figure -> its page."""
    return {name: html.notebook(paths, run)}


def _map_title(row: Mapping[str, Any]) -> str:
    """True class of a Grad-CAM map, and the predicted one where that is another."""
    true, predicted = row["true_class"], row["predicted_class"]
    return true if true == predicted else f"{true}, predicted {predicted}"
