"""The four protocols: which view, under which label, is tested in which fold.

A protocol is a table over the rows of the pool (lib.data.pool). Protocols differ in no pixel and in no model:
`by_view` deals views to tenths at random: augment first, split afterwards. `by_file` deals files, each with its views:
split first, augment afterwards. The printed test sets fit both. `by_lesion` deals whole groups. `clean` is `by_lesion`
with corrected labels.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from lib.config.paper import Scenario
from lib.data.folds import FOLDS, UNUSED
from lib.data.metadata import DIAGNOSIS_CLASSES
from lib.data.pool import POOLS, pool_class, random_for

STREAM = "published"  # seeds the tenths of views; another word would deal other tenths


def deal(index: pd.DataFrame, views: pd.DataFrame, protocol: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A protocol as a table over the rows of the pool.

    Args:
        index: one row per file (audit/images.parquet); `views` is what lib.data.pool.pool_views makes of it.
        protocol: by_view, by_file, by_lesion or clean.

    Returns:
        The table, one row per view: row (its place in images.npy), class, group, tenth_nine_classes and
        tenth_two_classes (0 to 9; UNUSED where the view is not in that pool, or was dropped). And the files that were
        relabelled or dropped: source, image_id, folder_class, class ("" where dropped), reason; empty but for `clean`.
    """
    table = pd.DataFrame({"row": np.arange(len(views)), "class": views["class"], "group": views["group"]})
    changes = pd.DataFrame(columns=["source", "image_id", "folder_class", "class", "reason"])
    if protocol == "by_view":
        for pool in POOLS:
            table[f"tenth_{pool}"] = _deal_views(views, pool, seed)
        return table, changes
    tenth = views["source"].map((_deal_files if protocol == "by_file" else _deal_groups)(index, seed))
    if protocol == "clean":
        labels, changes = corrected_labels(index)
        table["class"] = views["source"].map(labels)
        tenth = tenth.where(table["class"] != "", UNUSED)
    for pool in POOLS:
        table[f"tenth_{pool}"] = tenth.where(views[f"in_{pool}"], UNUSED).astype(np.int64)
    return table, changes


def corrected_labels(index: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """The label of each file under `clean`.

    Identical and near-identical pictures have one label. Where their files lie in two classes, or the official
    diagnosis contradicts the class, the diagnosis decides; where there is none, or it fits two of the classes, the
    files are dropped. BKL covers pigmented benign and seborrheic keratosis: it corrects neither into the other, and
    a file of a third class with that diagnosis is dropped.

    Returns:
        source -> class ("" where dropped), and the files that were changed or dropped, with the reason.
    """
    labels = dict(zip(index["source"], index["class"]))
    reasons: dict[str, str] = {}
    for _, files in index.groupby("near_group"):
        claimed, codes = set(files["class"]), set(files["diagnosis"]) - {""}
        official = set.intersection(*(set(DIAGNOSIS_CLASSES[code]) for code in codes)) if codes else claimed
        possible = claimed & official or official
        label = next(iter(possible)) if len(possible) == 1 else ""
        reason = f"official diagnosis {'/'.join(sorted(codes))}"
        if not label:
            decides = f"diagnosis {'/'.join(sorted(codes))} does not decide" if codes else "no diagnosis decides"
            reason = f"{decides} between {' and '.join(sorted(claimed | official))}"
        for source in files["source"]:
            if labels[source] != label:
                labels[source], reasons[source] = label, reason
    reason_of = [reasons.get(source, "") for source in index["source"]]
    changes = index.assign(folder_class=index["class"], reason=reason_of, **{"class": index["source"].map(labels)})
    changes = changes.loc[changes["reason"] != "", ["source", "image_id", "folder_class", "class", "reason"]]
    return pd.Series(labels), changes.sort_values("source", ignore_index=True)


def not_evaluable(chosen: Mapping[str, pd.DataFrame], scenarios: Mapping[str, Scenario], least: int) -> pd.DataFrame:
    """The classes of each scenario with fewer than `least` original images over all folds, which are not scored.

    `chosen` is what `select` gives per scenario. Columns scenario, class, originals, and the reason for the report.
    """
    rows = []
    for name, scenario in scenarios.items():
        originals = chosen[name].loc[chosen[name]["view"] == 0, "label"].value_counts()
        few = originals.reindex(scenario.names, fill_value=0).loc[lambda counts: counts < least]
        reason = f"{{}} original images over all folds, at least {least} are needed"
        rows += [(name, label, count, reason.format(count)) for label, count in few.items()]
    return pd.DataFrame(rows, columns=["scenario", "class", "originals", "reason"])


def share_in_training(chosen: pd.DataFrame, by: str) -> float:
    """The share of test views, over all folds, that have another view of the same `by`, source or group, in training;
    `chosen` is what `select` gives."""
    counts = pd.crosstab(chosen[by], chosen["tenth"]).reindex(columns=range(FOLDS), fill_value=0)
    own = chosen["tenth"].to_numpy()
    of_view = counts.loc[chosen[by]].to_numpy()
    places = np.arange(len(chosen))
    # the training part is all but the test tenth and the validation tenth
    in_training = of_view.sum(axis=1) - of_view[places, own] - of_view[places, (own + 1) % FOLDS]
    return float((in_training > 0).mean()) if len(chosen) else float("nan")


def files_in_training(chosen: pd.DataFrame) -> float:
    """How many different files a fold trains on, the mean over the folds; `chosen` is what `select` gives."""
    counts = pd.crosstab(chosen["source"], chosen["tenth"]).reindex(columns=range(FOLDS), fill_value=0).to_numpy()
    held_out = counts + np.roll(counts, -1, axis=1)  # the test tenth and the next one
    return float((counts.sum(axis=1, keepdims=True) > held_out).sum(axis=0).mean())


def _deal_views(views: pd.DataFrame, pool: str, seed: int) -> pd.Series:
    """A random tenth for each view of a pool, within each class of that pool, tenths of equal size."""
    tenth = pd.Series(UNUSED, index=views.index)
    for label, members in views[views[f"in_{pool}"]].groupby(pool_class(views["class"], pool)):
        random = random_for(seed, STREAM, pool, label)
        tenth[members.index] = random.permutation((np.arange(len(members)) + random.integers(FOLDS)) % FOLDS)
    return tenth


def _deal_files(index: pd.DataFrame, seed: int) -> pd.Series:
    """source -> tenth: a random tenth for each file within its class, whatever pictures are alike."""
    files = index.sort_values("source").set_index("source")["class"]
    tenth = pd.Series(UNUSED, index=files.index)
    for label, members in files.groupby(files):
        random = random_for(seed, "files", label)
        tenth[members.index] = random.permutation((np.arange(len(members)) + random.integers(FOLDS)) % FOLDS)
    return tenth


def _deal_groups(index: pd.DataFrame, seed: int) -> pd.Series:
    """source -> tenth: groups stay whole, and each class is spread over the tenths as evenly as its groups allow."""
    if index["group"].nunique() < FOLDS or index["class"].value_counts().max() < FOLDS:
        raise ValueError(
            f"{len(index)} files in {index['group'].nunique()} groups: ten folds need at least {FOLDS} groups and a "
            f"class of at least {FOLDS} files; add images"
        )
    files = index.sort_values("source", ignore_index=True)
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=int(random_for(seed, "groups").integers(2**31)))
    tenth = pd.Series(0, index=files["source"])
    with warnings.catch_warnings():  # `not_evaluable` reports classes of fewer files than tenths
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, test) in enumerate(dealer.split(files, files["class"], files["group"])):
            tenth.iloc[test] = number
    return tenth
