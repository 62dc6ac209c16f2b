"""Batches of a large array, and what a model says of them: features of a frozen backbone, or probabilities."""

import copy
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np

from lib.data.preprocess import release
from lib.data.threads import progress_bar
from lib.models.backend import feed

BLOCK = 64  # batches of images whose features are in memory at once
MAPPED = 16 * 2**20  # bytes read before their pages are let go; large pages map many times what is read


def extract_features(
    extractor: keras.Model, images: np.ndarray, batch_size: int = 32, path: Path | None = None, done: str = ""
) -> np.ndarray:
    """Features of every image: float32 [n, channels].

    Images may be memory-mapped; a batch at a time is read. With a `path` the features are written there as they
    come, to a memory-mapped .npy file, so that memory does not grow with n. With a word for what is `done` a bar counts
    them.
    """
    shape = (len(images), extractor.output_shape[-1])
    features = np.lib.format.open_memmap(path, "w+", np.float32, shape) if path else np.empty(shape, np.float32)
    with progress_bar(len(images), done) if done else nullcontext() as bar:
        for start in range(0, len(images), BLOCK * batch_size):
            rows = np.arange(start, min(start + BLOCK * batch_size, len(images)))
            features[rows[0] : rows[-1] + 1] = predict(extractor, images, rows, batch_size, bar)
    return features


def predict(model: keras.Model, array: np.ndarray, rows, batch_size: int, bar=None) -> np.ndarray:
    """What a model says of some rows of an array, which may be memory-mapped: [m, ...]; a `bar` is told how many.

    The last batch is filled up with other rows: TensorFlow would trace a batch of another size anew, which takes
    longer than all of them together where the backbone is an EfficientNet.
    """
    batches = feed(Batches(array, rows, None, batch_size, full=True))
    counted = [_Counted(bar, len(rows), batch_size)] if bar is not None else None
    return model.predict(batches, verbose=0, callbacks=counted)[: len(rows)]


class _Counted(keras.callbacks.Callback):
    """Tells a bar of every batch; the last one is filled up with rows that do not count."""

    def __init__(self, bar, rows: int, batch_size: int):
        super().__init__()
        self.bar, self.rows, self.batch_size = bar, rows, batch_size

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update(min(self.batch_size, self.rows - batch * self.batch_size))


class Batches(keras.utils.PyDataset):
    """Batches of rows of an array, which may be memory-mapped: no more than MAPPED bytes of it stay in memory.

    Args:
        array: [n, ...], images or features.
        rows: which rows of it, int [m].
        labels: int [m], or None for prediction.
        seed: shuffles the rows anew each epoch; None keeps their order.
        full: every batch has `batch_size` rows; the last one is filled up with the first rows of the epoch. XLA
            compiles a step for each size of batch.
    """

    def __init__(self, array, rows, labels, batch_size: int, seed: int | None = None, full: bool = False):
        super().__init__(workers=1, use_multiprocessing=False)
        self.full = full
        self.array, self.rows, self.labels = array, np.asarray(rows), labels
        self.batch_size, self.seed, self.epoch, self.read = batch_size, seed, 0, 0
        self._shuffle()

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, batch: int):
        chosen = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        images = np.take(np.asarray(self.array), self.rows[chosen], axis=0)
        self.read += images.nbytes
        if self.read > MAPPED:
            release(self.array)
            self.read = 0
        return (images,) if self.labels is None else (images, self.labels[chosen])

    def together(self, count: int):
        """The batches of an epoch, at most `count` of one size at a time: arrays with one more dimension in front."""
        whole = len(self.order) // self.batch_size
        ends = [*range(0, whole, count), whole] if whole else [0]
        for start, end in zip(ends, ends[1:]):
            drawn = [self[number] for number in range(start, end)]
            yield tuple(np.stack(arrays) for arrays in zip(*drawn))
        if whole < len(self):
            yield tuple(array[None] for array in self[whole])

    def numbers(self) -> "Batches":
        """The same batches, with the numbers of the rows in place of the rows."""
        found = copy.copy(self)
        found.array = np.arange(len(self.array), dtype=np.int32)
        return found

    def on_epoch_end(self) -> None:
        self.start_at(self.epoch + 1)

    def start_at(self, epoch: int) -> None:
        """Go to an epoch, counted from 0, and its order of rows."""
        self.epoch = epoch
        self._shuffle()

    def _shuffle(self) -> None:
        count = len(self.rows)
        shuffled = self.seed is not None
        order = np.random.default_rng([self.seed, self.epoch]).permutation(count) if shuffled else np.arange(count)
        self.order = np.resize(order, len(self) * self.batch_size) if self.full else order
