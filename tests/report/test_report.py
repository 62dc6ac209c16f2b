"""The report: its numbers against scikit-learn, its page against a parser, and the cases where results are missing."""

import base64
import json
import re
import shutil
from decimal import Decimal
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from lib.config import LIB, NOTEBOOKS, PARAMS, PHASES, Scenario, Study, StudyPaths, literature, published, scenarios
from lib.report import accuracy, audits, html, notebooks, pages, paper_figures, summary, tables
from tests.report.made_study import AS_TEXT, FAILED, HOSTILE, NOT_RUN, STUDY, Page, make_report, write_study


@pytest.fixture(scope="module")
def parsed(page) -> Page:
    return Page(page.read_text(encoding="utf-8"))


def test_table_numbers_are_the_means_of_scikit_learn_on_the_saved_predictions(results):
    for scenario in STUDY.scenarios:
        table = tables.scenario_table(StudyPaths(results), STUDY, scenario).set_index(["protocol", "phase", "backbone"])
        for (protocol, phase, backbone), row in table.iterrows():
            expected = []
            for seed in STUDY.seeds:
                folder = StudyPaths(results).run(protocol, "native", scenario, backbone, seed)
                if not folder.is_dir():
                    continue
                predictions = pd.read_parquet(folder / f"predictions_{phase}.parquet")
                names = scenarios()[scenario].names
                val, test = (predictions[predictions["part"] == part] for part in ("val", "test"))
                true, guess = test["true_class"], test[names].idxmax(axis=1)
                weighted = {"average": "weighted", "zero_division": 0}
                expected.append(
                    [
                        accuracy_score(val["true_class"], val[names].idxmax(axis=1)),
                        accuracy_score(true, guess),
                        precision_score(true, guess, **weighted),
                        recall_score(true, guess, **weighted),
                        f1_score(true, guess, **weighted),
                    ]
                )
            assert row["seeds"] == len(expected)
            if expected:
                measures = row[["val_accuracy", "test_accuracy", "precision", "recall", "f1"]].to_numpy(float)
                np.testing.assert_allclose(measures, np.mean(expected, axis=0), atol=1e-9)
                assert row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"]
            else:
                assert (
                    row.drop([c for c in row.index if c.startswith("published_")] + ["seeds", "preprocessing"])
                    .isna()
                    .all()
                )


def test_tables_hold_a_row_for_every_cell_in_the_order_and_columns_of_the_design(page, results):
    columns = (
        "protocol, preprocessing, phase, backbone, seeds, folds, n_test, val_accuracy, test_accuracy, "
        "test_accuracy_low, test_accuracy_high, repetition_low, repetition_high, precision, recall, f1, "
        "balanced_accuracy, published_val_accuracy, published_test_accuracy, published_precision, published_recall, "
        "published_f1"
    )
    for number in (1, 2, 3, 4):
        table = pd.read_csv(StudyPaths(results).table(number))
        assert ", ".join(table.columns) == columns
        cells = [(p, "native", phase, b) for p in STUDY.protocols for phase in PHASES for b in STUDY.backbones]
        assert [tuple(row) for row in table[["protocol", "preprocessing", "phase", "backbone"]].to_numpy()] == cells
        printed = published().query("table == @number").set_index(["phase", "backbone"])["f1"]
        assert [round(100 * f1, 2) for f1 in table["published_f1"]] == [printed[phase, b] for _, _, phase, b in cells]
    fifth = pd.read_csv(StudyPaths(results).table(5))
    assert len(fifth) == len(literature()) + len(STUDY.scenarios) * len(STUDY.protocols)
    maps = pd.read_csv(results / "gradcam" / "gradcam.csv")
    assert set(zip(maps["scenario"], maps["backbone"])) == {("nine_classes", "MobileNet")} and len(maps) == 9


