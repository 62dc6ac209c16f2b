"""Training in the paper's two phases: the head on cached features, then the whole network."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from lib.data.folds import parts_of_fold
from lib.data.predictions import DESCRIPTION
from lib.models.backend import as_dataset, fits_on_gpu, repeat_step, uses_xla
from lib.models.checkpoints import EpochCheckpoint, FoldCheckpoint
from lib.models.features import Batches, predict

HEAD_STEPS = 512  # steps of a head on cached features that run as one call: a second
IN_MEMORY = 2**30  # bytes of an array that may be held whole, as features are
HISTORY = ["fold", "epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]


@dataclass(frozen=True)
class Schedule:
    """How a phase is trained; `patience` in epochs.

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
    """The results of a phase, fold after fold."""

    history: pd.DataFrame  # one row per epoch with the columns of HISTORY
    predictions: pd.DataFrame  # the table of `predictions`
    heads: dict[int, list[np.ndarray]]  # fold -> the weights of its classifier at the end


class OnDevice(keras.Model):
    """A network with its training array in the device's memory: a batch is the numbers of its rows.

    Args:
        network: takes batches of the array.
        array: [n, ...]
    """

    def __init__(self, network: keras.Model, array: np.ndarray):
        super().__init__()
        self.network = network
        # a weight, since JAX would compile any other array into its code
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
        """Those of the network alone: early stopping copies them after each better epoch."""
        return self.network.get_weights()

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.network.set_weights(weights)


