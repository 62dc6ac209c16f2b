"""explore.ipynb on a small study made by the steps' own functions: what is shown follows the widgets and is right."""

import base64
import html
import io
import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image
from scipy.spatial.distance import cdist

from lib.config import params
from lib.config.paper import CLASSES, MALIGNANT
from lib.config.paths import LIB, NOTEBOOKS
from lib.data import preprocess
from lib.data.folder import decode
from lib.explain import gradcam, kmeans
from lib.explore import html as look
from lib.explore import lists, related
from lib.explore.explorer import Explorer
from lib.models import networks

SIZE = 64
at_first = {}  # what the explorer shows before anybody has touched it
HOSTILE = "<img src=x onerror=alert(1)>\u202e'\".jpg"


@pytest.fixture(scope="module")
def opened(study):
    """Opened once; `explorer` puts it back."""
    explorer = Explorer(str(study.root))
    at_first.update(protocol=explorer.ui.axes["protocol"].value, listed=explorer.ui.lists.value, kin=explorer.kin)
    return explorer


@pytest.fixture(scope="module")
def full(study):
    return networks.load(study.run("by_lesion", "native", "nine_classes", "MobileNet", 0), "transfer")


@pytest.fixture
def explorer(opened):
    """As it opens, whatever the test before has set."""
    ui = opened.ui
    ui.beside.value = False
    ui.axes["scenario"].value, ui.axes["protocol"].value = "nine_classes", "by_lesion"
    ui.lists.value, ui.part.value, ui.label.value, ui.fold.value = "all", "test", lists.EVERY_CLASS, 0
    ui.threshold.value, ui.start.value, ui.init.value = 0.5, 0, ("k-means++", 3)
    ui.chooser.index = 0
    ui.explained.value, ui.opacity.value, ui.k.value, ui.kind.value = "", 0.6, 3, "colour"
    ui.painted.value, ui.metric.value, ui.among.value = "segments", "cosine", "train"
    ui.back.click()
    return opened


def saved(explorer) -> pd.Series:
    """The saved prediction of the image that is chosen."""
    table = pd.read_parquet(explorer.first.opened.chosen["folder"] / "predictions_transfer.parquet")
    source, view = explorer.ui.chooser.value
    mine = (table["source"] == source) & (table["view"] == view) & (table["part"] == explorer.ui.part.value)
    assert mine.sum() == 1, "a view is tested once and validated once"
    return table[mine].iloc[0]


def pictures(widget) -> list[np.ndarray]:
    found = re.findall(r"src='data:image/png;base64,([^']+)'", widget.value)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def upload(explorer, name: str, content: bytes) -> None:
    given = dict(name=name, type="image/png", size=len(content), content=memoryview(content))
    explorer.ui.upload.value = (given | {"last_modified": datetime.now(UTC)},)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def taken(widget) -> tuple[str, bytes]:
    """Name and content of what a link saves."""
    (found,) = re.findall(r"download='([^']+)' href='data:[a-z/+]+;base64,([^']*)'", widget.value)
    return found[0], base64.b64decode(found[1])


def text(widget) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", widget.value))


def test_it_opens_with_a_leaked_image_and_its_training_views(opened, study):
    assert (at_first["protocol"], at_first["listed"]) == ("by_view", "leaked")
    dealt = pd.read_parquet(study.protocol("by_view"))["tenth_nine_classes"]
    views = pd.read_parquet(study.views)
    train = at_first["kin"][at_first["kin"]["part"] == "train"]
    assert len(train) and (train["relation"] == "same picture").any()
    assert not dealt.loc[train["row"]].isin([0, 1, -1]).any(), "fold 0 tests on tenth 0 and validates on tenth 1"
    assert set(views.loc[at_first["kin"]["row"], "source"]) == set(at_first["kin"]["source"])


def test_only_what_was_trained_can_be_chosen(explorer):
    assert [name for _, name in explorer.ui.study.options] == ["small"]
    assert explorer.ui.axes["scenario"].options == ("nine_classes", "three_malignant")
    assert explorer.ui.axes["protocol"].options == ("by_view", "by_lesion")
    explorer.ui.axes["scenario"].value = "three_malignant"
    assert explorer.ui.axes["protocol"].options == ("by_lesion",)
    assert set(explorer.first.probabilities) == set(MALIGNANT)