def test_tables_are_written_without_the_noise_of_binary_fractions(page, results):
    for path in (results / "tables").glob("*.csv"):
        assert not re.search(r"\d\.0*[1-9]\d{6}", path.read_text(encoding="utf-8")), path.name
    values = [44.06 / 100, 2 / 3, 200 / 3, 901.0, 0.0, -1.5, 1.23456789e-12, float("nan"), "84.910000001", 7, True]
    text = tables.as_csv(pd.DataFrame({"value": values, "last": 1}, dtype=object))
    shown = ["0.4406", "0.666667", "66.666667", "901", "0", "-1.5", "1.23457e-12", "", "84.910000001", "7", "True"]
    assert [line.removesuffix(",1") for line in text.splitlines()[1:]] == shown
    rows = pd.read_csv(results / "tables" / "table_1.csv", dtype=str)
    printed = published().query("table == 1").astype(str).set_index(["phase", "backbone"])["test_accuracy"]
    for row in rows.itertuples():
        assert Decimal(row.published_test_accuracy) == Decimal(printed[row.phase, row.backbone]) / 100


def test_runs_that_are_not_done_are_said_first_and_where_their_numbers_would_be(page, parsed, results):
    missing = pd.read_csv(results / "tables" / "missing.csv").set_index("run")
    assert set(missing.index) == {FAILED, NOT_RUN}
    text = " ".join("".join(parsed.text).split())
    said = text.index("2 of")
    total = len(json.loads((results / "state.json").read_text()))
    assert text[said:].startswith(f"2 of {total} runs are not done (1 failed, 1 not run)")
    # the last mention is the heading; the contents name it before
    assert said < text.rindex("The answer in five sentences") < text.rindex("How the runs ended")
    # six benign classes: one model was left out by the study, so its cells say so and hold no number
    rows = [row for row in parsed.tables["table-3"] if row[0] == "Our Model"]
    assert len(rows) == 6 and all("left out" in row and row.count("–") == 10 for row in rows)


