"""The numbers of the report: Tables I to V and those beside them, as DataFrames and as CSV files in tables/."""

import itertools
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.paper import backbones, scenarios
from lib.config.params import AXES, PHASES, Study
from lib.config.paths import StudyPaths
from lib.config.printed import literature, printed_rows
from lib.report.data import read_csv, read_runs, rows_where, to_records
from lib.scores import ladder
from lib.scores.metrics import compare_with_proposed, model_scores
from lib.scores.outcomes import read_external_outcomes, read_outcome_file, read_outcomes

MEASURES = {  # column of Tables I to IV -> its name on the page
    "val_accuracy": "Val acc",
    "test_accuracy": "Test acc",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
TABLE_COLUMNS = [
    *("protocol", "preprocessing", "variant", "phase", "backbone", "seeds", "folds", "n_test"),
    *("val_accuracy", "test_accuracy", "test_accuracy_low", "test_accuracy_high", "repetition_low", "repetition_high"),
    *("precision", "recall", "f1", "balanced_accuracy"),
    *(f"printed_{measure}" for measure in MEASURES),
]
NUMBERS = TABLE_COLUMNS[TABLE_COLUMNS.index("folds") :]  # empty where not measured
PROPOSED = "EfficientNetV2B3"
DIGITS = 6  # of the numbers in tables/*.csv, after the point


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as tables/ has them."""
    path.write_text(as_csv(table), encoding="utf-8")


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV without the noise of binary fractions: 0.4406, not 0.44060000000000005.

    Numbers from 1 on have at most DIGITS digits after the point, smaller ones DIGITS significant digits.
    """
    return table.map(_in_digits).to_csv(index=False)


def _in_digits(value: Any) -> Any:
    if not isinstance(value, (float, np.floating)):
        return value
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    return f"{value:.{DIGITS}g}" if abs(value) < 1 else f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")


def scenario_table(paths: StudyPaths, study: Study, scenario: str) -> pd.DataFrame:
    """One of Tables I-IV: a row for every protocol, preprocessing, phase and backbone of the study, in that order.

    Fractions of 1, as lib.scores.metrics.metrics gives them over the folds and seeds that were evaluated; cells
    without a result are empty. The columns are TABLE_COLUMNS.
    """
    printed = printed_rows().query("table == @table", local_dict={"table": scenarios()[scenario].table})
    printed = printed.set_index(["phase", "backbone"])[list(MEASURES)] / 100
    measured = {name: measured_scores(paths, study, name, scenario) for name in study.preprocessings}
    rows = []
    cells = itertools.product(study.protocols, study.preprocessings, PHASES, in_paper_order(study.backbones))
    for protocol, preprocessing, phase, backbone in cells:
        model = {"protocol": protocol, "phase": phase, "backbone": backbone}
        row = model | {"preprocessing": preprocessing, "variant": paths.variant, "seeds": 0}
        for record in to_records(rows_where(measured[preprocessing], **model)):
            row |= record
        row |= {f"printed_{measure}": printed[measure].get((phase, backbone), np.nan) for measure in MEASURES}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=TABLE_COLUMNS).astype(dict.fromkeys(NUMBERS, float))


def measured_scores(paths: StudyPaths, study: Study, preprocessing: str, scenario: str) -> pd.DataFrame:
    """`lib.scores.metrics.model_scores` of a scenario's outcomes, computed once per table of outcomes."""
    path = paths.outcomes(preprocessing, scenario)
    written = path.stat().st_mtime_ns if path.is_file() else 0
    return _scores_of(path, written, tuple(study.protocols)).copy()


@lru_cache(maxsize=256)
def _scores_of(path: Path, written: int, protocols: tuple[str, ...]) -> pd.DataFrame:
    return model_scores(read_outcome_file(path), protocols)


def table_of_variants(paths: StudyPaths, study: Study, scenario: str) -> pd.DataFrame:
    """`scenario_table` of the study's own settings, and beneath it the rows of every variant that were evaluated."""
    own = scenario_table(paths, study, scenario)
    tables = [scenario_table(paths.of_variant(name), study, scenario) for name in study.variants]
    return pd.concat([own, *(table[table["seeds"] > 0] for table in tables)], ignore_index=True)


def ladder_table(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """The ladder of every table of outcomes, under each other: fractions of 1, the columns of lib.scores.ladder."""
    audit, tables = read_json(paths.printed_audit) or {}, []
    for cell in study.cells("variant", "preprocessing", "scenario"):
        where = paths.of_variant(cell["variant"]), cell["preprocessing"], cell["scenario"]
        tables.append(ladder.ladder(read_outcomes(*where), cell, audit, read_external_outcomes(*where)))
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=ladder.COLUMNS)


