"""Training: cached features are exact, phases follow each other, and memory does not grow with the images."""

import dataclasses
import os

import keras
import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


from lib.data.predictions import still_learning
from lib.models import backend, networks, training
from lib.models.features import Batches, extract_features
from tests.fixtures.small_training import separate

SIZE = 64


@pytest.fixture(scope="module", autouse=True)
def seeded():
    backend.configure(0, deterministic=False, mixed_precision=False)


@pytest.fixture(scope="module")
def three_classes():
    """90 images of three hues under noise, and their rows in tenths: nine images a tenth, three of each hue."""
    random = np.random.default_rng(1)
    labels = np.repeat(["red", "green", "blue"], 30)
    hue = np.eye(3)[pd.Categorical(labels, ["red", "green", "blue"]).codes] * 60
    images = np.clip(random.normal(110, 40, (90, SIZE, SIZE, 3)) + hue[:, None, None], 0, 255).astype(np.uint8)
    rows = pd.DataFrame({"row": np.arange(90), "label": labels, "tenth": np.arange(90) % 10})
    described = {"source": labels, "image_id": "ISIC_0", "group": np.arange(90), "view": 0}
    return images, rows.assign(**described), ["red", "green", "blue"]


def schedule(phase="transfer", epochs=4, rate=1e-3):
    return training.Schedule(phase, epochs, rate, batch_size=16, patience=10, seed=3)


def head(channels=8, units=8, dropout=0.1, seed=0):
    return networks.build_classifier(channels, 3, units, dropout, dropout, seed)


@pytest.fixture(scope="module")
def noise():
    """Features of 90 images that say nothing of their classes."""
    return np.random.default_rng(0).normal(size=(90, 8)).astype(np.float32)


@pytest.mark.parametrize("source", ["random", pytest.param("imagenet", marks=pytest.mark.slow)])
def test_the_head_trained_on_cached_features_equals_the_head_trained_through_the_frozen_backbone(
    source, three_classes, request
):
    """The backbone must separate the images: the head's BatchNormalization divides by the spread of features and
    so amplifies float32's rounding. In float64 both give the same bits for any backbone."""
    images, rows, classes = three_classes
    weights = {} if source == "random" else {"weights_dir": str(request.getfixturevalue("real_weights"))}
    backbone = networks.build_backbone("MobileNet", SIZE, "none" if source == "random" else "imagenet", **weights)
    if source == "random":
        separate(backbone, images)
    extractor = networks.build_extractor(backbone, "native", frozen=True)
    features = extract_features(extractor, images)
    results = {}
    for name, array in (("cached", features), ("through", images)):
        classifier = networks.build_classifier(features.shape[1], 3, 16, 0.15, 0.2, seed=7)
        network = classifier if name == "cached" else networks.assemble(extractor, classifier)
        trainer = training.Trainer(network, array, schedule())
        history, predictions, _ = training.train_folds(trainer, rows, classes, [0])
        results[name] = history, predictions[classes].to_numpy()
    assert np.abs(results["cached"][1] - results["through"][1]).max() < 1e-4
    assert np.allclose(results["cached"][0]["loss"], results["through"][0]["loss"], atol=1e-4)
    assert results["cached"][0]["accuracy"].iloc[-1] > 0.6  # it learned: these are not two idle models


