"""The controls by which the model and the image are chosen."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets
import pandas as pd

from lib.explore.html import paragraph, plain
from lib.explore.lists import EVERY_CLASS, EVERY_FOLD, LISTS
from lib.explore.model import Model
from lib.explore.results import AXES

MOST_LISTED = 1000


class Chooser:
    """Controls that act when a user changes them, and not while they are filled."""

    _filling = False

    def watch(self, act: Callable[[], None], *controls: widgets.Widget) -> None:
        for control in controls:
            control.observe(lambda _: None if self._filling else act(), "value")

    @contextmanager
    def filling(self):
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before


class ModelChooser(Chooser):
    """A dropdown per axis of the matrix; each offers what was trained for the values of those before it."""

    def __init__(self, changed: Callable[[], None]):
        self.axes = {axis: labelled(widgets.Dropdown, axis.capitalize()) for axis in AXES}
        self._changed = changed
        self.watch(self._act, *self.axes.values())
        self.view = grid(*self.axes.values())

    def offer(self, models: pd.DataFrame, **prefer: Any) -> None:
        """Offer the models of a study (lib.explore.results.find_models), and choose the preferred values."""
        self.models = models
        with self.filling():
            for axis, control in self.axes.items():
                values = list(dict.fromkeys(models[axis]))
                wanted = prefer.get(axis, control.value)
                fill(control, values, wanted if wanted in values else values[-1 if axis == "protocol" else 0])
                models = models[models[axis] == control.value]

    @property
    def chosen(self) -> dict[str, Any]:
        return {axis: control.value for axis, control in self.axes.items()}

    def _act(self) -> None:
        self.offer(self.models)
        self._changed()


class ImageChooser(Chooser):
    """A list of images of one fold and class; `changed` is called for another list, `moved` for another image."""

    def __init__(self, changed: Callable[[], None], moved: Callable[[], None]):
        labels, tooltips = zip(*LISTS.values())
        options = list(zip(labels, LISTS))
        self.lists = widgets.ToggleButtons(options=options, tooltips=tooltips, style={"button_width": "auto"})
        self.fold = labelled(widgets.Dropdown, "Fold")
        self.label = labelled(widgets.Dropdown, "Class", options=[("every class", EVERY_CLASS)])
        self.image = widgets.Select(description="Image", rows=9, layout=auto())
        self.count = widgets.HTML()
        self.watch(changed, self.lists, self.fold, self.label)
        self.watch(moved, self.image)
        self.view = widgets.VBox([self.lists, grid(self.fold, self.label), self.count, self.image])

    def offer(self, model: Model) -> None:
        """Offer the folds and classes of a model."""
        folds = model.outcomes["fold"].unique().tolist()
        folds = [(f"{fold}, saved" * (fold == model.saved_fold) or str(fold), fold) for fold in folds]
        with self.filling():
            fill(self.fold, [*folds, ("all folds", EVERY_FOLD)])
            fill(self.label, [("every class", EVERY_CLASS), *model.names])

    def show(self, listed: pd.DataFrame, kept: tuple[str, int] | None) -> None:
        """List images, and choose `kept` (source and view); none where it is not among them."""
        self.listed, keys = listed, list(zip(listed["source"], listed["view"]))[:MOST_LISTED]
        cut = f", of which the first {MOST_LISTED:,} are listed" if len(listed) > MOST_LISTED else ""
        self.count.value = paragraph(f"{len(listed):,} images{cut}. {LISTS[self.lists.value][1]}")
        with self.filling():
            self.image.options = list(zip(map(describe, listed.itertuples()), keys))
            self.image.value = kept if kept in keys else None


def describe(image: Any) -> str:
    """A row of a list as a line of text, its columns aligned by spaces."""
    says = "not tested"
    if pd.notna(image.predicted_class):
        right = image.predicted_class == image.true_class
        says = f"{'right' if right else image.predicted_class} {image.probability:.0%}, fold {image.fold:.0f}"
    name = f"{image.image_id} view {image.view}"
    return plain(f"{name:<20} {image.true_class:<27} {says:<39} {image.note}")


def fill(control: widgets.Widget, options: list, value: Any = None) -> None:
    """Give a dropdown options and a value: else the one that it has, else the first."""
    wanted = control.value if value is None else value
    pairs = [option if isinstance(option, tuple) else (plain(option), option) for option in options]
    if list(control.options) != pairs:
        control.options = pairs
    values = [option for _, option in pairs]
    control.value = wanted if wanted in values else values[0]


def labelled(kind: type, text: str, **more: Any) -> widgets.Widget:
    """A control with its description on the left."""
    return kind(description=text, style={"description_width": "7em"}, layout=auto(), **more)


def auto() -> widgets.Layout:
    return widgets.Layout(width="auto", min_width="0")


def grid(*children: widgets.Widget, least: str = "205px") -> widgets.GridBox:
    """Children side by side, as many in a row as fit with a width of `least`."""
    columns = f"repeat(auto-fit, minmax(min({least}, 100%), 1fr))"
    return widgets.GridBox(children, layout=widgets.Layout(grid_template_columns=columns, grid_gap="4px 20px"))
