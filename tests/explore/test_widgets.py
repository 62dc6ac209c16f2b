"""explore.ipynb on a small study made by the steps' own functions: what is shown follows the widgets and is right."""

import base64
import html
import io
import json
import re
import shutil
from datetime import UTC, datetime

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image

from lib.config.paper import CLASSES, MALIGNANT
from lib.config.params import AXES
from lib.config.paths import LIB, NOTEBOOKS, StudyPaths
from lib.data import preprocess
from lib.explain import gradcam, kmeans
from lib.explore import html as look
from lib.explore import lists
from lib.explore.explorer import Explorer
from lib.explore.parameters import name_changes
from lib.models import networks

SIZE = 64
at_first = {}  # what the explorer shows before anybody has touched it
HOSTILE = "<img src=x onerror=alert(1)>\u202e'\".jpg"


@pytest.fixture(scope="module")
def opened(study):
    """Opened once; `explorer` puts it back."""
    explorer = Explorer(str(study.root))
    at_first.update(protocol=explorer.first.axes["protocol"].value, listed=explorer.chooser.lists.value)
    at_first.update(pictures=len(pictures(explorer.maps)), maps=text(explorer.maps.body))
    explorer.starting.join()
    return explorer, at_first.setdefault("kin", explorer.relatives.kin)


@pytest.fixture(scope="module")
def full(study):
    return networks.load(study.run("by_lesion", "native", "nine_classes", "MobileNet", 0), "transfer")


@pytest.fixture
def explorer(opened):
    """As it opens, under by_lesion and with all images, whatever the test before has set."""
    explorer = opened[0]
    explorer.beside.value = False
    explorer.first.axes["scenario"].value, explorer.first.axes["protocol"].value = "nine_classes", "by_lesion"
    chooser, maps, segments = explorer.chooser, explorer.maps, explorer.segments
    chooser.lists.value, chooser.label.value, chooser.fold.value = "all", lists.EVERY_CLASS, 0
    maps.explain.value, maps.opacity.value = "", 0.6
    segments.k.value, segments.start.value, segments.features.value = 3, 0, "colour"
    chooser.image.index = 1
    chooser.image.index = 0
    return explorer


def predictions(study, protocol: str = "by_lesion") -> pd.DataFrame:
    run = study.run(protocol, "native", "nine_classes", "MobileNet", 0)
    return pd.read_parquet(run / "predictions_transfer.parquet").query("part == 'test'")


def saved(explorer, study, protocol: str = "by_lesion") -> pd.Series:
    """The saved prediction of the image that is shown."""
    table, (source, view) = predictions(study, protocol), explorer.key
    (row,) = table[(table["source"] == source) & (table["view"] == view)].index
    return table.loc[row]


def probabilities(explorer, place: int = 0) -> dict[str, float]:
    return explorer.scene.answers[place].probabilities


def pictures(panel) -> list[np.ndarray]:
    found = re.findall(r"src='data:image/png;base64,([^']+)'", panel.body.value)
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


def test_it_opens_with_a_leaked_image_and_its_training_views_and_waits_for_no_map(opened, study):
    assert at_first["pictures"] == 1 and "once TensorFlow has started" in at_first["maps"]
    assert (at_first["protocol"], at_first["listed"]) == ("by_view", "leaked")
    tenths = pd.read_parquet(study.protocol("by_view"))["tenth_nine_classes"]
    train = at_first["kin"][at_first["kin"]["part"] == "train"]
    assert len(train) and (train["relation"] == "same picture").any()
    assert not tenths.loc[train["row"]].isin([0, 1, -1]).any(), "fold 0 tests on tenth 0 and validates on tenth 1"


