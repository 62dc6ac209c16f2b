"""The networks: six backbones, each with its own input range, under the head of Fig. 2.

images uint8 -> preprocessing -> backbone -> GlobalMaxPooling2D -> classifier
\\______________ extractor: run once, frozen ______________/       \\__ trained in the transfer phase
"""

import hashlib
import json
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import keras
import numpy as np
from keras import layers

from lib.config.paper import backbones
from lib.config.paths import RUN_RECORD, RUN_WEIGHTS


class WeightsError(ValueError):
    """A weights file that is missing or does not fit the model; the message names it."""


@keras.saving.register_keras_serializable("skincas")
class MinMax(layers.Layer):
    """Equation 2 for each image of a batch: all its values to [0, 1]."""

    def call(self, images):
        images = keras.ops.cast(images, "float32")
        low = keras.ops.min(images, axis=(1, 2, 3), keepdims=True)
        high = keras.ops.max(images, axis=(1, 2, 3), keepdims=True)
        return keras.ops.cast((images - low) / keras.ops.maximum(high - low, 1e-6), self.compute_dtype)


@keras.saving.register_keras_serializable("skincas")
class Caffe(layers.Layer):
    """RGB 0..255 to BGR with the ImageNet mean taken off, as ResNet50's weights expect."""

    def call(self, images):
        bgr = keras.ops.flip(keras.ops.cast(images, "float32"), axis=-1)
        return keras.ops.cast(bgr - keras.ops.convert_to_tensor([103.939, 116.779, 123.68]), self.compute_dtype)


@keras.saving.register_keras_serializable("skincas")
class BackboneLayer(layers.Layer):
    """A backbone inside a model, with its BatchNormalization (and dropout) in inference mode or not.

    `backbone(x, training=False)` would not do: a functional model passes the `training` of `fit` on to every layer
    that takes it, and overrides what the call said when the model was built.
    """

    def __init__(self, network: keras.Model, inference: bool):
        super().__init__(name="backbone")
        self.network, self.inference = network, inference

    def call(self, images, training=None):
        return self.network(images, training=False if self.inference else training)

    def compute_output_shape(self, input_shape):
        return self.network.compute_output_shape(input_shape)

    def get_config(self):
        return {"network": keras.saving.serialize_keras_object(self.network), "inference": self.inference}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["network"]), config["inference"])


def input_range(backbone: str, preprocessing: str) -> layers.Layer:
    """The layer between uint8 images and a backbone.

    Args:
        preprocessing: `native` (the range the backbone was trained with), `minmax` (equation 2) or `raw` (0..255).
    """
    kind = backbones()[backbone].input if preprocessing == "native" else preprocessing
    if kind == "raw":
        return layers.Rescaling(1.0, name="raw")
    if kind == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="minus_one_to_one")
    return Caffe(name="caffe") if kind == "caffe" else MinMax(name="minmax")


def build_backbone(name: str, image_size: int, weights: str = "imagenet", weights_dir: str = "") -> keras.Model:
    """A backbone without its top; its output is that of the layer `last_conv` in params/backbones.yaml.

    Args:
        name: a keras.applications name.
        weights: `imagenet` (from `weights_dir` where given, else Keras downloads them) or `none` (random, the same
            for every run of the study on one backend, with normalisation statistics that fit them).

    Raises:
        WeightsError: the file is missing from `weights_dir` or holds the weights of another model.
    """
    build, shape = getattr(keras.applications, name), (image_size, image_size, 3)
    keras.utils.set_random_seed(zlib.crc32(name.encode()))  # of its dropout too, whatever was drawn before
    model = _cut_at_maps(build(include_top=False, weights=None, input_shape=shape), name)
    if weights != "imagenet":
        _initialise_batchnorm(model)
    elif weights_dir:
        load_weights(model, Path(weights_dir) / backbones()[name].weights)
    else:
        model.set_weights(build(include_top=False, weights="imagenet", input_shape=shape).get_weights())
    if weights == "imagenet" and name.startswith("EfficientNetB"):  # Keras scales colours in one more layer then
        stem = model.get_layer("stem_conv").kernel
        stem.assign(stem / np.sqrt([0.229, 0.224, 0.225], dtype="float32")[:, None])
    return model


