"""The report: its numbers against scikit-learn, its page against a parser, and the cases where results are missing."""

import base64
import csv
import json
import re
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from lib.config.files import read_json
from lib.config.paper import Scenario, scenarios
from lib.config.params import PHASE_TITLES
from lib.config.paths import LIB, NOTEBOOKS, PARAMS, RUN_PREDICTIONS, StudyPaths
from lib.data.folds import UNUSED, parts_of_fold, select
from lib.report import html, pages, pictures, summary, tables
from lib.report.data import read_csv, read_runs, to_records
from lib.scores.choices import fold_accuracies
from lib.scores.outcomes import ON_VIEWS
from lib.verdicts.explanations import explain
from lib.verdicts.judging import QUESTIONS, VERDICTS, judge
from lib.verdicts.judging import SYNTHETIC as BY_SYNTHETIC
from tests.report.made_study import AS_TEXT, FAILED, HOSTILE, NOT_RUN, STUDY, SYNTHETIC, Page, make_report, write_study


@pytest.fixture(scope="module")
def parsed(page) -> Page:
    return Page(page.read_text(encoding="utf-8"))


def test_table_numbers_are_those_of_scikit_learn_on_what_was_tested(results):
    paths = StudyPaths(results)
    too_few = pd.read_csv(paths.not_evaluable).groupby(["protocol", "scenario"])["class"].agg(list)
    field = tables.field_scores(paths, STUDY).set_index(tables.MODEL)["macro_f1"]  # beside the literature
    for row in tables.score_table(paths, STUDY).to_dict("records"):
        scenario, protocol, names = row["scenario"], row["protocol"], scenarios()[row["scenario"]].names
        runs = [paths.run(protocol, "native", scenario, row["backbone"], seed) for seed in STUDY.seeds]
        files = [run / RUN_PREDICTIONS.format(row["phase"]) for run in runs]
        predicted = [pd.read_parquet(file) for file in files if file.is_file()]
        assert row["seeds"] == len(predicted)
        if not predicted:
            assert all(np.isnan(row[measure]) for measure in tables.MEASURES)
            continue
        predictions = pd.concat(predicted)
        predictions = predictions[~predictions["true_class"].isin(too_few.get((protocol, scenario), []))]
        predictions = predictions if protocol in ON_VIEWS else predictions[predictions["view"] == 0]
        val, test = (predictions[predictions["part"] == part] for part in ("val", "test"))
        true, guess = test["true_class"], test[names].idxmax(axis=1)
        expected = [accuracy_score(val["true_class"], val[names].idxmax(axis=1)), accuracy_score(true, guess)]
        expected += precision_recall_fscore_support(true, guess, average="weighted", zero_division=0)[:3]
        np.testing.assert_allclose([row[measure] for measure in tables.MEASURES], expected, atol=1e-9)
        if scenario == "nine_classes":
            macro = f1_score(true, guess, labels=sorted(set(true)), average="macro", zero_division=0)
            assert field[protocol, row["phase"], row["backbone"]] == pytest.approx(macro, abs=1e-9)
        assert (row["folds"], row["n_test"]) == (test["fold"].nunique(), len(test) / len(predicted))
        assert row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"]
        # one run more: from the spread of folds, where there are at least five
        assert np.isfinite(row["repetition_low"]) == (row["phase"] == "transfer")


