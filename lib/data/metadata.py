"""What the makers of a data set say of its images: official diagnoses and lesion ids, in the formats that they publish.

An id is compared without the ending of its file, the mark of a copy, and `_downsampled`, which ISIC 2019 adds.
"""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lib.config.schema import nearest, read_yaml
from lib.data.folder import ENDINGS, DataError, as_text

_WORDS = read_yaml(Path(__file__).with_name("diagnoses.yaml"))
DIAGNOSIS_CLASSES = {code: tuple(labels) for code, labels in _WORDS["classes"].items()}  # that a diagnosis allows
IDS = ("isic_id", "image_id", "image", "image_name")
CODED = ("isic2019_diagnosis", "dx")
NAMED = ("diagnosis_5", "diagnosis_4", "diagnosis_3", "diagnosis_2", "diagnosis_1", "diagnosis")  # the finest first
EXPECTED_COLUMNS = "expected isic_id, isic2019_diagnosis and lesion_id, or files as ISIC and HAM10000 publish them"
MANY_FILES, MOST_FILES = 10, 50  # of a lesion; the public set has up to 6 files of one


def read_metadata(paths: Iterable[Path]) -> pd.DataFrame:
    """Read official diagnoses and lesion ids from one file or several that complete each other.

    Columns are separated by comma, semicolon or tab. A file has ids (IDS) and lesion_id or a diagnosis: a code (CODED),
    a column of 0 and 1 for each code (ISIC's ground truth), or a name (the ISIC archive). A value may be missing
    (diagnoses.yaml).

    Returns:
        index isic_id; columns diagnosis (of DIAGNOSIS_CLASSES) and lesion_id, or "". DataError: unreadable file,
        missing columns, empty id, unknown code, or two values for one id.
    """
    paths = [Path(path) for path in paths]
    nothing = pd.DataFrame(columns=["diagnosis", "lesion_id"], index=pd.Index([], name="isic_id"), dtype=str)
    table = pd.concat([nothing, *map(_read, paths)])
    groups = table.replace("", pd.NA).groupby(level=0)
    merged, several = groups.first().fillna(""), groups.nunique() > 1
    several = several.stack()
    for name, column in several[several].index:
        merged.loc[name, column] = _narrower(name, table.loc[name, column], paths)
    return merged


def check_metadata(files: list[tuple[str, str, Path]], paths: Iterable[Path]) -> pd.DataFrame:
    """diagnosis and lesion_id of each file that `check_folder` lists, "" where not known, in that order.

    DataError where none of the images is listed, and for what `read_metadata` and `odd_lesions` refuse.
    """
    paths, ids = list(paths), [isic_id(as_text(path.stem)) for *_, path in files]
    table = read_metadata(paths)
    known = table.reindex(ids).fillna("").reset_index(drop=True)
    if paths and table.index.intersection(ids).empty:
        such_as = f"such as {ids[0]!r}; it has {table.index[0]!r}" if len(table) else "it is empty"
        names = ", ".join(repr(str(path)) for path in paths)
        raise DataError(
            f"metadata {names} lists none of the {len(ids)} images ({such_as}); give those of this data set"
        )
    odd_lesions(known.assign(**{"class": [label for _, label, _ in files]}))
    return known


def coverage(files: list[tuple[str, str, Path]], known: pd.DataFrame) -> str:
    """How many of the files that `check_folder` lists have a diagnosis and a lesion id, in words."""
    diagnosis, lesion = (known != "")[["diagnosis", "lesion_id"]].sum()
    text = f"of {len(files):,} files {diagnosis:,} have a diagnosis, {lesion:,} a lesion id"
    neither = [path.name for (*_, path), empty in zip(files, (known == "").all(axis=1)) if empty]
    return text + (f", {len(neither):,} neither (such as {neither[0]!r})" if neither else "")


def odd_lesions(files: pd.DataFrame) -> pd.DataFrame:
    """The lesions with files of several classes, or with more than MANY_FILES files, by class and lesion_id of files.

    Index lesion_id, largest first; columns files (how many) and classes (names). DataError where one has more than
    MOST_FILES files, or more than MANY_FILES of three classes or more.
    """
    lesions = files[files["lesion_id"] != ""].groupby("lesion_id")["class"]
    table = lesions.agg(files="size", count="nunique", classes=lambda names: " + ".join(sorted(set(names))))
    table = table.sort_values("files", ascending=False, kind="stable")
    beyond = table[(table["files"] > MOST_FILES) | ((table["files"] > MANY_FILES) & (table["count"] > 2))]
    if len(beyond):
        raise DataError(
            f"the metadata give {beyond['files'].iloc[0]} files of {beyond['classes'].iloc[0]} the lesion_id "
            f"{beyond.index[0]!r}, more than one lesion can have; leave lesion_id empty where it is not known"
        )
    return table.loc[(table["files"] > MANY_FILES) | (table["count"] > 1), ["files", "classes"]]


