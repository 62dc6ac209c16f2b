"""A small study with trained models, made by the steps' own functions; shared by the tests of the explorer."""

import json
import os

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lib.config import paper
from lib.config.paths import StudyPaths
from lib.data import demo, preprocess
from lib.data.folder import decode
from lib.data.folds import FOLDS, parts_of_fold, select
from lib.data.index import build_index
from lib.data.pool import pool_views
from lib.data.predictions import Models
from lib.data.protocols import deal
from lib.models import networks, training
from lib.models.features import extract_features
from lib.scores.outcomes import collect_outcomes, write_outcomes

SIZE = 64


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The folder of a set of twelve images per class, so that each of the ten folds tests some of each."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.ensure(folder, images_per_class=12, size=SIZE, seed=0)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory, drawn):
    """A study of 108 synthetic images, two protocols; its heads are random: nothing here asks if they are good."""
    paths = StudyPaths(tmp_path_factory.mktemp("results") / "small")
    index, _ = build_index(drawn, [drawn / "metadata.csv"], bits=8, difference=9.0)
    paths.new(paths.image_index)
    index.to_parquet(paths.image_index)
    network = networks.build_backbone("MobileNet", SIZE, "none")
    extractor = networks.build_extractor(network, "native", frozen=True)
    views = pool_views(index, dict.fromkeys(paper.CLASSES, 24), 80, 0)
    preprocess.write_images(views, decode, drawn, paths.new(paths.images), SIZE, 0, 180.0, 0.3)
    views.to_parquet(paths.views)
    features = extract_features(extractor, preprocess.open_images(paths.images))
    np.save(paths.new(paths.features("native", "MobileNet")), features)
    for protocol in ("by_view", "by_lesion"):
        table, _ = deal(index, views, protocol, 0)
        table.to_parquet(paths.protocol(protocol))
        for scenario in ("nine_classes", "three_malignant")[: 2 if protocol == "by_lesion" else 1]:
            _train(paths, protocol, scenario, select(views, table, paper.scenarios()[scenario]), features)
    for scenario in ("nine_classes", "three_malignant"):
        outcomes = collect_outcomes(Models(paths, "native", scenario, ("by_view", "by_lesion"), ["MobileNet"], [0]))
        write_outcomes(outcomes, paths.new(paths.outcomes("native", scenario)))
    (paths.root.parent / "empty" / "runs").mkdir(parents=True)  # a study that has not got so far
    return paths


def _train(paths, protocol, scenario, chosen, features):
    task = paper.scenarios()[scenario]
    head = dict(units=8, dropout_features=0.15, dropout_hidden=0.2, seed=3)
    run = paths.run(protocol, "native", scenario, "MobileNet", 0)
    run.mkdir(parents=True)
    tables = []
    for fold in range(FOLDS):  # another head a fold; the weights of the first are saved
        classifier = networks.build_classifier(features.shape[1], len(task.names), **head | {"seed": 3 + fold})
        parts = parts_of_fold(chosen, fold)
        held_out = parts[parts["part"] != "train"]
        tables.append(training.predictions(classifier, features, held_out, task.names, 32))
        if not fold:
            classifier.save_weights(run / "transfer.weights.h5")
    pd.concat(tables, ignore_index=True).to_parquet(run / "predictions_transfer.parquet")
    made = dict(backbone="MobileNet", preprocessing="native", image_size=SIZE, weights="none", classes=task.names)
    (run / "run.json").write_text(json.dumps({"model": made | head}))
