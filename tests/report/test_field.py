"""Beside the field: the rows of related_work.csv, and ours beside them as the study's own tables have them."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lib.config.paths import StudyPaths
from lib.data.predictions import load_predictions, predicted_class
from lib.report import field
from lib.scores.metrics import model_scores
from lib.scores.outcomes import ON_VIEWS, read_outcomes
from tests.report.made_study import STUDY, SYNTHETIC

MODEL = {"backbone": "EfficientNetV2B3", "phase": "finetune"}  # the paper's own model, as it is tuned


def test_every_row_of_related_work_can_be_checked():
    table = field.load_related_work()
    assert table.drop(columns=["value", "note"]).ne("").all(axis=None)
    assert table["source"].str.match(r"https?://[\w.-]+\.[a-z]{2,}/\S+$").all()
    assert table["value"].dropna().between(0, 1, inclusive="right").all() and set(table["metric"]) <= set(field.METRICS)
    assert set(table["by_lesion"]) == {"yes", "no", "not stated"} and set(table["peer_reviewed"]) <= {"yes", "no"}
    assert set(table["question"]) == {*field.ANSWERED, "thickness of a melanoma"}
    assert set(table["checked"]) == {"in the source's own words", "from an excerpt"}
    unread = table[table["value"].isna()]
    assert (unread["checked"] == "from an excerpt").all() and unread["note"].str.contains("could not be read").all()


def test_ours_beside_the_others_are_those_of_the_evaluation_on_the_same_metric(results):
    paths = StudyPaths(results)
    metrics = model_scores(read_outcomes(paths, "native", "nine_classes"), STUDY.protocols).set_index("protocol")
    metrics = metrics[(metrics[list(MODEL)] == list(MODEL.values())).all(axis=1)]
    others = field.load_related_work()
    model, ours = field.select_ours(STUDY, field.our_scores(paths, STUDY))
    assert model == "EfficientNetV2B3, fine-tuning"
    compared = 0
    for row in field.add_ours(others, ours).to_dict("records"):
        shown = [row[f"ours_{name}"] for name in STUDY.protocols]
        column = {"accuracy": "test_accuracy", "balanced accuracy": "balanced_accuracy", "ROC AUC": "roc_auc"}
        if row["question"] == "thickness of a melanoma":  # no question of ours
            assert np.isnan(shown).all()
        elif row["metric"] in column:
            assert shown == [metrics.at[name, column[row["metric"]]] for name in STUDY.protocols]
            compared += 1
    assert compared >= 5


def test_the_mean_f1_of_classes_is_that_of_scikit_learn(results):
    paths = StudyPaths(results)
    table = field.our_scores(paths, STUDY).set_index(["protocol", "phase", "backbone"])
    for protocol in STUDY.protocols:
        cell = (protocol, "native", "nine_classes", "MobileNet", "transfer", STUDY.seeds)
        rows = load_predictions(paths, *cell).query("part == 'test'")
        rows = rows if protocol in ON_VIEWS else rows[rows["view"] == 0]
        true = rows["true_class"]
        expected = f1_score(true, predicted_class(rows), labels=sorted(set(true)), average="macro", zero_division=0)
        assert table.at[(protocol, "transfer", "MobileNet"), "macro_f1"] == pytest.approx(expected, abs=1e-9)


def test_synthetic_images_are_compared_to_nothing(results, tmp_path):
    for study, paths in ((SYNTHETIC, StudyPaths(results)), (STUDY, StudyPaths(tmp_path))):
        model, ours = field.select_ours(study, field.our_scores(paths, study))
        assert model == "" and not [name for name in field.add_ours(field.load_related_work(), ours) if "ours" in name]
