"""Training: cached features are exact, phases follow each other, and memory does not grow with the images."""

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from lib.config import REPOSITORY

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


from lib.models import Batches, backend, extract_features, networks, predict, training

SIZE = 64


@pytest.fixture(scope="module", autouse=True)
def seeded():
    backend.configure(0, deterministic=False, mixed_precision=False)


@pytest.fixture(scope="module")
def three_classes():
    """90 images of three hues under noise, and their rows: two thirds for training."""
    random = np.random.default_rng(1)
    labels = np.repeat(["red", "green", "blue"], 30)
    hue = np.eye(3)[pd.Categorical(labels, ["red", "green", "blue"]).codes] * 60
    images = np.clip(random.normal(110, 40, (90, SIZE, SIZE, 3)) + hue[:, None, None], 0, 255).astype(np.uint8)
    rows = pd.DataFrame({"row": np.arange(90), "label": labels, "part": ["train", "train", "val"] * 30})
    described = {"source": labels, "image_id": "ISIC_0", "group": np.arange(90), "view": 0}
    return images, rows.assign(**described), ["red", "green", "blue"]


def schedule(phase="transfer", epochs=4, rate=1e-3):
    return training.Schedule(phase, epochs, rate, batch_size=16, patience=10, seed=3)


@pytest.mark.parametrize("source", ["random", "imagenet"])
def test_the_head_trained_on_cached_features_equals_the_head_trained_through_the_frozen_backbone(
    source, three_classes, request
):
    images, rows, classes = three_classes
    weights = {} if source == "random" else {"weights_dir": str(request.getfixturevalue("real_weights"))}
    backbone = networks.build_backbone("MobileNet", SIZE, "none" if source == "random" else "imagenet", **weights)
    extractor = networks.build_extractor(backbone, "native", frozen=True)
    features = extract_features(extractor, images)
    results = {}
    for way, array in (("cached", features), ("through", images)):
        head = networks.build_classifier(features.shape[1], 3, 16, 0.15, 0.2, seed=7)
        network = head if way == "cached" else networks.assemble(extractor, head)
        batches = (
            training.batches(array, rows, part, classes, 16, 3 if part == "train" else None)
            for part in ("train", "val")
        )
        history = training.fit(network, *batches, schedule())
        results[way] = history, training.predictions(network, array, rows[rows["part"] == "val"], classes, 16)
    cached, through = (results[way][1][classes].to_numpy() for way in ("cached", "through"))
    assert np.abs(cached - through).max() < 1e-4
    assert np.allclose(results["cached"][0]["loss"], results["through"][0]["loss"], atol=1e-4)
    assert results["cached"][0]["accuracy"].iloc[-1] > 0.6  # it learned: the equality is not that of two idle models


def test_finetuning_starts_from_the_trained_head_and_trains_the_backbone(three_classes):
    images, rows, classes = three_classes
    backbone = networks.build_backbone("MobileNet", SIZE, "none")
    head = networks.build_classifier(1024, 3, 16, 0.15, 0.2, seed=0)
    features = extract_features(networks.build_extractor(backbone, "native", frozen=True), images)
    parts = [training.batches(features, rows, part, classes, 16, None) for part in ("train", "val")]
    training.fit(head, *parts, schedule())
    full = networks.assemble(networks.build_extractor(backbone, "native", frozen=False), head)
    held_out = rows[rows["part"] == "val"]
    before = training.predictions(full, images, held_out, classes, 16)[classes].to_numpy()
    assert np.allclose(before, head.predict(features[held_out["row"]], verbose=0), atol=1e-4)
    first = backbone.trainable_weights[0].numpy().copy()
    moving = [w.numpy().copy() for w in backbone.non_trainable_weights]
    parts = [training.batches(images, rows, part, classes, 16, None) for part in ("train", "val")]
    history = training.fit(full, *parts, schedule("finetune", epochs=1, rate=1e-4))
    assert history["phase"].tolist() == ["finetune"]
    assert not np.array_equal(first, backbone.trainable_weights[0].numpy())
    # inference mode: the statistics of BatchNormalization stay those of the pretrained backbone
    assert all(np.array_equal(w.numpy(), old) for w, old in zip(backbone.non_trainable_weights, moving))


