"""What a study is: the defaults of every parameter, once; a study file in params/ holds only what differs from them."""

import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lib.config.paper import CLASSES, POOL_SIZES
from lib.config.paper import backbones as paper_backbones
from lib.config.paper import scenarios as paper_scenarios
from lib.config.paths import DEFAULT_VARIANT, PARAMS
from lib.config.schema import ParameterError, Strict, nearest, read_yaml, refuse_unknown, validated

AXES = ("protocol", "preprocessing", "scenario", "backbone", "seed", "variant")
PROTOCOLS = ("by_view", "by_file", "by_lesion", "clean")
PREPROCESSING = ("native", "minmax", "raw")
PHASES = ("transfer", "finetune")
PHASE_TITLES = {"transfer": "Transfer learning", "finetune": "Fine-tuning"}
NOT_STUDIES = {"scenarios", "backbones", "claims", "open_choices", "reforms"}  # the other files of params/
RESERVED = {"compare", "reference", "scratch"}  # folders of results/ that hold no study of that name

Fold = Annotated[int, Field(ge=0, le=9)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what Keras and NumPy take


class Training(Strict):
    """How the models of Fig. 2 are trained and explained: what `overrides` may change for some cells of the matrix."""

    units: int = Field(256, ge=1)
    dropout_features: float = Field(0.15, ge=0, lt=1)
    dropout_hidden: float = Field(0.2, ge=0, lt=1)
    head_momentum: float = Field(0.99, gt=0, lt=1)  # of the head's BatchNormalization statistics; lower for few steps
    optimizer: Literal["adam", "sgd"] = "adam"
    transfer_batch_size: int = Field(32, ge=1)  # 128 takes two thirds of the time, and its validation loss is higher
    finetune_batch_size: int = Field(32, ge=1)
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
    gradcam_images: int = Field(18, ge=1)  # maps shown per cell; all test images of the fold are measured


class Settings(Training):
    """What the cells of a study share: only `variants` may change it."""

    weights: Literal["imagenet", "none"] = "imagenet"

    # images and pools (02_prepare_data)
    image_size: int = Field(224, ge=32, le=1024)  # px, side of the square input
    pool_sizes: dict[Literal[CLASSES], Annotated[int, Field(ge=10)]] = Field(POOL_SIZES, min_length=len(CLASSES))
    pool_size_benign_malignant: int = Field(2500, ge=10)  # images for each of the two classes: a test set of 500
    split_seed: Seed = 0
    min_test_images: int = Field(10, ge=1)  # a class with fewer originals, over all folds, is not evaluable
    rotation: float = Field(180.0, ge=0, le=180)  # degrees, largest angle of equation 3
    contrast: float = Field(0.3, ge=0, lt=1)  # largest relative change of contrast, equation 5
    near_duplicate_bits: int = Field(8, ge=0, le=16)  # largest Hamming distance of perceptual hashes of a candidate
    near_duplicate_difference: float = Field(9.0, ge=0)  # grey levels, largest mean absolute difference to confirm it
    kmeans_k: int = Field(3, ge=2, le=16)  # of the segmentation in 06_gradcam and 07_kmeans
    kmeans_features: Literal["colour", "colour_texture"] = "colour"
    kmeans_init: Literal["random", "k-means++"] = "k-means++"
    kmeans_images: int = Field(0, ge=0)  # images to segment, an equal number per class; 0: all
    demo_images: int = Field(12, ge=6)  # per class, of the demo's own data set
    demo_size: int = Field(128, ge=32)  # px


class Study(Settings):
    """Every parameter of a study with its default: the paper's value where it gives one, ours where it is silent."""

    title: str = "Reproduction of EfficientSkinCaSV2B3"
    synthetic: bool = False  # the images are made by lib.data.demo and marked so wherever they are shown
    silent_minutes: int = Field(30, ge=0)  # without output and processor time until it is said of a notebook; 0: never
    weights_note: dict[str, Annotated[str, Field(min_length=1)]] = {}  # backbone -> why its weights are not ImageNet's
    scenarios: list[str] = Field(default_factory=lambda: list(paper_scenarios()))
    backbones: list[str] = Field(default_factory=lambda: list(paper_backbones()))
    protocols: list[Literal[PROTOCOLS]] = list(PROTOCOLS)
    preprocessings: list[Literal[PREPROCESSING]] = ["native"]
    seeds: list[Seed] = [0]
    variants: dict[str, dict[str, Any]] = {}  # name -> settings that the paper leaves open; beside them `default`
    skip: list[dict[str, Any]] = []  # cells that are not trained, each {axis: value or list of values}
    # settings that hold only in some cells: where every axis of `when` matches, `set` applies
    overrides: list[Annotated[dict[Literal["when", "set"], dict[str, Any]], Field(min_length=2)]] = []

    @model_validator(mode="after")
    def known_names_and_cells(self) -> "Study":
        self.protocols.sort(key=PROTOCOLS.index)  # the last is the strictest, whatever order the file has
        names = {"scenarios": paper_scenarios(), "backbones": paper_backbones(), "weights_note": paper_backbones()}
        for field, valid in names.items():
            refuse_unknown(getattr(self, field), valid, f"unknown name in {field}:")
        models = (PROTOCOLS, PREPROCESSING, [*paper_scenarios()], [*paper_backbones()])
        known = self.values_of_axes() | dict(zip(AXES, models))
        for cell in [*self.skip, *(override["when"] for override in self.overrides)]:
            refuse_unknown(cell, AXES, "no axis")
            for axis, value in cell.items():
                refuse_unknown(value if isinstance(value, list) else [value], known[axis], f"no {axis}")
        for override in self.overrides:
            self._check(override["set"], Training, "cannot be set for part of the matrix")
        for name, changed in self.variants.items():
            if name == DEFAULT_VARIANT or not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,31}", name):
                raise ValueError(f"a variant cannot be named {name!r}: small letters, digits and _, and not `default`")
            self._check(changed, Settings, "cannot be set by a variant")
        folds = {"transfer_fold": self.transfer_folds, "finetune_fold": self.finetune_folds}
        for name, values in (self.values_of_axes() | folds).items():
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}s must list at least one value, each once, not {values}")
        if missing := set(self.finetune_folds) - set(self.transfer_folds):
            raise ValueError(f"finetune_folds has fold {min(missing)}, which transfer_folds lacks; its head is needed")
        return self

    def cells(self, *axes: str) -> list[dict[str, Any]]:
        """The cells of the matrix over `axes` that at least one trained cell belongs to, in the order of the files."""
        matrix = [dict(zip(AXES, values)) for values in product(*self.values_of_axes().values())]
        trained = [cell for cell in matrix if not any(matches(cell, when) for when in self.skip)]
        rows = [{axis: cell[axis] for axis in axes} for cell in trained]
        return list({tuple(row.values()): row for row in rows}.values())

    def values_of_axes(self) -> dict[str, list]:
        """The values of each axis of the matrix, in the order of the study file; variants after `default`."""
        models = (self.protocols, self.preprocessings, self.scenarios, self.backbones, self.seeds)
        return dict(zip(AXES, (*models, [DEFAULT_VARIANT, *self.variants])))

    def count_views(self, files: int) -> int:
        """About how many views the pool of `files` images has: a tenth are in one of the two dealings alone."""
        return round(1.1 * max(files, sum(self.pool_sizes.values()), 2 * self.pool_size_benign_malignant))

    def count_images(self, scenario: str) -> int:
        """The views of a scenario over all tenths."""
        of_nine = sum(self.pool_sizes[name] for name in paper_scenarios()[scenario].label_of())
        return 2 * self.pool_size_benign_malignant if paper_scenarios()[scenario].pool == "two_classes" else of_nine

    def settings(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Every parameter as it holds in a cell (axis -> value): its variant's, then overrides, the later ones last."""
        settings = self.model_dump(exclude={"overrides", "skip", "variants"})
        settings |= self.variants.get(cell.get("variant", DEFAULT_VARIANT), {})
        for override in self.overrides:
            if matches(cell, override["when"]):
                settings |= override["set"]
        return settings

    def _check(self, changed: dict[str, Any], allowed: type[Strict], problem: str) -> None:
        """Refuse settings that are not `allowed`, or would not be valid for the whole study."""
        for key in changed:
            if key not in allowed.model_fields:
                raise ValueError(f"{key!r} {problem}{nearest(key, allowed.model_fields)}")
        Study.model_validate(self.model_dump(exclude={"overrides", "skip", "variants"}) | changed)


def matches(cell: dict[str, Any], when: dict[str, Any]) -> bool:
    """Whether a cell has every axis of `when` with the value, or one of the values, given there."""
    return all(axis in cell and cell[axis] in (v if isinstance(v, list) else [v]) for axis, v in when.items())


def load_study(name_or_path: str) -> Study:
    """Read a study by its name in params/ or the path of a YAML file; ParameterError names what cannot be used."""
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
