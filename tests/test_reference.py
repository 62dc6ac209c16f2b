"""The tables in results/reference are what the outcomes beside them give."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.config.files import file_digest
from lib.config.paper import scenarios
from lib.config.paths import RESULTS, StudyPaths
from lib.scores.estimates import estimate
from lib.scores.outcomes import class_columns, read_outcomes, select_models
from tests.benchmarks.reference import build_report
from tests.report.made_study import Page

REPORTS = sorted(path.parents[1] for path in (RESULTS / "reference").glob("*/report/index.html"))
STUDIES = sorted(path.parent for path in (RESULTS / "reference").glob("*/outcomes"))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_every_accuracy_of_the_reference_tables_follows_from_the_outcomes_beside_them(folder):
    paths, compared = StudyPaths(folder), 0
    for name, scenario in scenarios().items():
        table = pd.read_csv(paths.table(scenario.table)).query("seeds > 0")
        for (preprocessing, variant), rows in table.groupby(["preprocessing", "variant"]):
            outcomes = read_outcomes(paths.of_variant(variant), preprocessing, name)
            models = select_models(outcomes, rows["protocol"].unique())
            for row in rows.itertuples():
                score = estimate(models[row.protocol, row.phase, row.backbone], resamples=1)
                assert score.images == row.n_test
                assert score.value == pytest.approx(row.test_accuracy, abs=1e-6), (name, row.protocol, row.backbone)
                compared += 1
    assert compared >= 12


def test_what_two_kept_studies_trained_alike_is_the_same_in_every_digit():
    first, second = (StudyPaths(RESULTS / "reference" / name) for name in ("mobilenet_cpu", "multiverse"))
    for name in scenarios():
        outcomes = [read_outcomes(paths, "native", name) for paths in (first, second)]
        ours, theirs = (select_models(table, ["by_view", "by_file"]) for table in outcomes)
        assert len(theirs) == 2
        for key, rows in theirs.items():
            columns = ["row", "fold", *class_columns(rows)]
            np.testing.assert_array_equal(rows[columns], ours[key][columns])


@pytest.mark.parametrize("folder", REPORTS, ids=lambda path: path.name)
def test_the_picture_of_the_kept_report_is_of_that_page(folder):
    report = StudyPaths(folder).report
    with Image.open(report.with_name("first_screen.png")) as picture:
        assert picture.size == (1440, 900) and picture.text["page"] == file_digest(report)


@pytest.mark.slow
@pytest.mark.parametrize("folder", REPORTS, ids=lambda path: path.name)
def test_the_kept_report_is_built_anew_from_the_files_beside_it_without_images(folder, tmp_path, monkeypatch):
    for name in ("SKINCAS_DATA", "SKINCAS_METADATA", "SKINCAS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    kept, made = StudyPaths(folder).report, build_report(StudyPaths(folder), folder.name, tmp_path)
    pages = [Page(path.read_text(encoding="utf-8")) for path in (kept, made)]
    said, again = ("".join(page.text).rpartition("Provenance")[0] for page in pages)  # versions differ
    assert said == again and "not kept: the terms of the images" in said and "part of the report failed" not in said
    drawn = {figure.get("id") for figure in pages[0].all("figure")}
    assert len(drawn) > 10 and not drawn & {"leak", "fig-3", "fig-4", "fig-6", "worst-cases", "near-duplicate-pictures"}
