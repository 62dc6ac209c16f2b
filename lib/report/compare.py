"""Two results folders set against each other: which numbers moved and by how much, and what changed between them."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lib.config.files import read_json
from lib.config.paper import scenarios
from lib.config.paths import DEFAULT_VARIANT, RESULTS, StudyPaths
from lib.figures.style import roman
from lib.report import wording
from lib.report.tables import DIGITS, MEASURES
from lib.verdicts.judging import QUESTIONS, as_table

# what names a row: of Tables I to IV, of Table V; in this order in its text
LABELS = ("ref", "method", "year", "classes", "protocol", "preprocessing", "variant", "phase", "backbone")
SHOWN = MEASURES | {"balanced_accuracy": "Balanced"}
COUNTS = ("seeds", "folds", "n_test")
# what a stamp says of a run: part -> what it is called; the last are written by other runs of the same study
PARTS = {"parameters": "parameter", "external": "input", "cells": "notebook", "code": "code", "inputs": "file"}
ORDER = ("parameter", "input", "package", "commit", "hardware", "environment", "notebook", "code", "file")
ARROW = " \N{RIGHTWARDS ARROW} "


class ResultsError(ValueError):
    """A folder that holds no results, or none that can be read; the message says which and what was expected."""


@dataclass(frozen=True)
class Results:
    """One of the two: its name on the page and its folder."""

    name: str
    root: Path

    @cached_property
    def tables(self) -> dict[int, Path]:
        """tables/table_<n>.csv by number."""
        numbered = {path.stem.removeprefix("table_"): path for path in (self.root / "tables").glob("table_*.csv")}
        return {int(number): path for number, path in sorted(numbered.items()) if number.isdigit()}

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows of all tables: `table`, LABELS, `row` (the labels as text, numbered where several are alike),
        `accuracy_shown` (test accuracy as a fraction of 1), and every number of the tables, in their own units."""
        read = [self._read(number) for number in self.tables]
        rows = pd.concat(read, ignore_index=True)
        return rows.assign(place=range(len(rows)))

    def _read(self, number: int) -> pd.DataFrame:
        path = self.tables[number]
        try:
            text = pd.read_csv(path, dtype=str, keep_default_na=False)
            labels = text.reindex(columns=LABELS, fill_value="").replace({"variant": DEFAULT_VARIANT}, "")
            values = (
                text.drop(columns=[*LABELS, "note"], errors="ignore").replace({"": None, "nan": None}).astype(float)
            )
        except (ValueError, OSError) as error:
            raise ResultsError(f"{path} cannot be read as a table: {error}; make the report again") from error
        row = labels.agg(lambda own: ", ".join(filter(None, own)), axis=1) if len(labels) else pd.Series(dtype=str)
        count = row.groupby(row).cumcount() + 1
        row = row.where(count == 1, row + " (" + count.astype(str) + ")")
        shown = values.get("test_accuracy", values.get("accuracy", pd.Series(index=values.index, dtype=float)) / 100)
        return pd.concat([labels.assign(table=number, row=row, accuracy_shown=shown), values], axis=1)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """The rows' numbers, a row a number: `table`, `row`, `measure`, `value`, `scale` (what makes it percentage
        points; none for counts), `low`, `high` (its 95 % interval, where it has one)."""
        by_row = self.rows.set_index(["table", "row"])
        values = by_row.drop(columns=[*LABELS, "accuracy_shown", "place"]).stack().rename("value").dropna()
        values.index.names = ["table", "row", "measure"]
        numbers = values.reset_index()
        for end in ("low", "high"):
            of_bound = zip(numbers["table"], numbers["row"], numbers["measure"] + f"_{end}")
            numbers[end] = values.reindex(list(of_bound)).to_numpy()
        is_percent = numbers["table"].map(self.rows.groupby("table")["ref"].agg(any))
        return numbers.assign(scale=is_percent.map({True: 1.0, False: 100.0}).mask(numbers["measure"].isin(COUNTS)))

    @cached_property
    def claims(self) -> pd.DataFrame:
        """claims.json as a table, by the id of the claim."""
        path = StudyPaths(self.root).claims
        if not path.is_file():
            return pd.DataFrame(columns=["quote", "where", "verdict", *QUESTIONS])
        try:
            return as_table(json.loads(path.read_text(encoding="utf-8"))).set_index("id")
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                f"{path} cannot be read as a list of verdicts: {error}; make the report again"
            ) from error

    @cached_property
    def runs(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Run -> what it was made from, in PARTS: of its stamp, else of its run.json."""
        runs = {}
        for record in self.provenance:
            runs[record.get("run", "")] = {part: dict(record.get(part) or {}) for part in PARTS}
        for run, stamp in self.stamps.items():
            cells = hashlib.sha256("".join(stamp["cells"]).encode()).hexdigest()
            cells = {run.split("-")[0]: f"{len(stamp['cells'])} code cells, {cells[:12]}"}
            runs[run] = {part: stamp[part] for part in PARTS if part != "cells"} | {"cells": cells}
        if "report" in runs:
            runs["report"]["inputs"] = {}  # it reads all that the others wrote
        return runs

    @cached_property
    def stamps(self) -> dict[str, dict[str, Any]]:
        """Run -> its stamp."""
        read = {path.stem: read_json(path) for path in sorted(StudyPaths(self.root).stamps.glob("[!.]*.json"))}
        return {run: stamp for run, stamp in read.items() if isinstance(stamp, dict)}

    @cached_property
    def provenance(self) -> list[dict[str, Any]]:
        """What each training run noted of its machine and its packages."""
        records = (read_json(path) for path in sorted((self.root / "runs").glob("*/*/*/*/*/run.json")))
        return [record["provenance"] for record in records if isinstance(record, dict) and record.get("provenance")]

    def made_from(self, runs: set[str]) -> pd.DataFrame:
        """`run`, `kind`, `name`, `exact` (JSON) and `text` of everything that these runs were made from."""
        facts = [
            (run, kind, name, json.dumps(value, sort_keys=True), _as_text(value))
            for run in sorted(runs)
            for part, kind in PARTS.items()
            for name, value in self.runs[run][part].items()
        ]
        return pd.DataFrame(facts, columns=["run", "kind", "name", "exact", "text"], dtype=str)

    def made_with(self) -> pd.DataFrame:
        """`kind`, `name` and `text` of the commit, packages, hardware and environment that some run had, each once."""
        facts = [
            ("package", name, str(version))
            for stamp in self.stamps.values()
            for name, version in (stamp.get("packages") or {}).items()
        ]
        for record in self.provenance:
            git = record.get("git") or {}
            changes = " with changes" if git.get("clean") is False else ""
            facts.append(("commit", "of the code", f"{git.get('commit')}{changes}"))
            for kind, part in (("package", "packages"), ("hardware", "hardware"), ("environment", "environment")):
                facts += [(kind, name, wording.in_words(value)) for name, value in (record.get(part) or {}).items()]
        return pd.DataFrame(facts, columns=["kind", "name", "text"], dtype=str).drop_duplicates()


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
    chosen = Results(name, root)
    if not chosen.tables:
        raise ResultsError(
            f"--compare {given!r}: {root} holds no tables/table_<n>.csv; name the folder of a finished study"
        )
    return chosen


def rows(a: Results, b: Results) -> pd.DataFrame:
    """The rows of either, matched: `table`, `row`, LABELS, every number twice (as in `f1_a` and `f1_b`), `only`
    (which one alone has the row, or has a result for it; empty where neither is alone), `accuracy` (fraction of 1)."""
    columns = list(dict.fromkeys([*a.rows, *b.rows]))
    sides = (own.rows.reindex(columns=columns) for own in (a, b))
    both = pd.merge(*sides, how="outer", on=["table", "row", *LABELS], suffixes=("_a", "_b"), indicator="side")
    both = both.sort_values(["table", "place_a", "place_b"], ignore_index=True)
    of_a, of_b = both["accuracy_shown_a"], both["accuracy_shown_b"]
    has_row = both["side"].astype(str).map({"left_only": a.name, "right_only": b.name, "both": ""})
    has_result = pd.Series("", both.index).mask(of_b.isna(), a.name).mask(of_a.isna(), b.name)
    has_result = has_result.mask(of_a.isna() == of_b.isna(), "")
    only = ("measured only in " + has_result).where(has_result != "", "")
    without = (of_a.isna() & of_b.isna()).map({True: ", without a result", False: ""})
    only = only.where(has_row == "", "only in " + has_row + without)
    return both.assign(only=only, accuracy=of_a.fillna(of_b))


def numbers(a: Results, b: Results) -> pd.DataFrame:
    """Every number that stands in both: `table`, `row` (its key as text), `measure`, `a`, `b`, `moved`, `points`
    (b - a in percentage points; None for counts), `inside` (whether b lies in the 95 % interval of a; None where it has
    none). Numbers are the same if they agree to DIGITS digits after the point."""
    shared = rows(a, b).query("only == ''")[["table", "row"]]
    of_b = b.numbers[["table", "row", "measure", "value"]]
    both = shared.merge(a.numbers).merge(of_b, on=["table", "row", "measure"], suffixes=("_a", "_b"))
    of_a, of_b = both["value_a"], both["value_b"]
    inside = of_b.between(both["low"], both["high"]).astype(object)
    return pd.DataFrame(
        {
            **both[["table", "row", "measure"]],
            **{"a": of_a, "b": of_b, "moved": of_a.round(DIGITS) != of_b.round(DIGITS)},
            "points": both["scale"] * (of_b - of_a),
            "inside": inside.where(both[["low", "high"]].notna().all(axis=1), None),
        }
    )


def single_rows(a: Results, b: Results) -> pd.DataFrame:
    """The rows that only one of the two has, or has a result for: `table`, LABELS, `only`, `accuracy`."""
    return rows(a, b).query("only != ''")[["table", *LABELS, "only", "accuracy"]]


def verdicts(a: Results, b: Results) -> pd.DataFrame:
    """Every claim that both have or one has: `quote`, `where`, `a`, `b` (None where it lacks the claim), `questions`
    (which is answered otherwise), `moved`."""
    sides = (own.claims.rename_axis("id").reset_index() for own in (a, b))
    both = pd.merge(*sides, how="outer", on="id", suffixes=("_a", "_b"), indicator="side").set_index("id")
    both = both.loc[list(dict.fromkeys([*a.claims.index, *b.claims.index]))].reset_index()
    changed = pd.Series("", both.index)
    for question, shown in QUESTIONS.items():
        of_a, of_b = both[f"{question}_a"], both[f"{question}_b"]
        differs = (both["side"] == "both") & (of_a != of_b)
        text = f"; {shown}: " + of_a.astype(str) + ARROW + of_b.astype(str)
        changed += text.where(differs, "")
    pair = {side: both[f"verdict_{side}"].astype(object).where(both[f"verdict_{side}"].notna(), None) for side in "ab"}
    quoted = {name: both[f"{name}_a"].fillna(both[f"{name}_b"]) for name in ("quote", "where")}
    moved = (pair["a"] != pair["b"]) | (changed != "")
    return pd.DataFrame(
        {"id": both["id"], **quoted, **pair, "questions": changed.str.removeprefix("; "), "moved": moved}
    )


def origins(a: Results, b: Results) -> pd.DataFrame:
    """What the two were made with, where it differs: `kind` (parameter, notebook, code, input, file, package, commit,
    hardware or environment), `name`, `a`, `b` (text; empty where it has none), `runs` (how many runs it differs in).

    Runs are matched by their id; where the two share none, each value is set against all that the other has.
    """
    shared = a.runs.keys() & b.runs.keys()
    if shared:
        sides = (own.made_from(shared) for own in (a, b))
        differing = _differing(*sides, ["run", "kind", "name"], "exact")
        causes = differing.groupby(["kind", "name", "a", "b"]).size().rename("runs").reset_index()
    else:
        causes = _differing(*(_all_values(own.made_from({*own.runs})) for own in (a, b)), ["kind", "name"], "text")
    with_a, with_b = a.made_with(), b.made_with()
    if len(with_a) and len(with_b):
        causes = pd.concat([causes, _differing(_all_values(with_a), _all_values(with_b), ["kind", "name"], "exact")])
    table = causes.reindex(columns=["kind", "name", "a", "b", "runs"]).sort_values(["name", "a", "b"])
    return table.sort_values("kind", key=lambda kinds: kinds.map(ORDER.index), kind="stable", ignore_index=True)


def summary(a: Results, b: Results) -> list[str]:
    """What moved, in a few sentences of plain text."""
    both, claims = numbers(a, b), verdicts(a, b)
    moved, turned = both[both["moved"]], claims[claims["moved"]]
    alone = len(single_rows(a, b))
    rows_of_both, rows_moved = (len(table.drop_duplicates(["table", "row"])) for table in (both, moved))
    if moved.empty and turned.empty and not alone:
        return [
            f"Nothing moved: all {len(both):,} numbers of {rows_of_both} rows and all {len(claims)} verdicts are the "
            "same."
        ]
    sentences = [
        f"{len(moved):,} of {len(both):,} numbers moved, in {rows_moved} of {rows_of_both} rows that both have."
    ]
    points = moved.dropna(subset="points")
    points = points[~points["measure"].str.endswith(("_low", "_high"))]
    if len(points):
        far = points.loc[points["points"].abs().idxmax()]
        sentences.append(
            f"The furthest is {SHOWN.get(far['measure'], far['measure'])} of {table_name(far['table'])}, "
            f"{far['row']}: by {wording.fine(far['points'])} points."
        )
    tested = moved[moved["inside"].notna()]
    if len(tested):
        outside = int((~tested["inside"].astype(bool)).sum())
        sentences.append(
            f"Test accuracies that moved: {len(tested)}; outside the 95 % interval of {a.name}: {outside}."
        )
    sentences.append(f"{len(turned)} of {len(claims)} verdicts differ.")
    if alone:
        sentences.append(f"{alone} rows stand, or were measured, in one of the two alone.")
    return sentences


def table_name(number: int) -> str:
    """`Table I, nine classes`."""
    title = next((scenario.title for scenario in scenarios().values() if scenario.table == number), "the literature")
    return f"Table {roman(number)}, {title.lower()}"


def _differing(of_a: pd.DataFrame, of_b: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """The keys under which two tables hold another `value`, or one of them none, with their `text` as `a` and `b`."""
    both = of_a.merge(of_b, how="outer", on=keys, suffixes=("_a", "_b"), indicator="side")
    both = both[(both["side"] != "both") | (both[f"{value}_a"] != both[f"{value}_b"])]
    return both.assign(a=both["text_a"].fillna(""), b=both["text_b"].fillna(""))[[*keys, "a", "b"]]


def _all_values(facts: pd.DataFrame) -> pd.DataFrame:
    """`kind`, `name`, and every value it has in some run: `exact` all of them, `text` cut short."""
    values = facts.groupby(["kind", "name"])["text"].agg(lambda texts: sorted(set(texts)))
    text = values.map(lambda texts: wording.shortened(texts, ""))
    return pd.DataFrame({"exact": values.map(str), "text": text}).reset_index()


def _as_text(value: Any) -> str:
    """A value of a stamp as text; digests cut short."""
    text = wording.in_words(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{64}", text) else text