def isic_id(name: str) -> str:
    """The id of an image in the metadata: `ISIC_0025509` for a file named `ISIC_0025509(1)` or `..._downsampled`."""
    name = name.strip()
    name = next((name[: -len(ending)] for ending in ENDINGS if name.lower().endswith(ending)), name)
    return re.sub(r"\s*\(\d+\)$", "", name).removesuffix("_downsampled")


def _read(path: Path) -> pd.DataFrame:
    """diagnosis and lesion_id of one file by id, checked."""
    where = f"metadata {str(path)!r}"
    try:
        with path.open(encoding="utf-8-sig") as file:
            separator = max(",\t;", key=file.readline().count)
        text = dict(dtype=str, keep_default_na=False, encoding="utf-8-sig")
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # of a row that is too long
            table = pd.read_csv(path, sep=separator, index_col=False, **text)
    except (OSError, ValueError, Warning) as error:  # ValueError: pandas on text that is not CSV or not UTF-8
        raise DataError(f"{where} cannot be read as CSV ({error}); {EXPECTED_COLUMNS}") from error
    table.columns = [str(name).strip() for name in table.columns]
    if table.columns.has_duplicates:
        raise DataError(f"{where} has the column {table.columns[table.columns.duplicated()][0]!r} twice; leave one")
    ids = next((name for name in IDS if name in table), None)
    codes = [name for name in table if name in DIAGNOSIS_CLASSES]
    used = [name for name in table if name in {ids, *codes, "lesion_id", *CODED, *NAMED}]
    if not ids or len(used) < 2:
        what = "diagnosis and no lesion_id" if ids else "column of ids"
        raise DataError(f"{where} has no {what}, only {', '.join(map(repr, table.columns[:10]))}; {EXPECTED_COLUMNS}")
    table = table[used].fillna("").apply(lambda column: column.str.strip())
    table = table.mask(table.apply(lambda column: column.str.casefold().isin(_WORDS["missing"])), "")
    if (table[ids] == "").any():
        raise DataError(f"{where} has an empty id in column {ids!r}; give every row one")
    table = table.set_index(table[ids].map(isic_id).rename("isic_id"))
    if coded := next((name for name in CODED if name in table), None):
        diagnosis = table[coded].str.upper()
    elif codes:
        chosen = table[codes].apply(pd.to_numeric, errors="coerce") == 1
        if (twice := chosen.sum(axis=1) > 1).any():
            raise DataError(f"{where} gives {twice.idxmax()!r} several diagnoses; leave one")
        diagnosis = chosen.idxmax(axis=1).where(chosen.any(axis=1), "")
    else:
        diagnosis = pd.Series("", table.index)
        for column in (table[name] for name in NAMED if name in table):
            diagnosis = diagnosis.mask(diagnosis == "", column.map({name: _code(name) for name in column.unique()}))
    for name, code in diagnosis[~diagnosis.isin(["", *DIAGNOSIS_CLASSES])].items():
        hint = nearest(code, DIAGNOSIS_CLASSES) if len(code) > 2 else ""
        known = ", ".join(DIAGNOSIS_CLASSES)
        raise DataError(f"{where} gives {name!r} the diagnosis {code!r}{hint}; expected {known} or nothing")
    return pd.DataFrame({"diagnosis": diagnosis, "lesion_id": table.get("lesion_id", "")})


def _code(name: str) -> str:
    """The code of one of the archive's names; "" where it belongs to no class."""
    if name.upper() in DIAGNOSIS_CLASSES:
        return name.upper()
    return next((code for code, starts in _WORDS["archive"].items() if name.casefold().startswith(tuple(starts))), "")


def _narrower(name: str, values: pd.Series, paths: list[Path]) -> str:
    """Of several values for one id the diagnosis that all others allow."""
    different = sorted(set(values) - {""}, key=lambda value: (len(DIAGNOSIS_CLASSES.get(value, ())), value))
    allowed = [set(DIAGNOSIS_CLASSES.get(value, (value,))) for value in different]
    if not all(allowed[0] <= other for other in allowed):
        both = f"the {values.name} {different[0]!r} and {different[1]!r}"
        names = ", ".join(repr(str(path)) for path in paths)
        raise DataError(f"metadata {names} gives {name!r} {both}; correct one, or leave out a file")
    return different[0]
