"""Which images show what the study is about: leaks, contents in two classes, a lesion, errors?

Every list is a table with COLUMNS, one row per image; SAVED is missing where no fold tested it.
"""

from typing import Any

import numpy as np
import pandas as pd

from lib.explore.model import UNUSED, Model

EVERY_CLASS = ""  # no class has an empty name
EVERY_FOLD = -1
SAVED = ["fold", "predicted_class", "probability", "true_probability"]
COLUMNS = ["source", "view", "image_id", "true_class", *SAVED, "note"]
PARTS = {"train": "training", "val": "validation", "test": "test", UNUSED: "no part"}
RELATIONS = {"source": "same picture", "content": "same content", "lesion_id": "same lesion"}  # column -> its meaning
LISTS = {  # name -> (label, what the list holds)
    "all": ("All images", "Every test image."),
    "leaked": ("Leaked", "Another view or image of the lesion was in training; never under by_lesion and clean."),
    "two_classes": ("Two classes", "The same pixels under two classes, side by side: at most one label is right."),
    "errors": ("Worst errors", "Wrong answers, the lowest probability of the true class first."),
}


def select_images(model: Model, name: str, fold: int) -> pd.DataFrame:
    """A list of LISTS, of the test images of a fold, or of EVERY_FOLD."""
    tested = model.outcomes if fold == EVERY_FOLD else model.outcomes[model.outcomes["fold"] == fold]
    if name == "two_classes":
        return in_two_classes(model)
    if name == "all":
        return _tabulate(tested.sort_values(["true_class", "source", "view"]))
    return leaked(model, tested) if name == "leaked" else worst_errors(tested)


def leaked(model: Model, tested: pd.DataFrame) -> pd.DataFrame:
    """The tested views whose group has training views in their fold: the leak; most views of the picture first."""
    counts = pd.DataFrame(0, tested.index, ["source", "group"])
    for fold, views in tested.groupby("fold"):
        train = model.pool(int(fold)).query("part == 'train'")
        for column in counts:
            counts.loc[views.index, column] = views[column].map(train[column].value_counts()).fillna(0).astype(int)
    notes = [f"in training: {same} of the picture, {all_} of its group" for same, all_ in counts.to_numpy()]
    found = tested.assign(note=notes, count=counts["source"])[counts["group"] > 0]
    return _tabulate(found.sort_values(["count", "true_probability", "source", "view"], ascending=[0, 0, 1, 1]))


def in_two_classes(model: Model) -> pd.DataFrame:
    """The files whose content (all pixels) is also filed under another class; those of one content side by side."""
    files = model.views[(model.views["view"] == 0) & (model.views["content"] != "")]
    classes = files.groupby("content")["folder_class"].transform(lambda names: " and ".join(sorted(set(names))))
    several = files.groupby("content")["folder_class"].transform("nunique") > 1
    files = files.assign(note="content in " + classes)[several].sort_values(["content", "folder_class", "source"])
    true = files["label"].where(files["label"] != "", files["class"])
    true = true.where(true != "", files["folder_class"])  # dropped by `clean`: what it is filed under
    return _tabulate(files.assign(true_class=true).join(model.outcomes.set_index("row")[SAVED], on="row"))


def worst_errors(tested: pd.DataFrame) -> pd.DataFrame:
    """What was classified wrongly, the lowest probability of the true class first."""
    wrong = tested.query("predicted_class != true_class")
    wrong = wrong.assign(note=wrong["true_probability"].map("true class {:.1%}".format))
    return _tabulate(wrong.sort_values(["true_probability", "source", "view"]))


def relatives(model: Model, subject: dict[str, Any]) -> pd.DataFrame:
    """The other views of an image's group, with `relation` and their `part` in the fold of `subject`, UNUSED where the
    scenario does not have the class. Training views come first, then the closest relation. A group joins what shares
    pixels, near-duplicates and lesions, also by way of a third image."""
    kin = model.views[(model.views["group"] == subject["group"]) & (model.views["row"] != subject["row"])]
    parts = model.pool(subject["fold"]).set_index("row")["part"].reindex(kin["row"]).fillna(UNUSED)
    shared = [(kin[column] == subject[column]) & (subject[column] != "") for column in RELATIONS]
    relation = pd.Categorical(
        np.select(shared, list(RELATIONS.values()), "same group"), [*RELATIONS.values(), "same group"]
    )
    kin = kin.assign(relation=relation, part=pd.Categorical(parts, list(PARTS)))
    return kin.sort_values(["part", "relation", "source", "view"], ignore_index=True)


def _tabulate(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(note=table.get("note", "")).reindex(columns=COLUMNS).reset_index(drop=True)
