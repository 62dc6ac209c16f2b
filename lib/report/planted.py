"""What was planted in the synthetic images, and what the study found of it: a section of synthetic reports alone.

planted.json is the truth: the audit, the labels that `clean` corrects, the ranking of wrong labels and the accuracies
are compared with it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from sklearn.metrics import roc_auc_score

from lib.audit import contents
from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.paths import DEMO_PLANTED, StudyPaths
from lib.data.folds import select
from lib.report import html
from lib.report.data import read_csv, read_parquet, rows_where
from lib.report.show import show
from lib.scores.ladder import RUNGS, Rung

WORDS = """## What was planted, what was found

The images are synthetic, so the truth is known. Every flaw below was put there on purpose; an instrument is good if it
finds all of them and invents none. The accuracies have a bound, too: some lesions look like another class, and only a
model that was trained on the same lesion can be right about those."""


def section(paths: StudyPaths, suspects: Mapping[str, Any], shown: pd.DataFrame) -> HTML:
    """The flaws found and invented, the ranking of wrong labels, and the accuracies against their bound.

    Args:
        suspects: what lib.audit.labels.label_errors gives.
        shown: what lib.report.ladder.select_shown gives.
    """
    planted, index = read_json(paths.demo_data / DEMO_PLANTED), read_parquet(paths.image_index)
    if planted is None or index is None:
        return html.missing("No data/planted.json, or no audit: what was planted cannot be compared.")
    truth, table = pd.DataFrame(planted["images"]), find_flaws(planted, index, read_csv(paths.label_changes))
    missed, invented = (table["planted"] - table["found"]).sum(), table["invented"].sum()
    text = f"Of {table['planted'].sum()} planted flaws {missed} were missed; {invented} were invented."
    source = "data/planted.json, audit/images.parquet and prepared/label_changes.csv"
    ranking = rank_wrong_labels(truth, suspects["ranked"])
    return html.joined(
        [
            html.result(text),
            show(table, "planted", "Planted flaws, and how many of them the study found or invented.", source),
            *([html.part("note", text=ranking)] if ranking else []),
            _bounds(paths, shown, truth),
        ]
    )


def find_flaws(planted: Mapping[str, list[dict]], index: pd.DataFrame, changes: pd.DataFrame | None) -> pd.DataFrame:
    """One row per kind of flaw: what, planted, found, invented (numbers of sets of files, or of files), by.

    Args:
        planted: planted.json, as lib.data.demo describes it.
        index: audit/images.parquet.
        changes: prepared/label_changes.csv; None where no protocol was prepared.
    """
    label = index.set_index("source")["class"]
    alike, once = _sets(index, "content"), index[~index["content"].duplicated()]
    same_label = {files for files in alike if len(set(label[[*files]])) == 1}
    found = {
        "copies under one class": ("exact_duplicates", same_label, "equal pixels"),
        "one picture under two classes": ("two_classes", alike - same_label, "equal pixels"),
        "near-duplicates": ("near_duplicates", _sets(once, "near_group"), "perceptual hash, then pixels"),
        "lesions with several images": ("lesions", _sets(index, "lesion_id"), "the metadata"),
    }
    rows = [
        _compare(what, {frozenset(entry["files"]) for entry in planted[kind]}, sets, by)
        for what, (kind, sets, by) in found.items()
    ]
    against = set(index.loc[contents.disagrees(index), "source"])
    wrong = {entry["file"] for entry in planted["label_disagreements"]}
    rows.append(_compare("labels against the diagnosis", wrong, against, "the metadata"))
    if changes is not None:
        truth = {entry["file"]: entry["class"] for entry in planted["images"]}
        after = label.to_dict() | dict(zip(changes["source"], changes["class"].fillna("")))
        wrong = {file for file, name in truth.items() if label[file] != name}
        still = {file for file, name in truth.items() if after[file] not in ("", name)}
        by = "clean, which corrects them, or drops them where nothing decides"
        rows.append(_compare("wrong labels", wrong, (wrong - still) | (still - wrong), by))
    return pd.DataFrame(rows)


def best_accuracy(paths: StudyPaths, truth: pd.DataFrame, scenario: str, rung: Rung) -> float:
    """The best accuracy on unseen lesions: that of an observer who sees which class each image looks like, and answers
    with the most frequent label among the scored images of that look. Nothing else in a synthetic image tells its
    class. NaN where the protocol was not prepared.

    Args:
        truth: file, class and looks_like of every file.
    """
    views = read_parquet(paths.views)
    table = read_parquet(paths.protocol("clean" if rung.labels == "corrected" else rung.protocol))
    if views is None or table is None:
        return np.nan
    scored = select(views, table, scenarios()[scenario])
    scored = scored if rung.scored_on == "views" else scored[scored["view"] == 0]
    looks = scored["source"].map(truth.set_index("file")["looks_like"])
    return float(pd.crosstab(looks, scored["label"]).max(axis=1).sum() / len(scored))


def rank_wrong_labels(truth: pd.DataFrame, ranked: pd.DataFrame) -> str:
    """How early the planted wrong labels come in the list of labels that look wrong."""
    wrong = np.array([])
    if len(ranked):
        ranked = ranked.sort_values("rank")
        wrong = (ranked["source"].map(truth.set_index("file")["class"]) != ranked["class"]).to_numpy()
    k, n = int(wrong.sum()), len(wrong)
    if k in (0, n):
        return ""
    before = roc_auc_score(wrong, -np.arange(n))  # the share of pairs of a wrong and a correct label in this order
    return (
        f"Wrong labels: the models rank {int(wrong[:k].sum())} of the {k} planted ones among their first {k} suspects "
        f"of {n} images; a random order has {k * k / n:.1f} there. A wrong label comes before a correct one in "
        f"{100 * before:.0f} % of all such pairs (50 % at random). Lesions that look like another class are suspects, "
        "too, though their labels are correct."
    )


def _sets(index: pd.DataFrame, column: str) -> set[frozenset[str]]:
    """The sets of several files with the same value; empty text is no value."""
    known = index[index[column] != ""]
    return {frozenset(files) for files in known.groupby(column)["source"].agg(list) if len(files) > 1}


def _compare(what: str, planted: set, found: set, by: str) -> dict[str, Any]:
    counts = {"planted": len(planted), "found": len(planted & found), "invented": len(found - planted)}
    return {"what": what} | counts | {"by": by}


def _bounds(paths: StudyPaths, shown: pd.DataFrame, truth: pd.DataFrame) -> HTML:
    rungs = {rung.name: rung for rung in RUNGS}
    table = rows_where(shown, phase="transfer")
    table = table[table["rung"].isin(rungs)].reset_index(drop=True)
    if table.empty:
        return html.missing("No ladder: the accuracies cannot be compared with their bound.")
    table["best"] = [best_accuracy(paths, truth, row.scenario, rungs[row.rung]) for row in table.itertuples()]
    share = (truth["class"] != truth["looks_like"]).mean()
    caption = f"Accuracy with transfer learning, and the best on unseen lesions, per cent: {100 * share:.0f} % of the "
    caption += "images look like another class. Only memory of the lesion can exceed it."
    columns, source = ["scenario", "backbone", "rung", "accuracy", "best"], "tables/ladder.csv and data/planted.json"
    return show(table, "allowed", caption, source, columns, blocks=["scenario"])
