"""Which images show what the study is about: leaks, contents in two classes, a lesion, errors, suspect labels?

Every list is a table with a row an image: source, view, image_id, true_class, fold, part, predicted_class, probability,
true_probability (the last five missing where nothing was saved) and note.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from lib.audit.labels import label_errors
from lib.config.params import Study
from lib.explore.opened import Opened
from lib.explore.related import RELATIONS

EVERY_CLASS = ""  # no class has an empty name
EVERY_FOLD = -1
OTHER = "other"  # in place of a part: images of the classes that are none of the model's answers
ANSWER = ["fold", "part", "predicted_class", "probability", "true_probability"]
OF_A_PART = ("all", "leaked", "errors")  # the lists of one part, and of one fold or all
COLUMNS = ["source", "view", "image_id", "true_class", *ANSWER, "note"]


def asked(
    opened: Opened,
    wanted: str,
    part: str,
    fold: int,
    anchor: dict[str, Any] | None,
    ranked: Callable[[], tuple[pd.DataFrame, str]],
) -> tuple[pd.DataFrame, str]:
    """The list that is asked for, and a sentence on what it holds.

    Args:
        wanted: all, leaked, two_classes, lesion, errors or suspects.
        part, fold: of the lists that are made of one part; the others take the test answers of all folds.
        anchor: the image whose lesion is asked for (Opened.subject).
        ranked: gives what `rank_labels` does, when it is needed.
    """
    held = "test" if part == OTHER else part
    if wanted == "leaked":
        found = leaked(opened, held, fold)
        told = "The model saw another view, copy or image of the same lesion in training."
        none = f"Nothing leaks here: {opened.chosen['protocol']} keeps all views of a lesion on one side."
        return found, told if len(found) else none
    if wanted == "errors":
        return worst_errors(opened, held, fold), "Wrong answers, the lowest probability of the true class first."
    if wanted == "two_classes":
        return in_two_classes(opened), "The same pixels under two classes, side by side: at most one label is right."
    if wanted == "lesion":
        found = of_lesion(opened, anchor) if anchor else _listed(opened.predictions.iloc[:0])
        return found, "All views of one lesion, in whatever fold." if anchor else "Choose an image of the study first."
    if wanted == "suspects":
        table, reason = ranked()
        told = "Confident learning over all backbones, under by_lesion: what it looks like, likeliest error first."
        return suspect_labels(opened, table), reason or told
    told = "Classes that are none of its answers; each is asked now." if part == OTHER else ""
    return all_images(opened, part, fold), told


def all_images(opened: Opened, part: str, fold: int) -> pd.DataFrame:
    """The views of a part (val, test or OTHER) of a fold, or of EVERY_FOLD, by class and name.

    With OTHER they are the originals of the classes that the model cannot name.
    """
    if part != OTHER:
        return _listed(_of(opened, part, fold)).sort_values(["true_class", "source", "view"], ignore_index=True)
    views = opened.views[(opened.views["view"] == 0) & opened.views["folder_class"].isin(opened.missing)]
    views = views.assign(true_class=views["folder_class"])
    return _listed(views).sort_values(["true_class", "source"], ignore_index=True)


def leaked(opened: Opened, part: str, fold: int) -> pd.DataFrame:
    """The views of a part that have relatives among the training views of their fold: the leak.

    Those with the closest relatives come first, of these the ones that the model is surest and right about.
    """
    held = _of(opened, part, fold)
    found = []
    for number, members in held.groupby("fold"):
        train = opened.pool(int(number))
        train = train[train["part"] == "train"]
        views = opened.views.loc[members["row"]]
        counts = pd.DataFrame(index=members.index)
        for name, column, unknown in RELATIONS:
            values = views[column]
            many = values.map(train[column].value_counts()).fillna(0).where(values != unknown, 0)
            counts[name] = many.to_numpy(int)
        near = counts.gt(0).to_numpy().argmax(axis=1)  # the closest relation that there is
        many = counts.to_numpy()[np.arange(len(counts)), near]
        note = [f"{n} training view{'s' if n > 1 else ''}: {counts.columns[place]}" for n, place in zip(many, near)]
        found.append(members.assign(near=near, note=note)[many > 0])
    if not found:
        return _listed(held.iloc[:0])
    together = pd.concat(found).sort_values(["near", "true_probability", "source", "view"], ascending=[1, 0, 1, 1])
    return _listed(together)


def in_two_classes(opened: Opened) -> pd.DataFrame:
    """The files whose content (all pixels) is also filed under another class; files of one content beside each other.

    Empty where the audit has no index of contents.
    """
    files = opened.views[(opened.views["view"] == 0) & (opened.views["content"] != "")]
    classes = files.groupby("content")["folder_class"].agg(lambda names: sorted(set(names)))
    files = files[files["content"].map(classes).map(len) > 1].sort_values(["content", "folder_class", "source"])
    others = [
        ", ".join(name for name in classes[content] if name != filed)
        for content, filed in zip(files["content"], files["folder_class"])
    ]
    return _answered(opened, files, [f"also {names}" for names in others])


def of_lesion(opened: Opened, subject: dict[str, Any]) -> pd.DataFrame:
    """Every view of the lesion of an image; where its lesion is not known, of its group of duplicates."""
    by = "lesion_id" if subject["lesion_id"] else "group"
    views = opened.views[opened.views[by] == subject[by]].sort_values(["source", "view"])
    lesion = f"lesion {subject['lesion_id']}" if subject["lesion_id"] else "lesion not known, same group"
    return _answered(opened, views, [lesion] * len(views))


def worst_errors(opened: Opened, part: str, fold: int) -> pd.DataFrame:
    """What was classified wrongly, the lowest probability of the true class first."""
    held = _of(opened, part, fold)
    wrong = held[held["predicted_class"] != held["true_class"]]
    note = [f"true class {value:.1%}" for value in wrong["true_probability"]]
    return _listed(wrong.assign(note=note).sort_values(["true_probability", "source", "view"]))


def suspect_labels(opened: Opened, ranked: pd.DataFrame) -> pd.DataFrame:
    """The originals whose label looks wrong to classifiers that did not see them, likeliest first.

    Args:
        ranked: what `rank_labels` gives.
    """
    issues = ranked[ranked["issue"].astype(bool)]
    originals = opened.views[opened.views["view"] == 0].set_index("source", drop=False)
    issues = issues[issues["source"].isin(originals.index)]
    notes = []
    for row in issues.itertuples():
        official = f", official {row.diagnosis}" if row.diagnosis else ""
        notes.append(f"{row.suggested} {row.p_suggested:.0%}{official}")
    return _answered(opened, originals.loc[issues["source"]], notes)


def rank_labels(opened: Opened, models: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """lib.audit.label_errors over the models that a study has: the ranked images, and why there are none ("" if so)."""
    values = {axis: list(dict.fromkeys(models[axis])) for axis in ("backbone", "preprocessing", "seed")}
    study = Study(
        backbones=values["backbone"], preprocessings=values["preprocessing"], seeds=[int(s) for s in values["seed"]]
    )
    found = label_errors(opened.paths, study)
    return found["ranked"], found["reason"]


def of_class(listed: pd.DataFrame, label: str) -> pd.DataFrame:
    """The rows of one true class, or all of EVERY_CLASS."""
    return listed if label == EVERY_CLASS else listed[listed["true_class"] == label].reset_index(drop=True)


def _of(opened: Opened, part: str, fold: int) -> pd.DataFrame:
    told = opened.predictions
    return told[(told["part"] == part) & ((told["fold"] == fold) | (fold == EVERY_FOLD))]


def _answered(opened: Opened, views: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Views in their order with what was saved of them as test images, in whatever fold."""
    tested = opened.predictions[opened.predictions["part"] == "test"].drop_duplicates("row").set_index("row")[ANSWER]
    true = views["label"].where(views["label"] != "", views["class"])
    true = true.where(true != "", views["folder_class"])  # dropped by `clean`: what it is filed under
    return _listed(views.assign(true_class=true, note=notes).join(tested, on="row"))


def _listed(table: pd.DataFrame) -> pd.DataFrame:
    table = table.assign(note=table.get("note", ""))
    return table.reindex(columns=COLUMNS).reset_index(drop=True)
