"""The images of a study: found, checked, decoded once each, and indexed with what is the same among them.

A file is data, never trusted: only common picture formats are opened, an image larger than MAX_PIXELS is refused by
its header, and whatever cannot be decoded is named with its reason and left out.
"""

import hashlib
import itertools
import math
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lib.config import CLASSES, nearest

KAGGLE = "nodoubttome/skin-cancer9-classesisic"  # the set the paper used, on kaggle.com/datasets
PARTS = ("Train", "Test")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # Pillow's names: no format that starts another program
MAX_PIXELS = 64_000_000  # the largest ISIC images have about 25 million
THUMBNAIL = 64  # px, side of the grey square on which near-duplicates are confirmed

# What an official diagnosis (ISIC 2019, HAM10000) allows as a folder of the nine-class set. BKL, benign keratosis,
# covers two of the folders and cannot tell them apart.
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

EXPECTED = (
    f"expected DIR/Train/<class>/ and DIR/Test/<class>/, or DIR/<class>/, with images ({', '.join(ENDINGS)}) "
    f"of the nine classes ({', '.join(CLASSES)})"
)


class DataError(ValueError):
    """A data set or metadata file that cannot be used; the message names the path, what was expected and what to do."""


class UnreadableImage(ValueError):
    """A single image file that cannot be used; the message is the reason, without the path."""


@dataclass(frozen=True)
class Layout:
    """The image files of a data set by name only; nothing has been opened.

    `files` holds (part, class, path) in the order of the paths, part "" where the set has no Train and Test folders;
    `ignored` the folders that are no class.
    """

    root: Path
    files: tuple[tuple[str, str, Path], ...]
    ignored: tuple[Path, ...] = field(default=())

    def counts(self) -> pd.DataFrame:
        """Files, a row a class and a column a part."""
        parts = list(dict.fromkeys(part for part, _, _ in self.files))
        table = pd.DataFrame(0, index=pd.Index(CLASSES, name="class"), columns=parts)
        for part, label, _ in self.files:
            table.loc[label, part] += 1
        return table


def find(data: str = "") -> Path:
    """The folder that holds Train and Test, or the class folders: `data`, else $SKINCAS_DATA, else a download.

    The folder may lie a few levels below the one given, as in the zip file from Kaggle.

    Raises:
        DataError: no such folder, nothing like the data set in it, or the download failed.
    """
    if given := data or os.environ.get("SKINCAS_DATA", ""):
        name = "--data" if data else "$SKINCAS_DATA"
        folder = Path(given).expanduser()
        if not folder.is_dir():
            what = "is a file, not a folder: unpack it first" if folder.exists() else "does not exist"
            raise DataError(f"{name} {given!r} {what}; {EXPECTED}")
    else:
        folder = _download()
    waiting = deque([(folder, 0)])
    while waiting:
        candidate, depth = waiting.popleft()
        folders = _folders(candidate)
        if _parts(folders) or any(class_of(path.name) for path in folders):
            return candidate
        if depth < 3:
            waiting.extend((path, depth + 1) for path in folders[:100])
    raise DataError(f"{str(folder)!r} holds no Train and Test folders and no class folders; {EXPECTED}")


