"""A window on a study's results for JupyterLab: one image at a time, and what the model makes of it.

`Explorer` holds the widgets and what is being looked at. Names of files and classes are data: they reach the page as
plain text.
"""

import time
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd

from lib.config import StudyPaths, params
from lib.data import UnreadableImage, class_columns, parts_of_fold, preprocess, read_predictions, select
from lib.explain import gradcam, kmeans
from lib.explore.html import STYLE, about_neighbours, bars, choice, figure, grid, headline, panel, paragraph, plain
from lib.explore.results import (
    AXES,
    EVERY_CLASS,
    METRICS,
    decode_upload,
    find_models,
    find_studies,
    is_synthetic,
    list_images,
    nearest,
    predict,
    relation,
)

NOTICE = (
    "Research software for examining a paper. It is no medical device: base no decision about a lesion on what it "
    "shows, and see a doctor."
)
SYNTHETIC = "Synthetic study: its images are drawn, not photographs, and its numbers say nothing about skin lesions."
KEPT = 3  # models and feature tables held in memory
KEPT_MAPS = 64
LIKELIEST = -1  # the class to explain: the one the model names
EVERY_FOLD = -1


class Explorer:
    """The widgets on the results of one study at a time, and the state behind them.

    Args:
        results: a study's results folder; the studies beside it can be chosen too.
        weights_dir: folder of pretrained weights, as for lib.models.networks.load; empty: Keras downloads ImageNet's.

    Attributes:
        view: the whole as one widget; display it.
        image: uint8 [s, s, 3], what is looked at as the network sees it; None where there is nothing.
        probabilities: class -> probability of that image.
        heat: its Grad-CAM map [s, s], 0 to 1; None where the model could not be loaded.
        segmentation: its lib.explain.kmeans.Segmentation.
        neighbours: rows of `nearest`, with `relation`.
        seconds: wall and processor time of the last answer.
    """

    def __init__(self, results: str, weights_dir: str = ""):
        self.weights_dir = weights_dir
        self.studies = find_studies(Path(results))
        self.image = self.heat = self.segmentation = self.neighbours = None
        self.probabilities: dict[str, float] = {}
        self.own: tuple[str, np.ndarray] | None = None
        self.seconds = (0.0, 0.0)
        # a notebook looks at few models and at many images: what was made last is kept
        self._load_model = lru_cache(KEPT)(self._load_model)
        self._load_features = lru_cache(KEPT)(lambda path, changed: np.load(path, allow_pickle=False))
        self._make_map = lru_cache(KEPT_MAPS)(self._make_map)
        self._filling = False
        self._configured = False
        self._build()
        if self.studies:
            first = Path(results).resolve().name
            self._fill(self.study, list(self.studies), first if first in self.studies else next(iter(self.studies)))
            self._open_study()
        else:
            self._tell(
                f"No study beside {results} has a trained model yet. Make one, in the repository's folder: "
                "python run_all.py demo (or: make demo). Then run this notebook again."
            )
            self.body.layout.display = "none"

    # what is looked at

    def _open_study(self) -> None:
        self.paths = StudyPaths(self.studies[self.study.value])
        self.models = find_models(self.paths.root)
        self.synthetic = is_synthetic(self.paths)
        self.banner.value = paragraph(SYNTHETIC, "warn") if self.synthetic else ""
        self.own = None
        self._narrow()

    def _narrow(self) -> None:
        """Offer for each axis the values that are left by the axes before it, and open the model that remains."""
        left = self.models
        for axis, widget in self.axes.items():
            values = list(dict.fromkeys(left[axis]))
            default = values[-1] if axis in ("protocol", "phase") else values[0]
            self._fill(widget, values, widget.value if widget.value in values else default)
            widget.layout.display = "none" if len(values) == 1 and axis in ("preprocessing", "seed") else None
            left = left[left[axis] == widget.value]
        try:
            self._open_model(left.iloc[0])
        except (OSError, ValueError, KeyError) as error:  # files that were deleted, or are of another version
            self.image, self.panels.layout.display, self.title.value = None, "none", ""
            self._tell(f"This model's files cannot be read ({error}); run its study again, or choose another.")

    def _open_model(self, chosen: pd.Series) -> None:
        self.chosen = chosen
        predictions = read_predictions(chosen["folder"], chosen["phase"])
        views, table = pd.read_parquet(self.paths.views), pd.read_parquet(self.paths.protocol(chosen["protocol"]))
        pool = select(views, table, params.scenarios()[chosen["scenario"]])
        pool["folder_class"], pool["class"] = (
            views["class"].loc[pool["row"]].array,
            table["class"].loc[pool["row"]].array,
        )
        pool["lesion_id"] = ""
        if self.paths.image_index.is_file():
            lesions = pd.read_parquet(self.paths.image_index, columns=["source", "lesion_id"])
            pool["lesion_id"] = pool["source"].map(lesions.set_index("source")["lesion_id"]).fillna("")
        self.pool = pool
        self.names = class_columns(predictions)
        self.predictions = predictions
        self.saved_fold = int(gradcam.of_saved_fold(predictions)["fold"].iloc[0])
        self.described = predictions.merge(pool[["row", "lesion_id", "folder_class", "class"]], on="row", how="inner")
        self.images = preprocess.open_images(self.paths.images)
        labels = [(plain(name), name) for name in self.names]
        self._fill(self.label, [("every class", EVERY_CLASS), *labels], self.label.value)
        folds = [int(fold) for fold in predictions["fold"].unique()]
        named = [(f"{fold} (its weights are saved)" if fold == self.saved_fold else str(fold), fold) for fold in folds]
        self._fill(self.fold, [*named, ("all folds", EVERY_FOLD)], self.fold.value)
        explained = [(plain(name), place) for place, name in enumerate(self.names)]
        self._fill(self.explained, [("the class it names", LIKELIEST), *explained], LIKELIEST)
        self._list()

    def _list(self) -> None:
        of_fold = self.predictions["fold"] == self.fold.value
        some = self.predictions if self.fold.value == EVERY_FOLD else self.predictions[of_fold]
        listed = list_images(some, self.part.value, self.label.value, self.errors.value)
        options = []
        for place, row in enumerate(listed.itertuples(), 1):
            answer = "right" if row.predicted_class == row.true_class else f"says {plain(row.predicted_class)}"
            view = f" view {row.view}" if row.view else ""
            text = f"{place}. {plain(row.image_id)}{view}: {plain(row.true_class)}, {answer} {row.probability:.0%}"
            options.append((text, (row.source, row.view)))
        kept = [value for _, value in options]
        self._fill(self.chooser, options, self.chooser.value if self.chooser.value in kept else next(iter(kept), None))
        wrong = "wrongly classified, the least probability of the true class first"
        self.count.value = paragraph(f"{len(options)} {wrong if self.errors.value else 'images'}")
        self._show()

    def _show(self) -> None:
        """Everything about the image that is chosen, or about the one that was uploaded."""
        with self._timed(), ExitStack() as together:
            for widget in (self.title, self.shown, self.overlaid, self.segments, self.bars, self.near):
                together.enter_context(widget.hold_sync())  # never half of one image and half of another
            self._tell("")
            self.back.layout.display = None if self.own else "none"
            self.heat = self.subject = self.query = None
            if self.own:
                self._show_own()
            elif self.chooser.value is None:
                self.image, self.probabilities = None, {}
            else:
                source, view = self.chooser.value
                mine = (self.described["source"] == source) & (self.described["view"] == view)
                mine &= self.described["part"] == self.part.value  # a view is tested in one fold, validated in another
                self.subject = self.described[mine].iloc[0].to_dict()
                self.image = np.array(self.images[self.subject["row"]])
                self.probabilities = {name: float(self.subject[name]) for name in self.names}
            self.panels.layout.display = "none" if self.image is None else None
            if self.image is None:
                self.title.value = "" if self.own else paragraph("No image is like this; choose others.", "title")
                return
            self.bars.value = bars(self.probabilities, self.subject["true_class"] if self.subject else None)
            self.title.value = self._headline()
            self.shown.value = figure(self.image, self._named("the image"), self._size())
            self._show_segments()
            self._show_map()
            self._show_neighbours()

    def _show_own(self) -> None:
        model = self._model()
        if model is None:
            self.image, self.probabilities = None, {}
            return
        self.image = preprocess.resize(self.own[1], model.input_shape[1])
        probabilities, self.query = predict(model, self.image)
        self.probabilities = dict(zip(self.names, probabilities.astype(float).tolist()))

    def _show_map(self) -> None:
        model = self._model()
        if model is None:
            self.overlaid.value = paragraph("There is no map without the model.")
            return
        named = self.names.index(max(self.probabilities, key=self.probabilities.get))
        self.explains = named if self.explained.value == LIKELIEST else self.explained.value
        self.heat = self._make_map(model, self.explains, self.image.shape, self.image.tobytes())
        self._show_overlay()

    def _show_overlay(self) -> None:
        if self.heat is None:
            return
        label = self.names[self.explains]
        if self.heat.any():
            lesion = self.segmentation.mask
            share = gradcam.share_in_lesion(self.heat, lesion)
            caption = f"{share:.0%} of the map lies in the abnormal segment, which covers {lesion.mean():.0%}."
        else:
            caption = "Nothing in the image speaks for this class: the map is zero."
        picture = gradcam.overlay(self.image, self.heat, self.opacity.value)
        caption = f"For {label}. {caption}{self._whose_map()}"
        self.overlaid.value = figure(picture, self._named("Grad-CAM map over the image"), caption)

    def _whose_map(self) -> str:
        """Says so where the map is not of the model whose probabilities are shown."""
        if not self.subject or self.subject["fold"] == self.saved_fold:
            return ""
        parts = parts_of_fold(self.pool[self.pool["row"] == self.subject["row"]], self.saved_fold)["part"]
        role = {"train": "was trained on this image", "val": "was validated on it", "test": "was tested on it"}
        return (
            f" The map is of the model of fold {self.saved_fold}, which {role[parts.iloc[0]]}; the probabilities are "
            f"of fold {self.subject['fold']}, whose weights are not saved."
        )

    def _show_segments(self) -> None:
        self.segmentation = kmeans.segment(self.image, self.k.value, self.kind.value)
        cut = self.segmentation
        picture = kmeans.paint(cut) if self.painted.value == "segments" else kmeans.outline(self.image, cut.mask)
        areas = pd.Series(cut.areas).groupby(list(cut.names)).sum().sort_values(ascending=False)
        caption = ", ".join(f"{name} {area:.0%}" for name, area in areas.items())
        self.segments.value = figure(picture, self._named("the segments"), caption)

    def _show_neighbours(self) -> None:
        try:
            features = self._features()
        except (OSError, ValueError) as error:
            self.neighbours = None
            self.near.value = paragraph(f"The features cannot be read ({error}); run the step `features` again.")
            return
        fold = self.subject["fold"] if self.subject else self.saved_fold
        pool = parts_of_fold(self.pool, fold)
        pool = pool[pool["part"] == "train"] if self.among.value == "train" else pool
        row = self.subject["row"] if self.subject else -1
        query = features[row] if self.subject else self.query
        near = nearest(features, query, pool, self.metric.value, skip=row)
        others = near.to_dict("records")
        related = [relation(self.subject, other) if self.subject else "" for other in others]
        self.neighbours = near.assign(relation=related)
        figures = []
        for place, (other, how) in enumerate(zip(others, related), 1):
            caption = f"{place}. {other['label']}, {other['part']}, distance {other['distance']:.3g}"
            named = f"{other['image_id']}" + (f" view {other['view']}" if other["view"] else "")
            figures.append(figure(self.images[other["row"]], self._named(named), caption, named, how))
        self.near.value = (
            paragraph(about_neighbours(self.neighbours, self.subject)) + f"<div class='near'>{''.join(figures)}</div>"
        )

    def _headline(self) -> str:
        if self.subject:
            return headline(self.subject, self.probabilities)
        best = max(self.probabilities, key=self.probabilities.get)
        what = f"{self.own[0]}: the model says {best} ({self.probabilities[best]:.0%})"
        return paragraph(what, "title") + paragraph("Your own picture. It stays in this notebook's memory.")

    def _named(self, what: str) -> str:
        """Alternative text, which says so where an image is synthetic."""
        return f"{what}, synthetic" if self.synthetic and not self.own else what

    def _size(self) -> str:
        side = self.image.shape[0]
        drawn = " Synthetic." if self.synthetic and not self.own else ""
        return f"As the network sees it, {side} x {side} px.{drawn}"

    # what is kept in memory

    def _model(self):
        """The chosen model, or None and a message where it cannot be loaded."""
        folder, phase = self.chosen["folder"], self.chosen["phase"]
        try:
            model = self._load_model(folder, phase, (folder / "run.json").stat().st_mtime_ns)
        except Exception as error:  # Keras raises a bare Exception where a download fails
            self._tell(
                f"{self.chosen['backbone']} cannot be loaded: {error}. Set weights_dir above, or SKINCAS_WEIGHTS, to "
                "the folder of weights that the study was trained with."
            )
            return None
        self._tell("")
        return model

    def _load_model(self, folder: Path, phase: str, changed: int):
        from lib.models import backend, networks

        self._tell(f"Loading {self.chosen['backbone']}...")
        if not self._configured:
            backend.configure(0, deterministic=True, mixed_precision=False)
            self._configured = True
        return networks.load(folder, phase, self.weights_dir)

    def _features(self) -> np.ndarray:
        path = self.paths.features(self.chosen["preprocessing"], self.chosen["backbone"])
        return self._load_features(path, path.stat().st_mtime_ns)

    def _make_map(self, model, place: int, shape: tuple[int, ...], pixels: bytes) -> np.ndarray:
        image = np.frombuffer(pixels, np.uint8).reshape(shape)
        return gradcam.maps(model, image[None], [place])[0]

    # what happens

    def _on(self, widget: widgets.Widget, act) -> None:
        widget.observe(lambda change: None if self._filling else act(), names="value")

    def _on_choice(self) -> None:
        self.own = None
        self._show()

    def _on_filter(self) -> None:
        self.own = None
        with self._fill_quietly():
            self.chooser.value = None  # begin with the first of the new list
        self._list()

    def _on_upload(self) -> None:
        if not self.upload.value:
            return
        given = self.upload.value[0]
        name = str(given["name"])
        with self._fill_quietly():
            self.upload.value = ()  # so that the same file can be given again
        try:
            self.own = (plain(name), decode_upload(bytes(given["content"])))
        except UnreadableImage as error:
            self._tell(f"{plain(name)} was refused: {error}. Give a JPEG, PNG, BMP, TIFF or WebP picture.")
            return
        self._show()

    def _on_part_of_view(self, show) -> None:
        if self.image is not None:
            with self._timed():
                show()

    def _on_segments(self) -> None:
        self._show_segments()
        self._show_overlay()  # its caption compares the map with the segments

    @contextmanager
    def _timed(self):
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds = (time.perf_counter() - wall, time.process_time() - processor)
        self.clock.value = f"Answered in {self.seconds[0]:.2f} s ({self.seconds[1]:.2f} s of processor time)."

    @contextmanager
    def _fill_quietly(self):
        before, self._filling = self._filling, True
        yield
        self._filling = before

    def _fill(self, widget: widgets.Widget, options: list, value) -> None:
        """Give a widget options and a value without acting on either; an unknown value gives the first option."""
        values = [option[1] if isinstance(option, tuple) else option for option in options]
        with self._fill_quietly():
            if list(widget.options) != options:
                widget.options = options
            widget.value = value if value in values else next(iter(values), None)

    def _tell(self, text: str) -> None:
        self.message.value = paragraph(text, "warn") if text else ""

    # how it looks

    def _build(self) -> None:
        short = {"description_width": "4.5em"}
        wide = widgets.Layout(width="auto")
        self.message, self.banner, self.title = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.shown, self.overlaid, self.segments, self.bars = (widgets.HTML() for _ in range(4))
        self.near, self.count, self.clock = widgets.HTML(), widgets.HTML(), widgets.Label()
        self.study = choice("Study")
        self.axes = {axis: choice(axis.capitalize()) for axis in AXES}
        self.part = choice("Images", [("test", "test"), ("validation", "val")], "test")
        self.fold = choice("Fold")
        self.label = choice("Class", [("every class", EVERY_CLASS)])
        self.errors = widgets.Checkbox(description="Only errors, the worst first", indent=False, layout=wide)
        self.chooser = widgets.Select(description="Image", rows=17, layout=wide)  # named for those who cannot see it
        self.upload = widgets.FileUpload(description="Your own picture", accept="image/*", layout=wide)
        self.back = widgets.Button(description="Back to the study's image", layout=widgets.Layout(width="auto"))
        self.explained = choice("Explain", label_width="4.5em")
        self.opacity = widgets.FloatSlider(
            description="Opacity", value=0.6, max=1, step=0.05, readout_format=".0%", style=short, layout=wide
        )
        self.k = widgets.IntSlider(description="k", value=3, min=2, max=8, style=short, layout=wide)
        self.kind = choice(
            "Features", [("colour", "colour"), ("colour and texture", "colour_texture")], label_width="4.5em"
        )
        self.painted = choice("Show", ["segments", "outline"], label_width="4.5em")
        self.metric = choice("Distance", METRICS)
        self.among = choice("Among", [("the fold's training images", "train"), ("all images", "all")])

        for widget, act in (
            (self.study, self._open_study),
            *((widget, self._narrow) for widget in self.axes.values()),
            *((widget, self._on_filter) for widget in (self.part, self.fold, self.label, self.errors)),
            (self.chooser, self._on_choice),
            (self.upload, self._on_upload),
            (self.explained, lambda: self._on_part_of_view(self._show_map)),
            (self.opacity, lambda: self._on_part_of_view(self._show_overlay)),
            *((w, lambda: self._on_part_of_view(self._on_segments)) for w in (self.k, self.kind, self.painted)),
            *((w, lambda: self._on_part_of_view(self._show_neighbours)) for w in (self.metric, self.among)),
        ):
            self._on(widget, act)
        self.back.on_click(lambda _: self._on_choice())

        list_of_images = widgets.VBox(
            [self.part, self.fold, self.label, self.errors, self.count, self.chooser, self.upload, self.back],
            layout=widgets.Layout(flex="1 1 340px", max_width="480px", min_width="0"),
        )
        pictures = [
            panel("Image", self.shown),
            panel("Grad-CAM", self.overlaid, self.explained, self.opacity),
            panel("k-means", self.segments, self.k, self.kind, self.painted),
        ]
        near_controls = grid([self.metric, self.among], "240px", max_width="560px")
        self.panels = widgets.VBox(
            [
                grid(pictures, "170px"),
                panel("Probabilities", self.bars),
                panel("Nearest images as the pretrained network sees them", near_controls, self.near),
            ]
        )
        answers = widgets.VBox(
            [self.title, self.panels, self.clock], layout=widgets.Layout(flex="3 1 560px", min_width="0")
        )
        wrapped = widgets.Layout(flex_flow="row wrap", grid_gap="10px 28px", align_items="flex-start")
        self.body = widgets.VBox(
            [grid([self.study, *self.axes.values()], "200px"), widgets.Box([list_of_images, answers], layout=wrapped)]
        )
        head = widgets.HTML(STYLE + paragraph(NOTICE, "notice"))
        self.view = widgets.VBox([head, self.banner, self.message, self.body])
        self.view.add_class("explore")
