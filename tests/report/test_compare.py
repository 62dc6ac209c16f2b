"""Two results folders compared: what was planted is found, with its size, and nothing else is."""

import base64
import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import run_all
from lib.config import paths
from lib.config.paths import REPOSITORY
from lib.config.schema import ParameterError
from lib.report import compare, compare_page
from tests.report.made_study import Page

HOSTILE = '<img src=x onerror=alert(1)> "x" \u202eevil & \''
HEAD = (
    "protocol,preprocessing,variant,phase,backbone,seeds,folds,n_test,val_accuracy,test_accuracy,test_accuracy_low,"
    "test_accuracy_high,precision,recall,f1,balanced_accuracy,printed_test_accuracy"
)
ROWS = [
    "by_view,native,default,transfer,MobileNet,1,10,100,0.81,0.8,0.71,0.87,0.79,0.8,0.78,0.77,0.5072",
    "by_view,native,default,finetune,MobileNet,1,10,100,0.91,0.9,0.82,0.95,0.89,0.9,0.88,0.87,0.6093000000000001",
    "clean,native,default,transfer,MobileNet,1,10,40,0.61,0.6,0.44,0.74,0.59,0.6,0.58,0.57,0.5072",
    "clean,native,default,finetune,MobileNet,0,,,,,,,,,,,0.6093",
]
FIFTH = [
    "ref,method,year,classes,accuracy,note,protocol,preprocessing,phase,n_test,accuracy_low,accuracy_high",
    '"Somebody et al [1]","SVM, trees",2023,8,85.74,,,,,,,',
    "This study,MobileNet,,9,80,,by_view,native,transfer,100,71,87",
]
RUN = "train-by_view-native-nine_classes-MobileNet-seed0"


def write_results(root: Path) -> Path:
    """A small results folder: two tables, two verdicts, two stamps and one run.json."""
    (root / "tables").mkdir(parents=True)
    (root / "tables" / "table_1.csv").write_text("\n".join([HEAD, *ROWS]) + "\n")
    (root / "tables" / "table_5.csv").write_text("\n".join(FIFTH) + "\n")
    (root / "tables" / "ladder.csv").write_text("scenario\n")  # no table of the paper
    claims = [_claim("accuracy", "84.91 % in nine classes", "not reproduced"), _claim("best", "the best", "reproduced")]
    (root / "claims.json").write_text(json.dumps(claims))
    (root / "stamps").mkdir()
    for run in ("audit", RUN):
        stamp = {
            "format": 1, "cells": ["1" * 64, "2" * 64], "parameters": {"units": 64, "seed": 0}, "outputs": {},
            "code": {"lib.models.training.fit": "a" * 64},
            "packages": {"keras": "3.15.1"}, "external": {"data": "d" * 64},
            "inputs": {"prepared/images.npy": "e" * 64},
        }  # fmt: skip
        (root / "stamps" / f"{run}.json").write_text(json.dumps(stamp))
    folder = root / "runs" / "by_view" / "native" / "nine_classes" / "MobileNet" / "seed0"
    folder.mkdir(parents=True)
    provenance = {
        "run": RUN, "git": {"commit": "c" * 40, "clean": True}, "packages": {"pillow": "12.0"},
        "hardware": {"processor": "A", "cores": 2, "gpus": []}, "environment": {"OMP_NUM_THREADS": "1"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"provenance": provenance}))
    return root


def _claim(name: str, quote: str, verdict: str) -> dict:
    own = {"outcome": "yes" if verdict == "reproduced" else "no", "reason": "", "numbers": {}}
    said = {"id": name, "place": "abstract", "where": "abstract", "quote": quote, "kind": "number", "rule": "a rule"}
    return said | {"verdict": verdict, "reason": "", "procedure": own, "unseen": own}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new))


