"""Grad-CAM against finite differences and planted maps, and on all six backbones."""

import os
import zlib

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
from scipy.special import erf
from scipy.stats import norm

from lib.config.paper import CLASSES, backbones
from lib.config.paths import StudyPaths
from lib.explain import gradcam, kmeans
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


def test_weights_are_finite_differences_of_the_score_before_softmax(tiny, images):
    """Equations 6 to 8 by hand: of each feature map only the largest value reaches the score, so only it is moved."""
    body, head = networks.split_at_maps(tiny)
    classes = np.array([0, 1, 2, 3, 1])
    a = keras.ops.convert_to_numpy(body(images))
    step = 2e-3
    found = gradcam.maps(tiny, images, classes, batch_size=2)
    assert found.dtype == np.float32
    for n, c in enumerate(classes):
        expected = np.zeros((12, 12))
        for k in range(a.shape[-1]):
            moved = np.stack([a[n], a[n]])
            moved[1, *np.unravel_index(a[n, :, :, k].argmax(), (12, 12)), k] += step
            before, after = keras.ops.convert_to_numpy(head(moved))[:, c]
            expected += (after - before) / step / 144 * a[n, :, :, k]  # Z = 144 positions
        expected = cv2.resize(np.maximum(expected, 0).astype(np.float32), (96, 96))
        np.testing.assert_allclose(found[n] * expected.max(), expected, atol=5e-3 * expected.max() + 1e-7)
    assert (found.max(axis=(1, 2)) == 1).sum() >= 3


@pytest.mark.parametrize("name", backbones())
def test_every_backbone_gives_a_map_of_the_input_size_from_its_last_convolution(name, images):
    full = full_model(networks.build_backbone(name, 96, weights="none"))
    network = full.get_layer("backbone").network
    assert network.get_layer(backbones()[name].last_conv).output is network.outputs[0]
    assert networks.split_at_maps(full)[0].output_shape == (None, 3, 3, network.output_shape[-1])
    repeated = np.repeat(images[:2], 4, axis=0)  # every class of two images: something speaks for some class
    found = gradcam.maps(full, repeated, np.tile(np.arange(4), 2))
    assert found.shape == (8, 96, 96) and found.min() >= 0 and found.max() == pytest.approx(1)
    assert (found.std(axis=(1, 2)) > 1e-3).sum() >= 2 and not np.allclose(found[:4], found[4:])


@pytest.fixture
def dark():
    """A network whose map is where the image is dark; a map of zeros for some class."""
    pixels = keras.Input((96, 96, 3))
    convolution = keras.layers.Conv2D(5, 8, strides=8, activation="relu")
    backbone = keras.Model(pixels, convolution(pixels), name="MobileNet")
    convolution.set_weights([np.full((8, 8, 3, 5), -1 / 192), np.zeros(5)])  # white is 1, black -1
    return full_model(backbone)


