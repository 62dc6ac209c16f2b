"""What is shown of an image, one panel each: the image, its relatives, probabilities, segments, maps, a threshold."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import ipywidgets as widgets
import numpy as np
import pandas as pd

from lib.config.paper import MALIGNANT
from lib.explain import gradcam, kmeans
from lib.explore.controls import dropdown, fill, slider
from lib.explore.html import bars, figure, gallery, paragraph
from lib.explore.lists import PARTS, relatives
from lib.explore.model import Answer, Model

MOST_RELATIVES = 12
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)  # RGB, Okabe-Ito


@dataclass(frozen=True, eq=False)
class Scene:
    """An image, and what one model or two make of it.

    Attributes:
        image: uint8 [s, s, 3], as the network sees it.
        answers: of the first model, and of the second where there is one.
        synthetic: whether the image is one of the demo's.
    """

    image: np.ndarray
    answers: list[Answer]
    synthetic: bool

    @property
    def probabilities(self) -> pd.DataFrame:
        """One row per class, one column per model; NaN where a model does not have the class."""
        table = pd.concat([pd.Series(answer.probabilities, dtype=float) for answer in self.answers], axis=1)
        titles = [answer.model.title for answer in self.answers]
        return table.set_axis(titles if len(set(titles)) == len(titles) else [titles[0], "the same model"], axis=1)

    def figure(self, pixels: np.ndarray, what: str, caption: str) -> str:
        """A picture made from the image; its alternative text says where that is synthetic."""
        return figure(pixels, f"{what}, synthetic" if self.synthetic else what, caption)


class Panel:
    """A heading, controls, and HTML that follows them.

    Attributes:
        view: the widget to show.
        body: the HTML of the scene that is shown.
    """

    heading = ""

    def __init__(self, *controls: widgets.Widget):
        self.scene: Scene | None = None
        self.body = widgets.HTML()
        self.view = widgets.VBox([widgets.HTML(f"<h3>{self.heading}</h3>"), *controls, self.body])
        for control in controls:
            control.observe(self.draw, "value")

    def show(self, scene: Scene) -> None:
        self.scene = scene
        self.draw()

    def draw(self, _=None) -> None:
        if self.scene:
            self.body.value = self.make(self.scene)

    def make(self, scene: Scene) -> str:
        """The HTML of a scene."""
        raise NotImplementedError


class RelativesPanel(Panel):
    """The other views of the image's picture, content, lesion or group, those in training first.

    Attributes:
        kin: what lib.explore.lists.relatives gives; None for a picture of one's own.
    """

    heading = "The same picture, content or lesion elsewhere"

    def make(self, scene: Scene) -> str:
        model, subject = scene.answers[0].model, scene.answers[0].subject
        self.kin = relatives(model, subject) if subject else None
        if self.kin is None:
            return paragraph("Not known of your own picture.")
        if self.kin.empty:
            return paragraph("No other view of this picture, content, lesion or group is in the data set.")
        counts = self.kin[["part", "relation"]].astype(str).value_counts(sort=False)
        text = ", ".join(f"{count} {relation} ({PARTS[part]})" for (part, relation), count in counts.items())
        figures = []
        for view in self.kin.head(MOST_RELATIVES).to_dict("records"):
            caption = f"{view['image_id']} view {view['view']}, {PARTS[view['part']]}"
            caption += f", filed under {view['folder_class']}" * (view["folder_class"] != subject["folder_class"])
            kind = "train" if view["part"] == "train" else ""
            alternative = f"{caption}, synthetic" if scene.synthetic else caption
            figures.append(figure(model.images[view["row"]], alternative, caption, view["relation"], kind))
        first = f", of which {MOST_RELATIVES} are shown" * (len(self.kin) > MOST_RELATIVES)
        return paragraph(f"{len(self.kin)} views{first}: {text}.") + gallery(figures, "small")


class ProbabilitiesPanel(Panel):
    heading = "Probabilities"

    def make(self, scene: Scene) -> str:
        subject = scene.answers[0].subject
        return bars(scene.probabilities, subject["true_class"] if subject else None)


class SegmentsPanel(Panel):
    """The image cut by k-means; `segmentation` holds the result."""

    heading = "k-means"

    def __init__(self):
        self.k = slider(widgets.IntSlider, "k", 3, 2, 8)
        self.start = slider(widgets.IntSlider, "Start", 0, 0, 20)
        self.features = dropdown("Features", [("colour", "colour"), ("colour and texture", "colour_texture")])
        super().__init__(self.k, self.start, self.features)

    def make(self, scene: Scene) -> str:
        result = kmeans.segment(scene.image, self.k.value, self.features.value, seed=self.start.value)
        areas = pd.Series(result.areas).groupby(list(result.names)).sum().sort_values(ascending=False)
        shares = ", ".join(f"{name} {area:.0%}" for name, area in areas.items())
        error = f"Equation 9: J = {result.inertia / result.labels.size:,.0f} per pixel."
        border = scene.figure(kmeans.outline(scene.image, result.mask), "border", "Border of what is named abnormal.")
        self.segmentation = result
        return gallery([scene.figure(kmeans.paint(result), "the segments", f"{shares}. {error}"), border])


class MapsPanel(Panel):
    """The Grad-CAM map of each model, and their difference; `heats` holds the maps of the class `explained`."""

    heading = "The image, and Grad-CAM"

    def __init__(self, segments: SegmentsPanel):
        self.explain, self.opacity = dropdown("Explain"), slider(widgets.FloatSlider, "Opacity", 0.6, 0, 1, step=0.05)
        self.segments, self.heats = segments, []
        self._heat = lru_cache(8)(lambda scene, place, label: scene.answers[place].model.heat(scene.image, label))
        super().__init__(self.explain, self.opacity)
        for control in (segments.k, segments.start, segments.features):
            control.observe(self.draw, "value")  # captions name the share of a map within the abnormal segment

    def show(self, scene: Scene) -> None:
        self.scene = None  # nothing is drawn while the classes are filled in
        fill(self.explain, [("the class it names", ""), *scene.answers[0].model.names])
        super().show(scene)

    def make(self, scene: Scene) -> str:
        side, kind = scene.image.shape[0], " Synthetic." if scene.synthetic else ""
        figures = [scene.figure(scene.image, "the image", f"As the network sees it, {side} x {side} px.{kind}")]
        wanted = self.explain.value or scene.answers[0].best
        labels = [wanted if wanted in answer.model.names else answer.best for answer in scene.answers]
        self.heats = [self._heat(scene, place, label) for place, label in enumerate(labels)]
        for answer, label, heat in zip(scene.answers, labels, self.heats):
            if heat is not None:
                caption = f"For {label}. {self._describe(heat)}"
                picture = gradcam.overlay(scene.image, heat, self.opacity.value)
                figures.append(scene.figure(picture, f"Grad-CAM map of {answer.model.title}", caption))
        if len(figures) == 3 and labels[0] == labels[1]:
            change = float(np.abs(self.heats[0] - self.heats[1]).mean())
            caption = f"Orange: more in the first map; blue: more in the second. Mean difference {change:.2f}."
            figures.append(scene.figure(draw_difference(scene.image, *self.heats), "difference of the maps", caption))
        return gallery(figures)

    def _describe(self, heat: np.ndarray) -> str:
        if not heat.any():
            return "Nothing in the image speaks for this class: the map is zero."
        lesion = self.segments.segmentation.mask
        share = gradcam.share_in_lesion(heat, lesion)
        return f"{share:.0%} of the map lies in the abnormal segment, which covers {lesion.mean():.0%} of the image."


class ThresholdPanel(Panel):
    """What a threshold of malignant does on the test images, and to the image that is shown."""

    heading = "Called malignant"

    def __init__(self):
        self.threshold = slider(widgets.FloatSlider, "Threshold", 0.5, 0, 1, step=0.01)
        super().__init__(self.threshold)

    def make(self, scene: Scene) -> str:
        model, probabilities = scene.answers[0].model, scene.answers[0].probabilities
        malignant = [name for name, members in model.scenario.classes.items() if set(members) <= set(MALIGNANT)]
        if not 0 < len(malignant) < len(model.names):
            kind = "malignant" if malignant else "benign"
            return paragraph(f"There is no threshold here: all answers of this model are {kind}.")
        self.counts = count_at_threshold(model, malignant, self.threshold.value)
        counts = self.counts.style.format({"share": "{:.1%}"}).set_table_attributes("class='bars'").to_html()
        if not probabilities:
            return counts
        here = sum(probabilities[name] for name in malignant)
        verb = "is" if here >= self.threshold.value else "is not"
        return paragraph(f"This image has {here:.0%} and {verb} called malignant.") + counts


def count_at_threshold(model: Model, malignant: list[str], threshold: float) -> pd.DataFrame:
    """Sensitivity and specificity of a threshold on the test images of all folds, by the protocol's labels.

    Args:
        malignant: the malignant classes. An image is called malignant where their probabilities sum to at least the
            threshold.

    Returns:
        Rows by views (`all views`, `originals`) and score; columns share, right and images: of the images that are
        malignant (sensitivity) or benign (specificity), those that are called so.
    """
    tested = model.outcomes
    true = tested["true_class"].isin(malignant)
    right = (tested[malignant].to_numpy(np.float64).sum(axis=1) >= threshold) == true
    score = true.map({True: "sensitivity", False: "specificity"}).rename(None)
    tables = {"all views": right, "originals": right[tested["view"] == 0]}
    return pd.concat(
        {name: rows.groupby(score).agg(["mean", "sum", "size"]) for name, rows in tables.items()}
    ).set_axis(["share", "right", "images"], axis=1)


def draw_difference(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The image in grey, orange where the first map [s, s] (0 to 1) is larger, blue where the second is: uint8."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    change = (first - second)[..., None]
    colour = np.where(change > 0, np.float32(ORANGE), np.float32(BLUE))
    opacity = np.minimum(np.abs(change), 1) * 0.85
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)
