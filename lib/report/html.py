"""What the pages are made of: tables, figures, notes and numbers as HTML, by templates that escape every name."""

import base64
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from IPython.display import HTML
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from lib.config.paths import LIB, StudyPaths
from lib.config.printed import roman
from lib.config.schema import read_yaml
from lib.figures.style import encode
from lib.report.data import to_records
from lib.report.tables import as_csv
from lib.report.wording import NUMBERS, column, in_words, named, number, percent, span

TEMPLATE = LIB / "report" / "template"
FILTER_FROM, TALL_FROM, SKIP_FROM = 5, 31, 21  # rows to filter or scroll; stops of the keyboard to skip
TEXTS = ("link", "note", "details", "tip")  # what belongs to a column `x`, by the end of its name
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


def page_resources(title: str) -> dict[str, Markup]:
    """What the head and the foot of a self-contained page hold: title, style and script."""
    style, script = (Markup((TEMPLATE / name).read_text(encoding="utf-8")) for name in ("style.css", "script.js"))
    return {"page_title": Markup(escape(visible(title))), "style": style, "script": script}


def show(
    table: pd.DataFrame | None, name: str, caption: str, source: str, columns: Sequence[str] = (), *,
    titles: Mapping[str, str] | None = None, groups: Mapping[str, Sequence[str]] | None = None,
    blocks: Sequence[str] = (), data: pd.DataFrame | None = None,
    wide: bool = False, folded: bool = False, cards: bool = False,
) -> HTML:  # fmt: skip
    """A table with its caption, filters, the file it comes from, and itself as a CSV file to download; one that is None
    or empty is named at the end of its section.

    Titles and formats are those of lib.report.wording.column, or `titles`. A cell of column `x` shows the interval
    `x_low`, `x_high` (of `difference` or `accuracy` also `low`, `high`), the address `x_link`, the smaller text
    `x_note`, the folded lines `x_details`, and on hover, tap or focus `x_tip`.

    Args:
        name: id on the page, and name of the download, which holds `data`, or the table.
        groups: heading over several columns -> their keys, which follow each other.
        blocks: a line is drawn above a row that differs from the row before in one of these.
        cards: on a phone the cells of a row lie under each other.
    """
    if table is None:
        return missing(f"{caption.rstrip('.')} ({source} is not there)")
    if table.empty:
        return missing(f"{caption.rstrip('.')}: none")
    ends = _intervals(table)
    texts = [f"{key}_{text}" for key in table for text in TEXTS if f"{key}_{text}" in table]
    inside = {end for pair in ends.values() for end in pair} | set(texts)
    keys = list(columns) or [key for key in table if key not in inside]
    heads = [_head(key, table[key], titles or {}, groups or {}) for key in keys]
    rows = to_records(table)
    cells = [[_cell(row, key, head["format"], ends.get(key)) for key, head in zip(keys, heads)] for row in rows]
    starts = [any(row[key] != before[key] for key in blocks) for before, row in zip(rows, rows[1:])]
    values = {place: list(dict.fromkeys(row[place]["text"] for row in cells)) for place in range(len(keys))}
    filters = [place for place, head in enumerate(heads) if head["filter"] and 1 < len(values[place]) < len(rows)]
    stops = len(keys) + len(filters) + sum(bool(cell["href"]) + len(cell["details"]) for row in cells for cell in row)
    kept = table.drop(columns=texts) if data is None else data
    return part(
        "show", id=name, caption=caption, source=source, heads=heads, groups=_groups(heads),
        rows=list(zip([False, *starts], cells)),
        filters=[(place, heads[place]["title"], values[place]) for place in filters if len(rows) >= FILTER_FROM],
        csv=base64.b64encode(as_csv(kept).encode()).decode(), wide=wide, folded=folded, cards=cards,
        tall=len(rows) >= TALL_FROM and not wide, short=len(rows) <= 12, long=stops >= SKIP_FROM,
    )  # fmt: skip


def missing(text: str) -> HTML:
    """Name what is not there; the page names all of a section in one line at its end."""
    return part("missing", text=text)


def picker(name: str, label: str, items: Sequence[tuple[Mapping[str, str], HTML]], chosen: Mapping[str, str]) -> HTML:
    """Parts of the page that a reader picks by a value, or `all`, on each axis; `items` has the values of each part and
    itself, `chosen` the values that are shown first, and where no script runs; `label` says what is picked."""
    axes = {axis: list(dict.fromkeys(place[axis] for place, _ in items)) for axis in chosen}
    shown = [all(value in ("all", place[axis]) for axis, value in chosen.items()) for place, _ in items]
    return part("picker", id=name, label=label, axes=axes, chosen=chosen, items=list(zip(shown, items)))


