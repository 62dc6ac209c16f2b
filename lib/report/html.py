"""What the pages are made of: tables, figures, notes and numbers as HTML, by templates that escape every name."""

import base64
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
import yaml
from IPython.display import HTML
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from lib.config.paper import scenarios
from lib.config.params import Study
from lib.config.paths import LIB, StudyPaths
from lib.figures.style import encode
from lib.report.columns import PHASE_NAMES
from lib.report.data import executed_notebooks
from lib.report.tables import as_csv
from lib.report.wording import SHARES, fine, in_words, named, percent, sentence, signed

TEMPLATE = LIB / "report" / "template"
EXECUTED = "../notebooks/{}.ipynb"  # address of an executed notebook, seen from the report
FILES = {"style": "style.css", "script": "script.js"}
SKIP_FROM = 20  # stops of the keyboard in a table: with more, a link leads past it


@cache
def templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATE / "parts", TEMPLATE]), undefined=jinja2.StrictUndefined,
        autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=visible,
    )  # fmt: skip
    environment.filters |= {"cell": _cell, "percent": percent, "marked": marked}
    return environment


def part(name: str, **values: Any) -> HTML:
    return HTML(templates().get_template(f"{name}.html.j2").render(**values))


def result(sentence: str) -> HTML:
    """The one-line result of a section."""
    return part("headline", sentence=sentence)


def joined(parts: Iterable[HTML], css_class: str = "") -> HTML:
    """Parts one after the other, in a box of a class where one is given."""
    content = "".join(part.data for part in parts)
    return HTML(f'<div class="{css_class}">{content}</div>' if css_class else content)


def page_resources(title: str) -> dict[str, Markup]:
    """What the head and the foot of a self-contained page hold: title, style and script."""
    files = {name: (TEMPLATE / file).read_text(encoding="utf-8") for name, file in FILES.items()}
    return {"page_title": Markup(escape(visible(title)))} | {name: Markup(text) for name, text in files.items()}


def missing(text: str, figure: int = 0) -> HTML:
    """Say that something is not there, where it would have been; `figure` is the paper's figure it belongs to."""
    return part("missing", text=text, paper=paper_figures().get(figure), id=f"fig-{figure}" if figure else "")


def figure(
    name: str,
    figure: Figure,
    title: str,
    caption: str,
    alt: str,
    source: str = "",
    runs: Mapping[str, str] | None = None,
    paper: int = 0,
) -> HTML:
    """A figure with its caption, alternative text, the file its numbers come from and the notebooks behind it.

    Args:
        runs: a notebook behind the figure -> its address, empty where it has none.
    """
    return part(
        "figure", id=name, picture=_picture(figure),
        title=title, caption=caption, alt=alt, source=source, paper=paper_figures().get(paper), number=paper,
        drawn=EXECUTED.format("report"), notebooks=list((runs or {}).items()),
    )  # fmt: skip


def table(
    name: str, caption: str, columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]], source: str,
    filters: Sequence[str] = (), data: pd.DataFrame | None = None, wide: bool = False, folded: bool = False,
    cards: bool = False, behind: Mapping[str, str] | None = None,
) -> HTML:  # fmt: skip
    """A table with its caption, filters, the file it comes from, and itself as a CSV file to download.

    Args:
        rows: a dict a row; `_link` (column -> address), `_details` (column -> lines), `_interval` (column -> low,
            high) and `_small` (column -> a smaller text below) may be among its keys.
        filters: columns that a reader can filter by.
        data: what the download holds; without it the columns shown.
        cards: on a telephone the cells of a row lie under each other.
        behind: a notebook that measured the numbers -> its address, empty where it has none.
    """
    shown = [column["key"] for column in columns]
    data = (
        data
        if data is not None
        else pd.DataFrame([{key: row.get(key) for key in shown} for row in rows], columns=shown)
    )
    download = base64.b64encode(as_csv(data).encode()).decode()
    columns = [column | {"right": _is_right(column, rows)} for column in columns]
    names = {column["key"]: column["name"] for column in columns}
    choices = {key: list(dict.fromkeys(_text(row.get(key)) for row in rows)) for key in filters}
    stops = len(columns) + len(filters) + sum(len(row.get("_link", {})) + len(row.get("_details", {})) for row in rows)
    return part(
        "table", id=name, caption=caption, columns=columns, rows=rows, source=source, wide=wide, folded=folded,
        filters=[(key, names[key], values) for key, values in choices.items() if len(values) > 1],
        positions={key: position for position, key in enumerate(shown)},
        csv=f"data:text/csv;charset=utf-8;base64,{download}", groups=_groups(columns),
        tall=len(rows) > 30 and not wide, short=len(rows) <= 12, cards=cards, long=stops > SKIP_FROM,
        extra=any(column["extra"] for column in columns), behind=list((behind or {}).items()),
    )  # fmt: skip


