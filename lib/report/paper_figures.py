"""The paper's figures, as far as they show results, beside ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib import figures
from lib.config import PHASES, Study, StudyPaths, backbones, published, scenarios
from lib.explain import kmeans
from lib.report import html
from lib.report.data import read_csv, read_parquet, read_picture, read_prepared, rows_where, to_records
from lib.report.tables import PROPOSED, scenario_table, shown_model, shown_scenarios, table_files

PICTURES = 10  # of Grad-CAM and of k-means that are shown


def samples_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 6: a picture of each class."""
    protocol = study.protocols[0]
    index, images = read_prepared(paths, protocol)
    if index is None:
        return html.missing(f"Fig. 6: no images were prepared under {protocol}.", figure=6)
    rows = index[index["view"] == 0].groupby("folder_class").head(1).sort_values("folder_class")
    figure = figures.sample_images([(row.folder_class, images[i]) for i, row in zip(rows.index, rows.itertuples())])
    caption = f"The first image of each class, {study.image_size} px" + html.if_synthetic(study) + "."
    alt = "One image a class: " + ", ".join(rows["folder_class"])
    source, runs = f"prepared/{protocol}/images.npy", _prepared_by(paths, protocol)
    return html.figure("fig-6", figure, "Sample images", caption, alt, source=source, runs=runs, paper=6)


def counts_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 7: images a class, as found and after the pool was filled up by augmentation."""
    protocol = study.protocols[0]
    index = read_parquet(paths.index(protocol))
    if index is None:
        return html.missing("Fig. 7: no images were prepared.", figure=7)
    counts = pd.DataFrame({"files": index[index["view"] == 0]["folder_class"].value_counts()})
    if "part" in index:
        pool = index[index["part"].fillna("") != ""]
        counts[f"pool of {protocol}, augmented"] = pool["class"].value_counts()
    counts = counts.fillna(0).astype(int).sort_index()
    caption = "Images a class: files of the data set, and the pool of nine classes after augmentation."
    alt = "Bars of " + "; ".join(
        f"{name}: {', '.join(map(str, row))}" for name, row in zip(counts.index, counts.values)
    )
    figure, source, runs = (
        figures.class_counts(counts),
        f"prepared/{protocol}/index.parquet",
        _prepared_by(paths, protocol),
    )
    return html.figure("fig-7", figure, "Class sizes", caption, alt, source=source, runs=runs, paper=7)


def curves_figures(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 8-9, 11-12, 14-15, 17-18: training curves of `shown_model` in one scenario, a panel a protocol."""
    histories, runs, model = {}, {}, shown_model(study, scenario)
    for protocol in study.protocols:
        cell = (protocol, study.preprocessings[0], scenario, model, study.seeds[0])
        history = read_csv(paths.run(*cell) / "history.csv")
        histories[protocol] = history
        if history is not None:
            runs[f"04_train, {protocol}"] = html.notebook(paths, _run_id("train", cell))
    numbers = {quantity: _number(scenario, quantity) for quantity in ("accuracy", "loss")}
    title = scenarios()[scenario].title
    if not runs:
        of_paper = " and ".join(str(number) for number in numbers.values() if number)
        name = f"Figs. {of_paper}" if of_paper else f"Training curves, {title.lower()}"
        return html.missing(f"{name}: {model} was not trained on this scenario.", figure=numbers["accuracy"])
    printed = published().set_index(["table", "phase", "backbone"])["val_accuracy"] / 100
    printed = printed.get((scenarios()[scenario].table, "finetune", model))
    parts = []
    for quantity, number in numbers.items():
        figure = figures.training_curves(histories, quantity, printed if quantity == "accuracy" else None)
        ends = "; ".join(
            f"{p}: validation {quantity} {h[f'val_{quantity}'].iloc[-1]:.3f} after {len(h)} epochs"
            for p, h in histories.items()
            if h is not None and len(h)
        )
        caption = f"{title}: training and validation {quantity} of {model}{html.instead_of_proposed(model)}, "
        caption += f"seed {study.seeds[0]}."
        if quantity == "accuracy" and printed is not None:
            caption += " Compare the end of the blue line with the dotted line, the validation accuracy printed for it."
        name, title_of_figure = _name(scenario, quantity), f"{quantity.capitalize()} while training"
        source = f"runs/*/{study.preprocessings[0]}/{scenario}/{model}/seed{study.seeds[0]}/history.csv"
        parts.append(html.figure(name, figure, title_of_figure, caption, ends, source=source, runs=runs, paper=number))
    return html.joined(parts)


def confusion_figure(paths: StudyPaths, study: Study, scenario: str) -> HTML:
    """Figs. 10, 13, 16, 19: confusion matrices of `shown_model`, fine-tuned if it was, a panel a protocol."""
    number, title = _number(scenario, "confusion"), scenarios()[scenario].title
    names = scenarios()[scenario].names
    matrices, runs, alt, model = {}, {}, [], shown_model(study, scenario)
    for protocol in study.protocols:
        table = read_csv(paths.evaluation(protocol, study.preprocessings[0], scenario) / "confusion.csv")
        rows = rows_where(table, backbone=model, seed=study.seeds[0])
        phase = next((p for p in reversed(PHASES) if len(rows) and (rows["phase"] == p).any()), None)
        if phase is None:
            matrices[protocol] = None
            continue
        counts = rows_where(rows, phase=phase).pivot(index="true_class", columns="predicted_class", values="count")
        counts = counts.reindex(index=names, columns=names, fill_value=0).fillna(0).astype(int)
        matrices[f"{protocol}, {html.PHASE_NAMES[phase].lower()}"] = counts
        run = f"evaluate-{protocol}-{study.preprocessings[0]}-{scenario}"
        runs[f"05_evaluate, {protocol}"] = html.notebook(paths, run)
        alt.append(f"{protocol}: {np.trace(counts.to_numpy())} of {counts.to_numpy().sum()} right")
    if not runs:
        name = f"Fig. {number}" if number else f"Confusion matrices, {title.lower()}"
        return html.missing(f"{name}: {model} was not evaluated on this scenario.", figure=number)
    caption = (
        f"{title}, {model}{html.instead_of_proposed(model)}: test images, seed {study.seeds[0]}; "
        "the shade is the share of the true class, so a dark diagonal is a good model."
    )
    figure = figures.confusion_matrix(matrices)
    source = f"evaluation/*/{study.preprocessings[0]}/{scenario}/confusion.csv"
    name, alt = _name(scenario, "confusion"), "; ".join(alt)
    return html.figure(name, figure, "Confusion", caption, alt, source=source, runs=runs, paper=number)


