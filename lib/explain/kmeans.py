"""Segmentation by k-means, equation 9 and Algorithm 1: each pixel to normal skin, the lesion, or the background.

cv2.kmeans fits the centroids on a seeded sample of the pixels; then every pixel goes to its nearest centroid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
STARTS = {"random": cv2.KMEANS_RANDOM_CENTERS, "k-means++": cv2.KMEANS_PP_CENTERS}


@dataclass(frozen=True)
class Segmentation:
    """An image cut into k clusters.

    Attributes:
        labels: uint8 [h, w], 0 to k-1, an index into the other fields.
        centroids: float32 [k, features], in the units of `features`.
        inertia: J of equation 9 over all pixels, squared units of `features`.
        names: normal, abnormal or background for each cluster (`name_clusters`); clusters of one name are one region.
        areas: float64 [k], share of the image's pixels.
        colours: float64 [k, 3], mean RGB colour, 0 to 255; NaN for a cluster without pixels.
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
    image: np.ndarray,
    k: int = 3,
    features: str = "colour",
    init: str = "k-means++",
    iterations: int = 100,
    tolerance: float = 1e-3,
    attempts: int = 3,
    seed: int = 0,
    sample: int = SAMPLE,
) -> Segmentation:
    """Cut an image into k clusters of pixels and name them (equation 9, Algorithm 1).

    The same image and arguments give the same result, whatever was segmented before and in whatever thread.

    Args:
        image: uint8 [h, w, 3], RGB.
        k: clusters, 2 to 16.
        features: `colour` (RGB, 0 to 255) or `colour_texture` (RGB and `local_texture`).
        init: start by `random` centroids (step 1 of Algorithm 1) or `k-means++`.
        iterations: the largest number of assignment and update steps.
        tolerance: stop when no centroid moves further than this, in units of `features` (grey levels).
        attempts: starts, of which the one with the lowest inertia is kept.
        seed: of the starts and of the sample.
        sample: pixels to fit the centroids on, spread evenly over the image; 0: every pixel.
    """
    values = pixel_features(image, features)
    pixels = _spread(values.reshape(-1, values.shape[-1]), sample, seed)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, iterations, tolerance)
    cv2.setRNGSeed(seed)  # of this thread's generator: nothing depends on earlier calls or other threads
    centroids = cv2.kmeans(pixels, k, None, until, attempts, STARTS[init])[2]
    labels, inertia = _assign(values, centroids)
    masks = [(labels == cluster).view(np.uint8) for cluster in range(k)]
    areas = np.array([cv2.countNonZero(mask) for mask in masks]) / labels.size
    colours = np.array([cv2.mean(image, mask)[:3] if mask.any() else [np.nan] * 3 for mask in masks])
    return Segmentation(labels, centroids, inertia, name_clusters(labels, colours), areas, colours)


def segment_files(
    index: pd.DataFrame,
    read: Callable[[str], np.ndarray],
    true_masks: dict[str, Path],
    folder: Path,
    options: dict,
    workers: int = 2,
) -> pd.DataFrame:
    """Segment the files of a data set, write what is named abnormal as PNG files, and tabulate them.

    Args:
        index: one row per file, with source, image_id and class.
        read: source -> uint8 image [h, w, 3], RGB.
        true_masks: image id -> ground-truth mask, where there is one.
        folder: for the masks.
        options: the keyword arguments of `segment`.
        workers: threads; the result is the same for any number.

    Returns:
        One row per file, in the order of `index`: source, image_id, class, mask (its name) and what `table_row` gives.
    """

    def work(file) -> dict:
        image = read(file.source)
        segmentation = segment(image, **options)
        name = f"{text_digest(file.source)[:16]}.png"  # no name of the data set becomes a path
        write_mask(folder / name, segmentation.mask)
        truth = read_mask(true_masks[file.image_id], image.shape[:2]) if file.image_id in true_masks else None
        row = {"source": file.source, "image_id": file.image_id, "class": file.label, "mask": name}
        return row | table_row(segmentation, truth)

    files = index.rename(columns={"class": "label"})[["source", "image_id", "label"]].itertuples(index=False)
    return pd.DataFrame(map_in_threads(work, files, workers, "images segmented"))


def choose_files(index: pd.DataFrame, count: int, seed: int = 0) -> pd.DataFrame:
    """`count` rows of `index`, as many of each class where there are so many; 0: all. By class, then source."""
    ordered = index.sort_values(["class", "source"])
    shuffled = ordered.iloc[np.random.default_rng(seed).permutation(len(ordered))]
    rounds = shuffled.assign(round=shuffled.groupby("class").cumcount()).sort_values(["round", "class"])
    return ordered[ordered.index.isin(rounds.index[:count])] if count else ordered


