"""Speed of training: a study whole, a head, the transfer phase, a step of fine-tuning, and tracing."""

import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import median

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import timing
from keras import layers
from timing import AT_LEAST, AT_MOST, row

from lib.config.paper import CLASSES, scenarios
from lib.config.params import AXES, load_study
from lib.config.paths import StudyPaths
from lib.data import preprocess
from lib.data.folder import decode
from lib.data.folds import parts_of_fold, select
from lib.models import backend, networks, training
from lib.models.features import Batches, extract_features

UNITS, BATCH, CHANNELS, HEAD_EPOCHS = 256, 32, 1024, 4
STUDY = "backbones: [MobileNet]\nprotocols: [by_view, by_lesion, clean]\nimage_size: 160\ntransfer_epochs: 20\n"
STUDY += "patience: 20\nfinetune_epochs: 0\n"


def study() -> list[dict]:
    """The frozen part of a study by its own notebooks, against one fit for each scenario, protocol and fold.

    The baseline is that of `transfer`: an epoch of two of its fits is measured, the others are counted by their images.
    An epoch has as many images as ours has views, as the paper augments them. Seconds are those of all processors.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        views, paths, file, images = _pictures(folder), StudyPaths(folder / "results"), folder / "study.yaml", 0
        for source, label in zip(views["source"], views["class"]):
            (folder / "set" / label).mkdir(parents=True, exist_ok=True)
            os.link(folder / "all" / source, folder / "set" / label / source)
        file.write_text(STUDY)
        command = [sys.executable, str(timing.ROOT / "run_all.py"), str(file), "--step", "train", "--yes"]
        command += ["--data", str(folder / "set"), "--results", str(paths.root)]
        command += ["--weights", os.environ.get("SKINCAS_WEIGHTS", "none")]
        options = {"stdout": sys.stderr, "env": os.environ | {"SKINCAS_METADATA": ""}}  # it names other files
        ours = timing.seconds(lambda: subprocess.run(command, check=True, **options), timing.processors)
        settings = load_study(str(file))
        for protocol, name in product(settings.protocols, settings.scenarios):
            rows = select(pd.read_parquet(paths.views), pd.read_parquet(paths.protocol(protocol)), scenarios()[name])
            images += int((parts_of_fold(rows, 0)["part"] != "test").sum())
        epoch, seen = 0.0, 0
        for name, epochs in product(("nine_classes", "three_malignant"), (1, 2)):
            schedule = training.Schedule("transfer", epochs, 1e-3, BATCH, epochs)
            call = lambda: _with_jpegs(views, name, folder, settings.image_size, schedule)  # noqa: B023, E731
            epoch += (2 * epochs - 3) * timing.seconds(call, time.process_time)  # of two epochs, less that of one
            seen += (epochs - 1) * (_labelled(views, scenarios()[name])["part"] != "test").sum()
    fits = len(settings.protocols) * len(settings.scenarios) * len(settings.transfer_folds)
    baseline = epoch / seen * images * settings.transfer_epochs * len(settings.transfer_folds)
    what = f"frozen MobileNet, 160 px, 4 scenarios, 3 protocols, 10 folds, 20 epochs: {fits} fits / ours"
    note = f"{len(views)} images of {timing.source_of_pictures()}; baseline {epoch / seen * 1e3:.1f} ms an image; "
    note += f"seconds of all processors, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return [row("study", what, ours, baseline, 100, AT_LEAST, note)]


def head() -> list[dict]:
    """What a head of Fig. 2 costs beside its matrix products: 9,000 rows of MobileNet's features, one fold, one thread.

    The baseline of `head_rest` is the head before it was profiled: Keras runs its steps, and the C library returns the
    memory of each. Seconds are those of the processor, which other work of the machine changes little.
    """
    turns = [[timing.in_own_process("training_speed", "fit_head", old) for old in (False, True)] for _ in range(5)]
    if any(new["losses"] != old["losses"] for new, old in turns):
        raise RuntimeError("the trainings do not give the same losses to the last bit")
    ours, products = (median(new[key] for new, _ in turns) for key in ("head", "products"))
    before = median(old["head"] for _, old in turns)
    note = f"medians of {len(turns)} turns, seconds of one processor; the same losses to the last bit"
    shape = f"{HEAD_EPOCHS} epochs of 225 steps of {BATCH} rows, {CHANNELS} channels, {UNITS} units"
    rest = "what a head costs beside its products: before it was profiled / now"
    return [
        row("head", f"a head ({shape}): all of it / its products", ours, products, 4, AT_MOST, note),
        row("head_rest", rest, ours - products, before - products, 2, AT_LEAST, note),
    ]


def fit_head(old: bool, channels: int = CHANNELS, clock=None) -> dict:
    """Seconds and losses of a head, as it was trained before it was profiled or now, and seconds of its products.

    Args:
        clock: of a process whose backend is configured.
    """
    if old:
        backend.keep_memory, training.IN_MEMORY = lambda: None, -1
    if clock is None:
        backend.configure(0, deterministic=True, mixed_precision=False)
    number, clock, histories = np.arange(9000), clock or time.process_time, []
    features = np.random.default_rng(0).normal(size=(len(number), channels)).astype(np.float32)
    rows = pd.DataFrame({"row": number, "label": np.array(CLASSES)[number % 9], "fold": 0})
    rows["part"] = np.where(number % 10 < 8, "train", np.where(number % 10 < 9, "val", "test"))
    more = {"jit_compile": True, "steps_per_execution": 32 if old else training.HEAD_STEPS}
    schedule = training.Schedule("transfer", HEAD_EPOCHS, 1e-3, BATCH, HEAD_EPOCHS, **more)
    classifier = networks.build_classifier(channels, len(CLASSES), UNITS, 0.15, 0.2, seed=0)
    trainer = training.Trainer(classifier, features, schedule)
    trainer.fit(rows, list(CLASSES))  # traced
    trainer.reset()
    took = timing.seconds(lambda: histories.append(trainer.fit(rows, list(CLASSES))), clock)
    return {
        "head": took,
        "products": _products(225, 29),
        "losses": histories[0][["loss", "val_loss"]].to_numpy().tolist(),
    }


def _products(train: int, val: int) -> float:
    """Seconds of the matrix products alone, of so many steps of training and of validation an epoch, each of the shape
    that it has there."""
    x, hidden, out = (keras.random.normal(shape, seed=0) for shape in ((BATCH, CHANNELS), (BATCH, UNITS), (BATCH, 9)))
    w1, w2 = keras.random.normal((CHANNELS, UNITS), seed=1), keras.random.normal((UNITS, 9), seed=1)

    def forward(x):
        return tf.reduce_sum(tf.matmul(x, w1)) + tf.reduce_sum(tf.matmul(hidden + x[0, 0], w2))

    def forward_and_backward(x):
        gradients = (
            tf.matmul(x, hidden, transpose_a=True),
            tf.matmul(hidden + x[0, 0], w1, transpose_b=True),
            tf.matmul(hidden + x[0, 0], out, transpose_a=True),
            tf.matmul(out + x[0, 0], w2, transpose_b=True),
        )
        return forward(x) + sum(gradient[0, 0] for gradient in gradients)

    def repeated(product, times):
        def body(number, total):
            return number + 1, total + 1e-30 * product(x + total)  # each waits for the one before

        return tf.while_loop(lambda number, total: number < times, body, [0, 0.0])[1]

    @tf.function
    def epoch():
        return repeated(forward_and_backward, train) + repeated(forward, val)

    epoch()
    return timing.seconds(lambda: [epoch() for _ in range(HEAD_EPOCHS)], time.process_time)


def transfer() -> list[dict]:
    """The transfer phase of all scenarios with one backbone: features once, against one fit per scenario on JPEGs.

    The baseline is the common notebook: a frozen backbone under augmentation layers, fed by
    `image_dataset_from_directory`, which decodes every JPEG in every epoch. Its augmentation has factor 0 and its
    images keep their order: that costs the same, and the predictions of both can be compared.
    """
    size, epochs = 160, 20
    original = training.batches
    training.batches = lambda *arguments: original(*arguments[:5])  # not shuffled, as the baseline's
    schedule = training.Schedule("transfer", epochs, 1e-3, BATCH, epochs, steps_per_execution=training.HEAD_STEPS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        views = _pictures(folder)
        baseline, fast, slow, ours = {}, [], 0.0, {}
        for name in scenarios():  # by turns, so that other work of the machine affects both
            fast.append(timing.seconds(lambda: ours.update(_with_features(views, folder, size, schedule))))
            slow += timing.seconds(lambda: baseline.update(_with_jpegs(views, name, folder, size, schedule)))  # noqa: B023
    difference = max(float(np.abs(ours[name] - baseline[name]).max()) for name in ours)
    if difference > 1e-3:
        raise RuntimeError(f"the test predictions differ by {difference:.2g}, more than 1e-3: they train differently")
    what = "transfer phase of four scenarios, MobileNet, 20 epochs: one fit a scenario on JPEGs / cached features"
    note = f"{len(views)} images of {timing.source_of_pictures()}, decoding included in both; test predictions differ "
    note += f"by at most {difference:.1e}; ours took {', '.join(f'{took:.1f}' for took in fast)} s"
    return [row("transfer", what, median(fast), slow, 20, AT_LEAST, note)]


def tracing() -> list[dict]:
    """Tracing of graphs in the demo's transfer phase: each backbone once and each head on its features, against the
    whole network in each cell."""
    demo = load_study("demo")
    cells, extractors = demo.cells(*AXES), demo.cells("preprocessing", "backbone")
    cost = {name: timing.in_own_process("training_speed", "trace", name, demo.image_size) for name in demo.backbones}
    predict, head, whole = (
        sum(cost[cell["backbone"]][kind] for cell in some)
        for kind, some in {"predict": extractors, "head": cells, "whole": cells}.items()
    )
    what = f"tracing in the transfer phase of the demo's {len(cells)} cells: a fit a cell / features once, then heads"
    return [row("tracing", what, predict + head, whole, 1, AT_LEAST, "first calls less second ones")]


def trace(name: str, size: int) -> dict[str, float]:
    """Seconds that the first call takes longer than the second: extraction, a head, and a whole frozen network."""
    images, labels = np.zeros((BATCH, size, size, 3), np.uint8), np.zeros(BATCH, int)
    extractor = networks.build_extractor(networks.build_backbone(name, size, "none"), "native", frozen=True)
    head, top = (networks.build_classifier(extractor.output_shape[-1], 9, 64, 0.15, 0.2, seed=0) for _ in range(2))
    whole = networks.assemble(extractor, top)
    for network in (head, whole):
        network.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    fit = {"validation_split": 0.5, "verbose": 0}
    calls = {
        "predict": lambda: extractor.predict(images, verbose=0),
        "head": lambda: head.fit(np.zeros((BATCH, extractor.output_shape[-1]), np.float32), labels, **fit),
        "whole": lambda: whole.fit(images, labels, **fit),
    }
    first, second = ({kind: timing.seconds(call) for kind, call in calls.items()} for _ in range(2))
    return {kind: max(0.0, first[kind] - second[kind]) for kind in calls}


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


def _pictures(folder: Path) -> pd.DataFrame:
    """Pictures in `folder`/all, as views with a part; training sets are full batches, the same for ours and others."""
    (folder / "all").mkdir()
    files = timing.pictures(folder / "all", 2160)
    views = pd.DataFrame({"source": [path.name for path, _ in files], "class": [c for _, c in files], "view": 0})
    tenth = views.index // 9 % 10  # every class in every part: the numbers go round the nine classes
    return views.assign(part=np.where(tenth == 8, "val", np.where(tenth == 9, "test", "train")))


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
