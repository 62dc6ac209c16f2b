"""Which widgets are there, and where does each stand on the page?"""

from collections.abc import Callable
from contextlib import contextmanager

import ipywidgets as widgets

from lib.explore.html import STYLE, columns, paragraph
from lib.explore.lists import EVERY_CLASS, OTHER
from lib.explore.panels import list_header
from lib.explore.related import METRICS
from lib.explore.results import AXES

NOTICE = (
    "Research software for examining a paper. It is no medical device: base no decision about a lesion on what it "
    "shows, and see a doctor."
)
SYNTHETIC = "Synthetic study: its images are drawn, not photographs, and its numbers say nothing about skin lesions."
LIKELIEST = ""  # the class to explain: the one the model names
LISTS = {  # label -> (name, tooltip)
    "All images": ("all", "Every image of the part and fold below"),
    "Leaked": ("leaked", "Test images of which the model saw another view, copy or image of the lesion in training"),
    "Two classes": ("two_classes", "Pictures that are filed, pixel by pixel the same, under two classes"),
    "This lesion": ("lesion", "All pictures of the lesion that is shown now"),
    "Worst errors": ("errors", "Wrong answers, the lowest probability of the true class first"),
    "Suspect labels": ("suspects", "Labels that look wrong to classifiers that did not see the image"),
}
PARTS = [("test", "test"), ("validation", "val"), ("of classes it cannot name", OTHER)]
STARTS = {
    "k-means++, best of 3": ("k-means++", 3),
    "random, best of 3": ("random", 3),
    "random, one try": ("random", 1),
}
NAME = "5.5em"  # of labels of a model
SHORT = "5em"  # of labels beneath a picture


class Quiet:
    """Observes widgets, and fills them without acting on it."""

    def __init__(self):
        self._filling = False

    def on(self, widget: widgets.Widget, act: Callable[[], None]) -> None:
        """Call `act` when a user changes the widget's value."""
        widget.observe(lambda change: None if self._filling else act(), names="value")

    @contextmanager
    def filling(self):
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    def fill(self, widget: widgets.Widget, options: list, value) -> None:
        """Give a widget options and a value without acting on either; an unknown value gives the first option."""
        values = [option[1] if isinstance(option, tuple) else option for option in options]
        with self.filling():
            if list(widget.options) != options:
                if isinstance(widget, widgets.SelectionSlider) and widget.index and widget.index >= len(options):
                    widget.index = 0  # it is checked against the new options while they are set
                widget.options = options
            widget.value = value if value in values else next(iter(values), None)


