"""Which images there are, what they look like to a network, and which part each of them plays."""

from lib.data import dataset, demo, preprocess, splits
from lib.data.dataset import DIAGNOSIS_CLASSES, DataError, UnreadableImage, decode, isic_id, read_metadata
from lib.data.predictions import class_columns, out_of_fold, predicted_class, read_all, read_predictions, without
from lib.data.preprocess import release
from lib.data.splits import select

__all__ = [
    "class_columns",
    "out_of_fold",
    "predicted_class",
    "read_all",
    "read_predictions",
    "without",
    "DIAGNOSIS_CLASSES",
    "DataError",
    "UnreadableImage",
    "dataset",
    "decode",
    "demo",
    "isic_id",
    "preprocess",
    "read_metadata",
    "release",
    "select",
    "splits",
]