def records_table(
    name: str, caption: str, records: Sequence[Mapping[str, Any]], source: str, folded: bool = False
) -> HTML:
    """A table of records whose keys are its columns, in words.

    Shares are shown in per cent, and `x_low` and `x_high` (of a difference `low` and `high`) as the interval of `x`.
    """
    keys = list(dict.fromkeys(key for record in records for key in record))
    ends = {key: (f"{key}_low", f"{key}_high") for key in keys if {f"{key}_low", f"{key}_high"} <= set(keys)}
    ends |= {"difference": ("low", "high")} if {"difference", "low", "high"} <= set(keys) else {}
    shown = [key for key in keys if not any(key in pair for pair in ends.values())]
    rows = []
    for record in records:
        row = dict(record) | {"_interval": {key: tuple(record[end] for end in pair) for key, pair in ends.items()}}
        row |= {"phase": PHASE_NAMES[row["phase"]]} if row.get("phase") in PHASE_NAMES else {}
        rows.append(row | ({"scenario": named(row["scenario"])} if row.get("scenario") in scenarios() else {}))
    columns = [column(key, sentence(key), _kind(key, key in ends)) for key in shown]
    filters = [key for key in ("table", "scenario", "protocol", "phase", "backbone", "what") if key in keys]
    data = pd.DataFrame(records, columns=keys)
    return table(name, caption, columns, rows, source, filters, data=data, folded=folded)


def facts(name: str, caption: str, facts: Mapping[str, Any], source: str) -> HTML:
    """A table of names, in words, and values."""
    rows = [{"what": sentence(key), "value": value} for key, value in facts.items()]
    return table(name, caption, [column("what", "What", "head"), column("value", "Value", "value")], rows, source)


def dict_table(name: str, caption: str, content: Mapping[str, Any], source: str, own_words: bool = False) -> HTML:
    """A dict as a table: name and value, or a cross table where the values are dicts.

    Args:
        own_words: the names are keys of ours, which are put in words; else they are the data's, such as classes.
    """
    say = sentence if own_words else named
    if all(isinstance(value, dict) for value in content.values()):
        keys = list(dict.fromkeys(key for value in content.values() for key in value))
        rows = [{"": say(name)} | {key: value.get(key, "") for key in keys} for name, value in content.items()]
        columns = [column("", "", "head"), *(column(key, named(key), _kind(key)) for key in keys)]
    else:
        rows = [{"name": say(key), "value": value} for key, value in content.items()]
        columns = [column("name", "Name", "head"), column("value", "Value", "value")]
    return table(name, caption, columns, rows, source)


def _kind(key: str, interval: bool = False) -> str:
    """How the values of a key are shown."""
    if key == "difference":
        return "difference"
    return ("interval" if interval else "percent") if key in SHARES else "value"


