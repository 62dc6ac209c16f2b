"""How answers look on the page: pictures, tables and sentences as HTML, in which every text is escaped."""

import base64
import html
import io
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML
from PIL import Image

# JupyterLab takes arrow keys and letters for its cells; what has the focus in here keeps its keys
KEEP_KEYS = (
    "const box = this.closest('.explore'); if (box) box.addEventListener('focusin', "
    "event => event.target.setAttribute('data-lm-suppress-shortcuts', 'true'))"
)


def style() -> str:
    """The style of everything within `.explore`."""
    return f'<style onload="{KEEP_KEYS}">{Path(__file__).with_name("style.css").read_text(encoding="utf-8")}</style>'


def figure(pixels: np.ndarray, alternative: str, caption: str, badge: str = "", kind: str = "") -> str:
    """A picture with its caption, and before that a badge of a `kind` of the style."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode()
    mark = f"<b class='{escape(kind)}'>{escape(badge)}</b> " if badge else ""
    return (
        f"<figure><img src='data:image/png;base64,{data}' alt='{escape(alternative)}'>"
        f"<figcaption>{mark}{escape(caption)}</figcaption></figure>"
    )


def gallery(figures: list[str], size: str = "") -> str:
    """Figures side by side; `small` ones or not."""
    return f"<div class='{size} gallery'>{''.join(figures)}</div>"


def bars(probabilities: pd.DataFrame, true: str | None) -> str:
    """Probabilities, one row per class and one column per model, as a table with bars, the first model's likeliest
    class first; NaN where a model does not have the class. The true class is marked in words."""
    models = list(probabilities.columns)
    table = probabilities.sort_values(models[0], ascending=False, kind="stable")
    table = table.rename(lambda name: f"{name} (true)" if name == true else name).rename_axis(columns="class")
    shown = table.style.format("{:.1%}", na_rep="–").bar(color="#0072b266", vmin=0, vmax=1)
    return (
        shown.format_index(escape, axis=0).format_index(escape, axis=1).set_table_attributes("class='bars'").to_html()
    )


def folded(table: pd.DataFrame, title: str) -> HTML:
    """A long table in a notebook, which opens by a click; of an empty one its title says so."""
    if table.empty:
        return HTML(paragraph(f"{title}: none."))
    rows = table.to_html(na_rep="–", border=0)
    return HTML(f"<details><summary>{escape(title)} ({len(table)} rows)</summary>{rows}</details>")


def paragraph(text: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{escape(text)}</p>" if text.strip() else ""


def escape(text: str) -> str:
    return html.escape(plain(text), quote=True)


def plain(text: str) -> str:
    """Text without control characters and marks of direction, which would break a line or reverse it."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(text))
