"""How the widgets look: pictures, bars and sentences as HTML, in which every text is escaped."""

import base64
import html
import io

import ipywidgets as widgets
import numpy as np
import pandas as pd
from PIL import Image

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


def figure(pixels: np.ndarray, alternative: str, caption: str, title: str = "", mark: str = "") -> str:
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


def bars(probabilities: dict[str, float], true: str | None) -> str:
    """Probabilities as a table with bars, the most likely first; the true class is marked in words and colour."""
    rows = []
    for name, value in sorted(probabilities.items(), key=lambda item: -item[1]):
        mark, words = (" class='true'", " (true)") if name == true else ("", "")
        bar = f"<td class='bar'><div style='width:{100 * value:.2f}%'></div></td>"
        rows.append(
            f"<tr{mark}><th scope='row'>{_escape(name)}{words}</th><td class='number'>{value:.1%}</td>{bar}</tr>"
        )
    return f"<table class='bars'>{''.join(rows)}</table>"


def headline(subject: dict, probabilities: dict[str, float]) -> str:
    """What the model says of an image of the study, and what that image is.

    Args:
        subject: a saved prediction with `lesion_id`, `class` under the protocol and `folder_class`.
    """
    best = max(probabilities, key=probabilities.get)
    true = subject["true_class"]
    right = "right" if best == true else f"wrong: it is {true}"
    view = f"augmented view {subject['view']}" if subject["view"] else "the original"
    lesion = f"lesion {subject['lesion_id']}" if subject["lesion_id"] else "lesion not known"
    moved = "" if subject["folder_class"] == subject["class"] else f", filed under {subject['folder_class']}"
    return paragraph(
        f"{subject['image_id']}: the model says {best} ({probabilities[best]:.0%}), {right}", "title"
    ) + paragraph(f"{subject['source']}{moved}; {view}, {subject['part']} part of fold {subject['fold']}, {lesion}")


def about_neighbours(neighbours: pd.DataFrame, subject: dict | None) -> str:
    """One sentence on the nearest images of an image of the study, or of a picture of one's own (None)."""
    n = len(neighbours)
    if not subject:
        return f"The {n} nearest. Whether one shows the lesion of your picture is not known."
    related = neighbours["relation"] != ""
    linked, trained = int(related.sum()), int((related & (neighbours["part"] == "train")).sum())
    alike = int((neighbours["label"] == subject["true_class"]).sum())
    return (
        f"Same picture, lesion or group of duplicates, as far as lesions are known: {linked} of the {n} nearest; "
        f"{trained} of these the model of fold {subject['fold']} was trained on. "
        f"Same class: {alike} of {n}."
    )


def choice(text: str, options=(), value=None, label_width: str = "6.5em") -> widgets.Dropdown:
    """A list to choose from, with its label."""
    style, layout = {"description_width": label_width}, widgets.Layout(width="auto")
    box = widgets.Dropdown(description=text, options=options, style=style, layout=layout)
    box.value = value if value is not None else box.value
    return box


def grid(children: list, least: str, **layout) -> widgets.GridBox:
    """Children side by side, as many in a row as fit with a width of `least`."""
    columns = f"repeat(auto-fit, minmax({least}, 1fr))"
    return widgets.GridBox(
        children, layout=widgets.Layout(grid_template_columns=columns, grid_gap="4px 20px", **layout)
    )


def panel(title: str, *children: widgets.Widget) -> widgets.VBox:
    """Children under a heading."""
    return widgets.VBox([widgets.HTML(f"<h3>{title}</h3>"), *children])


def paragraph(text: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{_escape(text)}</p>"


def _escape(text: str) -> str:
    return html.escape(plain(text), quote=True)


def plain(text: str) -> str:
    """Text without control characters and marks of direction, which would break a line or turn it round."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(text))
