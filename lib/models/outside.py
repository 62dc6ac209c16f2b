"""What the saved models say of external images, which no fitting has seen."""

import json
from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.params import PHASES
from lib.config.paths import StudyPaths, run_record, run_weights
from lib.data.predictions import DESCRIPTION, read_predictions
from lib.models import networks
from lib.models.features import extract_features, predict


def predict_outside(
    paths: StudyPaths,
    preprocessing: str,
    scenario: str,
    protocols: Sequence[str],
    backbones: Sequence[str],
    seeds: Sequence[int],
    images: np.ndarray,
    described: pd.DataFrame,
    weights_dir: str = "",
    batch_size: int = 32,
) -> pd.DataFrame:
    """Predictions of every model of a scenario whose weights are saved: those of the first fold of each run.

    A network is built and traced once for all runs that it is the same in; then only weights change.

    Args:
        images: uint8 [n, s, s, 3], of the size that the models were trained with; may be memory-mapped.
        described: row i = images[i]: source, image_id, group, true_class.
        weights_dir: of the pretrained backbones, as `networks.load` takes it.

    Returns:
        protocol, phase, backbone, seed, fold (that of the weights), row (of `images`), source, image_id, group, view
        (0), part (external), true_class, then a column a class; empty where no weights are saved.

    Raises:
        WeightsError: as `networks.load`.
    """
    tables = []
    for backbone in backbones:
        for phase in PHASES:
            model, built = None, ""
            for protocol, seed in ((protocol, seed) for protocol in protocols for seed in seeds):
                run = paths.run(protocol, preprocessing, scenario, backbone, seed)
                if not run_weights(run, phase).is_file():
                    continue
                record = read_json(run_record(run))["model"]
                if (needed := json.dumps(record | {"seed": 0})) != built:
                    model, built = _Model(run, phase, images, weights_dir, batch_size), needed
                told = model.predict(run)
                fold = read_predictions(run, phase)["fold"].iloc[0]
                cell = {"protocol": protocol, "phase": phase, "backbone": backbone, "seed": seed, "fold": fold}
                table = described.assign(**cell, row=np.arange(len(described)), view=0, part="external")
                table = table[["protocol", "phase", "backbone", *DESCRIPTION]].reset_index(drop=True)
                tables.append(pd.concat([table, pd.DataFrame(told, columns=record["classes"])], axis=1))
            keras.backend.clear_session()
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


class _Model:
    """The network of a run and a phase, into which the weights of like runs are loaded one after the other.

    In the transfer phase the backbone stays as it is: its features are computed once, and heads are asked."""

    def __init__(self, run, phase: str, images: np.ndarray, weights_dir: str, batch_size: int):
        self.model, self.phase, self.batch_size = networks.load(run, phase, weights_dir), phase, batch_size
        self.asked, self.array = self.model, images
        if phase == "transfer":
            extractor = keras.Model(self.model.input, self.model.get_layer("pool").output)
            self.asked, self.array = self.model.get_layer("classifier"), extract_features(extractor, images, batch_size)

    def predict(self, run) -> np.ndarray:
        """Probabilities of each image, float32 [n, classes], by the weights of a run."""
        networks.load_weights(self.asked, run_weights(run, self.phase))
        return predict(self.asked, self.array, np.arange(len(self.array)), self.batch_size).astype(np.float32)