def check(folder: Path) -> Layout:
    """Check a data set by names alone, before anything runs.

    Every class needs a folder with at least one image file, in Train and in Test where the set has those. Folder names
    match whatever their case, spaces, `_` and `-`. Files with other endings and hidden ones are not images. Files of
    one name in two folders, or of one stem with two endings, are different sources and all kept.

    Raises:
        DataError: no such folder, a class missing or without images, or a folder of something else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"no data folder {str(folder)!r}; {EXPECTED}")
    folders = _folders(folder)
    parts = _parts(folders)
    if not parts and not any(class_of(path.name) for path in folders):
        raise DataError(f"{str(folder)!r} holds no Train and Test folders and no class folders; {EXPECTED}")
    files, ignored = [], []
    for part, holder in parts or [("", folder)]:
        found: dict[str, int] = dict.fromkeys(CLASSES, 0)
        others = []
        for path in _folders(holder):
            label = class_of(path.name)
            if label is None:
                others.append(path)
                continue
            images = _images(path)
            if not images:
                raise DataError(f"class folder {str(path)!r} holds no image; {EXPECTED}")
            found[label] += len(images)
            files.extend((part, label, image) for image in images)
        missing = [label for label, count in found.items() if count == 0]
        if missing:
            hint = nearest(missing[0], [path.name for path in others]).replace("; did you mean", "; is it in")
            raise DataError(f"{str(holder)!r} has no folder for {', '.join(missing)}{hint}; {EXPECTED}")
        ignored.extend(others)
    # sources sort alike on every machine, whatever order the file system lists them in
    files.sort(key=lambda entry: entry[2].as_posix())
    return Layout(folder, tuple(files), tuple(ignored))


def class_of(name: str) -> str | None:
    """The class that a folder name means, or None: case, spaces, `_` and `-` do not matter."""
    return {_plain(label): label for label in CLASSES}.get(_plain(name))


def isic_id(image_id: str) -> str:
    """The id under which metadata lists an image: its name without a mark of a copy, as in `ISIC_0025509(1)`."""
    return re.sub(r"\s*\(\d+\)$", "", image_id)


def decode(path: Path) -> np.ndarray:
    """Decode an image file to 8-bit RGB, upright by its EXIF orientation.

    16-bit images keep their high byte, transparent ones are laid on white, grey and CMYK become RGB; embedded colour
    profiles are not applied.

    Returns:
        uint8 [height, width, 3], 0 to 255.

    Raises:
        UnreadableImage: not a regular file, not a picture, truncated, or larger than MAX_PIXELS.
    """
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise UnreadableImage("not a regular file")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImage(f"{width} x {height} px is more than the {MAX_PIXELS:,} pixels allowed")
            return _rgb(ImageOps.exif_transpose(image))
    except UnreadableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"more than the {MAX_PIXELS:,} pixels allowed") from error
    except Image.UnidentifiedImageError as error:
        raise UnreadableImage("not an image, or of a kind that is not read") from error
    # Pillow's readers raise many kinds of errors on damaged files (OSError, SyntaxError, struct.error, zlib.error, ...)
    except Exception as error:
        # a message of the operating system ends in the path, which the caller names itself
        text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise UnreadableImage(f"cannot be decoded: {text}") from error


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
    except (OSError, ValueError) as error:  # ValueError: what pandas raises on text that is no CSV or not UTF-8
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


def read(
    folder: Path, metadata: Path | None, bits: int, difference: float, workers: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every image of a data set once and index it.

    Args:
        folder: a folder that `check` accepts.
        metadata: CSV for `read_metadata`, or None.
        bits: largest Hamming distance of two 64-bit perceptual hashes of a candidate near-duplicate.
        difference: largest mean absolute difference, in grey levels, that confirms it.
        workers: threads that decode.

    Returns:
        index, a row a readable file, ordered by source: source, image_id, class, part, width, height (px), content
        (SHA-256 of the decoded pixels and their shape), phash (16 hex digits), diagnosis, lesion_id, near_group (int,
        connected components of same content and confirmed near-duplicates) and group (the same, joined by lesion_id).
        unreadable, a row any other file: source, class, part, reason.

    Raises:
        DataError: what `check` and `read_metadata` raise; no image of a class can be read; no id of the metadata
            belongs to an image.
    """
    official = read_metadata(metadata) if metadata else None  # before the slow part: it may be refused
    layout = check(folder)
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        seen = list(pool.map(look, (path for _, _, path in layout.files)))
    rows, thumbnails, unreadable = [], [], []
    for (part, label, path), result in zip(layout.files, seen):
        source = path.relative_to(layout.root).as_posix()
        if isinstance(result, str) or not _is_text(source):
            reason = result if isinstance(result, str) else "its name is not valid UTF-8"
            unreadable.append((_text(source), label, part, reason))
        else:
            height, width, content, phash, thumbnail = result
            rows.append((source, path.stem, label, part, width, height, content, phash))
            thumbnails.append(thumbnail)
    columns = ["source", "image_id", "class", "part", "width", "height", "content", "phash"]
    index = pd.DataFrame(rows, columns=columns)
    if lost := [label for label in CLASSES if label not in set(index["class"])]:
        first = next(entry for entry in unreadable if entry[1] == lost[0])
        raise DataError(
            f"{str(layout.root)!r} has no readable image of {', '.join(lost)} (first: {first[0]!r}, {first[3]}); "
            f"{EXPECTED}"
        )
    index["diagnosis"], index["lesion_id"] = "", ""
    if official is not None:
        known = official.reindex(index["image_id"].map(isic_id)).fillna("").reset_index(drop=True)
        if not index["image_id"].map(isic_id).isin(official.index).any():
            raise DataError(
                f"metadata {str(metadata)!r} lists none of the {len(index)} images (such as {rows[0][1]!r}); "
                "give the metadata of this data set"
            )
        index[["diagnosis", "lesion_id"]] = known
    index = add_groups(index, np.stack(thumbnails), bits, difference)
    return index, pd.DataFrame(unreadable, columns=["source", "class", "part", "reason"])