def test_a_csv_file_holds_no_formula_and_no_noise_and_our_reader_gives_every_cell_back(tmp_path):
    texts = ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "-2+3", "-A1", "'=1", "", "a=1", "ISIC-1", "'s"]
    numbers = [44.06 / 100, 2 / 3, 200 / 3, 901.0, -1.5, 1.23456789e-12, *[-1e-7] * 6]
    table = pd.DataFrame({"text": texts, "number": numbers, "written": ["-1.5", "+2", *["-1e-7"] * 10]})
    tables.write_csv(tmp_path / "table.csv", table)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:  # as a spreadsheet reads it
        rows = list(csv.DictReader(file))
    cells = [row["text"] for row in rows]
    assert [cell[0] for cell in cells[:8]] == ["'"] * 8 and cells[8:] == texts[8:]
    written = ["0.4406", "0.666667", "66.666667", "901", "-1.5", "1.23457e-12"]
    assert [row["number"] for row in rows[:6]] == written
    read = read_csv(tmp_path / "table.csv")
    assert read["text"].fillna("").tolist() == [text.replace("\r", "\n") for text in texts]
    assert read["written"].tolist() == [-1.5, 2.0, *[-1e-7] * 10]


def test_runs_that_are_not_done_are_named_first_and_where_their_numbers_would_be(page, parsed, results):
    missing = pd.read_csv(results / "tables" / "missing.csv").set_index("run")
    assert set(missing.index) == {FAILED, NOT_RUN}
    text = page.read_text(encoding="utf-8")
    assert re.match(r'<main[^>]*>\s*<aside [^>]*class="warning"', text[text.index("<main") :])
    # six benign classes: the study skips one model, so its cells say so and hold no number
    rows = [row for row in parsed.tables["table-3"] if row[0] == "EfficientNetV2B3"]
    assert len(rows) == 2 * len(STUDY.protocols) and all("skipped" in row and row.count("–") == 10 for row in rows)


