"""Two results folders set against each other: which numbers moved and by how much, and what changed between them."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from lib.config import PROTOCOLS, RESULTS, StudyPaths, comparison, read_json, scenarios
from lib.report import html
from lib.report.accuracy import MEASURE_NAMES
from lib.report.tables import DIGITS, MEASURES
from lib.verdicts import as_table

KEYS = ("protocol", "preprocessing", "phase", "backbone")
LITERATURE_KEYS = ("ref", "method", "year", "classes", "protocol", "preprocessing", "phase")
SHOWN = dict(zip((*MEASURES, "balanced_accuracy"), (*MEASURE_NAMES, "Balanced")))
COUNTS = ("seeds", "n_test")
# what a stamp says of a run: part -> what it is called; the last are written by other runs of the same study
PARTS = {"parameters": "parameter", "external": "input", "cells": "notebook", "code": "code", "inputs": "file"}
ORDER = ("parameter", "input", "package", "commit", "hardware", "environment", "notebook", "code", "file")


class ResultsError(ValueError):
    """A folder that holds no results, or none that can be read; the message says which and what was expected."""


@dataclass(frozen=True)
class Results:
    """One of the two: its name on the page and its folder."""

    name: str
    root: Path

    @cached_property
    def tables(self) -> dict[int, pd.DataFrame]:
        """tables/table_<n>.csv by number, every cell as the text that stands there."""
        found = {}
        for path in (self.root / "tables").glob("table_*.csv"):
            if path.stem.removeprefix("table_").isdigit():
                try:
                    table = pd.read_csv(path, dtype=str, keep_default_na=False)
                except (ValueError, OSError) as error:
                    raise ResultsError(f"{path} cannot be read as a table: {error}") from error
                found[int(path.stem.removeprefix("table_"))] = table
        return dict(sorted(found.items()))

    @cached_property
    def claims(self) -> pd.DataFrame:
        """claims.json as a table, by the id of the claim."""
        path = StudyPaths(self.root).claims
        if not path.is_file():
            return pd.DataFrame(columns=["quote", "where", "verdict", *PROTOCOLS])
        try:
            return as_table(json.loads(path.read_text(encoding="utf-8"))).set_index("id")
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                f"{path} cannot be read as a list of verdicts: {error}; make the report again"
            ) from error

    @cached_property
    def runs(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Run -> what it was made from, in PARTS: of its stamp, else of its run.json."""
        found = {}
        for record in self.provenance:
            found[record.get("run", "")] = {part: dict(record.get(part) or {}) for part in PARTS}
        for path in sorted(StudyPaths(self.root).stamps.glob("[!.]*.json")):
            stamp = read_json(path)
            if isinstance(stamp, dict):
                cells = hashlib.sha256("".join(stamp["cells"]).encode()).hexdigest()
                cells = {path.stem.split("-")[0]: f"{len(stamp['cells'])} code cells, {cells[:12]}"}
                found[path.stem] = {part: stamp[part] for part in PARTS if part != "cells"} | {"cells": cells}
        if "report" in found:
            found["report"]["inputs"] = {}  # it reads all that the others wrote
        return found

    @cached_property
    def provenance(self) -> list[dict[str, Any]]:
        """What each training run noted of its machine and its packages."""
        records = (read_json(path) for path in sorted((self.root / "runs").glob("*/*/*/*/*/run.json")))
        return [record["provenance"] for record in records if isinstance(record, dict) and record.get("provenance")]

    @property
    def circumstances(self) -> dict[tuple[str, str], set[str]]:
        """(kind, name) -> every value that it had in some run: commit, packages, hardware, environment."""
        found: dict[tuple[str, str], set[str]] = {}
        for path in sorted(StudyPaths(self.root).stamps.glob("[!.]*.json")):
            for name, version in ((read_json(path) or {}).get("packages") or {}).items():
                found.setdefault(("package", name), set()).add(str(version))
        for record in self.provenance:
            git = record.get("git") or {}
            facts = {
                ("commit", "of the code"): f"{git.get('commit')}{' with changes' if git.get('clean') is False else ''}"
            }
            for kind, part in (("package", "packages"), ("hardware", "hardware"), ("environment", "environment")):
                facts |= {(kind, name): html.in_words(value) for name, value in (record.get(part) or {}).items()}
            for key, value in facts.items():
                found.setdefault(key, set()).add(value)
        return found


