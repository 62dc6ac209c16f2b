"""Grad-CAM for 256 images in batches, against one image at a time with a model rebuilt for each, as in tutorials."""

import tempfile
from pathlib import Path

import common
import cv2
import keras
import numpy as np
import tensorflow as tf

from lib.config.paper import CLASSES
from lib.data import preprocess
from lib.data.folder import decode
from lib.explain import gradcam
from lib.models import networks

IMAGES, SIZE = 256, 160


def measure() -> list[dict]:
    backbone = networks.build_backbone("MobileNet", SIZE, **common.weights())
    head = networks.build_classifier(backbone.output_shape[-1], 9, 256, 0.15, 0.2, seed=0)
    full = networks.assemble(networks.build_extractor(backbone, "native", frozen=True), head)
    with tempfile.TemporaryDirectory() as temporary:
        files = common.pictures(Path(temporary), IMAGES)
        images = np.stack([preprocess.resize(decode(path), SIZE) for path, _ in files])
    labels = np.array([CLASSES.index(label) for _, label in files])
    _train_head(full, head, images, labels)
    classes = full.predict(images, verbose=0).argmax(axis=1)  # what 06_gradcam explains
    gradcam.maps(full, images[:32], classes[:32])  # what is paid once is paid before, by both
    _one_map(full, images[0], int(classes[0]))
    with common.stopwatch() as ours_took:
        ours = gradcam.maps(full, images, classes, raw=True)
    with common.stopwatch() as baseline_took:
        baseline = np.stack([_one_map(full, image, int(number)) for image, number in zip(images, classes)])
    apart = float(np.abs(ours - baseline).max())
    if apart > 1e-5:
        raise RuntimeError(f"the maps of equation 8 differ by {apart:.2g}, more than 1e-5")
    # a map that is nearly empty is divided by a small number, and its rounding errors with it
    scaled = np.abs(gradcam.scale(ours) - gradcam.scale(baseline)).max(axis=(1, 2))
    return [
        common.ratio(
            "gradcam",
            f"Grad-CAM of MobileNet at {SIZE} px: one image at a time with a rebuilt model / in batches",
            ours_took(),
            baseline_took(),
            "s",
            baseline_took() / ours_took(),
            5,
            "at least",
            f"{IMAGES} images of {common.source_of_pictures()}; maps of equation 8 at most {apart:.1e} apart; "
            f"scaled to 0..1, {int((scaled <= 1e-5).sum())} within 1e-5, the emptiest at most {scaled.max():.1e}",
        )
    ]


def _train_head(full: keras.Model, head: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    features = keras.Model(full.input, full.get_layer("pool").output).predict(images, verbose=0)
    head.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    head.fit(features, labels, epochs=10, verbose=0)


def _one_map(full: keras.Model, image: np.ndarray, number: int) -> np.ndarray:
    """Equations 6 to 8 for one image, the way of the Keras example: a model of maps and scores, built anew."""
    maps_model = keras.Model(full.input, full.get_layer("backbone").output)
    classifier = full.get_layer("classifier")
    scores_model = keras.Model(classifier.input, classifier.get_layer("logits").output)
    with tf.GradientTape() as tape:
        maps = maps_model(image[None], training=False)
        tape.watch(maps)
        score = scores_model(keras.layers.GlobalMaxPooling2D()(maps), training=False)[0, number]
    weights = tf.reduce_mean(tf.cast(tape.gradient(score, maps), tf.float64), axis=(0, 1, 2))
    small = tf.nn.relu(tf.reduce_sum(tf.cast(maps[0], tf.float64) * weights, axis=-1)).numpy()
    return cv2.resize(small.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
