"""The paper's figures, as far as they show results, beside ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.paper import backbones, scenarios
from lib.config.params import AXES, PHASES, Study
from lib.config.paths import StudyPaths, run_id
from lib.config.printed import printed_rows
from lib.explain import kmeans
from lib.figures.accuracy import draw_scenario_summary
from lib.figures.dataset import draw_class_counts, draw_sample_images
from lib.figures.predictions import draw_confusion_matrix
from lib.figures.training import draw_training_curves
from lib.report import html, wording
from lib.report.data import read_csv, read_parquet, read_picture, read_pool, rows_where, to_records
from lib.report.tables import PROPOSED, scenario_table, shown_model, shown_scenarios, table_files
from lib.scores.metrics import confusion
from lib.scores.outcomes import read_outcomes, select_models

PICTURES = 10  # of Grad-CAM and of k-means that are shown


def samples_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 6: a picture of each class."""
    views, images = read_pool(paths)
    if views is None:
        return html.missing("Fig. 6: no images were prepared.", figure=6)
    rows = views[views["view"] == 0].groupby("class").head(1).sort_values("class")
    shown = [(name, images[row]) for row, name in rows["class"].items()]
    wide = draw_sample_images(shown)
    caption = f"The first image of each class, {study.image_size} px" + html.if_synthetic(study) + "."
    alt = "One image a class: " + ", ".join(rows["class"])
    source, runs = "prepared/images.npy", _prepared_by(paths)
    return html.figure("fig-6", wide, "Sample images", caption, alt, source=source, runs=runs, paper=6)


def counts_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 7: images a class, as found and after the pool was filled up by augmentation."""
    views = read_parquet(paths.views)
    if views is None:
        return html.missing("Fig. 7: no images were prepared.", figure=7)
    counts = {"files": views[views["view"] == 0], "views in the pool": views[views["in_nine_classes"]]}
    counts = pd.DataFrame({name: rows["class"].value_counts() for name, rows in counts.items()})
    counts = counts.fillna(0).astype(int).sort_index()
    caption = "Images a class: files of the data set, and the pool of nine classes after augmentation."
    alt = "Bars of " + "; ".join(
        f"{name}: {', '.join(map(str, row))}" for name, row in zip(counts.index, counts.values)
    )
    wide = draw_class_counts(counts)
    source, runs = "prepared/views.parquet", _prepared_by(paths)
    return html.figure("fig-7", wide, "Class sizes", caption, alt, source=source, runs=runs, paper=7)


def curves_figures(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 8-9, 11-12, 14-15, 17-18: training curves of `shown_model` in one scenario, a panel a protocol."""
    histories, runs, model = {}, {}, shown_model(study, scenario)
    for protocol in study.protocols:
        values = (protocol, study.preprocessings[0], scenario, model, study.seeds[0])
        cell = dict(zip(AXES, values))
        history = read_csv(paths.run(**cell) / "history.csv")
        histories[protocol] = history
        if history is not None:
            runs[f"04_train, {protocol}"] = html.notebook(paths, run_id("train", cell))
    numbers = {quantity: _number(scenario, quantity) for quantity in ("accuracy", "loss")}
    title = scenarios()[scenario].title
    if not runs:
        of_paper = " and ".join(str(number) for number in numbers.values() if number)
        name = f"Figs. {of_paper}" if of_paper else f"Training curves, {title.lower()}"
        return html.missing(f"{name}: {model} was not trained on this scenario.", figure=numbers["accuracy"])
    phase, printed = _printed_end(study, scenario, model, histories)
    parts = []
    for quantity, number in numbers.items():
        line = {"printed": printed, "printed_for": model} if quantity == "accuracy" else {}
        wide = draw_training_curves(histories, quantity, **line)
        ends = "; ".join(_end(protocol, own, quantity) for protocol, own in histories.items() if own is not None)
        caption = f"{title}: training and validation {quantity} of {model}, seed {study.seeds[0]}. Thick lines are the "
        caption += "first fold, thin lines the validation of the others."
        if quantity == "accuracy" and printed is not None:
            caption += " Compare the end of the blue line with the dotted line: "
            caption += f"{wording.percent(printed)}, printed for {model}, {html.PHASE_NAMES[phase].lower()}."
        name, title_of_figure = _name(scenario, quantity), f"{quantity.capitalize()} while training"
        source = f"runs/*/{study.preprocessings[0]}/{scenario}/{model}/seed{study.seeds[0]}/history.csv"
        about = {"source": source, "runs": runs, "paper": number}
        parts.append(html.figure(name, wide, title_of_figure, caption, ends, **about))
    return html.joined(parts)


