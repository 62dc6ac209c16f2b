"""Training in the paper's two phases: the head on cached features, then the whole network."""

import time
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from lib.data import predicted_class
from lib.models.backend import compiles, feed, fits_on_gpu
from lib.models.features import Batches, predict

HEAD_STEPS = 32  # of a head on cached features that run as one call: a tenth of a second
HISTORY = ["epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]


@dataclass(frozen=True)
class Schedule:
    """How a phase is trained. Rates per step; `patience` in epochs.

    `steps_per_execution` steps are one call of the backend: more of them save time where a step takes milliseconds, but
    an interrupt waits for them.
    """

    phase: str
    epochs: int
    learning_rate: float
    batch_size: int
    patience: int
    optimizer: str = "adam"
    jit_compile: bool = False
    seed: int = 0
    steps_per_execution: int = 1


class Progress(keras.callbacks.Callback):
    """One line an epoch: phase, loss, accuracy and the time left if no epoch is saved by early stopping."""

    def __init__(self, schedule: Schedule):
        super().__init__()
        self.schedule = schedule

    def on_train_begin(self, logs=None):
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        done, total = epoch + 1, self.schedule.epochs
        left = (time.monotonic() - self.started) / done * (total - done)
        scores = " ".join(f"{key} {logs[key]:.3f}" for key in ("loss", "accuracy", "val_loss", "val_accuracy"))
        line = f"epoch {done}/{total} {self.schedule.phase} {scores}, {left:.0f} s left"
        print(line, flush=True)


class OnDevice(keras.Model):
    """A network with the array that it learns from in the device's memory: a batch is the numbers of its rows.

    Args:
        network: takes batches of the array.
        array: [n, ...]
    """

    def __init__(self, network: keras.Model, array: np.ndarray):
        super().__init__()
        self.network = network
        # a weight, since JAX would write any other array into what it compiles
        self.array = self.add_weight(
            shape=array.shape,
            dtype=array.dtype,
            initializer=lambda shape, dtype: array,
            trainable=False,
            autocast=False,  # mixed precision would cast the whole array in each step
        )

    def call(self, rows, training=None):
        return self.network(keras.ops.take(self.array, rows, axis=0), training=training)

    def get_weights(self) -> list[np.ndarray]:
        """The network's: early stopping keeps them after each better epoch, and the array does not change."""
        return self.network.get_weights()

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.network.set_weights(weights)


def fit(model: keras.Model, train: Batches, val: Batches, schedule: Schedule) -> pd.DataFrame:
    """Train a model and leave it with the weights of its best epoch, by validation loss.

    The rate falls to 0.3 of itself when the validation loss has not fallen for half the patience. Where a GPU can keep
    the whole array, it is sent there once; the batches, and so the numbers, are the same.

    Args:
        train, val: batches of one array.

    Returns:
        The history: a row an epoch with the columns of HISTORY.
    """
    if fits_on_gpu(train.array.nbytes, schedule.jit_compile):
        model, train, val = OnDevice(model, train.array), train.numbers(), val.numbers()
    optimizer = {"adam": keras.optimizers.Adam, "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9)}
    model.compile(
        optimizer=optimizer[schedule.optimizer](schedule.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=compiles(schedule.jit_compile),
        steps_per_execution=schedule.steps_per_execution,
    )
    keras.utils.set_random_seed(schedule.seed)
    callbacks = [
        Progress(schedule),
        keras.callbacks.EarlyStopping("val_loss", patience=schedule.patience, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=max(1, schedule.patience // 2)),
    ]
    history = model.fit(
        feed(train),
        validation_data=feed(val),
        epochs=schedule.epochs,
        callbacks=callbacks,
        verbose=0,
        shuffle=False,
    ).history
    model.steps_per_execution = 1  # predict would write as many passes into one graph
    rows = pd.DataFrame(history).assign(epoch=lambda h: np.arange(1, len(h) + 1), phase=schedule.phase)
    return rows[HISTORY]


def predictions(
    model: keras.Model, array: np.ndarray, held_out: pd.DataFrame, classes: list[str], batch_size: int
) -> pd.DataFrame:
    """Probabilities of the validation and test images.

    Args:
        held_out: rows of lib.data.select: row, label, source, image_id, group, view, part.

    Returns:
        source, image_id, group, view, part, true_class, then a float32 column a class.
    """
    probabilities = predict(model, array, held_out["row"], batch_size)
    table = held_out.rename(columns={"label": "true_class"})
    table = table[["source", "image_id", "group", "view", "part", "true_class"]].reset_index(drop=True)
    return pd.concat([table, pd.DataFrame(probabilities.astype(np.float32), columns=classes)], axis=1)


def batches(array, chosen: pd.DataFrame, part: str, classes: list[str], batch_size: int, seed: int | None) -> Batches:
    """The batches of one part of a scenario: labels are the places of the class names in `classes`.

    Those of `train` are all full."""
    rows = chosen[chosen["part"] == part]
    labels = rows["label"].map({name: place for place, name in enumerate(classes)}).to_numpy()
    return Batches(array, rows["row"].to_numpy(), labels, batch_size, seed, full=part == "train")


def accuracy(predictions: pd.DataFrame, part: str = "test") -> float:
    """The share of a part's images whose class has the highest probability, for a glance while training."""
    chosen = predictions[predictions["part"] == part]
    return float((predicted_class(chosen) == chosen["true_class"]).mean())
