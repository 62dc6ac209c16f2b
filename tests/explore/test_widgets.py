"""explore.ipynb on a small study made by the steps' own functions: what is shown follows the widgets and is right."""

import base64
import html
import io
import json
import os
import re
from datetime import UTC, datetime

import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image
from scipy.spatial.distance import cdist

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lib.explore.widgets import EVERY_FOLD

from lib.config import LIB, MALIGNANT, NOTEBOOKS, StudyPaths, params
from lib.data import FOLDS, build_index, deal, decode, demo, parts_of_fold, pool_views, preprocess, select
from lib.explain import gradcam, kmeans
from lib.explore import Explorer, results
from lib.explore import html as look
from lib.models import extract_features, networks, training

SIZE = 64
HOSTILE = "<img src=x onerror=alert(1)>\u202e'\".jpg"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Twelve images a class, so that each of the ten folds tests some of each."""
    return demo.ensure(tmp_path_factory.mktemp("demo") / "data", images_per_class=12, size=SIZE, seed=0)


@pytest.fixture(scope="module")
def study(tmp_path_factory, drawn):
    """A study of 108 synthetic images, two protocols; its heads are random: nothing here asks if they are good."""
    paths = StudyPaths(tmp_path_factory.mktemp("results") / "small")
    index, _ = build_index(drawn.folder, drawn.folder / "metadata.csv", bits=8, difference=9.0)
    paths.new(paths.image_index)
    index.to_parquet(paths.image_index)
    network = networks.build_backbone("MobileNet", SIZE, "none")
    extractor = networks.build_extractor(network, "native", frozen=True)
    views = pool_views(index, dict.fromkeys(params.CLASSES, 24), 80, 0)
    preprocess.write_images(views, decode, drawn.folder, paths.new(paths.images), SIZE, 0, 180.0, 0.3)
    views.to_parquet(paths.views)
    features = extract_features(extractor, preprocess.open_images(paths.images))
    np.save(paths.new(paths.features("native", "MobileNet")), features)
    for protocol in ("published", "grouped"):
        table, _ = deal(index, views, protocol, 0)
        table.to_parquet(paths.protocol(protocol))
        for scenario in ("nine_classes", "three_malignant")[: 2 if protocol == "grouped" else 1]:
            _train(paths, protocol, scenario, select(views, table, params.scenarios()[scenario]), features)
    (paths.root.parent / "empty" / "runs").mkdir(parents=True)  # a study that has not got so far
    return paths


def _train(paths, protocol, scenario, chosen, features):
    task = params.scenarios()[scenario]
    head = dict(units=8, dropout_features=0.15, dropout_hidden=0.2, seed=3)
    run = paths.run(protocol, "native", scenario, "MobileNet", 0)
    run.mkdir(parents=True)
    tables = []
    for fold in range(FOLDS):  # another head a fold; the weights of the first are saved
        classifier = networks.build_classifier(features.shape[1], len(task.names), **head | {"seed": 3 + fold})
        parts = parts_of_fold(chosen, fold)
        held_out = parts[parts["part"] != "train"]
        tables.append(training.predictions(classifier, features, held_out, task.names, 32))
        if not fold:
            classifier.save_weights(run / "transfer.weights.h5")
    pd.concat(tables, ignore_index=True).to_parquet(run / "predictions_transfer.parquet")
    made = dict(backbone="MobileNet", preprocessing="native", image_size=SIZE, weights="none", classes=task.names)
    (run / "run.json").write_text(json.dumps({"model": made | head}))


@pytest.fixture(scope="module")
def opened(study):
    explorer = Explorer(str(study.root))
    assert explorer.axes["protocol"].value == "grouped", "the honest protocol comes first"
    return explorer


@pytest.fixture(scope="module")
def full(study):
    return networks.load(study.run("grouped", "native", "nine_classes", "MobileNet", 0), "transfer")


@pytest.fixture
def explorer(opened):
    """As it opens, whatever the test before has set."""
    opened.axes["scenario"].value, opened.axes["protocol"].value = "nine_classes", "grouped"
    opened.part.value, opened.label.value, opened.errors.value = "test", results.EVERY_CLASS, False
    opened.fold.value = 0
    opened.chooser.index = 0
    opened.explained.value, opened.opacity.value, opened.k.value, opened.kind.value = -1, 0.6, 3, "colour"
    opened.painted.value, opened.metric.value, opened.among.value = "segments", "cosine", "train"
    opened.back.click()
    return opened


def saved(explorer) -> pd.Series:
    """The saved prediction of the image that is chosen."""
    table = pd.read_parquet(explorer.chosen["folder"] / "predictions_transfer.parquet")
    source, view = explorer.chooser.value
    mine = (table["source"] == source) & (table["view"] == view) & (table["part"] == explorer.part.value)
    assert mine.sum() == 1, "a view is tested once and validated once"
    return table[mine].iloc[0]


def pictures(widget) -> list[np.ndarray]:
    found = re.findall(r"src='data:image/png;base64,([^']+)'", widget.value)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def upload(explorer, name: str, content: bytes) -> None:
    given = dict(name=name, type="image/png", size=len(content), content=memoryview(content))
    explorer.upload.value = (given | {"last_modified": datetime.now(UTC)},)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def text(widget) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", widget.value))


def test_only_what_was_trained_can_be_chosen(explorer):
    assert list(explorer.study.options) == ["small"]
    assert explorer.axes["scenario"].options == ("nine_classes", "three_malignant")
    assert explorer.axes["protocol"].options == ("published", "grouped")
    explorer.axes["scenario"].value = "three_malignant"
    assert explorer.axes["protocol"].options == ("grouped",)
    assert set(explorer.probabilities) == set(MALIGNANT)


def test_image_and_probabilities_are_those_of_the_chosen_image(explorer, study):
    views = pd.read_parquet(study.views)
    images = preprocess.open_images(study.images)
    shown = []
    for _, value in explorer.chooser.options[:3]:
        explorer.chooser.value = value
        row = views.index[(views["source"] == value[0]) & (views["view"] == value[1])][0]
        assert np.array_equal(pictures(explorer.shown)[0], images[row])
        expected = saved(explorer)
        assert explorer.probabilities == {name: expected[name] for name in params.CLASSES}
        bars = dict(
            re.findall(
                r"<th scope='row'>([a-z ]+?)(?: \(true\))?</th><td class='number'>([\d.]+)%", explorer.bars.value
            )
        )
        assert bars == {name: f"{100 * expected[name]:.1f}" for name in params.CLASSES}
        assert f"{expected['true_class']} (true)" in explorer.bars.value and value[0] in text(explorer.title)
        shown.append(images[row].tobytes())
    assert len(set(shown)) > 1  # some are planted copies of each other


def test_filters_leave_the_class_the_part_and_the_worst_errors(explorer):
    table = pd.read_parquet(explorer.chosen["folder"] / "predictions_transfer.parquet")
    test, names = table[(table["part"] == "test") & (table["fold"] == 0)], list(params.CLASSES)
    explorer.label.value = "nevus"
    assert {value for _, value in explorer.chooser.options} == set(
        test.loc[test["true_class"] == "nevus", ["source", "view"]].itertuples(index=False, name=None)
    )
    explorer.label.value, explorer.errors.value = results.EVERY_CLASS, True
    wrong = test[test[names].idxmax(axis=1) != test["true_class"]]
    of_truth = {(row["source"], row["view"]): row[row["true_class"]] for row in wrong.to_dict("records")}
    listed = [value for _, value in explorer.chooser.options]
    assert set(listed) == set(of_truth) and len(listed) > 1
    assert [of_truth[value] for value in listed] == sorted(of_truth.values())
    assert explorer.chooser.value == listed[0] and "wrong" in text(explorer.title)
    explorer.part.value = "val"
    assert saved(explorer)["part"] == "val" and saved(explorer)["fold"] == 0
    explorer.part.value, explorer.errors.value, explorer.fold.value = "test", False, EVERY_FOLD
    chosen = pd.read_parquet(explorer.paths.protocol("grouped"))
    assert len(explorer.chooser.options) == (chosen["tenth_nine_classes"] >= 0).sum(), "every view is tested once"


def test_map_is_that_of_the_class_to_explain_and_opacity_lays_it_over(explorer, full):
    image = explorer.image
    for place in (int(np.argmax(list(explorer.probabilities.values()))), 2, 5):
        if place in (2, 5):
            explorer.explained.value = place
        expected = gradcam.maps(full, image[None], [place])[0]
        assert np.allclose(explorer.heat, expected, atol=1e-4)
        assert params.CLASSES[place] in text(explorer.overlaid)
    lesion = kmeans.segment(image).mask
    assert f"{expected[lesion].sum() / expected.sum():.0%} of the map" in text(explorer.overlaid)
    explorer.opacity.value = 0.0
    assert np.array_equal(pictures(explorer.overlaid)[0], image)
    explorer.opacity.value = 1.0
    assert np.array_equal(pictures(explorer.overlaid)[0], gradcam.overlay(image, explorer.heat, 1.0))


def test_a_map_of_another_fold_than_the_one_that_tested_the_image_says_so(explorer, full, study):
    assert "weights are not saved" not in text(explorer.overlaid) and "part of fold 0" in text(explorer.title)
    for fold, role in ((4, "was trained on this image"), (1, "was validated on it")):
        explorer.fold.value = fold
        assert saved(explorer)["fold"] == fold and f"test part of fold {fold}" in text(explorer.title)
        told = saved(explorer)[list(params.CLASSES)].astype(float)
        assert explorer.probabilities == pytest.approx(dict(told))
        expected = gradcam.maps(full, explorer.image[None], [int(np.argmax(told))])[0]
        assert np.allclose(explorer.heat, expected, atol=1e-4)
        assert f"of the model of fold 0, which {role}" in text(explorer.overlaid)


def test_segments_follow_k_and_features(explorer):
    for k, kind in ((3, "colour"), (5, "colour"), (5, "colour_texture")):
        explorer.k.value, explorer.kind.value = k, kind
        expected = kmeans.segment(explorer.image, k, kind)
        assert np.array_equal(explorer.segmentation.labels, expected.labels)
        assert np.array_equal(pictures(explorer.segments)[0], kmeans.paint(expected))
        assert f"abnormal {expected.mask.mean():.0%}" in text(explorer.segments)
    explorer.painted.value = "outline"
    assert np.array_equal(pictures(explorer.segments)[0], kmeans.outline(explorer.image, expected.mask))


@pytest.mark.parametrize("metric", results.METRICS)
def test_neighbours_are_the_nearest_training_files_by_scipy(explorer, study, metric):
    explorer.metric.value, explorer.fold.value = metric, 3
    explorer.chooser.index = 4
    me = saved(explorer)["row"]
    features = np.load(study.features("native", "MobileNet")).astype(float)
    pool = pd.read_parquet(study.views).join(pd.read_parquet(study.protocol("grouped"))["tenth_nine_classes"])
    pool = pool[pool["tenth_nine_classes"].between(0, 9) & ~pool["tenth_nine_classes"].isin([3, 4])]  # fold 3 trains on
    pool = pool.assign(d=lambda v: cdist(features[v.index], features[[me]], metric)[:, 0])
    expected = pool.groupby("source")["d"].min()
    found, near = explorer.neighbours, dict(rtol=1e-6, atol=1e-14)  # planted copies tie, so their order is left open
    assert np.allclose(found["distance"], expected.nsmallest(results.NEIGHBOURS), **near)
    assert np.allclose(found["distance"], expected[found["source"]], **near) and found["source"].is_unique
    images = preprocess.open_images(study.images)
    for picture, row in zip(pictures(explorer.near), explorer.neighbours["row"]):
        assert np.array_equal(picture, images[row])


def test_neighbours_say_where_they_are_of_the_same_picture_lesion_or_group(explorer, study, drawn):
    explorer.among.value = "all"
    lesion_of = {file: lesion["lesion_id"] for lesion in drawn.planted["lesions"] for file in lesion["files"]}
    group_of = pd.read_parquet(study.image_index).set_index("source")["group"]
    said = set()
    for protocol in ("grouped", "published"):
        explorer.axes["protocol"].value = protocol
        for _, (source, view) in explorer.chooser.options:
            explorer.chooser.value = (source, view)
            for other in explorer.neighbours.itertuples():
                assert (other.source, other.view) != (source, view)
                assert (other.relation == "same picture") == (other.source == source)
                assert (other.relation != "") == (group_of[other.source] == group_of[source])
                if lesion_of.get(source) and lesion_of.get(source) == lesion_of.get(other.source):
                    assert other.relation in ("same lesion", "same picture")
                said.add((protocol, other.relation, other.part))
            marks = re.findall(r"<figcaption><b>([^<]+)</b>", explorer.near.value)
            assert marks == [relation for relation in explorer.neighbours["relation"] if relation]
    # the leak of `published`; under `grouped` all views of a picture are held out together
    assert ("published", "same picture", "train") in said
    assert {part for protocol, relation, part in said if protocol == "grouped" and relation} == {"test"}


def test_a_picture_of_ones_own_gets_all_of_it(explorer, study, full):
    known, row = saved(explorer), explorer.subject["row"]
    explorer.chooser.index = 5
    picture = preprocess.open_images(study.images)[row]
    upload(explorer, HOSTILE, png(picture))  # a picture of the study, so what must come out is known
    assert np.array_equal(pictures(explorer.shown)[0], picture)
    assert np.allclose(list(explorer.probabilities.values()), known[list(params.CLASSES)].astype(float), atol=1e-4)
    named = int(np.argmax(list(explorer.probabilities.values())))
    assert np.allclose(explorer.heat, gradcam.maps(full, picture[None], [named])[0], atol=1e-4)
    assert np.array_equal(explorer.segmentation.labels, kmeans.segment(picture).labels)
    explorer.among.value = "all"
    assert explorer.neighbours.set_index("row")["distance"][row] < 1e-10  # itself, beside planted copies of it
    assert "own picture" in text(explorer.title) and "not known" in text(explorer.near)
    explorer.axes["scenario"].value = "three_malignant"  # another model says something of the same picture
    assert explorer.own and set(explorer.probabilities) == set(MALIGNANT)
    explorer.back.click()
    assert explorer.own is None and saved(explorer)["image_id"] in text(explorer.title)


def test_a_large_or_transparent_picture_is_read_as_the_study_reads_one(explorer, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 4), dtype=np.uint8)
    (tmp_path / "one.png").write_bytes(png(pixels))
    upload(explorer, "one.png", png(pixels))
    assert np.array_equal(explorer.image, preprocess.resize(decode(tmp_path / "one.png"), SIZE))


@pytest.mark.parametrize("content", [b"", b"no picture", png(np.zeros((40, 40, 3), np.uint8))[:60], b"GIF89a" * 9])
def test_what_cannot_be_read_is_refused_with_a_message_and_changes_nothing(explorer, content):
    before = explorer.title.value, explorer.image.tobytes()
    upload(explorer, HOSTILE, content)
    assert "was refused" in text(explorer.message)
    assert (explorer.title.value, explorer.image.tobytes()) == before and explorer.own is None


def test_a_picture_with_too_many_pixels_is_refused(explorer, monkeypatch):
    monkeypatch.setattr("lib.data.folder.MAX_PIXELS", 100)
    upload(explorer, "large.png", png(np.zeros((11, 10, 3), np.uint8)))
    assert "100 pixels allowed" in text(explorer.message)


def test_names_from_outside_stay_text(explorer):
    upload(explorer, HOSTILE, png(explorer.image))
    made = [w.value for w in vars(explorer).values() if isinstance(w, ipywidgets.HTML)]
    assert any("&lt;img src=x onerror" in value for value in made)
    for value in made:
        assert "<img src=x" not in value and "\u202e" not in value
    figure = look.figure(explorer.image, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    assert figure.count("<img ") == 1 and figure.count("'") == 4


def test_it_says_what_it_is_and_that_images_are_synthetic(explorer, study, full, monkeypatch):
    assert "no medical device" in text(explorer.view.children[0])
    assert explorer.banner.value == "" and "ynthetic" not in explorer.shown.value
    monkeypatch.setattr(networks, "load", lambda *_: full)
    study.demo_data.mkdir()
    try:
        synthetic = Explorer(str(study.root))
        assert "Synthetic study" in text(synthetic.banner)
        for widget in (synthetic.shown, synthetic.overlaid, synthetic.segments, synthetic.near):
            assert all("synthetic" in words for words in re.findall(r"alt='([^']*)'", widget.value))
    finally:
        study.demo_data.rmdir()


def test_without_the_weights_the_rest_is_still_shown(study, monkeypatch):
    def missing(*_):
        raise networks.WeightsError("weights/x.h5: no such file")

    monkeypatch.setattr(networks, "load", missing)
    alone = Explorer(str(study.root))
    assert "x.h5: no such file" in text(alone.message) and "SKINCAS_WEIGHTS" in text(alone.message)
    assert alone.heat is None and pictures(alone.shown) and len(alone.neighbours) and alone.probabilities
    alone.opacity.value, alone.k.value = 0.1, 4  # nothing to lay over, segments still change
    assert len(alone.segmentation.names) == 4


def test_models_and_maps_are_made_once(study, full, monkeypatch):
    made, maps = [], gradcam.maps
    monkeypatch.setattr(networks, "load", lambda *_: (made.append("load"), full)[1])
    monkeypatch.setattr(gradcam, "maps", lambda *given: (made.append("maps"), maps(*given))[1])
    fresh = Explorer(str(study.root))
    seen = set()
    for index in (1, 0, 4, 1, 0, 4):
        fresh.chooser.index = index
        seen.add(fresh.image.tobytes())
    assert made.count("load") == 1 and made.count("maps") == len(seen) > 1  # some are planted copies of each other


def test_the_notebook_runs_with_no_result_there_and_says_how_to_make_one(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "lib").symlink_to(LIB)
    notebook = nbformat.read(NOTEBOOKS / "explore.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path / "notebooks")}}).execute()
    assert "python run_all.py demo" in str(notebook.metadata["widgets"])
