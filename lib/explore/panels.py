"""What is shown of an image, one panel each: its Grad-CAM maps, relatives, k-means segments, probabilities."""

from dataclasses import dataclass
from functools import lru_cache

import ipywidgets as widgets
import numpy as np
import pandas as pd

from lib.explain import gradcam, kmeans
from lib.explore.controls import fill, labelled
from lib.explore.html import bars, figure, gallery, paragraph
from lib.explore.lists import PARTS, relatives
from lib.explore.model import Answer, start_tensorflow

MOST_RELATIVES = 12


@dataclass(frozen=True, eq=False)
class Scene:
    """An image, uint8 [s, s, 3] as the network sees it, and the answers of one model or two to it."""

    image: np.ndarray
    answers: list[Answer]
    synthetic: bool

    @property
    def probabilities(self) -> pd.DataFrame:
        """One row per class, one column per model; NaN where a model does not have the class."""
        table = pd.concat([pd.Series(answer.probabilities, dtype=float) for answer in self.answers], axis=1)
        titles = [answer.model.title for answer in self.answers]
        return table.set_axis(titles if len(set(titles)) == len(titles) else [titles[0], "the same model"], axis=1)

    def figure(self, pixels: np.ndarray, alternative: str, caption: str, *badge: str) -> str:
        """A figure of the study; its alternative text says so where that is synthetic."""
        return figure(pixels, f"{alternative}, synthetic" if self.synthetic else alternative, caption, *badge)


class Panel:
    """A heading, controls, and the HTML that `make` gives of the scene; `view` is the whole."""

    heading, of_model = "", True  # whether it has nothing to show without a model

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
        if scene := self.scene:
            made = self.make(scene) if scene.answers or not self.of_model else paragraph("Not known without a model.")
            if scene is self.scene:  # another thread may have chosen another one
                self.body.value = made


class RelativesPanel(Panel):
    """The other views of the image's picture, content, lesion or group (`kin`), those in training first."""

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
            badge = view["relation"], "train" if view["part"] == "train" else ""
            figures.append(scene.figure(model.images[view["row"]], caption, caption, *badge))
        first = f", of which {MOST_RELATIVES} are shown" * (len(self.kin) > MOST_RELATIVES)
        return paragraph(f"{len(self.kin)} views{first}: {text}.") + gallery(figures, "small")


class ProbabilitiesPanel(Panel):
    heading = "Probabilities"

    def make(self, scene: Scene) -> str:
        subject = scene.answers[0].subject
        return bars(scene.probabilities, subject["true_class"] if subject else None)


class SegmentsPanel(Panel):
    """The image cut by k-means; `segmentation` holds the result."""

    heading, of_model = "k-means", False

    def __init__(self):
        self.k = labelled(widgets.IntSlider, "k", value=3, min=2, max=8)
        self.start = labelled(widgets.IntSlider, "Start", min=0, max=20)
        self.features = labelled(widgets.Dropdown, "Features", options=kmeans.FEATURES)
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
    """The Grad-CAM map of each model; `heats` holds the maps."""

    heading, of_model = "The image, and Grad-CAM", False

    def __init__(self, segments: SegmentsPanel):
        self.explain = labelled(widgets.Dropdown, "Explain")
        self.opacity = labelled(widgets.FloatSlider, "Opacity", value=0.6, min=0, max=1, step=0.05)
        self.segments, self.heats = segments, []
        self._heat = lru_cache(8)(lambda scene, place, label: scene.answers[place].model.heat(scene.image, label))
        super().__init__(self.explain, self.opacity)
        for control in (segments.k, segments.start, segments.features):
            control.observe(self.draw, "value")  # captions name the share of a map within the abnormal segment

    def show(self, scene: Scene) -> None:
        self.scene = None  # nothing is drawn while the classes are filled in
        fill(self.explain, [("the class it names", ""), *(name for a in scene.answers[:1] for name in a.model.names)])
        super().show(scene)

    def make(self, scene: Scene) -> str:
        side, kind = scene.image.shape[0], " Synthetic." if scene.synthetic else ""
        figures = [scene.figure(scene.image, "the image", f"As the network sees it, {side} x {side} px.{kind}")]
        if not start_tensorflow.cache_info().currsize:
            return gallery(figures) + paragraph("The map follows once TensorFlow has started.")
        wanted = self.explain.value or (scene.answers[0].best if scene.answers else "")
        labels = [wanted if wanted in answer.model.names else answer.best for answer in scene.answers]
        self.heats = [self._heat(scene, place, label) for place, label in enumerate(labels)]
        for answer, label, heat in zip(scene.answers, labels, self.heats):
            if heat is not None:
                caption = f"For {label}. {self._describe(heat)}"
                picture = gradcam.overlay(scene.image, heat, self.opacity.value)
                figures.append(scene.figure(picture, f"Grad-CAM map of {answer.model.title}", caption))
        return gallery(figures)

    def _describe(self, heat: np.ndarray) -> str:
        if not heat.any():
            return "Nothing in the image speaks for this class: the map is zero."
        lesion = self.segments.segmentation.mask
        share = gradcam.share_in_lesion(heat, lesion)
        return f"{share:.0%} of the map lies in the abnormal segment, which covers {lesion.mean():.0%} of the image."
