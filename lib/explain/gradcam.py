"""Grad-CAM, equations 6 to 8: which places of the image speak for a class, and are they the lesion?

The class score before softmax is differentiated through the head alone, back to the feature maps of the last
convolution, which are the backbone's output.
"""

import cv2
import numpy as np
import pandas as pd

from lib.data.predictions import class_columns, predicted_class
from lib.explain import kmeans
from lib.explain.masks import read_mask

MASK, KMEANS = "mask", "k-means"  # where a lesion is known from
SHARES = ["lesion_area", "share_in_lesion", "gaussian_in_lesion", "other_map_in_lesion"]


def maps(model, images: np.ndarray, classes: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Grad-CAM maps L of equation 8 at the size of the images.

    Z of equation 7 is the number of positions (i, j), so the weight of a feature map is the mean of its gradients. (The
    paper says that Z makes the weights sum to 1: a mean does not, and scaling hides the factor.)

    Args:
        model: a full model of lib.models.networks: uint8 images to probabilities.
        images: uint8 [n, s, s, 3] at the model's input size.
        classes: int [n], the column of the class whose score is explained.

    Returns:
        float32 [n, s, s], each map divided by its largest value; all 0 where nothing speaks for the class.
    """
    coarse = _coarse_maps(model, images, np.arange(len(images)), classes, batch_size)
    heats = np.zeros(images.shape[:3], np.float32)
    for place, one in enumerate(coarse):
        heats[place] = _enlarge(one, heats.shape[1:])
    largest = heats.max(axis=(1, 2), keepdims=True)
    return np.divide(heats, largest, out=np.zeros_like(heats), where=largest > 0)


def overlay(image: np.ndarray, heat: np.ndarray, alpha: float = 0.6) -> np.ndarray:
    """An RGB image [h, w, 3] with a map [h, w] over it in the viridis colours: uint8 [h, w, 3].

    `alpha` is the opacity, 0 to 1, where the map is 1; where it is 0 the image is untouched.
    """
    bgr = cv2.applyColorMap(np.round(np.clip(heat, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    opacity = alpha * np.clip(heat, 0, 1)[..., None]
    return np.round(image * (1 - opacity) + bgr[..., ::-1] * opacity).astype(np.uint8)


def share_in_lesion(heat: np.ndarray, lesion: np.ndarray) -> float:
    """The share of a map's sum that lies inside a lesion mask (bool, same [h, w]); NaN for a map of zeros."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[lesion].sum(dtype=np.float64)) / total if total > 0 else float("nan")


def measure_focus(
    model, images: np.ndarray, chosen: pd.DataFrame, classes: np.ndarray, true_masks: dict, options: dict, seed: int = 0
) -> pd.DataFrame:
    """How much of each image's map lies inside its lesion, beside maps that do not look at the image.

    The lesion is the true mask; where there is none, what k-means names abnormal, which prefers the middle as well.

    Args:
        images: uint8 [views, s, s, 3]; may be memory-mapped, a batch at a time is read.
        chosen: row (of `images`) and image_id of those to explain.
        classes: int [n], the class whose score is explained.
        true_masks: image id -> mask, where there is one.
        options: the keyword arguments of `kmeans.segment`.
        seed: of which other image an image is compared with.

    Returns:
        One row per row of `chosen`, with its index: lesion_from (`mask` or `k-means`), lesion_area (share of the image,
        which a uniform map would have), share_in_lesion, and the same share of `centred_gaussian` (gaussian_in_lesion)
        and of the map of another image (other_map_in_lesion). NaN for a map of zeros.
    """
    rows, focus = chosen["row"].to_numpy(int), []
    coarse = _coarse_maps(model, images, rows, classes)
    other = np.arange(len(rows))
    circle = np.random.default_rng(seed).permutation(np.flatnonzero(coarse.any(axis=(1, 2))))
    other[circle] = np.roll(circle, 1)  # each map serves once; only where there is one map, its own image
    for place, (row, image_id) in enumerate(zip(rows, chosen["image_id"])):
        image, known = images[row], image_id in true_masks
        size = image.shape[:2]
        lesion = read_mask(true_masks[image_id], size) if known else kmeans.segment(image, **options).mask
        heat, foreign = (_enlarge(coarse[n], size) for n in (place, other[place]))
        shares = [share_in_lesion(one, lesion) for one in (heat, centred_gaussian(heat), foreign)]
        focus.append((MASK if known else KMEANS, float(lesion.mean()), *shares))
    return pd.DataFrame(focus, columns=["lesion_from", *SHARES], index=chosen.index)


def centred_gaussian(heat: np.ndarray) -> np.ndarray:
    """A Gaussian round the middle of the image with the mass of a map and its standard deviation along each side.

    It is as large and as concentrated as the map, and looks at no image. Zeros for a map of zeros.
    """
    total, gaussian = heat.sum(dtype=np.float64), np.ones((1, 1))
    if not total:
        return np.zeros_like(heat)
    for axis in (1, 0):  # down, across
        mass = heat.sum(axis=axis, dtype=np.float64) / total
        place = np.arange(len(mass)) - (len(mass) - 1) / 2
        variance = mass @ place**2 - (mass @ place) ** 2
        gaussian = gaussian * np.expand_dims(np.exp(-(place**2) / (2 * max(variance, 1e-3))), axis)
    return gaussian * (total / gaussian.sum())


def best_phase(predictions: dict[str, pd.DataFrame]) -> str:
    """Which trained phase's model to explain (phase -> its predictions): that of the better validation accuracy.

    Only the fold counts whose weights were saved; `finetune` wins a tie.
    """

    def accuracy(phase: str) -> float:
        table = of_saved_fold(predictions[phase]).query("part == 'val'")
        return float((predicted_class(table) == table["true_class"].to_numpy()).mean()) if len(table) else 0.0

    return max(sorted(predictions), key=accuracy)


def of_saved_fold(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of the fold whose weights 04_train saves: the first that was trained."""
    return predictions[predictions["fold"] == predictions["fold"].iloc[0]]


def choose_images(predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The test images to explain: all originals (view 0) that the fold of the saved weights tests; classes take turns.

    Returns:
        Rows of the predictions with `predicted_class`, its `probability`, and whether it is `right`.
    """
    test = of_saved_fold(predictions)
    test = test[(test["part"] == "test") & (test["view"] == 0)]
    test = test.assign(predicted_class=predicted_class(test), probability=test[class_columns(test)].max(axis=1))
    test["right"] = test["predicted_class"] == test["true_class"]
    return kmeans.take_turns(test, "true_class", seed).reset_index(drop=True)


def _coarse_maps(model, images, rows: np.ndarray, classes: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """L of equation 8 as large as the feature maps, of some rows of `images`, a batch at a time: float32 [n, h, w]."""
    import keras  # late, with TensorFlow: the explorer lists studies without it

    from lib.models.networks import split_at_maps

    backbone, head = split_at_maps(model)
    coarse = [np.zeros((0, 1, 1), np.float32)]
    for start in range(0, len(rows), batch_size):
        batch = slice(start, start + batch_size)
        # called, not `predict`: tracing a graph takes longer than a few batches
        features = backbone(keras.ops.convert_to_tensor(np.asarray(images[rows[batch]])), training=False)
        gradients = _gradients(head, features, keras.ops.convert_to_tensor(np.asarray(classes[batch], np.int32)))
        weights = gradients.mean(axis=(1, 2))
        # in double precision: the terms of the sum all but cancel each other
        heats = np.einsum("nhwc,nc->nhw", np.asarray(features, np.float64), weights, optimize=True)
        coarse.append(np.maximum(heats, 0).astype(np.float32))
    return np.concatenate(coarse[1:] or coarse)


def _enlarge(coarse: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)


def _gradients(head, features, classes) -> np.ndarray:
    """Equation 6 for a batch: the gradient of each image's class score by its feature maps, float64 [n, h, w, c]."""
    import keras

    def score(x):
        # every score depends on its own image only, so the gradient of their sum holds the gradient of each
        return keras.ops.sum(keras.ops.take_along_axis(head(x, training=False), classes[:, None], axis=1))

    if keras.backend.backend() == "jax":
        import jax

        gradients = jax.grad(score)(features)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(features)
            total = score(features)
        gradients = tape.gradient(total, features)
    return np.asarray(gradients, np.float64)
