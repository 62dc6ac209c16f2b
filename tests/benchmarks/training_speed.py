"""Speed of training: the transfer phase, and a step of fine-tuning."""

import tempfile
from pathlib import Path
from statistics import median

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import timing
from keras import layers
from timing import AT_LEAST, row

from lib.config.paper import scenarios
from lib.data import preprocess
from lib.data.folder import decode
from lib.models import backend, networks, training
from lib.models.features import Batches, extract_features

UNITS, BATCH = 256, 32


def transfer() -> list[dict]:
    """The transfer phase of all scenarios with one backbone: features once, against one fit per scenario on JPEGs.

    The baseline is the common notebook: a frozen backbone under augmentation layers, fed by
    `image_dataset_from_directory`, which decodes every JPEG in every epoch. Its augmentation has factor 0 and its
    images keep their order: that costs the same, and the predictions of both can be compared.
    """
    count, size, epochs = 2160, 160, 20  # training sets of full batches, in which both have the same images
    original = training.batches
    training.batches = lambda *arguments: original(*arguments[:5])  # not shuffled, as the baseline's
    schedule = training.Schedule("transfer", epochs, 1e-3, BATCH, epochs, steps_per_execution=training.HEAD_STEPS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "all").mkdir()
        files = timing.pictures(folder / "all", count)
        views = pd.DataFrame({"source": [path.name for path, _ in files], "class": [c for _, c in files], "view": 0})
        tenth = views.index // 9 % 10  # every class in every part: the numbers go round the nine classes
        views["part"] = np.where(tenth == 8, "val", np.where(tenth == 9, "test", "train"))
        baseline, fast, slow, ours = {}, [], 0.0, {}
        for name in scenarios():  # by turns, so that other work of the machine affects both
            fast.append(timing.seconds(lambda: ours.update(_with_features(views, folder, size, schedule))))
            slow += timing.seconds(lambda: baseline.update(_with_jpegs(views, name, folder, size, schedule)))  # noqa: B023
    difference = max(float(np.abs(ours[name] - baseline[name]).max()) for name in ours)
    if difference > 1e-3:
        raise RuntimeError(f"the test predictions differ by {difference:.2g}, more than 1e-3: they train differently")
    what = "transfer phase of four scenarios, MobileNet, 20 epochs: one fit a scenario on JPEGs / cached features"
    note = f"{count} images of {timing.source_of_pictures()}, decoding included in both; test predictions differ by at "
    note += f"most {difference:.1e}; ours took {', '.join(f'{took:.1f}' for took in fast)} s"
    return [row("transfer", what, median(fast), slow, 20, AT_LEAST, note)]


def step() -> list[dict]:
    """Images per second of fine-tuning fed from the array, over those of the same step on one batch in memory."""
    steps, rounds, size, count = 20, 9, 160, 640
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        views = pd.DataFrame({"source": [path.name for path, _ in timing.pictures(folder, count)], "view": 0})
        preprocess.write_images(views, decode, folder, folder / "images.npy", size, 0, 0.0, 0.0)
        images = preprocess.open_images(folder / "images.npy")
        backbone = networks.build_backbone("MobileNet", size, **timing.weights())
        classifier = networks.build_classifier(backbone.output_shape[-1], 9, UNITS, 0.15, 0.2, seed=0)
        full = networks.assemble(networks.build_extractor(backbone, "native", frozen=False), classifier)
        full.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", jit_compile=False)
        rows, labels = np.arange(steps * BATCH), np.arange(count) % 9
        fed = backend.as_dataset(Batches(images, rows, labels[rows], BATCH, seed=0, full=True))
        batch = tf.convert_to_tensor(images[:BATCH]), tf.convert_to_tensor(labels[:BATCH])
        calls = {
            "fed": lambda: full.fit(fed, epochs=1, verbose=0),
            "in memory": lambda: [full.train_on_batch(*batch) for _ in range(steps)],
        }
        timing.by_turns(calls, 1)  # traced
        took = timing.by_turns(calls, rounds)
    shown = steps * BATCH
    rates = ", ".join(f"{name} {shown / max(s):.0f} to {shown / min(s):.0f}" for name, s in took.items())
    what = f"fine-tuning MobileNet at {size} px: rate fed from the array / rate on one batch held in memory"
    note = f"medians of {rounds} rounds of {steps} steps of {BATCH} images by turns; {rates} images/s"
    fed_rate, bare_rate = (shown / median(seconds) for seconds in took.values())
    return [row("step", what, fed_rate, bare_rate, 0.95, AT_LEAST, note, "images/s")]


