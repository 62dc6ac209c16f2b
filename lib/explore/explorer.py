"""A study's results in JupyterLab: one image at a time, and what one model or two predict for it."""

import tempfile
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Timer

import ipywidgets as widgets
import numpy as np

from lib.config.paths import SCRATCH, StudyPaths
from lib.data import preprocess
from lib.data.folder import UnreadableImage, decode
from lib.explore import lists, panels, sentences
from lib.explore.controls import ImageChooser, ModelChooser, auto, fill, grid, labelled
from lib.explore.html import paragraph, plain, style
from lib.explore.model import Answer, Model, start_tensorflow
from lib.explore.results import find_models, find_studies, is_synthetic

NOTICE = "Research software, not a medical device: base no decision about a lesion on what it shows; see a doctor."
SYNTHETIC = "A synthetic study: its images are computed, not photographs, and its numbers say nothing about lesions."
NO_STUDY = "No study beside {} has a trained model yet. Run python run_all.py demo in the repository, then this again."


class Explorer:
    """The widgets, as one in `view`, and what they show of one study at a time.

    Args:
        results: a study's results folder; the studies beside it can be chosen too.
        weights_dir: folder of pretrained weights, as for lib.models.networks.load; empty: Keras downloads ImageNet's.

    Attributes:
        scene: the image that is shown, and the answers to it; None where there is none.
        key, own: source and view of the image; name and pixels of an uploaded picture, shown instead.
        maps, segments, probabilities, relatives: the panels.
    """

    def __init__(self, results: str, weights_dir: str = ""):
        self._open = lru_cache(4)(partial(Model, weights_dir=weights_dir))
        self.scene = self.key = self.own = None
        self._build()
        self.studies = find_studies(Path(results))
        if not self.studies:
            self.message.value, self.body.layout.display = paragraph(NO_STUDY.format(results), "warn"), "none"
            return
        fill(self.study, list(self.studies), Path(results).resolve().name)
        self.study.observe(self.open_study, "value")
        self.open_study()
        self.starting = Timer(0.5, self._start_tensorflow)  # by then the page is shown
        self.starting.start()

    def _build(self) -> None:
        self.banner, self.message, self.title = (widgets.HTML() for _ in range(3))
        self.study = labelled(widgets.Dropdown, "Study")
        self.first, self.second = ModelChooser(self.open_model), ModelChooser(self.show)
        self.beside = widgets.Checkbox(description="Compare with another model", indent=False, layout=auto())
        self.beside.observe(self.open_second, "value")
        self.chooser = ImageChooser(self.list_images, self._choose)
        self.upload = widgets.FileUpload(description="Your own picture", accept="image/*", layout=auto())
        self.upload.observe(self._take_upload, "value")
        self.relatives, self.probabilities = panels.RelativesPanel(), panels.ProbabilitiesPanel()
        self.segments = panels.SegmentsPanel()
        self.maps = panels.MapsPanel(self.segments)
        self.panels = [self.segments, self.maps, self.probabilities, self.relatives]
        shown = (self.maps, self.relatives, self.segments, self.probabilities)
        self.shown = widgets.VBox([self.title, grid(*(panel.view for panel in shown), least="460px")])
        choosers = [self.study, self.first.view, self.beside, self.second.view, self.chooser.view, self.upload]
        self.body = widgets.VBox([*choosers, self.shown])
        head = widgets.HTML(style() + paragraph(NOTICE, "notice"))
        self.view = widgets.VBox([head, self.banner, self.message, self.body])
        self.view.add_class("explore")

    def open_study(self, _=None) -> None:
        """Open the chosen study, with its list of leaked images where it has one."""
        self.root = self.studies[self.study.value]
        self.models = find_models(self.root)
        self.synthetic = is_synthetic(StudyPaths.of(str(self.root), SCRATCH))
        self.banner.value = paragraph(SYNTHETIC, "warn") if self.synthetic else ""
        self.scene = self.key = self.own = None
        self.beside.value = False
        self.first.offer(self.models, protocol="by_view")
        with self.chooser.filling():
            self.chooser.lists.value = "leaked" if self.first.chosen["protocol"] == "by_view" else "all"
        self.open_model()

    def open_model(self) -> None:
        """Open the chosen model; the image stays."""
        if model := self._read(self.first):
            self.chooser.offer(model)
        self.list_images(keep=True)

    def open_second(self, _=None) -> None:
        """Choose a second model: the same one under the last protocol that there is."""
        if self.beside.value:
            self.second.offer(self.models, **self.first.chosen | {"protocol": self.models["protocol"].iloc[-1]})
        self.show()

    def list_images(self, keep: bool = False) -> None:
        """List the chosen images, and show the first of them, or `keep` the one that is shown."""
        if model := self._read(self.first):
            if self.key and not (model.views[["source", "view"]] == list(self.key)).all(axis=1).any():
                self.key = None  # another pool, as 02_prepare_data makes by hand
            listed = lists.select_images(model, self.chooser.lists.value, self.chooser.fold.value)
            if self.chooser.label.value != lists.EVERY_CLASS:
                listed = listed[listed["true_class"] == self.chooser.label.value]
            if len(listed) and not (keep and self.key):
                self.own, self.key = None, (listed["source"].iloc[0], listed["view"].iloc[0])
            self.chooser.show(listed, self.key if not self.own else None)
        self.show()

    def show(self) -> None:
        """Show all panels of the chosen image or the uploaded picture."""
        self.message.value, self.problem = paragraph("Working…"), ""
        models = [self._read(chooser) for chooser in (self.first, self.second)[: 1 + self.beside.value]]
        self.second.view.layout.display = None if self.beside.value else "none"
        self.shown.layout.display = None if self.own or self.key else "none"
        if models[0] and (self.own or self.key):
            self.scene = self._look([model for model in models if model])
            self.title.value = self._describe()
        elif self.scene:  # the image stays, with what is known without a model
            self.scene = replace(self.scene, answers=[])
            self.title.value = paragraph(self.own[0] if self.own else self.key[0], "title")
        for panel in self.panels if self.scene else ():
            panel.show(self.scene)
        self._say_problems()

    def _say_problems(self) -> None:
        problems = [self.problem, *(answer.model.problem for answer in (self.scene.answers if self.scene else ()))]
        self.message.value = paragraph(" ".join(problems), "warn")

    def _start_tensorflow(self) -> None:
        start_tensorflow()
        self.maps.draw()
        self._say_problems()

    def _look(self, models: list[Model]) -> panels.Scene:
        if self.own:
            image = preprocess.resize(self.own[1], models[0].images.shape[1])
            return panels.Scene(image, [Answer.of(model, image) for model in models], False)
        subjects = [model.describe(*self.key) for model in models]
        image = np.array(models[0].images[subjects[0]["row"]])
        answers = [Answer.of(model, image, subject) for model, subject in zip(models, subjects)]
        return panels.Scene(image, answers, self.synthetic)

    def _describe(self) -> str:
        """The answers as HTML, with their limits and origin."""
        first, *others = self.scene.answers
        name = self.own[0] if self.own else first.subject["image_id"]
        html = paragraph(sentences.headline(first, name), "title") + paragraph(sentences.list_limits(first), "warn")
        html += paragraph(f"{sentences.describe_image(first)} {sentences.describe_model(first)}")
        for second in others:
            text = f"{second.model.title}. {sentences.headline(second, name)}. {sentences.describe_model(second)}"
            html += paragraph(text) + paragraph(sentences.list_limits(second), "warn")
        return html

    def _read(self, chooser: ModelChooser) -> Model | None:
        """The chosen model; None where its files cannot be read, and `problem` says why."""
        try:
            return self._open(self.root, **chooser.chosen)
        except (OSError, ValueError, KeyError) as error:  # files that were deleted, or are of another version
            self.problem = f"This model's files cannot be read ({error}); run its study again, or choose another."
            return None

    def _choose(self) -> None:
        if self.chooser.image.value:
            self.own, self.key = None, self.chooser.image.value
            self.show()

    def _take_upload(self, _=None) -> None:
        if not self.upload.value or self.scene is None:
            return
        given, self.upload.value = self.upload.value[0], ()  # so that the same file can be given again
        name = plain(given["name"])
        with tempfile.NamedTemporaryFile() as file:  # `decode` reads files; this one is deleted at once
            file.write(given["content"])
            file.flush()
            try:
                self.own = (name, decode(Path(file.name)))
            except UnreadableImage as error:
                text = f"{name} was refused: {error}. Give a JPEG, PNG, BMP, TIFF or WebP picture."
                self.message.value = paragraph(text, "warn")
                return
        self.chooser.show(self.chooser.listed, None)
        self.show()
