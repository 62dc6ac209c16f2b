"""Label errors: planted flips are found well above chance, p-values are Fisher's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from lib.audit.labels import label_errors, precision_at_k, rank_label_errors
from lib.config.params import Study
from lib.config.paths import StudyPaths
from tests.verdicts.studies import write_predictions

CODES = {"melanoma": "MEL", "nevus": "NV", "dermatofibroma": "DF", "vascular lesion": "VASC"}
NAMES = list(CODES)


def planted(n: int = 400, flips: float = 0.1, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Probabilities of a classifier that is mostly right, labels of which a share is flipped, and which are flipped."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 4
    logits = generator.normal(0, 1.0, (n, 4)) + 3.0 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = generator.permutation(n) < flips * n
    labels = np.where(flipped, (truth + generator.integers(1, 4, n)) % 4, truth)
    images = pd.DataFrame({"source": [f"Train/{k:04}.jpg" for k in range(n)], "group": np.arange(n)})
    named = {"class": [NAMES[k] for k in labels], "diagnosis": [CODES[NAMES[k]] for k in truth]}
    return probabilities, images.assign(image_id=images["source"], **named), flipped


def test_planted_flips_are_found_well_above_chance():
    probabilities, images, flipped = planted()
    ranked = rank_label_errors(probabilities, NAMES, images)
    assert list(ranked["contradicted"]) == list(flipped[ranked["source"].str[6:10].astype(int)])
    precision = precision_at_k(ranked).set_index(["class", "k"])
    at_40 = precision.loc[("all", 40)]  # as many as were flipped
    assert at_40["base_rate"] == pytest.approx(0.1)
    assert at_40["precision"] > 0.75 and at_40["lift"] > 7.5 and at_40["p_value"] < 1e-12
    suspects = ranked[ranked["issue"]]
    assert suspects["contradicted"].mean() > 0.6
    assert (ranked.loc[ranked["kind"] == "label error confirmed", "contradicted"]).all()
    # where the flip is found, the true class is what is suggested
    right = suspects[suspects["contradicted"]]
    assert (right["suggested"].map(CODES) == right["diagnosis"]).mean() > 0.9


def test_precision_counts_only_images_with_a_diagnosis_and_its_p_value_is_fishers():
    ranked = pd.DataFrame({"rank": range(1, 21), "class": "nevus", "diagnosis": "NV"})
    ranked["contradicted"] = pd.array([k in (0, 1, 3, 9) for k in range(20)], dtype="boolean")
    ranked.loc[2, ["diagnosis", "contradicted"]] = ["", None]
    row = precision_at_k(ranked, ks=(3,)).set_index(["class", "k"]).loc[("all", 3)]
    assert (row["images"], row["contradicted"], row["hits"]) == (19, 4, 3)
    assert row["p_value"] == pytest.approx(fisher_exact([[3, 0], [1, 15]], alternative="greater").pvalue)
    assert row["lift"] == pytest.approx(19 / 4)


def test_a_study_is_read_from_its_out_of_fold_predictions_of_originals(tmp_path: Path):
    paths, study = StudyPaths(tmp_path), Study(backbones=["ResNet50", "MobileNet"])
    nothing = label_errors(paths, study)
    assert nothing["ranked"].empty and nothing["reason"]
    write_predictions(paths, "by_view", "MobileNet", "transfer", 0.9, files=12, views=20, scenario="nine_classes")
    assert label_errors(paths, study)["ranked"].empty, "copies of a test image are trained on under by_view"
    cell = {"files": 12, "views": 20, "scenario": "nine_classes"}
    tables = [
        write_predictions(paths, "by_lesion", backbone, "transfer", share, order=order, **cell)
        for order, (backbone, share) in enumerate((("ResNet50", 0.9), ("MobileNet", 0.7)))
    ]
    paths.audit.mkdir()
    one = tables[0].drop_duplicates("source")
    one[["source"]].assign(diagnosis=np.where(one["true_class"] == "melanoma", "NV", "")).to_parquet(paths.image_index)
    found = label_errors(paths, study)
    ranked = found["ranked"].set_index("source")
    assert found["backbones"] == ["ResNet50", "MobileNet"]
    assert len(ranked) == 9 * 12 and ranked.groupby("class")["rank_in_class"].max().eq(12).all()
    assert (ranked.loc[ranked["class"] == "melanoma", "contradicted"]).all()
    # the probability is the mean of both models', each out of fold
    source = ranked.index[0]
    tested = [t[(t["source"] == source) & (t["part"] == "test") & (t["view"] == 0)].iloc[0] for t in tables]
    mean = np.mean([row[ranked.loc[source, "class"]] for row in tested])
    assert ranked.loc[source, "p_given"] == pytest.approx(mean, rel=1e-5)