def test_only_what_was_trained_can_be_chosen(explorer):
    axes = explorer.first.axes
    assert [name for _, name in explorer.study.options] == ["small"]
    assert [name for _, name in axes["scenario"].options] == ["nine_classes", "three_malignant"]
    assert [name for _, name in axes["protocol"].options] == ["by_view", "by_lesion"]
    axes["scenario"].value = "three_malignant"
    assert [name for _, name in axes["protocol"].options] == ["by_lesion"]
    assert set(probabilities(explorer)) == set(MALIGNANT)


def test_image_and_probabilities_are_those_of_the_chosen_image(explorer, study):
    views, images = pd.read_parquet(study.views), preprocess.open_images(study.images)
    shown = set()
    for _, (source, view) in explorer.chooser.image.options[:3]:
        explorer.chooser.image.value = (source, view)
        row = views.index[(views["source"] == source) & (views["view"] == view)][0]
        assert np.array_equal(pictures(explorer.maps)[0], images[row])
        expected = saved(explorer, study)
        assert probabilities(explorer) == {name: expected[name] for name in CLASSES}
        assert source in text(explorer.title)
        shown.add(images[row].tobytes())
    assert len(shown) > 1  # some are planted copies of each other


def test_filters_leave_the_class_the_fold_and_the_worst_errors(explorer, study):
    table, chooser = predictions(study), explorer.chooser
    test = table[table["fold"] == 0]
    chooser.label.value = "nevus"
    nevi = test.loc[test["true_class"] == "nevus", ["source", "view"]].itertuples(index=False, name=None)
    assert {value for _, value in chooser.image.options} == set(nevi)
    chooser.label.value, chooser.lists.value = lists.EVERY_CLASS, "errors"
    wrong = test[test[list(CLASSES)].idxmax(axis=1) != test["true_class"]]
    of_truth = {(row["source"], row["view"]): row[row["true_class"]] for row in wrong.to_dict("records")}
    listed = [value for _, value in chooser.image.options]
    assert set(listed) == set(of_truth) and len(listed) > 1
    assert [of_truth[value] for value in listed] == sorted(of_truth.values())
    assert chooser.image.value == explorer.key == listed[0] and "wrong" in text(explorer.title)
    chooser.lists.value, chooser.fold.value = "all", lists.EVERY_FOLD
    assert len(chooser.image.options) == len(table), "every view is tested once"


def test_the_image_stays_when_the_model_changes(explorer, study):
    explorer.chooser.fold.value, explorer.chooser.image.index = 2, 5
    key = explorer.key
    for axis, value in (("protocol", "by_view"), ("scenario", "three_malignant"), ("scenario", "nine_classes")):
        explorer.first.axes[axis].value = value
        assert explorer.key == key and key[0] in text(explorer.title)
        assert explorer.chooser.image.value in (key, None)
    assert probabilities(explorer) == pytest.approx(dict(saved(explorer, study)[list(CLASSES)].astype(float)))


def test_map_is_that_of_the_class_to_explain_and_opacity_lays_it_over(explorer, full):
    maps, image = explorer.maps, explorer.scene.image
    for place in (2, 5):
        maps.explain.value = CLASSES[place]
        expected = gradcam.maps(full, image[None], [place])[0]
        assert np.allclose(maps.heats[0], expected, atol=1e-4)
    lesion = kmeans.segment(image).mask
    assert f"{expected[lesion].sum() / expected.sum():.0%} of the map" in text(maps.body)
    maps.opacity.value = 0.0
    assert np.array_equal(pictures(maps)[1], image)
    maps.opacity.value = 1.0
    assert np.array_equal(pictures(maps)[1], gradcam.overlay(image, maps.heats[0], 1.0))


def test_a_map_of_another_fold_than_the_one_that_tested_the_image_says_so(explorer, full, study):
    explorer.chooser.fold.value = fold = 4
    values = saved(explorer, study)[list(CLASSES)].astype(float)
    assert saved(explorer, study)["fold"] == fold and probabilities(explorer) == pytest.approx(dict(values))
    expected = gradcam.maps(full, explorer.scene.image[None], [int(np.argmax(values))])[0]
    assert np.allclose(explorer.maps.heats[0], expected, atol=1e-4)
    assert "the model of fold 0, " in text(explorer.title)