class Trainer:
    """Trains one network from the same start for each fold, so that its graph is traced once.

    Where a GPU has room for the whole array, it is sent there once; the batches, and so the numbers, are the same.

    Args:
        network: it is compiled here, and starts each fold with its present weights.
        array: [n, ...], images or features; may be memory-mapped.
        schedule: how a fold is trained.
    """

    def __init__(self, network: keras.Model, array: np.ndarray, schedule: Schedule):
        self.network, self.array, self.schedule = network, array, schedule
        small = array.nbytes <= IN_MEMORY and schedule.steps_per_execution > 1
        self.repeats_steps = small and not uses_xla(schedule.jit_compile)
        self.on_device = self.repeats_steps or fits_on_gpu(array.nbytes, schedule.jit_compile)
        self.model = OnDevice(network, array) if self.on_device else network
        optimizer = {"adam": keras.optimizers.Adam, "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9)}
        self.model.compile(
            optimizer=optimizer[schedule.optimizer](schedule.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=uses_xla(schedule.jit_compile),
            steps_per_execution=schedule.steps_per_execution,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        if self.repeats_steps:
            self.train_steps, self.test_steps = repeat_step(self.model.train_step), repeat_step(self.model.test_step)
        # weights, moments and rate of the optimizer, and the state of dropout's random numbers
        self.state = [*network.variables, *self.model.optimizer.variables]
        self.start = [keras.ops.convert_to_numpy(variable.value) for variable in self.state]

    def reset(self) -> None:
        """Return the network, its optimizer and its random numbers to their start."""
        for variable, value in zip(self.state, self.start):
            variable.assign(value)

    def fit(self, rows: pd.DataFrame, classes: list[str], checkpoint: FoldCheckpoint | None = None) -> pd.DataFrame:
        """Train on one fold and leave the network with the weights of its best epoch, by validation loss.

        The rate is multiplied by 0.3 after half the patience without a lower validation loss; an infinite loss raises.

        Args:
            rows: lib.data.folds.parts_of_fold: row, label, part, fold.
            checkpoint: keeps each epoch; a killed training resumes after its last one and gives the numbers of an
                uninterrupted one.

        Returns:
            The history: one row per epoch with the columns of HISTORY.
        """
        schedule, patience, fold = self.schedule, self.schedule.patience, int(rows["fold"].iloc[0])
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        slower = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=max(1, patience // 2))
        callbacks = {"stopping": stopping, "slower": slower}
        epochs = EpochCheckpoint(checkpoint or FoldCheckpoint(), self.network, self.model.optimizer, callbacks)
        done, stopped = epochs.restore()
        title = f"{schedule.phase}, fold {fold}, epoch"
        if done:
            print(f"{title} {done} of {schedule.epochs} restored", flush=True)
        train = batches(self.array, rows, "train", classes, schedule.batch_size, schedule.seed)
        val = batches(self.array, rows, "val", classes, schedule.batch_size)
        train.set_epoch(done)
        if self.on_device:
            train, val = train.of_row_numbers(), val.of_row_numbers()
        keras.utils.set_random_seed(schedule.seed)
        first = schedule.epochs if stopped else done

        def check(epoch: int, logs: dict[str, float]) -> None:
            print(f"{title} {epoch + 1} of {schedule.epochs}", flush=True)
            if not np.isfinite([logs["loss"], logs["val_loss"]]).all():  # before the epoch is kept
                rate, key = float(self.model.optimizer.learning_rate), f"{schedule.phase}_learning_rate"
                raise FloatingPointError(f"{title} {epoch + 1}: loss not finite at a rate of {rate:.3g}; lower {key}")

        fit = self._fit_by_calls if self.repeats_steps else self._fit
        fit(train, val, first, [keras.callbacks.LambdaCallback(on_epoch_end=check), *callbacks.values(), epochs])
        history = pd.DataFrame(epochs.scores)
        history = history.assign(epoch=np.arange(1, len(history) + 1), phase=schedule.phase, fold=fold)
        return history[HISTORY]

    def _fit(self, train: Batches, val: Batches, first: int, callbacks: list) -> None:
        """Train from epoch `first`, counted from 0, with the loop of Keras."""
        self.model.steps_per_execution = self.schedule.steps_per_execution
        options = {"initial_epoch": first, "epochs": self.schedule.epochs, "verbose": 0, "shuffle": False}
        self.model.fit(as_dataset(train), validation_data=as_dataset(val), callbacks=callbacks, **options)
        self.model.steps_per_execution = 1  # or predict would trace as many passes into one graph

    def _fit_by_calls(self, train: Batches, val: Batches, first: int, callbacks: list) -> None:
        """The same epochs with many steps in one call: a head's step costs less than what Keras does around it."""
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
        for rows, labels in batches.stacked(self.schedule.steps_per_execution):
            take_steps(rows, labels)
        return {name: float(score) for name, score in self.model.get_metrics_result().items()}


def train_folds(
    trainer: Trainer,
    selected: pd.DataFrame,
    classes: list[str],
    folds: list[int],
    heads: dict[int, list[np.ndarray]] | None = None,
    checkpoints: Path | None = None,
    machine: dict[str, str] | None = None,
) -> Trained:
    """Train every fold from the same start and predict its validation and test views.

    Args:
        selected: rows of lib.data.folds.select: row, label, tenth, source, image_id, group, view.
        folds: those to train, in order.
        heads: fold -> weights that its classifier starts from, as fine-tuning starts from the transfer phase's head.
        checkpoints: the folder from which a killed training resumes; None keeps nothing.
        machine: what lib.models.backend.configure returned; checkpoints of another one are ignored.

    Returns:
        The results. The network keeps the weights of the first of `folds`.
    """
    network, phase = trainer.network, trainer.schedule.phase
    classifier = network.get_layer("classifier") if heads else network
    histories, tables, trained, first = [], [], {}, None
    for fold in folds:
        trainer.reset()
        if heads:
            classifier.set_weights(heads[fold])
        checkpoint = FoldCheckpoint(checkpoints and checkpoints / phase / f"fold{fold}", machine or {})
        saved = network if first is None else classifier
        if result := checkpoint.load_result(saved):
            history, table = result
            print(f"{phase}, fold {fold} restored", flush=True)
        else:
            parts = parts_of_fold(selected, fold)
            # a fold of heads alone takes seconds: it is kept once it has ended, not epoch by epoch
            history = trainer.fit(parts, classes, checkpoint if heads else None)
            held_out = parts[parts["part"] != "train"]
            table = predictions(network, trainer.array, held_out, classes, trainer.schedule.batch_size)
            checkpoint.write_result(saved, history, table)
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
        held_out: rows of lib.data.folds.parts_of_fold: fold, row, label, source, image_id, group, view, part.

    Returns:
        fold, row, source, image_id, group, view, part, true_class, then one float32 column per class.
    """
    probabilities = predict(model, array, held_out["row"], batch_size)
    table = held_out.rename(columns={"label": "true_class"})
    table = table[[column for column in DESCRIPTION if column in table]].reset_index(drop=True)
    return pd.concat([table, pd.DataFrame(probabilities.astype(np.float32), columns=classes)], axis=1)


def batches(
    array, rows: pd.DataFrame, part: str, classes: list[str], batch_size: int, seed: int | None = None
) -> Batches:
    """The batches of one part of a fold; labels are places in `classes`. Those of `train` are all full."""
    rows = rows[rows["part"] == part]
    labels = rows["label"].map({name: place for place, name in enumerate(classes)}).to_numpy()
    return Batches(array, rows["row"].to_numpy(), labels, batch_size, seed, full=part == "train")