def pixel_features(image: np.ndarray, features: str = "colour") -> np.ndarray:
    """The vector x of each pixel in equation 9: float32 [h, w, 3] for `colour`, [h, w, 4] for `colour_texture`.

    Texture is `local_texture` scaled to the mean variance of the three colours: it counts as one more colour.

    Raises:
        ValueError: no such features.
    """
    if features not in FEATURES:
        raise ValueError(f"features = {features!r}: expected {' or '.join(FEATURES)}")
    colour = image.astype(np.float32)
    if features == "colour":
        return colour
    texture = local_texture(image)
    spread = cv2.meanStdDev(texture)[1].item()
    scale = np.sqrt((cv2.meanStdDev(image)[1] ** 2).mean()) / spread if spread > 1e-3 else 0.0
    return cv2.merge([*cv2.split(colour), texture * np.float32(scale)])


def local_texture(image: np.ndarray) -> np.ndarray:
    """Standard deviation of the grey levels (0 to 255) in the square window round each pixel: float32 [h, w].

    The window is 5 % of the shorter side, rounded to the next odd number, at least 3 px: 9 px at 180 x 180.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()  # a variance by difference of means loses digits when the mean is large
    side = max(3, int(TEXTURE_WINDOW * min(grey.shape)) // 2 * 2 + 1)
    mean, square = (cv2.blur(x, (side, side), borderType=cv2.BORDER_REFLECT_101) for x in (grey, grey * grey))
    return np.sqrt(np.maximum(square - mean * mean, 0))


def name_clusters(labels: np.ndarray, colours: np.ndarray) -> tuple[str, ...]:
    """Name the clusters of an image by how dark they are and where they lie; some are `abnormal`, some `normal`.

    Darkness is the distance in lightness (mean of R, G, B) from the lightest cluster. Centrality, 0 to 1, is the mean
    over a cluster's pixels of a Gaussian round the middle of the image.
    1. `abnormal`: the largest product of darkness and centrality. The rule names a lesion wrongly that is paler than
       the skin round it or lies at the border.
    2. `normal`: the lightest of the others.
    3. `background`: any other that fills at least half of two corner squares and has at least half of the darkness
       of 1. These are dark corners, or deep shade along a side.
    4. Without background the others are `abnormal` too, as rim or core of the lesion, where they are more central than
       the whole image or at least as dark as 1.
    5. The rest is `normal`.

    Args:
        labels: uint8 [h, w].
        colours: [k, 3], mean RGB of each cluster, NaN for one without pixels.
    """
    k = len(colours)
    masks = [(labels == cluster).view(np.uint8) for cluster in range(k)]
    counts = np.array([cv2.countNonZero(mask) for mask in masks])
    y, x = _centre_weight(labels.shape)
    central = np.array([y @ mask.astype(np.float32) @ x for mask in masks]) / np.maximum(counts, 1)
    lightness = np.asarray(colours, float).mean(axis=1)
    darkness = np.where(counts > 0, np.nanmax(lightness) - lightness, -1.0)  # an empty cluster is chosen last
    lesion = int(np.argmax(darkness * central))
    lightest = np.where((counts > 0) & (np.arange(k) != lesion), lightness, -1.0)
    skin = int(np.argmax(lightest))
    others = [c for c in range(k) if c not in (lesion, skin) and counts[c]]
    corners = (_corner_shares(labels, k) >= 0.5).sum(axis=0)
    background = [c for c in others if corners[c] >= 2 and darkness[c] >= darkness[lesion] / 2]
    part_of_lesion = (central > y.mean() * x.mean()) | (darkness >= darkness[lesion])
    names = np.full(k, NORMAL, dtype=object)
    names[background] = BACKGROUND
    names[[lesion, *(c for c in others if not background and part_of_lesion[c])]] = ABNORMAL
    return tuple(names)


def overlap(mask: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Dice and Jaccard of two bool masks [h, w], 0 to 1; both 1 where both masks are empty."""
    both, total = int((mask & truth).sum()), int(mask.sum()) + int(truth.sum())
    return (2 * both / total, both / (total - both)) if total else (1.0, 1.0)