def test_a_second_model_answers_beside_the_first_on_the_same_image(explorer, study, full):
    explorer.first.axes["protocol"].value, explorer.chooser.image.index = "by_view", 2
    explorer.maps.explain.value, explorer.beside.value = "nevus", True
    assert explorer.second.axes["protocol"].value == "by_lesion" and explorer.second.view.layout.display is None
    first, second = (saved(explorer, study, name)[list(CLASSES)].astype(float) for name in ("by_view", "by_lesion"))
    assert probabilities(explorer, 1) == pytest.approx(dict(second))
    for name in CLASSES:
        assert f"{first[name]:.1%}" in explorer.probabilities.body.value
    expected = gradcam.maps(full, explorer.scene.image[None], [CLASSES.index("nevus")])[0]
    assert np.allclose(explorer.maps.heats[1], expected, atol=1e-4)
    assert len(pictures(explorer.maps)) == 3
    explorer.second.axes["scenario"].value = "three_malignant"
    assert set(probabilities(explorer, 1)) == set(MALIGNANT)
    explorer.beside.value = False
    assert len(explorer.scene.answers) == 1 and len(pictures(explorer.maps)) == 2


def test_a_picture_of_ones_own_gets_all_of_it(explorer, study, full):
    values = list(saved(explorer, study)[list(CLASSES)].astype(float))
    picture = preprocess.open_images(study.images)[saved(explorer, study)["row"]]
    explorer.chooser.image.index = 5
    upload(explorer, HOSTILE, png(picture))  # a picture of the study, so what must come out is known
    assert np.array_equal(pictures(explorer.maps)[0], picture) and "own picture" in text(explorer.title)
    assert np.allclose(list(probabilities(explorer).values()), values, atol=1e-4)
    expected = gradcam.maps(full, picture[None], [int(np.argmax(values))])[0]
    assert np.allclose(explorer.maps.heats[0], expected, atol=1e-4)
    assert np.array_equal(explorer.segments.segmentation.labels, kmeans.segment(picture).labels)
    explorer.first.axes["scenario"].value = "three_malignant"  # another model says something of the same picture
    assert explorer.own and set(probabilities(explorer)) == set(MALIGNANT)
    explorer.chooser.image.index = 0
    assert explorer.own is None and explorer.key[0] in text(explorer.title)


@pytest.mark.parametrize("content", [b"", b"no picture", png(np.zeros((40, 40, 3), np.uint8))[:60], b"GIF89a" * 9])
def test_what_cannot_be_read_is_refused_with_a_message_and_changes_nothing(explorer, content):
    before = explorer.title.value, explorer.scene
    upload(explorer, HOSTILE, content)
    assert "was refused" in text(explorer.message)
    assert (explorer.title.value, explorer.scene) == before and explorer.own is None


