"""The transfer phase of all four scenarios with one backbone: once over the images, against once an epoch.

The baseline is the notebook people write: for each scenario a model with a frozen backbone under augmentation layers,
fed by `image_dataset_from_directory`, which decodes every JPEG in every epoch. Its augmentation layers have factor 0
and its images keep their order: that costs the same, and the predictions of the two can be compared.
"""

import tempfile
from pathlib import Path
from statistics import median

import common
import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers

from lib.config.paper import scenarios
from lib.data import preprocess
from lib.models import networks, training
from lib.models.features import extract_features

# Nearly as many as the public set has. 1,728, 1,152 and 576 training images in the scenarios: full batches, in which
# the two see the same images.
IMAGES, SIZE, EPOCHS, BATCH, UNITS = 2160, 160, 20, 32, 256
SCHEDULE = training.Schedule("transfer", EPOCHS, 1e-3, BATCH, patience=EPOCHS, steps_per_execution=training.HEAD_STEPS)


def measure() -> list[dict]:
    made = training.batches
    training.batches = lambda *given: made(*given[:-1], None)  # not shuffled, as the baseline's
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "all").mkdir()
        pictures = common.pictures(folder / "all", IMAGES)
        views = pd.DataFrame(
            {"source": [path.name for path, _ in pictures], "class": [c for _, c in pictures], "view": 0}
        )
        # every class in every part: the numbers go round the nine classes
        views["part"] = np.where(
            views.index // 9 % 10 == 8, "val", np.where(views.index // 9 % 10 == 9, "test", "train")
        )
        ours, baseline, fast, slow = {}, {}, [], 0.0
        for name in scenarios():  # by turns, so that whatever else the machine does meets both
            with common.stopwatch() as watch:
                ours = with_cached_features(views, folder)
            fast.append(watch())
            with common.stopwatch() as watch:
                baseline[name] = with_one_fit(views, name, folder)
            slow += watch()
    apart = max(float(np.abs(ours[name] - baseline[name]).max()) for name in ours)
    if apart > 1e-3:
        raise RuntimeError(f"the test predictions differ by {apart:.2g}, more than 1e-3: the two did not train alike")
    return [
        common.ratio(
            "transfer",
            "transfer phase of four scenarios, MobileNet, 20 epochs: one fit a scenario on JPEGs / cached features",
            median(fast),
            slow,
            "s",
            slow / median(fast),
            20,
            "at least",
            f"{IMAGES} images of {common.source_of_pictures()}, decoding included in both; "
            f"test predictions at most {apart:.1e} apart; ours took {', '.join(f'{took:.1f}' for took in fast)} s",
        )
    ]


def with_cached_features(views: pd.DataFrame, folder: Path) -> dict[str, np.ndarray]:
    """Test predictions of each scenario as the study's notebooks make them: decode once, extract once, train heads."""
    images = folder / "images.npy"
    preprocess.write_images(views, _as_tensorflow_decodes, folder / "all", images, SIZE, 0, 0.0, 0.0)
    backbone = networks.build_backbone("MobileNet", SIZE, **common.weights())
    extractor = networks.build_extractor(backbone, "native", frozen=True)
    features = extract_features(extractor, preprocess.open_images(images), BATCH)
    found = {}
    for name, scenario in scenarios().items():
        chosen = _of(views, scenario).rename_axis("row").reset_index()
        head = networks.build_classifier(features.shape[1], len(scenario.names), UNITS, 0.15, 0.2, seed=0)
        training.Trainer(head, features, SCHEDULE).fit(chosen.assign(fold=0), scenario.names)
        found[name] = head.predict(features[chosen.loc[chosen["part"] == "test", "row"]], verbose=0)
    return found


def with_one_fit(views: pd.DataFrame, name: str, folder: Path) -> np.ndarray:
    """Test predictions of a scenario, trained through the frozen backbone on JPEGs decoded in every epoch."""
    scenario = scenarios()[name]
    chosen = _of(views, scenario)
    data = {
        part: _directory(chosen[chosen["part"] == part], scenario.names, folder) for part in ("train", "val", "test")
    }
    backbone = networks.build_backbone("MobileNet", SIZE, **common.weights())
    backbone.trainable = False
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.RandomContrast(0.0, value_range=(0, 255))(layers.RandomRotation(0.0)(images))
    x = backbone(layers.Rescaling(1 / 127.5, offset=-1.0)(x), training=False)
    head = networks.build_classifier(backbone.output_shape[-1], len(scenario.names), UNITS, 0.15, 0.2, seed=0)
    whole = keras.Model(images, head(layers.GlobalMaxPooling2D()(x)))
    # XLA would make it slower on a CPU
    whole.compile(
        keras.optimizers.Adam(SCHEDULE.learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=EPOCHS, restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=EPOCHS // 2)
    whole.fit(data["train"], validation_data=data["val"], epochs=EPOCHS, callbacks=[stopping, slower], verbose=0)
    return whole.predict(data["test"], verbose=0)


def _of(views: pd.DataFrame, scenario) -> pd.DataFrame:
    labelled = views.assign(label=views["class"].map(scenario.label_of()))
    return labelled[labelled["label"].notna()]


def _directory(rows: pd.DataFrame, names: list[str], folder: Path) -> tf.data.Dataset:
    target = Path(tempfile.mkdtemp(dir=folder))
    for source in rows["source"]:
        (target / source).symlink_to(folder / "all" / source)
    labels = [names.index(label) for label in rows["label"]]
    found = keras.utils.image_dataset_from_directory(
        target, labels, image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
    )
    # whole grey levels, as the study's uint8 arrays have them
    return found.map(lambda images, label: (tf.floor(images), label)).prefetch(tf.data.AUTOTUNE)


def _as_tensorflow_decodes(path: Path) -> np.ndarray:
    picture = tf.io.decode_jpeg(tf.io.read_file(str(path)), channels=3)
    return np.floor(tf.image.resize(picture, (SIZE, SIZE)).numpy()).astype(np.uint8)
