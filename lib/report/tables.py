"""The numbers of the report: Tables I to V and those beside them, as DataFrames and as CSV files in tables/."""

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.config.files import read_json
from lib.config.paper import backbones, proposed_backbone, scenarios
from lib.config.params import AXES, PHASE_TITLES, PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, StudyPaths
from lib.config.printed import literature, printed_rows
from lib.report.data import rows_where
from lib.scores import ladder
from lib.scores.metrics import model_scores
from lib.scores.outcomes import read_external_outcomes, read_outcomes

MEASURES = {  # column of Tables I to IV -> its name on the page
    "val_accuracy": "Val acc", "test_accuracy": "Test acc", "precision": "Precision", "recall": "Recall", "f1": "F1",
}  # fmt: skip
TABLE_COLUMNS = [
    *("protocol", "preprocessing", "variant", "phase", "backbone", "seeds", "folds", "n_test"),
    *("val_accuracy", "test_accuracy", "test_accuracy_low", "test_accuracy_high", "repetition_low", "repetition_high"),
    *("precision", "recall", "f1", "balanced_accuracy"),
    *(f"printed_{measure}" for measure in MEASURES),
]
NUMBERS = TABLE_COLUMNS[TABLE_COLUMNS.index("folds") :]  # empty where not measured
TABLE_FILES = "tables/table_*.csv"
FORMULA = re.compile(r"'*[=+\-@\t\n]")  # how a text begins that a spreadsheet takes for one
DIGITS = 6  # of the numbers in tables/*.csv, after the point


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as tables/ has them."""
    path.write_text(as_csv(table), encoding="utf-8")


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV without the noise of binary fractions: 0.4406, not 0.44060000000000005.

    Numbers from 1 on have at most DIGITS digits after the point, smaller ones DIGITS significant digits. A text that a
    spreadsheet would compute as a formula has a ' in front, which `lib.report.data.read_csv` takes off.
    """
    return table.map(_in_digits).to_csv(index=False)


def _in_digits(value: Any) -> Any:
    if isinstance(value, str):
        value = value.replace("\r", "\n")  # pandas would leave it without quotes, and readers end the row there
        return f"'{value}" if FORMULA.match(value) and pd.isna(pd.to_numeric(value, errors="coerce")) else value
    if not isinstance(value, (float, np.floating)):
        return value
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    return f"{value:.{DIGITS}g}" if abs(value) < 1 else f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")


