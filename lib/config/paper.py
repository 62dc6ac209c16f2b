"""What the paper classifies and with what: its classes, scenarios and backbones."""

from functools import cache
from typing import Literal

from lib.config.paths import BACKBONES, SCENARIOS
from lib.config.schema import Strict, read_yaml, validated

CLASSES = (
    *("actinic keratosis", "basal cell carcinoma", "dermatofibroma", "melanoma", "nevus"),
    *("pigmented benign keratosis", "seborrheic keratosis", "squamous cell carcinoma", "vascular lesion"),
)
MALIGNANT = ("basal cell carcinoma", "melanoma", "squamous cell carcinoma")
# class -> images after augmentation: their tenths add up to the printed test sets
POOL_SIZES = dict.fromkeys(CLASSES, 990) | dict(zip(MALIGNANT, (1020, 1030, 1020)))
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
    parameters: float
    imagenet: float
    md5: str = ""


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
