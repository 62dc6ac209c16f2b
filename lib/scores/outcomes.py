"""One table of outcomes: what every model predicted of every image that it did not train on, and what is true.

05_evaluate writes it once per preprocessing and scenario. Every accuracy, interval, step and verdict is a query of it:
`select` the rows that are scored, then `lib.scores.estimates.estimate` them.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from lib.config.paper import scenarios
from lib.config.params import PHASES
from lib.config.paths import StudyPaths
from lib.data.predictions import Models, load_predictions, predicted_class, read_not_evaluable
from lib.data.predictions import class_columns as classes_of_predictions

MODEL = ["protocol", "phase", "backbone"]
COLUMNS = [
    *("protocol", "backbone", "phase", "seed", "fold", "part", "row", "source", "view", "group"),
    *("true_class", "corrected_class", "predicted_class", "right", "right_corrected"),
]
ADDED = ["truth", "correct"]  # by `select`
ON_VIEWS = ("by_view", "by_file")  # protocols scored on all views, as the paper scores; the others on the originals


def collect_outcomes(models: Models) -> pd.DataFrame:
    """The outcomes of every model of a scenario that was trained, from the predictions that 04_train saved.

    Images of a class that has too few images under the protocol to be evaluated are not among them.

    Returns:
        One row per (protocol, backbone, phase, seed, fold, part, row): COLUMNS, then the probability of each class.
        `true_class` is the class as filed, `corrected_class` that of `clean`; either is missing where the scenario, or
        `clean`, does not have the image. `right` and `right_corrected` say whether `predicted_class` is that class.
    """
    paths, preprocessing, scenario, protocols, backbones, seeds = models
    filed, corrected = _labels(paths, scenario)
    tables = []
    for protocol, phase, backbone in product(protocols, PHASES, backbones):
        frame = load_predictions(paths, protocol, preprocessing, scenario, backbone, phase, seeds)
        if len(frame):
            own, other = frame["true_class"], frame["row"].map(filed if protocol == "clean" else corrected)
            labels = (other, own) if protocol == "clean" else (own, other)
            tables.append(_with_outcomes(frame, dict(zip(MODEL, (protocol, phase, backbone))), *labels))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def external_outcomes(predictions: pd.DataFrame) -> pd.DataFrame:
    """The outcomes of external images, with their labels as they are, from lib.models.external.predict_external."""
    if predictions.empty:
        return pd.DataFrame(columns=COLUMNS)
    true = predictions["true_class"]
    return _with_outcomes(predictions.drop(columns=MODEL), predictions[MODEL], true, true)


def _with_outcomes(predictions: pd.DataFrame, model: Mapping, true: pd.Series, corrected: pd.Series) -> pd.DataFrame:
    """Predictions with the columns of outcomes; `model` has those of MODEL."""
    predicted, names = predicted_class(predictions), classes_of_predictions(predictions)
    labels = {"true_class": true, "corrected_class": corrected, "predicted_class": predicted}
    right, right_corrected = ((label == predicted).fillna(False).astype(bool) for label in (true, corrected))
    added = labels | {"right": right, "right_corrected": right_corrected}
    return predictions.assign(**model, **added)[[*COLUMNS, *names]]


def select(
    outcomes: pd.DataFrame,
    protocol: str,
    part: str = "test",
    originals: bool | None = None,
    corrected: bool | None = None,
    **where: str | int,
) -> pd.DataFrame:
    """The outcomes of one protocol that are scored.

    Args:
        part: test, val or external.
        originals: score originals alone; if None as Tables I to IV do: all views under ON_VIEWS, else originals.
        corrected: score by corrected labels; if None by the labels of the protocol. Images that have no such label
            are not scored.
        where: further columns and their values, as backbone="MobileNet".

    Returns:
        The rows, with `truth` (the class scored by) and `correct` (0 or 1).
    """
    originals = protocol not in ON_VIEWS if originals is None else originals
    corrected = protocol == "clean" if corrected is None else corrected
    label, right = ("corrected_class", "right_corrected") if corrected else ("true_class", "right")
    kept = outcomes[label].notna()
    for column, value in (where | {"protocol": protocol, "part": part}).items():
        kept &= outcomes[column] == value
    if originals:
        kept &= outcomes["view"] == 0
    rows = outcomes[kept]
    return rows.assign(truth=rows[label], correct=rows[right].astype(float))


def limit_answers(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `select` with answers limited to the classes that are scored: the most probable of these."""
    scored = [name for name in class_columns(rows) if name in set(rows["truth"])]
    answer, best = rows["predicted_class"], rows[scored].astype(float).idxmax(axis=1)
    answer = answer.where(answer.isin(scored), best)
    return rows.assign(predicted_class=answer, correct=(answer == rows["truth"]).astype(float))


def select_models(outcomes: pd.DataFrame, protocols: Sequence[str], part: str = "test") -> dict[tuple, pd.DataFrame]:
    """(protocol, phase, backbone) -> what `select` gives of that model, in the order of the outcomes."""
    models = {}
    for protocol in protocols:
        models |= dict(iter(select(outcomes, protocol, part).groupby(MODEL, sort=False)))
    return models


def class_columns(outcomes: pd.DataFrame) -> list[str]:
    """The classes of the scenario, in its order: the columns that hold probabilities."""
    return [column for column in outcomes.columns if column not in (*COLUMNS, *ADDED)]


def write_outcomes(outcomes: pd.DataFrame, path: Path) -> None:
    """Write outcomes as Parquet, in few bytes."""
    outcomes.to_parquet(path, index=False, compression="zstd")


def read_outcomes(paths: StudyPaths, preprocessing: str, scenario: str) -> pd.DataFrame:
    """The outcomes that 05_evaluate wrote; empty, with COLUMNS, where the scenario was not evaluated."""
    return read_outcome_file(paths.outcomes(preprocessing, scenario))


def read_external_outcomes(paths: StudyPaths, preprocessing: str, scenario: str) -> pd.DataFrame:
    """The outcomes on external images, whose `part` is external; empty without any."""
    return read_outcome_file(paths.external_outcomes(preprocessing, scenario))


def read_outcome_file(path: Path) -> pd.DataFrame:
    """A table of outcomes; empty, with COLUMNS, where there is none."""
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=COLUMNS)


def _labels(paths: StudyPaths, scenario: str) -> tuple[dict[int, str], dict[int, str]]:
    """Pool row -> the class of the scenario as filed, and as `clean` corrects it; empty without those tables.

    What `clean` drops, moves out of the scenario or has too few images of is not among the corrected.
    """
    label_of, filed, corrected = scenarios()[scenario].label_of(), {}, {}
    if paths.views.is_file():
        filed = pd.read_parquet(paths.views, columns=["class"])["class"].map(label_of).dropna().to_dict()
    if paths.protocol("clean").is_file():
        labels = pd.read_parquet(paths.protocol("clean")).set_index("row")["class"].map(label_of).dropna()
        corrected = labels[~labels.isin(read_not_evaluable(paths, "clean", scenario))].to_dict()
    return filed, corrected
