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
from lib.config.paths import DEFAULT_VARIANT, RELATED_WORK, StudyPaths
from lib.config.printed import literature, printed_rows
from lib.data.folder import lacking
from lib.report.data import read_csv, rows_where
from lib.scores import ladder
from lib.scores.choices import CHOICE, choice_name, compare_choices
from lib.scores.metrics import EXTERNAL, class_scores, external_scores, model_scores
from lib.scores.outcomes import read_external_outcomes, read_outcomes, select_models

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
GROUPS = {title: [f"printed_{key}", key, f"{key}_difference"] for key, title in MEASURES.items()}
METRICS = {  # as params/related_work.csv names them -> column of `field_scores`
    "accuracy": "test_accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro F1": "macro_f1",
    "ROC AUC": "roc_auc",
    "ROC AUC of melanoma": "melanoma_roc_auc",
}
ANSWERED = ("kind of lesion", "melanoma or not")  # questions that a model of the nine classes answers
MODEL = ["protocol", "phase", "backbone"]
CELL = ["scenario", "protocol", "preprocessing", "backbone"]
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
    """Tables I to IV under each other, with their scenario: what `lib.scores.metrics.model_scores` gives of each model,
    protocol and preprocessing. A model of the study's own settings that was not measured has a row without numbers."""
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
    rows = rows.assign(
        seeds=rows["seeds"].fillna(0).astype(int), table=rows["scenario"].map(lambda name: scenarios()[name].table)
    )
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


def table_five(scores: pd.DataFrame, study: Study, few: Mapping[tuple, str]) -> pd.DataFrame:
    """Table V as printed, and a row of ours for each scenario and protocol: `shown_model`, fine-tuned if it was; `few`
    is what `few_classes` gives.

    Columns of params/literature.csv (accuracy in per cent), then protocol, preprocessing, phase, n_test,
    accuracy_low, accuracy_high; empty accuracy where not measured.
    """
    names = {f"test_accuracy{end}": f"accuracy{end}" for end in ("", "_low", "_high")}
    ours = []
    for scenario, protocol in itertools.product(study.scenarios, study.protocols):
        model = shown_model(study, scenario)
        count = few.get((scenario, protocol), str(len(scenarios()[scenario].classes))).removesuffix(" classes")
        row = {"ref": "This study", "method": model, "year": "", "classes": count}
        row |= {"protocol": protocol, "preprocessing": study.preprocessings[0], "note": "not measured"}
        measured = select_own(scores[scores["seeds"] > 0], study, scenario=scenario, protocol=protocol, backbone=model)
        for best in measured.tail(1).to_dict("records"):
            row |= {"phase": best["phase"], "n_test": best["n_test"], "note": ""}
            row |= {own: 100 * best[name] for name, own in names.items()}
        ours.append(row)
    extra = ["protocol", "preprocessing", "phase", "n_test", "accuracy_low", "accuracy_high"]
    printed = literature()
    return pd.concat([printed, pd.DataFrame(ours)], ignore_index=True).reindex(columns=[*printed.columns, *extra])


def few_classes(paths: StudyPaths) -> dict[tuple[str, str], str]:
    """(scenario, protocol) -> `8 of 9 classes`, where a class has too few images to be scored."""
    lost = read_csv(paths.not_evaluable)
    counts = {} if lost is None else lost.groupby(["scenario", "protocol"]).size().to_dict()
    totals = {name: len(scenario.names) for name, scenario in scenarios().items()}
    return {cell: f"{totals[cell[0]] - count} of {totals[cell[0]]} classes" for cell, count in counts.items()}


def unknown_lesions(index: pd.DataFrame | None) -> str:
    """How many files of audit/images.parquet have no known lesion, and which classes have none, if any, in words."""
    if index is None or (known := index["lesion_id"] != "").all():
        return ""
    classes = known.groupby(index["class"]).any()
    whole = f", among them all of {' and '.join(classes.index[~classes])}" if not classes.all() else ""
    text = f"{(~known).sum():,} of {len(index):,} files have no known lesion{whole}"
    return f"{text}: there an unseen lesion is no more than an unseen picture."


def shown_scenarios(study: Study) -> list[str]:
    """The scenarios that the report has: those of the study, and those of which the paper prints a table."""
    printed = set(printed_rows()["table"])
    return [name for name, entry in scenarios().items() if name in study.scenarios or entry.table in printed]


