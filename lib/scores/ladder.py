"""The ladder from the printed accuracy to the one on unseen lesions: every rung changes one thing.

Neighbouring rungs are scored on the same images as far as both have them, so a step is a paired difference.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from lib.config.params import PHASES
from lib.scores.estimates import Score, difference, estimate
from lib.scores.outcomes import select
from lib.scores.printed import printed_accuracy
from lib.scores.resampling import RESAMPLES, Estimate, difference_of_independent


@dataclass(frozen=True)
class Rung:
    """What is trained and how it is scored; `step` says what the step to this rung changes."""

    name: str
    protocol: str
    scored_on: Literal["views", "originals", "external images"]
    labels: Literal["as filed", "corrected"]
    step: str

    def select(self, outcomes: pd.DataFrame, **where: str) -> pd.DataFrame:
        """The outcomes that this rung scores."""
        part = "external" if self.scored_on == "external images" else "test"
        originals, corrected = self.scored_on != "views", self.labels == "corrected"
        return select(outcomes, self.protocol, part, originals, corrected, **where)


RUNGS = (
    Rung("by view", "by_view", "views", "as filed", "our run against the printed number"),
    Rung("by lesion", "by_lesion", "views", "as filed", "no view, duplicate or lesion on both sides of the split"),
    Rung("originals", "by_lesion", "originals", "as filed", "tested on the pictures themselves, as often as they come"),
    Rung("corrected labels", "by_lesion", "originals", "corrected", "scored by corrected labels"),
    Rung("clean", "clean", "originals", "corrected", "trained on corrected labels"),
)
EXTERNAL = Rung("external", "clean", "external images", "corrected", "other cameras, people and mix of classes")
CELL = ["scenario", "backbone", "phase", "preprocessing", "variant"]
COLUMNS = [*CELL, "rung", "accuracy", "low", "high", "images", "groups", "folds", "step", "step_low", "step_high"]


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
        COLUMNS, fractions of 1, one row per rung; `step` is the difference to the rung before, low and high are 95 %
        intervals. The rung `printed` has the printed number, where the paper has the cell, `external` the models on
        external images, where there are any. A rung that was not trained is missing, and so is the step after it.
    """
    tables = []
    for backbone in outcomes["backbone"].unique():
        own = outcomes[outcomes["backbone"] == backbone]
        for phase in PHASES:
            scores = _scores(own[own["phase"] == phase], RUNGS, resamples, seed)
            if scores:
                printed = printed_accuracy(audit, cell["scenario"], phase, backbone)
                rows = _rungs(scores, printed)
                if external is not None and len(external):
                    where = external[(external["backbone"] == backbone) & (external["phase"] == phase)]
                    elsewhere = _scores(where, [EXTERNAL], resamples, seed).get(EXTERNAL.name)
                    rows += [_external_row(elsewhere, scores.get("clean"))] if elsewhere else []
                tables.append(pd.DataFrame(rows, columns=COLUMNS).assign(**cell, backbone=backbone, phase=phase))
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def without_printed(table: pd.DataFrame) -> pd.DataFrame:
    """A ladder without the printed rung and the step from it, which synthetic images cannot be compared with."""
    own = table[table["rung"] != "printed"].copy()
    own.loc[own["rung"] == RUNGS[0].name, ["step", "step_low", "step_high"]] = np.nan
    return own


def _scores(outcomes: pd.DataFrame, rungs, resamples: int, seed: int) -> dict[str, Score]:
    """The accuracy of each rung that was trained, of one backbone and phase."""
    rows = {rung.name: rung.select(outcomes) for rung in rungs}
    return {name: estimate(table, resamples=resamples, seed=seed) for name, table in rows.items() if len(table)}


def _rungs(scores: dict[str, Score], printed: Estimate | None) -> list[dict[str, Any]]:
    rows = [{"rung": "printed", "accuracy": printed.value}] if printed else []
    groups = np.unique(np.concatenate([score.group_names for score in scores.values()]))  # all steps share their draws
    before = None
    for rung in RUNGS:
        score = scores.get(rung.name)
        if score:
            step = None
            if rung is RUNGS[0] and printed:
                step = difference_of_independent(score.interval(), printed)
            elif before:
                step = difference(score, before, groups).interval()
            rows.append(_row(rung, score, step))
        before = score
    return rows


def _external_row(score: Score, clean: Score | None) -> dict[str, Any]:
    """The rung of external images; nothing pairs them with those of the data set."""
    step = difference_of_independent(score.interval(), clean.interval()) if clean else None
    return _row(EXTERNAL, score, step)


def _row(rung: Rung, score: Score, step: Estimate | None) -> dict[str, Any]:
    mean = score.interval()
    row = {"rung": rung.name, "accuracy": mean.value, "low": mean.low, "high": mean.high}
    row |= {name: score.counts[name] for name in ("images", "groups", "folds")}
    return row | ({"step": step.value, "step_low": step.low, "step_high": step.high} if step else {})
