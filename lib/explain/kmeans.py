"""Segmentation by k-means, equation 9 and Algorithm 1: each pixel to normal skin, the lesion, or the background.

cv2.kmeans fits the centroids on a seeded sample of the pixels; then every pixel goes to its nearest centroid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from lib.config.files import text_digest
from lib.data.threads import map_in_threads
from lib.explain.masks import read_mask

NORMAL, ABNORMAL, BACKGROUND = "normal", "abnormal", "background"
SAMPLE = 8192  # pixels the centroids are fitted on: the inertia over all pixels stays within 1 % of a fit on all
TEXTURE_WINDOW = 0.05  # of the shorter side: 9 px at 180 px
CENTRE = 0.2  # of each side: standard deviation of the Gaussian that says how central a pixel is
CYAN = (0, 230, 230)  # RGB, of outlines: no skin has it
CORNER = 0.06  # of each side: the squares in which dark corners are looked for
FEATURES = ("colour", "colour_texture")
ATTEMPTS = 3  # starts, of which the one with the lowest inertia is kept
UNTIL = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-3)  # iterations; largest movement, grey levels
STARTS = {"random": cv2.KMEANS_RANDOM_CENTERS, "k-means++": cv2.KMEANS_PP_CENTERS}


@dataclass(frozen=True)
class Segmentation:
    """An image cut into k clusters.

    Attributes:
        labels: uint8 [h, w], 0 to k-1, an index into the other fields.
        centroids: float32 [k, features], in the units of `features`.
        inertia: J of equation 9 over all pixels, squared units of `features`.
        names: normal, abnormal or background for each cluster (`name_clusters`).
        areas, colours: share of the image [k], and mean RGB [k, 3], 0 to 255; NaN for a cluster without pixels.
    """

    labels: np.ndarray
    centroids: np.ndarray
    inertia: float
    names: tuple[str, ...]
    areas: np.ndarray
    colours: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """The lesion by the paper's reading, bool [h, w]: what is named abnormal, just as k-means leaves it."""
        return np.array([name == ABNORMAL for name in self.names])[self.labels]


def segment(
    image: np.ndarray, k: int = 3, features: str = "colour", init: str = "k-means++", seed: int = 0
) -> Segmentation:
    """Cut an image into k clusters of pixels and name them (equation 9, Algorithm 1).

    The same image and arguments give the same result, whatever was segmented before and in whatever thread.

    Args:
        image: uint8 [h, w, 3], RGB.
        k: clusters, 2 to 16.
        features: `colour` (RGB, 0 to 255) or `colour_texture` (`pixel_features`).
        init: start by `random` centroids (step 1 of Algorithm 1) or `k-means++`.
        seed: of the starts and of the sample of pixels that the centroids are fitted on.
    """
    values = pixel_features(image, features)
    pixels = values.reshape(-1, values.shape[-1])
    if len(pixels) > SAMPLE:  # one pixel at random out of each of as many equal stretches of the image
        place = np.arange(SAMPLE) + np.random.default_rng(seed).random(SAMPLE)
        pixels = pixels[np.minimum((place * (len(pixels) / SAMPLE)).astype(np.int64), len(pixels) - 1)]
    cv2.setRNGSeed(seed)  # of this thread's generator: nothing depends on earlier calls or other threads
    centroids = cv2.kmeans(pixels, k, None, UNTIL, ATTEMPTS, STARTS[init])[2]
    labels, inertia = _assign(values, centroids)
    masks = [(labels == cluster).view(np.uint8) for cluster in range(k)]
    areas = np.array([cv2.countNonZero(mask) for mask in masks]) / labels.size
    colours = np.array([cv2.mean(image, mask)[:3] if mask.any() else [np.nan] * 3 for mask in masks])
    return Segmentation(labels, centroids, inertia, name_clusters(labels, colours), areas, colours)


