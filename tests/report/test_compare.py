"""Two results folders compared: what was planted is found, with its size, and nothing else is."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import run_all
from lib.config import paths
from lib.config.paths import REPOSITORY
from lib.engine import freshness
from lib.report import compare
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
RUN = "train-by_view-native-nine_classes-MobileNet-seed0"


def write_results(root: Path) -> Path:
    """A small results folder: a table, two verdicts and two stamps."""
    (root / "tables").mkdir(parents=True)
    (root / "tables" / "table_1.csv").write_text("\n".join([HEAD, *ROWS]) + "\n")
    (root / "tables" / "ladder.csv").write_text("scenario\n")  # no table of the paper
    claims = [_claim("accuracy", "84.91 % in nine classes", "not reached"), _claim("best", "the best", "holds")]
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
    return root


def _claim(name: str, quote: str, verdict: str) -> dict:
    own = {"outcome": "yes" if verdict == "holds" else "no", "reason": "", "numbers": {}}
    said = {"id": name, "place": "abstract", "where": "abstract", "quote": quote, "kind": "number"}
    return said | {"verdict": verdict, "reason": "", "default": own, "unseen": own}


def test_every_part_of_a_stamp_that_makes_a_run_stale_is_among_the_reasons():
    assert set(compare.PARTS) == set(freshness.PARTS)


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


def test_planted_numbers_are_found_exactly_with_their_size_and_whether_they_lie_in_the_interval(two):
    table = two[1] / "tables" / "table_1.csv"
    edit(table, "100,0.81,0.8,0.71,0.87,0.79,0.8,0.78", "120,0.81,0.87,0.71,0.87,0.79,0.8,0.48")
    edit(table, "0.61,0.6,0.44", "0.61,0.75,0.44")
    edit(table, "0.6093000000000001", "0.6093")  # the same to six digits
    expected = [
        ("by_view", "transfer", "f1", 0.78, 0.48, -0.3, ""),
        ("clean", "transfer", "test_accuracy", 0.6, 0.75, 0.15, "no"),
        ("by_view", "transfer", "test_accuracy", 0.8, 0.87, 0.07, "yes"),  # on the very end
        ("by_view", "transfer", "n_test", 100, 120, np.nan, ""),
    ]
    found = compare.compare_numbers(*two)[["protocol", "phase", "measure", "a", "b", "difference", "inside"]]
    for row, own in zip(found.itertuples(index=False), expected, strict=True):  # the furthest first
        assert (row[:3], row[6]) == (own[:3], own[6]) and row[3:6] == pytest.approx(own[3:6], nan_ok=True)
    _, result = compare.write_page(*two)
    assert result.startswith("4 of 38 numbers of first moved, 1 of them out of their 95 % interval")


def test_rows_of_one_alone_have_no_number_on_the_other_side_and_tables_alone_are_enough(two):
    edit(two[1] / "tables" / "table_1.csv", ROWS[1] + "\n", "")
    shutil.rmtree(two[0] / "stamps")
    (two[0] / "claims.json").unlink()
    found = compare.compare_numbers(*two).query("measure == 'test_accuracy'")
    assert found["a"].tolist() == [0.9] and found[["b", "difference"]].isna().all(axis=None)
    assert compare.write_page(*two)[0].is_file() and compare.compare_numbers(two[0], two[0]).empty


def test_a_verdict_or_an_answer_that_differs_is_named_with_its_question(two):
    claims = json.loads((two[1] / "claims.json").read_text())
    claims[0]["verdict"], claims[0]["unseen"]["outcome"] = "holds", "yes"
    (two[1] / "claims.json").write_text(json.dumps([*claims, _claim("new", "a new claim", "not tested")]))
    found = compare.differences(*map(compare.read_verdicts, two)).fillna("none")
    rows = {tuple(row) for row in found[["quote", "question", "a", "b"]].to_numpy()}
    quote = "84.91 % in nine classes"
    expected = {(quote, "verdict", "not reached", "holds"), (quote, "Unseen lesions", "no", "yes")}
    assert rows >= expected | {("a new claim", "verdict", "none", "not tested")}
    assert not any(row[0] == "the best" for row in rows)


def test_what_the_two_were_made_from_is_compared_run_by_run(two):
    stamp = two[1] / "stamps" / f"{RUN}.json"
    edit(stamp, '"units": 64', '"units": 256')
    edit(stamp, "a" * 64, "b" * 64)
    edit(stamp, "3.15.1", "3.16.0")
    edit(stamp, "2" * 64, "3" * 64)
    edit(two[1] / "stamps" / "audit.json", "d" * 64, "9" * 64)
    edit(stamp, "e" * 64, "8" * 64)
    found = compare.compare_stamps(*two)
    assert [tuple(row) for row in found.astype(object).to_numpy()] == [
        ("parameters", "units", "64", "256", 1),
        ("external", "data", "d" * 12, "9" * 12, 1),
        ("packages", "keras", "3.15.1", "3.16.0", 1),
        ("cells", "cell 2", "2" * 12, "3" * 12, 1),
        ("code", "lib.models.training.fit", "a" * 12, "b" * 12, 1),
        ("inputs", "prepared/images.npy", "e" * 12, "8" * 12, 1),
    ]


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
    target, _ = compare.write_page(compare.load_results("first"), compare.load_results(str(hostile)))
    assert target.parent == tmp_path / "compare" and re.fullmatch(r"first-[\w.-]+\.html", target.name)
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    assert "".join(page.text).count(HOSTILE.replace("\u202e", "<U+202E>")) >= 5 and "\u202e" not in text
    assert not page.all("img") and len(page.all("script")) == 1
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a) or "src" in a]
    assert all(link["href"].startswith("data:") for link in page.all("link"))
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_the_flag_prints_what_moved_and_where_the_page_lies(two, capsys):
    edit(two[1] / "tables" / "table_1.csv", "100,0.91,0.9,", "100,0.91,0.91,")
    assert run_all.main(["--compare", "first", str(two[1])]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 of 38 numbers of first moved")
    target = Path(re.search(r"comparison: (.+)", printed)[1])
    assert target == two[0].parent / "compare" / "first-second.html"
    (row,) = Page(target.read_text(encoding="utf-8")).tables["numbers"][1:]
    assert [cell.strip() for cell in row[:6]] == ["1", "test_accuracy", "0.9", "0.91", "+1.0", "yes"]


@pytest.mark.parametrize("given", ["no_such_study", str(REPOSITORY / "lib")])
def test_a_folder_that_holds_no_results_is_refused_with_exit_status_2(given, two, capsys):
    assert run_all.main(["--compare", str(two[0]), given]) == 2
    assert given in capsys.readouterr().err


@pytest.mark.parametrize(("file", "content"), [("tables/table_1.csv", HEAD + "\na,b,c,d,x,y\n"), ("claims.json", "[{")])
def test_results_that_cannot_be_read_are_named(two, file, content):
    (two[1] / file).write_text(content)
    with pytest.raises(compare.ResultsError, match=re.escape(str(two[1] / file))):
        compare.write_page(*two)