def mcnemar_table(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """`lib.scores.metrics.compare_with_proposed` of every table of outcomes, with its preprocessing and scenario."""
    cells = study.cells("preprocessing", "scenario")
    tables = [compare_with_proposed(read_outcomes(paths, **cell), study.protocols, PROPOSED) for cell in cells]
    return pd.concat([table.assign(**cell) for cell, table in zip(cells, tables)], ignore_index=True)


def table_five(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Table V as printed, and a row of ours for each scenario and protocol: `shown_model`, fine-tuned if it was.

    Columns of params/literature.csv (accuracy in per cent), then protocol, preprocessing, phase, n_test,
    accuracy_low, accuracy_high; empty accuracy where not measured.
    """
    ours = []
    for scenario in study.scenarios:
        table, model = scenario_table(paths, study, scenario), shown_model(study, scenario)
        for protocol in study.protocols:
            cell = rows_where(table, protocol=protocol, preprocessing=study.preprocessings[0], backbone=model)
            done = cell[cell["seeds"] > 0]
            row = {"ref": "This study", "method": model, "year": "", "classes": len(scenarios()[scenario].classes)}
            row |= {"protocol": protocol, "preprocessing": study.preprocessings[0], "note": "not measured"}
            if len(done):
                best = done.iloc[-1]
                row |= {"phase": best["phase"], "n_test": best["n_test"], "note": ""}
                row |= {c.replace("test_", ""): 100 * best[c] for c in TABLE_COLUMNS if c.startswith("test_accuracy")}
            ours.append(row)
    extra = ["protocol", "preprocessing", "phase", "n_test", "accuracy_low", "accuracy_high"]
    printed = literature()
    return pd.concat([printed, pd.DataFrame(ours)], ignore_index=True).reindex(columns=[*printed.columns, *extra])


def gradcam_table(paths: StudyPaths) -> pd.DataFrame:
    """Every maps.csv that 06_gradcam left, with its scenario and backbone in front."""
    tables = []
    for path in sorted(paths.gradcam.glob("*/*/maps.csv")):
        table = read_csv(path)
        if table is not None:
            names = [c for c in ("scenario", "backbone") if c in table]
            where = {"scenario": path.parent.parent.name, "backbone": path.parent.name}
            tables.append(pd.concat([pd.DataFrame(where, index=table.index), table.drop(columns=names)], axis=1))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["scenario", "backbone"])


def missing_table(paths: StudyPaths) -> pd.DataFrame:
    """The runs that are not done, from state.json: run, step, the axes, status, cause, error (its last line)."""
    runs = read_runs(paths)
    table = runs[runs["status"] != "done"].drop(columns=["notebook", "seconds"])
    return table.assign(error=[str(text).strip().rpartition("\n")[2] for text in table["error"]])


def shown_scenarios(study: Study) -> list[str]:
    """The scenarios that the report has: those of the study, and those of which the paper prints a table."""
    printed = set(printed_rows()["table"])
    return [name for name, entry in scenarios().items() if name in study.scenarios or entry.table in printed]


def table_files(study: Study) -> str:
    """`tables/table_1.csv to table_4.csv`: the files of the scenarios' tables, as a source is named."""
    numbers = sorted(scenarios()[name].table for name in shown_scenarios(study))
    return f"tables/table_{numbers[0]}.csv to table_{numbers[-1]}.csv"


def shown_model(study: Study, scenario: str) -> str:
    """The backbone whose figures stand for a scenario: the paper's own model where the study has it.

    Else the first that the study fine-tunes there, as the paper's figures are of that phase; else its first one.
    """
    here = [cell for cell in study.cells(*AXES) if cell["scenario"] == scenario]
    tuned = {cell["backbone"] for cell in here if study.settings(cell)["finetune_epochs"] > 0}
    order = [PROPOSED, *(name for name in backbones() if name in tuned), *backbones()]
    return next((name for name in order if any(cell["backbone"] == name for cell in here)), PROPOSED)


def stacked_tables(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Tables I to IV under each other, with their `scenario`."""
    return pd.concat([scenario_table(paths, study, name).assign(scenario=name) for name in study.scenarios])


def stacked_variants(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """`stacked_tables` with the rows of every variant that were evaluated."""
    return pd.concat([table_of_variants(paths, study, name).assign(scenario=name) for name in study.scenarios])


def proposed_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name != PROPOSED)


def in_paper_order(names: Iterable[str]) -> list[str]:
    order = list(backbones())
    return sorted(names, key=order.index)
