"""What did one trained model save, and what is known of the images it can be asked about?"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lib.config import params
from lib.config.files import read_json
from lib.config.paper import CLASSES
from lib.config.paths import StudyPaths, run_record
from lib.data import preprocess
from lib.data.folds import parts_of_fold, select
from lib.data.predictions import class_columns, predicted_class, read_predictions
from lib.explain import gradcam

INDEXED = {"content": "", "near_group": -1, "lesion_id": "", "diagnosis": ""}  # of the audit, and where it is missing
NOWHERE = "none"  # the part of a view that takes no part: another class, or a label that `clean` dropped


@dataclass(frozen=True)
class Opened:
    """A trained model of a study as its files have it; the network itself is not loaded.

    Attributes:
        chosen: its value on each of lib.explore.results.AXES, and `folder`.
        names: the classes it tells apart, in the order of its outputs.
        views: every view of the pool, a row each in the order of images.npy: row, source, view, image_id, folder_class,
            class (under the protocol), label (of the scenario; "" where it has none), tenth, group and INDEXED.
        predictions: what its folds saved, with predicted_class, probability (of that class) and true_probability.
        saved_fold: the fold whose weights were saved.
        images: uint8 [views, s, s, 3], memory-mapped.
        random: whether the backbone started from random weights.
    """

    paths: StudyPaths
    chosen: dict[str, Any]
    names: list[str]
    views: pd.DataFrame
    predictions: pd.DataFrame
    saved_fold: int
    images: np.ndarray = field(repr=False)
    random: bool

    @property
    def title(self) -> str:
        """Its name in a sentence: `MobileNet, fine-tuned, by_view, nine_classes`."""
        phase = "fine-tuned" if self.chosen["phase"] == "finetune" else "frozen"
        return f"{self.chosen['backbone']} {phase}, {self.chosen['protocol']}, {self.chosen['scenario']}"

    @property
    def missing(self) -> list[str]:
        """The data set's classes that are none of its answers, and no part of one."""
        covered = params.scenarios()[self.chosen["scenario"]].label_of()
        return [name for name in CLASSES if name not in covered]

    @property
    def folds(self) -> list[int]:
        return [int(fold) for fold in self.predictions["fold"].unique()]

    def pool(self, fold: int) -> pd.DataFrame:
        """The views that take part in the scenario, with their `part` in a fold: test, val or train."""
        return parts_of_fold(self.views[self.views["label"] != ""], fold)

    def subject(self, source: str, view: int, part: str = "test") -> dict[str, Any] | None:
        """A view and what was saved for it: its row of `views`, with `fold`, `part`, `true_class` and `saved`.

        `saved` maps each class to its probability in the fold that had the view in `part`. Where no fold did, it is
        None, and fold and part are those of the saved weights: `part` then may be `train`, or NOWHERE.

        Returns:
            None where the pool has no such view.
        """
        found = self.views[(self.views["source"] == source) & (self.views["view"] == view)]
        if found.empty:
            return None
        known = found.iloc[0].to_dict() | {"fold": self.saved_fold, "part": NOWHERE, "saved": None}
        known["true_class"] = known["label"] or known["class"] or known["folder_class"]
        told = self.predictions[(self.predictions["row"] == known["row"]) & (self.predictions["part"] == part)]
        if len(told):
            row = told.iloc[0]
            saved = {name: float(row[name]) for name in self.names}
            return known | {"fold": int(row["fold"]), "part": part, "saved": saved}
        if known["label"]:
            known["part"] = parts_of_fold(found, self.saved_fold)["part"].iloc[0]
        return known


def open_model(paths: StudyPaths, chosen: dict[str, Any]) -> Opened:
    """Read what a trained model saved.

    Args:
        chosen: a row of lib.explore.results.find_models.

    Raises:
        OSError, ValueError, KeyError: a file is missing, or is of another version of this software.
    """
    predictions = read_predictions(chosen["folder"], chosen["phase"])
    if predictions is None or predictions.empty:
        raise ValueError(f"{chosen['folder']} holds no predictions of phase {chosen['phase']}")
    names = class_columns(predictions)
    values = predictions[names].to_numpy()
    true = np.array([names.index(name) for name in predictions["true_class"]], dtype=np.intp)
    predictions = predictions.assign(
        predicted_class=predicted_class(predictions),
        probability=values.max(axis=1),
        true_probability=values[np.arange(len(values)), true],
    )
    made = (read_json(run_record(chosen["folder"])) or {}).get("model", {})
    return Opened(
        paths=paths,
        chosen=dict(chosen),
        names=names,
        views=_describe(paths, chosen),
        predictions=predictions,
        saved_fold=int(gradcam.of_saved_fold(predictions)["fold"].iloc[0]),
        images=preprocess.open_images(paths.images),
        random=made.get("weights") == "none",
    )


def _describe(paths: StudyPaths, chosen: dict[str, Any]) -> pd.DataFrame:
    pool, table = pd.read_parquet(paths.views), pd.read_parquet(paths.protocol(chosen["protocol"]))
    views = pool[["source", "view", "image_id"]].assign(row=np.arange(len(pool)), folder_class=pool["class"])
    views = views.assign(group=table["group"], **{"class": table["class"]})
    chosen_rows = select(pool, table, params.scenarios()[chosen["scenario"]]).set_index("row")
    views["label"] = chosen_rows["label"].reindex(views["row"]).fillna("").array
    views["tenth"] = chosen_rows["tenth"].reindex(views["row"]).fillna(-1).astype(int).array
    if not paths.image_index.is_file():
        return views.assign(**INDEXED)
    known = pd.read_parquet(paths.image_index, columns=["source", *INDEXED]).set_index("source")
    for column, missing in INDEXED.items():
        views[column] = views["source"].map(known[column]).fillna(missing)
    return views
