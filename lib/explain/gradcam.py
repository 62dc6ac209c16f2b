"""Grad-CAM, equations 6 to 8: which places of the image speak for a class.

The class score before softmax is differentiated through the head alone, back to the feature maps of the last
convolution, which are the backbone's output.
"""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd

from lib.data.predictions import class_columns, predicted_class


def maps(model, images: np.ndarray, classes: np.ndarray, batch_size: int = 32, raw: bool = False) -> np.ndarray:
    """Grad-CAM maps L of equation 8 at the size of the images.

    Z of equation 7 is the number of positions (i, j), so the weight of a feature map is the mean of its gradients. (The
    paper says that Z makes the weights sum to 1: a mean does not, and scaling hides the factor.)

    Args:
        model: a full model of lib.models.networks: uint8 images to probabilities.
        images: uint8 [n, s, s, 3] at the model's input size; may be memory-mapped, a batch at a time is read.
        classes: int [n], the column of the class whose score is explained.
        raw: leave L in units of the score; else each map is divided by its largest value.

    Returns:
        float32 [n, s, s]: 0 to 1, the largest value of each map 1; all 0 where nothing speaks for the class.
    """
    import keras  # late, with TensorFlow: the explorer lists studies without it

    from lib.models.networks import split_at_maps

    classes = np.asarray(classes)
    backbone, head = split_at_maps(model)
    heats = np.zeros(images.shape[:3], np.float32)
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        # called, not `predict`: tracing a graph takes longer than a few batches
        features = backbone(keras.ops.convert_to_tensor(np.asarray(images[rows])), training=False)
        gradients = _gradients(head, features, keras.ops.convert_to_tensor(classes[rows].astype("int32")))
        weights = gradients.mean(axis=(1, 2))
        activations = _double(features)  # the terms of the sum all but cancel each other
        small = np.maximum(np.einsum("nhwc,nc->nhw", activations, weights, optimize=True), 0)
        for row, one in enumerate(small.astype(np.float32), start):
            heats[row] = cv2.resize(one, heats.shape[:0:-1], interpolation=cv2.INTER_LINEAR)
    return heats if raw else scale(heats)


def scale(raw: np.ndarray) -> np.ndarray:
    """Divide each map of [n, h, w], not negative, by its largest value; a map of zeros stays as it is."""
    largest = raw.max(axis=(1, 2), keepdims=True)
    return np.divide(raw, largest, out=np.zeros_like(raw), where=largest > 0)


def overlay(image: np.ndarray, heat: np.ndarray, alpha: float = 0.6) -> np.ndarray:
    """The image with a map over it in the viridis colours: uint8 [h, w, 3].

    Args:
        image: uint8 [h, w, 3], RGB.
        heat: [h, w], 0 to 1.
        alpha: 0 to 1, opacity where the map is 1; where it is 0 the image is untouched.
    """
    bgr = cv2.applyColorMap(np.round(np.clip(heat, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    opacity = alpha * np.clip(heat, 0, 1)[..., None]
    return np.round(image * (1 - opacity) + bgr[..., ::-1] * opacity).astype(np.uint8)


def share_in_lesion(heat: np.ndarray, lesion: np.ndarray) -> float:
    """The share of a map's sum that lies inside a lesion mask (bool, same [h, w]); NaN for a map of zeros."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[lesion].sum(dtype=np.float64)) / total if total > 0 else float("nan")


def measure_focus(
    model,
    images: np.ndarray,
    rows: np.ndarray,
    classes: np.ndarray,
    lesion_of: Callable[[np.ndarray], np.ndarray],
    batch_size: int = 32,
) -> pd.DataFrame:
    """How much of each image's map lies inside its lesion.

    Args:
        images: uint8 [views, s, s, 3]; may be memory-mapped, a batch at a time is read.
        rows: int [n], the images to explain.
        classes: int [n], the class whose score is explained.
        lesion_of: uint8 image [s, s, 3] -> bool mask [s, s].

    Returns:
        One row per image, in the order of `rows`: share_in_lesion, and lesion_area, what a uniform map would have.
    """
    rows, classes, focus = np.asarray(rows), np.asarray(classes), []
    for start in range(0, len(rows), batch_size):
        pictures = np.asarray(images[rows[start : start + batch_size]])
        for picture, heat in zip(pictures, maps(model, pictures, classes[start : start + batch_size], batch_size)):
            lesion = lesion_of(picture)
            focus.append((share_in_lesion(heat, lesion), float(lesion.mean())))
    return pd.DataFrame(focus, columns=["share_in_lesion", "lesion_area"])


def best_phase(predictions: dict[str, pd.DataFrame]) -> str:
    """Which phase's model to explain: finetune where its validation accuracy is at least that of transfer.

    Args:
        predictions: phase -> predictions, of the phases that were trained. Of each only the fold counts whose weights
            were saved, its first.
    """

    def accuracy(phase: str) -> float:
        table = of_saved_fold(predictions[phase])
        table = table[table["part"] == "val"]
        return float((predicted_class(table) == table["true_class"].to_numpy()).mean()) if len(table) else 0.0

    return max(sorted(predictions), key=accuracy)  # `finetune` sorts first, so it wins a tie


def of_saved_fold(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of the fold whose weights 04_train saves: the first that was trained."""
    return predictions[predictions["fold"] == predictions["fold"].iloc[0]]


def choose_images(predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The test images to explain: all originals (view 0) that the fold of the saved weights tests.

    The first few show most: the classes take turns, and so do right and wrong answers within a class.

    Returns:
        Rows of the predictions with `predicted_class` and its `probability`.
    """
    test = of_saved_fold(predictions)
    test = test[(test["part"] == "test") & (test["view"] == 0)].sort_values("source", ignore_index=True)
    test = test.assign(predicted_class=predicted_class(test), probability=test[class_columns(test)].max(axis=1))
    wrong = (test["predicted_class"] != test["true_class"]).to_numpy()
    shuffled = test.assign(wrong=wrong).iloc[np.random.default_rng(seed).permutation(len(test))]
    number = pd.factorize(shuffled["true_class"], sort=True)[0]
    # every other class begins with a wrong one, so that the first image of each class shows both kinds
    turn = 2 * shuffled.groupby(["true_class", "wrong"]).cumcount() + (shuffled["wrong"].to_numpy() ^ (number % 2 == 1))
    place = turn.groupby(shuffled["true_class"]).rank()
    ordered = shuffled.assign(place=place).sort_values(["place", "true_class"])
    return ordered.drop(columns=["wrong", "place"]).reset_index(drop=True)


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
    return _double(gradients)


def _double(tensor) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(tensor).astype(np.float64)
