"""The frozen part of a study whole: four scenarios, three protocols, ten folds, 20 epochs, against 120 fits.

Ours is audited, prepared, extracted and trained by the study's own notebooks in kernels of their own, one after the
other. The baseline is the common notebook: a frozen keras.applications network under augmentation layers and a head,
fed by `image_dataset_from_directory`, in one `fit` of 20 epochs for each scenario, protocol and fold. Two such fits are
measured, of different scenarios; the others are estimated by their images at the same seconds per image. An epoch has
as many images as ours has views, as the paper augments them; the note gives the ratio for the files alone.

Seconds are those of all processors, so that other work on the machine counts for neither.
"""

import os
import resource
import tempfile
import time
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf
from keras import layers
from timing import AT_LEAST, row

from lib.config.paper import scenarios
from lib.config.params import load_study
from lib.config.paths import DEMO_METADATA, NOTEBOOKS, StudyPaths
from lib.data import demo
from lib.data.folder import check_folder, find_folder
from lib.data.folds import parts_of_fold, select
from lib.engine import attempts
from lib.engine.freshness import Freshness
from lib.engine.planning import Inputs, plan
from lib.engine.workers import cores, kernel_environment

EPOCHS, FOLDS, BATCH, SIZE = 20, 10, 32, 160
FITS = ("nine_classes", "three_malignant")  # of the baseline that are measured
STUDY = f"""
title: "Frozen, one backbone"
backbones: [MobileNet]
image_size: {SIZE}
transfer_folds: {list(range(FOLDS))}
transfer_epochs: {EPOCHS}
patience: {EPOCHS}
finetune_epochs: 0
finetune_folds: [0]
demo_images: 249
demo_size: 256
"""


def study() -> list[dict]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = {name: os.environ.get(f"SKINCAS_{name}", "") for name in ("DATA", "METADATA", "WEIGHTS")}
        real = bool(given["DATA"])
        path, root = folder / "study.yaml", folder / "results"
        path.write_text(STUDY + ("" if real else "synthetic: true\n") + ("" if given["WEIGHTS"] else "weights: none\n"))
        settings = load_study(str(path))
        if real:
            data, metadata = find_folder(given["DATA"]), tuple(map(Path, filter(None, [given["METADATA"]])))
        else:
            data = StudyPaths(root).demo_data
            demo.ensure(data, settings.demo_images, settings.demo_size)
            metadata = (data / DEMO_METADATA,)
        weights = Path(given["WEIGHTS"]) if given["WEIGHTS"] else None
        took = seconds_of_steps(settings, root, Inputs(data=data, metadata=metadata, weights_dir=weights))
        images = images_of_epochs(settings, StudyPaths(root))
        fits = {name: fit(data, name, folder / name) for name in FITS}
    whole = sum(took.values())
    per_image = sum(seconds for seconds, _ in fits.values()) / sum(count for _, count in fits.values())
    files = len(check_folder(data)) if real else 9 * settings.demo_images
    views = images[("by_view", "nine_classes")] / 0.9
    baseline = per_image * EPOCHS * FOLDS * sum(images.values())
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    measured = ", ".join(f"{name} {seconds:.0f} s for {count} images" for name, (seconds, count) in fits.items())
    note = f"{'the data set given' if real else 'synthetic images'}; ours: {parts}; measured fits: {measured}; "
    note += f"were an epoch only the {files} files: {baseline / whole * files / views:.0f}; "
    note += f"seconds of all processors, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    what = f"frozen MobileNet, {SIZE} px, 4 scenarios, 3 protocols, {FOLDS} folds, {EPOCHS} epochs: 120 fits / ours"
    return [row("study", what, whole, baseline, 100, AT_LEAST, note)]


def seconds_of_steps(study, root: Path, inputs: Inputs) -> dict[str, float]:
    """Seconds of all processors per step."""
    took: dict[str, float] = {}
    runs = plan(study, "study", inputs, NOTEBOOKS)
    environment = kernel_environment(cores(), keras.backend.backend())
    for run in [run for run in runs if run.step in ("audit", "prepare", "features", "train")]:
        before = _children()
        result = attempts.perform(run, root, Freshness(root).describe(run), environment=environment)
        if result.status != "done":
            raise RuntimeError(f"{run.id}: {result.error}")
        took[run.step] = took.get(run.step, 0.0) + _children() - before
    return took


def images_of_epochs(study, paths: StudyPaths) -> dict[tuple[str, str], int]:
    """Images of training and validation in an epoch of a fit, by protocol and scenario."""
    views, found = pd.read_parquet(paths.views), {}
    for protocol in study.protocols:
        for name in study.scenarios:
            chosen = select(views, pd.read_parquet(paths.protocol(protocol)), scenarios()[name])
            found[protocol, name] = int((parts_of_fold(chosen, 0)["part"] != "test").sum())
    return found


def fit(data: Path, name: str, folder: Path) -> tuple[float, int]:
    """Seconds of all processors of one fit, and the images that passed through the network in it."""
    scenario, folder = scenarios()[name], folder / "images"
    for _, label, path in check_folder(data):
        if label in scenario.label_of():
            target = folder / scenario.label_of()[label] / f"{path.parent.parent.name}-{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
    split = {"validation_split": 0.1, "subset": "both", "seed": 0, "verbose": False}
    parts = keras.utils.image_dataset_from_directory(folder, image_size=(SIZE, SIZE), batch_size=BATCH, **split)
    train, val = (part.prefetch(tf.data.AUTOTUNE) for part in parts)
    backbone = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    backbone.trainable = False
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.RandomFlip()(layers.RandomRotation(0.5)(images))
    x = layers.RandomContrast(0.3, value_range=(0, 255))(x)
    x = backbone(layers.Rescaling(1 / 127.5, offset=-1.0)(x), training=False)
    x = layers.Dropout(0.15)(layers.BatchNormalization()(layers.GlobalMaxPooling2D()(x)))
    x = layers.BatchNormalization()(layers.Dense(256, activation="relu")(x))
    network = keras.Model(images, layers.Dense(len(scenario.names), activation="softmax")(layers.Dropout(0.2)(x)))
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    network.fit(train.take(1), validation_data=val.take(1), verbose=0)  # traced, which is not counted
    started = time.process_time()
    network.fit(train, validation_data=val, epochs=EPOCHS, verbose=0)
    took = time.process_time() - started
    count = sum(int(labels.shape[0]) for part in (train, val) for _, labels in part)
    return took, count * EPOCHS


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
