"""The index of a data set: one row per image file, with digests of its pixels and its official diagnosis.

Files that cannot be decoded are listed apart, with the reason.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from lib.config.paper import CLASSES
from lib.data.duplicates import add_groups
from lib.data.folder import EXPECTED, DataError, UnreadableImage, check_folder, decode
from lib.data.metadata import check_metadata
from lib.data.threads import map_in_threads

THUMBNAIL = 64  # px


def build_index(
    folder: Path, metadata: Sequence[Path], bits: int, difference: float, workers: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every image of a data set once and index it.

    Args:
        folder: a folder that `check_folder` accepts.
        metadata: files for `read_metadata`; may be none.
        bits: largest Hamming distance of two 64-bit perceptual hashes of a candidate near-duplicate.
        difference: largest mean absolute difference, in grey levels, that confirms it.
        workers: threads that decode.

    Returns:
        index, one row per readable file, ordered by source: source, image_id, class, part, width, height (px), content
        (SHA-256 of the decoded pixels and their shape), phash (16 hex digits), diagnosis, lesion_id, near_group (int,
        connected components of same content and confirmed near-duplicates) and group (the same, joined by lesion_id).
        unreadable, one row per other file: source, class, part, reason.

    Raises:
        DataError: what `check_folder` and `check_metadata` raise; no image of a class can be read.
    """
    folder, files = Path(folder), check_folder(folder)
    official = check_metadata(files, metadata)  # first, since it may be refused
    looks = map_in_threads(look, [path for _, _, path in files], workers, "images read")
    rows, thumbnails, unreadable = [], [], []
    for (part, label, path), known, result in zip(files, official.to_numpy(), looks):
        source = path.relative_to(folder).as_posix()
        if isinstance(result, str):
            unreadable.append((_text(source), label, part, result))
        elif source != _text(source):
            unreadable.append((_text(source), label, part, "its name is not valid UTF-8"))
        else:
            height, width, content, phash, small = result
            rows.append((source, path.stem, label, part, width, height, content, phash, *known))
            thumbnails.append(small)
    columns = ["source", "image_id", "class", "part", "width", "height", "content", "phash", "diagnosis", "lesion_id"]
    index = pd.DataFrame(rows, columns=columns)
    if missing := [label for label in CLASSES if label not in set(index["class"])]:
        first = next(f"{file!r}, {reason}" for file, label, _, reason in unreadable if label == missing[0])
        raise DataError(f"{str(folder)!r} has no readable image of {', '.join(missing)} (first: {first}); {EXPECTED}")
    index = add_groups(index, np.stack(thumbnails), bits, difference)
    return index, pd.DataFrame(unreadable, columns=["source", "class", "part", "reason"])


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