def segment_files(
    index: pd.DataFrame, read: Callable[[str], np.ndarray], true_masks: dict[str, Path], folder: Path, options: dict
) -> pd.DataFrame:
    """Segment the files of a data set, write what is named abnormal as PNG files, and tabulate them.

    Args:
        index: one row per file, with source, image_id, class and group.
        read: source -> uint8 image [h, w, 3], RGB.
        true_masks: image id -> ground-truth mask, where there is one.
        options: the keyword arguments of `segment`.

    Returns:
        One row per file, in the order of `index`: source, image_id, class, group; `mask`, its file in `folder`;
        `abnormal_area`, `normal_area` and `background_area`, shares of the image; `inertia`; `dice` and `jaccard` of
        what is named abnormal and `dice_union` (`best_union`), NaN without a true mask.
    """

    def work(file) -> dict[str, Any]:
        image = read(file.source)
        found = segment(image, **options)
        mask = f"{text_digest(file.source)[:16]}.png"  # no name of the data set becomes a path
        write_mask(folder / mask, found.mask)
        row = {"source": file.source, "image_id": file.image_id, "class": file.label, "group": file.group, "mask": mask}
        for name in (ABNORMAL, NORMAL, BACKGROUND):
            row[f"{name}_area"] = float(found.areas[np.array(found.names) == name].sum())
        scores = (np.nan, np.nan, np.nan)
        if file.image_id in true_masks:
            truth = read_mask(true_masks[file.image_id], image.shape[:2])
            scores = (*overlap(found.mask, truth), best_union(found.labels, truth))
        return row | {"inertia": found.inertia} | dict(zip(("dice", "jaccard", "dice_union"), scores))

    files = index.rename(columns={"class": "label"})[["source", "image_id", "label", "group"]].itertuples(index=False)
    return pd.DataFrame(map_in_threads(work, files, 2, "images segmented"))


def choose_files(index: pd.DataFrame, count: int, seed: int = 0) -> pd.DataFrame:
    """`count` rows of `index`, as many of each class where there are so many; 0: all. By class, then source."""
    return take_turns(index, "class", seed)[: count or None].sort_values(["class", "source"])


def take_turns(table: pd.DataFrame, column: str, seed: int = 0) -> pd.DataFrame:
    """The rows in a random order that is the same for any order of `table`; the values of a column take turns."""
    ordered = table.sort_values([column, "source"])
    shuffled = ordered.iloc[np.random.default_rng(seed).permutation(len(ordered))]
    return shuffled.iloc[np.lexsort((shuffled[column], shuffled.groupby(column).cumcount()))]


