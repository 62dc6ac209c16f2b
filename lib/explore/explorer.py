"""A window on a study's results for JupyterLab: one image at a time, and what one model, or two, make of it.

Names of files and classes are data: they reach the page as plain text.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from lib.config.paths import StudyPaths
from lib.data import preprocess
from lib.data.folder import UnreadableImage
from lib.explain import kmeans
from lib.explore import answers, export, lists, panels
from lib.explore.column import Column, side_by_side, title
from lib.explore.controls import LIKELIEST, PARTS, SYNTHETIC, Controls, Quiet, shown
from lib.explore.html import bars, figure, paragraph, plain, save_link
from lib.explore.memory import Memory, decode_upload
from lib.explore.opened import open_model
from lib.explore.related import nearest, relations, relatives
from lib.explore.results import AXES, find_models, find_studies, is_synthetic
from lib.explore.threshold import at_threshold, has_threshold, malignancy

MOST_LISTED = 1000


class Explorer:
    """The widgets on the results of one study at a time, and the state behind them.

    Args:
        results: a study's results folder; the studies beside it can be chosen too.
        weights_dir: folder of pretrained weights, as for lib.models.networks.load; empty: Keras downloads ImageNet's.

    Attributes:
        view: the whole as one widget; display it.
        ui: its widgets by name.
        first, second: the model that is looked at, and the one beside it, with their answers and maps
            (lib.explore.column.Column); None where there is none.
        listed: the table of the images that can be chosen (lib.explore.lists).
        image: uint8 [s, s, 3], what is looked at as the network sees it; None where there is nothing.
        own: name and pixels of a picture of one's own, where that is looked at.
        segmentation: the image's lib.explain.kmeans.Segmentation.
        kin: rows of lib.explore.related.relatives.
        neighbours: rows of `nearest`, with `relation`.
        seconds: wall and processor time of the last answer.
    """

    def __init__(self, results: str, weights_dir: str = ""):
        self.ui, self.quiet = Controls(), Quiet()
        self.view = self.ui.view
        self.memory = Memory(weights_dir, self._tell_loading)
        self.studies = find_studies(Path(results))
        self.first: Column | None = None
        self.second: Column | None = None
        self.own: tuple[str, np.ndarray] | None = None
        self.seconds = (0.0, 0.0)
        self._anchor: tuple[str, int] | None = None
        self._forget()
        self._connect()
        shown(self.ui.second, False)
        if self.studies:
            first, names = Path(results).resolve().name, list(self.studies)
            self.quiet.fill(self.ui.study, [(plain(n), n) for n in names], first if first in names else names[0])
            self._open_study()
        else:
            self._tell(
                f"No study beside {results} has a trained model yet. Make one, in the repository's folder: "
                "python run_all.py demo (or: make demo). Then run this notebook again."
            )
            shown(self.ui.body, False)

    # which model, and which images

    def _open_study(self) -> None:
        self.paths = StudyPaths(self.studies[self.ui.study.value])
        self.models = find_models(self.paths.root)
        self.synthetic = is_synthetic(self.paths)
        self.ui.banner.value = paragraph(SYNTHETIC, "warn") if self.synthetic else ""
        self.own = self.second = self._anchor = None
        self._ranked: tuple[pd.DataFrame, str] | None = None
        shown(self.ui.second, False)
        with self.quiet.filling():
            self.ui.beside.value = False
            self.ui.lists.value = "leaked" if "by_view" in set(self.models["protocol"]) else "all"
        self._open({"protocol": "by_view"})

    def _open(self, prefer: dict[str, Any] | None = None) -> None:
        """Open the model that the axes name."""
        self.first = self._column(self.ui.axes, prefer or {})
        if self.first is None:
            self._forget()
            shown(self.ui.panels, False)
            self.ui.title.value = ""
            return
        opened, ui = self.first.opened, self.ui
        names = [(plain(name), name) for name in opened.names]
        self.quiet.fill(ui.label, [("every class", lists.EVERY_CLASS), *names], ui.label.value)
        self.quiet.fill(ui.explained, [("the class it names", LIKELIEST), *names], ui.explained.value)
        parts = [part for part in PARTS if opened.missing or part[1] != lists.OTHER]
        self.quiet.fill(ui.part, parts, ui.part.value)
        folds = [(f"{fold}, saved" if fold == opened.saved_fold else str(fold), fold) for fold in opened.folds]
        self.quiet.fill(ui.fold, [*folds, ("all folds", lists.EVERY_FOLD)], ui.fold.value)
        self._list()

    def _column(self, axes: dict[str, widgets.Dropdown], prefer: dict[str, Any]) -> Column | None:
        """Offer for each axis the values that are left by the axes before it, and read the model that remains."""
        left = self.models
        for axis, widget in axes.items():
            values = list(dict.fromkeys(left[axis]))
            default = values[-1] if axis == "protocol" else values[0]
            wanted = prefer.get(axis, widget.value)
            self.quiet.fill(widget, values, wanted if wanted in values else default)
            shown(widget, len(values) > 1 or axis not in ("preprocessing", "seed"))
            left = left[left[axis] == widget.value]
        try:
            return Column(open_model(self.paths, left.iloc[0].to_dict()), self.memory, self._tell)
        except (OSError, ValueError, KeyError) as error:  # files that were deleted, or are of another version
            self._tell(f"This model's files cannot be read ({error}); run its study again, or choose another.")
            return None

    def _set_second(self) -> None:
        """Put a second model beside the first; it begins as the same one under the last protocol there is."""
        shown(self.ui.second, self.ui.beside.value)
        if self.ui.beside.value:
            prefer = {axis: self.ui.axes[axis].value for axis in AXES}
            self._open_second(prefer | {"protocol": list(dict.fromkeys(self.models["protocol"]))[-1]})
        else:
            self.second = None
            self._show()

    def _open_second(self, prefer: dict[str, Any] | None = None) -> None:
        self.second = self._column(self.ui.axes_second, prefer or {})
        refused = "" if self.second else self.ui.message.value
        self._show()
        self.ui.message.value = refused or self.ui.message.value

    def _list(self) -> None:
        """Fill the list of images, and show the one that was chosen before, or the first."""
        ui, opened = self.ui, self.first.opened
        anchor = opened.subject(*self._anchor) if self._anchor else None
        found, told = lists.asked(opened, ui.lists.value, ui.part.value, ui.fold.value, anchor, self._rank)
        found = lists.of_class(found, ui.label.value)
        self.listed = found.head(MOST_LISTED)
        keys = list(zip(self.listed["source"], self.listed["view"]))
        kept = ui.chooser.value if ui.chooser.value in keys else next(iter(keys), None)
        self.quiet.fill(ui.chooser, list(zip(panels.list_lines(self.listed), keys)), kept)
        cut = f", of which the first {MOST_LISTED:,} are listed" if len(found) > MOST_LISTED else ""
        ui.count.value = paragraph(f"{len(found):,} images{cut}. {told}")
        self._show()

    def _rank(self) -> tuple[pd.DataFrame, str]:
        if self._ranked is None:
            self._ranked = lists.rank_labels(self.first.opened, self.models)
        return self._ranked

    # what is shown of an image

    def _forget(self) -> None:
        self.image = self.segmentation = self.kin = self.neighbours = None
        for column in self._columns():
            column.forget()

    def _columns(self) -> list[Column]:
        return [column for column in (self.first, self.second) if column]

    def _show(self) -> None:
        """Everything about the image that is chosen, or about the one that was uploaded."""
        if self.first is None:
            return
        ui = self.ui
        with self._timed(), ExitStack() as together:
            for widget in (ui.title, ui.shown, ui.overlaid, ui.overlaid_second, ui.gap, ui.segments, ui.bars, ui.near):
                together.enter_context(widget.hold_sync())  # never half of one image and half of another
            self._forget()
            self._tell("")
            ui.saved_figure.value = ui.saved_table.value = ""
            shown(ui.back, bool(self.own))
            self._look()
            shown(ui.panels, self.image is not None)
            if self.image is None:
                ui.title.value = "" if self.own else paragraph("No image is like this; choose others.", "title")
                return
            ui.title.value = title(self._columns(), self.own[0] if self.own else "")
            ui.shown.value = figure(self.image, self._named("the image"), self._size())
            true = self.first.subject["true_class"] if self.first.subject else None
            ui.bars.value = bars(self.probabilities(), true)
            self._show_segments()
            self._show_maps()
            self._show_relatives()
            self._show_threshold()
            self._show_neighbours()

    def _look(self) -> None:
        """Find the image, and ask both models."""
        key = self.ui.chooser.value
        if self.own:
            size = self.first.input_size()
            if size is None:
                return
            self.image = preprocess.resize(self.own[1], size)
            subjects = [None, None]
        elif key is None:
            return
        else:
            self._anchor = key
            part = "val" if self.ui.part.value == "val" and self.ui.lists.value in lists.OF_A_PART else "test"
            subjects = [self.first.opened.subject(*key, part), self.second and self.second.opened.subject(*key)]
            self.image = np.array(self.first.opened.images[subjects[0]["row"]])
        for column, subject in zip(self._columns(), subjects):
            column.look(self.image, subject)

    def probabilities(self) -> pd.DataFrame:
        """A row a class, a column a model; NaN where a model does not have the class, or gave no answer."""
        return side_by_side(self._columns())

    def _show_segments(self) -> None:
        init, attempts = self.ui.init.value
        self.segmentation = kmeans.segment(
            self.image, self.ui.k.value, self.ui.kind.value, init=init, attempts=attempts, seed=self.ui.start.value
        )
        self.ui.segments.value = panels.segments_panel(
            self.image, self.segmentation, self.ui.painted.value, self._named
        )

    def _show_maps(self) -> None:
        """Both models' maps of the class to explain."""
        self.first.explain(self.image, self.ui.explained.value)
        if self.second:
            self.second.explain(self.image, self.first.explains or "")
        self._show_overlays()

    def _show_overlays(self) -> None:
        ui, first, second = self.ui, self.first, self.second
        how = self.segmentation.mask, ui.opacity.value, self._named
        ui.overlaid.value = first.overlay(self.image, *how)
        alike = bool(second) and first.explains == second.explains and all(c.heat is not None for c in (first, second))
        shown(ui.map_second, bool(second))
        shown(ui.map_gap, alike)
        if second:
            ui.overlaid_second.value = second.overlay(self.image, *how)
        if alike:
            ui.gap.value = panels.difference_panel(self.image, first.heat, second.heat, first.explains, self._named)

    def _show_relatives(self) -> None:
        subject = self.first.subject
        if subject is None:
            self.ui.kin.value = paragraph("Not known of your own picture.")
            return
        self.kin = relatives(self.first.opened, subject)
        self.ui.kin.value = panels.relatives_panel(self.first.opened.images, self.kin, subject, self._named)

    def _show_threshold(self) -> None:
        opened, fold, threshold = self.first.opened, self.ui.fold.value, self.ui.threshold.value
        scenario, probabilities = opened.chosen["scenario"], self.first.probabilities
        possible = has_threshold(scenario)
        shown(self.ui.threshold, possible)
        counts = here = None
        if possible:
            counts = at_threshold(opened, threshold, None if fold == lists.EVERY_FOLD else fold)
            here = float(malignancy(pd.DataFrame([probabilities]), scenario)[0]) if probabilities else None
        where = "all folds" if fold == lists.EVERY_FOLD else f"fold {fold}"
        self.ui.about_threshold.value = paragraph(answers.about_threshold(opened, counts, threshold, here, where))

    def _show_neighbours(self) -> None:
        opened, subject = self.first.opened, self.first.subject
        try:
            features = self.memory.features(opened)
        except (OSError, ValueError) as error:
            self.ui.near.value = paragraph(f"The features cannot be read ({error}); run the step `features` again.")
            return
        pool = opened.pool(subject["fold"] if subject else opened.saved_fold)
        pool = pool[pool["part"] == "train"] if self.ui.among.value == "train" else pool
        row = subject["row"] if subject else -1
        near = nearest(features, features[row] if subject else self.first.query, pool, self.ui.metric.value, skip=row)
        self.neighbours = near.assign(relation=relations(subject, near) if subject else "")
        self.ui.near.value = panels.neighbours_panel(opened.images, self.neighbours, subject, self._named)

    def _named(self, what: str) -> str:
        """Alternative text, which says so where an image is synthetic."""
        return f"{what}, synthetic" if self.synthetic and not self.own else what

    def _size(self) -> str:
        side = self.image.shape[0]
        drawn = " Synthetic." if self.synthetic and not self.own else ""
        return f"As the network sees it, {side} x {side} px.{drawn}"

    # what happens

    def _connect(self) -> None:
        ui = self.ui
        look = self._on_part_of_view
        for act, some in (
            (self._open_study, [ui.study]),
            (self._open, ui.axes.values()),
            (self._set_second, [ui.beside]),
            (self._open_second, ui.axes_second.values()),
            (self._on_filter, [ui.lists, ui.part, ui.fold, ui.label]),
            (self._on_choice, [ui.chooser]),
            (self._on_upload, [ui.upload]),
            (look(self._show_maps), [ui.explained]),
            (look(self._show_overlays), [ui.opacity]),
            (look(self._on_segments), [ui.k, ui.start, ui.init, ui.kind]),
            (look(self._show_segments), [ui.painted]),
            (look(self._show_threshold), [ui.threshold]),
            (look(self._show_neighbours), [ui.metric, ui.among]),
        ):
            for widget in some:
                self.quiet.on(widget, act)
        for act, widget in (
            (self._on_choice, ui.back),
            (lambda: self._step(-1), ui.before),
            (lambda: self._step(1), ui.next),
            (lambda: self._save_figure("png"), ui.png),
            (lambda: self._save_figure("svg"), ui.svg),
            (self._save_table, ui.csv),
        ):
            widget.on_click(lambda _, act=act: act())

    def _on_choice(self) -> None:
        self.own = None
        self._show()

    def _on_filter(self) -> None:
        self.own = None
        if self.first is None:
            return
        with self.quiet.filling():
            self.ui.chooser.value = None  # begin with the first of the new list
        self._list()

    def _on_upload(self) -> None:
        if not self.ui.upload.value:
            return
        given = self.ui.upload.value[0]
        name = plain(given["name"])
        with self.quiet.filling():
            self.ui.upload.value = ()  # so that the same file can be given again
        try:
            self.own = (name, decode_upload(bytes(given["content"])))
        except UnreadableImage as error:
            self._tell(f"{name} was refused: {error}. Give a JPEG, PNG, BMP, TIFF or WebP picture.")
            return
        self._show()

    def _on_part_of_view(self, show: Callable[[], None]) -> Callable[[], None]:
        """`show` where there is an image to show something of, timed."""

        def act() -> None:
            if self.image is not None:
                with self._timed():
                    show()

        return act

    def _on_segments(self) -> None:
        self._show_segments()
        self._show_overlays()  # their captions compare the maps with the segments

    def _step(self, by: int) -> None:
        """The next image of the list, or the one before; it ends at its ends."""
        place, count = self.ui.chooser.index, len(self.ui.chooser.options)
        if place is not None and count:
            self.ui.chooser.index = min(max(place + by, 0), count - 1)

    def _save_figure(self, kind: str) -> None:
        """A link to what is shown, as a picture."""
        if self.image is None:
            return
        with self._timed():
            name = self.own[0] if self.own else panels.view_name(self.first.subject)
            content = export.picture(
                kind,
                export.pictures(self.image, self._columns(), self.segmentation, self.ui.opacity.value),
                self.probabilities(),
                self.first,
                f"{self.paths.root.name}: {self.first.headline(name)}",
                self.synthetic and not self.own,
            )
            name = export.file_name(kind, self.paths.root.name, name)
            self.ui.saved_figure.value = save_link(content, export.MIME[kind], name)

    def _save_table(self) -> None:
        """A link to the list, with all its probabilities."""
        if self.first is None:
            return
        with self._timed():
            content = export.table(self.first.opened, self.listed)
            name = export.file_name("csv", self.paths.root.name, self.ui.lists.value)
            self.ui.saved_table.value = save_link(content, export.MIME["csv"], name)

    @contextmanager
    def _timed(self):
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds = (time.perf_counter() - wall, time.process_time() - processor)
        self.ui.clock.value = f"Answered in {self.seconds[0]:.2f} s ({self.seconds[1]:.2f} s of processor time)."

    def _tell_loading(self, text: str) -> None:
        self.ui.loading.value = paragraph(text) if text else ""

    def _tell(self, text: str) -> None:
        self.ui.message.value = paragraph(text, "warn") if text else ""
