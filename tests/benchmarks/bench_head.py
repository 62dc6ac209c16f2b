"""What a head costs beside its matrix products at the rate that this machine was measured at.

One head of Fig. 2 on the features of a MobileNet: ten tenths of 9,000 rows, one fold, in one thread as a deterministic
kernel has. Seconds are those of the processor: in one thread they are those of a clock on a machine without other work,
and they stay so on a busy one, but for its caches. Beside ours the same head as the study trained it before it was
profiled: Keras runs its steps, fed in batches of features, and the C library gives the memory of each step back. That
one has a process of its own, and there is Keras's loop with the memory kept, too. The rest, whatever is no product, is
what they differ in.
"""

import json
import os
import subprocess
import sys
import time
from statistics import median

import common
import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from lib.data.folds import parts_of_fold
from lib.models import backend, networks, training

ROWS, CHANNELS, UNITS, CLASSES, BATCH = 9000, 1024, 256, list("abcdefghi"), 32
KERAS_STEPS = 32  # a call, as it was
EPOCHS, TURNS = (4, 7) if not os.environ.get("SKINCAS_REDUCED") else (2, 1)


def measure() -> list[dict]:
    backend.configure(0, deterministic=True, mixed_precision=False)
    features, parts = _data()
    ways = {"ours": _trainer(features, True), "keras": _trainer(features, False)}
    for trainer in ways.values():
        trainer.fit(parts, CLASSES)  # traced
    took: dict[str, list[float]] = {"ours": [], "before": [], "keras": [], "products": []}
    histories = {}
    for _ in range(TURNS):  # by turns, so that whatever else the machine does meets all
        for name, trainer in ways.items():
            trainer.reset()
            took[name].append(_seconds(lambda: histories.update({name: trainer.fit(parts, CLASSES)})))  # noqa: B023
        took["products"].append(_products(parts))
        done = subprocess.run([sys.executable, __file__], stdout=subprocess.PIPE, text=True, check=True)
        seconds, losses = json.loads(done.stdout.splitlines()[-1])
        took["before"].append(seconds)
    if not histories["ours"].equals(histories["keras"]) or losses != _losses(histories["ours"]):
        raise RuntimeError("the three ways do not give the same losses to the last bit")
    ours, before, keras_way, products = (median(seconds) for seconds in took.values())
    steps = EPOCHS * -(-int((parts["part"] == "train").sum()) // BATCH)
    shape = f"{EPOCHS} epochs of {steps // EPOCHS} steps of {BATCH} rows, {CHANNELS} channels, {UNITS} units"
    each = ", ".join(
        f"{name} {seconds / steps * 1e3:.2f} ms" for name, seconds in zip(took, (ours, before, keras_way, products))
    )
    note = f"a step: {each}; seconds of one processor, load {os.getloadavg()[0]:.1f}; the same losses to the last bit"
    return [
        common.ratio(
            "head",
            f"a head ({shape}): all of it / its products",
            ours,
            products,
            "s",
            ours / products,
            4,
            "at most",
            note,
        ),
        common.ratio(
            "head_rest",
            "what a head costs beside its products: before it was profiled / now",
            ours - products,
            before - products,
            "s",
            (before - products) / (ours - products),
            2,
            "at least",
            f"{note}; against Keras's loop with the memory kept {(keras_way - products) / (ours - products):.2f}",
        ),
    ]


def _data() -> tuple[np.ndarray, pd.DataFrame]:
    """Features and the rows of a fold."""
    features = np.random.default_rng(0).normal(size=(ROWS, CHANNELS)).astype(np.float32)
    rows = pd.DataFrame({"row": np.arange(ROWS), "label": np.array(CLASSES)[np.arange(ROWS) % 9]})
    rows = rows.assign(tenth=np.arange(ROWS) // 9 % 10, group=np.arange(ROWS), source="s", image_id="i", view=0)
    return features, parts_of_fold(rows, 0)


def _before() -> tuple[float, list[list[float]]]:
    """Seconds of a head as it was trained before it was profiled, and its losses."""
    backend.keep_memory = lambda: None
    backend.configure(0, deterministic=True, mixed_precision=False)
    features, parts = _data()
    trainer = _trainer(features, False)
    trainer.fit(parts, CLASSES)  # traced
    trainer.reset()
    histories = []
    seconds = _seconds(lambda: histories.append(trainer.fit(parts, CLASSES)))
    return seconds, _losses(histories[0])


def _losses(history: pd.DataFrame) -> list[list[float]]:
    return history[["loss", "val_loss"]].to_numpy().tolist()


def _trainer(features: np.ndarray, in_one_call: bool) -> training.Trainer:
    repeats, training.steps_can_repeat = training.steps_can_repeat, lambda jit_compile: in_one_call
    steps = training.HEAD_STEPS if in_one_call else KERAS_STEPS
    schedule = training.Schedule("transfer", EPOCHS, 1e-3, BATCH, patience=EPOCHS, steps_per_execution=steps)
    head = networks.build_classifier(CHANNELS, len(CLASSES), UNITS, 0.15, 0.2, seed=0)
    trainer = training.Trainer(head, features, schedule)
    training.steps_can_repeat = repeats
    return trainer


def _products(parts: pd.DataFrame) -> float:
    """Seconds of the matrix products alone, of every step and of validation, each of the shape that it has there."""
    train, val = (int((parts["part"] == part).sum()) for part in ("train", "val"))
    x, hidden, out = (keras.random.normal(shape, seed=0) for shape in ((BATCH, CHANNELS), (BATCH, UNITS), (BATCH, 9)))
    w1, w2 = keras.random.normal((CHANNELS, UNITS), seed=1), keras.random.normal((UNITS, 9), seed=1)

    def forward(x):
        return tf.reduce_sum(tf.matmul(x, w1)) + tf.reduce_sum(tf.matmul(hidden + x[0, 0], w2))

    def step(x):
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
        return repeated(step, -(-train // BATCH)) + repeated(forward, -(-val // BATCH))

    epoch()
    return _seconds(lambda: [epoch() for _ in range(EPOCHS)])


def _seconds(call) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    print(json.dumps(_before()))
