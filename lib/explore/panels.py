"""How does each answer look: maps, segments, related and nearest images, and the lines of the list, as HTML?"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pandas as pd

from lib.explain import gradcam, kmeans
from lib.explore.answers import PARTS, about_neighbours, about_relatives
from lib.explore.html import figure, gallery, paragraph, plain

MOST_RELATIVES = 12
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)  # RGB, Okabe-Ito
WIDTHS = {"number": 5, "image": 22, "fold": 5, "true": 27, "answer": 32, "sure": 5}  # letters, of the list's columns
HEADER = {"number": "", "image": "image", "fold": "fold", "true": "true class", "answer": "answer", "sure": ""}

Namer = Callable[[str], str]  # alternative text of a picture, which says so where it is synthetic


def map_panel(
    image: np.ndarray, heat: np.ndarray, label: str, lesion: np.ndarray, opacity: float, more: str, named: Namer
) -> str:
    """A Grad-CAM map over its image, with the share of it in the abnormal segment."""
    if heat.any():
        share = gradcam.share_in_lesion(heat, lesion)
        said = f"{share:.0%} of the map lies in the abnormal segment, which covers {lesion.mean():.0%}."
    else:
        said = "Nothing in the image speaks for this class: the map is zero."
    picture = gradcam.overlay(image, heat, opacity)
    return figure(picture, named(f"Grad-CAM map for {label} over the image"), f"For {label}. {said}{more}")


def difference_panel(image: np.ndarray, first: np.ndarray, second: np.ndarray, label: str, named: Namer) -> str:
    """Where two maps of one class differ, over the image in grey."""
    gap = float(np.abs(first - second).mean())
    caption = f"For {label}. Orange: more in the first map, blue: more in the second. Mean difference {gap:.2f}."
    return figure(difference(image, first, second), named("difference of the two maps over the image"), caption)


def difference(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The image in grey, orange where the first map [s, s] (0 to 1) is larger, blue where the second is: uint8."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    gap = (first - second)[..., None]
    colour = np.where(gap > 0, np.float32(ORANGE), np.float32(BLUE))
    opacity = np.minimum(np.abs(gap), 1) * 0.85
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)


def segments_panel(image: np.ndarray, cut: kmeans.Segmentation, painted: str, named: Namer) -> str:
    """The segments in their mean colours, or the outline of what is named abnormal."""
    picture = kmeans.paint(cut) if painted == "segments" else kmeans.outline(image, cut.mask)
    areas = pd.Series(cut.areas).groupby(list(cut.names)).sum().sort_values(ascending=False)
    shares = ", ".join(f"{name} {area:.0%}" for name, area in areas.items())
    caption = f"{shares}. Equation 9: J = {cut.inertia / cut.labels.size:,.0f} a pixel."
    return figure(picture, named("the segments"), caption)


def relatives_panel(images: np.ndarray, kin: pd.DataFrame, subject: dict[str, Any], named: Namer) -> str:
    """The views that belong to an image, those in training first.

    Args:
        kin: what lib.explore.related.relatives gives.
    """
    figures = []
    for other in kin.head(MOST_RELATIVES).to_dict("records"):
        filed = other["folder_class"]
        label = "" if filed == subject["folder_class"] else f", filed under {filed}"
        figures.append(
            figure(
                images[other["row"]],
                named(f"{other['relation']}: {view_name(other)}"),
                f"{PARTS[other['part']]}{label}",
                view_name(other),
                other["relation"],
                "train" if other["part"] == "train" else "",
            )
        )
    more = len(kin) - len(figures)
    rest = paragraph(f"{more} more are not shown.") if more > 0 else ""
    return paragraph(about_relatives(kin, subject)) + gallery(figures) + rest


def neighbours_panel(images: np.ndarray, neighbours: pd.DataFrame, subject: dict[str, Any] | None, named: Namer) -> str:
    """The nearest images with their distance; `neighbours` has what `nearest` gives, and `relation`."""
    figures = []
    for place, other in enumerate(neighbours.to_dict("records"), 1):
        caption = f"{place}. {other['label']}, {PARTS[other['part']]}, at {other['distance']:.2g}"
        badge = "train" if other["part"] == "train" else ""
        name = view_name(other)
        figures.append(figure(images[other["row"]], named(name), caption, name, other["relation"], badge))
    return paragraph(about_neighbours(neighbours, subject)) + gallery(figures)


def view_name(view: dict[str, Any]) -> str:
    """`ISIC_0024306`, or `ISIC_0024306 view 3` where it is augmented."""
    return f"{view['image_id']} view {view['view']}" if view["view"] else str(view["image_id"])


def list_header() -> str:
    return _aligned(HEADER) + "why"


def list_lines(listed: pd.DataFrame) -> list[str]:
    """A line an image of a list of lib.explore.lists, its columns aligned by spaces."""
    lines = []
    for place, row in enumerate(listed.to_dict("records"), 1):
        known = isinstance(row["predicted_class"], str)
        right = known and row["predicted_class"] == row["true_class"]
        answer = ("right" if right else f"says {row['predicted_class']}") if known else "not saved"
        cells = {
            "number": f"{place}.",
            "image": view_name(row),
            "fold": f"{row['fold']:.0f}" if known else "–",
            "true": row["true_class"],
            "answer": answer,
            "sure": f"{row['probability']:.0%}" if known else "",
        }
        lines.append((_aligned(cells) + plain(row["note"])).rstrip())
    return lines


def _aligned(cells: dict[str, str]) -> str:
    return "".join(f"{_cut(plain(text), WIDTHS[name] - 1):<{WIDTHS[name]}}" for name, text in cells.items())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