def test_names_from_outside_stay_text(explorer):
    upload(explorer, HOSTILE, png(explorer.scene.image))
    assert "&lt;img src=x onerror" in explorer.title.value
    table = look.bars(pd.DataFrame({HOSTILE: {HOSTILE: 0.5}, "other": {HOSTILE: 0.4}}), HOSTILE)
    for value in (explorer.title.value, table, *(panel.body.value for panel in explorer.panels)):
        assert "<img src=x" not in value and "\u202e" not in value
    figure = look.figure(explorer.scene.image, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    assert figure.count("<img ") == 1 and figure.count("'") == 6


def test_every_picture_of_a_synthetic_study_says_so(explorer, study, full, monkeypatch):
    assert explorer.banner.value == "" and "ynthetic" not in explorer.maps.body.value
    monkeypatch.setattr(networks, "load", lambda *_: full)
    study.demo_data.mkdir()
    try:
        synthetic = Explorer(str(study.root))
    finally:
        study.demo_data.rmdir()
    for panel in (synthetic.maps, synthetic.segments, synthetic.relatives):
        alternatives = re.findall(r"alt='([^']*)'", panel.body.value)
        assert alternatives and all("synthetic" in words for words in alternatives)


def test_without_the_weights_the_rest_is_still_shown(study, monkeypatch):
    calls = []

    def missing(*_):
        calls.append(1)
        raise networks.WeightsError("weights/x.h5: no such file")

    monkeypatch.setattr(networks, "load", missing)
    alone = Explorer(str(study.root))
    alone.starting.join()
    assert "x.h5: no such file" in text(alone.message)
    assert len(pictures(alone.maps)) == 1 and probabilities(alone) and len(alone.relatives.kin)
    alone.segments.k.value, alone.chooser.image.index = 4, 3  # segments still change
    assert len(alone.segments.segmentation.names) == 4 and len(calls) == 1


def test_a_model_whose_files_are_broken_is_named_and_the_image_stays(explorer, study):
    path = study.run("by_lesion", "native", "three_malignant", "MobileNet", 0) / "predictions_transfer.parquet"
    content, image = path.read_bytes(), explorer.scene.image
    explorer._open.cache_clear()
    explorer.beside.value = True
    try:
        path.write_bytes(b"broken")
        explorer.second.axes["scenario"].value = "three_malignant"
        assert "files cannot be read" in text(explorer.message)
        assert len(explorer.scene.answers) == 1 and len(pictures(explorer.maps)) == 2
        explorer.beside.value, explorer.first.axes["scenario"].value = False, "three_malignant"
        assert "files cannot be read" in text(explorer.message) and explorer.key[0] in text(explorer.title)
        assert np.array_equal(pictures(explorer.maps)[0], image) and explorer.shown.layout.display is None
        assert "without a model" in text(explorer.probabilities.body) and pictures(explorer.segments)
    finally:
        path.write_bytes(content)


def test_a_model_trained_by_hand_stands_beside_the_study_s_with_what_differs(explorer, study):
    at, names = StudyPaths.of(str(study.root), "scratch"), list(CLASSES)
    own = at.new(study.run("by_lesion", "native", "nine_classes", "MobileNet", 0))
    shutil.copytree(study.run("by_lesion", "native", "nine_classes", "MobileNet", 0), own)
    table = pd.read_parquet(own / "predictions_transfer.parquet").query("fold == 0")
    table[names] = table[names[::-1]].to_numpy()  # it says the opposite, in one fold
    table.to_parquet(own / "predictions_transfer.parquet")
    record = json.loads((own / "run.json").read_text())
    (own / "run.json").write_text(json.dumps(record | {"parameters": {"units": 16}}))
    try:
        explorer.open_study()
        explorer.first.axes["protocol"].value, explorer.chooser.lists.value = "by_lesion", "all"
        explorer.chooser.fold.value, explorer.beside.value = 0, True
        explorer.second.axes["trained"].value = "by hand"
        assert max(probabilities(explorer, 1).values()) == max(probabilities(explorer).values())
        assert probabilities(explorer, 1) != probabilities(explorer) and "trained by hand" in text(explorer.title)
        cells = [dict(zip(AXES, (name, "native", "nine_classes", "MobileNet", 0))) for name in ("by_lesion", "by_view")]
        assert [name_changes(at, cell) for cell in cells] == ["units 16 instead of 8", ""]
        assert name_changes(study, cells[0]) == ""
    finally:
        shutil.rmtree(at.attempt)
        explorer.open_study()


def test_the_notebook_runs_with_no_result_there_and_says_how_to_make_one(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "lib").symlink_to(LIB)
    notebook = nbformat.read(NOTEBOOKS / "explore.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path / "notebooks")}}).execute()
    assert "python run_all.py demo" in str(notebook.metadata["widgets"])
