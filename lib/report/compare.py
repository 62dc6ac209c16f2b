"""Two results folders compared: their numbers, their verdicts, and what their stamps say of why they differ."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from lib.config.paths import RESULTS, StudyPaths, comparison
from lib.report import html
from lib.report.html import show
from lib.report.tables import DIGITS
from lib.verdicts.judging import QUESTIONS, as_table

ROW = ["table", "protocol", "preprocessing", "variant", "phase", "backbone"]
COUNTS = ("seeds", "folds", "n_test")
PARTS = ("parameters", "external", "packages", "cells", "code", "inputs")  # of a stamp


class ResultsError(ValueError):
    """A folder without results, or with a file that cannot be read; the message says which and what was expected."""


def load_results(given: str) -> Path:
    """The results folder that a word on the command line means: a study's name under results/, or a path. Raises
    ResultsError where it is neither, or has no tables/table_<n>.csv."""
    named, folder = RESULTS / given, Path(given).expanduser()
    root = (named if "/" not in given and named.is_dir() else folder).resolve()
    if not any(root.glob("tables/table_*.csv")):
        expected = "name a finished study under results/, or its folder"
        raise ResultsError(f"--compare {given!r}: {root} has no tables/table_<n>.csv; {expected}")
    return root


def read_numbers(root: Path) -> pd.Series:
    """Every number of the scenarios' tables/table_<n>.csv by ROW and `measure`, rounded to DIGITS; scores are fractions
    of 1. Table V repeats numbers of the others and is not read."""
    numbers = []
    for path in sorted(set(root.glob("tables/table_[0-9]*.csv")) - {StudyPaths(root).table(5)}):
        with _named(path):
            table = pd.read_csv(path, keep_default_na=False, na_values=[""]).assign(table=path.stem[6:])
            numbers.append(table.set_index(ROW).astype(float).rename_axis(columns="measure").stack())
    return pd.concat(numbers).dropna().round(DIGITS)


def read_verdicts(root: Path) -> pd.Series:
    """The verdict on each claim and the answers to its questions, by `id`, `quote`, `where` and `question`."""
    path = StudyPaths(root).claims
    with _named(path):
        claims = as_table(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else pd.DataFrame()
        keys = ["id", "quote", "where"]
        claims = claims.reindex(columns=[*keys, "verdict", *QUESTIONS]).set_index(keys)
    return claims.rename(columns=QUESTIONS).rename_axis(columns="question").replace("", None).stack().dropna()


def read_stamps(root: Path) -> pd.Series:
    """What each run was made from, as text, by `run`, `part` (one of PARTS) and `name`."""
    entries = []
    for path in sorted(StudyPaths(root).stamps.glob("[!.]*.json")):
        with _named(path):
            stamp = json.loads(path.read_text(encoding="utf-8"))
            stamp["cells"] = {f"cell {number}": cell for number, cell in enumerate(stamp["cells"], start=1)}
            entries += [(path.stem, part, name, str(value)) for part in PARTS for name, value in stamp[part].items()]
    table = pd.DataFrame(entries, columns=["run", "part", "name", "value"], dtype=str)
    return table.set_index(["run", "part", "name"])["value"]


def differences(of_a: pd.Series, of_b: pd.Series) -> pd.DataFrame:
    """Where two series differ: the levels of their index, `a` and `b` (missing where one lacks the entry)."""
    of_a, of_b = of_a.align(of_b)
    return of_a.compare(of_b, result_names=("a", "b")).reset_index()


def compare_numbers(a: Path, b: Path) -> pd.DataFrame:
    """The `differences` of their numbers, the furthest first, with `difference` (b - a; NaN for counts) and `inside`
    (yes or no: b lies in the 95 % interval of a; empty where a has none)."""
    of_a = read_numbers(a)
    moved = differences(of_a, read_numbers(b))
    keys = [pd.MultiIndex.from_frame(moved[ROW].assign(measure=moved["measure"] + end)) for end in ("_low", "_high")]
    low, high = (of_a.reindex(key).set_axis(moved.index) for key in keys)
    inside = moved["b"].between(low, high).map({True: "yes", False: "no"}).where(moved["b"].notna() & low.notna(), "")
    difference = (moved["b"] - moved["a"]).mask(moved["measure"].isin(COUNTS))
    moved = moved.assign(difference=difference, inside=inside)
    return moved.loc[difference.abs().sort_values(ascending=False, kind="stable").index]


def compare_stamps(a: Path, b: Path) -> pd.DataFrame:
    """The `differences` of the stamps of the runs that both have, with `runs`, in how many of them; digests are cut."""
    of_a, of_b = read_stamps(a), read_stamps(b)
    runs = of_a.index.unique("run").intersection(of_b.index.unique("run")).difference(["report"])  # it reads all others
    moved = differences(*(own[own.index.get_level_values("run").isin(runs)] for own in (of_a, of_b))).fillna("")
    moved[["a", "b"]] = moved[["a", "b"]].replace(r"^([0-9a-f]{12})[0-9a-f]{52}$", r"\1", regex=True)
    counts = moved.groupby(["part", "name", "a", "b"]).size().rename("runs").reset_index()
    return counts.sort_values("part", key=lambda parts: parts.map(PARTS.index), kind="stable")


def write_page(a: Path, b: Path) -> tuple[Path, str]:
    """Write the comparison as one self-contained page; returns where it lies, and what moved in one sentence."""
    names = [root.relative_to(RESULTS).as_posix() if root.is_relative_to(RESULTS) else root.name for root in (a, b)]
    numbers, sides = compare_numbers(a, b), dict(zip("ab", names))
    verdicts = differences(read_verdicts(a), read_verdicts(b)).drop(columns="id")
    shown = numbers[~numbers["measure"].str.endswith(("_low", "_high"))]
    keys = ["table", "measure", *sides, "difference", "inside", *reversed(ROW[1:])]
    caption = "The furthest first; the CSV file has the ends of intervals, too."
    tables = {
        "Numbers that moved": show(
            shown, "numbers", caption, "tables/table_*.csv", keys, titles=sides, data=numbers, wide=True
        ),
        "Verdicts that differ": show(verdicts, "verdicts", "Verdicts and answers.", "claims.json", titles=sides),
        "What changed between them": show(
            compare_stamps(a, b), "stamps", "What the runs of both were made from.", "stamps/*.json", titles=sides
        ),
    }
    alone, outside = numbers[["a", "b"]].isna().any(axis=1).sum(), (numbers["inside"] == "no").sum()
    result = (
        f"{len(numbers) - alone:,} of {len(read_numbers(a)):,} numbers of {names[0]} moved, {outside} of them out of "
        f"their 95 % interval; {alone:,} are in one of the two alone; {len(verdicts)} verdicts and answers differ."
    )
    title, target = " against ".join(names), comparison(*names)
    resources = html.page_resources(title)
    page = html.part("comparison", title=title, a=a, b=b, result=result, tables=tables, resources=resources)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(".new")
    new.write_text(page.data, encoding="utf-8")
    return new.replace(target), result


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file that cannot be read."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ResultsError(f"{path} cannot be read: {error}; make the report again") from error
