"""Which views of a scenario a fold tests, validates and trains on. What tenths are dealt: lib.data.protocols."""

import pandas as pd

from lib.config.paper import Scenario

FOLDS = 10  # tenths; fold k tests on tenth k, validates on tenth k+1 and trains on the other eight: 8-1-1
UNUSED = -1  # the tenth of a view that takes no part


def select(views: pd.DataFrame, table: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """The views that take part in a scenario under a protocol: row, source, image_id, group, view, label, tenth.

    `label` is the class of the scenario's task; `row` is the place in images.npy and features.npy.
    """
    rows = table[["row", "group"]].join(views[["source", "image_id", "view"]])
    rows = rows.assign(label=table["class"].map(scenario.label_of()), tenth=table[f"tenth_{scenario.pool}"])
    return rows[rows["label"].notna() & (rows["tenth"] != UNUSED)].reset_index(drop=True)


def parts_of_fold(chosen: pd.DataFrame, fold: int) -> pd.DataFrame:
    """The views of `select` with their `part` in a fold: test (its tenth), val (the next tenth) or train."""
    held_out = {fold: "test", (fold + 1) % FOLDS: "val"}
    return chosen.assign(part=chosen["tenth"].map(held_out).fillna("train"), fold=fold)
