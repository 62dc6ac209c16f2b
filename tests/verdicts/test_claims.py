"""The file of claims is refused where it is wrong; what printed numbers alone say of each claim."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from statsmodels.stats.contingency_tables import mcnemar

from lib.audit.printed_tables import audit_tables
from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import PARAMS, StudyPaths
from lib.config.printed import literature, printed_rows
from lib.config.schema import ParameterError
from lib.verdicts.answers import NOT_TESTED, UNDECIDED
from lib.verdicts.claims import Claims, load_claims
from lib.verdicts.judging import CONTRADICTED, HOLDS, UNSUPPORTED, judge
from tests.verdicts.studies import evaluate

OURS = "EfficientNetV2B3"
CLAIM = {"id": "x", "place": "abstract", "where": "abstract", "quote": "it is good", "kind": "number"}
NUMBER = {"measure": "test_accuracy", "scenario": "three_malignant", "backbone": OURS, "phase": "finetune"}


def one(paths: StudyPaths, study: Study | None = None, beside: Iterable[dict] = (), **test) -> dict:
    """The judgement of one claim with this test, together with claims of the tests `beside` it."""
    evaluate(paths, (study or Study()).seeds)
    claims = [CLAIM | {"id": f"x{number}", "test": each} for number, each in enumerate([test, *beside])]
    return judge(paths, study or Study(), Claims(claims=claims))[0]


def write_audit(paths: StudyPaths, published: dict | None = None, dataset: dict | None = None) -> None:
    paths.audit.mkdir(parents=True, exist_ok=True)
    paths.printed_audit.write_text(json.dumps(published or {}))
    paths.dataset_audit.write_text(json.dumps(dataset or {}))


def test_there_is_a_claim_for_each_printed_row_and_for_each_number_of_the_text():
    tests = [claim.test for claim in load_claims().claims]
    rows = {(scenarios()[t.scenario].table, t.phase, t.backbone) for t in tests if t.equals == "printed"}
    assert rows == set(printed_rows()[["table", "phase", "backbone"]].itertuples(index=False, name=None))
    numbers = pd.read_csv(PARAMS / "text_numbers.csv").query("kind in ('value', 'increase')")
    assert set(numbers["value"].astype(float)) <= {test.equals for test in tests}


def test_every_quote_is_in_the_paper(paper_text):
    paper = re.sub(r"\s+", " ", paper_text)
    for claim in [claim for claim in load_claims().claims if claim.place != "table"]:
        parts = [part.strip(" .,") for part in re.split(r"\[[^\]]*\]", claim.quote)]
        assert all(words in paper for words in parts), claim.id


def test_the_literature_to_beat_is_the_best_of_table_v_with_as_many_classes():
    table = literature().query("method != ''")
    for claim in load_claims().claims:
        if claim.kind == "literature" and claim.test.above is not None:
            same = table["classes"].astype(int) == len(scenarios()[claim.test.scenario].names)
            assert claim.test.above == table.loc[same, "accuracy"].astype(float).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quotation": "x"}, "unknown key 'x.quotation'; did you mean 'quote'?"),
        ({"test": {**NUMBER, "equals": 90.0, "backbone": [OURS, "MobileNet"]}}, "a number is one backbone's"),
        ({"test": {"measure": "gradcam_focus", "at_least": 0}}, "cannot be compared by 'at_least'"),
        ({"test": NUMBER}, "takes exactly one of equals"),
        ({"test": {**NUMBER, "equals": 90.0, "phase": None}}, "needs 'phase'"),
        ({"test": {**NUMBER, "equals": 90.0, "backbone": "EfficientNetV2B4"}}, "did you mean 'EfficientNetV2B3'?"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused_with_its_id_and_key(tmp_path: Path, change, message):
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump({"claims": [CLAIM | {"test": {**NUMBER, "equals": 90.0}} | change]}))
    with pytest.raises(ParameterError, match=re.escape(message)) as raised:
        load_claims(file)
    assert str(file) in str(raised.value)


@pytest.fixture(scope="module")
def of_print(tmp_path_factory) -> dict[str, dict]:
    """Every claim's entry where nothing but the printed tables was audited."""
    paths = StudyPaths(tmp_path_factory.mktemp("print"))
    tables, errors = audit_tables(printed_rows(), 100, 1500)
    write_audit(paths, {"tables": tables, "row_errors": errors})
    return {claim["id"]: claim for claim in judge(paths, Study())}


