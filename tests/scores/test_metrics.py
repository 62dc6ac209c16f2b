"""Scores against their formulas and against other libraries, on predictions with known counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, t
from sklearn.metrics import precision_score

from lib.config.paths import StudyPaths
from lib.scores import metrics as scores
from tests.fixtures.predictions import made_up_index, write_prepared, write_run

CLASSES = ["a", "b", "c"]


def predictions(counts, confidence=0.8, seed=0):
    """Predictions with the confusion matrix `counts` (true in rows), probabilities mildly random."""
    random = np.random.default_rng(seed)
    pairs = [(t, p) for t in range(3) for p in range(3) for _ in range(counts[t][p])]
    probabilities = random.dirichlet(np.ones(3), len(pairs)) * (1 - confidence)
    probabilities[np.arange(len(pairs)), [p for _, p in pairs]] += confidence
    names = [f"{i}.jpg" for i in range(len(pairs))]
    table = pd.DataFrame({"source": names, "image_id": names, "group": range(len(pairs)), "view": 0, "part": "test"})
    table = table.assign(seed=0, row=range(len(pairs)), fold=random.permutation(len(pairs)) % 10)
    table["true_class"] = [CLASSES[t] for t, _ in pairs]
    return pd.concat([table, pd.DataFrame(probabilities, columns=CLASSES)], axis=1)


def metrics(test):
    return scores.metrics(test.iloc[:0], test)


COUNTS = np.array([[30, 5, 5], [4, 20, 6], [0, 3, 27]])


def test_metrics_are_equations_10_to_13_weighted_by_support():
    support, predicted, right = COUNTS.sum(axis=1), COUNTS.sum(axis=0), np.diag(COUNTS)
    weight = support / support.sum()
    precision, recall = right / predicted, right / support
    found = metrics(predictions(COUNTS))
    assert found["n_test"] == 100
    assert found["test_accuracy"] == pytest.approx(0.77)
    assert found["precision"] == pytest.approx(weight @ precision)
    assert found["recall"] == pytest.approx(found["test_accuracy"])  # by definition
    assert found["f1"] == pytest.approx(weight @ (2 * precision * recall / (precision + recall)))
    assert found["balanced_accuracy"] == pytest.approx(recall.mean())


def test_the_interval_of_the_mean_is_near_wilsons_and_the_repetitions_is_students():
    table = predictions(COUNTS)
    found = metrics(table)
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
    both = pd.concat([first, second], ignore_index=True)
    together = metrics(both)
    apart = [metrics(one) for one in (first, second)]
    assert (together["seeds"], together["folds"], together["n_test"]) == (2, 10, 100)
    for measure in ("test_accuracy", "recall", "balanced_accuracy"):
        assert together[measure] == pytest.approx(np.mean([one[measure] for one in apart]))
    said = np.array(CLASSES)[both[CLASSES].to_numpy().argmax(axis=1)]  # the others are those of all answers together
    assert together["precision"] == pytest.approx(precision_score(both["true_class"], said, average="weighted"))
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
        scores.compare(table, table.assign(source=table["source"] + "x"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """MobileNet, frozen, under two protocols, where dermatofibroma has too few images."""
    paths = StudyPaths(tmp_path_factory.mktemp("study"))
    write_prepared(paths, made_up_index(files=20), least=1)
    for protocol in ("by_view", "by_lesion"):
        write_run(paths, protocol, "six_benign", "MobileNet", "transfer", lambda rows: np.ones(len(rows), bool))
    return paths


def models_of(study):
    return scores.tested(study, "native", "six_benign", ["by_view", "by_lesion"], ["MobileNet", "ResNet50"], [0])


def test_augmented_views_are_scored_only_where_they_are_the_test_set_and_what_was_not_run_is_passed_over(study):
    found = models_of(study)
    assert list(found) == [("by_view", "transfer", "MobileNet"), ("by_lesion", "transfer", "MobileNet")]
    table = scores.evaluate(found, "EfficientNetV2B3")["metrics"].set_index("protocol")
    assert table.loc["by_view", "n_test"] == 6 * 40 and table.loc["by_lesion", "n_test"] == 6 * 20
    assert (table["test_accuracy"] == 1).all() and (table["val_accuracy"] == 1).all()


def test_a_class_that_cannot_be_evaluated_counts_in_no_score(study):
    listed = {"protocol": ["by_lesion"], "scenario": ["six_benign"], "class": ["dermatofibroma"]}
    before = pd.read_csv(study.not_evaluable)
    pd.DataFrame(listed).to_csv(study.not_evaluable, index=False)
    table = scores.evaluate(models_of(study), "EfficientNetV2B3")["metrics"].set_index("protocol")
    before.to_csv(study.not_evaluable, index=False)
    assert table.loc["by_lesion", "n_test"] == 5 * 20 and table.loc["by_view", "n_test"] == 6 * 40


def test_each_baseline_is_set_against_the_proposed_model():
    own = predictions(COUNTS)
    found = {("clean", "transfer", name): (own.iloc[:0], own) for name in ("EfficientNetV2B3", "MobileNet")}
    pairs = scores.evaluate(found, "EfficientNetV2B3")["mcnemar"]
    assert pairs["baseline"].tolist() == ["MobileNet"] and pairs["p_value"].tolist() == [1.0]