def shown_model(study: Study, scenario: str) -> str:
    """The backbone whose figures stand for a scenario: the paper's own model, else the first that the study fine-tunes
    there, as the paper's figures are of that phase, else its first one."""
    here = [cell for cell in study.cells(*AXES) if cell["scenario"] == scenario]
    tuned = {cell["backbone"] for cell in here if study.settings(cell)["finetune_epochs"] > 0}
    order = [proposed_backbone(), *(name for name in backbones() if name in tuned), *backbones()]
    order.sort(key=lambda name: name in study.weights_note)  # with other weights than ImageNet's: last
    return next((name for name in order if any(cell["backbone"] == name for cell in here)), proposed_backbone())


def select_model(cells: Mapping[tuple, pd.DataFrame], study: Study, scenario: str) -> tuple[str, pd.DataFrame]:
    """The model that stands for a scenario, in words, and its outcomes of lib.scores.beyond.select_cells, if any: the
    paper's own, fine-tuned, where it was run."""
    for backbone, phase in itertools.product(in_paper_order(study.backbones), reversed(PHASES)):
        if (rows := cells.get((scenario, backbone, phase))) is not None:
            return f"{scenarios()[scenario].title}, {backbone}, {PHASE_TITLES[phase].lower()}", rows
    return "", pd.DataFrame()


def in_paper_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=list(backbones()).index)


