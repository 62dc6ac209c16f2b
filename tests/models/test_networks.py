"""Six backbones, their input ranges, the head of Fig. 2, and weights that fit or are refused."""

import hashlib
import json
import os
import shutil

import h5py
import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras.src.applications import efficientnet, efficientnet_v2, resnet
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from lib.config.paper import backbones
from lib.models import networks

SIZE = 64


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", backbones())
def test_native_input_is_what_keras_says_the_weights_expect(name, images):
    """EfficientNets rescale inside the model; for the others keras.applications has a function."""
    modules = {"EfficientNetV2B3": "efficientnet_v2", "EfficientNetB3": "efficientnet", "ResNet50V2": "resnet_v2"}
    modules |= {"ResNet50": "resnet", "MobileNetV2": "mobilenet_v2", "MobileNet": "mobilenet"}
    module = getattr(keras.applications, modules[name])
    expected = module.preprocess_input(images.astype(np.float32).copy())
    given = keras.ops.convert_to_numpy(networks.input_range(name, "native")(images))
    assert np.allclose(given, expected, atol=1e-4)


def test_minmax_layer_is_equation_2_for_each_image(images):
    images = images // np.arange(1, 5, dtype=np.uint8)[:, None, None, None] + 5  # each with a range of its own
    given = keras.ops.convert_to_numpy(networks.input_range("ResNet50", "minmax")(images))
    for image, scaled in zip(images.astype(float), given):
        assert np.allclose(scaled, (image - image.min()) / (image.max() - image.min()), atol=1e-6)
    flat = networks.input_range("ResNet50", "minmax")(np.full((1, SIZE, SIZE, 3), 9, np.uint8))
    assert not keras.ops.convert_to_numpy(flat).any()


def test_the_head_is_that_of_figure_2():
    classifier = networks.build_classifier(32, 9, 256, 0.15, 0.2, seed=0)
    kinds = [type(layer).__name__ for layer in classifier.layers]
    block = ["BatchNormalization", "Dropout", "Dense"]
    assert kinds == ["InputLayer", *block, *block, "Activation"]
    assert [layer.rate for layer in classifier.layers if isinstance(layer, keras.layers.Dropout)] == [0.15, 0.2]
    assert classifier.get_layer("logits").units == 9
    probabilities = classifier.predict(np.random.default_rng(0).normal(size=(5, 32)), verbose=0)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_a_frozen_backbone_has_no_trainable_weights_and_unfreezing_takes_the_last_layers():
    backbone = networks.build_backbone("MobileNet", SIZE, weights="none")
    extractor = networks.build_extractor(backbone, "native", frozen=True)
    assert not extractor.trainable_weights
    networks.unfreeze(backbone, 10)
    assert not any(layer.trainable_weights for layer in backbone.layers[:-10])
    last = sum(len(layer.trainable_weights) for layer in backbone.layers[-10:])
    assert 0 < last == len(extractor.trainable_weights)
    networks.unfreeze(backbone, 0)
    moving = sum("moving" in weight.path for weight in backbone.weights)
    assert len(extractor.trainable_weights) == len(backbone.weights) - moving


@pytest.mark.parametrize("phase", ["transfer", "finetune"])
def test_a_saved_run_loads_as_the_model_it_was(tmp_path, images, phase):
    backbone = networks.build_backbone("MobileNet", SIZE, weights="none")
    extractor = networks.build_extractor(backbone, "minmax", frozen=True)
    head = dict(units=8, dropout_features=0.15, dropout_hidden=0.2, seed=1)
    classifier = networks.build_classifier(extractor.output_shape[-1], 2, **head)
    full = networks.assemble(extractor, classifier)
    if phase == "finetune":
        backbone.set_weights([weight + 0.01 for weight in backbone.get_weights()])
    made = dict(
        backbone="MobileNet", preprocessing="minmax", image_size=SIZE, weights="none", classes=["a", "b"], **head
    )
    (tmp_path / "run.json").write_text(json.dumps({"model": made}))
    networks.save_weights(classifier if phase == "transfer" else full, tmp_path / f"{phase}.weights.h5")
    again = networks.load(tmp_path, phase)
    assert np.allclose(full.predict(images, verbose=0), again.predict(images, verbose=0), atol=1e-6)


