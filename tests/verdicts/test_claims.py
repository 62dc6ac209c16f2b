"""The file of claims is refused where it is wrong, and what the paper says against itself is impossible as printed."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import PARAMS, StudyPaths
from lib.config.printed import literature, printed_rows
from lib.config.schema import ParameterError
from lib.verdicts.answers import NOT_TESTED
from lib.verdicts.claims import Claims, load_claims
from lib.verdicts.judging import IMPOSSIBLE, REPRODUCED, judge
from tests.verdicts.studies import evaluate

OURS = "EfficientNetV2B3"
CLAIM = {"id": "x", "place": "abstract", "where": "abstract", "quote": "it is good", "kind": "number"}
NUMBER = {"measure": "test_accuracy", "scenario": "three_malignant", "backbone": OURS, "phase": "finetune"}


def one(paths: StudyPaths, study: Study | None = None, **test) -> dict:
    """The judgement of one claim with this test, on the outcomes of what was predicted."""
    evaluate(paths, (study or Study()).seeds)
    return judge(paths, study or Study(), Claims(claims=[CLAIM | {"test": test}]))[0]


def write_audit(paths: StudyPaths, published: dict | None = None, dataset: dict | None = None) -> None:
    paths.audit.mkdir(parents=True, exist_ok=True)
    if published is not None:
        paths.printed_audit.write_text(json.dumps(published))
    if dataset is not None:
        paths.dataset_audit.write_text(json.dumps(dataset))


# the file


def test_there_is_a_claim_for_each_printed_row_and_for_each_number_of_the_text():
    claims = load_claims().claims
    text = [claim for claim in claims if claim.place != "table"]
    assert len(text) >= 40
    rows = [claim for claim in claims if claim.test.equals == "printed"]
    assert {(scenarios()[c.test.scenario].table, c.test.phase, c.test.backbone) for c in rows} == set(
        printed_rows()[["table", "phase", "backbone"]].itertuples(index=False, name=None)
    )
    numbers = pd.read_csv(PARAMS / "text_numbers.csv")
    quoted = set(numbers.loc[numbers["kind"].isin(["value", "increase", "not_in_tables"]), "value"].astype(float))
    assert quoted <= {claim.test.equals for claim in text}


def test_every_quote_is_in_the_paper(paper_text):
    paper = re.sub(r"\s+", " ", paper_text)
    for claim in load_claims().claims:
        if claim.place == "table":
            continue
        for part in re.split(r"\[[^\]]*\]", claim.quote):
            words = part.strip(" .,")
            assert words in paper, f"{claim.id}: {words!r}"


def test_the_literature_to_beat_is_the_best_of_table_v_with_as_many_classes():
    table = literature()
    table = table[table["method"] != ""]
    for claim in load_claims().claims:
        if claim.kind == "literature" and claim.test.above is not None:
            same = table["classes"].astype(int) == len(scenarios()[claim.test.scenario].names)
            assert claim.test.above == table.loc[same, "accuracy"].astype(float).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quotation": "x"}, "unknown key 'x.quotation'; did you mean 'quote'?"),
        ({"test": {**NUMBER, "equals": 90.0, "margin": 2}}, "unknown key 'x.test.margin'"),
        ({"test": {**NUMBER, "equals": 90.0, "backbone": [OURS, "MobileNet"]}}, "a number is one backbone's"),
        ({"test": {"measure": "gradcam_focus", "at_least": 0}}, "cannot be compared by 'at_least'"),
        ({"test": {**NUMBER, "measure": "accuracy", "equals": 90.0}}, "x.test.measure"),
        ({"test": NUMBER}, "takes exactly one of equals"),
        ({"test": {**NUMBER, "equals": 90.0, "rank": 1}}, "takes exactly one of equals"),
        ({"test": {**NUMBER, "at_least": 90.0}}, "cannot be compared by 'at_least'"),
        ({"test": {**NUMBER, "equals": 90.0, "phase": None}}, "needs 'phase'"),
        ({"test": {**NUMBER, "equals": 90.0, "backbone": "EfficientNetV2B4"}}, "did you mean 'EfficientNetV2B3'?"),
        ({"test": {**NUMBER, "better_than": ["Mobilenet"]}}, "did you mean 'MobileNet'?"),
        ({"test": {"measure": "none"}}, "takes a reason"),
        ({"test": {"measure": "images", "equals": 2357, "phase": "transfer"}}, "takes no 'phase'"),
        ({"kind": "rumour"}, "x.kind"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused_with_its_id_and_key(tmp_path: Path, change, message):
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump({"claims": [CLAIM | {"test": {**NUMBER, "equals": 90.0}} | change]}))
    with pytest.raises(ParameterError, match=re.escape(message)) as raised:
        load_claims(file)
    assert str(file) in str(raised.value)


# what the paper says against itself


def test_without_any_run_only_the_claims_that_the_tables_contradict_are_judged(tmp_path: Path):
    verdicts = {claim["id"]: claim for claim in judge(StudyPaths(tmp_path), Study())}
    assert {name for name, claim in verdicts.items() if claim["verdict"] == IMPOSSIBLE} == {
        "nine-classes-transfer-resnet50",  # 69.25 is its precision
        "three-malignant-resnet50v2-rises",  # it falls
    }
    assert {claim["verdict"] for claim in verdicts.values()} == {IMPOSSIBLE, NOT_TESTED}
    assert all(claim["reason"] for claim in verdicts.values())
    assert "69.37, not 69.25" in verdicts["nine-classes-transfer-resnet50"]["reason"]


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (NUMBER | {"equals": 96.75}, "96.74, not 96.75"),
        (NUMBER | {"rank": 2}, "rank 1"),
        (NUMBER | {"backbone": "MobileNet", "better_than": ["ResNet50"]}, "ResNet50 has 93.49"),
        (NUMBER | {"above": 97.0}, "not above 97"),
        ({"measure": "gain", "scenario": "three_malignant", "backbone": OURS, "equals": 13.13}, "+13.03"),
    ],
)
def test_a_claim_that_its_own_table_contradicts_is_impossible_as_printed(tmp_path: Path, test, said):
    verdict = one(StudyPaths(tmp_path), **test)
    assert verdict["verdict"] == IMPOSSIBLE and said in verdict["reason"]


@pytest.mark.parametrize(
    "audit",
    [
        {"row_errors": [{"table": "2", "phase": "finetune", "backbone": "ResNet50", "what": "recall is not accuracy",
                         "scores": ["recall", "test_accuracy"], "printed": 91.52, "expected": 92.8}]},
        {"tables": {"2": {"rows": [{"phase": "finetune", "backbone": "ResNet50", "test_n": []}]}}},
        {"tables": {"2": {"rows": [{"phase": "finetune", "backbone": "ResNet50", "confusion_matrices": 0}]}}},
    ],
)  # fmt: skip
def test_a_number_of_a_row_that_the_audit_found_wrong_is_impossible_as_printed(tmp_path: Path, audit):
    paths = StudyPaths(tmp_path)
    write_audit(paths, audit)
    verdicts = {claim["id"]: claim for claim in judge(paths, Study())}
    assert verdicts["table-2-finetune-resnet50-test_accuracy"]["verdict"] == IMPOSSIBLE
    assert verdicts["table-2-finetune-mobilenet-test_accuracy"]["verdict"] == NOT_TESTED


def test_an_error_in_one_score_of_a_row_says_nothing_about_its_others(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    error = {"table": "4", "phase": "finetune", "backbone": OURS, "scores": ["val_accuracy"]}
    error |= {"what": "no k/n", "printed": 98.7}
    write_audit(paths, {"row_errors": [error]})
    assert one(paths, **NUMBER | {"measure": "val_accuracy"}, equals="printed")["verdict"] == IMPOSSIBLE
    assert one(paths, **NUMBER, equals="printed")["verdict"] == NOT_TESTED


@pytest.mark.parametrize(
    ("sizes", "verdict"), [([901], IMPOSSIBLE), ([236, 901], REPRODUCED), ([], IMPOSSIBLE), (None, NOT_TESTED)]
)
def test_a_test_set_larger_than_a_tenth_of_the_images_is_impossible_as_printed(tmp_path: Path, sizes, verdict):
    paths = StudyPaths(tmp_path)
    if sizes is not None:
        write_audit(paths, {"tables": {"1": {"test_n": sizes, "rows": []}}})
    found = one(paths, Study(synthetic=True), measure="test_images", scenario="nine_classes", at_most=241)
    assert found["verdict"] == verdict  # the printed tables are what they are, whatever the images