def score_table(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Tables I to IV under each other, with their scenario: one row per model, protocol and preprocessing.

    Fractions of 1, as `lib.scores.metrics.model_scores` gives them over the folds and seeds that were evaluated. A
    model of the study's own settings (variant `default`) that was not measured has a row without numbers.
    """
    cells = study.cells("variant", "preprocessing", "scenario")
    measured = [
        model_scores(
            read_outcomes(paths.of_variant(cell["variant"]), cell["preprocessing"], cell["scenario"]), study.protocols
        ).assign(**cell)
        for cell in cells
    ]
    axes = {
        "scenario": shown_scenarios(study), "variant": [DEFAULT_VARIANT, *study.variants], "protocol": study.protocols,
        "preprocessing": study.preprocessings, "phase": PHASES, "backbone": in_paper_order(study.backbones),
    }  # fmt: skip
    rows = pd.DataFrame(itertools.product(*axes.values()), columns=[*axes])
    rows = rows.merge(pd.concat(measured, ignore_index=True), "left", on=[*axes])
    rows = rows.assign(seeds=rows["seeds"].fillna(0).astype(int), table=rows["scenario"].map(table_number))
    rows = rows[(rows["variant"] == DEFAULT_VARIANT) | (rows["seeds"] > 0)]
    printed = printed_rows()[["table", "phase", "backbone", *MEASURES]]
    printed = printed.set_index(["table", "phase", "backbone"]).div(100).add_prefix("printed_").reset_index()
    rows = rows.merge(printed, "left", on=["table", "phase", "backbone"])
    return rows.reindex(columns=["scenario", *TABLE_COLUMNS]).astype(dict.fromkeys(NUMBERS, float))


def select_own(scores: pd.DataFrame, study: Study, **values: Any) -> pd.DataFrame:
    """The rows of the study's own settings and first preprocessing that have these values."""
    return rows_where(scores, variant=DEFAULT_VARIANT, preprocessing=study.preprocessings[0], **values)


def ladder_table(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """The ladder of every table of outcomes, under each other: fractions of 1, the columns of lib.scores.ladder."""
    audit, tables = read_json(paths.printed_audit) or {}, []
    for cell in study.cells("variant", "preprocessing", "scenario"):
        where = paths.of_variant(cell["variant"]), cell["preprocessing"], cell["scenario"]
        tables.append(ladder.ladder(read_outcomes(*where), cell, audit, read_external_outcomes(*where)))
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=ladder.COLUMNS)


def table_five(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Table V as printed, and a row of ours for each scenario and protocol: `shown_model`, fine-tuned if it was.

    Columns of params/literature.csv (accuracy in per cent), then protocol, preprocessing, phase, n_test,
    accuracy_low, accuracy_high; empty accuracy where not measured.
    """
    names = {f"test_accuracy{end}": f"accuracy{end}" for end in ("", "_low", "_high")}
    ours = []
    for scenario, protocol in itertools.product(study.scenarios, study.protocols):
        model = shown_model(study, scenario)
        row = {"ref": "This study", "method": model, "year": "", "classes": len(scenarios()[scenario].classes)}
        row |= {"protocol": protocol, "preprocessing": study.preprocessings[0], "note": "not measured"}
        measured = select_own(scores[scores["seeds"] > 0], study, scenario=scenario, protocol=protocol, backbone=model)
        for best in measured.tail(1).to_dict("records"):
            row |= {"phase": best["phase"], "n_test": best["n_test"], "note": ""}
            row |= {own: 100 * best[name] for name, own in names.items()}
        ours.append(row)
    extra = ["protocol", "preprocessing", "phase", "n_test", "accuracy_low", "accuracy_high"]
    printed = literature()
    return pd.concat([printed, pd.DataFrame(ours)], ignore_index=True).reindex(columns=[*printed.columns, *extra])


def shown_scenarios(study: Study) -> list[str]:
    """The scenarios that the report has: those of the study, and those of which the paper prints a table."""
    printed = set(printed_rows()["table"])
    return [name for name, entry in scenarios().items() if name in study.scenarios or entry.table in printed]


def table_number(scenario: str) -> int:
    return scenarios()[scenario].table


def shown_model(study: Study, scenario: str) -> str:
    """The backbone whose figures stand for a scenario: the paper's own model where the study has it.

    Else the first that the study fine-tunes there, as the paper's figures are of that phase; else its first one.
    """
    here = [cell for cell in study.cells(*AXES) if cell["scenario"] == scenario]
    tuned = {cell["backbone"] for cell in here if study.settings(cell)["finetune_epochs"] > 0}
    order = [proposed_backbone(), *(name for name in backbones() if name in tuned), *backbones()]
    return next((name for name in order if any(cell["backbone"] == name for cell in here)), proposed_backbone())


def select_model(cells: Mapping[tuple, pd.DataFrame], study: Study, scenario: str) -> tuple[str, pd.DataFrame]:
    """The model that stands for a scenario, in words, and its outcomes of lib.scores.beyond.select_cells: the paper's
    own, fine-tuned, where it was run; no outcomes where none is of this scenario."""
    for backbone, phase in itertools.product(in_paper_order(study.backbones), reversed(PHASES)):
        if (rows := cells.get((scenario, backbone, phase))) is not None:
            return f"{scenarios()[scenario].title}, {backbone}, {PHASE_TITLES[phase].lower()}", rows
    return "", pd.DataFrame()


def in_paper_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=list(backbones()).index)
