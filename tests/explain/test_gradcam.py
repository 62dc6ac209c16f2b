"""Grad-CAM against finite differences, against a rebuild one image at a time, and on all six backbones."""

import os
import zlib

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras

from lib.config.paper import CLASSES, backbones
from lib.config.paths import StudyPaths
from lib.explain import gradcam
from lib.models import networks
from tests.fixtures.predictions import made_up_index, write_prepared, write_run


def full_model(backbone: keras.Model, preprocessing: str = "native", classes: int = 4) -> keras.Model:
    extractor = networks.build_extractor(backbone, preprocessing, frozen=True)
    classifier = networks.build_classifier(extractor.output_shape[-1], classes, 16, 0.15, 0.2, seed=0)
    return networks.assemble(extractor, classifier)


@pytest.fixture(scope="module")
def images():
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (96, 96), interpolation=cv2.INTER_CUBIC) for image in coarse])


@pytest.fixture(scope="module")
def tiny():
    """A backbone of one convolution whose feature maps are 12 x 12."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((96, 96, 3))
    x = keras.layers.Conv2D(5, 8, strides=8, activation="relu")(pixels)
    return full_model(keras.Model(pixels, x, name="MobileNet"))


@pytest.fixture
def mobilenet():
    """In double precision: the sum of 1024 signed terms would show how float32 rounds in batches of another size."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield full_model(networks.build_backbone("MobileNet", 96, weights="none"))
    keras.config.set_dtype_policy(policy)


def test_weights_are_finite_differences_of_the_score_before_softmax(tiny, images):
    """Equations 6 to 8 by hand: of each feature map only the largest value reaches the score, so only it is moved."""
    body, head = networks.split_at_maps(tiny)
    classes = np.array([0, 1, 2, 3, 1])
    a = keras.ops.convert_to_numpy(body(images))
    step = 2e-3
    raw = gradcam.maps(tiny, images, classes, raw=True)
    for n, c in enumerate(classes):
        expected = np.zeros((12, 12))
        for k in range(a.shape[-1]):
            moved = np.stack([a[n], a[n]])
            moved[1, *np.unravel_index(a[n, :, :, k].argmax(), (12, 12)), k] += step
            before, after = keras.ops.convert_to_numpy(head(moved))[:, c]
            expected += (after - before) / step / 144 * a[n, :, :, k]  # Z = 144 positions
        expected = np.maximum(expected, 0).astype(np.float32)
        np.testing.assert_allclose(raw[n], cv2.resize(expected, (96, 96)), atol=5e-3 * expected.max() + 1e-7)
    assert (raw.max(axis=(1, 2)) > 0).sum() >= 3


