"""How answers look on the page: pictures, tables and sentences as HTML, in which every text is escaped."""

import base64
import html
import io

import numpy as np
import pandas as pd
from PIL import Image

# JupyterLab takes arrow keys and letters for its cells; what has the focus in here keeps its keys.
KEEP_KEYS = (
    "const box = this.closest('.explore'); if (box) box.addEventListener('focusin', "
    "event => event.target.setAttribute('data-lm-suppress-shortcuts', 'true'))"
)
STYLE = (
    f'<style onload="{KEEP_KEYS}">'
    + """
.explore { --line: var(--jp-border-color1, #d7dbe0); --ink: var(--jp-ui-font-color1, #1f2328);
  --soft: var(--jp-ui-font-color2, #5f6670); color: var(--ink); padding: 4px 2px; }
.explore .widget-html-content { line-height: 1.4; color: var(--ink); }
.explore h3 { margin: 8px 0 2px; font-size: 14px; }
.explore .widget-select .widget-label { position: absolute; width: 1px; overflow: hidden; clip-path: inset(50%); }
.explore .widget-select select { font: 12px var(--jp-code-font-family, monospace); padding: 2px 4px; }
.explore pre.columns { font-family: var(--jp-code-font-family, monospace); font-size: 12px; margin: 0; padding: 0 9px;
  color: var(--soft); overflow: hidden; line-height: 1.3; }
.explore .widget-readout { min-width: 3em; width: 3em; }
.explore .fold .widget-readout { min-width: 8em; width: 8em; }
.explore p { margin: 0 0 4px; color: var(--soft); overflow-wrap: anywhere; }
.explore p.title { font-size: 16px; font-weight: 600; color: var(--ink); }
.explore p.notice, .explore p.warn { border-left: 4px solid #0072b2; padding: 4px 10px; color: var(--ink); }
.explore p.warn { border-color: #d55e00; }
.explore a.save { color: var(--jp-content-link-color, #0057ad); text-decoration: underline; }
.explore figure { margin: 0 0 4px; }
.explore img { display: block; width: 100%; max-width: 300px; aspect-ratio: 1; border-radius: 3px; }
.explore figcaption { font-size: 12px; color: var(--soft); margin-top: 3px; overflow-wrap: anywhere; }
.explore .near { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 10px 14px; }
.explore .near img { max-width: 130px; }
.explore .near figcaption { font-size: 11px; line-height: 1.3; overflow-wrap: break-word; }
.explore .near b { display: inline-block; background: #0072b2; color: #fff; border-radius: 3px; padding: 0 6px; }
.explore .near b.train { background: #b34700; }
.explore table.bars { border-collapse: collapse; width: 100%; max-width: 900px; font-size: 13px; }
.explore .bars th, .explore .bars td { padding: 1px 8px 1px 0; text-align: left; font-weight: normal; }
.explore .bars thead th { color: var(--soft); font-size: 12px; vertical-align: bottom; }
.explore .bars td.bar { width: 60%; }
.explore .bars thead ~ tbody td.bar { width: 26%; }
.explore .bars td.number { text-align: right; width: 4em; font-variant-numeric: tabular-nums; }
.explore .bars div { height: 12px; background: #0072b2; border-radius: 2px; }
.explore .bars td.second div { background: #b8860b; }
.explore .bars tr.true th { font-weight: 600; }
.explore .bars tr.true td.first div { background: #009e73; }
</style>"""
)


def figure(pixels: np.ndarray, alternative: str, caption: str, title: str = "", mark: str = "", kind: str = "") -> str:
    """A picture with its caption, and a badge `mark` of a `kind` of the style; every text is escaped here."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode()
    badge = f"<b class='{escape(kind)}'>{escape(mark)}</b> " if mark else ""
    name = f"{escape(title)}<br>" if title else ""
    return (
        f"<figure><img src='data:image/png;base64,{data}' alt='{escape(alternative)}'>"
        f"<figcaption>{badge}{name}{escape(caption)}</figcaption></figure>"
    )


def gallery(figures: list[str]) -> str:
    return f"<div class='near'>{''.join(figures)}</div>"


def bars(answers: pd.DataFrame, true: str | None) -> str:
    """Probabilities as a table with bars, the first model's likeliest class first; the true class is marked in words
    and colour.

    Args:
        answers: a row a class, a column a model, one or two; NaN where a model does not have the class. With two
            models a last column shows the first less the second, in points.
    """
    answers = answers.sort_values(answers.columns[0], ascending=False, na_position="last", kind="stable")
    two = len(answers.columns) > 1
    head = "".join(f"<th scope='col' colspan='2'>{escape(name)}</th>" for name in answers.columns) if two else ""
    difference = "<th scope='col'>difference, points</th>"
    top = f"<thead><tr><th scope='col'>class</th>{head}{difference}</tr></thead>" if two else ""
    rows = []
    for name, values in zip(answers.index, answers.to_numpy(float)):
        mark, words = (" class='true'", " (true)") if name == true else ("", "")
        shown = "".join(_bar(value, place) for value, place in zip(values, ("first", "second")))
        if two:
            less = 100 * (values[0] - values[1])
            shown += f"<td class='number'>{'' if np.isnan(less) else f'{less:+.1f}'}</td>"
        rows.append(f"<tr{mark}><th scope='row'>{escape(name)}{words}</th>{shown}</tr>")
    return f"<table class='bars'>{top}<tbody>{''.join(rows)}</tbody></table>"


def _bar(value: float, place: str) -> str:
    if np.isnan(value):
        return f"<td class='number'>–</td><td class='bar {place}'></td>"
    return (
        f"<td class='number'>{value:.1%}</td><td class='bar {place}'><div style='width:{100 * value:.2f}%'></div></td>"
    )


def columns(header: str) -> str:
    """The line over a list whose columns are aligned with spaces."""
    return f"<pre class='columns'>{escape(header)}</pre>"


def save_link(content: bytes, mime: str, name: str) -> str:
    """A link that saves `content` under `name`, without a file on the server."""
    data = base64.b64encode(content).decode()
    return (
        f"<a class='save' download='{escape(name)}' href='data:{escape(mime)};base64,{data}'>"
        f"Save {escape(name)}</a> ({len(content) / 1024:,.0f} kB)"
    )


def paragraph(text: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{escape(text)}</p>"


def escape(text: str) -> str:
    return html.escape(plain(text), quote=True)


def plain(text: str) -> str:
    """Text without control characters and marks of direction, which would break a line or turn it round."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(text))