def discs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark discs on white at random places, and where they are."""
    centres = np.random.default_rng(0).uniform(25, 70, (count, 2, 1, 1))
    inside = np.hypot(*np.moveaxis(np.indices((96, 96)) - centres, 1, 0)) < 18
    return np.where(inside, 20, 255).astype(np.uint8)[..., None].repeat(3, axis=3), inside


def test_shares_are_those_of_a_planted_map_and_of_maps_that_do_not_look_at_the_image(dark, tmp_path):
    images, lesions = discs(8)
    label = next(c for c in range(4) if gradcam.maps(dark, images[:1], [c]).any())
    heats = gradcam.maps(dark, images, np.full(8, label)).astype(float)
    masks = {f"ISIC_{n}": tmp_path / f"{n}.png" for n in range(5)}
    for path, lesion in zip(masks.values(), lesions):
        kmeans.write_mask(path, lesion)
    rows = np.arange(8)[::-1]
    chosen = pd.DataFrame({"row": rows, "image_id": [f"ISIC_{n}" for n in rows]}, index=rows + 7)
    given = (dark, images, chosen, np.full(8, label), masks, {})
    found = gradcam.measure_focus(*given)
    assert found["lesion_from"].tolist() == ["k-means"] * 3 + ["mask"] * 5 and (found.index == chosen.index).all()
    np.testing.assert_allclose(found["lesion_area"], lesions[rows].mean(axis=(1, 2)))
    shares = np.einsum("ihw,jhw->ij", lesions[rows], heats[rows]) / heats[rows].sum(axis=(1, 2))
    np.testing.assert_allclose(found["share_in_lesion"], np.diag(shares), rtol=1e-5)
    assert found["share_in_lesion"].min() > 0.7, "the map is the lesion, but for its blurred border"
    apart = np.abs(shares - found[["other_map_in_lesion"]].to_numpy())
    assert (apart[~np.eye(8, dtype=bool)].reshape(8, 7).min(axis=1) < 1e-5).all(), "that of one of the others"
    assert (found["other_map_in_lesion"] < found["share_in_lesion"]).all()
    again = gradcam.measure_focus(*given, seed=1)
    assert [name for name in found if not again[name].equals(found[name])] == ["other_map_in_lesion"]
    dark.get_layer("backbone").network.layers[-1].set_weights([np.zeros((8, 8, 3, 5)), np.ones(5)])  # sees nothing
    blind = gradcam.measure_focus(dark, images, chosen, np.full(8, label), masks, {})
    for name in ("share_in_lesion", "other_map_in_lesion"):
        np.testing.assert_allclose(blind[name], blind["lesion_area"])


def test_the_centred_gaussian_has_the_mass_and_the_spread_of_the_map():
    y, x = np.indices((120, 160))
    heat = np.exp(-0.5 * (((y - 40) / 6) ** 2 + ((x - 100) / 9) ** 2)).astype(np.float32)
    gaussian = gradcam.centred_gaussian(heat)
    assert gaussian.sum() == pytest.approx(heat.sum(), rel=1e-6)
    expected = np.outer(*(np.diff(norm.cdf(np.arange(n + 1) - n / 2, scale=s)) for n, s in ((120, 6), (160, 9))))
    np.testing.assert_allclose(gaussian / gaussian.sum(), expected, atol=2e-3 * expected.max())
    inside = gradcam.share_in_lesion(gaussian, (abs(y - 59.5) < 10) & (abs(x - 79.5) < 10))
    assert inside == pytest.approx(erf(10 / 6 / 2**0.5) * erf(10 / 9 / 2**0.5), abs=2e-3)
    assert not gradcam.centred_gaussian(0 * heat).any()


@pytest.fixture
def predictions(tmp_path):
    """A made-up run of ten folds; a third of the files is told wrong."""
    paths = StudyPaths(tmp_path)
    write_prepared(paths, made_up_index(files=60))

    def right(held_out: pd.DataFrame) -> np.ndarray:
        return held_out["source"].map(lambda source: zlib.crc32(source.encode()) % 3 > 0).to_numpy()

    return write_run(paths, "clean", "nine_classes", "MobileNet", "transfer", right)


def test_all_test_originals_of_the_saved_fold_are_chosen_and_the_first_show_every_class(predictions):
    chosen = gradcam.choose_images(predictions)
    test = (predictions["fold"] == 0) & (predictions["part"] == "test") & (predictions["view"] == 0)
    assert set(chosen["source"]) == set(predictions.loc[test, "source"]) and chosen["source"].is_unique
    for start in (0, 9):
        assert list(chosen["true_class"][start : start + 9]) == sorted(CLASSES)
    right = chosen["source"].map(lambda source: zlib.crc32(source.encode()) % 3 > 0)
    assert (chosen["right"] == right).all() and 0 < right.mean() < 1 and np.allclose(chosen["probability"], 0.8)
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