@pytest.mark.slow
def test_a_study_whose_runs_failed_still_has_a_report_that_says_so(results, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(results, root, ignore=shutil.ignore_patterns("report", "tables", "claims.json"))
    state = json.loads((root / "state.json").read_text())
    failed = list(state)[::2]
    for run in failed:
        state[run] |= {"status": "failed", "error": f"MemoryError: {HOSTILE}"}
        *axes, _ = state[run]["axes"].values()  # without the variant
        match state[run]["step"]:
            case "train":
                shutil.rmtree(StudyPaths(root).run(*axes), ignore_errors=True)
            case "evaluate":
                StudyPaths(root).outcomes(*axes).unlink()
            case step:
                shutil.rmtree(root / {"prepare": "prepared"}.get(step, step))
    (root / "state.json").write_text(json.dumps(state))
    shown = Page(make_report(root).read_text(encoding="utf-8"))
    assert "This part of the report failed" not in "".join(shown.text)
    assert len(shown.tables["table-1"]) > 10 and len(shown.tables["missing"]) == len({*failed, FAILED, NOT_RUN}) + 1
    (tmp_path / "empty" / "notebooks").mkdir(parents=True)  # a study without any results
    shown = Page(make_report(tmp_path / "empty").read_text(encoding="utf-8"))
    assert [figure["id"] for figure in shown.all("figure")] == ["families"]  # of the printed tables
    assert "This part of the report failed" not in "".join(shown.text)
    assert all("–" in " ".join(row) for row in shown.tables["table-1"][2:] if row[2] != "none")


def test_every_number_on_the_page_is_that_of_the_csv_and_of_the_download(page, parsed, results):
    downloads = {link["download"]: link for link in parsed.all("a") if "download" in link}
    assert set(downloads) == {f"{name}.csv" for name in parsed.tables}
    too_few = set(pd.read_csv(StudyPaths(results).not_evaluable)["protocol"])  # of SMALL_CLASS
    for number in (1, 2, 3, 4):
        table = pd.read_csv(StudyPaths(results).table(number))
        rows = parsed.tables[f"table-{number}"][2:]
        by_cell = {tuple(row[:3]): row for row in rows}
        for _, row in table[table["seeds"] > 0].iterrows():
            shown = by_cell[row["backbone"], PHASE_TITLES[row["phase"]], row["protocol"]]
            few = {1: " 8 of 9 classes", 3: " 5 of 6 classes"}.get(number, "") * (row["protocol"] in too_few)
            assert shown[3] == f"{row['n_test']:.0f}{few}"
            for place, measure in enumerate(tables.MEASURES):
                printed, ours, difference = shown[4 + 3 * place : 7 + 3 * place]
                assert printed == f"{100 * row[f'printed_{measure}']:.2f}"
                assert ours.split()[0] == f"{100 * row[measure]:.2f}"
                expected = 100 * (row[measure] - row[f"printed_{measure}"])
                assert float(difference.replace("−", "-")) == pytest.approx(expected, abs=0.051)
            interval = [100 * row["test_accuracy_low"], 100 * row["test_accuracy_high"]]
            assert list(map(float, re.findall(r"[\d.]+", shown[8])[1:])) == pytest.approx(interval, abs=0.051)
        assert len(rows) == len(table) + 8  # the printed rows of the four models that this study does not have
        link = downloads[f"table-{number}.csv"]
        assert base64.b64decode(link["href"].partition(",")[2]) == StudyPaths(results).table(number).read_bytes()


def test_the_page_loads_nothing_its_links_lead_somewhere_and_its_pictures_have_words(page, parsed):
    parsed.check_links(page.parent)
    style = re.search(r"<style>(.*?)</style>", page.read_text(encoding="utf-8"), re.S)[1]
    assert "url(" not in style and "@import" not in style
    images = parsed.all("img")
    assert len(images) == len(parsed.all("figure")) == len(parsed.all("figcaption")) > 20
    assert all(len(image["alt"]) > 10 for image in images)
    named = {attributes.get("id") for _, attributes in parsed.elements}
    assert {f"fig-{n}" for n in range(3, 21) if n not in (5, 15)} <= named


def test_every_run_that_was_executed_has_a_page_that_loads_nothing_but_its_style(page, results):
    made = {path.stem for path in (page.parent / "notebooks").iterdir()}
    assert made == set(json.loads(StudyPaths(results).state.read_text())) - {NOT_RUN}
    for name in made:
        path = StudyPaths(results).notebook_page(name)
        text = path.read_text(encoding="utf-8")
        shown = Page(text)
        shown.check_links(path.parent)
        links = {a["href"] for tag in ("a", "link") for a in shown.all(tag)}
        assert {f"../../notebooks/{name}.ipynb", "../index.html", "../style.css"} <= links and not shown.all("script")
        assert ('class="warning"' in text) == ("Traceback" in text) == (name == FAILED) and "\x1b" not in text


def test_names_from_data_and_outputs_of_notebooks_stay_text(page, parsed, results):
    text, shown = page.read_text(encoding="utf-8"), "".join(parsed.text)
    assert len(parsed.all("script")) == 1 and "alert(" not in re.sub(r"&lt;script&gt;alert\(", "", text)
    assert AS_TEXT in shown and STUDY.title in shown and "\u202e" not in shown
    text = StudyPaths(results).notebook_page(FAILED).read_text(encoding="utf-8")
    # printed, in the table, as the text of a display, as the error of the run, in the traceback
    # (pandas writes the end of a line in a cell as \\n)
    assert "".join(Page(text).text).replace("\\n", "\n").count(AS_TEXT) == 5 and "\u202e" not in text
    assert len(Page(text).all("table")) == 1 and "alert(3)" not in text
    assert "<b>x</b>" in text and "&lt;script&gt;alert(2)&lt;/script&gt;" in text


def test_a_notebook_that_cannot_be_read_has_a_page_that_says_so_and_pages_of_runs_that_are_gone_go(results, tmp_path):
    shutil.copytree(results / "notebooks", tmp_path / "study" / "notebooks")
    shutil.copy(results / "state.json", tmp_path / "study")
    again = StudyPaths(tmp_path / "study", tmp_path / "attempt")
    again.executed("kmeans").write_text('{"cells": [')
    again.executed("audit").unlink()
    pages.write_notebooks(again)
    assert "kmeans.ipynb cannot be read as a notebook" in again.new(again.notebook_page("kmeans")).read_text()
    assert not again.new(again.notebook_page("audit")).exists()
    assert [html.notebook(again, run) for run in ("audit", "kmeans")] == ["", "notebooks/kmeans.html"]


def test_a_study_of_synthetic_images_says_so_and_sets_nothing_beside_the_printed_numbers(results):
    paths = StudyPaths(results)
    assert ['class="banner"' in html.part("opening", study=own).data for own in (SYNTHETIC, STUDY)] == [True, False]
    scores = tables.score_table(paths, STUDY).query("scenario == 'nine_classes'")
    compared = tables.compared_rows(scores, SYNTHETIC, read_runs(paths))
    assert len(compared) == len(scores) < len(tables.compared_rows(scores, STUDY, read_runs(paths)))
    assert "printed" not in set(tables.accuracy_series(SYNTHETIC, scores)["series"])
    assert "This study" not in set(tables.literature_rows(tables.table_five(scores, SYNTHETIC, {}), SYNTHETIC)["ref"])
    verdicts = judge(paths, SYNTHETIC)
    shown = [claim["id"] for claim in summary.select_claims(verdicts, SYNTHETIC)]
    assert {claim["id"] for claim in verdicts} - {*shown} == {c["id"] for c in verdicts if c["reason"] == BY_SYNTHETIC}


def test_the_answer_is_made_from_the_files(page, parsed, results):
    paths = StudyPaths(results)
    text = " ".join("".join(parsed.text).split())
    for verdict, count in Counter(claim["verdict"] for claim in json.loads(paths.claims.read_text())).items():
        assert f"{count} {verdict}" in text
    # the phase with ten folds, not the one with one
    steps = pd.read_csv(paths.ladder).query("folds == 10 and phase == 'transfer'")
    models = {scenario: tables.shown_model(STUDY, scenario) for scenario in STUDY.scenarios}
    steps = steps[steps["backbone"] == steps["scenario"].map(models)].set_index("rung")
    lost, left = -100 * steps.loc["by file", "step"], 100 * steps.loc["clean", "accuracy"]
    assert f"{lost.min():.1f} to {lost.max():.1f} points" in text and f"{left.min():.1f} to {left.max():.1f} %" in text
    assert "8 of 9 classes in nine classes; 5 of 6 classes in six benign classes" in text  # beside these


def test_the_answer_tells_what_was_not_run_from_what_is_undecided(results):
    def says(leaks, clean):
        leaks = pd.DataFrame(leaks, columns=["step", "step_high"]).assign(backbone="MobileNet", phase="transfer")
        given = {"study": STUDY, "claims": [], "total": 0, "verdicts": (), "unknown": (), "unseen": "", "proposed": ""}
        return " ".join(html.part("answer", leaks=leaks, clean=clean, weights="ImageNet weights", **given).data.split())

    clean = {"backbone": "MobileNet", "phase": "transfer", "accuracy": 0.5, "few": "", "scenario": "nine_classes"}
    lost, unsure = (-0.2, -0.1), (-0.1, 0.1)
    assert "are worth 20.0 points" in says([lost], []) and "<code>clean</code> was not run" in says([lost], [])
    assert "is undecided" in says([unsure], [clean]) and "in 1 of 2 scenarios" in says([lost, unsure], [clean])
    assert "were not both run" in says([], [clean]) and "MobileNet with ImageNet weights" in says([], [clean])


def test_only_accounts_that_were_run_can_fail_to_fit(results):
    paths = StudyPaths(results)
    evidence = explain(fold_accuracies(paths, STUDY), read_json(paths.printed_audit))
    for status, said in (("not run", False), ("stands", True)):
        rows = evidence.assign(compatible_all=0, status=status).groupby("evidence")
        found = {name: to_records(own) for name, own in rows}
        assert ("No account fits" in html.part("explanations", found=found, networks=6, full=True).data) == said


def test_each_type_of_leakage_is_judged_by_what_was_found(parsed):
    outcomes = {row[0]: row[2] for row in parsed.tables["leakage"][1:]}
    assert {kind for kind, outcome in outcomes.items() if outcome == "found"} == {"L1.4", "L3.2", "L3.3", "labels"}
    assert outcomes["L1.1"] == "not found" and outcomes["L2"] == outcomes["L3.1"] == "not testable"


def test_claims_are_shown_with_the_answers_to_their_questions_the_worst_first(parsed, results):
    verdicts = json.loads(StudyPaths(results).claims.read_text())
    parts = [parsed.tables[name][1:] for name in ("claims", "claims-open")]
    shown = [row for rows in parts for row in rows]
    assert len(shown) == len(verdicts)
    counted = {name: sum(int(row[1]) for row in parsed.tables[name][1:]) for name in ("decided", "unknown")}  # merged
    assert [*counted.values()] == [len(rows) for rows in parts]
    for claim in verdicts:
        rows = [row for row in shown if row[0].startswith(claim["quote"])]
        outcomes = [claim[question]["outcome"] for question in QUESTIONS if question in claim]
        assert any(row[3].startswith(claim["verdict"]) and all(o in row[3] for o in outcomes) for row in rows)
    places = [max(i for i, name in enumerate(VERDICTS) if row[3].startswith(name)) for row in parts[0]]
    assert places == sorted(places, reverse=True)


def test_the_leak_is_shown_by_pictures_of_one_file_on_both_sides_of_the_split(parsed, results):
    paths = StudyPaths(results)
    views, table = pd.read_parquet(paths.views), pd.read_parquet(paths.protocol("by_view"))
    pairs = pictures.select_twins(parts_of_fold(select(views, table, scenarios()["nine_classes"]), 0))
    assert len(pairs) and (pairs["test"] != pairs["train"]).all()
    for side in ("test", "train"):
        assert views.loc[pairs[side], "source"].tolist() == pairs["source"].tolist()
    tenths = table["tenth_nine_classes"]
    assert (tenths[pairs["test"]] == 0).all() and not tenths[pairs["train"]].isin([0, 1, UNUSED]).any()
    share = pd.read_csv(paths.seen_in_training).query("protocol == 'by_view' and scenario == 'nine_classes'")["file"]
    assert parsed.tables["leak-shares"][1][:2] == ["by_view", f"{100 * share.iloc[0]:.2f}"]


@pytest.mark.slow
def test_a_fifth_scenario_appears_in_every_section_by_being_named_in_params(tmp_path, monkeypatch):
    fifth = {"table": 6, "title": "Nevus or melanoma", "classes": {name: [name] for name in ("melanoma", "nevus")}}
    for folder in (NOTEBOOKS, LIB, PARAMS):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    with (tmp_path / "params" / "scenarios.yaml").open("a", encoding="utf-8") as file:
        file.write(yaml.safe_dump({"nevus_melanoma": fifth}))
    monkeypatch.setitem(scenarios(), "nevus_melanoma", Scenario(**fifth))
    scenario_names = [*STUDY.scenarios, "nevus_melanoma"]
    cut = {"protocols": ["by_view", "clean"], "seeds": [0], "skip": STUDY.skip[:1], "scenarios": scenario_names}
    study = STUDY.model_copy(update=cut)
    write_study(tmp_path / "study", study)
    made = Page(make_report(tmp_path / "study", study, tmp_path / "notebooks").read_text(encoding="utf-8"))
    # one row per protocol, phase and model of the study; the paper prints none
    assert len(made.tables["table-6"]) == 2 + 2 * 2 * 2
    names = {attributes.get("id") for _, attributes in made.elements}
    assert {f"nevus_melanoma-{shown}" for shown in ("accuracy", "loss", "confusion")} | {"glance-6"} <= names
    for name in ("ladder-table", "beyond-calibration", "beyond-malignant", "beyond-comparisons"):
        assert any("Nevus or melanoma" in cell for row in made.tables[name] for cell in row), name