def pixel_features(image: np.ndarray, features: str = "colour") -> np.ndarray:
    """The vector x of each pixel in equation 9: float32 [h, w, 3] for `colour`, [h, w, 4] for `colour_texture`.

    Texture is the standard deviation of the grey levels in the square window round the pixel, 5 % of the shorter side.
    It is scaled to the mean variance of the three colours, so it counts as one more colour.
    """
    if features not in FEATURES:
        raise ValueError(f"features = {features!r}: expected {' or '.join(FEATURES)}")
    colour = image.astype(np.float32)
    if features == "colour":
        return colour
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()  # a variance by difference of means loses digits when the mean is large
    side = max(3, int(TEXTURE_WINDOW * min(grey.shape)) // 2 * 2 + 1)
    mean, square = (cv2.blur(x, (side, side), borderType=cv2.BORDER_REFLECT_101) for x in (grey, grey * grey))
    texture = np.sqrt(np.maximum(square - mean * mean, 0))
    spread = cv2.meanStdDev(texture)[1].item()
    scale = np.sqrt((cv2.meanStdDev(image)[1] ** 2).mean()) / spread if spread > 1e-3 else 0.0
    return cv2.merge([*cv2.split(colour), texture * np.float32(scale)])


def name_clusters(labels: np.ndarray, colours: np.ndarray) -> tuple[str, ...]:
    """Name the clusters of an image by how dark they are and where they lie; some are `abnormal`, some `normal`.

    Darkness is the distance in lightness (mean of R, G, B) from the lightest cluster; centrality, 0 to 1, the mean of a
    Gaussian round the middle of the image.
    1. `abnormal`: the largest product of both. A lesion that is paler than the skin or at the border is named wrongly.
    2. `normal`: the lightest of the others.
    3. `background`: any other that fills at least half of two corner squares and has at least half of the darkness
       of 1: dark corners, or deep shade along a side.
    4. Without background the others are `abnormal` too, as rim or core of the lesion, where they are more central than
       the whole image or at least as dark as 1. The rest is `normal`.

    `labels` is uint8 [h, w], `colours` the mean RGB of each cluster [k, 3], NaN for one without pixels.
    """
    k = len(colours)
    counts = np.bincount(labels.ravel(), minlength=k)
    down, across = (np.exp(-0.5 * (np.linspace(-0.5, 0.5, n) / CENTRE) ** 2) for n in labels.shape)
    weights = np.outer(down, across)
    central = np.bincount(labels.ravel(), weights.ravel(), k) / np.maximum(counts, 1)
    lightness = np.asarray(colours, float).mean(axis=1)
    darkness = np.nanmax(lightness) - lightness
    lesion = int(np.argmax(np.where(counts > 0, darkness * central, -1.0)))  # an empty cluster is chosen last
    skin = int(np.argmax(np.where((counts > 0) & (np.arange(k) != lesion), lightness, -1.0)))
    others = [c for c in range(k) if c not in (lesion, skin) and counts[c]]
    height, width = (max(1, round(CORNER * n)) for n in labels.shape)
    sides = labels[:height], labels[-height:]
    squares = [square for side in sides for square in (side[:, :width], side[:, -width:])]
    corners = np.sum([np.bincount(square.ravel(), minlength=k) >= square.size / 2 for square in squares], axis=0)
    background = [c for c in others if corners[c] >= 2 and darkness[c] >= darkness[lesion] / 2]
    part_of_lesion = (central > weights.mean()) | (darkness >= darkness[lesion])
    names = np.full(k, NORMAL, dtype=object)
    names[background] = BACKGROUND
    names[[lesion, *(c for c in others if not background and part_of_lesion[c])]] = ABNORMAL
    return tuple(names)


def overlap(mask: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Dice and Jaccard of two bool masks [h, w], 0 to 1; both 1 where both masks are empty."""
    both, total = int((mask & truth).sum()), int(mask.sum()) + int(truth.sum())
    return (2 * both / total, both / (total - both)) if total else (1.0, 1.0)


def best_union(labels: np.ndarray, truth: np.ndarray) -> float:
    """Dice of the union of clusters that fits a true mask best: no rule of naming reaches more.

    Dice is a ratio of two sums over the clusters, so the best union takes all whose own ratio is above some bound.
    """
    areas = np.bincount(labels.ravel())
    inside = np.bincount(labels[truth], minlength=len(areas))
    order = np.argsort(-inside / np.maximum(areas, 1), kind="stable")
    return float((2 * inside[order].cumsum() / (areas[order].cumsum() + truth.sum())).max())


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a bool mask [h, w] as a PNG of 0 and 255; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())


def paint(segmentation: Segmentation) -> np.ndarray:
    """The segments as a picture, each pixel in the mean colour of its cluster: uint8 [h, w, 3]."""
    return np.nan_to_num(segmentation.colours).round().astype(np.uint8)[segmentation.labels]


def outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the border of a bool mask drawn on it: uint8 [h, w, 3]."""
    borders, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(image.copy(), borders, -1, CYAN, max(1, round(min(mask.shape) / 150)))


def _assign(values: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, float]:
    """Each pixel's nearest centroid, uint8 [h, w], and J of equation 9."""
    # |x - m|^2 = |x - c|^2 - 2 (m - c).(x - c) + |m - c|^2, with c near the data so that float32 keeps the difference
    c = centroids.mean(axis=0, dtype=np.float64)
    m = centroids - c
    affine = np.column_stack([-2 * m, 2 * m @ c + (m * m).sum(axis=1)]).astype(np.float32)
    scores = np.stack([cv2.transform(values, row[None]) for row in affine])
    centred = cv2.subtract(values, tuple(c) + (0.0,) * (4 - len(c)))
    inertia = cv2.norm(centred, cv2.NORM_L2SQR) + scores.min(axis=0).sum(dtype=np.float64)
    return scores.argmin(axis=0).astype(np.uint8), float(inertia)