def test_the_model_is_left_with_the_weights_of_its_best_epoch(three_classes):
    random = np.random.default_rng(0)
    features = random.normal(size=(90, 8)).astype(np.float32)  # nothing to learn: validation loss soon rises
    _, rows, classes = three_classes
    head = networks.build_classifier(8, 3, 64, 0.0, 0.0, seed=0)
    parts = [
        training.batches(features, rows, part, classes, 16, 0 if part == "train" else None) for part in ("train", "val")
    ]
    history = training.fit(head, *parts, training.Schedule("transfer", 60, 1e-2, 16, patience=5))
    assert len(history) < 60
    assert head.evaluate(parts[1], verbose=0)[0] == pytest.approx(history["val_loss"].min(), rel=1e-4)
    assert history["learning_rate"].iloc[-1] < 1e-2
    assert list(history.columns) == training.HISTORY


def test_progress_says_phase_epoch_scores_and_time_left(three_classes, capsys):
    features = np.random.default_rng(0).normal(size=(90, 8)).astype(np.float32)
    _, rows, classes = three_classes
    parts = [training.batches(features, rows, part, classes, 16, None) for part in ("train", "val")]
    training.fit(networks.build_classifier(8, 3, 8, 0.1, 0.1, seed=0), *parts, schedule("transfer", epochs=2))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2 transfer loss ") and lines[0].endswith(" s left")


def test_every_epoch_shows_every_row_once_in_a_new_order():
    batches = Batches(np.arange(10), np.arange(10), np.arange(10), 4, seed=1)
    orders = []
    for _ in range(2):
        orders.append(np.concatenate([batches[i][0] for i in range(len(batches))]).tolist())
        batches.on_epoch_end()
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]


def test_full_batches_show_every_row_and_fill_the_last_one_with_the_first_rows_of_the_epoch():
    batches = Batches(np.arange(10), np.arange(10), np.arange(10), 4, seed=1, full=True)
    shown = [batches[i][0].tolist() for i in range(len(batches))]
    assert [len(batch) for batch in shown] == [4, 4, 4]
    assert sorted(shown[0] + shown[1] + shown[2][:2]) == list(range(10)) and shown[2][2:] == shown[0][:2]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX draws from the batches themselves")
def test_a_feed_gives_the_same_batches_in_a_new_order_each_epoch_and_does_not_tune_itself():
    def batches():
        return Batches(np.arange(11), np.arange(11), np.arange(11), 4, seed=1)

    plain, fed = batches(), backend.feed(batches())
    epochs = [[rows.numpy().tolist() for rows, _ in fed] for _ in range(2)]
    for epoch in epochs:
        assert epoch == [plain[i][0].tolist() for i in range(3)]
        plain.on_epoch_end()
    assert epochs[0] != epochs[1] and len(fed) == 3
    assert fed.options().autotune.enabled is False


def test_an_array_in_the_memory_of_the_device_trains_to_the_same_numbers(three_classes, monkeypatch):
    images, rows, classes = three_classes
    histories, predictions, weights = [], [], []
    for on_device in (False, True):
        monkeypatch.setattr(training, "fits_on_gpu", lambda *_, answer=on_device: answer)
        backbone = networks.build_backbone("MobileNet", SIZE, "none")
        head = networks.build_classifier(1024, 3, 8, 0.1, 0.1, seed=0)
        full = networks.assemble(networks.build_extractor(backbone, "native", frozen=False), head)
        parts = [
            training.batches(images, rows, part, classes, 16, 0 if part == "train" else None)
            for part in ("train", "val")
        ]
        histories.append(training.fit(full, *parts, schedule("finetune", epochs=2, rate=1e-4)))
        predictions.append(predict(full, images, np.arange(90), 16))
        weights.append([values.shape for values in full.get_weights()])
    assert np.ptp(histories[0]["loss"]) > 0 and weights[0] == weights[1]
    pd.testing.assert_frame_equal(*histories)
    assert np.array_equal(*predictions)


