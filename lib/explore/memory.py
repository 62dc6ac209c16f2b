"""What do a model's weights make of a picture? Models, features and maps that were made last are kept in memory."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.config.paths import run_record
from lib.data.folder import decode
from lib.explain import gradcam
from lib.explore.opened import Opened

KEPT = 4  # models and feature tables
KEPT_MAPS = 128


class Memory:
    """Loads what is asked for once, and keeps the last KEPT of it.

    Args:
        weights_dir: folder of pretrained weights, as for lib.models.networks.load; empty: Keras downloads ImageNet's.
        tell: called with a line before something slow begins, and with "" when it has ended.
    """

    def __init__(self, weights_dir: str = "", tell: Callable[[str], None] = lambda text: None):
        self.weights_dir, self.tell = weights_dir, tell
        self._configured = False
        self._load = lru_cache(KEPT)(self._load_model)
        self._read = lru_cache(KEPT)(lambda path, changed: np.load(path, allow_pickle=False))
        self._answer = lru_cache(KEPT_MAPS)(self._predict)
        self._map = lru_cache(KEPT_MAPS)(self._make_map)

    def model(self, opened: Opened):
        """The full keras.Model of the saved fold: uint8 images to probabilities.

        Raises:
            WeightsError: its files of weights do not fit; Exception where a download fails.
        """
        folder = opened.chosen["folder"]
        return self._load(folder, opened.chosen["phase"], run_record(folder).stat().st_mtime_ns)[0]

    def answer(self, opened: Opened, image: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Class -> probability by the saved weights, and features after GlobalMaxPooling2D [channels].

        Args:
            image: uint8 [s, s, 3] at the model's input size.
        """
        probabilities, features = self._answer(self._key(opened), image.shape, image.tobytes())
        return dict(zip(opened.names, probabilities.astype(float).tolist())), features

    def heat(self, opened: Opened, image: np.ndarray, label: str) -> np.ndarray:
        """The Grad-CAM map of a class, [s, s], 0 to 1."""
        return self._map(self._key(opened), opened.names.index(label), image.shape, image.tobytes())

    def features(self, opened: Opened) -> np.ndarray:
        """What the pretrained backbone makes of every view of the pool, float32 [views, channels].

        Raises:
            OSError, ValueError: the file is missing or broken.
        """
        path = opened.paths.features(opened.chosen["preprocessing"], opened.chosen["backbone"])
        return self._read(path, path.stat().st_mtime_ns)

    def _key(self, opened: Opened) -> tuple[Any, ...]:
        folder = opened.chosen["folder"]
        return folder, opened.chosen["phase"], run_record(folder).stat().st_mtime_ns

    def _load_model(self, folder: Path, phase: str, changed: int):
        """The model, and one with its features beside its answer."""
        self.tell("Loading the model's weights…")
        from lib.models import backend, networks

        if not self._configured:
            backend.configure(0, deterministic=True, mixed_precision=False)
            self._configured = True
        model = networks.load(folder, phase, self.weights_dir)
        self.tell("")
        return model, _with_features(model)

    def _predict(self, key: tuple, shape: tuple[int, ...], pixels: bytes) -> tuple[np.ndarray, np.ndarray]:
        both = self._load(*key)[1]
        import keras

        # called, not `predict`: tracing a large network takes a minute, a call a second
        images = keras.ops.convert_to_tensor(np.frombuffer(pixels, np.uint8).reshape(1, *shape))
        features, probabilities = both(images, training=False)
        return keras.ops.convert_to_numpy(probabilities)[0], keras.ops.convert_to_numpy(features)[0].astype(np.float32)

    def _make_map(self, key: tuple, place: int, shape: tuple[int, ...], pixels: bytes) -> np.ndarray:
        image = np.frombuffer(pixels, np.uint8).reshape(1, *shape)
        return gradcam.maps(self._load(*key)[0], image, [place])[0]


def _with_features(model):
    """The model with the features after GlobalMaxPooling2D beside its answer."""
    import keras

    return keras.Model(model.input, [model.get_layer("pool").output, model.output])


def decode_upload(content: bytes) -> np.ndarray:
    """The bytes of a picture as uint8 [height, width, 3], with all the limits of lib.data.decode.

    Raises:
        UnreadableImage: what `decode` refuses.
    """
    with tempfile.NamedTemporaryFile() as file:  # `decode` reads files; this one is gone at once
        file.write(content)
        file.flush()
        return decode(Path(file.name))
