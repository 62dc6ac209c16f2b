"""Speed of training: a head beside its matrix products, the transfer phase, a step of fine-tuning, and tracing."""

import os
import tempfile
import time
from pathlib import Path
from statistics import median

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import timing
from keras import layers
from timing import AT_LEAST, AT_MOST, row

from lib.config.paper import scenarios
from lib.config.params import AXES, load_study
from lib.data import preprocess
from lib.data.folder import decode
from lib.data.folds import parts_of_fold
from lib.models import backend, networks, training
from lib.models.features import Batches, extract_features

CHANNELS, UNITS, CLASSES, BATCH = 1024, 256, list("abcdefghi"), 32
EPOCHS, TURNS = 4, 7
KERAS_STEPS = 32  # per call, before heads were profiled


def head() -> list[dict]:
    """What a head of Fig. 2 costs beside its matrix products: 9,000 rows of MobileNet's features, one fold, one thread.

    Seconds are those of the processor, which other work of the machine changes little. The baseline of `head_rest` is
    the head as it was trained before it was profiled: Keras runs its steps, fed in batches of features, and the C
    library returns the memory of each step. That one has a process of its own.
    """
    backend.configure(0, deterministic=True, mixed_precision=False)
    features, parts = _head_data()
    trainers = {"ours": _head_trainer(features, True), "keras": _head_trainer(features, False)}
    for trainer in trainers.values():
        trainer.fit(parts, CLASSES)  # traced
    took: dict[str, list[float]] = {"ours": [], "before": [], "keras": [], "products": []}
    histories = {}

    def fit(name: str) -> None:
        histories[name] = trainers[name].fit(parts, CLASSES)

    for _ in range(TURNS):
        for name, trainer in trainers.items():
            trainer.reset()
            took[name].append(timing.seconds(lambda: fit(name), time.process_time))  # noqa: B023
        took["products"].append(_products(parts))
        before, losses = timing.in_own_process("training_speed", "head_before")
        took["before"].append(before)
    if not histories["ours"].equals(histories["keras"]) or losses != _losses(histories["ours"]):
        raise RuntimeError("the three trainings do not give the same losses to the last bit")
    ours, before, with_keras, products = (median(seconds) for seconds in took.values())
    steps = -(-int((parts["part"] == "train").sum()) // BATCH)
    shape = f"{EPOCHS} epochs of {steps} steps of {BATCH} rows, {CHANNELS} channels, {UNITS} units"
    each = ", ".join(f"{name} {median(values) / EPOCHS / steps * 1e3:.2f} ms" for name, values in took.items())
    note = f"a step: {each}; seconds of one processor, load {os.getloadavg()[0]:.1f}; the same losses to the last bit"
    rest = "what a head costs beside its products: before it was profiled / now"
    kept = f"; against Keras's loop with the memory kept {(with_keras - products) / (ours - products):.2f}"
    return [
        row("head", f"a head ({shape}): all of it / its products", ours, products, 4, AT_MOST, note),
        row("head_rest", rest, ours - products, before - products, 2, AT_LEAST, note + kept),
    ]


def head_before() -> tuple[float, list[list[float]]]:
    """Seconds and losses of a head as it was trained before it was profiled."""
    backend.keep_memory = lambda: None
    backend.configure(0, deterministic=True, mixed_precision=False)
    features, parts = _head_data()
    trainer, histories = _head_trainer(features, False), []
    trainer.fit(parts, CLASSES)  # traced
    trainer.reset()
    took = timing.seconds(lambda: histories.append(trainer.fit(parts, CLASSES)), time.process_time)
    return took, _losses(histories[0])


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


def tracing() -> list[dict]:
    """Tracing of graphs on the demo's matrix: what the study pays, against one fit for each cell and phase.

    The study traces a frozen backbone once for each (preprocessing, backbone), however many heads are trained on its
    features, and a whole network once per fine-tuned cell. The baseline traces it in each phase of each cell.
    """
    study = load_study("demo")
    shape = (study.image_size, study.finetune_batch_size)
    cost = {name: timing.in_own_process("training_speed", "traces", name, *shape) for name in study.backbones}
    cells = study.cells(*AXES)
    ours = sum(cost[cell["backbone"]]["predict"] for cell in study.cells("preprocessing", "backbone"))
    ours += sum(cost[cell["backbone"]]["head"] for cell in cells)
    baseline = sum(cost[cell["backbone"]]["frozen"] for cell in cells)
    fine = sum(cost[cell["backbone"]]["finetune"] for cell in cells) if study.finetune_epochs else 0.0
    each = ", ".join(f"{name} {seconds['finetune']:.0f} s a fine-tuning" for name, seconds in cost.items())
    what = f"tracing in the transfer phase of the demo's {len(cells)} cells: a fit a cell / features once, then heads"
    note = f"{each}, which both pay in each of the {len(cells)} cells ({fine:.0f} s)"
    return [row("tracing", what, ours, baseline, 1, AT_LEAST, note)]


def traces(name: str, size: int, batch: int) -> dict[str, float]:
    """Seconds that the first call takes longer than the second: extraction, a head, and whole networks."""
    keras.Sequential([keras.Input((2,)), layers.Dense(1)]).predict(np.ones((1, 2)), verbose=0)  # first call ever
    images, labels = np.zeros((batch, size, size, 3), np.uint8), np.zeros(batch, int)
    backbone = networks.build_backbone(name, size, "none")
    extractor = networks.build_extractor(backbone, "native", frozen=True)
    unfrozen = networks.build_extractor(backbone, "native", frozen=False)
    classifier = networks.build_classifier(extractor.output_shape[-1], 9, 64, 0.15, 0.2, seed=0)

    def extra(call) -> float:
        first, second = (timing.seconds(call) for _ in range(2))
        return max(0.0, first - second)

    def fit(network, data) -> float:
        network.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        return extra(lambda: network.fit(data, labels, validation_data=(data, labels), verbose=0))

    return {
        "predict": extra(lambda: extractor.predict(images, verbose=0)),
        "head": fit(classifier, np.zeros((batch, extractor.output_shape[-1]), np.float32)),
        "frozen": fit(networks.assemble(extractor, classifier), images),
        "finetune": fit(networks.assemble(unfrozen, classifier), images),
    }


def _head_data() -> tuple[np.ndarray, pd.DataFrame]:
    """Features and the rows of a fold."""
    number = np.arange(9000)
    features = np.random.default_rng(0).normal(size=(len(number), CHANNELS)).astype(np.float32)
    rows = pd.DataFrame({"row": number, "label": np.array(CLASSES)[number % 9], "tenth": number // 9 % 10})
    return features, parts_of_fold(rows.assign(group=number, source="s", image_id="i", view=0), 0)


def _losses(history: pd.DataFrame) -> list[list[float]]:
    return history[["loss", "val_loss"]].to_numpy().tolist()


def _head_trainer(features: np.ndarray, repeat_steps: bool) -> training.Trainer:
    original, training.IN_MEMORY = training.IN_MEMORY, training.IN_MEMORY if repeat_steps else -1
    steps = training.HEAD_STEPS if repeat_steps else KERAS_STEPS
    schedule = training.Schedule("transfer", EPOCHS, 1e-3, BATCH, EPOCHS, steps_per_execution=steps)
    classifier = networks.build_classifier(CHANNELS, len(CLASSES), UNITS, 0.15, 0.2, seed=0)
    trainer = training.Trainer(classifier, features, schedule)
    training.IN_MEMORY = original
    return trainer


def _products(parts: pd.DataFrame) -> float:
    """Seconds of the matrix products alone, of every step and of validation, each of the shape that it has there."""
    train, val = (-(-int((parts["part"] == part).sum()) // BATCH) for part in ("train", "val"))
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
    return timing.seconds(lambda: [epoch() for _ in range(EPOCHS)], time.process_time)


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