def origin_of_weights(name: str, weights: str, weights_dir: str = "") -> str:
    """Where the weights of `build_backbone` come from: `random`, `keras.applications` (downloaded, or a file with the
    digest that it publishes), `another file`, or `unknown` where it publishes no digest."""
    if weights == "none":
        return "random"
    if not weights_dir:
        return "keras.applications"
    if not backbones()[name].md5:
        return "unknown"
    with (Path(weights_dir) / backbones()[name].weights).open("rb") as file:
        same = hashlib.file_digest(file, "md5").hexdigest() == backbones()[name].md5
    return "keras.applications" if same else "another file"


def build_extractor(backbone: keras.Model, preprocessing: str, frozen: bool, batch_norm: str = "inference"):
    """uint8 [n, s, s, 3] -> the vector of Fig. 2's GlobalMaxPooling2D, [n, channels].

    Args:
        frozen: the backbone's weights are not trained and its BatchNormalization runs in inference mode.
        batch_norm: the mode of the BatchNormalization layers of a backbone that is trained.
    """
    images = keras.Input(backbone.input_shape[1:], dtype="uint8", name="images")
    ranged = input_range(backbone.name, preprocessing)(images)
    backbone.trainable = not frozen
    maps = BackboneLayer(backbone, inference=frozen or batch_norm == "inference")(ranged)
    return keras.Model(images, layers.GlobalMaxPooling2D(name="pool")(maps), name="extractor")


def build_classifier(channels, classes, units, dropout_features, dropout_hidden, seed, head_momentum=0.99):
    """The head of Fig. 2 after pooling: features [n, channels] -> probabilities [n, classes], float32.

    `logits` is the class score before softmax of equation 6.
    """
    keras.utils.set_random_seed(seed)
    features = x = keras.Input((channels,), name="features")
    x = layers.BatchNormalization(momentum=head_momentum, name="normalise_features")(x)
    x = layers.Dropout(dropout_features, seed=seed, name="dropout_features")(x)
    x = layers.Dense(units, activation="relu", name="hidden")(x)
    x = layers.BatchNormalization(momentum=head_momentum, name="normalise_hidden")(x)
    x = layers.Dropout(dropout_hidden, seed=(seed + 1) % 2**32, name="dropout_hidden")(x)
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    x = layers.Activation("softmax", name="probabilities", dtype="float32")(x)
    return keras.Model(features, x, name="classifier")


def assemble(extractor: keras.Model, classifier: keras.Model) -> keras.Model:
    """uint8 images -> probabilities."""
    return keras.Model(extractor.input, classifier(extractor.output), name="full")