def test_finetuning_starts_from_the_trained_head_of_its_fold_and_trains_the_backbone(three_classes):
    images, rows, classes = three_classes
    backbone = networks.build_backbone("MobileNet", SIZE, "none")
    features = extract_features(networks.build_extractor(backbone, "native", frozen=True), images)
    trainer = training.Trainer(head(1024), features, schedule(epochs=2))
    _, transfer, heads = training.train_folds(trainer, rows, classes, [4, 1])
    full = networks.assemble(networks.build_extractor(backbone, "native", frozen=False), trainer.network)
    first = backbone.trainable_weights[0].numpy().copy()
    moving = [weight.numpy().copy() for weight in backbone.non_trainable_weights]

    started = []

    class Watched(training.Trainer):
        def fit(self, parts, classes, *more):
            held_out = parts[parts["part"] != "train"]
            predicted = training.predictions(self.network, self.array, held_out, classes, 16)
            started.append((self.network.get_layer("classifier").get_weights(), predicted[classes]))
            return super().fit(parts, classes, *more)

    finetuned = Watched(full, images, schedule("finetune", epochs=1, rate=1e-4))
    history, _, _ = training.train_folds(finetuned, rows, classes, [1, 4], heads)
    assert history["phase"].tolist() == ["finetune"] * 2 and history["fold"].tolist() == [1, 4]
    for fold, (weights, predicted) in zip([1, 4], started):
        assert all(np.array_equal(one, other) for one, other in zip(weights, heads[fold]))
        assert np.allclose(predicted, transfer.loc[transfer["fold"] == fold, classes], atol=1e-4)
    assert not np.array_equal(heads[1][4], heads[4][4])  # the heads differ, so that each fold's own says something

    assert not np.array_equal(first, backbone.trainable_weights[0].numpy())
    # inference mode: the statistics of BatchNormalization stay those of the pretrained backbone
    assert all(np.array_equal(w.numpy(), old) for w, old in zip(backbone.non_trainable_weights, moving))


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
def test_a_fold_trained_after_others_equals_the_fold_trained_alone_bit_for_bit(three_classes, noise, optimizer):
    _, rows, classes = three_classes
    falling = dataclasses.replace(schedule(epochs=12, rate=1e-2), patience=2, optimizer=optimizer)  # the rate falls
    together = training.Trainer(head(dropout=0.3), noise, falling)
    history, predictions, heads = training.train_folds(together, rows, classes, [5, 0, 9])
    assert (history.groupby("fold")["learning_rate"].min() < 1e-2).any()
    for fold in (0, 9):
        alone = training.Trainer(head(dropout=0.3), noise, falling)
        own, predicted, kept = training.train_folds(alone, rows, classes, [fold])
        pd.testing.assert_frame_equal(own, history[history["fold"] == fold].reset_index(drop=True))
        pd.testing.assert_frame_equal(predicted, predictions[predictions["fold"] == fold].reset_index(drop=True))
        assert all(np.array_equal(one, other) for one, other in zip(kept[fold], heads[fold]))
    assert not np.array_equal(heads[0][4], heads[9][4])  # folds differ, so that equality says something


def test_the_model_is_left_with_the_weights_of_its_best_epoch(three_classes, noise):
    _, rows, classes = three_classes  # nothing to learn: validation loss soon rises
    trainer = training.Trainer(head(units=64, dropout=0.0), noise, training.Schedule("transfer", 60, 1e-2, 16, 5))
    history, predictions, _ = training.train_folds(trainer, rows, classes, [0])
    assert len(history) < 60 and not still_learning(history, "transfer")  # patience ended it
    cut = history[history["epoch"] <= history["val_loss"].argmin() + 1]
    assert still_learning(cut, "transfer") and not still_learning(cut)  # no fine-tuning, nothing to stop
    val = predictions[predictions["part"] == "val"]
    predicted = val[classes].to_numpy()[np.arange(len(val)), [classes.index(name) for name in val["true_class"]]]
    assert -np.log(predicted).mean() == pytest.approx(history["val_loss"].min(), rel=1e-4)
    assert history["learning_rate"].iloc[-1] < 1e-2
    assert list(history.columns) == training.HISTORY


@pytest.mark.parametrize("steps", [1, 3])  # the loop of Keras, and our own
def test_a_training_without_a_finite_loss_fails_in_its_epoch_and_keeps_nothing_of_it(
    three_classes, noise, steps, tmp_path
):
    _, rows, classes = three_classes
    too_fast = dataclasses.replace(schedule("finetune", epochs=3, rate=1e38), steps_per_execution=steps)
    features = keras.Input((8,))
    network = networks.assemble(keras.Model(features, keras.layers.Identity()(features)), head())
    trainer = training.Trainer(network, noise, too_fast)
    said = r"finetune, fold 4, epoch 1: loss not finite at a rate of 1e\+38; lower finetune_learning_rate"
    with pytest.raises(FloatingPointError, match=said):
        start = {4: trainer.network.get_layer("classifier").get_weights()}
        training.train_folds(trainer, rows, classes, [4], start, checkpoints=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_full_batches_show_every_row_and_fill_the_last_one_with_the_first_rows_of_the_epoch():
    batches = Batches(np.arange(10), np.arange(10), np.arange(10), 4, seed=1, full=True)
    shown = [batches[i][0].tolist() for i in range(len(batches))]
    assert [len(batch) for batch in shown] == [4, 4, 4]
    assert sorted(shown[0] + shown[1] + shown[2][:2]) == list(range(10)) and shown[2][2:] == shown[0][:2]


def test_steps_that_run_as_one_call_train_alike(three_classes, noise):
    _, rows, classes = three_classes
    histories, predictions = [], []
    for steps in (1, 3):  # of 5 an epoch: the last call has two
        at_once = dataclasses.replace(schedule(epochs=3), steps_per_execution=steps)
        history, predicted, _ = training.train_folds(training.Trainer(head(), noise, at_once), rows, classes, [0, 1])
        histories.append(history)
        predictions.append(predicted)
    assert np.ptp(histories[0]["loss"]) > 0
    pd.testing.assert_frame_equal(*histories)
    pd.testing.assert_frame_equal(*predictions)