def test_image_and_probabilities_are_those_of_the_chosen_image(explorer, study):
    views = pd.read_parquet(study.views)
    images = preprocess.open_images(study.images)
    shown = []
    for _, value in explorer.ui.chooser.options[:3]:
        explorer.ui.chooser.value = value
        row = views.index[(views["source"] == value[0]) & (views["view"] == value[1])][0]
        assert np.array_equal(pictures(explorer.ui.shown)[0], images[row])
        expected = saved(explorer)
        assert explorer.first.probabilities == {name: expected[name] for name in params.CLASSES}
        bars = dict(
            re.findall(
                r"<th scope='row'>([a-z ]+?)(?: \(true\))?</th><td class='number'>([\d.]+)%", explorer.ui.bars.value
            )
        )
        assert bars == {name: f"{100 * expected[name]:.1f}" for name in params.CLASSES}
        assert f"{expected['true_class']} (true)" in explorer.ui.bars.value and value[0] in text(explorer.ui.title)
        shown.append(images[row].tobytes())
    assert len(set(shown)) > 1  # some are planted copies of each other


def test_filters_leave_the_class_the_part_and_the_worst_errors(explorer):
    table = pd.read_parquet(explorer.first.opened.chosen["folder"] / "predictions_transfer.parquet")
    test, names = table[(table["part"] == "test") & (table["fold"] == 0)], list(params.CLASSES)
    explorer.ui.label.value = "nevus"
    assert {value for _, value in explorer.ui.chooser.options} == set(
        test.loc[test["true_class"] == "nevus", ["source", "view"]].itertuples(index=False, name=None)
    )
    explorer.ui.label.value, explorer.ui.lists.value = lists.EVERY_CLASS, "errors"
    wrong = test[test[names].idxmax(axis=1) != test["true_class"]]
    of_truth = {(row["source"], row["view"]): row[row["true_class"]] for row in wrong.to_dict("records")}
    listed = [value for _, value in explorer.ui.chooser.options]
    assert set(listed) == set(of_truth) and len(listed) > 1
    assert [of_truth[value] for value in listed] == sorted(of_truth.values())
    assert explorer.ui.chooser.value == listed[0] and "wrong" in text(explorer.ui.title)
    explorer.ui.part.value = "val"
    assert saved(explorer)["part"] == "val" and saved(explorer)["fold"] == 0
    explorer.ui.part.value, explorer.ui.lists.value, explorer.ui.fold.value = "test", "all", lists.EVERY_FOLD
    chosen = pd.read_parquet(explorer.paths.protocol("by_lesion"))
    assert len(explorer.ui.chooser.options) == (chosen["tenth_nine_classes"] >= 0).sum(), "every view is tested once"


def test_map_is_that_of_the_class_to_explain_and_opacity_lays_it_over(explorer, full):
    image = explorer.image
    for place in (int(np.argmax(list(explorer.first.probabilities.values()))), 2, 5):
        if place in (2, 5):
            explorer.ui.explained.value = CLASSES[place]
        expected = gradcam.maps(full, image[None], [place])[0]
        assert np.allclose(explorer.first.heat, expected, atol=1e-4)
        assert params.CLASSES[place] in text(explorer.ui.overlaid)
    lesion = kmeans.segment(image).mask
    assert f"{expected[lesion].sum() / expected.sum():.0%} of the map" in text(explorer.ui.overlaid)
    explorer.ui.opacity.value = 0.0
    assert np.array_equal(pictures(explorer.ui.overlaid)[0], image)
    explorer.ui.opacity.value = 1.0
    assert np.array_equal(pictures(explorer.ui.overlaid)[0], gradcam.overlay(image, explorer.first.heat, 1.0))


