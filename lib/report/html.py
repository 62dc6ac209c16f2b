"""What the pages are made of: tables, figures, notes and numbers as HTML, by templates that escape every name."""

import base64
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2
from IPython.display import HTML
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from lib.config.paths import LIB, StudyPaths
from lib.config.printed import roman
from lib.config.schema import read_yaml
from lib.figures.style import encode
from lib.report.columns import named
from lib.report.data import executed_notebooks
from lib.report.wording import percent, span

TEMPLATE = LIB / "report" / "template"
EXECUTED = "../notebooks/{}.ipynb"  # address of an executed notebook, seen from the report


@cache
def templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATE / "parts", TEMPLATE]), undefined=jinja2.StrictUndefined,
        autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=visible,
    )  # fmt: skip
    environment.filters |= {function.__name__: function for function in (marked, named, percent, roman, span)}
    return environment


def part(name: str, **values: Any) -> HTML:
    return HTML(templates().get_template(f"{name}.html.j2").render(**values))


def side_by_side(parts: Iterable[HTML]) -> HTML:
    """Parts beside each other where the page is wide enough."""
    return HTML(f'<div class="side-by-side">{"".join(part.data for part in parts)}</div>')


def page_resources(title: str) -> dict[str, Markup]:
    """What the head and the foot of a self-contained page hold: title, style and script."""
    style, script = (Markup((TEMPLATE / name).read_text(encoding="utf-8")) for name in ("style.css", "script.js"))
    return {"page_title": Markup(escape(visible(title))), "style": style, "script": script}


def missing(text: str, figure: int = 0) -> HTML:
    """Say that something is not there, where it would have been; `figure` is the paper's figure it belongs to."""
    return part("missing", text=text, paper=paper_figures().get(figure), id=f"fig-{figure}" if figure else "")


def figure(name: str, figure: Figure | None, title: str, caption: str, alt: str, source: str, paper: int = 0) -> HTML:
    """A figure with its caption, alternative text and the file its numbers come from; None where there is nothing to
    draw, which is said in its place."""
    if figure is None:
        return missing(f"{title}: {source} has nothing to draw.", paper)
    (mime, drawn), (width, height) = encode(figure), (round(96 * side) for side in figure.get_size_inches())
    picture = {"src": f"data:{mime};base64,{base64.b64encode(drawn).decode()}", "width": width, "height": height}
    return part(
        "figure", id=name, picture=picture, title=title, caption=caption, alt=alt, source=source,
        paper=paper_figures().get(paper), number=paper, drawn=EXECUTED.format("report"),
    )  # fmt: skip


def notebook(paths: StudyPaths, run: str) -> str:
    """Address of the page of a run's executed notebook, seen from the report; empty where it was not executed."""
    return f"notebooks/{quote(run)}.html" if run in executed_notebooks(paths) else ""


def marked(text: Any) -> Markup:
    """Text of ours with its `code` as code; all else in it is escaped."""
    parts = str(escape(visible(text))).split("`")
    if len(parts) % 2 == 0:  # a backtick without its pair is a backtick
        return Markup("`".join(parts))
    return Markup("".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)))


def visible(value: Any, mark: str = "<U+{:04X}>") -> Any:
    """Text whose control characters are written out: a right-to-left mark in a name must not turn the line round."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    hidden = {c for c in value if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\t"}
    for character in hidden:
        value = value.replace(character, mark.format(ord(character)))
    return value


@cache
def paper_figures() -> dict[int, dict[str, str]]:
    """Number of a figure of the paper -> `caption` as printed, what the paper `says` of it, and of those of one
    scenario its `scenario` and what it `shows` (accuracy, loss or confusion)."""
    return read_yaml(TEMPLATE / "paper_figures.yaml")
