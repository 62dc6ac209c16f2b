"""The comparison of two results as a page in the look of the report."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lib.config.paths import comparison
from lib.report import html
from lib.report.compare import ARROW, SHOWN, Results, numbers, origins, rows, single_rows, summary, table_name, verdicts
from lib.report.data import to_records

LABEL_COLUMNS = {"table": "Table", "model": "Model", "phase": "Phase", "protocol": "Protocol", "input": "Input"}


def write_page(a: Results, b: Results) -> Path:
    """Write the comparison as one self-contained page; returns where it lies."""
    target = comparison(a.name, b.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(".new")
    new.write_text(page(a, b), encoding="utf-8")
    new.replace(target)
    return target


def page(a: Results, b: Results) -> str:
    """What moved, sorted by how far, then what changed between them."""
    parts = {
        "Numbers that moved": _moved_rows(a, b),
        "Verdicts that differ": _moved_verdicts(a, b),
        "Rows of one alone": _single_rows(a, b),
        "What changed between them": _origins(a, b),
    }
    sections = [(re.sub(r"\W+", "-", title.lower()), title, Markup(body)) for title, body in parts.items()]
    contents = [{"level": 2, "id": name, "text": title} for name, title, _ in sections]
    return html.part(
        "comparison", a=a, b=b, sentences=summary(a, b), sections=sections, contents=contents,
        resources=html.page_resources(f"{a.name} against {b.name}"),
    ).data  # fmt: skip


def _moved_rows(a: Results, b: Results) -> str:
    """A row of the printed tables a row, the furthest first; every number that moved is in the download."""
    moved = numbers(a, b).query("moved")
    by_row = dict(iter(moved.groupby(["table", "row"])))
    changed, same = [], []
    for row in to_records(rows(a, b).query("only == ''")):
        own = by_row.get((row["table"], row["row"]), moved.head(0))
        (changed if len(own) else same).append(_shown_row(row, to_records(own)))
    changed.sort(key=lambda row: -row["_furthest"])
    for row in changed:
        row["table"] = row["table"].partition(",")[0]  # the row is wide
    columns = [
        *_label_columns(), html.column("n", "n"),
        *(html.column(side, own.name, "interval", group="Test acc") for side, own in (("a", a), ("b", b))),
        html.column("test_accuracy", "moved", "move", group="Test acc"),
        html.column("inside", "inside", group="Test acc"),
        *(html.column(key, name, "move", group="Moved") for key, name in SHOWN.items() if key != "test_accuracy"),
        *([html.column("rest", "Also moved", "small")] if any(row["rest"] for row in changed) else []),
    ]  # fmt: skip
    parts = []
    if changed:
        caption = (
            f"{b.name} minus {a.name}, in percentage points, the row with the furthest number first. In square "
            f"brackets the 95 % intervals; inside: whether the test accuracy of {b.name} lies in the one of {a.name}. "
            "The CSV file has every number that moved, in full."
        )
        parts.append(
            html.table("moved", caption, columns, changed, "tables/table_*.csv", data=moved.drop(columns="moved"),
                       filters=["table", "phase", "protocol", "inside"], wide=True)
        )  # fmt: skip
    else:
        parts.append(html.part("note", text="No number that both have moved."))
    if same:
        caption = f"{len(same)} rows are the same in every number."
        columns = [*_label_columns(), html.column("a", "Test acc", "interval")]
        parts.append(html.table("same", caption, columns, same, "tables/table_*.csv", filters=["table"], folded=True))
    return html.joined(parts).data


def _shown_row(row: Mapping[str, Any], moved: list[dict[str, Any]]) -> dict[str, Any]:
    """A row that both have as the page shows it.

    Args:
        row: of lib.report.compare.rows.
        moved: its numbers that moved, of lib.report.compare.numbers.
    """
    accuracy, scale = ("accuracy", 100) if row["ref"] else ("test_accuracy", 1)
    shown = _label(row) | {"_interval": {}, "inside": ""}
    for side in "ab":
        low, high = (row.get(f"{accuracy}_{end}_{side}") for end in ("low", "high"))
        shown[side] = row[f"accuracy_shown_{side}"]
        shown["_interval"][side] = tuple(None if end is None else end / scale for end in (low, high))
    counts = [f"{n:g}" for side in "ab" if (n := row.get(f"n_test_{side}")) is not None]
    shown["n"] = ARROW.join(dict.fromkeys(counts))
    by_measure = {number["measure"]: number for number in moved}
    if accuracy in by_measure and by_measure[accuracy]["inside"] is not None:
        shown["inside"] = "yes" if by_measure[accuracy]["inside"] else "no"
    points = [abs(number["points"]) / 100 for number in moved if number["points"] is not None]
    shown["_furthest"] = max(points, default=0)
    for measure in SHOWN:
        number = by_measure.pop(accuracy if measure == "test_accuracy" else measure, None)
        shown[measure] = number["points"] / 100 if number else None
    elsewhere = ("n_test", f"{accuracy}_low", f"{accuracy}_high", "repetition_low", "repetition_high")
    rest = [f"{name} {n['a']:g}{ARROW}{n['b']:g}" for name, n in by_measure.items() if name not in elsewhere]
    return shown | {"rest": "; ".join(rest)}


def _moved_verdicts(a: Results, b: Results) -> str:
    claims = verdicts(a, b)
    if claims.empty:
        return html.part("note", text="Neither has a claims.json: no verdicts to compare.").data
    moved = claims[claims["moved"]]
    parts = []
    if len(moved):
        columns = [
            *(html.column("quote", "The paper says", "quote"), html.column("where", "Where")),
            *(html.column("a", a.name, "verdict"), html.column("b", b.name, "verdict")),
            html.column("questions", "Which question", "small"),
        ]
        shown = to_records(moved.fillna({"a": "no such claim", "b": "no such claim"}))
        caption = f"{len(moved)} of {len(claims)} claims whose verdict is another, or the answer to a question."
        parts.append(html.table("verdicts", caption, columns, shown, "claims.json", filters=["a", "b"], data=moved))
    else:
        parts.append(html.part("note", text=f"All {len(claims)} verdicts are the same."))
    same = claims[~claims["moved"]]
    if len(same) and len(moved):
        columns = [html.column("quote", "The paper says", "quote"), html.column("a", "Verdict", "verdict")]
        caption = f"{len(same)} verdicts are the same."
        parts.append(html.table("same-verdicts", caption, columns, to_records(same), "claims.json", folded=True))
    return html.joined(parts).data


def _single_rows(a: Results, b: Results) -> str:
    alone = single_rows(a, b)
    if alone.empty:
        return html.part("note", text="Both have the same rows.").data
    shown = [_label(row) | {"only": row["only"], "accuracy": row["accuracy"]} for row in to_records(alone)]
    columns = [*_label_columns(), html.column("only", "Where"), html.column("accuracy", "Test acc", "percent")]
    caption = f"{len(shown)} rows that only one has, or has a result for."
    return html.table("single", caption, columns, shown, "tables/table_*.csv", filters=["table", "only"]).data


def _origins(a: Results, b: Results) -> str:
    parts = []
    for own in (a, b):
        if not own.runs:
            text = f"{own.name} has neither stamps/ nor run.json files: what it was made with is not recorded there."
            parts.append(html.part("note", text=text))
    if a.runs and b.runs:
        differing = origins(a, b)
        shared = len(a.runs.keys() & b.runs.keys())
        alone = [f"{len(own.runs) - shared} in {own.name} alone" for own in (a, b) if len(own.runs) > shared]
        text = f"{shared} runs are in both{''.join(f', {part}' for part in alone)}. "
        parts.append(
            html.part("note", text=text + ("" if len(differing) else "They were made with the same of everything."))
        )
        causes, files = differing[differing["kind"] != "file"], differing[differing["kind"] == "file"]
        columns = [
            *(html.column("kind", "Kind"), html.column("name", "Name", "head"), html.column("a", a.name)),
            *(html.column("b", b.name), html.column("runs", "Runs", "count")),
        ]
        source = "stamps/*.json and runs/*/run.json"
        if len(causes):
            caption = f"{len(causes)} things that differ; digests are cut to 12 characters. Runs: in how many of both."
            parts.append(html.table("origins", caption, columns, to_records(causes), source, filters=["kind"]))
        if len(files):
            caption = f"{len(files)} files that runs of the study pass to each other and that differ in consequence."
            parts.append(html.table("files", caption, columns, to_records(files), source, folded=True))
    return html.joined(parts).data


def _label_columns() -> list[dict[str, str]]:
    return [html.column(key, name, "head" if key == "model" else "text") for key, name in LABEL_COLUMNS.items()]


def _label(row: Mapping[str, Any]) -> dict[str, str]:
    """What names a row on the page."""
    model = row["backbone"] or ", ".join(filter(None, (row["ref"], row["method"])))
    phase = html.PHASE_NAMES.get(row["phase"], row["phase"])
    label = {"table": table_name(row["table"]), "model": model, "phase": phase}
    return label | {"protocol": row["protocol"] or "printed", "input": row["preprocessing"]}