def test_only_an_array_of_a_quarter_of_the_free_gpu_memory_goes_there(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\ncase "$*" in *"-i 3") echo 4000;; *"-i 4") exit 9;; *) echo 400; echo 8000;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    monkeypatch.setattr(backend, "compiles", lambda wanted: wanted)

    def largest(devices):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
        return [size for size in (100, 101, 1000, 1001) if backend.fits_on_gpu(size * 2**20, True)]

    assert largest("3,0") == [100, 101, 1000] and largest("0") == [100]
    assert largest("4") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert backend.fits_on_gpu(1, True) and not backend.fits_on_gpu(1, False)
    monkeypatch.setattr(backend, "has_gpu", lambda: False)  # the machine has one that the backend does not use
    assert not backend.fits_on_gpu(1, True)
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    tool.unlink()
    assert not backend.fits_on_gpu(1, True)


def test_steps_that_run_as_one_call_train_alike(three_classes):
    features = np.random.default_rng(0).normal(size=(90, 8)).astype(np.float32)
    _, rows, classes = three_classes
    histories, predictions = [], []
    for steps in (1, 3):  # of 4 an epoch: the last call has one
        head = networks.build_classifier(8, 3, 8, 0.1, 0.1, seed=0)
        parts = [training.batches(features, rows, part, classes, 16, 0) for part in ("train", "val")]
        at_once = dataclasses.replace(schedule("transfer", epochs=3), steps_per_execution=steps)
        histories.append(training.fit(head, *parts, at_once))
        predictions.append(predict(head, features, np.arange(90), 16))
    assert len(parts[0]) == 4 and np.ptp(histories[0]["loss"]) > 0
    pd.testing.assert_frame_equal(*histories)
    assert np.array_equal(*predictions)


def test_a_prediction_traces_the_network_once_whatever_is_left_for_the_last_batch():
    traced = []

    class Count(keras.layers.Layer):
        def call(self, values):
            traced.append(values.shape)
            return 2 * values

    inputs = keras.Input((3,))
    network = keras.Model(inputs, Count()(inputs))
    before = len(traced)
    array = np.arange(30.0, dtype=np.float32).reshape(10, 3)
    rows = np.array([9, 0, 4, 4, 7])
    assert np.array_equal(predict(network, array, rows, 4), 2 * array[rows])
    assert np.array_equal(predict(network, array, rows[:1], 4), 2 * array[rows[:1]])
    assert len(traced) - before == 1, traced


TRAIN = """
import os, resource, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
from lib import preprocess, train
images = preprocess.open_images(sys.argv[1])
model = keras.Sequential([keras.Input(images.shape[1:], dtype="uint8"), keras.layers.Rescaling(1 / 255),
    keras.layers.Conv2D(4, 32, strides=32), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2, "softmax")])
rows = np.arange(len(images))
parts = [train.Batches(images, rows, rows % 2, 32, seed, full=True) for seed in (0, None)]
train.fit(model, *parts, train.Schedule("finetune", 2, 1e-3, 32, 5))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_training_on_9000_images_at_224_px_takes_at_most_1_gib_more_than_on_100(tmp_path):
    """The network is small, so that what is measured is what the images cost; 9,000 of them are 1.35 GB."""
    peak = {}
    for count in (100, 9000):
        path = tmp_path / f"{count}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, 224, 224, 3)).flush()
        command = [sys.executable, "-c", TRAIN, str(path)]
        root = REPOSITORY
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        peak[count] = float(done.stdout.splitlines()[-1])
    assert peak[9000] - peak[100] <= 1024, peak
