"""Beside the field: the rows of related_work.csv, and ours beside them as the study's own tables have them."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lib.config.paths import StudyPaths
from lib.data.predictions import load_predictions, predicted_class
from lib.report import field
from lib.scores.metrics import model_scores
from lib.scores.outcomes import read_outcomes
from tests.report.made_study import STUDY, SYNTHETIC, Page

MODEL = {"backbone": "EfficientNetV2B3", "phase": "finetune"}  # the paper's own model, as it is tuned


def body(page: Page, table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in page.tables[table] if row and row[0].strip()]


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
    shown = body(Page(field.related_work(paths, STUDY).data), "field")
    compared = 0
    others = field.load_related_work()
    for row, other in zip(shown[-len(others) :], others.itertuples(), strict=True):
        theirs, *ours = row[6:10]
        assert theirs == ("–" if np.isnan(other.value) else f"{100 * other.value:.2f}")
        column = {"accuracy": "test_accuracy", "balanced accuracy": "balanced_accuracy", "ROC AUC": "roc_auc"}
        if other.question == "thickness of a melanoma":  # no question of ours
            assert ours == ["–"] * 3
        elif other.metric in column:
            assert ours == [f"{100 * metrics.at[name, column[other.metric]]:.2f}" for name in STUDY.protocols]
            compared += 1
    assert compared >= 5


def test_the_mean_f1_of_classes_is_that_of_scikit_learn(results):
    paths = StudyPaths(results)
    table = field.our_scores(paths, STUDY).set_index(["protocol", "phase", "backbone"])
    for protocol in STUDY.protocols:
        cell = (protocol, "native", "nine_classes", "MobileNet", "transfer", STUDY.seeds)
        rows = load_predictions(paths, *cell).query("part == 'test'")
        rows = rows if protocol == "by_view" else rows[rows["view"] == 0]
        true = rows["true_class"]
        expected = f1_score(true, predicted_class(rows), labels=sorted(set(true)), average="macro", zero_division=0)
        assert table.at[(protocol, "transfer", "MobileNet"), "macro_f1"] == pytest.approx(expected, abs=1e-9)


def test_synthetic_images_are_compared_to_nothing(results, tmp_path):
    page = Page(field.related_work(StudyPaths(results), SYNTHETIC).data)
    assert "compared to nothing" in "".join(page.text)
    assert not any("Ours" in cell for row in page.tables["field"] for cell in row)
    nothing = field.related_work(StudyPaths(tmp_path), STUDY).data
    assert "No model of the nine classes was evaluated" in nothing and "Gessert" in nothing
