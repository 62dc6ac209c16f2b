"""Training in the paper's two phases: the head on cached features, then the whole network."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from lib.data.folds import parts_of_fold
from lib.data.predictions import DESCRIPTION, predicted_class
from lib.models.backend import compiles, feed, fits_on_gpu, repeated, steps_can_repeat
from lib.models.checkpoints import Checkpoints, Epochs, Fold
from lib.models.features import Batches, predict

HEAD_STEPS = 512  # of a head on cached features that run as one call: a second
IN_MEMORY = 2**30  # bytes of an array that may be held whole, as features are
HISTORY = ["fold", "epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]


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


class Trained(NamedTuple):
    """What the folds of a phase gave.

    Attributes:
        history: a row an epoch with the columns of HISTORY, fold under fold.
        predictions: what `predictions` says of each fold, fold under fold.
        heads: fold -> the weights of its classifier at the end.
    """

    history: pd.DataFrame
    predictions: pd.DataFrame
    heads: dict[int, list[np.ndarray]]


class Progress(keras.callbacks.Callback):
    """One line an epoch: fold, phase, loss, accuracy and the fold's time left if early stopping saves no epoch."""

    def __init__(self, schedule: Schedule, fold: int):
        super().__init__()
        self.schedule, self.fold = schedule, fold

    def on_train_begin(self, logs=None):
        self.started, self.before = time.monotonic(), None

    def on_epoch_begin(self, epoch, logs=None):
        self.before = epoch if self.before is None else self.before  # epochs of a training that goes on

    def on_epoch_end(self, epoch, logs=None):
        done, total = epoch + 1, self.schedule.epochs
        left = (time.monotonic() - self.started) / (done - self.before) * (total - done)
        scores = " ".join(f"{key} {logs[key]:.3f}" for key in ("loss", "accuracy", "val_loss", "val_accuracy"))
        line = f"fold {self.fold} {self.schedule.phase} epoch {done}/{total} {scores}, {left:.0f} s left"
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