@pytest.mark.parametrize("name", ["MobileNet", pytest.param("EfficientNetB3", marks=pytest.mark.slow)])
def test_files_as_keras_downloads_them_give_the_network_that_keras_makes_of_them(name, tmp_path, images, monkeypatch):
    """Keras downloads files in its older layout; its own model with them is what ours must equal, layer for layer."""
    served = tmp_path / f"{name}.h5"
    random = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    with h5py.File(served, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, random)
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(served))
    theirs = getattr(keras.applications, name)(include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3))
    expected = theirs.predict(images.astype("float32"), verbose=0)
    shutil.copy(served, tmp_path / backbones()[name].weights)
    random.save_weights(tmp_path / "newer.weights.h5")
    for source in ("older layout", "newer layout", ""):
        if source == "newer layout":
            shutil.copy(tmp_path / "newer.weights.h5", tmp_path / backbones()[name].weights)
        ours = networks.build_backbone(name, SIZE, "imagenet", str(tmp_path) if source else "")
        assert np.allclose(ours.predict(images.astype("float32"), verbose=0), expected, rtol=1e-3, atol=1e-5), source


def test_a_file_counts_as_keras_applications_own_by_the_digest_that_keras_publishes(tmp_path, monkeypatch):
    tables = {
        "EfficientNetV2B3": efficientnet_v2.WEIGHTS_HASHES["b3"],
        "EfficientNetB3": efficientnet.WEIGHTS_HASHES["b3"],
    }
    tables |= {name: resnet.WEIGHTS_HASHES[name.lower()] for name in ("ResNet50", "ResNet50V2")}
    assert {name: entry.md5 for name, entry in backbones().items() if entry.md5} == {
        name: without_top for name, (_, without_top) in tables.items()
    }
    random = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(4, 3)])
    for name, entry in backbones().items():
        assert networks.origin_of_weights(name, "none") == "random"
        assert networks.origin_of_weights(name, "imagenet") == "keras.applications"
        random.save_weights(tmp_path / entry.weights)
        expected = "another file" if name in tables else "unknown"
        assert networks.origin_of_weights(name, "imagenet", str(tmp_path)) == expected
    digest = hashlib.md5((tmp_path / entry.weights).read_bytes()).hexdigest()
    monkeypatch.setattr(networks, "backbones", lambda: {name: entry.model_copy(update={"md5": digest})})
    assert networks.origin_of_weights(name, "imagenet", str(tmp_path)) == "keras.applications"


def test_weights_that_are_missing_or_of_another_model_are_refused_by_name(tmp_path):
    path = tmp_path / "mobilenet_notop.weights.h5"
    other = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(4, 3)])
    other.save_weights(path)
    with pytest.raises(networks.WeightsError, match=r"mobilenet_notop\.weights\.h5.*MobileNet"):
        networks.build_backbone("MobileNet", SIZE, "imagenet", str(tmp_path))
    with pytest.raises(networks.WeightsError, match=r"resnet50_notop\.weights\.h5: no such file"):
        networks.build_backbone("ResNet50", SIZE, "imagenet", str(tmp_path))


def test_a_network_that_is_built_twice_in_one_kernel_saves_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        backbone = networks.build_backbone("MobileNet", 32, "none")
        extractor = networks.build_extractor(backbone, "native", frozen=False)
        networks.save_weights(extractor, tmp_path / f"{name}.weights.h5")
    assert (tmp_path / "first.weights.h5").read_bytes() == (tmp_path / "second.weights.h5").read_bytes()
