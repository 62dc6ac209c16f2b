"""The index of a data set: one row per image file, with digests of its pixels and its official diagnosis.

Files that cannot be decoded are listed apart, with the reason.
"""

import hashlib
import os
import re
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from lib.config.paper import CLASSES
from lib.config.schema import nearest
from lib.data.duplicates import add_groups
from lib.data.folder import EXPECTED, DataError, UnreadableImage, check_folder, decode
from lib.data.threads import map_in_threads

THUMBNAIL = 64  # px

# The classes of the set that an official diagnosis (ISIC 2019, HAM10000) allows. BKL, benign keratosis, covers two.
DIAGNOSIS_CLASSES = {
    "AK": ("actinic keratosis",),
    "BCC": ("basal cell carcinoma",),
    "BKL": ("pigmented benign keratosis", "seborrheic keratosis"),
    "DF": ("dermatofibroma",),
    "MEL": ("melanoma",),
    "NV": ("nevus",),
    "SCC": ("squamous cell carcinoma",),
    "VASC": ("vascular lesion",),
}


def build_index(
    folder: Path, metadata: Path | None, bits: int, difference: float, workers: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every image of a data set once and index it.

    Args:
        folder: a folder that `check_folder` accepts.
        metadata: CSV for `read_metadata`, or None.
        bits: largest Hamming distance of two 64-bit perceptual hashes of a candidate near-duplicate.
        difference: largest mean absolute difference, in grey levels, that confirms it.
        workers: threads that decode.

    Returns:
        index, one row per readable file, ordered by source: source, image_id, class, part, width, height (px), content
        (SHA-256 of the decoded pixels and their shape), phash (16 hex digits), diagnosis, lesion_id, near_group (int,
        connected components of same content and confirmed near-duplicates) and group (the same, joined by lesion_id).
        unreadable, one row per other file: source, class, part, reason.

    Raises:
        DataError: what `check_folder` and `read_metadata` raise; no image of a class can be read; no id of the metadata
            belongs to an image.
    """
    official = read_metadata(metadata) if metadata else None  # first, since it may be refused
    folder, files = Path(folder), check_folder(folder)
    looks = map_in_threads(look, [path for _, _, path in files], workers, "images read")
    rows, thumbnails, unreadable = [], [], []
    for (part, label, path), result in zip(files, looks):
        source = path.relative_to(folder).as_posix()
        if isinstance(result, str):
            unreadable.append((_text(source), label, part, result))
        elif source != _text(source):
            unreadable.append((_text(source), label, part, "its name is not valid UTF-8"))
        else:
            height, width, content, phash, small = result
            rows.append((source, path.stem, label, part, width, height, content, phash))
            thumbnails.append(small)
    index = pd.DataFrame(rows, columns=["source", "image_id", "class", "part", "width", "height", "content", "phash"])
    if missing := [label for label in CLASSES if label not in set(index["class"])]:
        first = next(f"{file!r}, {reason}" for file, label, _, reason in unreadable if label == missing[0])
        raise DataError(f"{str(folder)!r} has no readable image of {', '.join(missing)} (first: {first}); {EXPECTED}")
    index[["diagnosis", "lesion_id"]] = look_up(official, index["image_id"])
    if official is not None and not index["image_id"].map(isic_id).isin(official.index).any():
        raise DataError(
            f"metadata {str(metadata)!r} lists none of the {len(index)} images (such as {rows[0][1]!r}); "
            "give the metadata of this data set"
        )
    index = add_groups(index, np.stack(thumbnails), bits, difference)
    return index, pd.DataFrame(unreadable, columns=["source", "class", "part", "reason"])


def read_metadata(path: Path) -> pd.DataFrame:
    """Read the official diagnoses: CSV with columns isic_id, isic2019_diagnosis, lesion_id; empty where not known.

    Returns:
        index isic_id; columns diagnosis (a key of DIAGNOSIS_CLASSES, or "") and lesion_id (or "").

    Raises:
        DataError: unreadable file, missing column, empty or repeated id, unknown code.
    """
    columns = ["isic_id", "isic2019_diagnosis", "lesion_id"]
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: pandas on text that is not CSV or not UTF-8
        raise DataError(
            f"metadata {str(path)!r} cannot be read as CSV ({error}); expected {', '.join(columns)}"
        ) from error
    if absent := [column for column in columns if column not in table.columns]:
        have = ", ".join(map(repr, table.columns[:10]))
        raise DataError(f"metadata {str(path)!r} has no column {', '.join(absent)}, only {have}; add it")
    table = table[columns].apply(lambda column: column.str.strip())
    repeated = table["isic_id"][table["isic_id"].duplicated() | (table["isic_id"] == "")]
    if len(repeated):
        which = f"the id {repeated.iloc[0]!r} more than once" if repeated.iloc[0] else "an empty id"
        raise DataError(f"metadata {str(path)!r} has {which}; give every isic_id one row")
    unknown = table[~table["isic2019_diagnosis"].isin(["", *DIAGNOSIS_CLASSES])]
    if len(unknown):
        name, code = unknown.iloc[0][columns[:2]]
        raise DataError(
            f"metadata {str(path)!r} gives {name!r} the diagnosis {code!r}{nearest(code, DIAGNOSIS_CLASSES)}; "
            f"expected {', '.join(DIAGNOSIS_CLASSES)} or nothing"
        )
    return table.set_index("isic_id").rename(columns={"isic2019_diagnosis": "diagnosis"})


def look_up(official: pd.DataFrame | None, image_ids: pd.Series) -> np.ndarray:
    """Diagnosis and lesion_id of images in what `read_metadata` returns, str [n, 2]; "" where not known."""
    if official is None:
        return np.full((len(image_ids), 2), "", object)
    return official.reindex(image_ids.map(isic_id)).fillna("").to_numpy()


def isic_id(image_id: str) -> str:
    """The id of an image in the metadata: its file name without the mark of a copy, as in `ISIC_0025509(1)`."""
    return re.sub(r"\s*\(\d+\)$", "", image_id)


def look(path: Path) -> tuple[int, int, str, str, np.ndarray] | str:
    """Height, width, content, phash and thumbnail of a file, decoded once; or the reason why it is unreadable."""
    try:
        pixels = decode(path)
    except UnreadableImage as error:
        return str(error)
    content = hashlib.sha256(repr(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels))
    phash = str(imagehash.phash(Image.fromarray(pixels)))
    return *pixels.shape[:2], content.hexdigest(), phash, thumbnail(pixels)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture as a small grey square, uint8 [THUMBNAIL, THUMBNAIL], that confirms near-duplicates."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def _text(name: str) -> str:
    """A file name with the bytes that are not UTF-8 written out; on Linux it may hold any."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
