"""Every executed notebook of a study as a page beside the report, in the report's look and without a network.

Text of outputs and tracebacks is escaped, tables keep only the tags of tables, and scripts are left out.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
from markupsafe import escape
from nbconvert import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML, strip_ansi
from nbconvert.preprocessors.sanitize import SanitizeHTML

from lib.config.files import read_json
from lib.config.paths import StudyPaths
from lib.config.text import duration
from lib.report.data import executed_notebooks
from lib.report.html import EXECUTED, TEMPLATE, part, visible
from lib.report.pages import linked_headings, page_exporter

TABLE_TAGS = ["div", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "b", "i", "em", "br"]
PICTURES = ("image/png", "image/jpeg")


def write_pages(paths: StudyPaths) -> list[Path]:
    """Write report/notebooks/<run>.html for every executed notebook of the study, and the style sheet they share.

    A notebook that cannot be read has a page that says so.
    """
    state = read_json(paths.state) or {}
    paths.new(paths.report_style).write_bytes((TEMPLATE / "style.css").read_bytes())
    written = []
    for run, path in executed_notebooks(paths).items():
        page = paths.new(paths.notebook_page(run))
        page.write_text(notebook_page(run, path, state[run]), encoding="utf-8")
        written.append(page)
    return written


def notebook_page(run: str, path: Path, entry: Mapping[str, Any]) -> str:
    """One executed notebook as HTML: how the run ended, then markdown, code, outputs and tracebacks.

    Args:
        entry: what state.json says of the run.
    """
    try:
        notebook = _cleaned(nbformat.read(path, as_version=4))
    except Exception as error:  # whatever is wrong with one file, the others have their pages
        entry = dict(entry) | {"error": f"{path.name} cannot be read as a notebook: {error}"}
        notebook = nbformat.v4.new_notebook()
    if not any(cell.cell_type == "markdown" for cell in notebook.cells):
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Notebook"))
    title = next((m.group(1) for m in [re.search(r"^# +(.+)$", notebook.cells[0].source, re.M)] if m), "Notebook")
    log = path.with_suffix(".log")
    opening = part(
        "notebook_opening", run=run, status=entry.get("status") or "not known",
        seconds=duration(entry["seconds"]) if entry.get("seconds") else "", place=_place_of_error(notebook),
        error=strip_ansi(entry.get("error") or entry.get("cause") or ""),
        notebook=f"../{EXECUTED.format(quote(run))}",
        log=f"../../notebooks/{quote(log.name)}" if log.is_file() else "",
    )  # fmt: skip
    resources = {"page_title": escape(visible(f"{title}: {run}")), "opening": opening.data}
    # not HTMLExporter's own: it parses each page again, to add what our template has
    page, _ = TemplateExporter.from_notebook_node(_exporter(), notebook, resources={"metadata": {}, **resources})
    page, contents = linked_headings(page)
    page = re.sub(r'<a class="anchor-link".*?</a>', "", page)
    return page.replace("<!--contents-->", part("contents", contents=contents).data)


@cache
def _exporter() -> HTMLExporter:
    exporter = page_exporter("notebook.html.j2")
    exporter.register_filter("highlight_code", Highlight2HTML(pygments_lexer="ipython3", parent=exporter))
    exporter.register_filter("visible", visible)
    exporter.register_filter("plain", _plain)
    return exporter


@cache
def _sanitizer() -> SanitizeHTML:
    spans = {name: ["colspan", "rowspan", "scope"] for name in ("td", "th")}
    return SanitizeHTML(tags=TABLE_TAGS, attributes=spans, styles=[])


def _cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with outputs that can be shown as they are: pictures, tables, text."""
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            data = output.get("data", {})
            for kind in set(data) - {*PICTURES, "text/html", "text/plain"}:
                del data[kind]
            if any(kind in data for kind in PICTURES):
                data.pop("text/html", None)
            if "text/html" in data:
                data["text/html"] = _table(data["text/html"])
        if outputs:
            cell.outputs = _joined(outputs)
    return notebook


def _table(html: str) -> str:
    """HTML of an output: tables stay tables, any other tag becomes text; the style that pandas adds is left out."""
    html = re.sub(r"<style\b.*?</style>", "", html, flags=re.S)
    html = visible(_sanitizer().sanitize_html_tags(html), "&lt;U+{:04X}&gt;")
    return html.replace("<th></th>", "<td></td>")


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Lines printed one after the other as one output."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _plain(text: str) -> str:
    """Text as a terminal shows it in the end, without colours; what is left of control characters is written out."""
    return visible(re.sub(r"[^\n]*\r(?=[^\n])", "", strip_ansi(text).replace("\r\n", "\n")).replace("\r", ""))


def _place_of_error(notebook: nbformat.NotebookNode) -> str:
    """The id of the first traceback on the page, empty where nothing was raised."""
    for cell in notebook.cells:
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return f"error-{cell.execution_count}"
    return ""
