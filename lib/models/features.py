"""Batches of a large array, and what a model computes from them: features of a frozen backbone, or probabilities."""

import copy
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np

from lib.data.preprocess import create_array, release
from lib.data.threads import progress_bar
from lib.models.backend import as_dataset

BLOCK = 16  # batches of images whose features are in memory at once
MAPPED = 16 * 2**20  # bytes read before their pages are released; large pages map many times what is read


def extract_features(
    extractor: keras.Model, images: np.ndarray, batch_size: int = 32, path: Path | None = None, title: str = ""
) -> np.ndarray:
    """Features of every image: float32 [n, channels].

    Args:
        images: may be memory-mapped; one batch at a time is read.
        path: the .npy file to which the features are written as they come, so that memory does not grow with n.
        title: of a progress bar over the images; none if empty.
    """
    shape = (len(images), extractor.output_shape[-1])
    features = create_array(path, np.float32, shape) if path else np.empty(shape, np.float32)
    with progress_bar(len(images), title) if title else nullcontext() as bar:
        for start in range(0, len(images), BLOCK * batch_size):
            rows = np.arange(start, min(start + BLOCK * batch_size, len(images)))
            features[rows[0] : rows[-1] + 1] = predict(extractor, images, rows, batch_size)
            if bar is not None:
                bar.update(len(rows))
    return features


def predict(model: keras.Model, array: np.ndarray, rows, batch_size: int) -> np.ndarray:
    """What a model computes from some rows of an array, which may be memory-mapped: [m, ...].

    The last batch is filled up with other rows: TensorFlow would trace a batch of another size anew, which takes
    longer than all of them together where the backbone is an EfficientNet.
    """
    batches = as_dataset(Batches(array, rows, None, batch_size, full=True))
    return model.predict(batches, verbose=0)[: len(rows)]


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
        self.array, self.rows, self.labels = array, np.asarray(rows), labels
        self.batch_size, self.seed, self.full, self.read = batch_size, seed, full, 0
        self.set_epoch(0)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, batch: int):
        selected = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        images = np.take(np.asarray(self.array), self.rows[selected], axis=0)
        self.read += images.nbytes
        if self.read > MAPPED:
            release(self.array)
            self.read = 0
        return (images,) if self.labels is None else (images, self.labels[selected])

    def stacked(self, count: int):
        """The batches of an epoch, at most `count` of one size at a time: arrays with one more dimension in front."""
        whole = len(self.order) // self.batch_size
        for start in range(0, whole, count):
            batches = [self[number] for number in range(start, min(start + count, whole))]
            yield tuple(np.stack(arrays) for arrays in zip(*batches))
        if whole < len(self):
            yield tuple(array[None] for array in self[whole])

    def of_row_numbers(self) -> "Batches":
        """The same batches, with the numbers of the rows in place of the rows."""
        numbers = copy.copy(self)
        numbers.array = np.arange(len(self.array), dtype=np.int32)
        return numbers

    def on_epoch_end(self) -> None:
        self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, counted from 0, and its order of rows."""
        self.epoch, count = epoch, len(self.rows)
        shuffled = self.seed is not None
        order = np.random.default_rng([self.seed, epoch]).permutation(count) if shuffled else np.arange(count)
        self.order = np.resize(order, len(self) * self.batch_size) if self.full else order