def column(key: str, name: str, kind: str = "text", group: str = "", extra: bool = False) -> dict[str, Any]:
    """A column of a table; one that is `extra` is left out on a telephone until it is asked for."""
    return {"key": key, "name": name, "kind": kind, "group": group, "extra": extra}


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
    return yaml.safe_load((TEMPLATE / "paper_figures.yaml").read_text(encoding="utf-8"))


def _is_right(column: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column's head stands right, over numbers."""
    if column["kind"] != "value":
        return column["kind"] not in ("head", "quote", "text", "words", "small", "code", "status", "verdict")
    values = [value for row in rows if (value := row.get(column["key"])) not in (None, "")]
    return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _groups(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Heads over several columns: `name`, `span` and whether all of them are `extra`; empty where no column has one."""
    groups: list[dict[str, Any]] = []
    for column in columns:
        if groups and column["group"] and groups[-1]["name"] == column["group"]:
            groups[-1]["span"] += 1
        else:
            groups.append({"name": column["group"], "span": 1, "extra": column["extra"]})
    return groups if any(group["name"] for group in groups) else []


def _picture(figure: Figure) -> dict[str, Any]:
    """A figure as the page holds it: `src`, and its `width` and `height` in CSS pixels."""
    mime, drawn = encode(figure)
    width, height = (round(96 * side) for side in figure.get_size_inches())
    return {"src": f"data:{mime};base64,{base64.b64encode(drawn).decode()}", "width": width, "height": height}


def _cell(row: Mapping[str, Any], column: Mapping[str, str]) -> dict[str, Any]:
    """What a cell shows: text, a second smaller text, the value to sort by, classes and a style."""
    value, kind = row.get(column["key"]), column["kind"]
    cell = {"text": _text(value), "small": "", "sort": _text(value), "kind": kind, "style": "", "class": ""}
    cell |= {
        "href": row.get("_link", {}).get(column["key"], ""),
        "details": row.get("_details", {}).get(column["key"], []),
        "small": row.get("_small", {}).get(column["key"], ""),
    }
    if kind in ("head", "quote", "text", "words", "small", "code"):
        return cell
    if kind == "value":
        # JSON of any kind: numbers to the right, the rest as words
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = "" if value is None or value == "" else in_words(value)
        return cell | {
            "text": text,
            "sort": text if not is_number else f"{value:.6g}",
            "class": "number" if is_number else "",
        }
    if kind in ("status", "verdict"):
        return cell | {"class": "is-" + re.sub(r"[^a-z]+", "-", cell["text"].lower())}
    number = value if isinstance(value, (int, float)) else None
    cell |= {"sort": "" if number is None else f"{number:.6g}", "class": "number"}
    if number is None:
        return cell | {"text": cell["text"] or "–", "class": "empty"}
    if kind == "percent":
        return cell | {"text": f"{100 * number:.2f}"}
    if kind == "interval":
        low, high = row.get("_interval", {}).get(column["key"], (None, None))
        small = f"[{100 * low:.1f}, {100 * high:.1f}]" if low is not None and high is not None else ""
        return cell | {"text": f"{100 * number:.2f}", "small": small}
    if kind in ("difference", "move"):
        # full colour at 40 points: what the largest leaks come to
        share = min(abs(number) / 0.4, 1)
        sign = "above" if number > 0 else "below"
        low, high = row.get("_interval", {}).get(column["key"], (None, None))
        ends = f"[{signed(100 * low)}, {signed(100 * high)}]" if low is not None and high is not None else ""
        return cell | {
            "small": ends,
            "text": signed(100 * number) if kind == "difference" else fine(100 * number),
            "style": f"--share:{share:.2f}",
            "class": f"number difference {sign}",
        }
    if kind == "p_value":
        return cell | {"text": f"{number:.3f}" if number >= 0.001 else f"{number:.0e}"}
    if kind == "decimal":
        return cell | {"text": f"{number:,.1f}"}
    return cell | {"text": f"{number:,.0f}"}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def if_synthetic(study: Study) -> str:
    return " (synthetic images)" if study.synthetic else ""
