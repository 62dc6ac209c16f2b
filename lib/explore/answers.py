"""What is said of an image in words: what the model answers, what it cannot answer, and what belongs to the image."""

from typing import Any

import pandas as pd

from lib.config import params
from lib.data.folds import parts_of_fold
from lib.explore.opened import NOWHERE, Opened
from lib.explore.related import RELATIONS
from lib.explore.threshold import has_threshold, malignant_classes

ROLES = {"train": "was trained on this image", "val": "was validated on it", "test": "was tested on it"}
PARTS = {"train": "training", "val": "validation", "test": "test", NOWHERE: "no part"}


def likeliest(probabilities: dict[str, float]) -> str:
    return max(probabilities, key=probabilities.get)


def headline(opened: Opened, subject: dict[str, Any] | None, probabilities: dict[str, float], name: str = "") -> str:
    """What the model says of an image, and whether that is right.

    Args:
        subject: what Opened.subject gives; None for a picture of one's own, called `name`.
    """
    best = likeliest(probabilities)
    said = f"{best} ({probabilities[best]:.0%})"
    who = subject["image_id"] if subject else name
    if opened.missing:
        task = params.scenarios()[opened.chosen["scenario"]].title.lower()
        answer = f"{who}: of {task} the nearest is {said}"
    else:
        answer = f"{who}: the model says {said}"
    if not subject:
        return answer
    if not subject["class"]:
        return f"{answer}; {opened.chosen['protocol']} dropped this image, whose label is in doubt"
    if subject["class"] in opened.missing:
        return f"{answer}; the right answer, {subject['true_class']}, is not among them"
    if not subject["label"]:
        return f"{answer}; it is {subject['true_class']}"
    return f"{answer}, right" if best == subject["label"] else f"{answer}, wrong: it is {subject['label']}"


def cannot_say(opened: Opened, subject: dict[str, Any] | None) -> str:
    """What is not among the model's answers; "" where a study's image needs no such word."""
    missing = opened.missing
    if not missing and subject:
        return ""
    if not missing:
        return "Any other diagnosis, or healthy skin, is not among its answers."
    if subject and not subject["label"] and subject["folder_class"] in missing:
        rest = [name for name in missing if name != subject["folder_class"]]
        also = f", nor {'are' if len(rest) > 1 else 'is'} {_and(rest)}" if rest else ""
        return f"{_capital(subject['folder_class'])} is not among its answers{also}."
    return f"{_capital(_and(missing))} {'are' if len(missing) > 1 else 'is'} not among its answers."


def weights_in_words(opened: Opened) -> str:
    """Says so where the backbone started from random weights; else ""."""
    if not opened.random:
        return ""
    if opened.chosen["phase"] == "finetune":
        return "Random weights at the start: this backbone knows nothing but the images of this study."
    return "Random weights: this backbone was never trained. Its answer says nothing about skin lesions."


def provenance(opened: Opened, subject: dict[str, Any]) -> str:
    """Which file an image is, and where the answer comes from."""
    view = f"augmented view {subject['view']}" if subject["view"] else "the original"
    lesion = f"lesion {subject['lesion_id']}" if subject["lesion_id"] else "lesion not known"
    label = subject["class"]
    moved = f", filed under {subject['folder_class']}" if label and label != subject["folder_class"] else ""
    moved = moved or ("" if label else f", dropped by {opened.chosen['protocol']}")
    official = f", official diagnosis {subject['diagnosis']}" if subject["diagnosis"] else ""
    return f"{subject['source']}{moved}; {view}, {lesion}{official}. {whose_answer(opened, subject)}"


def whose_answer(opened: Opened, subject: dict[str, Any]) -> str:
    """Which fold's model answers, and what the image was to it."""
    fold = subject["fold"]
    if subject["saved"]:
        return f"{PARTS[subject['part']].capitalize()} part of fold {fold}."
    if subject["part"] == NOWHERE:
        return f"No part of this scenario under {opened.chosen['protocol']}: the model of fold {fold} is asked now."
    return f"No answer was saved: the model of fold {fold}, which {ROLES[subject['part']]}, is asked now."


def whose_map(opened: Opened, subject: dict[str, Any] | None) -> str:
    """Says so where the map is not of the model whose probabilities are shown; else ""."""
    if not subject or subject["fold"] == opened.saved_fold:
        return ""
    mine = opened.views[opened.views["row"] == subject["row"]]
    part = parts_of_fold(mine, opened.saved_fold)["part"].iloc[0]
    return (
        f" The map is of the model of fold {opened.saved_fold}, which {ROLES[part]}; the probabilities are of fold "
        f"{subject['fold']}, whose weights are not saved."
    )


def about_relatives(kin: pd.DataFrame, subject: dict[str, Any]) -> str:
    """How many views belong to an image, by relation, in the training part of its fold and elsewhere.

    Args:
        kin: what lib.explore.related.relatives gives.
    """
    if kin.empty:
        return "No other view of this picture, content, lesion or group is in the data set."
    train = kin[kin["part"] == "train"]
    seen = _counted(train)
    start = f"In training of fold {subject['fold']}: {seen}" if seen else f"None in training of fold {subject['fold']}"
    rest = _counted(kin[kin["part"] != "train"])
    elsewhere = f" Elsewhere: {rest}." if rest else ""
    filed = sorted(set(kin["folder_class"]) - {subject["folder_class"]})
    other = f" Some are filed under {_and(filed)}." if filed else ""
    return f"{start}.{elsewhere}{other}"


def about_neighbours(neighbours: pd.DataFrame, subject: dict[str, Any] | None) -> str:
    """One sentence on the nearest images of an image of the study, or of a picture of one's own (None)."""
    n = len(neighbours)
    if not subject:
        return f"The {n} nearest. Whether one shows the lesion of your picture is not known."
    related = neighbours["relation"] != ""
    linked, trained = int(related.sum()), int((related & (neighbours["part"] == "train")).sum())
    alike = int((neighbours["label"] == subject["true_class"]).sum())
    return (
        f"Same picture, lesion or group of duplicates, as far as lesions are known: {linked} of the {n} nearest; "
        f"{trained} of these the model of fold {subject['fold']} was trained on. "
        f"Same class: {alike} of {n}."
    )


def about_threshold(
    opened: Opened, counts: pd.DataFrame | None, threshold: float, malignant: float | None, where: str
) -> str:
    """What a threshold of malignant does on the test images, and to the image in hand.

    Args:
        counts: what lib.explore.threshold.at_threshold gives.
        malignant: the summed probability of malignant classes of the image; None where there is none.
        where: the fold, or the folds, whose test images were counted.
    """
    if not has_threshold(opened.chosen["scenario"]):
        kind = "malignant" if malignant_classes(opened.chosen["scenario"])[0] else "benign"
        return f"There is no threshold here: all answers of this model are {kind}."
    lines = []
    for name, row in counts.iterrows():
        lines.append(
            f"{name}: sensitivity {_share(row['found'], row['malignant'])}, "
            f"specificity {_share(row['spared'], row['benign'])}"
        )
    here = ""
    if malignant is not None:
        verb = "is" if malignant >= threshold else "is not"
        here = f" This image has {malignant:.0%} and {verb} called malignant."
    return f"From {threshold:.0%} on, in the test set of {where}: {'; '.join(lines)}.{here}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%} ({int(part)} of {int(whole)})" if whole else "not known (none to count)"


def _counted(kin: pd.DataFrame) -> str:
    counts = kin["relation"].value_counts()
    return ", ".join(f"{counts[name]} x {name}" for name, _, _ in RELATIONS if name in counts)


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
