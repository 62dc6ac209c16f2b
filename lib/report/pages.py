"""The executed 08_report as a page.

The parts of the page are made in modules of their own, in the order in which it shows them: summary, accuracy, audits,
paper_figures, methods. They read by lib.report.data, count by tables and draw by html. Nothing is computed that a step
before could have computed, and what is not there is said to be missing. Every name that comes from data passes through
templates that escape it.
"""

import re
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup
from nbconvert import HTMLExporter
from traitlets.config import Config

from lib.report.html import TEMPLATE, page_resources, templates


def to_html(executed_notebook: Path, target: Path) -> None:
    """The executed 08_report as one self-contained page: no request to any host, code hidden.

    Raises:
        ValueError: the notebook has no executed cell, so there is nothing to show.
    """
    notebook = nbformat.read(executed_notebook, as_version=4)
    if not any(cell.get("outputs") for cell in notebook.cells):
        raise ValueError(f"{executed_notebook} has no outputs: execute it before turning it into a page")
    exporter = page_exporter(
        "index.html.j2",
        Config(
            {
                "TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": ["notebook-only", "parameters"]},
                "HTMLExporter": {"preprocessors": ["nbconvert.preprocessors.TagRemovePreprocessor"]},
            }
        ),
        exclude_input=True,
    )
    title = next((m.group(1) for m in [re.search(r"<h1[^>]*>(.*?)</h1>", _outputs(notebook), re.S)] if m), "Report")
    resources = page_resources(Markup(re.sub(r"<[^>]+>", "", title).strip()))
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {}, **resources})
    page, contents = linked_headings(page)
    page = page.replace("<!--contents-->", templates().get_template("contents.html.j2").render(contents=contents))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")


def page_exporter(template: str, config: Config | None = None, **options: Any) -> HTMLExporter:
    """What turns a notebook into a page by one of our templates."""
    return HTMLExporter(
        config=config,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        template_name=TEMPLATE.name,
        template_file=template,
        embed_images=True,
        **options,
    )


def _outputs(notebook: nbformat.NotebookNode) -> str:
    return "".join(
        output.get("data", {}).get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )


def linked_headings(page: str) -> tuple[str, list[dict[str, Any]]]:
    """Headings of the notebook's markdown as links to themselves, and the contents they make."""
    contents = []

    def link(match: re.Match) -> str:
        level, name, text = match["level"], match["id"].lower(), match["text"]
        contents.append({"level": int(level), "id": name, "text": Markup(text)})
        return f'<h{level} id="{escape(name)}"><a class="self" href="#{escape(name)}">{text}</a></h{level}>'

    pattern = r'<h(?P<level>[23]) id="(?P<id>[^"]*)">(?P<text>.*?)<a class="anchor-link".*?</a></h[23]>'
    return re.sub(pattern, link, page), contents