def test_a_map_of_another_fold_than_the_one_that_tested_the_image_says_so(explorer, full, study):
    assert "weights are not saved" not in text(explorer.ui.overlaid) and "part of fold 0" in text(explorer.ui.title)
    for fold, role in ((4, "was trained on this image"), (1, "was validated on it")):
        explorer.ui.fold.value = fold
        assert saved(explorer)["fold"] == fold and f"Test part of fold {fold}" in text(explorer.ui.title)
        told = saved(explorer)[list(params.CLASSES)].astype(float)
        assert explorer.first.probabilities == pytest.approx(dict(told))
        expected = gradcam.maps(full, explorer.image[None], [int(np.argmax(told))])[0]
        assert np.allclose(explorer.first.heat, expected, atol=1e-4)
        assert f"of the model of fold 0, which {role}" in text(explorer.ui.overlaid)


def test_segments_follow_k_features_and_start(explorer):
    for k, kind in ((3, "colour"), (5, "colour"), (5, "colour_texture")):
        explorer.ui.k.value, explorer.ui.kind.value = k, kind
        expected = kmeans.segment(explorer.image, k, kind)
        assert np.array_equal(explorer.segmentation.labels, expected.labels)
        assert np.array_equal(pictures(explorer.ui.segments)[0], kmeans.paint(expected))
        assert f"abnormal {expected.mask.mean():.0%}" in text(explorer.ui.segments)
    explorer.ui.kind.value = "colour"
    inertias = set()
    for start in range(4):
        explorer.ui.start.value, explorer.ui.init.value = start, ("random", 1)
        expected = kmeans.segment(explorer.image, 5, init="random", attempts=1, seed=start)
        assert np.array_equal(explorer.segmentation.labels, expected.labels)
        assert f"J = {expected.inertia / expected.labels.size:,.0f} a pixel" in text(explorer.ui.segments)
        inertias.add(expected.inertia)
    assert len(inertias) > 1, "one random start ends elsewhere than another"
    explorer.ui.painted.value = "outline"
    assert np.array_equal(pictures(explorer.ui.segments)[0], kmeans.outline(explorer.image, expected.mask))


def test_a_second_model_answers_beside_the_first_on_the_same_image(explorer, study, full):
    ui, names = explorer.ui, list(CLASSES)
    ui.axes["protocol"].value, ui.chooser.index, ui.explained.value = "by_view", 2, "nevus"
    ui.beside.value = True
    key, row = ui.chooser.value, explorer.first.subject["row"]
    assert ui.axes_second["protocol"].value == "by_lesion" and ui.second.layout.display is None
    answers = {}
    for protocol in ("by_view", "by_lesion"):
        run = study.run(protocol, "native", "nine_classes", "MobileNet", 0)
        told = pd.read_parquet(run / "predictions_transfer.parquet")
        told = told[(told["row"] == row) & (told["part"] == "test")].iloc[0]
        answers[protocol] = told[names].astype(float)
    assert explorer.second.probabilities == pytest.approx(dict(answers["by_lesion"]))
    points = dict(re.findall(r"<th scope='row'>([a-z ]+?)(?: \(true\))?</th>.*?([-+][\d.]+)</td></tr>", ui.bars.value))
    less = 100 * (answers["by_view"] - answers["by_lesion"])
    assert {name: float(value) for name, value in points.items()} == pytest.approx(dict(less), abs=0.051)
    second = gradcam.maps(full, explorer.image[None], [names.index("nevus")])[0]
    assert np.allclose(explorer.second.heat, second, atol=1e-4)
    gap = np.abs(explorer.first.heat - second).mean()
    assert f"Mean difference {gap:.2f}" in text(ui.gap) and len(pictures(ui.gap)) == 1
    ui.beside.value = False
    assert explorer.second is None and ui.map_gap.layout.display == "none" and ui.chooser.value == key


def test_a_second_model_of_another_scenario_says_what_it_cannot_answer(explorer):
    ui = explorer.ui
    ui.label.value, ui.beside.value = "nevus", True
    ui.axes_second["scenario"].value = "three_malignant"
    assert set(explorer.second.probabilities) == set(MALIGNANT) and ui.map_gap.layout.display == "none"
    told = text(ui.title)
    assert re.search(r"of three malignant classes the nearest is .*; the right answer, nevus, is not among them", told)
    assert "Nevus is not among its answers" in told and "No part of this scenario" in told
    shared = explorer.probabilities().dropna()
    assert set(shared.index) == set(MALIGNANT) and ui.bars.value.count("–") == 6