def split_at_maps(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """A full model cut at the last convolution, for Grad-CAM: uint8 images -> feature maps A [n, h, w, channels], and
    A -> class scores before softmax [n, classes]."""
    classifier = model.get_layer("classifier")
    maps = keras.Model(model.input, model.get_layer("backbone").output)
    scores = keras.Model(classifier.input, classifier.get_layer("logits").output)
    a = keras.Input(maps.output_shape[1:])
    return maps, keras.Model(a, scores(layers.GlobalMaxPooling2D()(a)))


def unfreeze(backbone: keras.Model, last_layers: int) -> None:
    """Make the last `last_layers` layers of a backbone trainable, or all of them where it is 0."""
    backbone.trainable = True
    for layer in backbone.layers:
        layer.trainable = not last_layers or layer in backbone.layers[-last_layers:]


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of a model as .weights.h5, without its optimizer's state, which would be twice as large."""
    with attached(model, None):
        model.save_weights(path)


@contextmanager
def attached(model: keras.Model, optimizer) -> Iterator[None]:
    """A model with another optimizer, whose state Keras saves and loads with the weights."""
    own, model.optimizer = getattr(model, "optimizer", None), optimizer
    try:
        yield
    finally:
        model.optimizer = own


def load_weights(model: keras.Model, path: Path) -> None:
    """Load weights in either layout of Keras, told apart by content; WeightsError names a file of another model."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; pass --weights with a folder that has the weights of {model.name}")
    try:
        with warnings.catch_warnings(), TemporaryDirectory() as folder, h5py.File(path) as file:
            warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that the file does not hold
            older = Path(folder, "older.h5")  # the suffix by which Keras knows the layout of the files that it serves
            older.symlink_to(path.resolve())
            is_older = "model_weights" in file or any(name.startswith("layer_names") for name in file.attrs)
            model.load_weights(older if is_older else path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        problem = f"{path}: does not hold the weights of {model.name} ({type(error).__name__} from Keras)"
        raise WeightsError(f"{problem}; put its ImageNet weights without top there, or drop --weights") from error


def load(run: Path, phase: str, weights_dir: str = "") -> keras.Model:
    """The full model of a training run as it was at the end of a phase.

    Args:
        run: the run's folder, with run.json and the phase's weights.
        phase: `transfer` (the backbone is the pretrained one) or `finetune`.

    Raises:
        WeightsError: the files of weights do not fit, or the backbone was a random one of another backend.
    """
    record, own = json.loads((run / RUN_RECORD).read_text(encoding="utf-8")), keras.backend.backend()
    built, trained_by = record["model"], record.get("machine", {}).get("backend", own)
    finetuned = phase == "finetune"
    weights = "none" if finetuned else built["weights"]
    if not finetuned and weights == "none" and trained_by != own:
        raise WeightsError(
            f"{run}: its head was trained on the random backbone of {trained_by}, and {own} makes another; "
            f"set KERAS_BACKEND={trained_by}"
        )
    backbone = build_backbone(built["backbone"], built["image_size"], weights, weights_dir)
    extractor = build_extractor(backbone, built["preprocessing"], frozen=True)
    head = {key: built[key] for key in ("units", "dropout_features", "dropout_hidden", "seed")}
    classifier = build_classifier(extractor.output_shape[-1], len(built["classes"]), **head)
    model = assemble(extractor, classifier)
    load_weights(model if finetuned else classifier, run / RUN_WEIGHTS.format(phase))
    return model


def _initialise_batchnorm(model: keras.Model) -> None:
    """Give a random backbone near-linear activations and the statistics of noise images, so that it separates images.

    As Keras initialises them, activations fade from layer to layer (their mean and variance are not 0 and 1) and, once
    normalised, similar images end far apart. A small scale about 1 keeps similar images similar.
    """
    normalisations = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    small = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
    noise = keras.ops.image.resize(keras.ops.cast(small, "float32"), model.input_shape[1:3], "bicubic")
    ranged = input_range(model.name, "native")(keras.ops.clip(noise, 0, 255))
    for layer in normalisations:
        layer.momentum = 0.0
        layer.gamma.assign(keras.ops.full(layer.gamma.shape, 0.2))
        layer.beta.assign(keras.ops.ones(layer.beta.shape))
    normalisations[-1].gamma.assign(keras.ops.ones(normalisations[-1].gamma.shape))
    model(ranged, training=True)
    for layer in normalisations:
        layer.momentum = 0.9  # weights that start at random move fast, and their statistics with them


def _cut_at_maps(model: keras.Model, name: str) -> keras.Model:
    """A model of keras.applications up to its last convolution, whose output Grad-CAM explains.

    Keras numbers unnamed layers over all models that the kernel has built, and saved weights hold these numbers. Here
    they are counted in this model alone, so that a notebook's cell that is run twice writes the same file.
    """
    unnamed = Counter()
    for layer in model.layers:
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        if re.fullmatch(rf"{kind}(_\d+)?", layer.name):
            layer.name = f"{kind}_{unnamed[kind]}" if unnamed[kind] else kind
            unnamed[kind] += 1
    return keras.Model(model.input, model.get_layer(backbones()[name].last_conv).output, name=name)
