"""One trained model of a study: what it saved, what is known of the images, and what it predicts for a picture."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.paper import CLASSES, scenarios
from lib.config.paths import RUN_RECORD, StudyPaths
from lib.data import preprocess
from lib.data.folds import parts_of_fold
from lib.data.folds import select as select_views
from lib.data.predictions import Models
from lib.explain import gradcam
from lib.explore.results import TRAINED
from lib.scores.outcomes import class_columns, collect_outcomes, select

INDEXED = {"content": "", "lesion_id": "", "diagnosis": ""}  # of the audit, and where it is missing
UNUSED = "none"  # the part of a view of another class, or whose label `clean` dropped


class Model:
    """A trained model of a study, read from its files; OSError, ValueError or KeyError where one is missing or of
    another version. The network is loaded when it is first needed.

    Args:
        root, axes: the study's results folder; the model's value on each of lib.explore.results.AXES.
        weights_dir: folder of pretrained weights, as for lib.models.networks.load.

    Attributes:
        names, missing: the classes that it tells apart, in the order of its outputs; those that the scenario lacks.
        views: one row per view of the pool, in the order of images.npy: row, source, view, image_id, folder_class,
            class (under the protocol), label (of the scenario; "" where it has none), tenth, group and INDEXED.
        outcomes: its tested views (lib.scores.outcomes), with image_id, probability (of the predicted class) and
            true_probability; true_class is the label under the protocol.
        saved_fold, random: the fold whose weights were saved; whether the backbone started from random weights.
        images: uint8 [views, s, s, 3], memory-mapped.
        problem: why the network could not be loaded; "" before it was needed, and where it was loaded.
    """

    def __init__(self, root: Path, weights_dir: str, **axes: Any):
        self.paths, self.problem = StudyPaths.of(str(root), TRAINED[axes["trained"]]), ""
        self.weights_dir, self.axes = weights_dir, axes
        self.folder = self.paths.run(*(axes[a] for a in ("protocol", "preprocessing", "scenario", "backbone", "seed")))
        self.scenario = scenarios()[axes["scenario"]]
        self.missing = [name for name in CLASSES if name not in self.scenario.label_of()]
        self.views = _describe_views(self.paths, axes["protocol"], axes["scenario"])
        self.outcomes, self.names = _tested_views(self.paths, axes, self.views)
        self.saved_fold = int(gradcam.of_saved_fold(self.outcomes)["fold"].iloc[0])
        self.images = preprocess.open_images(self.paths.images)
        self.random = (read_json(self.folder / RUN_RECORD) or {}).get("model", {}).get("weights") == "none"

    @property
    def title(self) -> str:
        """Its name in a sentence: `MobileNet fine-tuned, by_view, nine_classes`."""
        phase = "fine-tuned" if self.axes["phase"] == "finetune" else "after transfer learning"
        by_hand = ", trained by hand" * self.paths.by_hand
        return f"{self.axes['backbone']} {phase}, {self.axes['protocol']}, {self.axes['scenario']}{by_hand}"

    def pool(self, fold: int) -> pd.DataFrame:
        """The views that take part in the scenario, with their `part` in a fold: test, val or train."""
        return parts_of_fold(self.views[self.views["label"] != ""], fold)

    def describe(self, source: str, view: int) -> dict[str, Any]:
        """A view as a row of `views`, with true_class; `saved`, class -> probability in the `fold` that tested it, and
        its `part`. Where none did, `saved` is None, and these are of the saved weights, as `saved_part` always is."""
        row = self.views[(self.views["source"] == source) & (self.views["view"] == view)]
        subject = row.iloc[0].to_dict()
        part = parts_of_fold(row, self.saved_fold)["part"].iloc[0] if subject["label"] else UNUSED
        subject |= {"true_class": subject["label"] or subject["class"] or subject["folder_class"]}
        subject |= {"fold": self.saved_fold, "part": part, "saved_part": part, "saved": None}
        tested = self.outcomes[self.outcomes["row"] == subject["row"]]
        if len(tested):
            saved = tested[self.names].iloc[0].astype(float).to_dict()
            subject |= {"fold": int(tested["fold"].iloc[0]), "part": "test", "saved": saved}
        return subject

    @cached_property
    def network(self):
        """The full keras.Model of the saved fold, uint8 images to probabilities; None where it cannot be loaded."""
        start_tensorflow()
        from lib.models import networks  # after `backend`, which keeps TensorFlow's log out of the notebook

        try:
            return networks.load(self.folder, self.axes["phase"], self.weights_dir)
        except Exception as error:  # Keras raises a bare Exception where a download fails
            self.problem = (
                f"{self.axes['backbone']} cannot be loaded: {error}. Set weights_dir above, or SKINCAS_WEIGHTS, to the "
                "folder of weights that the study was trained with."
            )
            return None

    def predict(self, image: np.ndarray) -> dict[str, float]:
        """Class -> probability of an image [s, s, 3] by the saved weights; empty without the network."""
        if self.network is None:
            return {}
        import keras

        # called, not `predict`: tracing a large network takes a minute, a call a second
        probabilities = self.network(keras.ops.convert_to_tensor(image[None]), training=False)
        return dict(zip(self.names, keras.ops.convert_to_numpy(probabilities)[0].astype(float).tolist()))

    def heat(self, image: np.ndarray, label: str) -> np.ndarray | None:
        """The Grad-CAM map of a class, [s, s], 0 to 1; None without the network."""
        if self.network is None:
            return None
        return gradcam.maps(self.network, image[None], [self.names.index(label)])[0]


@cache
def start_tensorflow() -> None:
    from lib.models import backend  # late, with TensorFlow: the study is shown without it

    backend.configure(0, deterministic=True, mixed_precision=False)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model predicts for an image, of which `subject` (Model.describe) is known; None: an uploaded picture.
    `probabilities`, class -> probability, is empty where the network cannot be loaded."""

    model: Model
    subject: dict[str, Any] | None
    probabilities: dict[str, float]

    @classmethod
    def of(cls, model: Model, image: np.ndarray, subject: dict[str, Any] | None = None) -> "Answer":
        """Take the saved probabilities where there are any, else those of the saved weights."""
        return cls(model, subject, (subject and subject["saved"]) or model.predict(image))

    @property
    def best(self) -> str:
        """The likeliest class; "" without an answer."""
        return max(self.probabilities, key=self.probabilities.get, default="")


