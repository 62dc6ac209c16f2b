"""Saved models predict external images."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from lib.config.paper import scenarios
from lib.config.paths import RUN_PREDICTIONS, RUN_RECORD, RUN_WEIGHTS, StudyPaths

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lib.data.predictions import Models
from lib.models import backend, networks, training
from lib.models.external import predict_external
from lib.models.features import extract_features

SIZE, SCENARIO, BACKBONE = 64, "three_malignant", "MobileNet"
CLASSES = scenarios()[SCENARIO].names
HEAD = {"units": 8, "dropout_features": 0.1, "dropout_hidden": 0.1, "head_momentum": 0.9}
CELL = {"preprocessing": "native", "scenario": SCENARIO, "backbone": BACKBONE}
pytestmark = pytest.mark.slow


def pictures():
    """60 images of three hues under noise, and what they are."""
    number = np.arange(60)
    noise = np.random.default_rng(1).normal(110, 40, (60, SIZE, SIZE, 3))
    images = np.clip(noise + np.eye(3)[number % 3][:, None, None] * 70, 0, 255).astype(np.uint8)
    rows = pd.DataFrame({"row": number, "label": np.tile(CLASSES, 20), "tenth": number // 3 % 10, "view": 0})
    return images, rows.assign(source=number.astype(str), image_id=number.astype(str), group=number // 2)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Runs as 04_train saves them: frozen under two protocols, one of them fine-tuned; and the images."""
    paths = StudyPaths(tmp_path_factory.mktemp("study"))
    backend.configure(0, deterministic=False, mixed_precision=False)
    images, rows = pictures()
    network = networks.build_backbone(BACKBONE, SIZE, "none")
    extractor = networks.build_extractor(network, "native", frozen=True)
    features = extract_features(extractor, images)
    built = dict(backbone=BACKBONE, preprocessing="native", image_size=SIZE, weights="none", classes=CLASSES)
    for protocol, seed in (("by_view", 0), ("clean", 1)):
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


def test_models_whose_weights_are_kept_give_what_they_gave_in_training_and_are_those_of_the_first_fold(study):
    paths, images = study

    def saved(protocol, phase, seed):
        table = pd.read_parquet(paths.run(protocol, **CELL, seed=seed) / RUN_PREDICTIONS.format(phase))
        return table[table["fold"] == 2].reset_index(drop=True)

    described = saved("by_view", "transfer", 0)
    models = Models(paths, "native", SCENARIO, ("by_view", "clean"), [BACKBONE, "ResNet50"], (0, 1))
    kept = ["source", "image_id", "group", "true_class"]
    found = predict_external(models, images[described["row"].to_numpy()], described[kept])
    by_model = dict(list(found.groupby(["protocol", "phase", "seed"])))
    assert by_model.keys() == {("by_view", "transfer", 0), ("clean", "transfer", 1), ("clean", "finetune", 1)}
    for model, own in by_model.items():
        np.testing.assert_allclose(own[CLASSES], saved(*model)[CLASSES], atol=2e-3)
        assert (own["fold"] == 2).all() and own["source"].tolist() == saved(*model)["source"].tolist()
