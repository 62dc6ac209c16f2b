"""Beside the field: the rows of related_work.csv, and ours beside them as the study's own tables have them."""

from lib.config.paths import StudyPaths
from lib.report import tables
from lib.scores.metrics import model_scores
from lib.scores.outcomes import read_outcomes
from tests.report.made_study import STUDY, SYNTHETIC


def test_every_row_of_related_work_can_be_checked():
    table = tables.load_related_work()
    assert table.drop(columns=["value", "note"]).ne("").all(axis=None)
    assert table["source"].str.match(r"https?://[\w.-]+\.[a-z]{2,}/\S+$").all()
    assert table["value"].dropna().between(0, 1, inclusive="right").all()
    assert set(table["metric"]) <= set(tables.METRICS) and set(table["question"]) > set(tables.ANSWERED)
    unread = table[table["value"].isna()]
    assert (unread["checked"] == "from an excerpt").all() and unread["note"].ne("").all()


def test_ours_beside_the_others_are_those_of_the_evaluation_on_the_same_metric(results):
    paths = StudyPaths(results)
    metrics = model_scores(read_outcomes(paths, "native", "nine_classes"), STUDY.protocols)
    metrics = metrics.query("backbone == 'EfficientNetV2B3' and phase == 'finetune'").set_index("protocol")
    model, ours = tables.select_ours(STUDY, tables.field_scores(paths, STUDY))
    assert model == "EfficientNetV2B3, fine-tuning"
    table = tables.add_ours(tables.load_related_work(), ours)
    for metric, column in {"accuracy": "test_accuracy", "balanced accuracy": "balanced_accuracy"}.items():
        rows = table[(table["metric"] == metric) & table["question"].isin(tables.ANSWERED)]
        assert len(rows)
        for name in STUDY.protocols:
            assert (rows[f"ours_{name}"] == metrics.at[name, column]).all()
    other = table[~table["question"].isin(tables.ANSWERED)]
    assert len(other) and other[[f"ours_{name}" for name in STUDY.protocols]].isna().all(axis=None)
    # synthetic images are compared to nothing
    assert tables.select_ours(SYNTHETIC, tables.field_scores(paths, SYNTHETIC))[1].empty