@pytest.fixture
def two(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Two equal results folders, `first` and `second`, in a results/ of the test's own."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    monkeypatch.setattr(compare, "RESULTS", tmp_path)
    first = write_results(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    return first, tmp_path / "second"


def both():
    return compare.results("first"), compare.results("second")


def moved(found) -> dict[tuple, tuple]:
    rows = found[found["moved"]].itertuples()
    return {(r.table, r.row, r.measure): (r.a, r.b, r.points, r.inside) for r in rows}


def test_a_study_against_itself_says_that_nothing_moved(two):
    a, _ = both()
    # three measured rows of 12 numbers, one of two (no seed, the printed one), Table V: one, and one of four
    assert compare.summary(a, a) == ["Nothing moved: all 43 numbers of 6 rows and all 2 verdicts are the same."]
    assert compare.origins(a, a).empty and compare.single_rows(a, a).empty
    page = compare_page.page(a, a)
    assert "Nothing moved" in page and 'id="moved"' not in page and "They were made with the same of everything" in page


def test_planted_numbers_are_found_exactly_with_their_size_and_whether_they_lie_in_the_interval(two):
    table = two[1] / "tables" / "table_1.csv"
    edit(table, "100,0.81,0.8,0.71,0.87,0.79,0.8,0.78", "120,0.81,0.87,0.71,0.87,0.79,0.8,0.48")
    edit(table, "0.61,0.6,0.44", "0.61,0.75,0.44")
    edit(two[1] / "tables" / "table_5.csv", "9,80,,", "9,70.5,,")
    expected = {
        (1, "by_view, native, transfer, MobileNet", "n_test"): (100, 120, None, None),
        (1, "by_view, native, transfer, MobileNet", "test_accuracy"): (0.8, 0.87, 7, True),  # on the very end
        (1, "by_view, native, transfer, MobileNet", "f1"): (0.78, 0.48, -30, None),
        (1, "clean, native, transfer, MobileNet", "test_accuracy"): (0.6, 0.75, 15, False),
        (5, "This study, MobileNet, 9, by_view, native, transfer", "accuracy"): (80, 70.5, -9.5, False),
    }
    found = moved(compare.numbers(*both()))
    assert found.keys() == expected.keys()
    for key, (a, b, points, inside) in expected.items():
        assert found[key][:2] == (a, b) and found[key][3] is inside
        assert found[key][2] == pytest.approx(points) if points is not None else found[key][2] != found[key][2]
    said = compare.summary(*both())
    assert said[0] == "5 of 43 numbers moved, in 3 of 6 rows that both have."
    assert "F1 of Table I" in said[1] and "\N{MINUS SIGN}30.00 points" in said[1]
    assert said[2] == "Test accuracies that moved: 3; outside the 95 % interval of first: 2."


def test_the_page_shows_the_furthest_first_and_holds_every_number_that_moved(two):
    table = two[1] / "tables" / "table_1.csv"
    edit(table, "100,0.91,0.9,", "100,0.91,0.91,")
    edit(table, "0.61,0.6,0.44", "0.61,0.75,0.44")
    edit(table, "0.8,0.71,0.87,0.79,0.8,0.78", "0.8,0.71,0.87,0.79,0.8,0.71")
    page = Page(compare_page.page(*both()))
    rows = page.tables["moved"][2:]
    expected = [("Transfer", "clean"), ("Transfer", "by_view"), ("Fine-tuned", "by_view")]
    assert [(row[2], row[3]) for row in rows] == expected
    assert rows[0][8].strip() == "+15.00" and rows[0][9].strip() == "no" and rows[2][8].strip() == "+1.00"
    assert len(page.tables["same"]) == 1 + 3  # the head, and what did not move
    link = next(a["href"] for a in page.all("a") if a.get("download") == "moved.csv")
    held = list(csv.DictReader(base64.b64decode(link.partition(",")[2]).decode().splitlines()))
    expected = [("f1", 0.71), ("test_accuracy", 0.91), ("test_accuracy", 0.75)]
    assert [(row["measure"], float(row["b"])) for row in held] == expected


@pytest.mark.parametrize(("value", "is_other"), [("0.6093", False), ("0.60930049", False), ("0.609301", True)])
def test_numbers_that_agree_to_six_digits_are_the_same(two, value, is_other):
    edit(two[1] / "tables" / "table_1.csv", "0.6093000000000001", value)
    assert len(moved(compare.numbers(*both()))) == is_other


def test_rows_and_results_of_one_alone_are_told_apart_and_are_no_moves(two):
    edit(two[1] / "tables" / "table_1.csv", ROWS[1] + "\n", "")
    edit(two[1] / "tables" / "table_1.csv", "MobileNet,0,,,,,,,,,,,", "MobileNet,1,10,40,0.7,0.65,0.5,0.78,,,,,")
    edit(two[0] / "tables" / "table_1.csv", ROWS[2] + "\n", "")
    found = [
        (r["protocol"], r["phase"], r["only"], r["accuracy"]) for r in compare.single_rows(*both()).to_dict("records")
    ]
    assert sorted(found) == [
        ("clean", "finetune", "measured only in second", 0.65),
        ("clean", "transfer", "only in second", 0.6),
        ("by_view", "finetune", "only in first", 0.9),
    ]
    assert not moved(compare.numbers(*both()))


def test_verdicts_that_turned_are_named_with_the_question_that_is_answered_otherwise(two):
    claims = json.loads((two[1] / "claims.json").read_text())
    claims[0]["verdict"], claims[0]["unseen"]["outcome"] = "reproduced", "yes"
    (two[1] / "claims.json").write_text(json.dumps([*claims, _claim("new", "a new claim", "not tested")]))
    found = compare.verdicts(*both())
    turned = found[found["moved"]].set_index("id")
    assert list(turned.index) == ["accuracy", "new"]
    assert (turned.at["accuracy", "a"], turned.at["accuracy", "b"]) == ("not reproduced", "reproduced")
    assert turned.at["accuracy", "questions"].endswith("Unseen lesions: no \N{RIGHTWARDS ARROW} yes")
    assert pd.isna(turned.at["new", "a"]) and turned.at["new", "b"] == "not tested"
    assert "no such claim" in compare_page.page(*both())


def test_what_the_two_were_made_with_is_compared_run_by_run(two):
    stamp, run = two[1] / "stamps" / f"{RUN}.json", next(two[1].rglob("run.json"))
    edit(stamp, '"units": 64', '"units": 256')
    edit(stamp, "a" * 64, "b" * 64)
    edit(stamp, "3.15.1", "3.16.0")
    edit(stamp, "2" * 64, "3" * 64)
    edit(two[1] / "stamps" / "audit.json", "d" * 64, "9" * 64)
    edit(stamp, "e" * 64, "8" * 64)
    edit(run, "c" * 40, "7" * 40)
    edit(run, '"clean": true', '"clean": false')
    edit(run, '"gpus": []', '"gpus": ["GPU 0: H100"]')
    edit(run, '"OMP_NUM_THREADS": "1"', '"OMP_NUM_THREADS": "4"')
    found = [tuple(row) for row in compare.origins(*both())[["kind", "name", "a", "b"]].to_numpy()]
    assert [row for row in found if row[0] != "notebook"] == [
        ("parameter", "units", "64", "256"),
        ("input", "data", "d" * 12, "9" * 12),
        ("package", "keras", "3.15.1", "3.15.1, 3.16.0"),  # the audit still ran with the old one
        ("commit", "of the code", "c" * 40, "7" * 40 + " with changes"),
        ("hardware", "gpus", "none", "GPU 0: H100"),
        ("environment", "OMP_NUM_THREADS", "1", "4"),
        ("code", "lib.models.training.fit", "a" * 12, "b" * 12),
        ("file", "prepared/images.npy", "e" * 12, "8" * 12),
    ]
    assert [row[1] for row in found if row[0] == "notebook"] == ["train"]


def test_tables_alone_are_enough_and_the_page_says_what_is_not_recorded(two):
    for name in ("stamps", "runs"):
        shutil.rmtree(two[0] / name)
    (two[0] / "claims.json").unlink()
    page = compare_page.page(*both())
    assert "first has neither stamps/ nor run.json files" in page and "no such claim" in page


def test_hostile_names_stay_text_and_the_page_loads_nothing(two, tmp_path):
    hostile = tmp_path / HOSTILE.replace("/", "")
    shutil.copytree(two[1], hostile)
    row = "native,default,transfer,MobileNet,1,10,40"
    quoted = HOSTILE.replace('"', '""')
    edit(hostile / "tables" / "table_1.csv", f"clean,{row}", f'"{quoted}",{row}')
    edit(hostile / "stamps" / "audit.json", '"units"', json.dumps(HOSTILE))
    claims = json.loads((hostile / "claims.json").read_text())
    claims[0] |= {"quote": HOSTILE, "verdict": HOSTILE}
    (hostile / "claims.json").write_text(json.dumps(claims))
    target = compare_page.write_page(compare.results("first"), compare.results(str(hostile)))
    assert target.parent == tmp_path / "compare" and re.fullmatch(r"first-[\w.-]+\.html", target.name)
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    shown = "".join(page.text)
    assert shown.count(HOSTILE.replace("\u202e", "<U+202E>")) >= 5 and "\u202e" not in text
    assert not page.all("img") and len(page.all("script")) == 1
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a) or "src" in a]
    assert all(link["href"].startswith("data:") for link in page.all("link"))
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_the_flag_prints_what_moved_and_where_the_page_lies(two, capsys):
    edit(two[1] / "tables" / "table_1.csv", "100,0.91,0.9,", "100,0.91,0.91,")
    assert run_all._compare(run_all.parser("").parse_args(["--compare", "first", str(two[1])])) == 0
    said = capsys.readouterr().out
    assert "1 of 43 numbers moved" in said
    target = Path(re.search(r"comparison: (.+)", said)[1])
    assert target == two[0].parent / "compare" / "first-second.html" and target.is_file()


@pytest.mark.parametrize("given", ["no_such_study", str(REPOSITORY / "lib")])
def test_a_folder_that_holds_no_results_is_refused_with_exit_status_2(given, two):
    command = [sys.executable, "run_all.py", "--compare", str(two[0]), given]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2 and given in done.stderr and "Traceback" not in done.stderr
    assert "no such folder" in done.stderr or "holds no tables" in done.stderr


def test_a_third_name_is_refused_rather_than_left_unread(two):
    with pytest.raises(ParameterError, match="leave 'third' out"):
        run_all._compare(run_all.parser("").parse_args(["third", "--compare", "first", "second"]))


@pytest.mark.parametrize(("file", "content"), [("tables/table_1.csv", HEAD + "\na,b,c,d,x,y\n"), ("claims.json", "[{")])
def test_results_that_cannot_be_read_are_named(two, file, content):
    (two[1] / file).write_text(content)
    with pytest.raises(compare.ResultsError, match=re.escape(str(two[1] / file))):
        compare_page.page(*both())
