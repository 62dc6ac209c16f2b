"""What the models are worth on external images: another camera, other people, in no fitting.

Only the first fold's weights are kept of a run, so an accuracy here is that of one model per seed, trained on eight
tenths. Its interval is that of the images (whole groups resampled) and holds nothing of what differs from training to
training. Nothing pairs these images with those of the data set, so a difference has Newcombe's interval.
"""

from collections.abc import Sequence

import pandas as pd

from lib.scores.estimates import estimate
from lib.scores.metrics import model_scores
from lib.scores.outcomes import MODEL, select_models
from lib.scores.resampling import Estimate, difference_of_independent

SCORES = [
    *(*MODEL, "seeds", "images", "groups", "accuracy", "low", "high", "balanced_accuracy", "precision", "recall", "f1"),
    *("roc_auc", "own_accuracy", "own_low", "own_high", "own_balanced_accuracy"),
    *("difference", "difference_low", "difference_high"),
]
ENDS = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]


def external_scores(external: pd.DataFrame, own: pd.DataFrame, protocols: Sequence[str]) -> pd.DataFrame:
    """The models of one scenario on external images, and on the data set.

    Args:
        external: their outcomes on external images; may be empty.
        own: `model_scores` of the same models on the data set.

    Returns:
        SCORES, fractions of 1, one row per model: on external images, the same on the data set (`own_`), and the
        difference, low and high 95 % intervals.
    """
    groups = {key: estimate(rows).groups for key, rows in select_models(external, protocols, "external").items()}
    known = own.set_index(MODEL)
    rows = []
    for row in model_scores(external, protocols, "external").to_dict("records"):
        model, here = tuple(row[name] for name in MODEL), Estimate(*(row[name] for name in ENDS))
        row |= {"images": row["n_test"], "groups": groups[model]}
        row |= dict(zip(("accuracy", "low", "high"), (here.value, here.low, here.high)))
        if model in known.index:
            ours = Estimate(*known.loc[model, ENDS].astype(float))
            step = difference_of_independent(here, ours)
            row |= dict(zip(("own_accuracy", "own_low", "own_high"), (ours.value, ours.low, ours.high)))
            row |= {"own_balanced_accuracy": known.loc[model, "balanced_accuracy"], "difference": step.value}
            row |= {"difference_low": step.low, "difference_high": step.high}
        rows.append(row)
    return pd.DataFrame(rows, columns=SCORES)
