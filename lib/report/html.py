"""What the pages are made of: tables, figures, notes and numbers as HTML, by templates that escape every name."""

import base64
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
import yaml
from IPython.display import HTML
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from lib import figures
from lib.config import LIB, Study, StudyPaths, scenarios
from lib.report.data import executed_notebooks
from lib.report.tables import PROPOSED, as_csv, shown_model

TEMPLATE = LIB / "report" / "template"
EXECUTED = "../notebooks/{}.ipynb"  # address of an executed notebook, seen from the report
FILES = {"style": "style.css", "script": "script.js"}
PHASE_NAMES = {"transfer": "Transfer", "finetune": "Fine-tuned"}
RECORD_HEADS = {  # of columns whose key does not read as words
    "test_of_8_1_1": "Test set of an 8-1-1 split",
    "printed_test_n": "Test set that the table implies",
    "times": "Times as large",
}


@cache
def templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATE / "parts", TEMPLATE]), undefined=jinja2.StrictUndefined,
        autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=visible,
    )  # fmt: skip
    environment.filters |= {"cell": _cell, "percent": percent}
    return environment


def part(name: str, **values: Any) -> HTML:
    return HTML(templates().get_template(f"{name}.html.j2").render(**values))


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
    mime, drawn = figures.encode(figure)
    width, height = (round(96 * side) for side in figure.get_size_inches())
    return part(
        "figure", id=name, src=f"data:{mime};base64,{base64.b64encode(drawn).decode()}", width=width, height=height,
        title=title, caption=caption, alt=alt, source=source, paper=paper_figures().get(paper), number=paper,
        drawn=EXECUTED.format("report"), notebooks=list((runs or {}).items()),
    )  # fmt: skip


def table(
    name: str, caption: str, columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]], source: str,
    filters: Sequence[str] = (), data: pd.DataFrame | None = None, wide: bool = False, folded: bool = False,
) -> HTML:  # fmt: skip
    """A table with its caption, filters, the file it comes from, and itself as a CSV file to download.

    Args:
        rows: a dict a row; `_link` (column -> address), `_title` (column -> note), `_details` (column -> lines),
            `_interval` (column -> low, high) and `_small` (column -> a smaller text below) may be among its keys.
        filters: columns that a reader can filter by.
        data: what the download holds; without it the columns shown.
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
    return part(
        "table", id=name, caption=caption, columns=columns, rows=rows, source=source, wide=wide, folded=folded,
        filters=[(key, names[key], values) for key, values in choices.items() if len(values) > 1],
        positions={key: position for position, key in enumerate(shown)},
        csv=f"data:text/csv;charset=utf-8;base64,{download}", groups=_groups(columns),
        tall=len(rows) > 30 and not wide,
    )  # fmt: skip


def records_table(
    name: str, caption: str, records: Sequence[Mapping[str, Any]], source: str, folded: bool = False
) -> HTML:
    """A table of records whose keys are its columns."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    rows = [dict(record) for record in records]
    for row in rows:
        if row.get("phase") in PHASE_NAMES:
            row["phase"] = PHASE_NAMES[row["phase"]]
        if row.get("scenario") in scenarios():
            row["scenario"] = named(row["scenario"])
    columns = [column(key, RECORD_HEADS.get(key, sentence(key)), "value") for key in keys]
    filters = [key for key in ("table", "scenario", "protocol", "phase", "backbone", "what") if key in keys]
    return table(name, caption, columns, rows, source, filters, folded=folded)


def facts(name: str, caption: str, facts: Mapping[str, Any], source: str) -> HTML:
    """A table of names and values."""
    rows = [{"what": sentence(key), "value": value} for key, value in facts.items()]
    return table(name, caption, [column("what", "What", "head"), column("value", "Value", "value")], rows, source)


def dict_table(name: str, caption: str, content: Mapping[str, Any], source: str) -> HTML:
    """A dict as a table: name and value, or a cross table where the values are dicts; its names stay as they are."""
    if all(isinstance(value, dict) for value in content.values()):
        keys = list(dict.fromkeys(key for value in content.values() for key in value))
        rows = [{"": name} | {key: value.get(key, "") for key in keys} for name, value in content.items()]
        columns = [column("", "", "head"), *(column(key, named(key), "value") for key in keys)]
    else:
        rows = [{"name": key, "value": value} for key, value in content.items()]
        columns = [column("name", "Name", "head"), column("value", "Value", "value")]
    return table(name, caption, columns, rows, source)


def column(key: str, name: str, kind: str = "text", group: str = "") -> dict[str, str]:
    return {"key": key, "name": name, "kind": kind, "group": group}


def notebook(paths: StudyPaths, run: str) -> str:
    """Address of the page of a run's executed notebook, seen from the report; empty where it was not executed."""
    return f"notebooks/{quote(run)}.html" if run in executed_notebooks(paths) else ""


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
        return column["kind"] not in ("head", "quote", "text", "small", "code", "status", "verdict")
    values = [value for row in rows if (value := row.get(column["key"])) not in (None, "")]
    return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _groups(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, int]]:
    """Heads over several columns: (name, number of columns), empty where no column has one."""
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and column["group"] and groups[-1][0] == column["group"]:
            groups[-1] = (column["group"], groups[-1][1] + 1)
        else:
            groups.append((column["group"], 1))
    return groups if any(name for name, _ in groups) else []


def _cell(row: Mapping[str, Any], column: Mapping[str, str]) -> dict[str, Any]:
    """What a cell shows: text, a second smaller text, the value to sort by, classes and a style."""
    value, kind = row.get(column["key"]), column["kind"]
    cell = {"text": _text(value), "small": "", "sort": _text(value), "kind": kind, "style": "", "class": ""}
    cell |= {"href": row.get("_link", {}).get(column["key"], ""), "title": row.get("_title", {}).get(column["key"], "")}
    cell |= {
        "details": row.get("_details", {}).get(column["key"], []),
        "small": row.get("_small", {}).get(column["key"], ""),
    }
    if kind in ("head", "quote", "text", "small", "code"):
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


def percent(value: float) -> str:
    return f"{100 * value:.2f} %" if value is not None and np.isfinite(value) else "not measured"


def signed(points: float) -> str:
    rounded = round(points, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}")


def fine(points: float) -> str:
    """Points to the second digit after the point, or to the first that is not 0."""
    text = f"{points:+.2f}"
    return (text if float(text) else f"{points:+.1g}").replace("-", "\N{MINUS SIGN}")


def in_words(value: Any) -> str:
    """Any JSON value as words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {in_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(item) for item in value) or "none"
    return str(value)


def sentence(key: str) -> str:
    words = str(key).replace("_", " ")
    return words[:1].upper() + words[1:]


def shortened(values: Sequence[Any] | None, none: str) -> str:
    """A short list in words; long runs of numbers are cut and counted."""
    if not values:
        return none
    shown = ", ".join(map(str, values[:6]))
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6} more"


def named(key: str) -> str:
    """A scenario's title for its name, any other name as it is."""
    return scenarios()[key].title if key in scenarios() else key


def if_synthetic(study: Study) -> str:
    return " (synthetic images)" if study.synthetic else ""


def with_model(study: Study, scenario: str) -> str:
    """The scenario's title, and the model's name where it is not the paper's own."""
    model = shown_model(study, scenario)
    return scenarios()[scenario].title + ("" if model == PROPOSED else f", {model}")


def instead_of_proposed(model: str) -> str:
    return "" if model == PROPOSED else f" ({PROPOSED}, the paper's own model, is not in this study's cell)"
