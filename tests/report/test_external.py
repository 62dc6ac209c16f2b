"""The section on external images, on what the steps before really write."""

import shutil

import numpy as np
import pandas as pd
import pytest

from lib.config.paper import CLASSES, scenarios
from lib.config.paths import StudyPaths
from lib.data.external import external_images, read_external
from lib.report import ladder, tables
from lib.scores.outcomes import external_outcomes, write_outcomes
from tests.fixtures.pictures import picture, save
from tests.report.made_study import STUDY, Page

CELL = {"preprocessing": "native", "scenario": "three_malignant"}


@pytest.fixture(scope="module")
def external(results, tmp_path_factory):
    """The study with external images: four a class, one of them a broken file, none of a nevus; its models are
    right about half of them."""
    root = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(results, root / "study")
    paths = StudyPaths(root / "study")
    for place, label in enumerate(CLASSES):
        for number in range(4):
            save(root / "images" / label / f"{place}-{number}.png", picture(100 * place + number))
    shutil.rmtree(root / "images" / "nevus")
    (root / "images" / "melanoma" / "<b>.png").write_text("no picture")
    index = pd.read_parquet(paths.image_index)
    files = read_external(root / "images", scenarios(), [], index, root, bits=8, difference=9.0)
    described = external_images(files, scenarios()[CELL["scenario"]])
    names, random = scenarios()[CELL["scenario"]].names, np.random.default_rng(0)
    outcomes_of = []
    for protocol in STUDY.protocols:
        said = np.where(random.random(len(described)) < 0.5, described["true_class"], random.choice(names))
        shares = pd.DataFrame({name: np.where(said == name, 0.8, 0.1) for name in names})
        model = {"protocol": protocol, "phase": "transfer", "backbone": "MobileNet", "seed": 0, "fold": 0}
        table = described.assign(**model, row=described.index, view=0, part="external")
        outcomes_of.append(pd.concat([table, shares], axis=1))
    write_outcomes(external_outcomes(pd.concat(outcomes_of, ignore_index=True)), paths.external_outcomes(**CELL))
    files.to_csv(paths.external_files(**CELL), index=False)
    return paths, tables.external_table(paths, STUDY, tables.score_table(paths, STUDY))


def test_excluded_files_are_counted_and_scenarios_without_images_of_a_class_named(external):
    paths, _ = external
    files = tables.read_external_files(paths, STUDY)
    counts = tables.count_external_files(files).set_index("class")
    assert counts.loc["all"].sort_values().tolist() == [1, 32, 33] and counts.at["melanoma", "kept"] == 4
    assert "melanoma/<b>.png" in files.loc[files["excluded"].notna(), "source"].iloc[0]
    missing = tables.missing_classes(files, STUDY).set_index("scenario")["without"]
    assert missing["nine_classes"] == "nevus" and "three_malignant" not in missing


def test_the_ladder_explains_the_rung_only_where_it_is(external, results):
    paths, scores = external
    assert set(scores["scenario"]) == {"three_malignant"}
    for study, expected in ((paths, True), (StudyPaths(results), False)):
        rungs = ladder.rung_table(tables.ladder_table(study, STUDY))
        assert ("external images" in set(rungs["scored_on"])) == expected


def test_without_such_images_a_line_says_how_to_give_some(page):
    text = " ".join("".join(Page(page.read_text(encoding="utf-8")).text).split())
    assert "No external images were given." in text and "--external DIR" in text
    assert "external" not in {path.stem for path in (page.parents[1] / "tables").iterdir()}
