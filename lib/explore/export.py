"""What is shown, to take along: the figure as PNG or SVG, the list as CSV."""

import io
import re

import numpy as np
import pandas as pd

from lib.explain import gradcam, kmeans
from lib.explore.column import Column
from lib.explore.opened import Opened
from lib.explore.panels import difference
from lib.figures.explored import draw_explored

MIME = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv"}
DPI = 200
NOTE = "Research software for examining a paper; no medical device."


def pictures(
    image: np.ndarray, columns: list[Column], cut: kmeans.Segmentation, opacity: float
) -> list[tuple[str, np.ndarray]]:
    """The image, each model's map over it, the difference of two maps of one class, and the segments, with titles."""
    found = [("image", image)]
    mapped = [column for column in columns if column.heat is not None]
    for number, column in enumerate(mapped, 1):
        which = f" {number}" if len(mapped) > 1 else ""
        found.append((f"Grad-CAM{which}, {column.explains}", gradcam.overlay(image, column.heat, opacity)))
    if len(mapped) == 2 and mapped[0].explains == mapped[1].explains:
        gap = difference(image, mapped[0].heat, mapped[1].heat)
        found.append(("more in map 1 (orange), in map 2 (blue)", gap))
    return [*found, (f"k-means, {len(cut.names)} segments", kmeans.paint(cut))]


def picture(
    kind: str,
    shown: list[tuple[str, np.ndarray]],
    probabilities: pd.DataFrame,
    first: Column,
    title: str,
    synthetic: bool,
) -> bytes:
    """The figure of what is shown, as the bytes of a `png` or `svg` file; what must be said of it stands beneath."""
    true = first.subject["true_class"] if first.subject else None
    drawn = "Synthetic image. " if synthetic else ""
    figure = draw_explored(shown, probabilities, true, title, f"{drawn}{' '.join([*first.cautions(), NOTE])}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI)
    return buffer.getvalue()


def table(opened: Opened, listed: pd.DataFrame) -> bytes:
    """The list as CSV with the saved probability of every class; UTF-8, fractions of 1."""
    key = ["source", "view", "fold", "part"]
    told = opened.predictions[[*key, *opened.names]]
    return listed.merge(told, on=key, how="left").to_csv(index=False).encode()


def file_name(kind: str, *parts: str) -> str:
    """A name that any system takes: what is no letter, digit, dot or hyphen becomes `-`."""
    words = [re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in parts]
    return f"{'-'.join(filter(None, words))[:80] or 'explore'}.{kind}"
