"""What a study is: the defaults of every parameter, once, and the reading of the files in params/.

A study file holds only what differs from the defaults here. An unknown key, a wrong type or an
impossible value is refused with the file, the key and the nearest valid name.
"""

import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lib.config.paper import CLASSES, POOL_SIZES
from lib.config.paper import backbones as paper_backbones
from lib.config.paper import scenarios as paper_scenarios
from lib.config.paths import DEFAULT_VARIANT, PARAMS
from lib.config.schema import ParameterError, Strict, nearest, read_yaml, refuse_unknown, validated

AXES = ("protocol", "preprocessing", "scenario", "backbone", "seed", "variant")
PROTOCOLS = ("by_view", "by_file", "by_lesion", "clean")
PREPROCESSING = ("native", "minmax", "raw")
AXES_OF_NAMES = ("scenarios", "backbones", "protocols", "preprocessings")
PHASES = ("transfer", "finetune")
PHASE_TITLES = {"transfer": "Transfer learning", "finetune": "Fine-tuning"}
NOT_STUDIES = {"scenarios", "backbones", "claims", "open_choices", "reforms"}  # the other files of params/
RESERVED = {"compare", "reference", "scratch"}  # folders of results/ that hold no study of that name

Fold = Annotated[int, Field(ge=0, le=9)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what Keras and NumPy take


class Override(Strict):
    """Settings that hold only in some cells of the matrix: where every axis of `when` matches, `set` applies."""

    when: dict[str, Any]
    set: dict[str, Any]


class Study(Strict):
    """Every parameter of a study with its default: the paper's value where it gives one, ours where it is silent."""

    title: str = "Reproduction of EfficientSkinCaSV2B3"
    synthetic: bool = False  # the images are made by lib.data.demo and marked so wherever they are shown

    # the matrix
    scenarios: list[str] = Field(default_factory=lambda: list(paper_scenarios()))
    backbones: list[str] = Field(default_factory=lambda: list(paper_backbones()))
    protocols: list[str] = list(PROTOCOLS)
    preprocessings: list[str] = ["native"]
    seeds: list[Seed] = [0]
    variants: dict[str, dict[str, Any]] = {}  # name -> settings that the paper leaves open; beside them `default`
    skip: list[dict[str, Any]] = []  # cells that are not trained, each {axis: value or list of values}
    overrides: list[Override] = []

    # images and pools (02_prepare_data)
    image_size: int = Field(224, ge=32, le=1024)  # px, side of the square input
    pool_sizes: dict[str, Annotated[int, Field(ge=10)]] = POOL_SIZES  # images per class after augmentation
    pool_size_benign_malignant: int = Field(2500, ge=10)  # images for each of the two classes: a test set of 500
    split_seed: Seed = 0
    min_test_images: int = Field(10, ge=1)  # a class with fewer originals, over all folds, is not evaluable
    rotation: float = Field(180.0, ge=0, le=180)  # degrees, largest angle of equation 3
    contrast: float = Field(0.3, ge=0, lt=1)  # largest relative change of contrast, equation 5
    near_duplicate_bits: int = Field(8, ge=0, le=16)  # largest Hamming distance of perceptual hashes of a candidate
    near_duplicate_difference: float = Field(9.0, ge=0)  # grey levels, largest mean absolute difference to confirm it

    # the head of Fig. 2 and its training (04_train)
    units: int = Field(256, ge=1)
    dropout_features: float = Field(0.15, ge=0, lt=1)
    dropout_hidden: float = Field(0.2, ge=0, lt=1)
    head_momentum: float = Field(0.99, gt=0, lt=1)  # of the head's BatchNormalization statistics; lower for few steps
    weights: Literal["imagenet", "none"] = "imagenet"
    optimizer: Literal["adam", "sgd"] = "adam"
    transfer_batch_size: int = Field(32, ge=1)  # 128 takes two thirds of the time, and its validation loss is higher
    finetune_batch_size: int = Field(32, ge=1)
    batch_size: int = Field(32, ge=1)  # images at a time where nothing is trained
    transfer_folds: list[Fold] = list(range(10))  # folds whose head is trained; heads are cheap
    finetune_folds: list[Fold] = [0]  # of these, the folds whose whole network is trained
    transfer_epochs: int = Field(40, ge=1)
    transfer_learning_rate: float = Field(1e-3, gt=0)
    finetune_epochs: int = Field(30, ge=0)  # 0: no fine-tuning phase
    finetune_learning_rate: float = Field(1e-5, gt=0)  # 1e-4 destroys the features of a pretrained MobileNet
    finetune_batch_norm: Literal["inference", "train"] = "inference"  # `train` for random weights
    finetune_layers: int = Field(0, ge=0)  # how many last layers of the backbone are unfrozen; 0: all
    patience: int = Field(8, ge=1)  # epochs without a lower validation loss before training stops
    mixed_precision: bool = True  # on GPUs only
    jit_compile: bool = True  # on GPUs only
    deterministic: bool = True

    # the audit of the printed tables (01_audit)
    audit_min_n: int = Field(100, ge=2)
    audit_max_n: int = Field(1500, ge=2)

    # explanation and segmentation (06_gradcam, 07_kmeans)
    gradcam_images: int = Field(18, ge=1)  # maps shown per cell; all test images of the fold are measured
    gradcam_phase: Literal["best", "transfer", "finetune"] = "best"
    kmeans_k: int = Field(3, ge=2, le=16)
    kmeans_features: Literal["colour", "colour_texture"] = "colour"
    kmeans_init: Literal["random", "k-means++"] = "k-means++"
    kmeans_iterations: int = Field(100, ge=1)
    kmeans_tolerance: float = Field(1e-3, gt=0)  # largest movement of a centroid, grey levels
    kmeans_attempts: int = Field(3, ge=1)
    kmeans_images: int = Field(0, ge=0)  # images to segment, an equal number per class; 0: all

    # a notebook that waits: after how many minutes without output and processor time that is said; 0: never
    silent_minutes: int = Field(30, ge=0)

    # the embedded demo (lib.data.demo)
    demo_images: int = Field(12, ge=6)  # images per class
    demo_size: int = Field(128, ge=32)  # px
    demo_seed: Seed = 0

    @field_validator(*AXES_OF_NAMES, "seeds", "transfer_folds", "finetune_folds")
    @classmethod
    def known_and_once(cls, values: list, info) -> list:
        if info.field_name in AXES_OF_NAMES:
            valid = dict(zip(AXES_OF_NAMES, (paper_scenarios(), paper_backbones(), PROTOCOLS, PREPROCESSING)))
            refuse_unknown(values, valid[info.field_name], f"no {info.field_name} value")
        if not values or len(set(values)) < len(values):
            raise ValueError("must list at least one value, each once")
        return values if info.field_name in AXES_OF_NAMES else sorted(values)

    @field_validator("pool_sizes")
    @classmethod
    def one_pool_per_class(cls, sizes: dict[str, int]) -> dict[str, int]:
        refuse_unknown(sizes, CLASSES, "no class")
        if len(sizes) < len(CLASSES):
            raise ValueError("must give every class a size")
        return sizes

    @model_validator(mode="after")
    def known_cells(self) -> "Study":
        for cell in [*self.skip, *(override.when for override in self.overrides)]:
            refuse_unknown(cell, AXES, "no axis")
        for override in self.overrides:
            self._check_settings(override.set, NOT_OVERRIDABLE, "cannot be set for part of the matrix")
        for name, changed in self.variants.items():
            if name == DEFAULT_VARIANT or not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,31}", name):
                raise ValueError(f"a variant cannot be named {name!r}: small letters, digits and _, and not `default`")
            self._check_settings(changed, NOT_VARIABLE, "cannot be set by a variant")
        if missing := set(self.finetune_folds) - set(self.transfer_folds):
            raise ValueError(f"finetune_folds has fold {min(missing)}, which transfer_folds lacks; its head is needed")
        if self.audit_min_n > self.audit_max_n:
            raise ValueError("audit_min_n must not be above audit_max_n")
        return self

    def cells(self, *axes: str) -> list[dict[str, Any]]:
        """The cells of the matrix over `axes` that at least one trained cell belongs to, in the order of the files."""
        matrix = [dict(zip(AXES, values)) for values in product(*self.values_of_axes().values())]
        trained = [cell for cell in matrix if not any(matches(cell, when) for when in self.skip)]
        rows = [{axis: cell[axis] for axis in axes} for cell in trained]
        return list({tuple(row.values()): row for row in rows}.values())

    def values_of_axes(self) -> dict[str, list]:
        """The values of each axis of the matrix, in the order of the study file; variants after `default`."""
        variants = [DEFAULT_VARIANT, *self.variants]
        lists = (self.protocols, self.preprocessings, self.scenarios, self.backbones, self.seeds, variants)
        return dict(zip(AXES, lists))

    def count_views(self, files: int) -> int:
        """About how many views the pool of `files` images has: a tenth are in one of the two dealings alone."""
        return round(1.1 * max(files, sum(self.pool_sizes.values()), 2 * self.pool_size_benign_malignant))

    def count_images(self, scenario: str) -> int:
        """The views of a scenario over all tenths."""
        if paper_scenarios()[scenario].pool == "two_classes":
            return 2 * self.pool_size_benign_malignant
        return sum(self.pool_sizes[name] for name in paper_scenarios()[scenario].label_of())

    def settings(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Every parameter as it holds in a cell (axis -> value): its variant's, then overrides, the later ones last."""
        settings = self.model_dump(exclude={"overrides", "skip", "variants"})
        settings |= self.variants.get(cell.get("variant", DEFAULT_VARIANT), {})
        for override in self.overrides:
            if matches(cell, override.when):
                settings |= override.set
        return settings

    def _check_settings(self, changed: dict[str, Any], refused: set[str], problem: str) -> None:
        """Refuse settings that do not exist, or are `refused`, or would not be valid for the whole study."""
        for key in changed:
            if key not in Study.model_fields or key in refused:
                raise ValueError(f"{key!r} {problem}{nearest(key, set(Study.model_fields) - refused)}")
        Study.model_validate(self.model_dump(exclude={"overrides", "variants"}) | changed)


# What shapes the matrix is the same in every variant.
NOT_VARIABLE = {
    *("title", "synthetic", "scenarios", "backbones", "protocols", "preprocessings", "seeds"),
    *("variants", "skip", "overrides", "silent_minutes"),
}
# What shapes the inputs that cells share cannot differ between the cells of one variant.
NOT_OVERRIDABLE = NOT_VARIABLE | {
    *(name for name in Study.model_fields if name.startswith(("audit_", "demo_", "kmeans_", "pool_", "near_"))),
    *("image_size", "split_seed", "rotation", "contrast", "weights", "min_test_images"),
}


def matches(cell: dict[str, Any], when: dict[str, Any]) -> bool:
    """Whether every axis named in `when` is in the cell and has the value, or one of the values, given there."""
    return all(
        axis in cell and cell[axis] in (value if isinstance(value, list) else [value]) for axis, value in when.items()
    )


def load_study(name_or_path: str) -> Study:
    """Read a study by its name in params/ or by the path of a YAML file.

    Raises:
        ParameterError: no such study, unreadable YAML, unknown key, wrong type or impossible value.
    """
    path = study_path(name_or_path)
    return validated(Study, read_yaml(path), path)


def study_path(name_or_path: str) -> Path:
    """The file of a study given by name or path; ParameterError if there is none."""
    path = PARAMS / f"{name_or_path}.yaml" if name_or_path in study_names() else Path(name_or_path)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        if path.stem.lower() in RESERVED or path.stem.startswith("."):
            raise ParameterError(f"{path}: a study cannot be named {path.stem!r}, which results/ uses; rename the file")
        return path
    raise ParameterError(
        f"no study {name_or_path!r}{nearest(name_or_path, study_names())}; "
        f"give a name ({', '.join(study_names())}) or the path of a YAML file"
    )


def study_names() -> list[str]:
    """The studies in params/."""
    return sorted({path.stem for path in PARAMS.glob("*.yaml")} - NOT_STUDIES)
