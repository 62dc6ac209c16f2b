"""The index of a data set: one row per image file, with digests of its pixels and its official diagnosis."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from lib.config.paper import CLASSES
from lib.data.duplicates import add_groups
from lib.data.folder import EXPECTED, DataError, UnreadableImage, as_text, check_folder, decode
from lib.data.metadata import check_metadata
from lib.data.threads import map_in_threads

THUMBNAIL = 64  # px
LOOK = ["width", "height", "content", "phash", "thumbnail", "reason"]  # reason: why it cannot be read, or ""


def build_index(
    folder: Path, metadata: Sequence[Path], bits: int, difference: float, workers: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every image of a data set once, in threads, and index it.

    Args:
        folder: a folder that `check_folder` accepts.
        metadata: files for `read_metadata`; may be none.
        bits, difference: as `near_duplicates` takes them.

    Returns:
        index, one row per readable file, ordered by source: source, image_id, class, part, width, height (px), content
        (SHA-256 of the decoded pixels and their shape), phash (16 hex digits), diagnosis, lesion_id, near_group and
        group (`add_groups`). unreadable, one row per other file: source, class, part, reason. DataError: what
        `check_folder` and `check_metadata` raise; no image of a class can be read.
    """
    folder, files = Path(folder), check_folder(folder)
    official = check_metadata(files, metadata)  # first, since it may be refused
    sources = [path.relative_to(folder).as_posix() for *_, path in files]
    table = pd.DataFrame(
        [(as_text(source), as_text(path.stem), label, part) for source, (part, label, path) in zip(sources, files)],
        columns=["source", "image_id", "class", "part"],
    ).join([look_at(folder, sources, workers, "images read"), official])
    readable = table["reason"] == ""
    unreadable = table.loc[~readable, ["source", "class", "part", "reason"]].reset_index(drop=True)
    if missing := [label for label in CLASSES if label not in set(table["class"][readable])]:
        file, *_, reason = unreadable[unreadable["class"] == missing[0]].iloc[0]
        raise DataError(
            f"{str(folder)!r} has no readable image of {', '.join(missing)} (first: {file!r}, {reason}); {EXPECTED}"
        )
    index = table[readable].drop(columns="reason").reset_index(drop=True)
    return add_groups(index, np.stack(index.pop("thumbnail")), bits, difference), unreadable


def look_at(folder: Path, sources: Sequence[str], workers: int, done: str) -> pd.DataFrame:
    """What `look` says of each file of a folder, in threads; `done` is what the progress bar counts."""
    table = pd.DataFrame(map_in_threads(look, [folder / source for source in sources], workers, done), columns=LOOK)
    table.loc[[as_text(source) != source for source in sources], "reason"] = "its name is not valid UTF-8"
    return table


def look(path: Path) -> tuple:
    """The values of LOOK for a file, which is decoded once; without pixels where there is a reason."""
    try:
        pixels = decode(path)
    except UnreadableImage as error:
        return 0, 0, "", "", None, str(error)
    content = hashlib.sha256(repr(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels))
    phash = str(imagehash.phash(Image.fromarray(pixels)))
    return pixels.shape[1], pixels.shape[0], content.hexdigest(), phash, thumbnail(pixels), ""


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture as a small grey square, uint8 [THUMBNAIL, THUMBNAIL], that confirms near-duplicates."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
