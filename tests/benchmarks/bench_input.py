"""Feeding: batches from the memory-mapped array against JPEGs decoded in every epoch, and what feeding costs a step."""

import tempfile
from pathlib import Path
from statistics import median

import common
import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from lib.data import preprocess
from lib.data.folder import decode
from lib.models import backend, networks
from lib.models.features import Batches

IMAGES, SIZE, BATCH = 1280, 224, 32
STEPS, ROUNDS, TRAIN_SIZE = 20, 9, 160


def measure() -> list[dict]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "jpegs").mkdir()
        names = [path.name for path, _ in common.pictures(folder / "jpegs", IMAGES)]
        return [epoch(folder, names), step(folder, names)]


def epoch(folder: Path, names: list[str]) -> dict:
    """Seconds for all batches of an epoch; each is read once before, so that files are in the page cache for both."""
    images = _array(folder, names, SIZE)
    ours = Batches(images, np.arange(len(images)), np.zeros(len(images), int), BATCH, seed=0)
    decoded = keras.utils.image_dataset_from_directory(
        folder, label_mode="int", image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=True, verbose=False
    ).prefetch(tf.data.AUTOTUNE)
    took = {"ours": [], "copied": [], "baseline": []}
    for _ in range(3):
        with common.stopwatch() as watch:
            for number in range(len(ours)):
                ours[number]
        took["ours"].append(watch())
        with common.stopwatch() as watch:
            for number in range(len(ours)):
                tf.convert_to_tensor(ours[number][0])
        took["copied"].append(watch())
        with common.stopwatch() as watch:
            for _ in decoded:
                pass
        took["baseline"].append(watch())
    fast, copied, slow = (median(seconds) for seconds in took.values())
    return common.ratio(
        "input",
        f"an epoch of batches at {SIZE} px: image_dataset_from_directory on 600 x 450 JPEGs / memory-mapped array",
        fast,
        slow,
        "s",
        slow / fast,
        20,
        "at least",
        f"{IMAGES} images of {common.source_of_pictures()}, {IMAGES / fast:.0f} against {IMAGES / slow:.0f} images/s; "
        f"with TensorFlow's copy of each batch into a tensor {IMAGES / copied:.0f} images/s, {slow / copied:.1f} times",
    )


def step(folder: Path, names: list[str]) -> dict:
    """Images a second of fine-tuning fed from the array, over those of the same step on one batch held in memory."""
    images = _array(folder, names, TRAIN_SIZE)
    backbone = networks.build_backbone("MobileNet", TRAIN_SIZE, **common.weights())
    head = networks.build_classifier(backbone.output_shape[-1], 9, 256, 0.15, 0.2, seed=0)
    full = networks.assemble(networks.build_extractor(backbone, "native", frozen=False), head)
    full.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", jit_compile=False)
    labels = np.arange(len(images)) % 9
    rows = np.arange(STEPS * BATCH)
    fed = backend.feed(Batches(images, rows, labels[rows], BATCH, seed=0, full=True))
    batch = tf.convert_to_tensor(images[:BATCH]), tf.convert_to_tensor(labels[:BATCH])

    def bare() -> None:
        for _ in range(STEPS):
            full.train_on_batch(*batch)

    ways = {"bare": bare, "fed": lambda: full.fit(fed, epochs=1, verbose=0)}
    took = {name: [] for name in ways}
    for way in ways.values():
        way()  # traces the step
    for _ in range(ROUNDS):  # by turns, so that whatever else the machine does meets both
        for name, way in ways.items():
            with common.stopwatch() as watch:
                way()
            took[name].append(watch())
    shown = STEPS * BATCH
    rate = {name: shown / median(seconds) for name, seconds in took.items()}
    rates = {name: f"{shown / max(seconds):.0f} to {shown / min(seconds):.0f}" for name, seconds in took.items()}
    return common.ratio(
        "step",
        f"fine-tuning MobileNet at {TRAIN_SIZE} px: rate fed from the array / rate on one batch held in memory",
        rate["fed"],
        rate["bare"],
        "images/s",
        rate["fed"] / rate["bare"],
        0.95,
        "at least",
        f"medians of {ROUNDS} rounds of {STEPS} steps of {BATCH} images by turns; in memory "
        f"{rates['bare']}, fed {rates['fed']} images/s",
    )


def _array(folder: Path, names: list[str], size: int) -> np.ndarray:
    path = folder / f"{size}.npy"
    views = pd.DataFrame({"source": names, "view": 0})
    preprocess.write_images(views, decode, folder / "jpegs", path, size, 0, 0.0, 0.0)
    return preprocess.open_images(path)