def summary_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 20: the proposed model after fine-tuning in every scenario, printed and under each protocol."""
    rows = []
    printed = published().set_index(["table", "phase", "backbone"])["test_accuracy"] / 100
    for scenario in shown_scenarios(study):
        title, model = html.with_model(study, scenario), shown_model(study, scenario)
        accuracy = printed.get((scenarios()[scenario].table, "finetune", model), np.nan)
        rows.append((title, "printed", accuracy, np.nan, np.nan))
        table = scenario_table(paths, study, scenario)
        for protocol in study.protocols:
            cell = {"protocol": protocol, "preprocessing": study.preprocessings[0], "phase": "finetune"}
            for row in rows_where(table, **cell, backbone=model).itertuples():
                rows.append((title, protocol, row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high))
    results = pd.DataFrame(rows, columns=["scenario", "series", "accuracy", "low", "high"])
    caption = f"Test accuracy of {PROPOSED} (or the model named) after fine-tuning; lines are 95 % intervals, "
    caption += "a dash is not measured."
    alt = "; ".join(f"{r.scenario}, {r.series}: {html.percent(r.accuracy)}" for r in results.itertuples())
    source = table_files(study)
    figure = figures.scenario_summary(results)
    return html.figure("fig-20", figure, "All scenarios", caption, alt, source=source, paper=20)


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
            caption += f" Of the map {share} lies in the segmented lesion, which covers {area} of the image."
        alt = "Heat maps laid over the images of: " + "; ".join(title for title, _ in shown)
        return html.figure(
            "fig-3", figures.sample_images(shown), "Where the model looks", caption, alt,
            source=f"gradcam/{scenario}/{backbone}/maps.csv",
            runs={"06_gradcam": html.notebook(paths, f"gradcam-{scenario}-{backbone}")}, paper=3,
        )  # fmt: skip
    return html.missing("Fig. 3: there are no Grad-CAM maps.", figure=3)


def kmeans_figure(paths: StudyPaths, study: Study) -> HTML:
    """Fig. 4: the lesions that k-means finds, outlined on the images."""
    table = read_csv(paths.kmeans / "segmentation.csv")
    index, images = next(
        (pool for p in study.protocols if (pool := read_prepared(paths, p))[0] is not None), (None, None)
    )
    if table is None or index is None:
        return html.missing("Fig. 4: there is no segmentation.csv, or no prepared image to draw it on.", figure=4)
    places = index[index["view"] == 0].drop_duplicates("source").reset_index().set_index("source")["index"]
    shown = []
    for source in table["source"].iloc[:: max(1, len(table) // PICTURES)]:
        mask = paths.kmeans / "masks" / f"{kmeans.safe_name(source)}.png"
        if source in places and mask.is_file() and len(shown) < PICTURES:
            image = images[places[source]]
            lesion = kmeans.read_mask(mask, image.shape[:2])
            shown.append((index.loc[places[source], "folder_class"], kmeans.outline(image, lesion)))
    if not shown:
        return html.missing("Fig. 4: there are no k-means masks of the prepared images.", figure=4)
    caption = f"The cluster named abnormal, outlined; k = {study.kmeans_k}" + html.if_synthetic(study) + "."
    known = table["dice"].dropna() if "dice" in table else []
    if len(known):
        caption += f" Mean Dice against the true lesion masks: {known.mean():.2f} over {len(known)} images."
    alt = "Images with the border of the segmented lesion: " + ", ".join(title for title, _ in shown)
    return html.figure(
        "fig-4", figures.sample_images(shown), "Segments", caption, alt,
        source="kmeans/segmentation.csv", runs={"07_kmeans": html.notebook(paths, "kmeans")}, paper=4,
    )  # fmt: skip


def _number(scenario: str, shows: str) -> int:
    """The paper's figure of a scenario that shows its accuracy, loss or confusion; 0 where the paper has none."""
    numbers = html.paper_figures().items()
    return next((n for n, entry in numbers if (entry.get("scenario"), entry.get("shows")) == (scenario, shows)), 0)


def _name(scenario: str, shows: str) -> str:
    """The figure's name on the page: the paper's number where the paper has it."""
    number = _number(scenario, shows)
    return f"fig-{number}" if number else f"{scenario}-{shows}"


def _prepared_by(paths: StudyPaths, protocol: str) -> dict[str, str]:
    return {f"02_prepare_data, {protocol}": html.notebook(paths, f"prepare-{protocol}")}


def _run_id(step: str, cell: Sequence[Any]) -> str:
    return "-".join([step, *map(str, cell[:-1]), f"seed{cell[-1]}"])


def _map_title(row: Mapping[str, Any]) -> str:
    """True class of a Grad-CAM map, and what the model said where that is another."""
    true, predicted = row.get("true_class", ""), row.get("predicted_class", "")
    return str(true) if true == predicted or not predicted else f"{true}, said {predicted}"
