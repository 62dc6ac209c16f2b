"""What the saved models predict for external images, which no training has used."""

import json
from itertools import product

import keras
import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.params import PHASES
from lib.config.paths import RUN_RECORD, RUN_WEIGHTS
from lib.data.predictions import DESCRIPTION, Models, read_predictions
from lib.models import networks
from lib.models.features import extract_features, predict


def predict_external(
    models: Models, images: np.ndarray, described: pd.DataFrame, weights_dir: str = "", batch_size: int = 32
) -> pd.DataFrame:
    """Predictions of every model of a scenario whose weights are saved: those of the first fold of each run.

    A network is built and traced once for all runs that share its architecture; then only weights change.

    Args:
        images: uint8 [n, s, s, 3], of the size that the models were trained with; may be memory-mapped.
        described: row i = images[i]: source, image_id, group, true_class.
        weights_dir: of the pretrained backbones, as `networks.load` takes it.

    Returns:
        protocol, phase, backbone, seed, fold (that of the weights), row (of `images`), source, image_id, group, view
        (0), part (external), true_class, then one column per class; empty where no weights are saved.

    Raises:
        WeightsError: as `networks.load`.
    """
    described = described.assign(row=np.arange(len(described)), view=0, part="external")
    (paths, preprocessing, scenario, protocols, backbones, seeds), tables = models, []
    for backbone, phase in product(backbones, PHASES):
        built = ""
        for protocol, seed in product(protocols, seeds):
            run = paths.run(protocol, preprocessing, scenario, backbone, seed)
            if not (run / RUN_WEIGHTS.format(phase)).is_file():
                continue
            model = read_json(run / RUN_RECORD)["model"]
            if (needed := json.dumps(model | {"seed": 0})) != built:
                network, array, built = *_load(run, phase, images, weights_dir, batch_size), needed
            networks.load_weights(network, run / RUN_WEIGHTS.format(phase))
            probabilities = predict(network, array, np.arange(len(array)), batch_size).astype(np.float32)
            fold = read_predictions(run, phase)["fold"].iloc[0]
            table = described.assign(protocol=protocol, phase=phase, backbone=backbone, seed=seed, fold=fold)
            table = table[["protocol", "phase", "backbone", *DESCRIPTION]].reset_index(drop=True)
            tables.append(pd.concat([table, pd.DataFrame(probabilities, columns=model["classes"])], axis=1))
        keras.backend.clear_session()
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _load(run, phase: str, images: np.ndarray, weights_dir: str, batch_size: int) -> tuple[keras.Model, np.ndarray]:
    """The network of a run and its input. For heads that is the features, which all runs of one backbone share."""
    model = networks.load(run, phase, weights_dir)
    if phase != "transfer":
        return model, images
    extractor = keras.Model(model.input, model.get_layer("pool").output)
    return model.get_layer("classifier"), extract_features(extractor, images, batch_size)