def test_random_weights_are_named_at_the_answer_and_what_is_missing_at_ones_own_picture(explorer):
    assert "Random weights" in text(explorer.ui.title) and "not among" not in text(explorer.ui.title)
    upload(explorer, "mine.png", png(explorer.image))
    assert "Any other diagnosis, or healthy skin, is not among its answers" in text(explorer.ui.title)
    explorer.ui.axes["scenario"].value = "three_malignant"
    assert "Actinic keratosis, dermatofibroma, nevus" in text(explorer.ui.title)
    explorer.ui.back.click()
    explorer.ui.part.value = lists.OTHER
    assert set(explorer.listed["true_class"]) == set(CLASSES) - set(MALIGNANT)
    assert explorer.first.subject["saved"] is None and set(explorer.first.probabilities) == set(MALIGNANT)
    assert "no threshold here: all answers of this model are malignant" in text(explorer.ui.about_threshold)


def test_the_threshold_counts_the_test_set_of_the_fold(explorer):
    table = pd.read_parquet(explorer.first.opened.chosen["folder"] / "predictions_transfer.parquet")
    table = table[(table["part"] == "test") & (table["view"] == 0)]
    for fold, threshold in ((0, 0.5), (0, 0.2), (3, 0.35)):
        explorer.ui.fold.value, explorer.ui.threshold.value = fold, threshold
        mine = table[table["fold"] == fold]
        ill, called = mine["true_class"].isin(MALIGNANT), mine[list(MALIGNANT)].sum(axis=1) >= threshold
        right = f"sensitivity {(called & ill).sum() / ill.sum():.1%} ({(called & ill).sum()} of {ill.sum()})"
        assert f"originals: {right}" in text(explorer.ui.about_threshold)
        here = sum(explorer.first.probabilities[name] for name in MALIGNANT)
        verb = "is called" if here >= threshold else "is not called"
        assert f"{here:.0%} and {verb} malignant" in text(explorer.ui.about_threshold)


def test_next_and_previous_go_through_the_list_and_stop_at_its_ends(explorer):
    keys = [key for _, key in explorer.ui.chooser.options]
    explorer.ui.before.click()
    assert explorer.ui.chooser.value == keys[0]
    explorer.ui.next.click()
    explorer.ui.next.click()
    assert explorer.ui.chooser.value == keys[2] == (saved(explorer)["source"], saved(explorer)["view"])
    explorer.ui.before.click()
    assert explorer.ui.chooser.value == keys[1]


def test_the_figure_and_the_table_can_be_taken_along(explorer):
    ui = explorer.ui
    ui.beside.value = True
    ui.png.click()
    name, content = taken(ui.saved_figure)
    assert name.endswith(".png") and min(Image.open(io.BytesIO(content)).size) > 500
    ui.svg.click()
    name, content = taken(ui.saved_figure)
    drawn = ElementTree.fromstring(content)
    assert name.endswith(".svg") and len(drawn.findall(".//{http://www.w3.org/2000/svg}image")) >= 4
    ui.lists.value = "errors"
    ui.csv.click()
    name, content = taken(ui.saved_table)
    table = pd.read_csv(io.BytesIO(content))
    assert name == "small-errors.csv" and len(table) == len(ui.chooser.options)
    told = pd.read_parquet(explorer.first.opened.chosen["folder"] / "predictions_transfer.parquet")
    both = table.merge(told, on=["source", "view", "fold", "part"], suffixes=("", "_saved"))
    assert len(both) == len(table)
    for label in CLASSES:
        assert np.allclose(both[label], both[f"{label}_saved"], atol=1e-6)


@pytest.mark.parametrize("metric", related.METRICS)
def test_neighbours_are_the_nearest_training_files_by_scipy(explorer, study, metric):
    explorer.ui.metric.value, explorer.ui.fold.value = metric, 3
    explorer.ui.chooser.index = 4
    me = saved(explorer)["row"]
    features = np.load(study.features("native", "MobileNet")).astype(float)
    pool = pd.read_parquet(study.views).join(pd.read_parquet(study.protocol("by_lesion"))["tenth_nine_classes"])
    pool = pool[pool["tenth_nine_classes"].between(0, 9) & ~pool["tenth_nine_classes"].isin([3, 4])]  # fold 3 trains on
    pool = pool.assign(d=lambda v: cdist(features[v.index], features[[me]], metric)[:, 0])
    expected = pool.groupby("source")["d"].min()
    found, near = explorer.neighbours, dict(rtol=1e-6, atol=1e-14)  # planted copies tie, so their order is left open
    assert np.allclose(found["distance"], expected.nsmallest(related.NEIGHBOURS), **near)
    assert np.allclose(found["distance"], expected[found["source"]], **near) and found["source"].is_unique
    images = preprocess.open_images(study.images)
    for picture, row in zip(pictures(explorer.ui.near), explorer.neighbours["row"]):
        assert np.array_equal(picture, images[row])