def add_groups(index: pd.DataFrame, thumbnails: np.ndarray, bits: int, difference: float) -> pd.DataFrame:
    """The index with near_group and group: what must not be split between training and testing.

    Args:
        index: columns content, phash and lesion_id.
        thumbnails, bits, difference: as `near_duplicates` takes them.
    """
    pairs = near_duplicates(index, thumbnails, bits, difference)[["first", "second"]].to_numpy()
    contents = _chain(index["content"])
    near = _components(len(index), contents, pairs)
    return index.assign(near_group=near, group=_components(len(index), contents, pairs, _chain(index["lesion_id"])))


def near_duplicates(index: pd.DataFrame, thumbnails: np.ndarray, bits: int, difference: float) -> pd.DataFrame:
    """Pairs of different contents whose perceptual hashes are near and whose pixels confirm it.

    A turned or mirrored copy has another hash and is not found.

    Args:
        index: columns content and phash.
        thumbnails: uint8 [n, 64, 64], grey, row i of `index`.

    Returns:
        first, second (row numbers of the first file of each content, first < second), bits, difference (grey levels).
    """
    once = np.flatnonzero(~index["content"].duplicated().to_numpy())
    hashes = np.array([int(text, 16) for text in index["phash"].iloc[once]], dtype=np.uint64)
    found = [np.empty((0, 4))]
    for first, second, apart in candidate_pairs(hashes, bits):
        for start in range(0, len(first), 1024):  # 1024 pairs take 16 MB
            a, b = once[first[start : start + 1024]], once[second[start : start + 1024]]
            gap = np.abs(thumbnails[a].astype(np.int16) - thumbnails[b]).mean(axis=(1, 2))
            found.append(np.column_stack([a, b, apart[start : start + 1024], gap])[gap <= difference])
    table = pd.DataFrame(np.concatenate(found), columns=["first", "second", "bits", "difference"])
    types = {"first": np.int64, "second": np.int64, "bits": np.int64}
    return table.astype(types).sort_values(["first", "second"], ignore_index=True)


