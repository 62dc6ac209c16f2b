"""What was planted in the synthetic images (planted.json, the truth), and what the study found of it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from lib.audit import contents
from lib.config.paper import scenarios
from lib.config.paths import StudyPaths
from lib.data.folds import select
from lib.report.data import read_parquet, rows_where
from lib.scores.ladder import RUNGS, Rung


def find_flaws(planted: Mapping[str, list[dict]], index: pd.DataFrame, changes: pd.DataFrame | None) -> pd.DataFrame:
    """One row per kind of flaw: what, planted, found, invented (numbers of sets of files, or of files), by.

    `planted` is planted.json, `index` audit/images.parquet, `changes` prepared/label_changes.csv, if there.
    """
    kinds = ("exact_duplicates", "two_classes", "near_duplicates", "lesions")
    sets = {kind: {frozenset(entry["files"]) for entry in planted[kind]} for kind in kinds}
    label = index.set_index("source")["class"]
    alike, once = _sets(index, "content"), index[~index["content"].duplicated()]
    same_label = {files for files in alike if len(set(label[[*files]])) == 1}
    against = set(index.loc[contents.disagrees(index), "source"])
    wrong = {entry["file"] for entry in planted["label_disagreements"]}
    flaws = [
        ("copies under one class", sets["exact_duplicates"], same_label, "equal pixels"),
        ("one picture under two classes", sets["two_classes"], alike - same_label, "equal pixels"),
        ("near-duplicates", sets["near_duplicates"], _sets(once, "near_group"), "perceptual hash, then pixels"),
        ("lesions with several images", sets["lesions"], _sets(index, "lesion_id"), "the metadata"),
        ("labels against the diagnosis", wrong, against, "the metadata"),
    ]
    if changes is not None:
        truth = {entry["file"]: entry["class"] for entry in planted["images"]}
        after = label.to_dict() | dict(zip(changes["source"], changes["class"].fillna("")))
        wrong = {file for file, name in truth.items() if label[file] != name}
        still = {file for file, name in truth.items() if after[file] not in ("", name)}
        by = "clean, which corrects them, or drops them where nothing decides"
        flaws.append(("wrong labels", wrong, wrong ^ still, by))
    rows = [(what, len(own), len(own & found), len(found - own), by) for what, own, found, by in flaws]
    return pd.DataFrame(rows, columns=["what", "planted", "found", "invented", "by"])


def rank_wrong_labels(truth: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """How early the k planted wrong labels come among the n that look wrong: how many are among the first k, how many
    of a random order would be, and the share of pairs of a wrong and a correct label in this order (0.5 at random).

    `truth` has file, class and looks_like of every file; `ranked` is that of lib.audit.labels.label_errors.
    """
    ranked = ranked.sort_values("rank") if len(ranked) else pd.DataFrame(columns=["source", "class"])
    wrong = (ranked["source"].map(truth.set_index("file")["class"]) != ranked["class"]).to_numpy()
    k, n = int(wrong.sum()), len(wrong)
    if k in (0, n):
        return pd.DataFrame()
    row = {"planted": k, "images": n, "among_first": int(wrong[:k].sum()), "at_random": k * k / n}
    return pd.DataFrame([row | {"in_order": roc_auc_score(wrong, -np.arange(n))}])


def compare_with_best(paths: StudyPaths, shown: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The rungs with transfer learning that lib.report.ladder.select_shown gives, and `best`: the best accuracy on
    unseen lesions."""
    views, rungs = read_parquet(paths.views), {rung.name: rung for rung in RUNGS}
    labels = {name: "clean" if rung.labels == "corrected" else rung.protocol for name, rung in rungs.items()}
    table = rows_where(shown, phase="transfer")
    table = table[table["rung"].isin(rungs)].reset_index(drop=True)
    dealt = {name: read_parquet(paths.protocol(name)) for name in {labels[rung] for rung in table["rung"]}}
    rows = [(dealt[labels[row.rung]], row.scenario, rungs[row.rung]) for row in table.itertuples()]
    return table.assign(best=[_best_accuracy(views, truth, *row) for row in rows])


def _best_accuracy(
    views: pd.DataFrame | None, truth: pd.DataFrame, dealt: pd.DataFrame | None, scenario: str, rung: Rung
) -> float:
    """That of an observer who sees which class each image looks like, and answers with the most frequent label among
    the scored images of that look: nothing else in a synthetic image tells its class. NaN where nothing was `dealt`."""
    if views is None or dealt is None:
        return np.nan
    scored = select(views, dealt, scenarios()[scenario])
    scored = scored if rung.scored_on == "views" else scored[scored["view"] == 0]
    looks = scored["source"].map(truth.set_index("file")["looks_like"])
    return float(pd.crosstab(looks, scored["label"]).max(axis=1).sum() / len(scored))


def _sets(index: pd.DataFrame, column: str) -> set[frozenset[str]]:
    """The sets of several files with the same value; empty text is no value."""
    known = index[index[column] != ""]
    return {frozenset(files) for files in known.groupby(column)["source"].agg(list) if len(files) > 1}