def _with_features(views: pd.DataFrame, folder: Path, size: int, schedule: training.Schedule) -> dict[str, np.ndarray]:
    """Test predictions of each scenario as the study's notebooks make them: decode once, extract once, train heads."""

    def decoded(path: Path) -> np.ndarray:
        """As TensorFlow decodes and resizes in the baseline."""
        picture = tf.io.decode_jpeg(tf.io.read_file(str(path)), channels=3)
        return np.floor(tf.image.resize(picture, (size, size)).numpy()).astype(np.uint8)

    images = folder / "images.npy"
    preprocess.write_images(views, decoded, folder / "all", images, size, 0, 0.0, 0.0)
    extractor = networks.build_extractor(_mobilenet(size), "native", frozen=True)
    features = extract_features(extractor, preprocess.open_images(images), BATCH)
    predictions = {}
    for name, scenario in scenarios().items():
        rows = _labelled(views, scenario).rename_axis("row").reset_index()
        classifier = networks.build_classifier(features.shape[1], len(scenario.names), UNITS, 0.15, 0.2, seed=0)
        training.Trainer(classifier, features, schedule).fit(rows.assign(fold=0), scenario.names)
        predictions[name] = classifier.predict(features[rows.loc[rows["part"] == "test", "row"]], verbose=0)
    return predictions


def _with_jpegs(
    views: pd.DataFrame, name: str, folder: Path, size: int, schedule: training.Schedule
) -> dict[str, np.ndarray]:
    """Test predictions of a scenario, trained through the frozen backbone on JPEGs decoded in every epoch."""
    scenario = scenarios()[name]

    def dataset(rows: pd.DataFrame) -> tf.data.Dataset:
        target = Path(tempfile.mkdtemp(dir=folder))
        for source in rows["source"]:
            (target / source).symlink_to(folder / "all" / source)
        labels = [scenario.names.index(label) for label in rows["label"]]
        data = keras.utils.image_dataset_from_directory(
            target, labels, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
        )
        # whole grey levels, as the study's uint8 arrays have them
        return data.map(lambda images, label: (tf.floor(images), label)).prefetch(tf.data.AUTOTUNE)

    data = {part: dataset(rows) for part, rows in _labelled(views, scenario).groupby("part")}
    backbone = _mobilenet(size)
    backbone.trainable = False
    images = keras.Input((size, size, 3))
    x = layers.RandomContrast(0.0, value_range=(0, 255))(layers.RandomRotation(0.0)(images))
    x = backbone(layers.Rescaling(1 / 127.5, offset=-1.0)(x), training=False)
    classifier = networks.build_classifier(backbone.output_shape[-1], len(scenario.names), UNITS, 0.15, 0.2, seed=0)
    whole = keras.Model(images, classifier(layers.GlobalMaxPooling2D()(x)))
    optimizer = keras.optimizers.Adam(schedule.learning_rate)
    # XLA would make it slower on a CPU
    whole.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=schedule.epochs, restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=schedule.epochs // 2)
    fit = {"epochs": schedule.epochs, "callbacks": [stopping, slower], "verbose": 0}
    whole.fit(data["train"], validation_data=data["val"], **fit)
    return {name: whole.predict(data["test"], verbose=0)}


def _mobilenet(size: int) -> keras.Model:
    return networks.build_backbone("MobileNet", size, **timing.weights())


def _labelled(views: pd.DataFrame, scenario) -> pd.DataFrame:
    labelled = views.assign(label=views["class"].map(scenario.label_of()))
    return labelled[labelled["label"].notna()]