def confusion_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 10, 13, 16, 19: confusion matrices of `shown_model`, fine-tuned if it was, a panel a protocol."""
    number, title = _number(scenario, "confusion"), scenarios()[scenario].title
    matrices, alt, model = {}, [], shown_model(study, scenario)
    models = select_models(read_outcomes(paths, study.preprocessings[0], scenario), study.protocols)
    for protocol in study.protocols:
        phase = next((p for p in reversed(PHASES) if (protocol, p, model) in models), None)
        if phase is None:
            matrices[protocol] = None
            continue
        counts = confusion(models[protocol, phase, model])
        matrices[f"{protocol}, {html.PHASE_NAMES[phase].lower()}"] = counts
        alt.append(f"{protocol}: {np.trace(counts.to_numpy())} of {counts.to_numpy().sum()} right")
    if not alt:
        name = f"Fig. {number}" if number else f"Confusion matrices, {title.lower()}"
        return html.missing(f"{name}: {model} was not evaluated on this scenario.", figure=number)
    caption = (
        f"{title}, {model}: what was tested, over all folds"
        f"{' and seeds' if len(study.seeds) > 1 else ''}, views under by_view, originals under the others; "
        "the shade is the share of the true class, so a dark diagonal is a good model."
    )
    wide = draw_confusion_matrix(matrices)
    source = f"outcomes/{study.preprocessings[0]}/{scenario}.parquet"
    runs = {"05_evaluate": html.notebook(paths, f"evaluate-{study.preprocessings[0]}-{scenario}")}
    name, alt = _name(scenario, "confusion"), "; ".join(alt)
    about = {"source": source, "runs": runs, "paper": number}
    return html.figure(name, wide, "Confusion", caption, alt, **about)


def summary_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 20: `shown_model` after fine-tuning in every scenario, printed and under each protocol."""
    rows = []
    printed = printed_rows().set_index(["table", "phase", "backbone"])["test_accuracy"] / 100
    for scenario in shown_scenarios(study):
        model = shown_model(study, scenario)
        title = f"{scenarios()[scenario].title}, {model}"
        accuracy = printed.get((scenarios()[scenario].table, "finetune", model), np.nan)
        rows += [] if study.synthetic else [(title, "printed", accuracy, np.nan, np.nan)]
        table = scenario_table(paths, study, scenario)
        for protocol in study.protocols:
            cell = {"protocol": protocol, "preprocessing": study.preprocessings[0], "phase": "finetune"}
            for row in rows_where(table, **cell, backbone=model).itertuples():
                rows.append((title, protocol, row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high))
    results = pd.DataFrame(rows, columns=["scenario", "series", "accuracy", "low", "high"])
    caption = "Test accuracy of the model named, after fine-tuning; lines are 95 % intervals, a dash is not measured."
    alt = "; ".join(f"{r.scenario}, {r.series}: {wording.percent(r.accuracy)}" for r in results.itertuples())
    source = table_files(study)
    wide = draw_scenario_summary(results)
    return html.figure("fig-20", wide, "All scenarios", caption, alt, source=source, paper=20)


