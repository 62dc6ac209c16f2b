"""Above which probability is an image called malignant, and how often is that right on the test set?"""

import numpy as np
import pandas as pd

from lib.config import params
from lib.config.paper import MALIGNANT
from lib.explore.opened import Opened


def malignant_classes(scenario: str) -> tuple[list[str], list[str]]:
    """The task classes of a scenario that hold malignant lesions only, and the others."""
    classes = params.scenarios()[scenario].classes
    malignant = [name for name, sources in classes.items() if set(sources) <= set(MALIGNANT)]
    return malignant, [name for name in classes if name not in malignant]


def has_threshold(scenario: str) -> bool:
    """Whether a model of the scenario can say both malignant and benign."""
    return all(malignant_classes(scenario))


def malignancy(table: pd.DataFrame, scenario: str) -> np.ndarray:
    """The summed probability of the malignant classes of each row, float64 [n], 0 to 1."""
    return table[malignant_classes(scenario)[0]].to_numpy(np.float64).sum(axis=1)


def at_threshold(opened: Opened, threshold: float, fold: int | None = None) -> pd.DataFrame:
    """How a threshold does on the test images: those of a fold, or of all folds (None), by the protocol's labels.

    Returns:
        A row for `all views` and one for `originals`: images, malignant, found (of these, called malignant),
        sensitivity, benign, spared (of these, not called malignant), specificity; NaN where there is none to count.
        An image is called malignant where the probability is at least the threshold.
    """
    scenario, test = opened.chosen["scenario"], opened.predictions[opened.predictions["part"] == "test"]
    test = test if fold is None else test[test["fold"] == fold]
    rows = {}
    for name, some in (("all views", test), ("originals", test[test["view"] == 0])):
        called = malignancy(some, scenario) >= threshold
        true = some["true_class"].isin(malignant_classes(scenario)[0]).to_numpy()
        found, spared = int((called & true).sum()), int((~called & ~true).sum())
        ill, well = int(true.sum()), int((~true).sum())
        rows[name] = {
            **{"images": len(some), "malignant": ill, "found": found, "sensitivity": found / ill if ill else np.nan},
            **{"benign": well, "spared": spared, "specificity": spared / well if well else np.nan},
        }
    return pd.DataFrame.from_dict(rows, orient="index")
