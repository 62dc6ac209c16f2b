"""What the paper says and does: its classes, scenarios and models, and the numbers that it prints."""

from functools import cache
from typing import Literal

import pandas as pd

from lib.config.paths import BACKBONES, LITERATURE, PRINTED, SCENARIOS, TEXT_NUMBERS
from lib.config.schema import Strict, read_yaml, validated

CLASSES = (
    "actinic keratosis",
    "basal cell carcinoma",
    "dermatofibroma",
    "melanoma",
    "nevus",
    "pigmented benign keratosis",
    "seborrheic keratosis",
    "squamous cell carcinoma",
    "vascular lesion",
)
MALIGNANT = ("basal cell carcinoma", "melanoma", "squamous cell carcinoma")
IMAGES = 2357  # abstract, sections III and IV.A
SPLIT = (8, 1, 1)  # training, validation and test; section III.A, step 3


class Scenario(Strict):
    """One of the paper's four classification tasks: task class -> the data set's classes it covers."""

    table: int
    title: str
    classes: dict[str, list[str]]
    pool: Literal["nine_classes", "two_classes"] = "nine_classes"  # whose dealing into parts its images follow

    @property
    def names(self) -> list[str]:
        return list(self.classes)

    def label_of(self) -> dict[str, str]:
        """Data-set class -> class of this task, for the classes that take part in it."""
        return {source: task for task, sources in self.classes.items() for source in sources}


class Backbone(Strict):
    printed: str
    input: Literal["raw", "tf", "caffe"]
    last_conv: str
    weights: str


@cache
def scenarios() -> dict[str, Scenario]:
    """The four scenarios by name, from params/scenarios.yaml."""
    return {name: validated(Scenario, entry, SCENARIOS, name) for name, entry in read_yaml(SCENARIOS).items()}


@cache
def backbones() -> dict[str, Backbone]:
    """The six backbones by their keras.applications names, from params/backbones.yaml; the paper's model first."""
    return {name: validated(Backbone, entry, BACKBONES, name) for name, entry in read_yaml(BACKBONES).items()}


def proposed_backbone() -> str:
    """The paper's own model."""
    return next(iter(backbones()))


def printed_rows() -> pd.DataFrame:
    """The 48 rows of Tables I-IV as printed, in per cent: table, phase, backbone, val_accuracy, test_accuracy,
    precision, recall, f1."""
    return pd.read_csv(PRINTED)


def literature() -> pd.DataFrame:
    """Table V as printed."""
    return pd.read_csv(LITERATURE, dtype=str, keep_default_na=False)


def text_numbers() -> pd.DataFrame:
    """The numbers and ranks that the paper states in prose, each with its quote, from params/text_numbers.csv."""
    return pd.read_csv(TEXT_NUMBERS, dtype=str, keep_default_na=False)


def roman(number: int | str) -> str:
    """The numeral of a table, as the paper counts them: `III` for 3 or "3"."""
    return ("I", "II", "III", "IV", "V")[int(number) - 1]