def figure(
    name: str, figure: Figure | None, title: str, caption: str, alt: str, source: str, paper: int = 0, why: str = ""
) -> HTML:  # fmt: skip
    """A figure with its caption, alternative text and the file its numbers come from; None where there is nothing to
    draw, of which the end of the section says `why`."""
    if figure is None:
        return missing(f"{title} ({why or f'{source} has nothing to draw'})")
    (mime, drawn), (width, height) = encode(figure), (round(96 * side) for side in figure.get_size_inches())
    picture = {"src": f"data:{mime};base64,{base64.b64encode(drawn).decode()}", "width": width, "height": height}
    return part(
        "figure", id=name, picture=picture, title=title, caption=caption, alt=alt, source=source,
        paper=paper_figures().get(paper), number=paper,
    )  # fmt: skip


def notebook(paths: StudyPaths, run: str) -> str:
    """Address of the page of a run's executed notebook, seen from the report; empty where it was not executed."""
    known = Path(run).name == run and paths.executed(run).is_file()
    return f"notebooks/{quote(run)}.html" if known else ""


def marked(text: Any) -> Markup:
    """Text of ours with its `code` as code; all else in it is escaped."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(visible(text)))))


def visible(value: Any, mark: str = "<U+{:04X}>") -> Any:
    """Text whose control characters are written out: a right-to-left mark in a name must not turn the line round."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    hidden = {c for c in value if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\t"}
    return value.translate({ord(character): mark.format(ord(character)) for character in hidden})


@cache
def paper_figures() -> dict[int, dict[str, str]]:
    """Number of a figure of the paper -> `caption` as printed, what the paper `says` of it, and of those of one
    scenario its `scenario` and what it `shows` (accuracy, loss or confusion)."""
    return read_yaml(TEMPLATE / "paper_figures.yaml")


def _intervals(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Column -> the columns that hold its interval."""
    ends = {key: (f"{key}_low", f"{key}_high") for key in table if f"{key}_low" in table}
    own = next((key for key in ("difference", "accuracy") if key in table and key not in ends), None)
    return ends | ({own: ("low", "high")} if own and "low" in table else {})


def _head(
    key: str, values: pd.Series, titles: Mapping[str, str], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The fields of `column`, the `group` above it, and whether it stands `right`, as numbers do."""
    head = column(key) | {"group": next((name for name, keys in groups.items() if key in keys), "")}
    head |= {"title": titles[key]} if key in titles else {}
    numbers = head["format"] == "value" and len(values.dropna()) and all(map(_is_number, values.dropna()))
    return head | {"right": bool(numbers) or head["format"] in NUMBERS}


def _groups(heads: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The row of headings over several columns: `name`, `span`, `extra`; empty where no column has one."""
    groups = itertools.groupby(heads, key=itemgetter("group", "extra"))
    groups = [{"name": name, "span": len(list(same)), "extra": extra} for (name, extra), same in groups]
    return groups if any(group["name"] for group in groups) else []


def _cell(row: Mapping[str, Any], key: str, form: str, ends: tuple[str, str] | None) -> dict[str, Any]:
    """What a cell shows: a text, a smaller one, an address, folded lines; what it sorts by; its class and style."""
    value = named(row[key], key)
    text = "" if value is None else str(value)
    cell = {"text": text, "small": row.get(f"{key}_note"), "href": row.get(f"{key}_link"), "sort": None, "style": ""}
    cell |= {"class": "", "details": row.get(f"{key}_details") or [], "tip": row.get(f"{key}_tip") or ""}
    if _is_number(value) and form in (*NUMBERS, "value"):
        cell |= {"text": number(value, form), "sort": f"{value:.6g}", "class": "number"}
        low, high = (row[end] for end in ends) if ends else (None, None)
        if low is not None and high is not None:
            cell["small"] = f"[{number(low, form, 1)}, {number(high, form, 1)}]"
        if form == "points":  # full colour at 40 points: what the largest leaks come to
            cell["class"] += " difference " + ("above" if value > 0 else "below")
            cell["style"] = f"--share:{min(abs(value) / 0.4, 1):.2f}"
    elif form in NUMBERS or (value is None and form == "value"):
        cell |= {"text": text or "–", "class": "empty", "sort": ""}  # sorted behind all numbers
    elif form == "value":
        cell["text"] = in_words(value)
    elif form == "chip":
        cell["class"] = "is-" + re.sub(r"[^a-z]+", "-", text.lower())
    return cell


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
