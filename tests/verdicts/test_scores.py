"""Scores against their formulas and against other libraries, on predictions with known counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, t

from lib.data import read_all
from lib.verdicts import scores

CLASSES = ["a", "b", "c"]


def predictions(counts, confidence=0.8, seed=0):
    """Predictions with the confusion matrix `counts` (true in rows), probabilities mildly random."""
    random = np.random.default_rng(seed)
    pairs = [(t, p) for t in range(3) for p in range(3) for _ in range(counts[t][p])]
    probabilities = random.dirichlet(np.ones(3), len(pairs)) * (1 - confidence)
    probabilities[np.arange(len(pairs)), [p for _, p in pairs]] += confidence
    names = [f"{i}.jpg" for i in range(len(pairs))]
    table = pd.DataFrame({"source": names, "image_id": names, "group": range(len(pairs)), "view": 0, "part": "test"})
    table = table.assign(seed=0, fold=random.permutation(len(pairs)) % 10)
    table["true_class"] = [CLASSES[t] for t, _ in pairs]
    return pd.concat([table, pd.DataFrame(probabilities, columns=CLASSES)], axis=1)


COUNTS = np.array([[30, 5, 5], [4, 20, 6], [0, 3, 27]])


def test_metrics_are_equations_10_to_13_weighted_by_support():
    support, predicted, right = COUNTS.sum(axis=1), COUNTS.sum(axis=0), np.diag(COUNTS)
    weight = support / support.sum()
    precision, recall = right / predicted, right / support
    found = scores.metrics(predictions(COUNTS))
    assert found["n_test"] == 100 and found["correct"] == 77
    assert found["test_accuracy"] == pytest.approx(0.77)
    assert found["precision"] == pytest.approx(weight @ precision)
    assert found["recall"] == pytest.approx(found["test_accuracy"])  # by definition
    assert found["f1"] == pytest.approx(weight @ (2 * precision * recall / (precision + recall)))
    assert found["balanced_accuracy"] == pytest.approx(recall.mean())


def test_the_interval_of_the_mean_is_near_wilsons_and_the_repetitions_is_students():
    table = predictions(COUNTS)
    found = scores.metrics(table)
    wilson = binomtest(77, 100).proportion_ci(method="wilson")
    assert (found["test_accuracy_low"], found["test_accuracy_high"]) == pytest.approx(
        (wilson.low, wilson.high), abs=0.05
    )
    right = pd.Series(table[CLASSES].to_numpy().argmax(axis=1) == table["true_class"].map(CLASSES.index))
    folds = right.groupby(table["fold"].to_numpy()).mean()
    half = t.ppf(0.975, 9) * folds.std() * np.sqrt(1.1)
    expected = (folds.mean() - half, folds.mean() + half)
    assert (found["repetition_low"], found["repetition_high"]) == pytest.approx(expected)


def test_seeds_are_averaged_and_their_images_counted_once():
    first, second = predictions(COUNTS), predictions(COUNTS, seed=1).assign(seed=1)
    second.loc[second.index[:20], CLASSES] = [0.0, 0.0, 1.0]  # of class a
    together = scores.metrics(pd.concat([first, second], ignore_index=True))
    apart = [scores.metrics(one) for one in (first, second)]
    assert (together["seeds"], together["folds"], together["n_test"]) == (2, 10, 100)
    for measure in ("test_accuracy", "precision", "recall", "f1", "balanced_accuracy", "roc_auc"):
        assert together[measure] == pytest.approx(np.mean([one[measure] for one in apart]))
    assert together["test_accuracy_low"] < together["test_accuracy"] < together["test_accuracy_high"]


def test_two_models_are_tested_on_the_folds_that_both_trained():
    first, second = predictions(COUNTS), predictions(COUNTS)
    assert scores.compare(first, second[second["fold"] < 3])["n"] == (first["fold"] < 3).sum()


def test_auc_is_the_share_of_pairs_in_the_right_order():
    table = predictions(COUNTS, confidence=0.3)
    inside, outside = (
        table.loc[mask, "b"].to_numpy() for mask in (table["true_class"] == "b", table["true_class"] != "b")
    )
    share = (inside[:, None] > outside).mean() + 0.5 * (inside[:, None] == outside).mean()
    assert scores.per_class(table).set_index("class").loc["b", "roc_auc"] == pytest.approx(share)


def test_confusion_and_per_class_tables_hold_the_counts():
    table = predictions(COUNTS)
    assert (scores.as_matrix(scores.confusion(table)).loc[CLASSES, CLASSES].to_numpy() == COUNTS).all()
    classes = scores.per_class(table).set_index("class")
    assert classes["support"].tolist() == [40, 30, 30]
    assert classes.loc["c", "recall"] == pytest.approx(27 / 30)


def test_mcnemar_is_the_binomial_test_of_the_discordant_images():
    first, second = predictions(COUNTS, seed=1), predictions(COUNTS, seed=1)
    wrong = second.index[:9]  # of class a, all right in the first
    second.loc[wrong, CLASSES] = [0.0, 1.0, 0.0]
    result = scores.compare(first, second.sample(frac=1, random_state=0))
    assert (result["only_proposed"], result["only_baseline"], result["n"]) == (9, 0, 100)
    assert result["p_value"] == pytest.approx(binomtest(0, 9).pvalue)


def test_models_tested_on_different_images_are_not_compared():
    table = predictions(COUNTS)
    with pytest.raises(ValueError, match="same images"):
        scores.compare(table, table.iloc[1:])


def test_augmented_views_are_scored_only_where_they_are_the_test_set():
    table = predictions(COUNTS)
    views = pd.concat([table, table.assign(view=1)], ignore_index=True)
    for originals, count in ((False, 200), (True, 100)):
        made = scores.evaluate({("transfer", "MobileNet", 0): views}, "EfficientNetV2B3", [], originals)
        assert made["metrics"]["n_test"].tolist() == [count] == [made["confusion"]["count"].sum()]


def test_a_class_that_cannot_be_evaluated_counts_in_no_score():
    found = {
        ("transfer", "EfficientNetV2B3", 0): predictions(COUNTS),
        ("transfer", "MobileNet", 0): predictions(COUNTS),
    }
    tables = scores.evaluate(found, "EfficientNetV2B3", ["a"])
    assert tables["metrics"]["n_test"].tolist() == [60, 60]
    assert tables["mcnemar"]["baseline"].tolist() == ["MobileNet"] and tables["mcnemar"]["p_value"].tolist() == [1.0]


def test_phases_that_were_not_run_are_passed_over(tmp_path):
    predictions(COUNTS).to_parquet(tmp_path / "predictions_transfer.parquet")
    found = read_all({("MobileNet", 0): tmp_path, ("ResNet50", 0): tmp_path / "absent"})
    assert list(found) == [("transfer", "MobileNet", 0)]