def gradcam_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 3: Grad-CAM overlays, from the first cell that has some (the proposed model's where it has)."""
    folders = [paths.gradcam_maps(scenario, backbone) for scenario in scenarios() for backbone in backbones()]
    for folder in sorted(folders, key=lambda folder: folder.name != PROPOSED):
        pictures = sorted(folder.glob("*.png"))[:PICTURES]
        if not pictures:
            continue
        table = read_csv(folder / "maps.csv")
        rows = to_records(table) if table is not None else []
        # 06_gradcam numbers the pictures by the rows of maps.csv
        names = [_map_title(row) for row in rows[: len(pictures)]] or [picture.stem for picture in pictures]
        shown = list(zip(names, map(read_picture, pictures)))
        scenario, backbone = folder.parent.name, folder.name
        caption = f"Grad-CAM of {backbone}, {scenarios()[scenario].title.lower()}, for the predicted class: where the "
        caption += "map is warm, the class score grows with the features" + html.if_synthetic(study) + "."
        if table is not None and {"share_in_lesion", "lesion_area"} <= set(table):
            share, area = (f"{100 * table[column].mean():.0f} %" for column in ("share_in_lesion", "lesion_area"))
            caption += f" Over {len(table)} test images {share} of the map lies in the segmented lesion, which covers "
            caption += f"{area} of the image."
        alt = "Heat maps laid over the images of: " + "; ".join(title for title, _ in shown)
        return html.figure(
            "fig-3", draw_sample_images(shown), "Where the model looks", caption, alt,
            source=f"gradcam/{scenario}/{backbone}/maps.csv",
            runs={"06_gradcam": html.notebook(paths, f"gradcam-{scenario}-{backbone}")}, paper=3,
        )  # fmt: skip
    return html.missing("Fig. 3: there are no Grad-CAM maps.", figure=3)


def kmeans_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 4: the lesions that k-means finds, outlined on the images."""
    table = read_csv(paths.kmeans / "segmentation.csv")
    views, images = read_pool(paths)
    if table is None or views is None:
        return html.missing("Fig. 4: there is no segmentation.csv, or no prepared image to draw it on.", figure=4)
    places = pd.Series(views.index, views["source"])[(views["view"] == 0).to_numpy()]
    shown = []
    for source in table["source"].iloc[:: max(1, len(table) // PICTURES)]:
        mask = paths.kmeans / "masks" / f"{kmeans.safe_name(source)}.png"
        if source in places and mask.is_file() and len(shown) < PICTURES:
            image = images[places[source]]
            lesion = kmeans.read_mask(mask, image.shape[:2])
            shown.append((views.loc[places[source], "class"], kmeans.outline(image, lesion)))
    if not shown:
        return html.missing("Fig. 4: there are no k-means masks of the prepared images.", figure=4)
    caption = f"The cluster named abnormal, outlined; k = {study.kmeans_k}" + html.if_synthetic(study) + "."
    known = table["dice"].dropna() if "dice" in table else []
    if len(known):
        caption += f" Mean Dice against the true lesion masks: {known.mean():.2f} over {len(known)} images"
        if {"dice_best", "dice_union"} <= set(table):
            best, union = (table[column].mean() for column in ("dice_best", "dice_union"))
            caption += f"; with the true mask known, the best single cluster reaches {best:.2f} and the best union of"
            caption += f" clusters {union:.2f}, which bounds what any naming of clusters could"
        caption += "."
    alt = "Images with the border of the segmented lesion: " + ", ".join(title for title, _ in shown)
    return html.figure(
        "fig-4", draw_sample_images(shown), "Segments", caption, alt,
        source="kmeans/segmentation.csv",
        runs={"07_kmeans": html.notebook(paths, "kmeans")}, paper=4,
    )  # fmt: skip


def _printed_end(
    study: Study, scenario: str, model: str, histories: Mapping[str, pd.DataFrame | None]
) -> tuple[str, float | None]:
    """The last phase of the curves, and the validation accuracy (fraction of 1) that the paper prints for it.

    None where it prints none, or the images are drawn.
    """
    known = [history for history in histories.values() if history is not None]
    phase = next(phase for phase in reversed(PHASES) if any((history["phase"] == phase).any() for history in known))
    printed = printed_rows().set_index(["table", "phase", "backbone"])["val_accuracy"] / 100
    return phase, None if study.synthetic else printed.get((scenarios()[scenario].table, phase, model))


def _end(protocol: str, history: pd.DataFrame, quantity: str) -> str:
    """Where the validation curve of the first fold ends."""
    fold, rows = next(iter(history.groupby("fold")))
    last = rows[f"val_{quantity}"].iloc[-1]
    return f"{protocol}, fold {fold}: validation {quantity} {last:.3f} after {len(rows)} epochs"


def _number(scenario: str, shows: str) -> int:
    """The paper's figure of a scenario that shows its accuracy, loss or confusion; 0 where the paper has none."""
    numbers = html.paper_figures().items()
    return next((n for n, entry in numbers if (entry.get("scenario"), entry.get("shows")) == (scenario, shows)), 0)


def _name(scenario: str, shows: str) -> str:
    """The figure's name on the page: the paper's number where the paper has it."""
    number = _number(scenario, shows)
    return f"fig-{number}" if number else f"{scenario}-{shows}"


def _prepared_by(paths: StudyPaths) -> dict[str, str]:
    return {"02_prepare_data": html.notebook(paths, "prepare")}


def _map_title(row: Mapping[str, Any]) -> str:
    """True class of a Grad-CAM map, and what the model said where that is another."""
    true, predicted = row.get("true_class", ""), row.get("predicted_class", "")
    return str(true) if true == predicted or not predicted else f"{true}, said {predicted}"
