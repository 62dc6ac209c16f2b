"""What there is to look at: studies, their trained models, the images of a model, and those nearest to one."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from lib.config import StudyPaths, params, read_json
from lib.data import class_columns, decode, predicted_class

METRICS = ("cosine", "euclidean")
AXES = ("scenario", "backbone", "protocol", "preprocessing", "seed", "phase")
NEIGHBOURS = 6
EVERY_CLASS = ""  # no class has an empty name


def find_studies(results: Path) -> dict[str, Path]:
    """Studies with at least one trained model beside `results` (a study's results folder): name -> folder."""
    folder = results.resolve().parent
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {path.name: path for path in folders if not path.name.startswith(".") and len(find_models(path))}


def find_models(study: Path) -> pd.DataFrame:
    """The trained models of a study, a row each: the columns AXES and `folder`, the run's folder.

    Sorted in the order of params/, so that the last row of a scenario and backbone is the finest: the last protocol,
    fine-tuned where there is such a phase.
    """
    pattern = StudyPaths(study).run("*", "*", "*", "*", "*").relative_to(study)
    known = {
        "scenario": list(params.scenarios()),
        "backbone": list(params.backbones()),
        "protocol": params.PROTOCOLS,
        "preprocessing": params.PREPROCESSING,
    }
    rows = []
    for folder in study.glob(str(pattern)):
        protocol, preprocessing, scenario, backbone, seed = folder.relative_to(study).parts[-5:]
        values = (scenario, backbone, protocol, preprocessing)
        if (folder / "run.json").is_file() and all(value in known[axis] for axis, value in zip(AXES, values)):
            for phase in params.PHASES:
                if (folder / f"predictions_{phase}.parquet").is_file():
                    rows.append((*values, int(seed.removeprefix("seed")), phase, folder))
    order = known | {"phase": params.PHASES}
    places = [{value: place for place, value in enumerate(order.get(axis, ()))} for axis in AXES]
    rows.sort(key=lambda row: [place.get(value, value) for place, value in zip(places, row)])
    return pd.DataFrame(rows, columns=[*AXES, "folder"])


def is_synthetic(study: StudyPaths) -> bool:
    """Whether a study's images are drawn by lib.data.demo: in its results folder, or as its audit's stamp says."""
    stamp = read_json(study.stamp("audit")) or {}
    return bool(stamp.get("parameters", {}).get("synthetic")) or study.demo_data.is_dir()


def list_images(predictions: pd.DataFrame, part: str, label: str = EVERY_CLASS, errors: bool = False) -> pd.DataFrame:
    """The predictions of a part (`val` or `test`), of one true class or all, with `predicted_class`, `probability` (of
    that class) and `true_probability`.

    Args:
        errors: only what was classified wrongly, the worst first: the lowest probability of the true class.
    """
    names = class_columns(predictions)
    values = predictions[names].to_numpy()
    true = np.array([names.index(name) for name in predictions["true_class"]], dtype=np.intp)
    table = predictions.assign(
        predicted_class=predicted_class(predictions),
        probability=values.max(axis=1),
        true_probability=values[np.arange(len(values)), true],
    )
    table = table[table["part"] == part]
    if label != EVERY_CLASS:
        table = table[table["true_class"] == label]
    if errors:
        table = table[table["predicted_class"] != table["true_class"]]
        return table.sort_values(["true_probability", "source", "view"], ignore_index=True)
    return table.sort_values(["true_class", "source", "view"], ignore_index=True)


def nearest(
    features: np.ndarray, query: np.ndarray, pool: pd.DataFrame, metric: str, count: int = NEIGHBOURS, skip: int = -1
) -> pd.DataFrame:
    """The images of `pool` whose features are nearest to `query`, each file once, by its nearest view.

    Args:
        features: float32 [n, channels].
        query: float32 [channels].
        pool: rows of lib.data.splits.select; `row` is the row in `features`.
        metric: `cosine` (1 - cosine of the angle) or `euclidean` distance.
        skip: the row of `features` that is the query itself; -1: none.

    Returns:
        At most `count` rows of `pool`, nearest first, with `distance`.
    """
    pool = pool[pool["row"] != skip]
    if pool.empty:
        return pool.assign(distance=[])
    # in double precision: a network with random weights tells images apart by the last digits of float32
    candidates = features[pool["row"].to_numpy()].astype(np.float64)
    distances = pairwise_distances(candidates, query[None].astype(np.float64), metric=metric)[:, 0]
    ordered = pool.assign(distance=distances).sort_values(["distance", "row"])
    return ordered.drop_duplicates("source").head(count).reset_index(drop=True)


def relation(first: dict, second: dict) -> str:
    """How two images belong together, by source, lesion_id and group (lib.data.build_index); "" where they do not."""
    if first["source"] == second["source"]:
        return "same picture"
    if first["lesion_id"] and first["lesion_id"] == second["lesion_id"]:
        return "same lesion"
    return "same group" if first["group"] == second["group"] else ""


def decode_upload(content: bytes) -> np.ndarray:
    """The bytes of a picture as uint8 [height, width, 3], with all the limits of lib.data.decode.

    Raises:
        UnreadableImage: what `decode` refuses.
    """
    with tempfile.NamedTemporaryFile() as file:  # `decode` reads files; this one is gone at once
        file.write(content)
        file.flush()
        return decode(Path(file.name))


def predict(model, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [classes] and features after GlobalMaxPooling2D [channels] of a uint8 [s, s, 3] image."""
    import keras

    both = keras.Model(model.input, [model.get_layer("pool").output, model.output])
    # called, not `predict`: tracing a large network takes a minute, a call a second
    features, probabilities = both(keras.ops.convert_to_tensor(np.ascontiguousarray(image)[None]), training=False)
    return keras.ops.convert_to_numpy(probabilities)[0], keras.ops.convert_to_numpy(features)[0].astype(np.float32)