def test_a_study_with_half_its_runs_failed_still_has_a_report_that_says_so_before_all_else(results, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(results, root, ignore=shutil.ignore_patterns("report", "tables", "claims.json"))
    state = json.loads((root / "state.json").read_text())
    failed = list(state)[::2]
    for run in failed:
        state[run] |= {"status": "failed", "error": f"MemoryError: {HOSTILE}"}
        axes = state[run]["axes"]
        match state[run]["step"]:
            case "train":
                shutil.rmtree(StudyPaths(root).run(*axes.values()), ignore_errors=True)
            case "evaluate":
                shutil.rmtree(StudyPaths(root).evaluation(*axes.values()))
            case "prepare":
                shutil.rmtree(StudyPaths(root).prepared(*axes.values()))
            case "audit" | "kmeans" | "gradcam" as step:
                shutil.rmtree(root / step)
    (root / "state.json").write_text(json.dumps(state))
    text = make_report(root).read_text(encoding="utf-8")
    main = text[text.index("<main") :]
    not_done = len(set(failed) | {FAILED, NOT_RUN})
    said = rf"<main[^>]*>\s*<aside[^>]*>\s*<p>\s*<strong>{not_done} of {len(state)} runs are not done</strong>"
    assert not_done >= len(state) / 2 and re.match(said, main)
    shown = Page(text)
    assert "This part of the report failed" not in "".join(shown.text)
    assert len(shown.tables["table-1"]) > 10 and shown.tables["missing"]


def test_every_number_on_the_page_is_that_of_the_csv_and_of_the_download(page, parsed, results):
    for number in (1, 2, 3, 4):
        table = pd.read_csv(StudyPaths(results).table(number))
        rows = parsed.tables[f"table-{number}"][2:]
        for (_, row), shown in zip(table.iterrows(), rows):
            if row["seeds"]:
                assert shown[3] == f"{row['n_test']:.0f}"
                for place, measure in enumerate(("val_accuracy", "test_accuracy", "precision", "recall", "f1")):
                    printed, ours, difference = shown[4 + 3 * place : 7 + 3 * place]
                    assert printed == f"{100 * row[f'published_{measure}']:.2f}"
                    assert ours.split()[0] == f"{100 * row[measure]:.2f}"
                    expected = 100 * (row[measure] - row[f"published_{measure}"])
                    assert float(difference.replace("−", "-")) == pytest.approx(expected, abs=0.051)
        assert len(rows) == len(table) + 8  # the printed rows of the four models that this study does not have
        link = next(a for a in parsed.all("a") if a.get("download") == f"table-{number}.csv")
        assert base64.b64decode(link["href"].partition(",")[2]) == StudyPaths(results).table(number).read_bytes()


def test_the_page_loads_nothing_and_all_its_links_lead_somewhere(page, parsed):
    assert page.stat().st_size < 12e6
    for tag, attributes in parsed.elements:
        for name in ("src", "srcset", "data", "action", "poster", "xlink:href"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") for name in attributes), attributes
    assert all(link["href"].startswith("data:") for link in parsed.all("link"))
    style = re.search(r"<style>(.*?)</style>", page.read_text(encoding="utf-8"), re.S)[1]
    assert "url(" not in style and "@import" not in style
    names = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for link in parsed.all("a"):
        target = link["href"]
        if target.startswith("#"):
            assert unquote(target[1:]) in names
        elif not target.startswith("data:"):
            assert (page.parent / unquote(target)).is_file(), target
    labelled = {attributes.get("aria-labelledby") for _, attributes in parsed.elements} - {None}
    assert labelled <= set(names)


def test_every_run_that_was_executed_has_a_page_beside_the_report_that_loads_nothing_but_its_style(page, results):
    state = json.loads(StudyPaths(results).state.read_text())
    made = {path.stem for path in (page.parent / "notebooks").iterdir()}
    assert made == set(state) - {NOT_RUN}
    linked = {unquote(a["href"]) for a in Page(page.read_text(encoding="utf-8")).all("a")}
    assert {link for link in linked if link.endswith(".html")} <= {f"notebooks/{name}.html" for name in made}
    assert f"notebooks/{FAILED}.html" in linked
    for name in made:
        path = StudyPaths(results).notebook_page(name)
        shown = Page(path.read_text(encoding="utf-8"))
        assert not [tag for tag, _ in shown.elements if tag in ("script", "iframe", "object", "embed", "base", "form")]
        assert not [a for _, a in shown.elements if any(key.startswith("on") for key in a)]
        assert all(a["src"].startswith("data:") for _, a in shown.elements if "src" in a)
        (style,) = [a["href"] for a in shown.all("link") if a["rel"] == "stylesheet"]
        links = [a["href"] for a in shown.all("a")]
        assert f"../../notebooks/{name}.ipynb" in links and "../index.html" in links
        places = {a["id"] for _, a in shown.elements if "id" in a}
        for link in (style, *links):
            assert unquote(link[1:]) in places if link.startswith("#") else (path.parent / unquote(link)).is_file()


def test_the_page_of_a_failed_run_says_so_first_and_shows_its_traceback(page, results):
    path = StudyPaths(results).notebook_page(FAILED)
    text = "".join(Page(path.read_text(encoding="utf-8")).text)
    said, traceback = text.index("This run failed."), text.index("Traceback\nValueError")
    assert said < text.index("04 Train", text.index("Executed notebook")) < traceback
    assert "\x1b" not in text
    done = StudyPaths(results).notebook_page("kmeans").read_text(encoding="utf-8")
    assert "failed" not in done and "Traceback" not in done and "$x^2$" in done


def test_in_outputs_of_notebooks_names_stay_text_and_tables_stay_tables(page, results):
    text = StudyPaths(results).notebook_page(FAILED).read_text(encoding="utf-8")
    shown = Page(text)
    # printed, in the table, as the text of a display, as the error of the run, in the traceback
    # (pandas writes the end of a line in a cell as \\n)
    assert "".join(shown.text).replace("\\n", "\n").count(AS_TEXT) == 5 and "\u202e" not in text
    assert len(shown.all("table")) == 1 and "alert(3)" not in text
    assert "<b>x</b>" in text and "&lt;script&gt;alert(2)&lt;/script&gt;" in text


def test_a_notebook_that_cannot_be_read_has_a_page_that_says_so_and_pages_of_runs_that_are_gone_go(results, tmp_path):
    shutil.copytree(results / "notebooks", tmp_path / "study" / "notebooks")
    shutil.copy(results / "state.json", tmp_path / "study")
    again = StudyPaths(tmp_path / "study", tmp_path / "attempt")
    again.executed("kmeans").write_text('{"cells": [')
    again.executed("audit").unlink()
    notebooks.write_pages(again)
    assert "kmeans.ipynb cannot be read as a notebook" in again.new(again.notebook_page("kmeans")).read_text()
    assert not again.new(again.notebook_page("audit")).exists()
    assert [html.notebook(again, run) for run in ("audit", "kmeans")] == ["", "notebooks/kmeans.html"]


def test_every_picture_has_alternative_text_a_caption_and_the_notebook_that_drew_it(page, parsed):
    pictures, figures = parsed.all("img"), parsed.all("figure")
    assert len(pictures) == len(figures) == len(parsed.all("figcaption")) > 20
    assert all(len(picture["alt"]) > 10 for picture in pictures)
    text = page.read_text(encoding="utf-8")
    for caption in re.findall(r"<figcaption>.*?</figcaption>", text, re.S):
        assert "../notebooks/report.ipynb" in caption
    # every figure of the paper that shows a result is there, ours or the word that it is missing
    named = {attributes.get("id") for _, attributes in parsed.elements}
    assert {f"fig-{n}" for n in range(3, 21) if n not in (5, 15)} <= named


def test_only_runs_that_took_place_are_counted_with_their_times(parsed, results):
    state = json.loads((results / "state.json").read_text())
    took_place = [run["step"] for run in state.values() if run["status"] in ("done", "failed")]
    assert state[NOT_RUN]["step"] == "train"  # one that did not
    counts = {row[0]: int(row[1]) for row in parsed.tables["times"][1:]}
    assert counts == {step: took_place.count(step) for step in set(took_place)}


def test_names_from_data_stay_text(page, parsed):
    text = page.read_text(encoding="utf-8")
    assert len(parsed.all("script")) == 1 and "alert(" not in re.sub(r"&lt;script&gt;alert\(", "", text)
    shown = "".join(parsed.text)
    assert AS_TEXT in shown and "\u202e" not in shown
    assert shown.count(STUDY.title) >= 1 and not [tag for tag, _ in parsed.elements if tag == "evil"]


def test_a_synthetic_study_says_so_and_only_that(page, parsed):
    assert "These numbers say nothing about skin lesions" in " ".join("".join(parsed.text).split())
    assert "no medical device" in "".join(parsed.text)
    real = STUDY.model_copy(update={"synthetic": False})
    assert "Synthetic" not in summary.opening(real).data


def test_without_any_results_each_part_says_what_is_not_there(tmp_path):
    paths = StudyPaths(tmp_path)
    tables.write_tables(paths, STUDY)
    said = [sentence.lower() for sentence in summary.answer_sentences(paths, STUDY)]
    assert len(said) == 5 and all("not measured" in s or "not judged" in s or "not audited" in s for s in said)
    assert "not recorded" in summary.warnings(paths).data
    parts = [
        *(
            summary.run_status(paths),
            summary.claims(paths),
            summary.waterfall(paths, STUDY),
            accuracy.mcnemar(paths, STUDY),
        ),
        *(audits.printed_audit(paths), audits.dataset_audit(paths), audits.worst_cases(paths, STUDY)),
        *(audits.protocol_changes(paths, STUDY), audits.protocol_sizes(paths, STUDY)),
        *(paper_figures.samples_figure(paths, STUDY), paper_figures.counts_figure(paths, STUDY)),
        *(paper_figures.gradcam_figure(paths, STUDY), paper_figures.kmeans_figure(paths, STUDY)),
        *(paper_figures.curves_figures(paths, STUDY, name) for name in STUDY.scenarios),
        *(paper_figures.confusion_figure(paths, STUDY, name) for name in STUDY.scenarios),
        *(accuracy.accuracy_figure(paths, STUDY, name) for name in STUDY.scenarios),
    ]
    assert all("Not there." in part.data and "<img" not in part.data for part in parts)
    assert "–" in accuracy.accuracy_table(paths, STUDY, "nine_classes").data


def test_the_answer_is_made_from_the_files(page, results, tmp_path):
    shutil.copytree(results, tmp_path / "study")
    paths = StudyPaths(tmp_path / "study")
    verdicts = json.loads(paths.claims.read_text())
    for claim in verdicts:
        claim["verdict"] = "not reproduced"
    verdicts[0]["verdict"] = "reproduced"
    paths.claims.write_text(json.dumps(verdicts))
    audit = json.loads(paths.dataset_audit.read_text())
    paths.dataset_audit.write_text(json.dumps(audit | {"contradictory_contents": 4711}))
    sentences = summary.answer_sentences(paths, STUDY)
    assert f"1 is reproduced, {len(verdicts) - 1} are not reproduced" in sentences[0]
    way = pd.read_csv(paths.tables / "decomposition.csv").query("scenario == 'nine_classes' and phase == 'finetune'")
    way = way[way["backbone"] == "EfficientNetV2B3"].iloc[0]
    assert f"84.9 → {100 * way['published']:.1f} → {100 * way['grouped']:.1f}" in sentences[1]
    assert "4,711 contents filed under more than one class" in sentences[4]


def test_a_notebook_that_was_not_executed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no outputs: execute it"):
        pages.to_html(NOTEBOOKS / "08_report.ipynb", tmp_path / "index.html")


def test_every_open_choice_is_a_parameter_of_the_notebook_and_shows_the_value_used(page, parsed):
    rows = {row[1]: row[2] for row in parsed.tables["open-choices"][1:]}
    assert rows["units"] == str(STUDY.units) and rows["transfer_epochs"] == "5" and rows["seeds"] == "0, 1"
    assert rows.keys() <= set(Study.model_fields)


def test_where_the_study_lacks_the_papers_model_another_stands_for_it_by_name(results):
    assert tables.shown_model(STUDY, "nine_classes") == "EfficientNetV2B3"
    assert tables.shown_model(STUDY, "six_benign") == "MobileNet"
    assert "MobileNet (EfficientNetV2B3, the paper&#39;s own model, is not in" in (
        paper_figures.confusion_figure(StudyPaths(results), STUDY, "six_benign").data
    )


def test_a_fifth_scenario_appears_in_every_section_by_being_named_in_params(tmp_path, monkeypatch):
    fifth = {"table": 6, "title": "Nevus or melanoma", "classes": {name: [name] for name in ("melanoma", "nevus")}}
    for folder in (NOTEBOOKS, LIB, PARAMS):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    with (tmp_path / "params" / "scenarios.yaml").open("a", encoding="utf-8") as file:
        file.write(yaml.safe_dump({"nevus_melanoma": fifth}))
    monkeypatch.setitem(scenarios(), "nevus_melanoma", Scenario(**fifth))
    cut = {"protocols": ["published", "clean"], "seeds": [0], "scenarios": [*STUDY.scenarios, "nevus_melanoma"]}
    study = STUDY.model_copy(update=cut)
    write_study(tmp_path / "study", study)
    made = Page(make_report(tmp_path / "study", study, tmp_path / "notebooks").read_text(encoding="utf-8"))
    headings = {attributes["id"] for tag, attributes in made.elements if tag == "h3" and "id" in attributes}
    assert {"table-vi:-nevus-or-melanoma", "nevus-or-melanoma:-training-and-confusion"} <= headings
    # a row a protocol, phase and model of the study under two heads; the paper prints none
    assert len(made.tables["table-6"]) == 2 + 2 * 2 * 2
    names = {attributes.get("id") for _, attributes in made.elements}
    assert {f"nevus_melanoma-{shown}" for shown in ("accuracy", "loss", "confusion")} | {"glance-6"} <= names
    pictures = " ".join(picture["alt"] for picture in made.all("img"))
    assert pictures.count("Nevus or melanoma") >= 3  # from printed to clean, all scenarios side by side: two protocols
    for name in ("table-5", "mcnemar", "beyond-calibration", "beyond-malignant", "beyond-comparisons"):
        rows = [" ".join(row) for row in made.tables[name]]
        if name == "table-5":
            assert sum("This study" in row for row in rows) == len(study.scenarios) * len(study.protocols)
        else:
            assert any("Nevus or melanoma" in row for row in rows), name
