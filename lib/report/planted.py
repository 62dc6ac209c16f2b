"""What was planted in the synthetic images, and what the study found of it: a section of synthetic reports alone.

The drawing keeps a record (planted.json). Here the instruments are held to it: the audit, the labels that `clean`
corrects, the ranking of wrong labels, k-means, and the accuracies against the best that the drawing allows.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.audit import contents
from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.paths import StudyPaths, demo_planted
from lib.data.folds import select
from lib.figures.rungs import RUNG_NAMES
from lib.report import html
from lib.report.data import read_csv, read_parquet, rows_where, to_records
from lib.scores import ladder

WORDS = """## What was planted, what was found

The images are drawn, so the truth is known. Every flaw below was put there on purpose; an instrument is good if it
finds all of them and invents none. The accuracies have a bound, too: some lesions were drawn to look like another
class, and about those nobody can be right but by having seen the lesion before."""


def section(paths: StudyPaths, suspects: Mapping[str, Any], shown: pd.DataFrame) -> HTML:
    """The flaws found and invented, then what else is known of the drawing; a sentence where nothing is recorded.

    Args:
        suspects: what lib.audit.labels.label_errors gives.
        shown: what `lib.report.ladder.select_shown` gives.
    """
    planted, index = read_json(demo_planted(paths.demo_data)), read_parquet(paths.image_index)
    if planted is None or index is None:
        return html.missing("No data/planted.json, or no audit: what was planted cannot be compared.")
    columns = [
        *(html.column("what", "What", "head"), html.column("planted", "Planted", "count")),
        *(html.column("found", "Found", "count"), html.column("invented", "Invented", "count")),
        html.column("by", "By"),
    ]
    caption = "Flaws that were drawn into the images, and what the study found. Invented: found, but not planted."
    source = "data/planted.json, audit/images.parquet and prepared/label_changes.csv"
    parts = [html.table("planted", caption, columns, flaws(planted, index, read_csv(paths.label_changes)), source)]
    drawn = pd.DataFrame(planted["images"])
    known = [ranking(drawn, suspects), _masks(read_csv(paths.segmentation))]
    parts += [html.part("note", text=text) for text in known if text]
    return html.joined([*parts, _allowed_table(paths, shown, drawn)])


def flaws(planted: Mapping[str, list[dict]], index: pd.DataFrame, changes: pd.DataFrame | None) -> list[dict[str, Any]]:
    """A row a kind of flaw: what, planted, found, invented (numbers of sets of files, or of files), by.

    Args:
        planted: planted.json, as lib.data.demo.DemoSet describes it.
        index: audit/images.parquet.
        changes: prepared/label_changes.csv; None where no protocol was prepared.
    """
    once = index[~index["content"].duplicated()]
    alike = together(index, "content")
    label = index.set_index("source")["class"]
    of_one = {files for files in alike if len(set(label[[*files]])) == 1}
    pairs = {
        "copies under one class": ("exact_duplicates", of_one, "equal pixels"),
        "one picture under two classes": ("two_classes", alike - of_one, "equal pixels"),
        "near-duplicates": ("near_duplicates", together(once, "near_group"), "perceptual hash, then pixels"),
        "lesions with several images": ("lesions", together(index, "lesion_id"), "the metadata"),
    }
    rows = [
        _row(what, {frozenset(entry["files"]) for entry in planted[kind]}, found, by)
        for what, (kind, found, by) in pairs.items()
    ]
    wrong, against = {entry["file"] for entry in planted["label_disagreements"]}, index[contents.disagrees(index)]
    rows.append(_row("labels against the diagnosis", wrong, set(against["source"]), "the metadata"))
    if changes is not None:
        truth = {entry["file"]: entry["class"] for entry in planted["images"]}
        after = label.to_dict() | dict(zip(changes["source"], changes["class"].fillna("")))
        wrong = {file for file, name in truth.items() if label[file] != name}
        still = {file for file, name in truth.items() if after[file] not in ("", name)}
        row = {"what": "wrong labels", "planted": len(wrong), "found": len(wrong - still)}
        by = "clean, which corrects them, or drops them where nothing decides"
        rows.append(row | {"invented": len(still - wrong), "by": by})
    return rows


def together(index: pd.DataFrame, column: str) -> set[frozenset[str]]:
    """The sets of several files with the same value; empty text is no value."""
    known = index[index[column] != ""]
    return {frozenset(files) for files in known.groupby(column)["source"].agg(list) if len(files) > 1}


def allowed(paths: StudyPaths, drawn: pd.DataFrame, scenario: str, rung: ladder.Rung) -> float:
    """The best accuracy on lesions that nobody has seen: that of an observer who sees which class each image looks
    like, and answers with the label that is most frequent among the scored images of that look. The drawing puts
    nothing else into an image that tells its class. NaN where the protocol was not prepared.

    Args:
        drawn: file, class and looks_like of every file.
    """
    views = read_parquet(paths.views)
    table = read_parquet(paths.protocol("clean" if rung.labels == "corrected" else rung.protocol))
    if views is None or table is None:
        return np.nan
    scored = select(views, table, scenarios()[scenario])
    scored = scored if rung.scored_on == "views" else scored[scored["view"] == 0]
    looks = scored["source"].map(drawn.set_index("file")["looks_like"])
    return float(pd.crosstab(looks, scored["label"]).max(axis=1).sum() / len(scored))


def _row(what: str, planted: set, found: set, by: str) -> dict[str, Any]:
    numbers = {"planted": len(planted), "found": len(planted & found), "invented": len(found - planted)}
    return {"what": what} | numbers | {"by": by}


def ranking(drawn: pd.DataFrame, suspects: Mapping[str, Any]) -> str:
    """How early the planted wrong labels come in the list of labels that look wrong."""
    ranked = suspects["ranked"]
    if ranked.empty:
        return ""
    truth = ranked["source"].map(drawn.set_index("file")["class"])
    wrong = (truth != ranked["class"]).to_numpy()[np.argsort(ranked["rank"].to_numpy())]
    k, n = int(wrong.sum()), len(wrong)
    if k in (0, n):
        return ""
    places = np.flatnonzero(wrong)
    before = (n - k - (places - np.arange(k))).sum() / (k * (n - k))  # corrected labels ranked behind, as a share
    return (
        f"Wrong labels: the classifiers, who are told of none, rank {int(wrong[:k].sum())} of the {k} planted ones "
        f"among their first {k} suspects of {n} images; drawing at random finds {k * k / n:.1f}. A wrong label stands "
        f"before a right one in {100 * before:.0f} % of all such pairs (50 % at random). Lesions that look like "
        "another class are suspects, too, though their labels are right."
    )


def _masks(table: pd.DataFrame | None) -> str:
    if table is None or "dice" not in table or table["dice"].notna().sum() == 0:
        return ""
    known = table.dropna(subset="dice")
    return (
        f"Masks: k-means finds the drawn lesion with a mean Dice of {known['dice'].mean():.2f} on {len(known)} images "
        f"with a true mask; the best union of its clusters reaches {known['dice_union'].mean():.2f}."
    )


def _allowed_table(paths: StudyPaths, shown: pd.DataFrame, drawn: pd.DataFrame) -> HTML:
    rungs = {rung.name: rung for rung in ladder.RUNGS}
    rows = []
    for row in to_records(rows_where(shown, phase="transfer")):
        if row["rung"] in rungs:
            best = allowed(paths, drawn, row["scenario"], rungs[row["rung"]])
            rows.append(
                {"scenario": scenarios()[row["scenario"]].title, "model": row["backbone"], "accuracy": row["accuracy"]}
                | {"rung": RUNG_NAMES[row["rung"]], "allowed": best, "_block": row["rung"] == "by view"}
                | {"_interval": {"accuracy": (row["low"], row["high"])}}
            )
    if not rows:
        return html.missing("No ladder: the accuracies cannot be set beside what the drawing allows.")
    columns = [
        *(html.column("scenario", "Scenario", "head"), html.column("model", "Model"), html.column("rung", "Rung")),
        html.column("accuracy", "Accuracy", "interval"),
        html.column("allowed", "The drawing allows", "percent"),
    ]
    caption = (
        "Accuracy, per cent, of models with a frozen backbone, and the best that the drawing allows on unseen lesions: "
        f"{_share(drawn)} of the lesions' images look like another class. Only memory of the single lesion can go "
        "beyond it."
    )
    return html.table("allowed", caption, columns, rows, "tables/ladder.csv and data/planted.json")


def _share(drawn: pd.DataFrame) -> str:
    return f"{100 * (drawn['class'] != drawn['looks_like']).mean():.0f} %"
