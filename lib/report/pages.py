"""The executed 08_report as one page, and a page beside it for every other executed notebook.

Nothing that those notebooks put out is trusted: text and tracebacks are escaped, tables keep only the tags of tables,
of pictures PNG and JPEG are shown, and scripts are dropped. Markdown and code are the study's own.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
from markupsafe import Markup, escape
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, TagRemovePreprocessor
from nbconvert.preprocessors.sanitize import SanitizeHTML
from traitlets.config import Config

from lib.config.files import read_json
from lib.config.paths import StudyPaths
from lib.config.text import duration
from lib.report.data import executed_notebooks
from lib.report.html import EXECUTED, TEMPLATE, page_resources, part, visible

TABLE_TAGS = ["div", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "b", "i", "em", "br"]
APPENDIX = "Appendix"  # heading behind which sections are folded
ABSENT, RESULT = (re.compile(rf'<p class="{name}">(.*?)</p>', re.S) for name in ("absent", "result"))
PICTURES = ["image/png", "image/jpeg"]


def write_pages(paths: StudyPaths) -> None:
    """Write the page of the report, from 08_report as executed so far, and those of the notebooks behind it; nothing of
    a notebook that is run by hand, which has no executed copy yet."""
    executed = paths.new(paths.executed("report"))
    if paths.attempt and executed.is_file():
        write_report(executed, paths.new(paths.report))
        write_notebooks(paths)


def write_report(executed: Path, target: Path) -> None:
    """Write the executed 08_report as one self-contained page, without its code; nothing is loaded from any host."""
    notebook = nbformat.read(executed, as_version=4)
    config = Config({"TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": ["notebook-only", "parameters"]}})
    config.HTMLExporter.update(preprocessors=[TagRemovePreprocessor], exclude_input=True)
    page = _exported(notebook, _exporter("index.html.j2", config), page_resources("Reproducibility study"), folded=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")


def write_notebooks(paths: StudyPaths) -> None:
    """Write report/notebooks/<run>.html for every executed notebook of the study, and the style sheet they share."""
    state = read_json(paths.state) or {}
    paths.new(paths.report.with_name("style.css")).write_bytes((TEMPLATE / "style.css").read_bytes())
    for run, path in executed_notebooks(paths).items():
        paths.new(paths.notebook_page(run)).write_text(notebook_page(run, path, state[run]), encoding="utf-8")


def notebook_page(run: str, path: Path, entry: Mapping[str, Any]) -> str:
    """One executed notebook as HTML: how the run ended by its `entry` in state.json, then markdown, code, outputs and
    tracebacks. A notebook that cannot be read has a page that says so."""
    error = entry.get("error") or entry.get("cause") or ""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as reason:  # whatever is wrong with one file, the others have their pages
        error = f"{path.name} cannot be read as a notebook: {reason}"
        notebook = nbformat.v4.new_notebook()
    raised = [c.execution_count for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", []))]
    log = path.with_suffix(".log")
    opening = part(
        "notebook_opening", run=run, status=entry.get("status") or "not known", error=strip_ansi(error),
        seconds=duration(entry["seconds"]) if entry.get("seconds") else "",
        place=f"error-{raised[0]}" if raised else "", notebook=f"../{EXECUTED.format(quote(run))}",
        log=f"../../notebooks/{quote(log.name)}" if log.is_file() else "",
    )  # fmt: skip
    resources = {"page_title": escape(visible(run)), "opening": opening.data}
    return _exported(notebook, _notebook_exporter(), resources)


@cache
def _notebook_exporter() -> HTMLExporter:
    spans = {name: ["colspan", "rowspan", "scope"] for name in ("td", "th")}
    config = Config({"SanitizeHTML": {"tags": [*TABLE_TAGS, "details", "summary"], "attributes": spans, "styles": []}})
    config.SanitizeHTML.update(safe_output_keys={"text/plain", *PICTURES}, sanitized_output_types={"text/html"})
    config.NbConvertBase.display_data_priority = [*PICTURES, "text/html", "text/plain"]
    config.HTMLExporter.preprocessors = [CoalesceStreamsPreprocessor, SanitizeOutputs]
    return _exporter("notebook.html.j2", config)


class SanitizeOutputs(SanitizeHTML):
    """Sanitise outputs alone; the style that pandas adds to a table is dropped."""

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code":
            cell.outputs = self.sanitize_code_outputs(cell.outputs)
        return cell, resources

    def sanitize_html_tags(self, html_str: str) -> str:
        safe = super().sanitize_html_tags(re.sub(r"<style\b.*?</style>", "", html_str, flags=re.S))
        return visible(safe, "&lt;U+{:04X}&gt;")


def _exporter(template: str, config: Config) -> HTMLExporter:
    """What turns a notebook into a page by one of our templates."""
    return HTMLExporter(
        config=config, extra_template_basedirs=[str(TEMPLATE.parent)], template_name=TEMPLATE.name,
        template_file=template, anchor_link_text="#",
        filters={"visible": visible, "plain": lambda text: visible(strip_ansi(text))},
    )  # fmt: skip


def _exported(notebook: nbformat.NotebookNode, exporter: HTMLExporter, resources: dict, folded: bool = False) -> str:
    """The page, with the contents that the headings of its markdown make; `folded` is that of the report."""
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {}, **resources})
    headings = re.findall(r'<h([23]) id="([^"]*)">(.*?)<a class="anchor-link"', page)
    contents = [{"level": level, "id": name, "text": Markup(text)} for level, name, text in headings]
    if folded:  # the chapters stand under the appendix, and what is in them is not listed
        contents = [entry for entry in contents if entry["level"] == "2"]
        chapters = [*(entry["id"] for entry in contents), APPENDIX].index(APPENDIX) + 1  # a notebook may have none
        contents[chapters:] = [entry | {"level": "3"} for entry in contents[chapters:]]
        page = fold_chapters(page)
    return page.replace("<!--contents-->", part("contents", contents=contents).data)


def fold_chapters(page: str) -> str:
    """Each section with what is absent in one line at its end; those of the appendix folded, their result in sight."""
    body, end, foot = page.rpartition("</main>")
    opening, *sections = re.split(r'(?=<div class="prose"><h2 id=)', body)
    made = [opening]
    for section in sections:
        absent = [text.rstrip(".") for text in ABSENT.findall(section)]
        section = ABSENT.sub("", section) + (f'<p class="note">Not here: {"; ".join(absent)}.</p>' if absent else "")
        made.append(_folded(section) if any(f'id="{APPENDIX}"' in before for before in made) else section)
    return "".join([*made, end, foot])


def _folded(section: str) -> str:
    name, title, rest = re.match(r'.*?<h2 id="(.*?)">(.*?)<a class.*?</h2>(.*)', section, re.S).groups()
    result = RESULT.search(rest)
    summary = f"<summary><h2>{title}</h2>{f'<span>{result[1]}</span>' if result else ''}</summary>"
    return f'<details class="chapter" id="{name}">{summary}<div class="prose">{RESULT.sub("", rest, 1)}</details>'
