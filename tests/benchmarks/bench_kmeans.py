"""k-means and the lesion masks at 600 x 450 px, against scikit-learn's KMeans with its defaults on every pixel."""

import tempfile
from pathlib import Path

import common
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from lib.data.folder import decode
from lib.explain import kmeans

IMAGES = 45


def measure() -> list[dict]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pictures = common.pictures(folder, IMAGES)
        images = {path.name: decode(path) for path, _ in pictures}
        index = pd.DataFrame({"source": list(images), "image_id": list(images), "class": [c for _, c in pictures]})
        with common.stopwatch() as ours_took:
            ours = kmeans.segment_files(index, images.__getitem__, {}, folder / "ours", {})["inertia"].to_numpy()
        with common.stopwatch() as baseline_took:
            baseline = np.array([_on_every_pixel(images[name], folder / f"{name}.png") for name in images])
    worse = ours / baseline - 1
    if worse.max() > 0.02:
        raise RuntimeError(f"the inertia is up to {worse.max():.1%} above scikit-learn's, more than 2 %")
    return [
        common.ratio(
            "kmeans",
            "k-means with k = 3 and the lesion mask, 600 x 450 px: KMeans of scikit-learn on every pixel / ours",
            ours_took() / IMAGES,
            baseline_took() / IMAGES,
            "s an image",
            baseline_took() / ours_took(),
            10,
            "at least",
            f"{IMAGES} images of {common.source_of_pictures()}; inertia {worse.min():+.2%} to {worse.max():+.2%} "
            f"of scikit-learn's, over every pixel",
        )
    ]


def _on_every_pixel(image: np.ndarray, mask: Path) -> float:
    """The mask by the same rule, written as PNG; returns the inertia."""
    found = KMeans(3, random_state=0).fit(image.reshape(-1, 3).astype(np.float32))
    labels = found.labels_.reshape(image.shape[:2]).astype(np.uint8)
    names = kmeans.name_clusters(labels, found.cluster_centers_)
    kmeans.write_mask(mask, (np.array(names) == kmeans.ABNORMAL)[labels])
    return found.inertia_
