"""Which notebook answers which question, and what is there already?"""

import html
import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import pandas as pd
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.paths import NOTEBOOKS, StudyPaths
from lib.config.steps import STEPS
from lib.explore.results import find_models

TOUR = "00_start"


def questions(folder: Path = NOTEBOOKS) -> pd.DataFrame:
    """The notebooks of a folder but for the tour: name, title and question, as their first cells have them."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        if path.stem != TOUR:
            first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
            title, _, rest = first.partition("\n")
            asked = re.split(r"(?<=\?)\s", rest.strip().partition("\n\n")[0])[0]
            rows.append((path.stem, title.removeprefix("# "), " ".join(asked.split())))
    return pd.DataFrame(rows, columns=["notebook", "title", "question"])


def studies(results: Path) -> pd.DataFrame:
    """The studies beside `results` (a study's results folder) and what each holds, counted from its files.

    Returns:
        A row a study: study, steps (those with at least one finished run, in their order), runs, models (trained
        phases), failed, report (its path, or None) and changed, when a run of it last ended.
    """
    folder, rows = results.resolve().parent, []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        paths = StudyPaths(path)
        if path.name.startswith(".") or not paths.stamps.is_dir():
            continue
        stamps = _stamps(paths)
        state = read_json(paths.state) or {}
        done = {_step(stamp) for stamp in stamps}
        rows.append(
            {
                "study": path.name,
                "steps": [step for step in STEPS if step in done],
                "runs": len(stamps),
                "models": len(find_models(path)),
                "failed": sum(entry.get("status") == "failed" for entry in state.values()),
                "report": paths.report if paths.report.is_file() else None,
                "changed": max((stamp.stat().st_mtime for stamp in stamps), default=0.0),
            }
        )
    return pd.DataFrame(rows, columns=["study", "steps", "runs", "models", "failed", "report", "changed"])


def what_is_there(results: str) -> HTML:
    """The studies beside a results folder as a table with links to their reports; every name is escaped."""
    found = studies(Path(results))
    if found.empty:
        where = html.escape(str(Path(results).parent))
        return HTML(
            f"<p>There is no result in <code>{where}</code> yet. In the repository's folder, "
            "<code>python run_all.py demo</code> (or <code>make demo</code>) makes some in minutes.</p>"
        )
    rows = []
    for row in found.itertuples():
        missing = [step for step in STEPS if step not in row.steps]
        steps = ", ".join(row.steps) + (f" (not yet: {', '.join(missing)})" if missing else " (all steps)")
        failed = f", {row.failed} failed" if row.failed else ""
        link = "none yet"
        if row.report:
            address = html.escape(Path(results).parent.joinpath(row.study, "report", "index.html").as_posix())
            link = f"<a href='{address}' target='_blank'>report</a>"
        when = datetime.fromtimestamp(row.changed).strftime("%Y-%m-%d %H:%M") if row.runs else "–"
        rows.append((html.escape(row.study), html.escape(steps), f"{row.runs}{failed}", str(row.models), when, link))
    return _table(("study", "steps done", "runs", "trained models", "last run ended", "report"), rows)


def which_notebook(results: str) -> HTML:
    """Every notebook with the question that it answers, and how often a study has run it, as a table of links."""
    root = Path(results)
    done = Counter(_step(stamp) for stamp in _stamps(StudyPaths(root)))
    step_of = {step.notebook: name for name, step in STEPS.items()}
    rows = []
    for row in questions().itertuples():
        there = _times(done[step_of[row.notebook]]) if row.notebook in step_of else "run by hand"
        link = f"<a href='{html.escape(row.notebook)}.ipynb'>{html.escape(row.title)}</a>"
        rows.append((link, html.escape(row.question), there))
    return _table(("notebook", "the question it answers", f"in {root.name}"), rows)


def _stamps(paths: StudyPaths) -> list[Path]:
    """One file a finished run."""
    return [stamp for stamp in paths.stamps.glob("*.json") if not stamp.name.startswith(".")]


def _step(stamp: Path) -> str:
    return stamp.stem.split("-")[0]


def _times(runs: int) -> str:
    return f"{runs} run{'' if runs == 1 else 's'} finished" if runs else "not yet"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> HTML:
    """Cells that are HTML already."""
    left = "style='text-align:left; white-space:normal'"
    lines = ["".join(f"<td {left}>{cell}</td>" for cell in row) for row in rows]
    titles = "".join(f"<th {left}>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return HTML(f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>")
