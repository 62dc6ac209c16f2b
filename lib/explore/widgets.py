"""A window on a study's results for JupyterLab: one image at a time, and what the model makes of it.

The functions find, sort and compare; `Explorer` holds the widgets and what is being looked at. Names of files and
classes are data: they reach the page as plain text.
"""

import base64
import html
import io
import json
import tempfile
import time
from collections import OrderedDict
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import pairwise_distances

from lib.config import StudyPaths, params
from lib.data import UnreadableImage, class_columns, decode, predicted_class, preprocess, read_predictions, splits
from lib.explain import kmeans

NOTICE = (
    "Research software for examining a paper. It is no medical device: base no decision about a lesion on what it "
    "shows, and see a doctor."
)
SYNTHETIC = "Synthetic study: its images are drawn, not photographs, and its numbers say nothing about skin lesions."
METRICS = ("cosine", "euclidean")
AXES = ("scenario", "backbone", "protocol", "preprocessing", "seed", "phase")
NEIGHBOURS = 6
EVERY_CLASS = ""  # no class has an empty name
KEPT = 3  # models and feature tables held in memory
LIKELIEST = -1  # the class to explain: the one the model names


def find_studies(results: Path) -> dict[str, Path]:
    """Studies with at least one trained model beside `results` (a study's results folder): name -> folder."""
    folder = results.resolve().parent
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {path.name: path for path in found if not path.name.startswith(".") and len(find_models(path))}


def find_models(study: Path) -> pd.DataFrame:
    """The trained models of a study, a row each: the columns AXES and `folder`, the run's folder.

    Sorted in the order of params/, so that the last row of a scenario and backbone is the finest: the last protocol,
    fine-tuned where there is such a phase.
    """
    pattern = StudyPaths(study).run("*", "*", "*", "*", "*").relative_to(study)
    known = {
        "scenario": list(params.scenarios()),
        "backbone": list(params.backbones()),
        "protocol": params.PROTOCOLS,
        "preprocessing": params.PREPROCESSING,
    }
    rows = []
    for folder in study.glob(str(pattern)):
        protocol, preprocessing, scenario, backbone, seed = folder.relative_to(study).parts[-5:]
        values = (scenario, backbone, protocol, preprocessing)
        if (folder / "run.json").is_file() and all(value in known[axis] for axis, value in zip(AXES, values)):
            for phase in params.PHASES:
                if (folder / f"predictions_{phase}.parquet").is_file():
                    rows.append((*values, int(seed.removeprefix("seed")), phase, folder))
    order = known | {"phase": params.PHASES}
    places = [{value: place for place, value in enumerate(order.get(axis, ()))} for axis in AXES]
    rows.sort(key=lambda row: [place.get(value, value) for place, value in zip(places, row)])
    return pd.DataFrame(rows, columns=[*AXES, "folder"])


def is_synthetic(study: StudyPaths) -> bool:
    """Whether a study's images are drawn by lib.data.demo: in its results folder, or as its audit's stamp says."""
    stamp = study.stamp("audit")
    stated = stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")).get("parameters", {}).get("synthetic")
    return bool(stated) or study.demo_data.is_dir()


def list_images(predictions: pd.DataFrame, part: str, label: str = EVERY_CLASS, errors: bool = False) -> pd.DataFrame:
    """The predictions of a part (`val` or `test`), of one true class or all, with `predicted_class`, `probability` (of
    that class) and `true_probability`.

    Args:
        errors: only what was classified wrongly, the worst first: the lowest probability of the true class.
    """
    names = class_columns(predictions)
    values = predictions[names].to_numpy()
    true = np.array([names.index(name) for name in predictions["true_class"]], dtype=np.intp)
    table = predictions.assign(
        predicted_class=predicted_class(predictions),
        probability=values.max(axis=1),
        true_probability=values[np.arange(len(values)), true],
    )
    table = table[table["part"] == part]
    if label != EVERY_CLASS:
        table = table[table["true_class"] == label]
    if errors:
        table = table[table["predicted_class"] != table["true_class"]]
        return table.sort_values(["true_probability", "source", "view"], ignore_index=True)
    return table.sort_values(["true_class", "source", "view"], ignore_index=True)