class Trainer:
    """Trains one network again and again from the same start, fold after fold: its graph is traced once.

    Where a GPU can keep the whole array, it is sent there once; the batches, and so the numbers, are the same.

    Args:
        network: it is compiled here, and begins each fold with the weights that it has now.
        array: [n, ...], images or features; may be memory-mapped.
        schedule: how a fold is trained.
    """

    def __init__(self, network: keras.Model, array: np.ndarray, schedule: Schedule):
        self.network, self.array, self.schedule = network, array, schedule
        small = array.nbytes <= IN_MEMORY and schedule.steps_per_execution > 1
        self.in_calls = small and steps_can_repeat(schedule.jit_compile)
        self.on_device = self.in_calls or fits_on_gpu(array.nbytes, schedule.jit_compile)
        self.model = OnDevice(network, array) if self.on_device else network
        optimizer = {"adam": keras.optimizers.Adam, "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9)}
        self.model.compile(
            optimizer=optimizer[schedule.optimizer](schedule.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=compiles(schedule.jit_compile),
            steps_per_execution=schedule.steps_per_execution,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        if self.in_calls:
            self.train_steps, self.test_steps = repeated(self.model.train_step), repeated(self.model.test_step)
        # weights, what the optimizer remembers, its rate, and the state of dropout's random numbers
        self.state = [*network.variables, *self.model.optimizer.variables]
        self.start = [keras.ops.convert_to_numpy(variable.value) for variable in self.state]

    def reset(self) -> None:
        """Put the network, its optimizer and its random numbers back to their start."""
        for variable, value in zip(self.state, self.start):
            variable.assign(value)

    def fit(self, chosen: pd.DataFrame, classes: list[str], kept: Fold | None = None) -> pd.DataFrame:
        """Train on one fold and leave the network with the weights of its best epoch, by validation loss.

        The rate falls to 0.3 of itself when the validation loss has not fallen for half the patience.

        Args:
            chosen: rows of lib.data.parts_of_fold: row, label, part, fold.
            kept: the fold's checkpoints: each epoch is kept there, and a killed training goes on from its last one
                to the numbers of an undisturbed one.

        Returns:
            The history: a row an epoch with the columns of HISTORY.
        """
        schedule, fold = self.schedule, int(chosen["fold"].iloc[0])
        callbacks = {
            "stopping": keras.callbacks.EarlyStopping(
                "val_loss", patience=schedule.patience, restore_best_weights=True
            ),
            "slower": keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=0.3, patience=max(1, schedule.patience // 2)
            ),
        }
        epochs = Epochs(kept or Fold(None, {}), self.network, self.model.optimizer, callbacks)
        done, stopped = epochs.restore()
        if done:
            print(f"fold {fold} {schedule.phase} goes on after epoch {done}/{schedule.epochs}", flush=True)
        train, val = (
            batches(self.array, chosen, part, classes, schedule.batch_size, schedule.seed if part == "train" else None)
            for part in ("train", "val")
        )
        train.start_at(done)
        if self.on_device:
            train, val = train.numbers(), val.numbers()
        keras.utils.set_random_seed(schedule.seed)
        first = schedule.epochs if stopped else done
        fit = self._fit_in_calls if self.in_calls else self._fit
        fit(train, val, first, [Progress(schedule, fold), *callbacks.values(), epochs])
        rows = pd.DataFrame(epochs.scores)
        rows = rows.assign(epoch=np.arange(1, len(rows) + 1), phase=schedule.phase, fold=fold)
        return rows[HISTORY]

    def _fit(self, train: Batches, val: Batches, first: int, callbacks: list) -> None:
        """Train from epoch `first`, counted from 0, as Keras does it."""
        self.model.steps_per_execution = self.schedule.steps_per_execution
        self.model.fit(
            feed(train),
            validation_data=feed(val),
            initial_epoch=first,
            epochs=self.schedule.epochs,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )
        self.model.steps_per_execution = 1  # predict would write as many passes into one graph

    def _fit_in_calls(
        self, train: Batches, val: Batches, first: int, callbacks: list[keras.callbacks.Callback]
    ) -> None:
        """The same epochs with many steps in a call: a head's step costs less than what Keras does around it."""
        callbacks = keras.callbacks.CallbackList(callbacks, model=self.model)
        self.model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(first, self.schedule.epochs):
            if epoch > first:
                train.on_epoch_end()
            callbacks.on_epoch_begin(epoch)
            scores = self._scores(self.train_steps, train)
            scores |= {f"val_{name}": score for name, score in self._scores(self.test_steps, val).items()}
            callbacks.on_epoch_end(epoch, scores)
            if self.model.stop_training:
                break
        callbacks.on_train_end()

    def _scores(self, take_steps, batches: Batches) -> dict[str, float]:
        self.model.reset_metrics()
        for rows, labels in batches.together(self.schedule.steps_per_execution):
            take_steps(rows, labels)
        return {name: float(score) for name, score in self.model.get_metrics_result().items()}


def train_folds(
    trainer: Trainer,
    chosen: pd.DataFrame,
    classes: list[str],
    folds: list[int],
    heads: dict[int, list[np.ndarray]] | None = None,
    kept: Checkpoints | None = None,
) -> Trained:
    """Train every fold from the same start and predict what it holds back.

    Args:
        chosen: rows of lib.data.select: row, label, tenth, source, image_id, group, view.
        folds: those to train, in order.
        heads: fold -> weights that its classifier starts from, as fine-tuning starts from the transfer phase's head.
        kept: the checkpoints of this run, from which a killed training goes on.

    Returns:
        What the folds gave. The network is left as the first of `folds` left it.
    """
    network, phase = trainer.network, trainer.schedule.phase
    classifier = network.get_layer("classifier") if heads else network
    kept = kept or Checkpoints()
    histories, tables, trained, first = [], [], {}, None
    for fold in folds:
        trainer.reset()
        if heads:
            classifier.set_weights(heads[fold])
        of_fold, with_weights = kept.of_fold(phase, fold), network if first is None else classifier
        if ended := of_fold.read_end(with_weights):
            history, table = ended
            print(f"fold {fold} {phase} had ended before", flush=True)
        else:
            parts = parts_of_fold(chosen, fold)
            # a fold of heads alone takes seconds: it is kept once it has ended, not epoch by epoch
            history = trainer.fit(parts, classes, of_fold if heads else None)
            held_out = parts[parts["part"] != "train"]
            table = predictions(network, trainer.array, held_out, classes, trainer.schedule.batch_size)
            of_fold.write_end(with_weights, history, table)
        histories.append(history)
        tables.append(table)
        trained[fold] = classifier.get_weights()
        first = first or network.get_weights()
    network.set_weights(first)
    return Trained(pd.concat(histories, ignore_index=True), pd.concat(tables, ignore_index=True), trained)


def predictions(
    model: keras.Model, array: np.ndarray, held_out: pd.DataFrame, classes: list[str], batch_size: int
) -> pd.DataFrame:
    """Probabilities of the validation and test images.

    Args:
        held_out: rows of lib.data.parts_of_fold: fold, row, label, source, image_id, group, view, part.

    Returns:
        fold, row, source, image_id, group, view, part, true_class, then a float32 column a class.
    """
    probabilities = predict(model, array, held_out["row"], batch_size)
    table = held_out.rename(columns={"label": "true_class"})
    table = table[[column for column in DESCRIPTION if column in table]].reset_index(drop=True)
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
