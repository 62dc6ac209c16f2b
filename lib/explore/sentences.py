"""What the explorer says of an image: the model's answer and its limits, and which file and model they are of."""

from lib.explore.model import UNUSED, Answer

ROLES = {"train": "trained on this image", "val": "validated on it", "test": "tested on it", UNUSED: "never given it"}


def headline(answer: Answer, name: str) -> str:
    """The model's answer to the image `name`, and whether it is right."""
    model, subject, best = answer.model, answer.subject, answer.best
    if not best:
        return f"{name}: no answer without the model"
    says = f"of {model.scenario.title.lower()} the nearest is" if model.missing else "the model says"
    text = f"{name}: {says} {best} ({answer.probabilities[best]:.0%})"
    if not subject:
        return text
    if not subject["class"]:
        return f"{text}; {model.axes['protocol']} dropped this image, whose label is in doubt"
    if not (true := model.scenario.label_of().get(subject["class"])):
        return f"{text}; the true class, {subject['true_class']}, is not among them"
    return f"{text}, right" if best == true else f"{text}, wrong: it is {true}"


def list_limits(answer: Answer) -> str:
    """Which diagnoses the model cannot give, and whether its weights are random; "" where neither needs to be said."""
    model, texts = answer.model, []
    if model.missing:
        texts.append(f"Not among its answers: {', '.join(model.missing)}.")
    elif not answer.subject:
        texts.append("Not among its answers: any other diagnosis, and healthy skin.")
    if model.random:
        texts.append("The backbone started from random weights: the answer says nothing about lesions.")
    return " ".join(texts) if answer.best else ""


def describe_image(answer: Answer) -> str:
    """Which file an image is, and how it is labelled."""
    subject, protocol = answer.subject, answer.model.axes["protocol"]
    if not subject:
        return "Your own picture. It stays in this notebook's memory."
    view = f"augmented view {subject['view']}" if subject["view"] else "original"
    text = f"{subject['source']}: {view}, lesion {subject['lesion_id'] or 'not known'}"
    if subject["class"] != subject["folder_class"]:
        text += f", corrected to {subject['class']}" if subject["class"] else f", dropped by {protocol}"
    return f"{text}, official diagnosis {subject['diagnosis']}." if subject["diagnosis"] else f"{text}."


def describe_model(answer: Answer) -> str:
    """Which fold's model answers, which one made the map, and which part the image had in each."""
    subject, saved = answer.subject, answer.model.saved_fold
    if not subject:
        return ""
    of_saved = f"the model of fold {saved}, {ROLES[subject['saved_part']]}"
    if not subject["saved"]:
        return f"No fold tested this image: {of_saved}, answers."
    text = f"The model of fold {subject['fold']} answers, tested on this image."
    return text if subject["fold"] == saved else f"{text} Its weights are not saved: the map is of {of_saved}."
