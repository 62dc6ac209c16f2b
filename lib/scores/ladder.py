"""The ladder from the printed accuracy to the one on unseen lesions: every rung changes one thing.

A step is paired over the views that both rungs test. `shared` counts them; they are all only where no rung before tests
others.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd

from lib.config.params import PHASES
from lib.scores.estimates import Score, difference, estimate
from lib.scores.outcomes import limit_answers, select
from lib.scores.printed import printed_accuracy
from lib.scores.resampling import RESAMPLES, Estimate, difference_of_independent


@dataclass(frozen=True)
class Rung:
    """What is trained and how it is scored; `step` says what the step to this rung changes. With `same_classes`
    answers are limited to the classes that are scored."""

    name: str
    protocol: str
    scored_on: Literal["views", "originals", "external images"]
    labels: Literal["as filed", "corrected"]
    step: str
    same_classes: bool = False

    def select(self, outcomes: pd.DataFrame) -> pd.DataFrame:
        """The outcomes that this rung scores."""
        part = "external" if self.scored_on == "external images" else "test"
        originals, corrected = self.scored_on != "views", self.labels == "corrected"
        rows = select(outcomes, self.protocol, part, originals, corrected)
        return limit_answers(rows) if self.same_classes and len(rows) else rows


RUNGS = (
    Rung("by view", "by_view", "views", "as filed", "our run against the printed number"),
    Rung("by file", "by_file", "views", "as filed", "views of a file on one side; fewer different files in training"),
    Rung("by lesion", "by_lesion", "views", "as filed", "duplicates and pictures of one known lesion on one side"),
    Rung("originals", "by_lesion", "originals", "as filed", "tested on the pictures themselves, as often as they come"),
    Rung("corrected labels", "by_lesion", "originals", "corrected", "scored by corrected labels, where there is one"),
    Rung("same classes", "by_lesion", "originals", "corrected", "answers limited to the classes that clean has", True),
    Rung("clean", "clean", "originals", "corrected", "trained on corrected labels, where there is one"),
)
EXTERNAL = Rung("external", "clean", "external images", "corrected", "other cameras, people and mix of classes")
CELL = ["scenario", "backbone", "phase", "preprocessing", "variant"]
COLUMNS = [
    *(*CELL, "rung", "accuracy", "low", "high", "images", "groups", "folds", "classes"),
    *("step", "step_low", "step_high", "shared"),
]


def ladder(
    outcomes: pd.DataFrame,
    cell: dict[str, str],
    audit: dict[str, Any],
    external: pd.DataFrame | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """The rungs of every model of one scenario.

    Args:
        outcomes: of one scenario and preprocessing; `external` those on external images.
        cell: scenario, preprocessing and variant that they are of.
        audit: audit/printed.json, which has the sizes of the printed test sets.
        resamples, seed: of the intervals.

    Returns:
        COLUMNS, fractions of 1, one row per rung; `step` is the difference to the rung before; low and high are 95 %
        intervals for a new data set of this size, of `external` for other external images; `classes` how many are
        scored, `shared` how many views both rungs test. The rung `printed` has the printed number, where the paper has
        the cell, `external` the models on external images, where there are any. A rung that was not trained is missing,
        and so is the step after it.
    """
    own, outside = (
        dict(iter(table.groupby(["backbone", "phase"]))) if table is not None else {} for table in (outcomes, external)
    )
    tables = []
    for backbone, phase in product(outcomes["backbone"].unique(), PHASES):
        rows = {rung: rung.select(own[backbone, phase]) for rung in RUNGS if (backbone, phase) in own}
        if (backbone, phase) in outside:
            rows[EXTERNAL] = EXTERNAL.select(outside[backbone, phase])
        scores = {rung: estimate(of, resamples=resamples, seed=seed) for rung, of in rows.items() if len(of)}
        if not scores.keys() <= {EXTERNAL}:
            printed = printed_accuracy(audit, cell["scenario"], phase, backbone)
            classes = {rung.name: of["truth"].nunique() for rung, of in rows.items()}
            table = _rungs(scores, printed)
            table["classes"] = table["rung"].map(classes).astype("Int64")
            tables.append(table.assign(**cell, backbone=backbone, phase=phase))
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def without_printed(table: pd.DataFrame) -> pd.DataFrame:
    """A ladder without the printed rung and the step from it, which synthetic images cannot be compared with."""
    own = table[table["rung"] != "printed"].copy()
    own.loc[own["rung"] == RUNGS[0].name, ["step", "step_low", "step_high"]] = np.nan
    return own


def _rungs(scores: dict[Rung, Score], printed: Estimate | None) -> pd.DataFrame:
    rows = [{"rung": "printed", "accuracy": printed.value}] if printed else []
    # all paired steps share their resamples
    groups = np.unique(np.concatenate([score.group_names for rung, score in scores.items() if rung is not EXTERNAL]))
    for rung, before in zip((*RUNGS, EXTERNAL), (None, *RUNGS)):
        score, previous = scores.get(rung), scores.get(before)
        if not score:
            continue
        mean = score.interval(new_data=rung is not EXTERNAL)  # one model scores the external images
        row = score.counts | {"rung": rung.name, "accuracy": mean.value, "low": mean.low, "high": mean.high}
        step = None
        if rung is RUNGS[0] and printed:
            step = difference_of_independent(mean, printed)
        elif previous and rung is EXTERNAL:  # nothing pairs its images with those of the data set
            step = difference_of_independent(mean, previous.interval())
        elif previous:
            change = difference(score, previous, groups)
            step, row["shared"] = change.interval(), change.shared
        rows.append(row | ({"step": step.value, "step_low": step.low, "step_high": step.high} if step else {}))
    return pd.DataFrame(rows, columns=COLUMNS)
