"""Saved models predict external images, and the predictions become scores and a rung of the ladder."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from lib.config.paper import scenarios
from lib.config.paths import RUN_PREDICTIONS, RUN_RECORD, RUN_WEIGHTS, StudyPaths

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lib.data.predictions import Models
from lib.models import backend, networks, training
from lib.models.external import predict_external
from lib.models.features import extract_features
from lib.scores.metrics import external_scores, model_scores
from lib.scores.outcomes import collect_outcomes, external_outcomes

SIZE, SCENARIO, BACKBONE = 64, "three_malignant", "MobileNet"
CLASSES = scenarios()[SCENARIO].names
HEAD = {"units": 8, "dropout_features": 0.1, "dropout_hidden": 0.1, "head_momentum": 0.9}
CELL = {"preprocessing": "native", "scenario": SCENARIO, "backbone": BACKBONE}
pytestmark = pytest.mark.slow


def pictures(count, seed):
    """Images of three hues under noise, and what they are."""
    random = np.random.default_rng(seed)
    labels = np.tile(CLASSES, count // 3)
    hue = np.eye(3)[np.arange(count) % 3] * 70
    images = np.clip(random.normal(110, 40, (count, SIZE, SIZE, 3)) + hue[:, None, None], 0, 255).astype(np.uint8)
    rows = pd.DataFrame({"row": np.arange(count), "label": labels, "tenth": np.arange(count) // 3 % 10, "view": 0})
    named = [f"{seed}-{number}" for number in range(count)]
    return images, rows.assign(source=named, image_id=named, group=np.arange(count) // 2)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Runs as 04_train saves them: frozen under two protocols and two seeds, one of them fine-tuned; and the images."""
    paths = StudyPaths(tmp_path_factory.mktemp("study"))
    backend.configure(0, deterministic=False, mixed_precision=False)
    images, rows = pictures(60, 1)
    network = networks.build_backbone(BACKBONE, SIZE, "none")
    extractor = networks.build_extractor(network, "native", frozen=True)
    features = extract_features(extractor, images)
    built = dict(backbone=BACKBONE, preprocessing="native", image_size=SIZE, weights="none", classes=CLASSES)
    for protocol, seed in (("by_view", 0), ("clean", 0), ("clean", 1)):
        run = paths.run(protocol, "native", SCENARIO, BACKBONE, seed)
        run.mkdir(parents=True)
        classifier = networks.build_classifier(features.shape[1], 3, seed=seed, **HEAD)
        schedule = training.Schedule("transfer", 3, 1e-2, batch_size=16, patience=9, seed=seed)
        trainer = training.Trainer(classifier, features, schedule)
        _, table, heads = training.train_folds(trainer, rows, CLASSES, [2, 3])
        table.to_parquet(run / RUN_PREDICTIONS.format("transfer"))
        networks.save_weights(classifier, run / RUN_WEIGHTS.format("transfer"))
        (run / RUN_RECORD).write_text(json.dumps({"model": built | HEAD | {"seed": seed}}))
    full = networks.assemble(networks.build_extractor(network, "native", frozen=False), classifier)
    trainer = training.Trainer(full, images, training.Schedule("finetune", 1, 1e-5, batch_size=16, patience=9))
    _, table, _ = training.train_folds(trainer, rows, CLASSES, [2], heads)
    table.to_parquet(run / RUN_PREDICTIONS.format("finetune"))
    networks.save_weights(full, run / RUN_WEIGHTS.format("finetune"))
    return paths, images


def predict_images(paths, images, described, protocols=("by_view", "clean"), seeds=(0, 1)):
    described = described.rename(columns={"label": "true_class"})[["source", "image_id", "group", "true_class"]]
    models = Models(paths, "native", SCENARIO, protocols, [BACKBONE, "ResNet50"], seeds)
    return predict_external(models, images, described)


@pytest.fixture(scope="module")
def predicted(study):
    return predict_images(study[0], *pictures(30, 2))


def test_each_saved_model_gives_what_it_gave_in_training_and_is_that_of_the_first_fold(study):
    paths, images = study
    for (protocol, seed), phases in {("clean", 1): ("transfer", "finetune"), ("by_view", 0): ("transfer",)}.items():
        for phase in phases:
            saved = pd.read_parquet(paths.run(protocol, **CELL, seed=seed) / RUN_PREDICTIONS.format(phase))
            saved = saved[saved["fold"] == 2].reset_index(drop=True)
            found = predict_images(paths, images[saved["row"].to_numpy()], saved, [protocol], [seed])
            found = found[found["phase"] == phase].reset_index(drop=True)
            np.testing.assert_allclose(found[CLASSES], saved[CLASSES], atol=2e-3)
            assert (found["fold"] == 2).all() and found["source"].equals(saved["source"])


def test_the_scores_are_those_of_one_model_per_seed_and_the_difference_is_not_paired(study, predicted):
    protocols = ["by_view", "clean"]
    outcomes = collect_outcomes(Models(study[0], "native", SCENARIO, protocols, [BACKBONE], [0, 1]))
    own = model_scores(outcomes, protocols)
    table = external_scores(external_outcomes(predicted), own, protocols)
    row = table.set_index(["protocol", "phase"]).loc[("clean", "transfer")]
    of_model = predicted[(predicted["protocol"] == "clean") & (predicted["phase"] == "transfer")]
    right = of_model[CLASSES].idxmax(axis=1) == of_model["true_class"]
    assert row["accuracy"] == pytest.approx(right.mean())
    assert (row["seeds"], row["images"], row["groups"]) == (2, 30, 15)
    balanced = balanced_accuracy_score(of_model["true_class"], of_model[CLASSES].idxmax(axis=1))
    assert row["balanced_accuracy"] == pytest.approx(balanced)
    assert row["own_accuracy"] == own.set_index(["protocol", "phase"]).at[("clean", "transfer"), "test_accuracy"]
    assert row["difference"] == pytest.approx(row["accuracy"] - row["own_accuracy"])
    # Newcombe: either side's own distance to its bound, squared and added
    lower = np.hypot(row["accuracy"] - row["low"], row["own_high"] - row["own_accuracy"])
    assert row["difference_low"] == pytest.approx(row["difference"] - lower)