def best_clusters(labels: np.ndarray, truth: np.ndarray, k: int) -> tuple[float, float]:
    """Dice of the single cluster, and of the union of clusters, that fit a true mask best.

    The best union takes the clusters in the order of the share of them that lies inside the mask: Dice is a ratio of
    two sums over the clusters, so the best union takes all whose own ratio is above some bound.
    """
    areas, inside = np.bincount(labels.ravel(), minlength=k), np.bincount(labels[truth], minlength=k)
    filled = areas > 0
    areas, inside = areas[filled], inside[filled]
    order = np.argsort(-inside / areas, kind="stable")
    whole = np.count_nonzero(truth)
    single = (2 * inside / (areas + whole)).max()
    return float(single), float((2 * inside[order].cumsum() / (areas[order].cumsum() + whole)).max())


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a bool mask [h, w] as a PNG of 0 and 255; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())


def table_row(segmentation: Segmentation, truth: np.ndarray | None = None) -> dict[str, float]:
    """The numbers of an image in segmentation.csv.

    For each of abnormal, normal and background: `<name>_clusters` (how many bear the name) and `<name>_area` (share of
    the image); `inertia`; `dice` and `jaccard` of what is named abnormal; `dice_best` and `dice_union` of the best
    cluster and of the best union of clusters, chosen with the true mask (bool [h, w]). Scores are NaN without one.
    """
    row: dict[str, float] = {}
    for name in (ABNORMAL, NORMAL, BACKGROUND):
        bears = np.array(segmentation.names) == name
        row |= {f"{name}_clusters": int(bears.sum()), f"{name}_area": float(segmentation.areas[bears].sum())}
    scores = [np.nan] * 4
    if truth is not None:
        scores = overlap(segmentation.mask, truth) + best_clusters(segmentation.labels, truth, len(segmentation.names))
    return row | {"inertia": segmentation.inertia} | dict(zip(("dice", "jaccard", "dice_best", "dice_union"), scores))


def paint(segmentation: Segmentation) -> np.ndarray:
    """The segments as a picture, each pixel in the mean colour of its cluster: uint8 [h, w, 3]."""
    return np.nan_to_num(segmentation.colours).round().astype(np.uint8)[segmentation.labels]


def outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the border of a bool mask drawn on it: uint8 [h, w, 3]."""
    borders, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(image.copy(), borders, -1, CYAN, max(1, round(min(mask.shape) / 150)))


def _spread(flat: np.ndarray, sample: int, seed: int) -> np.ndarray:
    """`sample` pixels, one at random out of each of as many equal stretches of the image; all where it has fewer."""
    if not 0 < sample < len(flat):
        return flat
    place = np.arange(sample) + np.random.default_rng(seed).random(sample)
    return flat[np.minimum((place * (len(flat) / sample)).astype(np.int64), len(flat) - 1)]


def _assign(values: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, float]:
    """Each pixel's nearest centroid, uint8 [h, w], and J of equation 9."""
    # |x - m|^2 = |x - c|^2 - 2 (m - c).(x - c) + |m - c|^2, with c near the data so that float32 keeps the difference
    m = centroids.astype(np.float64)
    c = m.mean(axis=0)
    m -= c
    affine = np.column_stack([-2 * m, 2 * m @ c + (m * m).sum(axis=1)]).astype(np.float32)
    best = cv2.transform(values, affine[:1])
    nearest = np.zeros(best.shape, np.uint8)
    for cluster in range(1, len(m)):
        score = cv2.transform(values, affine[cluster : cluster + 1])
        np.copyto(nearest, cluster, where=score < best)
        best = cv2.min(best, score)
    centred = cv2.subtract(values, tuple(c) + (0.0,) * (4 - len(c)))
    return nearest, cv2.norm(centred, cv2.NORM_L2SQR) + cv2.sumElems(best)[0]


def _centre_weight(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """float32 [h] and [w], whose outer product is 1 in the middle of the image and near 0 at its border."""
    return tuple(np.exp(-0.5 * (np.linspace(-0.5, 0.5, n) / CENTRE) ** 2).astype(np.float32) for n in shape)


def _corner_shares(labels: np.ndarray, k: int) -> np.ndarray:
    """The share of each of the four corner squares that each cluster fills: [4, k]."""
    height, width = (max(1, round(CORNER * n)) for n in labels.shape)
    sides = labels[:height], labels[-height:]
    squares = [corner for side in sides for corner in (side[:, :width], side[:, -width:])]
    return np.array([np.bincount(square.ravel(), minlength=k) / square.size for square in squares])