def compared_rows(table: pd.DataFrame, study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of one scenario of `score_table`, of the study's own settings, with `<measure>_difference`, ours minus
    printed, in the paper's order. `n_test` says why a row has no number; models that the study lacks are as printed."""
    scenario = table["scenario"].iloc[0]
    why = reasons(table, runs) if scenario in study.scenarios else "not in study"
    rows = table.assign(n_test=table["n_test"].astype(object).where(table["seeds"] > 0, why))
    if not study.synthetic:
        printed = rows_where(printed_rows(), table=scenarios()[scenario].table)
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
    """The rows of one scenario of `score_table` as figures have them: phase, backbone, series (`printed` or a
    protocol), accuracy, low, high; fractions of 1."""
    names = {"test_accuracy": "accuracy", "test_accuracy_low": "low", "test_accuracy_high": "high"}
    ours = select_own(table, study).rename(columns={"protocol": "series"} | names)
    printed = rows_where(printed_rows(), table=scenarios()[table["scenario"].iloc[0]].table)
    printed = printed.assign(series="printed", accuracy=printed["test_accuracy"] / 100).assign(low=np.nan, high=np.nan)
    both = [ours] if study.synthetic else [printed, ours]
    return pd.concat([rows[["phase", "backbone", "series", *names.values()]] for rows in both], ignore_index=True)


def literature_rows(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """`table_five` as the page shows it: accuracies as fractions of 1, the paper by its own name, printed as a
    protocol; without our rows for synthetic images, which have no place among photographs."""
    rows = table[table["ref"] != "This study"] if study.synthetic else table
    ours, paper = rows["ref"] == "This study", rows["ref"] == "Proposed model"  # the paper's words for its own
    shares = rows[["accuracy", "accuracy_low", "accuracy_high"]].astype(float) / 100
    rows = rows.assign(**shares, protocol=rows["protocol"].where(ours, "printed"), classes=rows["classes"].astype(str))
    return rows.assign(ref=rows["ref"].mask(paper, "The paper"), method=rows["method"].mask(paper, proposed_backbone()))


def compare_variants(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """What compare_choices gives, with `choice`, its name, and variants named by their settings; empty where nothing is
    compared: one choice, or synthetic images."""
    one = len(study.preprocessings) == 1 and not study.variants
    found = compare_choices(scores.iloc[:0] if one or study.synthetic else scores, study)
    found = found.assign(variant=[_variant_name(study, variant) for variant in found["variant"]])
    return found.assign(choice=[choice_name(*row) for row in found[CHOICE].to_numpy()])


def _variant_name(study: Study, variant: str) -> str:
    """A variant's name; for the study's own settings the values that its variants change, as `rotation 180`."""
    if variant != DEFAULT_VARIANT:
        return variant
    changed = dict.fromkeys(key for settings in study.variants.values() for key in settings)
    own = study.model_dump()
    return ", ".join(f"{key} {own[key]:g}" if isinstance(own[key], float) else f"{key} {own[key]}" for key in changed)


def field_scores(paths: StudyPaths, study: Study) -> pd.DataFrame:
    """Our scores of the nine classes on the others' METRICS, one row per MODEL, fractions of 1, under the study's first
    preprocessing. Macro F1 is the mean over the classes that have images."""
    outcomes = read_outcomes(paths, study.preprocessings[0], "nine_classes")
    models = select_models(outcomes, study.protocols)
    if not models or "nine_classes" not in study.scenarios:
        return pd.DataFrame(columns=[*MODEL, *METRICS.values()])
    metrics = model_scores(outcomes, study.protocols)
    classes = pd.concat([class_scores(rows).assign(**dict(zip(MODEL, key))) for key, rows in models.items()])
    f1 = classes[classes["support"] > 0].groupby(MODEL)["f1"].mean().rename("macro_f1")
    melanoma = rows_where(classes, **{"class": "melanoma"}).set_index(MODEL)["roc_auc"].rename("melanoma_roc_auc")
    return metrics.join(f1, on=MODEL).join(melanoma, on=MODEL)[[*MODEL, *METRICS.values()]]


def load_related_work() -> pd.DataFrame:
    """params/related_work.csv: what others report, one row per number; `value`: fraction of 1, or NaN."""
    return pd.read_csv(RELATED_WORK, dtype={"classes": str}, keep_default_na=False, na_values={"value": [""]})


def select_ours(study: Study, scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The model of `field_scores` whose scores stand beside the others', in words, and its scores by protocol:
    `shown_model`, fine-tuned, where it was run. None of synthetic images, which are compared to nothing."""
    if study.synthetic or scores.empty:
        return "", scores.iloc[:0].set_index("protocol")
    models = [shown_model(study, "nine_classes"), *in_paper_order(scores["backbone"].unique())]
    own = rows_where(scores, backbone=next(name for name in models if name in set(scores["backbone"])))
    own = rows_where(own, phase=next(phase for phase in reversed(PHASES) if phase in set(own["phase"])))
    words = f"{own['backbone'].iloc[0]}, {PHASE_TITLES[own['phase'].iloc[0]].lower()}"
    return words, own.set_index("protocol").loc[[name for name in study.protocols if name in set(own["protocol"])]]


def add_ours(others: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """The others' numbers as the report names them, and `ours_<protocol>` on the same metric, where a model of the nine
    classes answers the same question."""
    table = others.assign(reference=others["reference"] + " " + others["year"].astype(str))
    table = table.assign(reference_link=others["source"], on=others["model"] + " on " + others["data"])
    scores = {f"ours_{name}": row[others["metric"].map(METRICS)].to_numpy() for name, row in ours.iterrows()}
    answered = others["question"].isin(ANSWERED)
    table = table.assign(**{name: pd.Series(values, others.index).where(answered) for name, values in scores.items()})
    return table.rename(columns={"value": "theirs", "by_lesion": "grouped", "note": "differs_note"})


def external_table(paths: StudyPaths, study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of every model on external images, if any, with how many classes its protocol scores."""
    tables, few = [], few_classes(paths)
    for cell in study.cells("variant", "preprocessing", "scenario"):
        at, where = paths.of_variant(cell["variant"]), (cell["preprocessing"], cell["scenario"])
        own, outcomes = rows_where(scores[scores["seeds"] > 0], **cell), read_external_outcomes(at, *where)
        table = external_scores(outcomes, own, study.protocols).assign(**cell)
        total = str(len(scenarios()[cell["scenario"]].names))
        counts = [few.get((cell["scenario"], name), total).removesuffix(" classes") for name in table["protocol"]]
        tables.append(table.assign(classes=counts))
    columns = ["variant", "preprocessing", "scenario", *EXTERNAL, "classes"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def read_external_files(paths: StudyPaths, study: Study) -> pd.DataFrame | None:
    """The external images, one row per file; `excluded`: why, if so. None where none were given."""
    places = [paths.external_files(**cell) for cell in study.cells("preprocessing", "scenario")]
    return next((table for place in places if (table := read_csv(place)) is not None), None)


def count_external_files(files: pd.DataFrame) -> pd.DataFrame:
    """External images of each class, by what excludes them."""
    counts = pd.crosstab(files["class"], files["excluded"].fillna("kept"), margins=True, margins_name="all")
    return counts.rename_axis(columns=None).reset_index()


def missing_classes(files: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The scenarios that are not scored, with the classes of which no external image is kept."""
    kept = set(files.loc[files["excluded"].isna(), "class"])
    classes = {name: ", ".join(lacking(scenarios()[name], kept)) for name in study.scenarios}
    rows = [{"scenario": name, "without": names} for name, names in classes.items() if names]
    return pd.DataFrame(rows, columns=["scenario", "without"])
