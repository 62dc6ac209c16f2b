"""Which images there are, what they look like to a network, and which part each of them plays."""

from lib.data import demo, preprocess, splits
from lib.data.folder import DataError, UnreadableImage, check_folder, decode, find_folder
from lib.data.index import DIAGNOSIS_CLASSES, build_index, isic_id, read_metadata
from lib.data.predictions import class_columns, out_of_fold, predicted_class, read_all, read_predictions, without
from lib.data.preprocess import release
from lib.data.splits import select
from lib.data.threads import map_in_threads

__all__ = [
    "DIAGNOSIS_CLASSES",
    "DataError",
    "UnreadableImage",
    "build_index",
    "check_folder",
    "class_columns",
    "decode",
    "demo",
    "find_folder",
    "isic_id",
    "map_in_threads",
    "out_of_fold",
    "predicted_class",
    "preprocess",
    "read_all",
    "read_metadata",
    "read_predictions",
    "release",
    "select",
    "splits",
    "without",
]
