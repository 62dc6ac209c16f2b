"""The printed accuracies beside ours, as tables."""

import numpy as np
import pandas as pd

from lib.config.paper import backbones, proposed_backbone
from lib.config.params import PHASES, Study
from lib.config.paths import DEFAULT_VARIANT
from lib.config.printed import printed_rows
from lib.report.data import rows_where
from lib.report.tables import MEASURES, select_own, table_number

GROUPS = {title: [f"printed_{key}", key, f"{key}_difference"] for key, title in MEASURES.items()}
CELL = ["scenario", "protocol", "preprocessing", "backbone"]


def compared_rows(table: pd.DataFrame, study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with `<measure>_difference`, ours minus printed, in the paper's order of phases and models.

    They are those of one scenario of `lib.report.tables.score_table`, of the study's own settings. `n_test` says why a
    row has no number. Models that the study does not have are added as printed.
    """
    scenario = table["scenario"].iloc[0]
    why = reasons(table, runs) if scenario in study.scenarios else "not in study"
    rows = table.assign(n_test=table["n_test"].astype(object).where(table["seeds"] > 0, why))
    if not study.synthetic:
        printed = rows_where(printed_rows(), table=table_number(scenario))
        printed = printed[~printed["backbone"].isin(study.backbones)]
        absent = (printed[list(MEASURES)] / 100).add_prefix("printed_").join(printed[["backbone", "phase"]])
        rows = pd.concat([rows, absent.assign(protocol="none", preprocessing="none", n_test="not in study")])
    rows = rows.assign(**{f"{key}_difference": rows[key] - rows[f"printed_{key}"] for key in MEASURES})
    order = {name: place for place, name in enumerate([*PHASES, *backbones()])}
    return rows.sort_values(["phase", "backbone"], key=lambda names: names.map(order), kind="stable", ignore_index=True)


def reasons(table: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """Why a row of `table` has no number: the worst that happened to its training runs, else that it was not fine-tuned
    or not evaluated."""
    trained = rows_where(runs, step="train", variant=DEFAULT_VARIANT)
    severity = trained.assign(severity=trained["status"].map(["done", "skipped", "not run", "failed"].index))
    worst = severity.sort_values("severity").groupby(CELL)["status"].last()
    status = table.join(worst, on=CELL)["status"].fillna("skipped")
    transferred = table[(table["phase"] == "transfer") & (table["seeds"] > 0)].set_index(CELL).index
    untuned = (table["phase"] == "finetune") & table.set_index(CELL).index.isin(transferred)
    return status.mask((status == "done") & untuned, "not fine-tuned").replace("done", "not evaluated")


def accuracy_series(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one scenario of `lib.report.tables.score_table` as figures have them: phase, backbone, series
    (`printed` or a protocol), accuracy, low, high; fractions of 1."""
    names = {"test_accuracy": "accuracy", "test_accuracy_low": "low", "test_accuracy_high": "high"}
    ours = select_own(table, study).rename(columns={"protocol": "series"} | names)
    printed = rows_where(printed_rows(), table=table_number(table["scenario"].iloc[0]))
    printed = printed.assign(series="printed", accuracy=printed["test_accuracy"] / 100).assign(low=np.nan, high=np.nan)
    both = [ours] if study.synthetic else [printed, ours]
    return pd.concat([rows[["phase", "backbone", "series", *names.values()]] for rows in both], ignore_index=True)


def literature_rows(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """`lib.report.tables.table_five` as the page shows it: accuracies as fractions of 1, the paper by its own name,
    printed as a protocol; without our rows for synthetic images, which have no place among photographs."""
    rows = table[table["ref"] != "This study"] if study.synthetic else table
    ours, paper = rows["ref"] == "This study", rows["ref"] == "Proposed model"  # the paper's words for its own
    shares = rows[["accuracy", "accuracy_low", "accuracy_high"]].astype(float) / 100
    rows = rows.assign(**shares, protocol=rows["protocol"].where(ours, "printed"), classes=rows["classes"].astype(int))
    return rows.assign(ref=rows["ref"].mask(paper, "The paper"), method=rows["method"].mask(paper, proposed_backbone()))
