"""Scores against their formulas and against other libraries, on outcomes with known counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support, precision_score

from lib.config.paths import StudyPaths
from lib.data.predictions import Models
from lib.scores.estimates import difference, estimate
from lib.scores.measures import weighted_scores
from lib.scores.metrics import compare, compare_with_proposed, model_scores
from lib.scores.outcomes import COLUMNS, collect_outcomes, select
from tests.fixtures.predictions import made_up_index, write_prepared, write_run

CLASSES = ["a", "b", "c"]
COUNTS = np.array([[30, 5, 5], [4, 20, 6], [0, 3, 27]])


def outcomes_of(counts=COUNTS, confidence=0.8, seed=0, backbone="MobileNet"):
    """Outcomes under `by_view` with the confusion matrix `counts` (true in rows), probabilities mildly random."""
    random = np.random.default_rng(seed)
    truth, predicted = np.repeat(np.argwhere(counts >= 0), counts.ravel(), axis=0).T
    probabilities = random.dirichlet(np.ones(3), len(truth)) * (1 - confidence)
    probabilities[np.arange(len(truth)), predicted] += confidence
    table = pd.DataFrame({"row": range(len(truth)), "group": range(len(truth)), "seed": 0})
    table = table.assign(fold=random.permutation(len(truth)) % 10, view=0, part="test", protocol="by_view")
    table = table.assign(phase="transfer", backbone=backbone, source="", corrected_class=None, right_corrected=False)
    classes = np.array(CLASSES)
    table = table.assign(true_class=classes[truth], predicted_class=classes[predicted], right=truth == predicted)
    return pd.concat([table[COLUMNS], pd.DataFrame(probabilities, columns=CLASSES)], axis=1)


def scores_of(outcomes):
    return model_scores(outcomes, ["by_view"]).iloc[0]


def test_seeds_are_averaged_and_their_images_counted_once():
    first, second = outcomes_of(), outcomes_of(seed=1).assign(seed=1)
    of_a = second.index[:20]
    second.loc[of_a, CLASSES] = [0.0, 0.0, 1.0]
    second.loc[of_a, ["predicted_class", "right"]] = ["c", False]
    both = pd.concat([first, second], ignore_index=True)
    together, alone = scores_of(both), [scores_of(one) for one in (first, second)]
    assert (together["seeds"], together["folds"], together["n_test"]) == (2, 10, 100)
    for measure in ("test_accuracy", "recall", "balanced_accuracy"):
        assert together[measure] == pytest.approx(np.mean([one[measure] for one in alone]))
    expected = precision_score(both["true_class"], both["predicted_class"], average="weighted")
    assert together["precision"] == pytest.approx(expected)  # of all outcomes together
    assert together["test_accuracy_low"] < together["test_accuracy"] < together["test_accuracy_high"]


def test_scores_of_many_matrices_are_scikit_learns_also_with_classes_never_predicted():
    confusions = np.random.default_rng(7).integers(0, 9, (20, 4, 4)).astype(float)
    confusions[:, :, 3] = 0
    ours = weighted_scores(confusions)
    for number, counts in enumerate(confusions.astype(int)):
        true, predicted = np.repeat(np.argwhere(counts >= 0), counts.ravel(), axis=0).T
        expected = precision_recall_fscore_support(true, predicted, average="weighted", zero_division=0)
        assert [ours[name][number] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])


def test_a_difference_is_paired_where_both_sides_tested_the_same_views_and_says_how_many_they_share():
    first, second = (select(outcomes_of(seed=seed), "by_view") for seed in (0, 0))
    second = second.assign(correct=np.where(np.arange(100) < 15, 0, second["correct"]))
    found = difference(estimate(first), estimate(second[second["row"] < 80]))
    assert found.shared == 80
    paired = difference(estimate(first), estimate(second))
    assert paired.value == pytest.approx(0.15) and paired.shared == paired.images == 100
    alone = np.hypot(*(estimate(rows).resampled.std() for rows in (first, second)))
    assert paired.interval().low > 0 and paired.resampled.std() < 0.6 * alone


def test_mcnemar_is_the_binomial_test_of_the_discordant_images_of_both_models():
    own, other = outcomes_of(backbone="EfficientNetV2B3"), outcomes_of()
    other.loc[other.index[:9], ["predicted_class", "right"]] = ["b", False]  # of class a, all right in the first
    outcomes = pd.concat([own, other.sample(frac=1, random_state=0)], ignore_index=True)
    table = compare_with_proposed(outcomes, ["by_view"], "EfficientNetV2B3")
    assert table["baseline"].tolist() == ["MobileNet"]
    result = table.iloc[0]
    assert (result["only_proposed"], result["only_baseline"], result["n"]) == (9, 0, 100)
    assert result["p_value"] == pytest.approx(binomtest(0, 9).pvalue)
    first, second = (select(table, "by_view") for table in (own, other))
    assert compare(first, second[second["fold"] < 3])["n"] == (first["fold"] < 3).sum()
    with pytest.raises(ValueError, match="same images"):
        compare(first, second.assign(row=second["row"] + 1000))


def test_views_beside_the_test_set_runs_not_made_and_classes_not_evaluable_count_in_no_score(tmp_path):
    paths, protocols = StudyPaths(tmp_path), ["by_view", "by_lesion"]
    write_prepared(paths, made_up_index(files=20), least=1)
    for protocol in protocols:
        write_run(paths, protocol, "six_benign", "MobileNet", "transfer", lambda rows: np.ones(len(rows), bool))
    models = Models(paths, "native", "six_benign", protocols, ["MobileNet", "ResNet50"], [0])
    table = model_scores(collect_outcomes(models), protocols).set_index("protocol")
    assert set(table["backbone"]) == {"MobileNet"}
    assert table.loc["by_view", "n_test"] == 6 * 40 and table.loc["by_lesion", "n_test"] == 6 * 20
    assert (table["test_accuracy"] == 1).all() and (table["val_accuracy"] == 1).all()
    listed = {"protocol": ["by_lesion"], "scenario": ["six_benign"], "class": ["dermatofibroma"]}
    pd.DataFrame(listed).to_csv(paths.not_evaluable, index=False)
    table = model_scores(collect_outcomes(models), protocols).set_index("protocol")
    assert table.loc["by_lesion", "n_test"] == 5 * 20 and table.loc["by_view", "n_test"] == 6 * 40