def test_neighbours_say_where_they_are_of_the_same_picture_lesion_or_group(explorer, study, drawn):
    explorer.ui.among.value = "all"
    lesion_of = {file: lesion["lesion_id"] for lesion in drawn.planted["lesions"] for file in lesion["files"]}
    group_of = pd.read_parquet(study.image_index).set_index("source")["group"]
    said = set()
    for protocol in ("by_lesion", "by_view"):
        explorer.ui.axes["protocol"].value = protocol
        for _, (source, view) in explorer.ui.chooser.options[::3]:
            explorer.ui.chooser.value = (source, view)
            for other in explorer.neighbours.itertuples():
                assert (other.source, other.view) != (source, view)
                assert (other.relation == "same picture") == (other.source == source)
                assert (other.relation != "") == (group_of[other.source] == group_of[source])
                if lesion_of.get(source) and lesion_of.get(source) == lesion_of.get(other.source):
                    assert other.relation in ("same picture", "same content", "same lesion")
                said.add((protocol, other.relation, other.part))
            marks = re.findall(r"<figcaption><b class='\w*'>([^<]+)</b>", explorer.ui.near.value)
            assert marks == [relation for relation in explorer.neighbours["relation"] if relation]
    # the leak of `by_view`; under `by_lesion` all views of a picture are held out together
    assert ("by_view", "same picture", "train") in said
    assert {part for protocol, relation, part in said if protocol == "by_lesion" and relation} == {"test"}


def test_a_picture_of_ones_own_gets_all_of_it(explorer, study, full):
    known, row = saved(explorer), explorer.first.subject["row"]
    explorer.ui.chooser.index = 5
    picture = preprocess.open_images(study.images)[row]
    upload(explorer, HOSTILE, png(picture))  # a picture of the study, so what must come out is known
    assert np.array_equal(pictures(explorer.ui.shown)[0], picture)
    told = known[list(params.CLASSES)].astype(float)
    assert np.allclose(list(explorer.first.probabilities.values()), told, atol=1e-4)
    named = int(np.argmax(list(explorer.first.probabilities.values())))
    assert np.allclose(explorer.first.heat, gradcam.maps(full, picture[None], [named])[0], atol=1e-4)
    assert np.array_equal(explorer.segmentation.labels, kmeans.segment(picture).labels)
    explorer.ui.among.value = "all"
    assert explorer.neighbours.set_index("row")["distance"][row] < 1e-10  # itself, beside planted copies of it
    assert "own picture" in text(explorer.ui.title) and "not known" in text(explorer.ui.near)
    explorer.ui.axes["scenario"].value = "three_malignant"  # another model says something of the same picture
    assert explorer.own and set(explorer.first.probabilities) == set(MALIGNANT)
    explorer.ui.back.click()
    assert explorer.own is None and saved(explorer)["image_id"] in text(explorer.ui.title)


def test_a_large_or_transparent_picture_is_read_as_the_study_reads_one(explorer, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 4), dtype=np.uint8)
    (tmp_path / "one.png").write_bytes(png(pixels))
    upload(explorer, "one.png", png(pixels))
    assert np.array_equal(explorer.image, preprocess.resize(decode(tmp_path / "one.png"), SIZE))


@pytest.mark.parametrize("content", [b"", b"no picture", png(np.zeros((40, 40, 3), np.uint8))[:60], b"GIF89a" * 9])
def test_what_cannot_be_read_is_refused_with_a_message_and_changes_nothing(explorer, content):
    before = explorer.ui.title.value, explorer.image.tobytes()
    upload(explorer, HOSTILE, content)
    assert "was refused" in text(explorer.ui.message)
    assert (explorer.ui.title.value, explorer.image.tobytes()) == before and explorer.own is None


