"""Which images are there, what do they look like to a network, and in which fold is each tested?"""

from lib.data import demo, demo_external, preprocess
from lib.data.by_hand import all_side_by_side, side_by_side
from lib.data.duplicates import turned
from lib.data.external import LEFT_OUT, external_images, read_external
from lib.data.folder import (
    KAGGLE_FILES,
    DataError,
    UnreadableImage,
    check_external,
    check_folder,
    decode,
    downloaded,
    find_folder,
    given_folder,
    lacking,
)
from lib.data.index import DIAGNOSIS_CLASSES, build_index, isic_id, read_metadata, thumbnail
from lib.data.neighbours import SAME_FILE, SAME_GROUP, nearest_neighbour_accuracy, nearest_views
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
from lib.data.protocols import FOLDS, NO_PART, deal, labels_that_hold, not_evaluable, parts_of_fold, select, share_seen
from lib.data.threads import map_in_threads, progress_bar

__all__ = [
    "DESCRIPTION",
    "FOLDS",
    "KAGGLE_FILES",
    "LEFT_OUT",
    "NO_PART",
    "POOLS",
    "SAME_FILE",
    "SAME_GROUP",
    "all_side_by_side",
    "deal",
    "examples",
    "labels_that_hold",
    "not_evaluable",
    "out_of_fold",
    "parts_of_fold",
    "pool_views",
    "read_not_evaluable",
    "share_seen",
    "without",
    "DIAGNOSIS_CLASSES",
    "DataError",
    "UnreadableImage",
    "build_index",
    "check_external",
    "check_folder",
    "class_columns",
    "decode",
    "demo",
    "demo_external",
    "downloaded",
    "external_images",
    "find_folder",
    "given_folder",
    "isic_id",
    "lacking",
    "map_in_threads",
    "nearest_neighbour_accuracy",
    "nearest_views",
    "predicted_class",
    "preprocess",
    "progress_bar",
    "read_external",
    "read_metadata",
    "read_predictions",
    "release",
    "select",
    "side_by_side",
    "thumbnail",
    "turned",
]