def nearest(
    features: np.ndarray, query: np.ndarray, pool: pd.DataFrame, metric: str, count: int = NEIGHBOURS, skip: int = -1
) -> pd.DataFrame:
    """The images of `pool` whose features are nearest to `query`, each file once, by its nearest view.

    Args:
        features: float32 [n, channels].
        query: float32 [channels].
        pool: rows of lib.data.select; `row` is the row in `features`.
        metric: `cosine` (1 - cosine of the angle) or `euclidean` distance.
        skip: the row of `features` that is the query itself; -1: none.

    Returns:
        At most `count` rows of `pool`, nearest first, with `distance`.
    """
    pool = pool[pool["row"] != skip]
    if pool.empty:
        return pool.assign(distance=[])
    # in double precision: a network with random weights tells images apart by the last digits of float32
    candidates = features[pool["row"].to_numpy()].astype(np.float64)
    distances = pairwise_distances(candidates, query[None].astype(np.float64), metric=metric)[:, 0]
    ordered = pool.assign(distance=distances).sort_values(["distance", "row"])
    return ordered.drop_duplicates("source").head(count).reset_index(drop=True)


def relation(first: dict, second: dict) -> str:
    """How two images belong together, by source, lesion_id and group (lib.data.build_index); "" where they do not."""
    if first["source"] == second["source"]:
        return "same picture"
    if first["lesion_id"] and first["lesion_id"] == second["lesion_id"]:
        return "same lesion"
    return "same group" if first["group"] == second["group"] else ""


def decode_upload(content: bytes) -> np.ndarray:
    """The bytes of a picture as uint8 [height, width, 3], with all the limits of lib.data.decode.

    Raises:
        UnreadableImage: what `decode` refuses.
    """
    with tempfile.NamedTemporaryFile() as file:  # `decode` reads files; this one is gone at once
        file.write(content)
        file.flush()
        return decode(Path(file.name))