def test_a_picture_with_too_many_pixels_is_refused(explorer, monkeypatch):
    monkeypatch.setattr("lib.data.folder.MAX_PIXELS", 100)
    upload(explorer, "large.png", png(np.zeros((11, 10, 3), np.uint8)))
    assert "100 pixels allowed" in text(explorer.ui.message)


def test_names_from_outside_stay_text(explorer):
    upload(explorer, HOSTILE, png(explorer.image))
    made = [w.value for w in vars(explorer.ui).values() if isinstance(w, ipywidgets.HTML)]
    assert any("&lt;img src=x onerror" in value for value in made)
    for value in made:
        assert "<img src=x" not in value and "\u202e" not in value
    figure = look.figure(explorer.image, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    assert figure.count("<img ") == 1 and figure.count("'") == 6
    link = look.save_link(b"", "image/png", HOSTILE)
    table = look.bars(pd.DataFrame({HOSTILE: {HOSTILE: 0.5}, "other": {HOSTILE: 0.4}}), HOSTILE)
    assert "<img" not in link + table and link.count("'") == 6


def test_it_says_what_it_is_and_that_images_are_synthetic(explorer, study, full, monkeypatch):
    assert "no medical device" in text(explorer.view.children[0])
    assert explorer.ui.banner.value == "" and "ynthetic" not in explorer.ui.shown.value
    monkeypatch.setattr(networks, "load", lambda *_: full)
    study.demo_data.mkdir()
    try:
        synthetic = Explorer(str(study.root))
        assert "Synthetic study" in text(synthetic.ui.banner)
        for widget in (synthetic.ui.shown, synthetic.ui.overlaid, synthetic.ui.segments, synthetic.ui.near):
            assert all("synthetic" in words for words in re.findall(r"alt='([^']*)'", widget.value))
    finally:
        study.demo_data.rmdir()


def test_without_the_weights_the_rest_is_still_shown(study, monkeypatch):
    def missing(*_):
        raise networks.WeightsError("weights/x.h5: no such file")

    monkeypatch.setattr(networks, "load", missing)
    alone = Explorer(str(study.root))
    assert "x.h5: no such file" in text(alone.ui.message) and "SKINCAS_WEIGHTS" in text(alone.ui.message)
    assert alone.first.heat is None and pictures(alone.ui.shown) and len(alone.neighbours) and alone.first.probabilities
    alone.ui.opacity.value, alone.ui.k.value = 0.1, 4  # nothing to lay over, segments still change
    assert len(alone.segmentation.names) == 4


def test_a_second_model_whose_files_are_broken_is_named_and_the_first_stays(explorer, study):
    told = study.run("by_lesion", "native", "three_malignant", "MobileNet", 0) / "predictions_transfer.parquet"
    content = told.read_bytes()
    explorer.ui.beside.value = True
    try:
        told.write_bytes(b"broken")
        explorer.ui.axes_second["scenario"].value = "three_malignant"
        assert "files cannot be read" in text(explorer.ui.message) and explorer.second is None
        assert explorer.first.probabilities and pictures(explorer.ui.shown)
    finally:
        told.write_bytes(content)


def test_models_and_maps_are_made_once(study, full, monkeypatch):
    made, maps = [], gradcam.maps
    monkeypatch.setattr(networks, "load", lambda *_: (made.append("load"), full)[1])
    monkeypatch.setattr(gradcam, "maps", lambda *given: (made.append("maps"), maps(*given))[1])
    fresh = Explorer(str(study.root))
    seen = set()
    for index in (1, 0, 4, 1, 0, 4):
        fresh.ui.chooser.index = index
        seen.add(fresh.image.tobytes())
    assert made.count("load") == 1 and made.count("maps") == len(seen) > 1  # some are planted copies of each other


def test_the_notebook_runs_with_no_result_there_and_says_how_to_make_one(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "lib").symlink_to(LIB)
    notebook = nbformat.read(NOTEBOOKS / "explore.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path / "notebooks")}}).execute()
    assert "python run_all.py demo" in str(notebook.metadata["widgets"])
