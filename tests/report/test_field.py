"""Beside the field: the rows of related_work.csv, and ours beside them as the study's own tables have them."""

import pandas as pd
import pytest
from sklearn.metrics import f1_score

from lib.config.paths import RELATED_WORK, StudyPaths
from lib.config.schema import ParameterError
from lib.data.predictions import load_predictions, predicted_class
from lib.report import field
from lib.scores.metrics import model_scores
from lib.scores.outcomes import read_outcomes
from tests.report.made_study import DRAWN, STUDY, Page

MODEL = {"backbone": "EfficientNetV2B3", "phase": "finetune"}  # the paper's own model, as it is tuned


def body(page: Page, table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in page.tables[table] if row and row[0].strip()]


def test_every_row_has_a_source_that_a_reader_can_open_and_says_whether_its_number_was_read():
    rows = field.others()
    assert len(rows) == len(pd.read_csv(RELATED_WORK)) and {row.grouped for row in rows} == {"yes", "no", "not stated"}
    for row in rows:
        assert row.source.startswith("https://")
        if row.value is None:
            assert row.checked == "from an excerpt" and "could not be read" in row.note


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("https://arxiv.org/abs/1910.03910", "see the paper", ["line 2 (Gessert", "source"]),
        ("balanced accuracy,0.742", "balanced accuracy,74.2", ["line 2 (Gessert", "value", "74.2"]),
        ("balanced accuracy,0.742", "balance,0.742", ["line 2 (Gessert", "metric", "balance"]),
        ("grouped,metric", "grouping,metric", ["unknown key", "grouping", "by_lesion"]),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_by_its_line(tmp_path, old, new, said):
    text = RELATED_WORK.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "related_work.csv").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ParameterError) as refused:
        field.others(tmp_path / "related_work.csv")
    assert all(word in str(refused.value) for word in said), refused.value


def test_ours_beside_the_others_are_those_of_the_evaluation_on_the_same_metric(results):
    paths = StudyPaths(results)
    metrics = model_scores(read_outcomes(paths, "native", "nine_classes"), STUDY.protocols).set_index("protocol")
    metrics = metrics[(metrics[list(MODEL)] == list(MODEL.values())).all(axis=1)]
    shown = body(Page(field.beside_the_field(paths, STUDY).data), "field")
    compared = 0
    for row, other in zip(shown[-len(field.others()) :], field.others(), strict=True):
        theirs, *ours = row[6:10]
        assert theirs == ("not read" if other.value is None else f"{100 * other.value:.2f}")
        column = {"accuracy": "test_accuracy", "balanced accuracy": "balanced_accuracy", "ROC AUC": "roc_auc"}
        if other.question == "thickness of a melanoma":  # no question of ours
            assert ours == ["–"] * 3
        elif other.metric in column:
            assert ours == [f"{100 * metrics.at[name, column[other.metric]]:.2f}" for name in STUDY.protocols]
            compared += 1
    assert compared >= 5


def test_the_mean_f1_of_classes_is_that_of_scikit_learn(results):
    paths = StudyPaths(results)
    table = field.ours(paths, STUDY).set_index(["protocol", "phase", "backbone"])
    for protocol in STUDY.protocols:
        cell = (protocol, "native", "nine_classes", "MobileNet", "transfer", STUDY.seeds)
        told = load_predictions(paths, *cell).query("part == 'test' and (view == 0 or @protocol == 'by_view')")
        true = told["true_class"]
        expected = f1_score(true, predicted_class(told), labels=sorted(set(true)), average="macro", zero_division=0)
        assert table.at[(protocol, "transfer", "MobileNet"), "macro_f1"] == pytest.approx(expected, abs=1e-9)


def test_drawn_images_are_compared_to_nothing(results, tmp_path):
    page = Page(field.beside_the_field(StudyPaths(results), DRAWN).data)
    assert field.NOT_COMPARED in "".join(page.text) and "field-ours" not in page.tables
    assert not any("Ours" in cell for row in page.tables["field"] for cell in row)
    nothing = field.beside_the_field(StudyPaths(tmp_path), STUDY).data
    assert "Not there." in nothing and "Gessert" in nothing