def results(given: str) -> Results:
    """The results that a word on the command line means: a study's name under results/, or a folder.

    Raises:
        ResultsError: no such folder, or one without tables/table_<n>.csv.
    """
    named, folder = RESULTS / given, Path(given).expanduser()
    root = named if "/" not in given and named.is_dir() else folder
    if not root.is_dir():
        there = sorted(path.name for path in RESULTS.glob("*/") if (path / "tables").is_dir())
        raise ResultsError(
            f"--compare {given!r}: no such study under results/ and no such folder; "
            f"there {'is' if len(there) == 1 else 'are'} {', '.join(there) or 'none'} under results/"
        )
    root = root.resolve()
    name = root.relative_to(RESULTS).as_posix() if root.is_relative_to(RESULTS) else root.name
    found = Results(name, root)
    if not found.tables:
        raise ResultsError(
            f"--compare {given!r}: {root} holds no tables/table_<n>.csv; name the folder of a finished study"
        )
    return found


def write_page(a: Results, b: Results) -> Path:
    """Write the comparison as one self-contained page; returns where it lies."""
    target = comparison(a.name, b.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(".new")
    new.write_text(page(a, b), encoding="utf-8")
    new.replace(target)
    return target


def numbers(a: Results, b: Results) -> pd.DataFrame:
    """Every number that stands in both: `table`, `row` (its key as text), `measure`, `a`, `b`, `moved`, `points`
    (b - a in percentage points; None for counts), `inside` (whether b lies in the 95 % interval of a; None where it has
    none). Numbers are the same if they agree to DIGITS digits after the point."""
    found = []
    for number, key, row_a, row_b in _rows(a, b):
        if row_a is None or row_b is None or (_accuracy(key, row_a) is None) != (_accuracy(key, row_b) is None):
            continue
        for measure in row_a:
            if row_a[measure] is None or row_b.get(measure) is None:
                continue
            x, y = row_a[measure], row_b[measure]
            scale = None if measure in COUNTS else 1 if "ref" in key else 100
            low, high = row_a.get(f"{measure}_low"), row_a.get(f"{measure}_high")
            found.append(
                {"table": number, "row": key["_text"], "measure": measure, "a": x, "b": y}
                | {"moved": round(x, DIGITS) != round(y, DIGITS), "points": None if scale is None else scale * (y - x)}
                | {"inside": None if low is None or high is None else low <= y <= high}
            )
    columns = ["table", "row", "measure", "a", "b", "moved", "points", "inside"]
    return pd.DataFrame(found, columns=columns).astype({"moved": bool, "points": float})


def single_rows(a: Results, b: Results) -> list[dict[str, Any]]:
    """The rows that only one of the two has, or has a result for: the key, `only` and `accuracy` (fraction of 1)."""
    found = []
    for number, key, row_a, row_b in _rows(a, b):
        of_a, of_b = _accuracy(key, row_a), _accuracy(key, row_b)
        if row_a is None or row_b is None:
            only = a if row_b is None else b
            what = f"only in {only.name}" + ("" if (of_a, of_b) != (None, None) else ", without a result")
        elif (of_a is None) != (of_b is None):
            what = f"measured only in {(a if of_b is None else b).name}"
        else:
            continue
        found.append({"table": number, **key, "only": what, "accuracy": of_b if of_a is None else of_a})
    return found


def verdicts(a: Results, b: Results) -> pd.DataFrame:
    """Every claim that both have or one has: `quote`, `where`, `a`, `b` (None where it lacks the claim), `protocols`
    (what changed under which), `moved`."""
    found = []
    for claim in dict.fromkeys([*a.claims.index, *b.claims.index]):
        of_a, of_b = (r.claims.loc[claim] if claim in r.claims.index else None for r in (a, b))
        either = of_b if of_a is None else of_a
        pair = [None if own is None else own["verdict"] for own in (of_a, of_b)]
        changed = []
        if of_a is not None and of_b is not None:
            changed = [f"{p}: {of_a[p]} \N{RIGHTWARDS ARROW} {of_b[p]}" for p in PROTOCOLS if of_a[p] != of_b[p]]
        row = {"id": claim, "quote": either["quote"], "where": either["where"], "a": pair[0], "b": pair[1]}
        found.append(row | {"protocols": "; ".join(changed), "moved": pair[0] != pair[1] or bool(changed)})
    return pd.DataFrame(found, columns=["id", "quote", "where", "a", "b", "protocols", "moved"])


def origins(a: Results, b: Results) -> pd.DataFrame:
    """What the two were made with, where it differs: `kind` (parameter, notebook, code, input, file, package, commit,
    hardware or environment), `name`, `a`, `b` (text; empty where it has none), `runs` (how many runs it differs in).

    Runs are matched by their id; where the two share none, each value is set against all that the other has.
    """
    found: dict[tuple[str, str, str, str], int] = {}
    shared = a.runs.keys() & b.runs.keys()
    for part, kind in PARTS.items():
        pairs = [(a.runs[run][part], b.runs[run][part]) for run in shared] or [(_merged(a, part), _merged(b, part))]
        for of_a, of_b in pairs:
            for name in of_a.keys() | of_b.keys():
                if of_a.get(name) != of_b.get(name) or (name in of_a) != (name in of_b):
                    key = (kind, name, *(_said(own, name) for own in (of_a, of_b)))
                    found[key] = found.get(key, 0) + bool(shared)
    of_a, of_b = a.circumstances, b.circumstances
    if of_a and of_b:
        for key in of_a.keys() | of_b.keys():
            if of_a.get(key) != of_b.get(key):
                found[*key, *(html.shortened(sorted(own.get(key, [])), "") for own in (of_a, of_b))] = 0
    rows = [dict(zip(("kind", "name", "a", "b"), key), runs=count or None) for key, count in found.items()]
    table = pd.DataFrame(rows, columns=["kind", "name", "a", "b", "runs"])
    table = table.sort_values(["name", "a", "b"])
    return table.sort_values("kind", key=lambda kinds: kinds.map(ORDER.index), kind="stable", ignore_index=True)


def summary(a: Results, b: Results) -> list[str]:
    """What moved, in a few sentences of plain text."""
    found, claims = numbers(a, b), verdicts(a, b)
    moved, turned = found[found["moved"]], claims[claims["moved"]]
    alone = len(single_rows(a, b))
    rows, of = len(found.drop_duplicates(["table", "row"])), len(moved.drop_duplicates(["table", "row"]))
    if moved.empty and turned.empty and not alone:
        return [
            f"Nothing moved: all {len(found):,} numbers of {rows} rows and all {len(claims)} verdicts are the same."
        ]
    said = [f"{len(moved):,} of {len(found):,} numbers moved, in {of} of {rows} rows that both have."]
    points = moved.dropna(subset="points")
    points = points[~points["measure"].str.endswith(("_low", "_high"))]
    if len(points):
        far = points.loc[points["points"].astype(float).abs().idxmax()]
        said.append(
            f"The furthest is {SHOWN.get(far['measure'], far['measure'])} of {_table_name(far['table'])}, "
            f"{far['row']}: by {html.fine(far['points'])} points."
        )
    tested = moved[moved["inside"].notna()]
    if len(tested):
        outside = int((~tested["inside"].astype(bool)).sum())
        said.append(f"Test accuracies that moved: {len(tested)}; outside the 95 % interval of {a.name}: {outside}.")
    said.append(f"{len(turned)} of {len(claims)} verdicts differ.")
    if alone:
        said.append(f"{alone} rows stand, or were measured, in one of the two alone.")
    return said


def page(a: Results, b: Results) -> str:
    """The comparison as a page in the look of the report: what moved, sorted by how far, then what changed between."""
    found, claims = numbers(a, b), verdicts(a, b)
    parts = {
        "Numbers that moved": _moved_rows(a, b, found),
        "Verdicts that differ": _moved_verdicts(a, b, claims),
        "Rows of one alone": _single_rows(single_rows(a, b)),
        "What changed between them": _origins(a, b),
    }
    sections = [(re.sub(r"\W+", "-", title.lower()), title, Markup(body)) for title, body in parts.items()]
    contents = [{"level": 2, "id": name, "text": title} for name, title, _ in sections]
    return html.part(
        "comparison", a=a, b=b, sentences=summary(a, b), sections=sections, contents=contents,
        resources=html.page_resources(f"{a.name} against {b.name}"),
    ).data  # fmt: skip


def _moved_rows(a: Results, b: Results, found: pd.DataFrame) -> str:
    """A row of the printed tables a row, the furthest first; every number that moved is in the download."""
    moved = found[found["moved"]]
    rows, same = [], []
    for number, key, row_a, row_b in _rows(a, b):
        if row_a is None or row_b is None or (_accuracy(key, row_a) is None) != (_accuracy(key, row_b) is None):
            continue
        mine = moved[(moved["table"] == number) & (moved["row"] == key["_text"])]
        (rows if len(mine) else same).append(_shown_row(number, key, row_a, row_b, mine))
    rows.sort(key=lambda row: -row["_furthest"])
    for row in rows:
        row["table"] = row["table"].partition(",")[0]  # the row is wide
    label = [("table", "Table"), ("model", "Model"), ("phase", "Phase"), ("protocol", "Protocol"), ("input", "Input")]
    labels = [html.column(key, name, "head" if key == "model" else "text") for key, name in label]
    columns = [
        *labels, html.column("n", "n"),
        *(html.column(side, own.name, "interval", group="Test acc") for side, own in (("a", a), ("b", b))),
        html.column("test_accuracy", "moved", "move", group="Test acc"),
        html.column("inside", "inside", group="Test acc"),
        *(html.column(key, name, "move", group="Moved") for key, name in SHOWN.items() if key != "test_accuracy"),
        *([html.column("rest", "Also moved", "small")] if any(row["rest"] for row in rows) else []),
    ]  # fmt: skip
    parts = []
    if rows:
        caption = (
            f"{b.name} minus {a.name}, in percentage points, the row with the furthest number first. In square "
            f"brackets the 95 % intervals; inside: whether the test accuracy of {b.name} lies in the one of {a.name}. "
            "The CSV file has every number that moved, in full."
        )
        parts.append(
            html.table("moved", caption, columns, rows, "tables/table_*.csv", data=moved.drop(columns="moved"),
                       filters=["table", "phase", "protocol", "inside"], wide=True)
        )  # fmt: skip
    else:
        parts.append(html.part("note", text="No number that both have moved."))
    if same:
        caption = f"{len(same)} rows are the same in every number."
        columns = [*labels, html.column("a", "Test acc", "interval")]
        parts.append(html.table("same", caption, columns, same, "tables/table_*.csv", filters=["table"], folded=True))
    return "".join(part.data for part in parts)


def _shown_row(number: int, key: Mapping[str, str], row_a: Mapping, row_b: Mapping, moved: pd.DataFrame) -> dict:
    accuracy, scale = ("accuracy", 100) if "ref" in key else ("test_accuracy", 1)
    row = _label(number, key) | {"_interval": {}, "inside": ""}
    for name, own in (("a", row_a), ("b", row_b)):
        row[name] = None if own.get(accuracy) is None else own[accuracy] / scale
        ends = [own.get(f"{accuracy}_{end}") for end in ("low", "high")]
        row["_interval"][name] = tuple(None if end is None else end / scale for end in ends)
    counts = [f"{own['n_test']:g}" for own in (row_a, row_b) if own.get("n_test") is not None]
    row["n"] = " \N{RIGHTWARDS ARROW} ".join(dict.fromkeys(counts))
    by_measure = {record["measure"]: record for record in moved.to_dict("records")}
    if accuracy in by_measure and by_measure[accuracy]["inside"] is not None:
        row["inside"] = "yes" if by_measure[accuracy]["inside"] else "no"
    for measure in SHOWN:
        record = by_measure.pop(accuracy if measure == "test_accuracy" else measure, None)
        row[measure] = record["points"] / 100 if record else None
    points = [abs(value) for measure in SHOWN if (value := row[measure]) is not None]
    row["_furthest"] = max(
        [*points, *(abs(r["points"]) / 100 for r in by_measure.values() if pd.notna(r["points"]))], default=0
    )
    shown = ("n_test", f"{accuracy}_low", f"{accuracy}_high")
    rest = [f"{name} {r['a']:g} \N{RIGHTWARDS ARROW} {r['b']:g}" for name, r in by_measure.items() if name not in shown]
    return row | {"rest": "; ".join(rest)}


def _moved_verdicts(a: Results, b: Results, claims: pd.DataFrame) -> str:
    if claims.empty:
        return html.part("note", text="Neither has a claims.json: no verdicts to compare.").data
    moved = claims[claims["moved"]]
    parts = []
    if len(moved):
        columns = [
            *(html.column("quote", "The paper says", "quote"), html.column("where", "Where")),
            *(html.column("a", a.name, "verdict"), html.column("b", b.name, "verdict")),
            html.column("protocols", "Under which protocol", "small"),
        ]
        rows = [row | {"a": row["a"] or "no such claim", "b": row["b"] or "no such claim"} for row in _records(moved)]
        caption = f"{len(moved)} of {len(claims)} claims whose verdict is another, as a whole or under a protocol."
        parts.append(html.table("verdicts", caption, columns, rows, "claims.json", filters=["a", "b"], data=moved))
    else:
        parts.append(html.part("note", text=f"All {len(claims)} verdicts are the same."))
    same = claims[~claims["moved"]]
    if len(same) and len(moved):
        columns = [html.column("quote", "The paper says", "quote"), html.column("a", "Verdict", "verdict")]
        caption = f"{len(same)} verdicts are the same."
        parts.append(html.table("same-verdicts", caption, columns, _records(same), "claims.json", folded=True))
    return "".join(part.data for part in parts)


def _single_rows(found: list[dict[str, Any]]) -> str:
    if not found:
        return html.part("note", text="Both have the same rows.").data
    rows = [_label(row["table"], row) | {"only": row["only"], "accuracy": row["accuracy"]} for row in found]
    label = [("table", "Table"), ("model", "Model"), ("phase", "Phase"), ("protocol", "Protocol"), ("input", "Input")]
    columns = [html.column(key, name, "head" if key == "model" else "text") for key, name in label]
    columns += [html.column("only", "Where"), html.column("accuracy", "Test acc", "percent")]
    caption = f"{len(rows)} rows that only one has, or has a result for."
    return html.table("single", caption, columns, rows, "tables/table_*.csv", filters=["table", "only"]).data


def _origins(a: Results, b: Results) -> str:
    parts = []
    for own in (a, b):
        if not own.runs:
            text = f"{own.name} has neither stamps/ nor run.json files: what it was made with is not recorded there."
            parts.append(html.part("note", text=text))
    if a.runs and b.runs:
        found = origins(a, b)
        shared = len(a.runs.keys() & b.runs.keys())
        alone = [f"{len(own.runs) - shared} in {own.name} alone" for own in (a, b) if len(own.runs) > shared]
        text = f"{shared} runs are in both{''.join(f', {part}' for part in alone)}. "
        parts.append(
            html.part("note", text=text + ("" if len(found) else "They were made with the same of everything."))
        )
        causes, files = found[found["kind"] != "file"], found[found["kind"] == "file"]
        columns = [
            *(html.column("kind", "Kind"), html.column("name", "Name", "head"), html.column("a", a.name)),
            *(html.column("b", b.name), html.column("runs", "Runs", "count")),
        ]
        source = "stamps/*.json and runs/*/run.json"
        if len(causes):
            caption = f"{len(causes)} things that differ; digests are cut to 12 characters. Runs: in how many of both."
            parts.append(html.table("origins", caption, columns, _records(causes), source, filters=["kind"]))
        if len(files):
            caption = f"{len(files)} files that runs of the study pass to each other and that differ in consequence."
            parts.append(html.table("files", caption, columns, _records(files), source, folded=True))
    return "".join(part.data for part in parts)


def _rows(a: Results, b: Results) -> Iterator[tuple[int, dict[str, str], dict | None, dict | None]]:
    """Every row of the tables of either: number of the table, key (with `_text`), its numbers in a and in b."""
    for number in sorted(a.tables.keys() | b.tables.keys()):
        of_a, of_b = (_by_key(own, number) for own in (a, b))
        for key in dict.fromkeys([*of_a, *of_b]):
            names = dict(key[:-1])
            words = [text for text in names.values() if text]
            yield (
                number,
                names | {"_text": ", ".join(words) + (f" ({key[-1]})" if key[-1] > 1 else "")},
                *(own.get(key) for own in (of_a, of_b)),
            )


def _by_key(own: Results, number: int) -> dict[tuple, dict[str, float | None]]:
    """Rows by their key (name and value of each part, then which of several such rows) -> column -> number."""
    table, found = own.tables.get(number), {}
    for record in table.to_dict("records") if table is not None else []:
        keys = LITERATURE_KEYS if "ref" in record else KEYS
        key, count = tuple((name, record.get(name, "")) for name in keys), 1
        while (*key, count) in found:
            count += 1
        values = {name: text for name, text in record.items() if name not in (*keys, "note")}
        try:
            found[*key, count] = {
                name: float(text) if text not in ("", "nan") else None for name, text in values.items()
            }
        except ValueError as error:
            raise ResultsError(
                f"{own.root / 'tables' / f'table_{number}.csv'}: {error}; make the report again"
            ) from error
    return found


def _accuracy(key: Mapping[str, str], row: Mapping[str, float | None] | None) -> float | None:
    """Test accuracy of a row as a fraction of 1."""
    if row is None:
        return None
    value = row.get("accuracy" if "ref" in key else "test_accuracy")
    return value / 100 if value is not None and "ref" in key else value


def _label(number: int, key: Mapping[str, str]) -> dict[str, str]:
    """What names a row on the page."""
    model = key.get("backbone") or ", ".join(text for text in (key.get("ref"), key.get("method")) if text)
    phase = html.PHASE_NAMES.get(key["phase"], key["phase"])
    protocol = key["protocol"] or "printed"
    return {
        "table": _table_name(number),
        "model": model,
        "phase": phase,
        "protocol": protocol,
        "input": key["preprocessing"],
    }


def _table_name(number: int) -> str:
    title = next((scenario.title for scenario in scenarios().values() if scenario.table == number), "the literature")
    return f"Table {html.ROMAN.get(number, number)}, {title.lower()}"


def _merged(own: Results, part: str) -> dict[str, str]:
    """Name -> every value that it has in some run, as text."""
    values: dict[str, set[str]] = {}
    for run in own.runs.values():
        for name in run[part]:
            values.setdefault(name, set()).add(_said(run[part], name))
    return {name: html.shortened(sorted(found), "") for name, found in values.items()}


def _said(own: Mapping[str, Any], name: str) -> str:
    """A value of a stamp as text; digests cut short."""
    if name not in own:
        return ""
    text = html.in_words(own[name])
    return text[:12] if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{key: None if pd.isna(value) else value for key, value in row.items()} for row in table.to_dict("records")]