class Controls:
    """Every widget of the explorer by name; `view` is the whole."""

    def __init__(self):
        self.message, self.loading, self.banner, self.title, self.count = (widgets.HTML() for _ in range(5))
        self.shown, self.bars, self.kin, self.near, self.about_threshold = (widgets.HTML() for _ in range(5))
        self.overlaid, self.overlaid_second, self.gap, self.segments = (widgets.HTML() for _ in range(4))
        self.saved_figure, self.saved_table = widgets.HTML(), widgets.HTML()
        self.clock = widgets.Label()
        self.study = choice("Study", label_width=NAME)
        self.axes, self.axes_second = (
            {axis: choice(axis.capitalize(), label_width=NAME) for axis in AXES} for _ in range(2)
        )
        self.beside = widgets.Checkbox(
            description="Beside it, another model on the same image", indent=False, layout=auto()
        )
        self._build_list()
        self._build_answers()
        second = grid(list(self.axes_second.values()), "205px")
        self.second = widgets.VBox([widgets.HTML("<h3>The second model</h3>"), second])
        self.body = widgets.VBox(
            [
                grid([self.study, *self.axes.values()], "205px"),
                self.beside,
                self.second,
                self.images,
                self.title,
                self.panels,
                self.clock,
            ]
        )
        head = widgets.HTML(STYLE + paragraph(NOTICE, "notice"))
        self.view = widgets.VBox([head, self.banner, self.message, self.loading, self.body])
        self.view.add_class("explore")

    def _build_list(self) -> None:
        self.lists = widgets.ToggleButtons(
            options=[(label, name) for label, (name, _) in LISTS.items()],
            tooltips=[tooltip for _, tooltip in LISTS.values()],
            style={"button_width": "auto"},
            layout=auto(),
        )
        self.part = choice("Images", PARTS, "test", NAME)
        self.fold = widgets.SelectionSlider(
            description="Fold",
            options=[("0", 0)],
            style={"description_width": NAME},
            layout=auto(),
            continuous_update=False,
        )
        self.fold.add_class("fold")
        self.label = choice("Class", [("every class", EVERY_CLASS)], label_width=NAME)
        self.chooser = widgets.Select(description="Image", rows=8, layout=auto())  # named for those who cannot see it
        self.before, self.next = button("Previous", "arrow-up"), button("Next", "arrow-down")
        self.upload = widgets.FileUpload(description="Your own picture", accept="image/*", layout=auto())
        self.back = button("Back to the study's image", "undo")
        self.csv = button("Table as CSV", "table")
        self.images = widgets.VBox(
            [
                self.lists,
                grid([self.part, self.fold, self.label], "260px"),
                self.count,
                widgets.HTML(columns(list_header())),
                self.chooser,
                row([self.before, self.next, self.upload, self.back, self.csv, self.saved_table]),
            ]
        )
        self.images.add_class("images")

    def _build_answers(self) -> None:
        self.explained = choice("Explain", [("the class it names", LIKELIEST)], label_width=SHORT)
        self.opacity = slider(widgets.FloatSlider, "Opacity", 0.6, 0, 1, step=0.05, readout_format=".0%")
        self.k = slider(widgets.IntSlider, "k", 3, 2, 8)
        self.start = slider(widgets.IntSlider, "Start", 0, 0, 20)
        self.init = choice("Centroids", list(STARTS.items()), label_width=SHORT)
        self.kind = choice(
            "Features", [("colour", "colour"), ("colour and texture", "colour_texture")], label_width=SHORT
        )
        self.painted = choice("Show", ["segments", "outline"], label_width=SHORT)
        self.threshold = slider(widgets.FloatSlider, "Threshold", 0.5, 0, 1, step=0.01, readout_format=".0%")
        self.threshold.layout.max_width = "560px"
        self.metric = choice("Distance", METRICS)
        self.among = choice("Among", [("the fold's training images", "train"), ("all images", "all")])
        self.png, self.svg = button("Figure as PNG", "image"), button("Figure as SVG", "image")
        self.map_second, self.map_gap = panel("Grad-CAM, second model", self.overlaid_second), panel("", self.gap)
        self.map_gap.children[0].value = "<h3>Difference of the maps</h3>"
        pictures = [
            panel("Grad-CAM", self.overlaid, self.explained, self.opacity),
            self.map_second,
            self.map_gap,
            panel("k-means", self.segments, self.k, self.start, self.init, self.kind, self.painted),
        ]
        image, kin = panel("Image", self.shown), panel("The same picture, content or lesion elsewhere", self.kin)
        image.layout.flex, kin.layout.flex = "1 1 200px", "3 1 420px"
        self.panels = widgets.VBox(
            [
                row([image, kin]),
                panel("Probabilities", self.bars),
                grid(pictures, "190px"),
                panel("Called malignant", self.about_threshold, self.threshold),
                panel(
                    "Nearest images as the pretrained network sees them",
                    grid([self.metric, self.among], "240px", max_width="560px"),
                    self.near,
                ),
                panel("Take it with you", row([self.png, self.svg, self.saved_figure])),
            ]
        )


def auto() -> widgets.Layout:
    return widgets.Layout(width="auto", min_width="0")


def button(text: str, icon: str) -> widgets.Button:
    return widgets.Button(description=text, icon=icon, layout=auto())


def choice(text: str, options=(), value=None, label_width: str = "6.5em") -> widgets.Dropdown:
    """A list to choose from, with its label."""
    box = widgets.Dropdown(description=text, options=options, style={"description_width": label_width}, layout=auto())
    box.value = value if value is not None else box.value
    return box


def slider(kind: type, text: str, value: float, low: float, high: float, **more) -> widgets.Widget:
    """A slider that answers while it is pulled."""
    style = {"description_width": SHORT}
    return kind(description=text, value=value, min=low, max=high, style=style, layout=auto(), **more)


def grid(children: list, least: str, **layout) -> widgets.GridBox:
    """Children side by side, as many in a row as fit with a width of `least`."""
    wanted = f"repeat(auto-fit, minmax({least}, 1fr))"
    return widgets.GridBox(children, layout=widgets.Layout(grid_template_columns=wanted, grid_gap="4px 20px", **layout))


def row(children: list) -> widgets.Box:
    """Children side by side at their own width, on more lines where they do not fit."""
    layout = widgets.Layout(flex_flow="row wrap", grid_gap="4px 20px", align_items="flex-start")
    return widgets.Box(children, layout=layout)


def panel(title: str, *children: widgets.Widget) -> widgets.VBox:
    """Children under a heading of ours."""
    return widgets.VBox([widgets.HTML(f"<h3>{title}</h3>"), *children])


def shown(widget: widgets.Widget, visible: bool) -> None:
    widget.layout.display = None if visible else "none"
