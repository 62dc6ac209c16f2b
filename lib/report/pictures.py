"""Pictures with their titles: those of the data set, of one file on both sides of a split, of Grad-CAM and k-means.

A list of pictures is empty where the images were not prepared, or where nothing is to be shown.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.paper import backbones, proposed_backbone, scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.folds import parts_of_fold, select
from lib.explain import kmeans
from lib.explain.masks import read_mask
from lib.figures.dataset import draw_sample_images
from lib.report import html
from lib.report.data import read_csv, read_parquet, read_picture, read_pool

Picture = tuple[str, np.ndarray]  # its title, and the image as uint8 [height, width, 3]
MOST = 10  # pictures of Grad-CAM and of k-means


def show_pictures(
    pictures: list[Picture],
    name: str,
    title: str,
    caption: str,
    source: str,
    why: str,
    paper: int = 0,
    columns: int = 5,
) -> HTML:
    """Pictures as one figure, with their titles as its alternative text."""
    figure = draw_sample_images(pictures, columns) if pictures else None
    alt = "; ".join(title for title, _ in pictures)
    return html.figure(name, figure, title, caption, alt, source, paper=paper, why=why)


def why_absent(paths: StudyPaths) -> str:
    """Why there are no pictures, where results are kept without them; else empty."""
    return "not kept: the terms of the images" if paths.views.is_file() and not paths.images.is_file() else ""


def originals(paths: StudyPaths, titles: Iterable[tuple[str, str]]) -> list[Picture]:
    """The original pictures of files, each given with its title; files that were not prepared are skipped."""
    views, images = read_pool(paths)
    if views is None:
        return []
    rows = {source: row for row, source in views.loc[views["view"] == 0, "source"].items()}
    return [(title, images[rows[source]]) for source, title in titles if source in rows]


def samples(paths: StudyPaths) -> list[Picture]:
    """The first picture of each class (Fig. 6)."""
    views = read_parquet(paths.views)
    if views is None:
        return []
    first = views[views["view"] == 0].groupby("class").head(1).sort_values("class")
    return originals(paths, zip(first["source"], first["class"]))


def contradictory(paths: StudyPaths) -> list[Picture]:
    """Every picture that is filed under several classes, with these."""
    files = read_parquet(paths.image_index)
    if files is None:
        return []
    names = files.groupby("content")["class"].agg(lambda classes: " = ".join(sorted(set(classes))))
    files = files.assign(names=files["content"].map(names))
    several = files[files["names"] != files["class"]].drop_duplicates("content")
    return originals(paths, zip(several["source"], several["names"]))


def pairs_of_files(paths: StudyPaths, pairs: pd.DataFrame) -> list[Picture]:
    """Both pictures of each of the `pairs` of lib.audit.near_duplicates.near_duplicate_recall, beside each other."""
    titles = []
    for pair in pairs.itertuples():
        titles.append((pair.first, f"{pair.class_first}, similarity {pair.similarity:.2f}"))
        titles.append((pair.second, f"{pair.class_second}, differ by {pair.difference:.1f}"))
    return originals(paths, titles)


def leaked_views(paths: StudyPaths, study: Study) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Of each class of the first scenario a view that `by_view` tests in the first fold, and one of the same file that
    it trains on."""
    (views, images), table = read_pool(paths), read_parquet(paths.protocol("by_view"))
    if views is None or table is None:
        return []
    parts = parts_of_fold(select(views, table, scenarios()[study.scenarios[0]]), study.transfer_folds[0])
    return [(pair.label, images[pair.test], images[pair.train]) for pair in select_twins(parts).itertuples()]


def select_twins(parts: pd.DataFrame) -> pd.DataFrame:
    """Of each label the first test view whose file has a view in training: label, source, and the rows of both views,
    `test` and `train`, out of what lib.data.folds.parts_of_fold gives."""
    by_view = parts.sort_values(["view", "source"])
    test, train = (by_view[by_view["part"] == part] for part in ("test", "train"))
    train = train.drop_duplicates("source").set_index("source")["row"].rename("train")
    pairs = test.rename(columns={"row": "test"}).join(train, on="source", how="inner").drop_duplicates("label")
    return pairs.sort_values("label", ignore_index=True)[["label", "source", "test", "train"]]


def gradcam_maps(paths: StudyPaths) -> tuple[str, list[Picture]]:
    """Grad-CAM overlays (Fig. 3) and the model that they explain: the paper's own where it has some, else the first."""
    folders = [paths.gradcam_maps(scenario, backbone) for scenario in scenarios() for backbone in backbones()]
    folders = [folder for folder in folders if any(folder.glob("*.png"))]
    if not folders:
        return "", []
    folder = min(folders, key=lambda folder: folder.name != proposed_backbone())
    table = read_csv(folder / "maps.csv")
    true, predicted = table["true_class"], table["predicted_class"]
    titles = true.where(true == predicted, true + ", predicted " + predicted)
    files = sorted(folder.glob("*.png"))[:MOST]  # 06_gradcam numbers them by the rows of maps.csv
    return f"{folder.name}, {scenarios()[folder.parent.name].title}", list(zip(titles, map(read_picture, files)))


def segments(paths: StudyPaths) -> list[Picture]:
    """The lesions that k-means finds, outlined on their pictures (Fig. 4)."""
    table, outlined = read_csv(paths.segmentation), []
    if table is None:
        return []
    rows = table.iloc[:: max(1, len(table) // MOST)].set_index("source")
    for source, image in originals(paths, zip(rows.index, rows.index)):
        mask = paths.segmentation_masks / rows.at[source, "mask"]
        if mask.is_file():
            outlined.append((rows.at[source, "class"], kmeans.outline(image, read_mask(mask, image.shape[:2]))))
    return outlined[:MOST]
