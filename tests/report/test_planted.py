"""What was planted, what was found: on the images itself, and on results that are wrong on purpose."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from lib.config.paper import CLASSES
from lib.config.params import load_study
from lib.config.paths import DEMO_METADATA, StudyPaths
from lib.data import demo
from lib.data.index import build_index
from lib.report import planted
from tests.fixtures.predictions import write_prepared

STUDY = load_study("demo")


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> StudyPaths:
    """The demo's images, audited and prepared as its notebooks do."""
    study = StudyPaths(tmp_path_factory.mktemp("planted"))
    demo.ensure(study.demo_data, 12, 64, 0)
    near = STUDY.near_duplicate_bits, STUDY.near_duplicate_difference
    index, _ = build_index(study.demo_data, [study.demo_data / DEMO_METADATA], *near)
    write_prepared(study, index, dict.fromkeys(CLASSES, 30))
    return study


@pytest.fixture
def truth(paths) -> dict:
    return demo.ensure(paths.demo_data, 12, 64, 0)


def test_every_planted_flaw_is_found_and_none_invented(paths, truth):
    rows = planted.find_flaws(truth, pd.read_parquet(paths.image_index), pd.read_csv(paths.label_changes))
    assert len(rows) == 6 and (rows["planted"] > 0).all()
    assert (rows["found"] == rows["planted"]).all() and (rows["invented"] == 0).all(), rows


def test_a_flaw_that_is_missed_or_invented_is_counted(paths, truth):
    index, changes = pd.read_parquet(paths.image_index), pd.read_csv(paths.label_changes, keep_default_na=False)
    lesion = truth["lesions"][0]
    index.loc[index["source"].isin(lesion["files"]), "lesion_id"] = ""
    images = pd.DataFrame(truth["images"]).set_index("file")["class"]
    wrong = images.index.str.split("/").str[1] != images
    right = images[~wrong].drop(changes["source"], errors="ignore")
    change = {"source": right.index[0], "class": "nevus" if right.iloc[0] != "nevus" else "melanoma"}
    changed = pd.concat([changes.iloc[1:], pd.DataFrame([change])])
    rows = planted.find_flaws(truth, index, changed).set_index("what")
    missed = pd.Series({"lesions with several images": 1, "wrong labels": int(wrong[changes["source"].iat[0]])})
    assert (rows["planted"] - rows["found"])[missed.index].tolist() == missed.tolist()
    assert rows.loc[missed.index, "invented"].tolist() == [0, 1]


@pytest.mark.parametrize("worst_first", [True, False])
def test_the_ranking_of_wrong_labels_is_compared_with_what_was_planted(truth, worst_first):
    drawn = pd.DataFrame(truth["images"])
    ranked = pd.DataFrame({"source": drawn["file"], "class": drawn["file"].str.split("/").str[1]})
    wrong = ranked["class"].to_numpy() != drawn["class"].to_numpy()
    ranked["rank"] = np.argsort(np.argsort(~wrong if worst_first else wrong, kind="stable")) + 1
    row = planted.rank_wrong_labels(drawn, ranked.sample(frac=1, random_state=0)).iloc[0]
    first = wrong.sum() if worst_first else 0
    assert (row["planted"], row["among_first"], row["in_order"]) == (wrong.sum(), first, float(worst_first))
    assert planted.rank_wrong_labels(drawn, pd.DataFrame()).empty


def test_no_observer_of_looks_does_better_than_what_the_images_allow(paths, truth):
    files = pd.DataFrame(truth["images"])
    filed = files["file"].str.split("/").str[1]
    best = Counter(zip(files["looks_like"], filed))
    most = sum(max(best[look, label] for label in CLASSES) for look in CLASSES)
    shown = pd.DataFrame([{"scenario": "nine_classes", "phase": "transfer", "rung": "originals"}])
    assert planted.compare_with_best(paths, shown, files)["best"].tolist() == pytest.approx([most / len(files)])
    assert (files["looks_like"] == filed).mean() <= most / len(files) < 1
