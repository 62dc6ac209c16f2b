"""Which images there are, what they look like to a network, and which part each of them plays."""

from lib.data import dataset, demo, preprocess
from lib.data.dataset import DIAGNOSIS_CLASSES, DataError, UnreadableImage, decode, isic_id, read_metadata
from lib.data.pool import POOLS, examples, pool_views
from lib.data.predictions import (
    DESCRIPTION,
    class_columns,
    out_of_fold,
    predicted_class,
    read_not_evaluable,
    read_predictions,
    without,
)
from lib.data.preprocess import release
from lib.data.protocols import FOLDS, deal, labels_that_hold, not_evaluable, parts_of_fold, select, share_seen

__all__ = [
    "read_not_evaluable",
    "FOLDS",
    "deal",
    "labels_that_hold",
    "not_evaluable",
    "parts_of_fold",
    "share_seen",
    "POOLS",
    "examples",
    "pool_views",
    "DESCRIPTION",
    "out_of_fold",
    "class_columns",
    "predicted_class",
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
]