def _tested_views(paths: StudyPaths, axes: dict[str, Any], views: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`Model.outcomes` and `Model.names`."""
    one = ([axes["protocol"]], [axes["backbone"]], [axes["seed"]])
    table = collect_outcomes(Models(paths, axes["preprocessing"], axes["scenario"], *one))
    tested, names = select(table, axes["protocol"], originals=False, phase=axes["phase"]), class_columns(table)
    if tested.empty:
        raise ValueError("it has no test image")
    values, true = tested[names].to_numpy(), tested["truth"].map(names.index).to_numpy()
    scores = {"probability": values.max(axis=1), "true_probability": values[np.arange(len(values)), true]}
    tested = tested.assign(true_class=tested["truth"], image_id=views["image_id"][tested["row"]].array, **scores)
    return tested.reset_index(drop=True), names


def _describe_views(paths: StudyPaths, protocol: str, scenario: str) -> pd.DataFrame:
    pool, table = pd.read_parquet(paths.views), pd.read_parquet(paths.protocol(protocol))
    views = pool[["source", "view", "image_id"]].assign(row=np.arange(len(pool)), folder_class=pool["class"])
    views = views.assign(group=table["group"], **{"class": table["class"]})
    chosen = select_views(pool, table, scenarios()[scenario]).set_index("row")
    views["label"] = chosen["label"].reindex(views["row"]).fillna("").array
    views["tenth"] = chosen["tenth"].reindex(views["row"]).fillna(-1).astype(int).array
    if not paths.image_index.is_file():
        return views.assign(**INDEXED)
    known = pd.read_parquet(paths.image_index, columns=["source", *INDEXED]).set_index("source")
    return views.assign(**{name: views["source"].map(known[name]).fillna(none) for name, none in INDEXED.items()})