def test_the_print_alone_decides_these_claims_and_no_others(of_print):
    verdicts = pd.Series({name: claim["verdict"] for name, claim in of_print.items()})
    found = {verdict: {*rows.index} for verdict, rows in verdicts.groupby(verdicts) if verdict != NOT_TESTED}
    assert found == {
        CONTRADICTED: {
            "nine-classes-transfer-resnet50",  # 69.25 is its precision
            *(f"table-2-finetune-resnet50-{score}" for score in ("precision", "recall", "f1")),  # ResNet50V2's
        },
        UNSUPPORTED: {
            *("benign-malignant-first", "benign-malignant-better"),  # 470 against 464 of 500
            *("three-malignant-first", "three-malignant-better"),  # 297 against 291 of 307
            "benign-malignant-transfer-fourth",  # 431 against 433 of 500
            "six-benign-rivals-better",  # 532 against 537 of 594
            "benign-malignant-literature",  # 470 of 500 against 93.18 %
        },
        HOLDS: {f"split-{name.replace('_', '-')}" for name in scenarios()},  # 8-1-1 of an augmented pool
    }
    assert of_print["table-2-finetune-resnet50-test_accuracy"]["possible"]["outcome"] == "yes"  # 464 of 500


@pytest.mark.parametrize(("claim", "right", "size"), [("benign-malignant", 470, 500), ("three-malignant", 297, 307)])
def test_a_first_place_on_six_images_cannot_be_significant_whatever_was_predicted(of_print, claim, right, size):
    carried = of_print[f"{claim}-first"]["carried"]
    assert f"{right} against {right - 6}" in carried["reason"]
    assert (carried["numbers"]["more"], carried["numbers"]["size"]) == (6, size)
    # one network alone is right on n + 6 images, the other alone on n
    p_values = [mcnemar([[0, alone + 6], [alone, 0]], exact=True).pvalue for alone in range(size - right + 1)]
    assert carried["numbers"]["p_least"] == pytest.approx(min(p_values)) and min(p_values) > 0.05 / 5
    assert of_print["nine-classes-first"]["carried"]["outcome"] == "yes"  # 765 against 750 of 901


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
def test_a_claim_that_its_own_table_contradicts_is_contradicted_by_the_paper(paths, test, said):
    verdict = one(paths, **test)
    assert verdict["verdict"] == CONTRADICTED and said in verdict["reason"]


def test_a_gain_is_contradicted_where_a_test_accuracy_that_it_rests_on_is_no_fraction_of_the_test_set(paths):
    rows = printed_rows().set_index(["table", "phase", "backbone"])
    rows.loc[(3, "transfer", OURS), "test_accuracy"] -= 0.01
    tables, errors = audit_tables(rows.reset_index(), 590, 600)
    write_audit(paths, {"tables": tables, "row_errors": errors})
    gain = {"measure": "gain", "scenario": "six_benign", "backbone": OURS, "equals": 2.86}
    found = one(paths, **gain)
    assert "no k/n" in found["possible"]["reason"] and found["verdict"] == CONTRADICTED


@pytest.mark.parametrize(("val", "verdict"), [(901, HOLDS), (451, "not reached"), (None, UNDECIDED)])
def test_a_split_holds_where_validation_and_test_sets_are_equally_large(paths, val, verdict):
    write_audit(paths, {"tables": {"1": {"groups": [{"val_n": val, "test_n": 901}] if val else []}, "2": {}}})
    found = one(paths, Study(synthetic=True), measure="split_ratio", scenario="nine_classes", equals=1)
    assert found["verdict"] == verdict  # the printed tables are what they are, whatever the images
    assert "would tell" not in found["data"]["reason"]
    other = one(paths, measure="split_ratio", scenario="six_benign", equals=1)
    assert other["verdict"] == NOT_TESTED
