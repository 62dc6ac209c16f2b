"""The leak in pictures, and each finding by its type of leakage (Kapoor & Narayanan, Patterns 4:100804, 2023)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.folds import parts_of_fold, select
from lib.figures.dataset import draw_test_and_training_views
from lib.figures.rungs import RUNG_NAMES
from lib.report import html
from lib.report.data import read_csv, read_parquet, read_pool, rows_where
from lib.report.ladder import select_scenario, step_in_words

FOUND, NOT_FOUND, NOT_TESTABLE, NOT_MEASURED = "found", "not found", "not testable", "not measured"


@dataclass(frozen=True)
class Findings:
    """What the study found that speaks of leakage; empty where a file is not there."""

    printed: dict[str, Any]
    data: dict[str, Any]
    seen: pd.DataFrame
    changes: int | None
    ladders: dict[str, pd.DataFrame]

    @classmethod
    def of(cls, paths: StudyPaths, study: Study, shown: pd.DataFrame) -> "Findings":
        seen = read_csv(paths.seen_in_training)
        changes = read_csv(paths.label_changes)
        return cls(
            printed=read_json(paths.printed_audit) or {},
            data=read_json(paths.dataset_audit) or {},
            seen=pd.DataFrame(columns=["protocol", "scenario", "test_views", "file", "group"])
            if seen is None
            else seen,
            changes=None if changes is None else len(changes),
            # frozen models have more folds, so narrower steps
            ladders={scenarios()[name].title.lower(): select_scenario(shown, name) for name in study.scenarios},
        )

    def steps(self, rung: str) -> str:
        """`the step to “leak gone” is -12.3 [-15.0, -9.5] points in nine classes, ...`; empty where not known."""
        known = {title: words for title, rungs in self.ladders.items() if (words := step_in_words(rungs, rung))}
        shown = ", ".join(f"{words} points in {title}" for title, words in known.items())
        return f"the ladder's step to “{RUNG_NAMES[rung]}” is {shown}" if shown else ""

    def share_seen(self, by: str, protocol: str = "by_view") -> str:
        """`12.3 % to 45.6 %` of test views over the scenarios; empty where it was not counted."""
        shares = self.seen.loc[self.seen["protocol"] == protocol, by].dropna()
        if shares.empty:
            return ""
        low, high = (f"{100 * share:.1f} %" for share in (shares.min(), shares.max()))
        return low if low == high else f"{low} to {high}"


def pictures(paths: StudyPaths, study: Study) -> HTML:
    """The leak in pictures: of each class one that `by_view` tests, and beneath it a view of it in training."""
    views, images = read_pool(paths)
    table, scenario = read_parquet(paths.protocol("by_view")), study.scenarios[0]
    if views is None or table is None:
        return html.missing("No prepared images, or no protocol `by_view`: the leak cannot be shown in pictures.")
    fold = study.transfer_folds[0]
    pairs = twins(parts_of_fold(select(views, table, scenarios()[scenario]), fold))
    if pairs.empty:
        return html.part("note", text=f"No test view of fold {fold} has another view of its file in training.")
    shown = [(pair.label, images[pair.tested], images[pair.trained]) for pair in pairs.itertuples()]
    seen = rows_where(read_csv(paths.seen_in_training), scenario=scenario)
    shares = dict(zip(seen["protocol"], seen["file"])) if len(seen) else {}
    caption = (
        f"Above a picture that `by_view` tests (fold {fold}, {scenarios()[scenario].title.lower()}), beneath it a "
        f"view of the same picture in the training part of that fold{html.if_synthetic(study)}."
    )
    if "by_view" in shares:
        caption += f" {100 * shares['by_view']:.0f} % of all test views have such a twin"
        others = [f"under {name} {100 * shares[name]:.0f} %" for name in study.protocols[1:] if name in shares]
        caption += f"; {', '.join(others)}." if others else "."
    alt = "Pairs of a tested picture and a turned or mirrored view of it in training, of " + ", ".join(pairs["label"])
    wide = draw_test_and_training_views(shown)
    about = {"source": "prepared/images.npy and by_view.parquet"}
    return html.figure("leak", wide, "What the leak looks like", caption, alt, **about)


def twins(parts: pd.DataFrame) -> pd.DataFrame:
    """Of each label the first test view whose file has a view in training: label, source, and the rows of both,
    `tested` and `trained`.

    Args:
        parts: what lib.data.parts_of_fold gives.
    """
    by_view = parts.sort_values(["view", "source"])
    tested, trained = (by_view[by_view["part"] == part] for part in ("test", "train"))
    trained = trained.drop_duplicates("source").set_index("source")["row"]
    pairs = tested.assign(tested=tested["row"], trained=tested["source"].map(trained)).dropna(subset="trained")
    pairs = pairs.drop_duplicates("label").sort_values("label", ignore_index=True)
    return pairs[["label", "source", "tested", "trained"]].astype({"trained": int})


def leakage_types(paths: StudyPaths, study: Study, shown: pd.DataFrame) -> HTML:
    """A line for each type of the taxonomy, and for what is no leak: found or not, and the numbers that show it."""
    findings = Findings.of(paths, study, shown)
    rows = []
    for kind, name, judge in TYPES:
        outcome, shown = judge(findings)
        rows.append({"type": kind, "name": name, "outcome": outcome, "shown": shown})
    columns = [
        *(html.column("type", "Type", "head"), html.column("name", "What it is")),
        *(html.column("outcome", "Here", "verdict"), html.column("shown", "What shows it", "small")),
    ]
    caption = (
        "The findings by the taxonomy of leakage of Kapoor & Narayanan (Patterns 4:100804, 2023). “Found” rests on the "
        "printed numbers, the data set, or a step of the ladder."
    )
    source = "audit/, prepared/ and tables/ladder.csv"
    return html.table("leakage", caption, columns, rows, source=source, cards=True)


def _test_set(findings: Findings) -> tuple[str, str]:
    sizes = _implied(findings)
    if not sizes:
        return NOT_MEASURED, "the printed tables were not audited"
    return NOT_FOUND, f"the paper prints a test accuracy apart from validation; its numbers imply {sizes} test images"


def _preprocessing(findings: Findings) -> tuple[str, str]:
    pool = findings.printed.get("pool") or {}
    tables = pool.get("tables") or {}
    larger = sum(any(group.get("larger_than_images") for group in groups) for groups in tables.values())
    if not tables:
        return NOT_MEASURED, "the printed tables were not audited"
    text = f"test sets of {_implied(findings)} images, where a tenth of the {pool.get('images', 0):,} images is "
    text += (
        f"{pool.get('test_n_expected', 0):.0f}: in {larger} of {len(tables)} tables the pool that was split is larger "
    )
    text += (
        "than the data set, so images were augmented before they were split; what that is worth is in the step at L3.2"
    )
    return (FOUND if larger else NOT_FOUND), text


def _feature_selection(findings: Findings) -> tuple[str, str]:
    return NOT_TESTABLE, "the paper describes no selection of features, and gives no code that would show one"


def _duplicates(findings: Findings) -> tuple[str, str]:
    share = findings.share_seen("file")
    copies = [
        f"{findings.data[key]:,} {words}"
        for key, words in (
            ("same_label_duplicates", "copies under one label"),
            ("contradictory_contents", "contents under two labels"),
            ("near_duplicate_groups", "groups of near-duplicates"),
            ("official_test_in_train", "official test images that also lie in Train"),
        )
        if isinstance(findings.data.get(key), int)
    ]
    if not share and not copies:
        return NOT_MEASURED, "neither the data set nor the protocols were counted"
    parts = [f"under by_view {share} of the test views are views of a file in training" if share else ""]
    parts += [f"the data set holds {', '.join(copies)}" if copies else ""]
    parts += ["what that is worth is in the step at L3.2, which takes all that lies on both sides away"]
    seen = findings.seen.loc[findings.seen["protocol"] == "by_view", "file"].max()
    found = seen > 0 or any(not text.startswith("0 ") for text in copies)
    return (FOUND if found else NOT_FOUND), "; ".join(filter(None, parts))


def _illegitimate(findings: Findings) -> tuple[str, str]:
    return NOT_TESTABLE, (
        "the models see pixels alone; marks, rulers or dark corners may give a class away, and nothing takes them out"
    )


def _temporal(findings: Findings) -> tuple[str, str]:
    return NOT_TESTABLE, "the images carry no dates, and the paper makes no claim about later ones"


def _dependent(findings: Findings) -> tuple[str, str]:
    share, lesions = findings.share_seen("group"), findings.data.get("lesions_with_several_images")
    if not share:
        return NOT_MEASURED, "no protocol was prepared"
    parts = [f"under by_view {share} of the test views show a lesion, or a duplicate of it, that is in training"]
    if isinstance(lesions, int):
        parts.append(f"{lesions:,} lesions are known to have several images")
    clean = {name: findings.share_seen("group", name) for name in ("by_lesion", "clean")}
    parts += [f"{share} under {name}" for name, share in clean.items() if share]
    seen = findings.seen.loc[findings.seen["protocol"] == "by_view", "group"].max()
    return (FOUND if seen > 0 else NOT_FOUND), "; ".join([*parts, *filter(None, [findings.steps("by lesion")])])


def _biased(findings: Findings) -> tuple[str, str]:
    tables = (findings.printed.get("pool") or {}).get("tables") or {}
    if not tables:
        return NOT_MEASURED, "the printed tables were not audited"
    larger = any(group.get("larger_than_images") for groups in tables.values() for group in groups)
    text = "a test set larger than a tenth of the images holds augmented views, and augmentation balances its classes"
    return (FOUND if larger else NOT_FOUND), "; ".join(filter(None, [text, findings.steps("originals")]))


def _labels(findings: Findings) -> tuple[str, str]:
    if findings.changes is None:
        return NOT_MEASURED, "no label was checked"
    parts = [f"wrong labels are no type of leakage; clean corrects or drops {findings.changes:,} files"]
    parts += [findings.steps("corrected labels"), findings.steps("clean")]
    return (FOUND if findings.changes else NOT_FOUND), "; ".join(filter(None, parts))


def _implied(findings: Findings) -> str:
    """`901, 401 and 500, 594`: the test sets that the printed tables imply, table by table."""
    tables = (findings.printed.get("pool") or {}).get("tables") or {}
    sizes = [" and ".join(str(group["test_n"]) for group in groups) for groups in tables.values()]
    return ", ".join(sizes)


TYPES: tuple[tuple[str, str, Callable[[Findings], tuple[str, str]]], ...] = (
    ("L1.1", "no test set", _test_set),
    ("L1.2", "pre-processing on training and test set together", _preprocessing),
    ("L1.3", "feature selection on training and test set together", _feature_selection),
    ("L1.4", "duplicates on both sides", _duplicates),
    ("L2", "features that are not legitimate", _illegitimate),
    ("L3.1", "temporal leakage", _temporal),
    ("L3.2", "training and test samples that depend on each other", _dependent),
    ("L3.3", "sampling bias in the test distribution", _biased),
    ("by lesion", "wrong labels", _labels),
)