def predict(model, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [classes] and features after GlobalMaxPooling2D [channels] of a uint8 [s, s, 3] image."""
    import keras

    both = keras.Model(model.input, [model.get_layer("pool").output, model.output])
    # called, not `predict`: tracing a large network takes a minute, a call a second
    features, probabilities = both(keras.ops.convert_to_tensor(np.ascontiguousarray(image)[None]), training=False)
    return keras.ops.convert_to_numpy(probabilities)[0], keras.ops.convert_to_numpy(features)[0].astype(np.float32)


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
        self._kept: OrderedDict = OrderedDict()
        self._filling = False
        self._configured = False
        self._build()
        if self.studies:
            first = Path(results).resolve().name
            self._fill(self.study, list(self.studies), first if first in self.studies else next(iter(self.studies)))
            self._open_study()
        else:
            self._say(
                f"No study beside {results} has a trained model yet. Make one, in the repository's folder: "
                "python run_all.py demo (or: make demo). Then run this notebook again."
            )
            self.body.layout.display = "none"

    # what is looked at

    def _open_study(self) -> None:
        self.paths = StudyPaths(self.studies[self.study.value])
        self.models = find_models(self.paths.root)
        self.synthetic = is_synthetic(self.paths)
        self.banner.value = _paragraph(SYNTHETIC, "warn") if self.synthetic else ""
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
            self._say(f"This model's files cannot be read ({error}); run its study again, or choose another.")

    def _open_model(self, chosen: pd.Series) -> None:
        self.chosen = chosen
        predictions = read_predictions(chosen["folder"], chosen["phase"])
        views = pd.read_parquet(self.paths.index(chosen["protocol"])).reset_index(drop=True)
        views["lesion_id"] = ""
        if self.paths.image_index.is_file():
            lesions = pd.read_parquet(self.paths.image_index, columns=["source", "lesion_id"])
            views["lesion_id"] = views["source"].map(lesions.set_index("source")["lesion_id"]).fillna("")
        self.pool = splits.select(views, params.scenarios()[chosen["scenario"]])
        added = self.pool[["source", "view", "row", "lesion_id", "folder_class", "class"]]
        self.names = class_columns(predictions)
        self.predictions = predictions
        self.described = predictions.merge(added, on=["source", "view"], how="inner")
        self.images = preprocess.open_images(self.paths.images(chosen["protocol"]))
        labels = [(_plain(name), name) for name in self.names]
        self._fill(self.label, [("every class", EVERY_CLASS), *labels], self.label.value)
        explained = [(_plain(name), place) for place, name in enumerate(self.names)]
        self._fill(self.explained, [("the class it names", LIKELIEST), *explained], LIKELIEST)
        self._list()

    def _list(self) -> None:
        found = list_images(self.predictions, self.part.value, self.label.value, self.errors.value)
        options = []
        for place, row in enumerate(found.itertuples(), 1):
            said = "right" if row.predicted_class == row.true_class else f"says {_plain(row.predicted_class)}"
            view = f" view {row.view}" if row.view else ""
            text = f"{place}. {_plain(row.image_id)}{view}: {_plain(row.true_class)}, {said} {row.probability:.0%}"
            options.append((text, (row.source, row.view)))
        kept = [value for _, value in options]
        self._fill(self.chooser, options, self.chooser.value if self.chooser.value in kept else next(iter(kept), None))
        wrong = "wrongly classified, the least probability of the true class first"
        self.count.value = _paragraph(f"{len(options)} {wrong if self.errors.value else 'images'}")
        self._show()

    def _show(self) -> None:
        """Everything about the image that is chosen, or about the one that was uploaded."""
        with self._timed(), ExitStack() as together:
            for widget in (self.title, self.shown, self.overlaid, self.segments, self.bars, self.near):
                together.enter_context(widget.hold_sync())  # never half of one image and half of another
            self._say("")
            self.back.layout.display = None if self.own else "none"
            self.heat = self.subject = self.query = None
            if self.own:
                self._show_own()
            elif self.chooser.value is None:
                self.image, self.probabilities = None, {}
            else:
                source, view = self.chooser.value
                mine = (self.described["source"] == source) & (self.described["view"] == view)
                self.subject = self.described[mine].iloc[0].to_dict()
                self.image = np.array(self.images[self.subject["row"]])
                self.probabilities = {name: float(self.subject[name]) for name in self.names}
            self.panels.layout.display = "none" if self.image is None else None
            if self.image is None:
                self.title.value = "" if self.own else _paragraph("No image is like this; choose others.", "title")
                return
            self.bars.value = _bars(self.probabilities, self.subject["true_class"] if self.subject else None)
            self.title.value = self._headline()
            self.shown.value = _figure(self.image, self._named("the image"), self._size())
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
            self.overlaid.value = _paragraph("There is no map without the model.")
            return
        from lib.explain import gradcam

        named = self.names.index(max(self.probabilities, key=self.probabilities.get))
        self.explains = named if self.explained.value == LIKELIEST else self.explained.value
        made = ("map", self.chosen["folder"], self.chosen["phase"], self.explains, self.image.tobytes())
        self.heat = self._keep(made, lambda: gradcam.maps(model, self.image[None], [self.explains])[0], 64)
        self._show_overlay()

    def _show_overlay(self) -> None:
        from lib.explain import gradcam

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
        self.overlaid.value = _figure(picture, self._named("Grad-CAM map over the image"), f"For {label}. {caption}")

    def _show_segments(self) -> None:
        self.segmentation = kmeans.segment(self.image, self.k.value, self.kind.value)
        found = self.segmentation
        picture = kmeans.paint(found) if self.painted.value == "segments" else kmeans.outline(self.image, found.mask)
        order = np.argsort(-found.areas)
        caption = ", ".join(f"{found.names[place].replace('_', ' ')} {found.areas[place]:.0%}" for place in order)
        self.segments.value = _figure(picture, self._named("the segments"), caption)

    def _show_neighbours(self) -> None:
        try:
            features = self._features()
        except (OSError, ValueError) as error:
            self.neighbours = None
            self.near.value = _paragraph(f"The features cannot be read ({error}); run the step `features` again.")
            return
        pool = self.pool[self.pool["part"] == "train"] if self.among.value == "train" else self.pool
        row = self.subject["row"] if self.subject else -1
        query = features[row] if self.subject else self.query
        found = nearest(features, query, pool, self.metric.value, skip=row)
        others = found.to_dict("records")
        related = [relation(self.subject, other) if self.subject else "" for other in others]
        self.neighbours = found.assign(relation=related)
        figures = []
        for place, (other, how) in enumerate(zip(others, related), 1):
            caption = f"{place}. {other['label']}, {other['part']}, distance {other['distance']:.3g}"
            named = f"{other['image_id']}" + (f" view {other['view']}" if other["view"] else "")
            figures.append(_figure(self.images[other["row"]], self._named(named), caption, named, how))
        self.near.value = _paragraph(self._verdict()) + f"<div class='near'>{''.join(figures)}</div>"

    def _verdict(self) -> str:
        """One sentence on the neighbours."""
        found, n = self.neighbours, len(self.neighbours)
        if not self.subject:
            return f"The {n} nearest. Whether one shows the lesion of your picture is not known."
        linked = int((found["relation"] != "").sum())
        alike = int((found["label"] == self.subject["true_class"]).sum())
        return (
            f"Same picture, lesion or group of duplicates, as far as lesions are known: {linked} of the {n} nearest. "
            f"Same class: {alike} of {n}."
        )

    def _headline(self) -> str:
        best = max(self.probabilities, key=self.probabilities.get)
        says = f"{best} ({self.probabilities[best]:.0%})"
        if self.own:
            return _paragraph(f"{self.own[0]}: the model says {says}", "title") + _paragraph(
                "Your own picture. It stays in this notebook's memory."
            )
        who, true = self.subject, self.subject["true_class"]
        verdict = "right" if best == true else f"wrong: it is {true}"
        lines = _paragraph(f"{who['image_id']}: the model says {says}, {verdict}", "title")
        view = f"augmented view {who['view']}" if who["view"] else "the original"
        lesion = f"lesion {who['lesion_id']}" if who["lesion_id"] else "lesion not known"
        moved = "" if who["folder_class"] == who["class"] else f", filed under {who['folder_class']}"
        return lines + _paragraph(f"{who['source']}{moved}; {view}, {who['part']} part, {lesion}")

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

        def load():
            from lib.models import backend, networks

            self._say(f"Loading {self.chosen['backbone']}...")
            if not self._configured:
                backend.configure(0, deterministic=True, mixed_precision=False)
                self._configured = True
            return networks.load(folder, phase, self.weights_dir)

        try:
            found = self._keep(("model", folder, phase, (folder / "run.json").stat().st_mtime_ns), load, KEPT)
        except Exception as error:  # Keras raises a bare Exception where a download fails
            self._say(
                f"{self.chosen['backbone']} cannot be loaded: {error}. Set weights_dir above, or SKINCAS_WEIGHTS, to "
                "the folder of weights that the study was trained with."
            )
            return None
        self._say("")
        return found

    def _features(self) -> np.ndarray:
        axes = self.chosen["protocol"], self.chosen["preprocessing"], self.chosen["backbone"]
        path = self.paths.features(*axes)
        key = ("features", path, path.stat().st_mtime_ns)
        return self._keep(key, lambda: np.load(path, allow_pickle=False), KEPT)

    def _keep(self, key: tuple, make, most: int):
        """The value of a key; the least recently used of its kind is dropped where there are more than `most`."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        same = [other for other in self._kept if other[0] == key[0]]
        for old in same[:-most]:
            del self._kept[old]
        return self._kept[key]

    # what happens

    def _on(self, widget: widgets.Widget, act, name: str = "value") -> None:
        widget.observe(lambda change: None if self._filling else act(), names=name)

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
            self.own = (_plain(name), decode_upload(bytes(given["content"])))
        except UnreadableImage as error:
            self._say(f"{_plain(name)} was refused: {error}. Give a JPEG, PNG, BMP, TIFF or WebP picture.")
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

    def _say(self, text: str) -> None:
        self.message.value = _paragraph(text, "warn") if text else ""

    # how it looks

    def _build(self) -> None:
        narrow, short = {"description_width": "6.5em"}, {"description_width": "4.5em"}
        wide = widgets.Layout(width="auto")

        def choose(text: str, options=(), value=None, style=narrow) -> widgets.Dropdown:
            box = widgets.Dropdown(description=text, options=options, style=style, layout=widgets.Layout(width="auto"))
            box.value = value if value is not None else box.value
            return box

        self.message, self.banner, self.title = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.shown, self.overlaid, self.segments, self.bars = (widgets.HTML() for _ in range(4))
        self.near, self.count, self.clock = widgets.HTML(), widgets.HTML(), widgets.Label()
        self.study = choose("Study")
        self.axes = {axis: choose(axis.capitalize()) for axis in AXES}
        self.part = choose("Images", [("test", "test"), ("validation", "val")], "test")
        self.label = choose("Class", [("every class", EVERY_CLASS)])
        self.errors = widgets.Checkbox(description="Only errors, the worst first", indent=False, layout=wide)
        self.chooser = widgets.Select(description="Image", rows=17, layout=wide)  # named for those who cannot see it
        self.upload = widgets.FileUpload(description="Your own picture", accept="image/*", layout=wide)
        self.back = widgets.Button(description="Back to the study's image", layout=widgets.Layout(width="auto"))
        self.explained = choose("Explain", style=short)
        self.opacity = widgets.FloatSlider(
            description="Opacity", value=0.6, max=1, step=0.05, readout_format=".0%", style=short, layout=wide
        )
        self.k = widgets.IntSlider(description="k", value=3, min=2, max=8, style=short, layout=wide)
        self.kind = choose("Features", [("colour", "colour"), ("colour and texture", "colour_texture")], style=short)
        self.painted = choose("Show", ["segments", "outline"], style=short)
        self.metric = choose("Distance", METRICS)
        self.among = choose("Among", [("the training images", "train"), ("all images", "all")])

        for widget, act in (
            (self.study, self._open_study),
            *((widget, self._narrow) for widget in self.axes.values()),
            *((widget, self._on_filter) for widget in (self.part, self.label, self.errors)),
            (self.chooser, self._on_choice),
            (self.upload, self._on_upload),
            (self.explained, lambda: self._on_part_of_view(self._show_map)),
            (self.opacity, lambda: self._on_part_of_view(self._show_overlay)),
            *((w, lambda: self._on_part_of_view(self._on_segments)) for w in (self.k, self.kind, self.painted)),
            *((w, lambda: self._on_part_of_view(self._show_neighbours)) for w in (self.metric, self.among)),
        ):
            self._on(widget, act)
        self.back.on_click(lambda _: self._on_choice())

        def grid(children: list, least: str, **layout) -> widgets.GridBox:
            columns = f"repeat(auto-fit, minmax({least}, 1fr))"
            return widgets.GridBox(
                children, layout=widgets.Layout(grid_template_columns=columns, grid_gap="4px 20px", **layout)
            )

        def panel(title: str, *children: widgets.Widget) -> widgets.VBox:
            return widgets.VBox([widgets.HTML(f"<h3>{title}</h3>"), *children])

        list_of_images = widgets.VBox(
            [self.part, self.label, self.errors, self.count, self.chooser, self.upload, self.back],
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
        head = widgets.HTML(STYLE + _paragraph(NOTICE, "notice"))
        self.view = widgets.VBox([head, self.banner, self.message, self.body])
        self.view.add_class("explore")


STYLE = """<style>
.explore { --line: var(--jp-border-color1, #d7dbe0); --ink: var(--jp-ui-font-color1, #1f2328);
  --soft: var(--jp-ui-font-color2, #5f6670); color: var(--ink); padding: 4px 2px; }
.explore .widget-html-content { line-height: 1.4; color: var(--ink); }
.explore h3 { margin: 8px 0 2px; font-size: 14px; }
.explore .widget-select .widget-label { position: absolute; width: 1px; overflow: hidden; clip-path: inset(50%); }
.explore .widget-readout { min-width: 3em; width: 3em; }
.explore p { margin: 0 0 4px; color: var(--soft); overflow-wrap: anywhere; }
.explore p.title { font-size: 16px; font-weight: 600; color: var(--ink); }
.explore p.notice, .explore p.warn { border-left: 4px solid #0072b2; padding: 4px 10px; color: var(--ink); }
.explore p.warn { border-color: #d55e00; }
.explore figure { margin: 0 0 4px; }
.explore img { display: block; width: 100%; max-width: 320px; aspect-ratio: 1; border-radius: 3px; }
.explore figcaption { font-size: 12px; color: var(--soft); margin-top: 3px; overflow-wrap: anywhere; }
.explore .near { display: grid; grid-template-columns: repeat(auto-fill, minmax(86px, 1fr)); gap: 12px; }
.explore .near b { display: inline-block; background: #0072b2; color: #fff; border-radius: 3px; padding: 0 6px; }
.explore table.bars { border-collapse: collapse; width: 100%; max-width: 640px; font-size: 13px; }
.explore .bars th, .explore .bars td { padding: 1px 8px 1px 0; text-align: left; font-weight: normal; }
.explore .bars td.number { text-align: right; width: 4em; font-variant-numeric: tabular-nums; }
.explore .bars td.bar { width: 55%; }
.explore .bars div { height: 12px; background: #0072b2; border-radius: 2px; }
.explore .bars tr.true th { font-weight: 600; }
.explore .bars tr.true div { background: #009e73; }
</style>"""


def _figure(pixels: np.ndarray, alternative: str, caption: str, title: str = "", mark: str = "") -> str:
    """A picture with its caption; every text is escaped here."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode()
    badge = f"<b>{_escape(mark)}</b> " if mark else ""
    name = f"{_escape(title)}<br>" if title else ""
    return (
        f"<figure><img src='data:image/png;base64,{data}' alt='{_escape(alternative)}'>"
        f"<figcaption>{badge}{name}{_escape(caption)}</figcaption></figure>"
    )


def _bars(probabilities: dict[str, float], true: str | None) -> str:
    """Probabilities as a table with bars, the most likely first; the true class is marked in words and colour."""
    rows = []
    for name, value in sorted(probabilities.items(), key=lambda item: -item[1]):
        mark, said = (" class='true'", " (true)") if name == true else ("", "")
        bar = f"<td class='bar'><div style='width:{100 * value:.2f}%'></div></td>"
        rows.append(
            f"<tr{mark}><th scope='row'>{_escape(name)}{said}</th><td class='number'>{value:.1%}</td>{bar}</tr>"
        )
    return f"<table class='bars'>{''.join(rows)}</table>"


def _paragraph(text: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{_escape(text)}</p>"


def _escape(text: str) -> str:
    return html.escape(_plain(text), quote=True)


def _plain(text: str) -> str:
    """Text without control characters and marks of direction, which would break a line or turn it round."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(text))