def test_batches_equal_a_model_rebuilt_for_each_image(mobilenet, images):
    """The way it is usually written: a model with two outputs, a tape over all of it, one image at a time."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the tape is TensorFlow's")
    classes = np.array([3, 0, 2, 1, 0])
    expected = []
    for image, c in zip(images, classes):
        network = mobilenet.get_layer("backbone").network
        head = [layer for layer in mobilenet.get_layer("classifier").layers[1:] if layer.name != "probabilities"]
        with tf.GradientTape() as tape:
            x = network(mobilenet.get_layer("minus_one_to_one")(image[None]), training=False)
            tape.watch(x)
            y = tf.reduce_max(x, axis=(1, 2))
            for layer in head:
                y = layer(y, training=False) if "normalise" in layer.name or "dropout" in layer.name else layer(y)
            y = y[0, c]
        pooled = tf.reduce_mean(tape.gradient(y, x), axis=(0, 1, 2))
        heat = tf.nn.relu(tf.reduce_sum(x[0] * pooled, axis=-1))
        heat = tf.image.resize(heat[..., None], (96, 96))[..., 0].numpy()
        expected.append(heat / heat.max() if heat.max() else heat)
    for batch_size in (1, 2, 32):
        found = gradcam.maps(mobilenet, images, classes, batch_size)
        assert found.dtype == np.float32 and found.shape == (5, 96, 96)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sum(heat.max() > 0 for heat in expected) >= 3


@pytest.mark.parametrize("name", backbones())
def test_every_backbone_gives_a_map_of_the_input_size_from_its_last_convolution(name, images):
    backbone = networks.build_backbone(name, 96, weights="none")
    full = full_model(backbone)
    network = full.get_layer("backbone").network
    assert network.get_layer(backbones()[name].last_conv).output is network.outputs[0]
    assert networks.split_at_maps(full)[0].output_shape == (None, 3, 3, network.output_shape[-1])
    repeated = np.repeat(images[:2], 4, axis=0)  # every class of two images: something speaks for some class
    found = gradcam.maps(full, repeated, np.tile(np.arange(4), 2))
    assert found.shape == (8, 96, 96) and np.isfinite(found).all()
    assert found.min() >= 0 and found.max() == pytest.approx(1)
    varies = found.std(axis=(1, 2)) > 1e-3
    assert varies.sum() >= 2
    assert not np.allclose(found[:4][varies[:4]], found[4:][varies[:4]])  # it depends on the image


def test_overlay_leaves_the_image_where_the_map_is_zero_and_covers_it_where_it_is_one(images):
    heat = np.zeros((96, 96), np.float32)
    heat[:48] = 1
    covered = gradcam.overlay(images[0], heat, alpha=1)
    np.testing.assert_array_equal(covered[48:], images[0][48:])
    yellow = covered[0, 0].astype(int)
    assert (covered[:48] == covered[0, 0]).all() and yellow[0] > 240 and yellow[1] > 220 and yellow[2] < 60
    np.testing.assert_array_equal(gradcam.overlay(images[0], heat, alpha=0), images[0])


def test_share_in_lesion_is_the_sum_inside_over_the_sum():
    heat = np.array([[0.0, 0.5], [1.0, 0.5]])
    assert gradcam.share_in_lesion(heat, np.array([[True, False], [True, False]])) == pytest.approx(0.5)
    assert gradcam.share_in_lesion(np.ones((2, 2)), np.array([[True, False], [False, False]])) == pytest.approx(0.25)
    assert np.isnan(gradcam.share_in_lesion(np.zeros((2, 2)), np.ones((2, 2), bool)))


def test_focus_is_that_of_the_maps_of_the_given_rows_for_any_batch(tiny, images):
    rows, classes = np.array([4, 0, 0, 2]), np.array([1, 0, 3, 2])
    found = gradcam.measure_focus(tiny, images, rows, classes, lambda image: image[..., 0] > 128, batch_size=3)
    for row, number, one in zip(rows, classes, found.itertuples()):
        heat, lesion = gradcam.maps(tiny, images[[row]], [number])[0], images[row][..., 0] > 128
        assert one.share_in_lesion == pytest.approx(heat[lesion].sum() / heat.sum(), abs=1e-5, nan_ok=True)
        assert one.lesion_area == pytest.approx(lesion.mean())
    again = gradcam.measure_focus(tiny, images, rows, classes, lambda image: image[..., 0] > 128, batch_size=1)
    pd.testing.assert_frame_equal(again, found, atol=1e-5)
    assert gradcam.measure_focus(tiny, images, rows[:0], classes[:0], None).empty


@pytest.fixture
def predictions(tmp_path):
    """A made-up run of ten folds; a third of the files is told wrong."""
    paths = StudyPaths(tmp_path)
    write_prepared(paths, made_up_index(files=60))

    def right(held_out: pd.DataFrame) -> np.ndarray:
        return held_out["source"].map(lambda source: zlib.crc32(source.encode()) % 3 > 0).to_numpy()

    return write_run(paths, "clean", "nine_classes", "MobileNet", "transfer", right)


def test_all_test_originals_of_the_saved_fold_are_chosen_and_the_first_show_most(predictions):
    chosen = gradcam.choose_images(predictions)
    test = (predictions["fold"] == 0) & (predictions["part"] == "test") & (predictions["view"] == 0)
    assert set(chosen["source"]) == set(predictions.loc[test, "source"]) and chosen["source"].is_unique
    assert set(chosen["part"]) == {"test"} and set(chosen["view"]) == {0} and set(chosen["fold"]) == {0}
    first = chosen[:18]
    right = first["predicted_class"] == first["true_class"]
    assert (first["true_class"].value_counts() == 2).all() and sorted(first["true_class"][:9]) == sorted(CLASSES)
    assert 0 < right[:9].sum() < 9 and 0 < right[9:].sum() < 9
    assert np.allclose(chosen["probability"], 0.8)
    shuffled = pd.concat(part.sample(frac=1, random_state=3) for _, part in predictions.groupby("fold"))
    pd.testing.assert_frame_equal(gradcam.choose_images(shuffled), chosen)
    assert gradcam.choose_images(predictions[predictions["part"] == "val"]).empty


def test_the_phase_with_the_better_validation_accuracy_in_the_saved_fold_is_explained(predictions):
    better = predictions.copy()
    for name in CLASSES:
        told = (better["true_class"] == name).map({True: 0.8, False: 0.1})
        better[name] = told.where(better["fold"] == 0, 1 / 9 - 0.01 * told)  # better in fold 0, worse in all others
    assert gradcam.best_phase({"transfer": predictions, "finetune": better}) == "finetune"
    assert gradcam.best_phase({"transfer": better, "finetune": predictions}) == "transfer"
    assert gradcam.best_phase({"transfer": better, "finetune": better}) == "finetune"
    assert gradcam.best_phase({"transfer": predictions}) == "transfer"
