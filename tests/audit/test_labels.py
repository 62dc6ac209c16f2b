"""Label errors: planted flips are found well above chance, groups are never split, counts agree with a recount."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact
from sklearn.metrics import log_loss

from lib.audit import cross_validated_probabilities, label_errors, precision_at_k, rank_label_errors
from lib.config import REPOSITORY, Study, StudyPaths

CODES = {"melanoma": "MEL", "nevus": "NV", "dermatofibroma": "DF", "vascular lesion": "VASC"}


def planted(n: int = 400, flips: float = 0.1, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Features of four classes that overlap a little, labels of which a share is flipped, and which are flipped."""
    generator = np.random.default_rng(seed)
    names = list(CODES)
    truth = np.arange(n) % 4
    centres = generator.normal(0, 1.0, (4, 32))
    features = (centres[truth] + generator.normal(0, 1.0, (n, 32))).astype(np.float32)
    flipped = generator.permutation(n) < flips * n
    labels = np.where(flipped, (truth + generator.integers(1, 4, n)) % 4, truth)
    images = pd.DataFrame({"source": [f"Train/{k:04}.jpg" for k in range(n)], "group": np.arange(n)})
    images["image_id"] = images["source"]
    images["class"] = [names[k] for k in labels]
    images["diagnosis"] = [CODES[names[k]] for k in truth]
    return features, images, flipped


def test_planted_flips_are_found_well_above_chance():
    features, images, flipped = planted()
    ranked = rank_label_errors(features, images)
    assert list(ranked["contradicted"]) == list(flipped[ranked["source"].str[6:10].astype(int)])
    precision = precision_at_k(ranked).set_index(["class", "k"])
    at_40 = precision.loc[("all", 40)]  # as many as were flipped
    assert at_40["base_rate"] == pytest.approx(0.1)
    assert at_40["precision"] > 0.75 and at_40["lift"] > 7.5 and at_40["p_value"] < 1e-12
    found = ranked[ranked["issue"]]
    assert found["contradicted"].mean() > 0.6
    assert (ranked.loc[ranked["kind"] == "label error confirmed", "contradicted"]).all()
    # where the flip is found, the true class is what is suggested
    right = found[found["contradicted"]]
    assert (right["suggested"].map(CODES) == right["diagnosis"]).mean() > 0.9


def test_where_no_label_or_every_label_is_contradicted_no_precision_is_claimed():
    features, images, _ = planted(flips=0)
    precision = precision_at_k(rank_label_errors(features, images))
    assert (precision["base_rate"] == 0).all() and precision["precision"].isna().all()
    images["diagnosis"] = images["class"].map(CODES).map({"MEL": "NV", "NV": "MEL", "DF": "VASC", "VASC": "DF"})
    precision = precision_at_k(rank_label_errors(features, images))
    assert (precision["base_rate"] == 1).all() and precision["precision"].isna().all()


def test_the_same_seed_gives_the_same_list():
    features, images, _ = planted(200)
    pd.testing.assert_frame_equal(rank_label_errors(features, images), rank_label_errors(features, images))


def test_no_image_is_judged_by_a_model_that_saw_its_group():
    # features that name the group: a model that saw the group would know the label, which is otherwise pure chance
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 4)
    labels = np.repeat(generator.integers(0, 2, 60), 4)
    features = np.eye(60, dtype=np.float32)[groups]
    honest = cross_validated_probabilities(features, labels, groups)
    leaky = cross_validated_probabilities(features, labels, np.arange(240))
    assert log_loss(labels, leaky) < 0.62 < 0.66 < log_loss(labels, honest)
    assert honest.sum(axis=1) == pytest.approx(1)


def test_a_class_of_one_group_gets_probability_nought_when_it_is_held_out():
    features, images, _ = planted(80)
    labels = pd.factorize(images["class"])[0]
    labels[0] = 4
    probabilities = cross_validated_probabilities(features, labels, np.arange(80))
    assert probabilities.shape == (80, 5) and probabilities[0, 4] == 0


def test_precision_counts_only_images_with_a_diagnosis_and_its_p_value_is_fishers():
    ranked = pd.DataFrame({"rank": range(1, 21), "class": "nevus", "diagnosis": "NV"})
    ranked["contradicted"] = pd.array([k in (0, 1, 3, 9) for k in range(20)], dtype="boolean")
    ranked.loc[2, ["diagnosis", "contradicted"]] = ["", None]
    row = precision_at_k(ranked, ks=(3,)).set_index(["class", "k"]).loc[("all", 3)]
    assert (row["images"], row["contradicted"], row["hits"]) == (19, 4, 3)
    assert row["p_value"] == pytest.approx(fisher_exact([[3, 0], [1, 15]], alternative="greater").pvalue)
    assert row["lift"] == pytest.approx(19 / 4)


def test_a_study_is_read_from_its_cached_features_and_views_are_left_out(tmp_path: Path):
    features, images, _ = planted(120)
    paths, study = StudyPaths(tmp_path), Study(backbones=["ResNet50", "MobileNet"])
    found = label_errors(paths, study)
    assert found["ranked"].empty and "no features" in found["reason"]
    index = pd.concat([images.assign(view=0), images.assign(view=1)], ignore_index=True).sample(frac=1, random_state=0)
    paths.prepared("published").mkdir(parents=True)
    index.drop(columns="diagnosis").to_parquet(paths.index("published"))
    paths.feature_folder("published", "native", "MobileNet").mkdir(parents=True)
    np.save(paths.features("published", "native", "MobileNet"), np.vstack([features, features])[index.index])
    paths.audit.mkdir()
    images[["source", "diagnosis"]].to_parquet(paths.image_index)
    found = label_errors(paths, study)
    assert found["features"] == "features/published/native/MobileNet"
    assert sorted(found["ranked"]["source"]) == sorted(images["source"])
    assert found["ranked"].groupby("class")["rank_in_class"].max().to_dict() == images["class"].value_counts().to_dict()
    assert found["precision"]["hits"].max() > 0


def test_no_deep_learning_library_is_imported():
    code = (
        "import sys, cleanlab.filter, cleanlab.rank, lib.audit.labels, lib.verdicts;"
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
