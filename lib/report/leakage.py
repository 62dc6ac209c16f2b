"""The leak in pictures, and the findings by type of leakage (Kapoor & Narayanan, Patterns 4:100804, 2023)."""

from collections.abc import Mapping
from string import Formatter
from typing import Any

import pandas as pd
import yaml
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.folds import parts_of_fold, select
from lib.figures.dataset import draw_test_and_training_views
from lib.report import html
from lib.report.data import read_csv, read_parquet, read_pool, rows_where
from lib.report.ladder import select_phases, step_in_words
from lib.report.show import show

FOUND, NOT_FOUND, NOT_TESTABLE, NOT_MEASURED = "found", "not found", "not testable", "not measured"
COPIES = ["same_label_duplicates", "contradictory_contents", "near_duplicate_groups", "official_test_in_train"]
STEPS = ["by lesion", "originals", "corrected labels", "clean"]


def pictures(paths: StudyPaths, study: Study) -> HTML:
    """The leak in pictures: of each class a view that `by_view` tests, and beneath it one in training."""
    views, images = read_pool(paths)
    table, scenario, fold = read_parquet(paths.protocol("by_view")), study.scenarios[0], study.transfer_folds[0]
    if views is None or table is None:
        return html.missing("No prepared images, or no protocol `by_view`: the leak cannot be shown in pictures.")
    pairs = select_twins(parts_of_fold(select(views, table, scenarios()[scenario]), fold))
    if pairs.empty:
        return html.part("note", text=f"No test view of fold {fold} has another view of its file in training.")
    shown = [(pair.label, images[pair.test], images[pair.train]) for pair in pairs.itertuples()]
    seen = rows_where(read_csv(paths.seen_in_training), scenario=scenario)
    shares = ", ".join(f"{100 * row.file:.0f} % under `{row.protocol}`" for row in seen.itertuples())
    caption = f"Each column is one file: above a view that fold {fold} tests under `by_view`, beneath it one in "
    caption += f"training{html.if_synthetic(study)}. Test views with such a twin: {shares or 'not counted'}."
    alt = "Pairs of a test view and a view of the same file in training, of " + ", ".join(pairs["label"])
    figure, source = draw_test_and_training_views(shown), "prepared/images.npy and by_view.parquet"
    return html.figure("leak", figure, "What the leak looks like", caption, alt, source=source)


def select_twins(parts: pd.DataFrame) -> pd.DataFrame:
    """Of each label the first test view whose file has a view in training: label, source, and the rows of both views,
    `test` and `train`.

    Args:
        parts: what lib.data.folds.parts_of_fold gives.
    """
    by_view = parts.sort_values(["view", "source"])
    test, train = (by_view[by_view["part"] == part] for part in ("test", "train"))
    train = train.drop_duplicates("source").set_index("source")["row"].rename("train")
    pairs = test.rename(columns={"row": "test"}).join(train, on="source", how="inner").drop_duplicates("label")
    return pairs.sort_values("label", ignore_index=True)[["label", "source", "test", "train"]]


def leakage_types(paths: StudyPaths, study: Study, shown: pd.DataFrame) -> HTML:
    """Each type of the taxonomy, and wrong labels, which are none: found or not, and the numbers that show it.

    Args:
        shown: what lib.report.ladder.select_shown gives.
    """
    types = yaml.safe_load((html.TEMPLATE / "leakage_types.yaml").read_text(encoding="utf-8"))
    found, numbers = find_leakage(paths), evidence(paths, study, shown)
    words = {True: FOUND, False: NOT_FOUND, None: NOT_MEASURED}
    rows = pd.DataFrame(
        {
            "type": entry["type"],
            "leakage": entry["leakage"],
            "outcome": NOT_TESTABLE if entry["outcome"] == NOT_TESTABLE else words[found[entry["outcome"]]],
            "evidence": "; ".join(_known_sentences(entry["evidence"], numbers)),
        }
        for entry in types
    )
    text = f"{(rows['outcome'] == FOUND).sum()} of these {len(rows)} are found in the paper's numbers or its data set."
    caption = "The findings by the taxonomy of leakage of Kapoor & Narayanan."
    return html.joined(
        [html.result(text), show(rows, "leakage", caption, "audit/, prepared/, tables/ladder.csv", cards=True)]
    )


def find_leakage(paths: StudyPaths) -> dict[str, bool | None]:
    """What was found, by the outcomes of leakage_types.yaml; None where it was not measured."""
    tables, data = _printed_pool(paths).get("tables") or {}, read_json(paths.dataset_audit) or {}
    by_view = rows_where(read_csv(paths.seen_in_training), protocol="by_view")
    changes = read_csv(paths.label_changes)
    copies = [data[key] > 0 for key in COPIES if key in data]
    return {
        "no_test_set": False if tables else None,
        "larger_pool": any(g["larger_than_images"] for groups in tables.values() for g in groups) if tables else None,
        "duplicates": any([*copies, *(by_view["file"] > 0)]) if copies or len(by_view) else None,
        "lesions": bool((by_view["group"] > 0).any()) if len(by_view) else None,
        "wrong_labels": None if changes is None else len(changes) > 0,
    }


def evidence(paths: StudyPaths, study: Study, shown: pd.DataFrame) -> dict[str, str]:
    """The numbers in leakage_types.yaml, in words; empty where they are not known."""
    pool, data, seen = _printed_pool(paths), read_json(paths.dataset_audit) or {}, read_csv(paths.seen_in_training)
    tables, changes = pool.get("tables") or {}, read_csv(paths.label_changes)
    larger = sum(any(group["larger_than_images"] for group in groups) for groups in tables.values())
    by_view, clean = (rows_where(seen, protocol=name) for name in ("by_view", "clean"))
    numbers = {key: f"{data[key]:,}" for key in [*COPIES, "lesions_with_several_images"] if key in data}
    if tables:
        sizes = ", ".join(" and ".join(str(group["test_n"]) for group in groups) for groups in tables.values())
        numbers |= {"sizes": sizes, "larger": str(larger), "tables": str(len(tables)), "images": f"{pool['images']:,}"}
    if len(by_view):
        numbers |= {"seen_file": _span(by_view["file"]), "seen_group": _span(by_view["group"])}
    if len(clean):
        numbers["seen_group_clean"] = _span(clean["group"])
    if changes is not None:
        numbers["label_changes"] = f"{len(changes):,}"
    longest = select_phases(shown).groupby("scenario", sort=False)
    rungs = {scenarios()[name].title.lower(): rows.set_index("rung") for name, rows in longest}
    for rung in STEPS:
        steps = {title: step_in_words(of_scenario, rung) for title, of_scenario in rungs.items()}
        known = [f"{words} points in {title}" for title, words in steps.items() if words]
        numbers |= {f"step_{rung.replace(' ', '_')}": ", ".join(known)} if known else {}
    return numbers


def _known_sentences(sentences: list[str], numbers: Mapping[str, str]) -> list[str]:
    """The sentences whose numbers are all known, with them filled in."""
    names = {text: {name for _, name, _, _ in Formatter().parse(text) if name} for text in sentences}
    return [text.format_map(numbers) for text in sentences if names[text] <= numbers.keys()]


def _printed_pool(paths: StudyPaths) -> dict[str, Any]:
    return (read_json(paths.printed_audit) or {}).get("pool") or {}


def _span(shares: pd.Series) -> str:
    """`12.3 % to 45.6 %`: the least and the largest share over the scenarios."""
    return " to ".join(dict.fromkeys(f"{100 * share:.1f} %" for share in (shares.min(), shares.max())))
