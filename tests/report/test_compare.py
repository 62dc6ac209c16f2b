"""Two results folders compared: what was planted is found, with its size, and nothing else is."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import run_all
from lib.config import paths
from lib.config.paths import REPOSITORY
from lib.engine import freshness
from lib.report import compare
from tests.report.made_study import Page

HOSTILE = '<img src=x onerror=alert(1)> "x" \u202eevil & \''
RUN = "train-by_view-native-nine_classes-MobileNet-seed0"


def test_every_part_of_a_stamp_that_makes_a_run_stale_is_among_the_reasons():
    assert set(compare.PARTS) == set(freshness.PARTS)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new))


@pytest.fixture
def two(page, results, tmp_path, monkeypatch) -> tuple[Path, Path]:
    """The made-up study twice, as `first` and `second` in a results/ of the test's own, with two stamps."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    monkeypatch.setattr(compare, "RESULTS", tmp_path)
    first = tmp_path / "first"
    shutil.copytree(results / "tables", first / "tables")
    shutil.copy(results / "claims.json", first)
    (first / "stamps").mkdir()
    stamp = {
        "format": 1, "cells": ["1" * 64, "2" * 64], "parameters": {"units": 64, "seed": 0}, "outputs": {},
        "code": {"lib.models.training.fit": "a" * 64}, "packages": {"keras": "3.15.1"},
        "external": {"data": "d" * 64}, "inputs": {"prepared/images.npy": "e" * 64},
    }  # fmt: skip
    for run in ("audit", RUN):
        (first / "stamps" / f"{run}.json").write_text(json.dumps(stamp))
    return first, shutil.copytree(first, tmp_path / "second")


def test_planted_numbers_are_found_exactly_with_their_size_and_whether_they_lie_in_the_interval(two, capsys):
    path = two[1] / "tables" / "table_1.csv"
    table = pd.read_csv(path)
    view, clean = (table.index[(table["protocol"] == name) & table["f1"].notna()][0] for name in ("by_view", "clean"))
    table["f1"] += 1e-8  # the same to six digits
    planted = {
        (view, "f1"): (table.at[view, "f1"] - 0.3, ""),
        (clean, "test_accuracy"): (table.at[clean, "test_accuracy_low"] - 0.05, "no"),
        (view, "test_accuracy"): (table.at[view, "test_accuracy_high"], "yes"),  # on the very end
        (view, "n_test"): (table.at[view, "n_test"] + 20, ""),
    }
    first, expected = table.copy(), {}
    for (row, measure), (value, inside) in planted.items():
        table.at[row, measure] = value
        before, size = first.at[row, measure], value - first.at[row, measure] if measure != "n_test" else np.nan
        expected[*first.loc[row, ["protocol", "phase", "backbone"]], measure] = before, value, size, inside
    table.to_csv(path, index=False)
    found = compare.compare_numbers(*two).set_index(["protocol", "phase", "backbone", "measure"])
    assert found["difference"].abs().iloc[:3].is_monotonic_decreasing  # the furthest first
    for key, row in found[["a", "b", "difference", "inside"]].iterrows():
        *numbers, inside = expected.pop(key)
        assert row.tolist()[:3] == pytest.approx(numbers, abs=1e-6, nan_ok=True) and row["inside"] == inside
    assert not expected and run_all.main(["--compare", "first", str(two[1])]) == 0
    printed = capsys.readouterr().out
    files = map(pd.read_csv, two[0].glob("tables/table_[1-4].csv"))
    total = sum(table.drop(columns=compare.ROW[1:]).count().sum() for table in files)
    assert printed.startswith(f"4 of {total:,} numbers of first moved, 1 of them out of their 95 % interval")
    target = Path(re.search(r"comparison: (.+)", printed)[1])
    assert target == two[0].parent / "compare" / "first-second.html"
    moved = found.dropna(subset="difference").reset_index()
    moved["difference"] = [f"{100 * size:+.1f}".replace("-", "−") for size in moved["difference"]]
    shown = pd.DataFrame(Page(target.read_text(encoding="utf-8")).tables["numbers"][1:4])[[1, 4, 5]]
    assert shown.map(str.strip).to_numpy().tolist() == moved[["measure", "difference", "inside"]].to_numpy().tolist()


def test_a_verdict_or_an_answer_that_differs_is_named_with_its_question(two):
    claims = json.loads((two[1] / "claims.json").read_text())
    changed = next(claim for claim in claims if "unseen" in claim)
    before = changed["verdict"], changed["unseen"]["outcome"]
    changed["verdict"], changed["unseen"]["outcome"] = "other", "else"
    rows = []
    for added in ([], [claims[0] | {"id": "new", "quote": "a new claim", "verdict": "not tested"}]):
        (two[1] / "claims.json").write_text(json.dumps([*claims, *added]))
        found = compare.differences(*map(compare.read_verdicts, two)).fillna("none")
        rows.append({tuple(row) for row in found[["quote", "question", "a", "b"]].to_numpy()})
    own = {(changed["quote"], *row) for row in (("verdict", before[0], "other"), ("Unseen lesions", before[1], "else"))}
    assert rows[0] == own == {row for row in rows[1] if row[0] != "a new claim"}
    assert ("a new claim", "verdict", "none", "not tested") in rows[1]


def test_what_the_two_were_made_from_is_compared_run_by_run(two):
    stamp = two[1] / "stamps" / f"{RUN}.json"
    edit(stamp, '"units": 64', '"units": 256')
    edit(stamp, "3.15.1", "3.16.0")
    for path, old, new in (
        (stamp, "a", "b"),
        (stamp, "2", "3"),
        (stamp.with_name("audit.json"), "d", "9"),
        (stamp, "e", "8"),
    ):
        edit(path, old * 64, new * 64)
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
    table = pd.read_csv(hostile / "tables" / "table_1.csv")
    table.replace({"protocol": {"clean": HOSTILE}}).to_csv(hostile / "tables" / "table_1.csv", index=False)
    edit(hostile / "stamps" / "audit.json", '"units"', json.dumps(HOSTILE))
    claims = json.loads((hostile / "claims.json").read_text())
    claims[0] |= {"quote": HOSTILE, "verdict": HOSTILE}
    (hostile / "claims.json").write_text(json.dumps(claims))
    target, _ = compare.write_page(compare.load_results("first"), compare.load_results(str(hostile)))
    assert target.parent == tmp_path / "compare" and re.fullmatch(r"first-[\w.-]+\.html", target.name)
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    page.check_links(target.parent)
    assert "".join(page.text).count(HOSTILE.replace("\u202e", "<U+202E>")) >= 5 and "\u202e" not in text
    assert not page.all("img") and len(page.all("script")) == 1
    assert all(link["href"].startswith("data:") for link in page.all("link"))
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("given", ["no_such_study", str(REPOSITORY / "lib")])
def test_a_folder_that_holds_no_results_is_refused_with_exit_status_2(given, two, capsys):
    assert run_all.main(["--compare", str(two[0]), given]) == 2
    assert given in capsys.readouterr().err