def candidate_pairs(hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of 64-bit hashes within `bits` of each other, each once, without comparing all pairs.

    The 64 bits are split into bands. Two hashes that differ in at most `bits` bits agree in all but at most `bits`
    bands, so they are equal under one of the masks that keep the other bands (pigeonhole): hashes are sorted under
    each mask and only equal neighbours compared. The number of bands is chosen for the number of hashes.

    Args:
        hashes: uint64 [n].
        bits: 0 to 63.

    Yields:
        first, second (int [k], first < second) and their distance (uint8 [k]); at most n pairs at a time.
    """
    masks = _masks(len(hashes), bits)
    for number, mask in enumerate(masks):
        order = np.argsort(hashes & mask, kind="stable")
        key = (hashes & mask)[order]
        left, step = np.arange(len(key)), 0
        while True:  # compare every hash with the step-th next one of the same key, until no run of keys is that long
            step += 1
            left = left[left + step < len(key)]
            left = left[key[left] == key[left + step]]
            if not len(left):
                break
            a, b = order[left], order[left + step]
            differing = hashes[a] ^ hashes[b]
            apart = np.bitwise_count(differing)
            keep = apart <= bits
            for earlier in masks[:number]:  # a pair that is equal under several masks is given under the first
                keep &= (differing & earlier) != 0
            if keep.any():
                yield np.minimum(a, b)[keep], np.maximum(a, b)[keep], apart[keep]


def _download() -> Path:
    advice = (
        f"download https://www.kaggle.com/datasets/{KAGGLE} by hand, unpack it and pass its folder with --data "
        "(or set SKINCAS_DATA)"
    )
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE))
    # no network, no credentials, no package, no space: whatever went wrong, the way out is the same
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"no --data folder was given and the public data set {KAGGLE!r} could not be downloaded "
            f"({type(error).__name__}: {reason[0]}); {advice}"
        ) from error


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _folders(folder: Path) -> list[Path]:
    """Subfolders by name, without hidden ones and those that macOS adds to zip files."""
    return [path for path in _listing(folder) if path.is_dir() and path.name != "__MACOSX"]


def _images(folder: Path) -> list[Path]:
    return [path for path in _listing(folder) if path.suffix.lower() in ENDINGS and not path.is_dir()]


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder {str(folder)!r} cannot be read ({error.strerror}); make it readable") from error


def _parts(folders: list[Path]) -> list[tuple[str, Path]]:
    """(part, folder) of Train and Test, both or none."""
    named = {_plain(path.name): path for path in folders}
    return [(part, named[part.lower()]) for part in PARTS] if {"train", "test"} <= set(named) else []


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image.convert("I") if image.mode != "I;16" else image)
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise UnreadableImage(f"32-bit pixels (mode {image.mode}) have no known white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def look(path: Path) -> tuple[int, int, str, str, np.ndarray] | str:
    """Height, width, content, phash and thumbnail of a file, from one decoding; or why it is unreadable."""
    try:
        pixels = decode(path)
    except UnreadableImage as error:
        return str(error)
    content = hashlib.sha256(repr(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return *pixels.shape[:2], content.hexdigest(), str(imagehash.phash(Image.fromarray(pixels))), thumbnail


def _is_text(name: str) -> bool:
    """Whether a file name can be written as UTF-8; on Linux it may hold any bytes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _text(name: str) -> str:
    return name if _is_text(name) else os.fsencode(name).decode("utf-8", "backslashreplace")


def _masks(n: int, bits: int) -> list[np.uint64]:
    """Masks such that two hashes within `bits` bits are equal under at least one: cheapest number of bands for n."""

    def cost(bands: int) -> float:
        tables = math.comb(bands, bits)
        kept = 64 * (bands - bits) // bands  # bits that a mask keeps
        return tables * (n * math.log2(n + 2) + n * n / 2 / 2**kept * (1 + tables / 8))

    # 2000 masks are more than any set of images needs
    choices = [bands for bands in range(bits + 1, 65) if math.comb(bands, bits) <= 2000]
    bands = min(choices, key=cost)
    # neighbouring bits of the hash go together, so they are dealt out to the bands in turn
    single = [sum(1 << bit for bit in range(band, 64, bands)) for band in range(bands)]
    return [np.uint64(sum(kept)) for kept in itertools.combinations(single, bands - bits)]


def _chain(values: pd.Series) -> np.ndarray:
    """Pairs of row numbers that link each value to its next occurrence; empty text links nothing."""
    rows = pd.Series(np.arange(len(values)))[(values != "").to_numpy()]
    following = rows.groupby(values[values != ""].to_numpy()).shift(-1).dropna().astype(np.int64)
    return np.column_stack([following.index.to_numpy(dtype=np.int64), following.to_numpy()])


def _components(n: int, *links: np.ndarray) -> np.ndarray:
    """int64 [n]: connected components of n rows under pairs of row numbers, numbered in order of first row."""
    first, second = np.concatenate([np.empty((0, 2), np.int64), *links]).T
    graph = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(n, n))
    return pd.factorize(connected_components(graph, directed=False)[1])[0].astype(np.int64)
