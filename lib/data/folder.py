"""The folder of a data set: find it, check it by names alone, and decode its files.

Files are not trusted: only common image formats are opened, an image of more than MAX_PIXELS is refused by its header,
and a file that cannot be decoded is refused with the reason.
"""

import io
import os
import re
import stat
import struct
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from lib.config.files import listing
from lib.config.paper import CLASSES, Scenario
from lib.config.schema import nearest

KAGGLE = "nodoubttome/skin-cancer9-classesisic"  # the set the paper used, on kaggle.com/datasets
KAGGLE_FILES = 2357  # images in it
PARTS = ("Train", "Test", "Val")  # a folder whose name begins so, in any case, is that part
ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # Pillow's names: no format that starts another program
MAX_PIXELS = 100_000_000  # the largest ISIC images have about 25 million, those of phones 64
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is lower
MACOS = "__MACOSX"  # the folder that macOS adds to zip files
PNG = b"\x89PNG\r\n\x1a\n"
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")  # what pixels and orientation need of a PNG

EXPECTED = (
    f"expected DIR/Train/<class>/ and DIR/Test/<class>/, or DIR/<class>/, with images ({', '.join(ENDINGS)}) "
    f"of the nine classes ({', '.join(CLASSES)})"
)
NO_CLASSES = "holds no class folders, nor Train and Test folders with some"
EXTERNAL_CLASSES = (*CLASSES, "benign", "malignant")  # folders of external images
EXTERNAL_EXPECTED = (
    f"expected DIR/<class>/ with images ({', '.join(ENDINGS)}), for every class of at least one scenario: of the nine "
    f"classes ({', '.join(CLASSES)}), or benign and malignant"
)


class DataError(ValueError):
    """A data set or metadata file that cannot be used; the message names the path, what was expected and what to do."""


class UnreadableImage(ValueError):
    """A single image file that cannot be used; the message is the reason, without the path."""


def find_folder(data: str = "", download: bool = True) -> Path | None:
    """The folder that holds Train and Test, or the class folders: in `data`, else $SKINCAS_DATA, else a download.

    It may lie up to three levels below the folder given, as in the zip file from Kaggle. Without `download` the newest
    earlier download is taken, None if there is none. DataError: no such folder, none in it, or the download failed.
    """
    if given := data or os.environ.get("SKINCAS_DATA", ""):
        name = "--data" if data else "$SKINCAS_DATA"
        folder = Path(given).expanduser()
        if not folder.is_dir():
            what = "is a file, not a folder: unpack it first" if folder.exists() else "does not exist"
            raise DataError(f"{name} {given!r} {what}; {EXPECTED}")
    elif not (folder := _download() if download else downloaded()):
        return None
    candidates = [folder]
    for _ in range(4):
        if found := next(filter(_parts, candidates), None):
            return found
        candidates = [path for candidate in candidates for path in _folders(candidate)[:100]]
    raise DataError(f"{str(folder)!r} {NO_CLASSES}; {EXPECTED}")


def downloaded() -> Path | None:
    """The folder of the newest earlier download, or None. Nothing is sent over the network."""
    from kagglehub.cache import Cache, get_cached_path
    from kagglehub.handle import DatasetHandle

    cache, handle = Cache(), DatasetHandle(*KAGGLE.split("/"))
    versions = [path.name for path in (Path(get_cached_path(handle)) / "versions").glob("*") if path.name.isdecimal()]
    found = (cache.load_from_cache(handle.with_version(int(name))) for name in sorted(versions, key=int)[::-1])
    return next((Path(path) for path in found if path), None)


def check_folder(folder: Path) -> list[tuple[str, str, Path]]:
    """Check a data set by names alone, before anything runs. `passed_over` lists what is not used.

    Every class needs a folder with at least one image file, in each of PARTS that the set has. Case, spaces, `_` and
    `-` in folder names do not matter. Files of one stem are different sources and all kept.

    Returns:
        (part, class, path) of the image files, in the order of the paths; part is one of PARTS, or "" without them.
        DataError: no such folder, a class missing or without images, or a folder of something else.
    """
    if not (parts := _parts(folder)):
        raise DataError(f"{str(folder)!r} {NO_CLASSES}; {EXPECTED}")
    files = []
    for part, holder in parts:
        labels = {path: _class_of(path, CLASSES) for path in _folders(holder)}
        files += [(part, label, image) for path, label in labels.items() if label for image in _images(path, EXPECTED)]
        if missing := [label for label in CLASSES if label not in labels.values()]:
            others = [path.name for path, label in labels.items() if label is None]
            hint = nearest(missing[0], others).replace("; did you mean", "; is it in")
            raise DataError(f"{str(holder)!r} has no folder for {', '.join(missing)}{hint}; {EXPECTED}")
    return sorted(files, key=lambda entry: entry[2].as_posix())


def passed_over(folder: Path, files: list[tuple[str, str, Path]]) -> pd.DataFrame:
    """What lies below a folder and is not read as an image of the set; hidden files and empty folders, too.

    `files` is what `check_folder` returns for this folder, or for one below it. One row per reason, the most files
    first: reason, files, folders (in which they lie; those that are empty or cannot be read), such_as (the first).
    """
    used = {path for *_, path in files}
    classes = {path.parent for path in used}
    holders, rows, errors = {path.parent for path in classes}, [], []
    seen = {folder.resolve(), *folder.resolve().parents}

    def reason(path: Path) -> str:
        if any(name.startswith(".") or name == MACOS for name in path.relative_to(folder).parts):
            return "hidden, or of macOS"
        if path.suffix.lower() not in ENDINGS:
            return f"ending {as_text(path.suffix.lower())!r}" if path.suffix else "no ending"
        if path.parent in classes:
            return "not a regular file"
        if classes.intersection(path.parents):
            return "below a class folder"
        return "in a folder of no class" if holders.intersection(path.parent.parents) else "outside of class folders"

    def row(why: str, path: Path, files: int) -> tuple[str, int, Path, str]:
        return why, files, path.parent if files else path, as_text(path.relative_to(folder).as_posix())

    for here, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        if not folders and not names:
            rows.append(row("empty", Path(here), 0))
        real = {name: Path(here, name).resolve() for name in folders}
        folders[:] = [name for name in folders if real[name] not in seen]  # links may lead in a circle
        seen |= {*real.values()}
        rows += [row(reason(path), path, 1) for path in (Path(here, name) for name in names) if path not in used]
    rows += [row("cannot be read", Path(error.filename), 0) for error in errors]
    groups = pd.DataFrame(rows, columns=["reason", "files", "folders", "such_as"]).groupby("reason", as_index=False)
    table = groups.agg({"files": "sum", "folders": "nunique", "such_as": "min"})
    return table.sort_values("files", ascending=False, kind="stable", ignore_index=True)


def say_passed_over(table: pd.DataFrame) -> str:
    """The table of `passed_over` as a sentence."""
    parts = []
    for row in table.itertuples():
        number, noun = (row.files, "file") if row.files else (row.folders, "folder")
        parts.append(f"{number:,} {noun}{'s' * (number > 1)} ({row.reason}, such as {row.such_as!r})")
    return f"not read as images: {', '.join(parts)}" if parts else "every file is read as an image"


def as_text(name: str) -> str:
    """A file name with the bytes that are not UTF-8 written out; on Linux it may hold any."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def check_external(folder: Path, scenarios: Mapping[str, Scenario]) -> list[tuple[str, Path]]:
    """(class, path) of external images, in the order of the paths; checked by names alone, before anything runs.

    DataError: no such folder, one of no EXTERNAL_CLASSES or without images, or no scenario fits (`lacking`).
    """
    files = []
    for path in _folders(folder):
        if not (label := _class_of(path, EXTERNAL_CLASSES)):
            hint = nearest(path.name, EXTERNAL_CLASSES)
            raise DataError(f"{str(path)!r} is named after no class{hint}; {EXTERNAL_EXPECTED}")
        files += [(label, image) for image in _images(path, EXTERNAL_EXPECTED)]
    if not files:
        raise DataError(f"{str(folder)!r} holds no class folder; {EXTERNAL_EXPECTED}")
    labels = {label for label, _ in files}
    missing = {name: lacking(scenario, labels) for name, scenario in scenarios.items()}
    if all(missing.values()):
        lacks = "; ".join(f"{name} lacks {', '.join(classes)}" for name, classes in missing.items())
        raise DataError(f"{str(folder)!r} fits no scenario of the study: {lacks}; {EXTERNAL_EXPECTED}")
    return sorted(files, key=lambda entry: entry[1].as_posix())


def external_labels(scenario: Scenario) -> dict[str, str]:
    """Folder of external images -> class of a scenario; `benign` and `malignant` name classes of one alone."""
    return scenario.label_of() | {name: name for name in scenario.names}


def lacking(scenario: Scenario, labels: Collection[str]) -> list[str]:
    """The classes of a scenario that no folder of `labels` belongs to; external images fit where there is none.

    An accuracy over some of the classes would be that of another problem."""
    present = {name for label, name in external_labels(scenario).items() if label in labels}
    return [name for name in scenario.names if name not in present]


def decode(path: Path) -> np.ndarray:
    """Decode an image file to 8-bit RGB, upright by its EXIF orientation: uint8 [height, width, 3].

    16-bit images keep their high byte, transparent pixels become white, grey and CMYK become RGB; embedded colour
    profiles are not applied. Damaged EXIF, profiles and texts do not matter where the pixels are whole.

    Raises:
        UnreadableImage: not a regular file, not an image, truncated, or of more than MAX_PIXELS.
    """
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise UnreadableImage("not a regular file")
        with Image.open(_pixels_of(Path(path)), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} x {image.height} px"
                raise UnreadableImage(f"{size} is more than the {MAX_PIXELS:,} pixels allowed")
            return _rgb(_upright(image))
    except UnreadableImage:
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadableImage("not an image, or of a kind that is not read") from error
    # Pillow's readers raise many kinds of errors on damaged files (OSError, SyntaxError, struct.error, zlib.error, ...)
    except Exception as error:
        # a message of the operating system ends in the path, which the caller names itself
        text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise UnreadableImage(f"cannot be decoded: {text}") from error


def _pixels_of(path: Path) -> Path | io.BytesIO:
    """A file for Pillow, which refuses a PNG for a damaged or large chunk that has no pixels: without those chunks."""
    with path.open("rb") as file:
        if path.stat().st_size > 8 * MAX_PIXELS or file.read(len(PNG)) != PNG:
            return path
        kept = [PNG]
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind not in CHUNKS:
                file.seek(length + 4, os.SEEK_CUR)
                continue
            body = file.read(length + 4)
            if kind != b"eXIf" or zlib.crc32(kind + body[:-4]).to_bytes(4, "big") == body[-4:]:
                kept += [head, body]
    return io.BytesIO(b"".join(kept))


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises many kinds of errors on damaged EXIF; the pixels are whole
        return image


def _download() -> Path:
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # no network, no credentials, no package, no space: the advice is the same
        reason = f"{type(error).__name__}: {''.join(str(error).strip().splitlines()[:1])}"
        raise DataError(
            f"no --data folder was given and the public data set could not be downloaded ({reason}); download "
            f"https://www.kaggle.com/datasets/{KAGGLE} by hand, unpack it and pass its folder with --data"
        ) from error


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _class_of(folder: Path, classes: Collection[str]) -> str | None:
    """The class that a folder's name means, or None: case, spaces, `_` and `-` do not matter."""
    return {_plain(label): label for label in classes}.get(_plain(folder.name))


def _folders(folder: Path) -> list[Path]:
    """Subfolders by name, without hidden ones and that of macOS."""
    return [path for path in _listing(folder) if path.is_dir() and path.name != MACOS]


def _images(folder: Path, expected: str) -> list[Path]:
    """Image files by their endings; broken links too, which are then listed as unreadable."""
    named = [path for path in _listing(folder) if path.suffix.lower() in ENDINGS]
    images = [path for path in named if path.is_file() or not path.exists()]
    if not images:
        raise DataError(f"class folder {str(folder)!r} holds no image; {expected}")
    return images


def _listing(folder: Path) -> list[Path]:
    try:
        return listing(folder)
    except OSError as error:
        raise DataError(f"folder {str(folder)!r} cannot be read ({error.strerror}); give one that can") from error


def _parts(folder: Path) -> list[tuple[str, Path]]:
    """(part, folder) of Train, Test and Val, or ("", `folder`) where it holds class folders; empty where neither."""

    def has_classes(holder: Path) -> bool:
        return any(_class_of(path, CLASSES) for path in _folders(holder))

    named = [(part, path) for path in _folders(folder) for part in PARTS if _plain(path.name).startswith(part.lower())]
    # one that is named exactly so is to hold classes, and refused where it does not
    parts = [(part, path) for part, path in named if _plain(path.name) == part.lower() or has_classes(path)]
    if any(has_classes(path) for _, path in parts):
        return parts
    return [("", folder)] if has_classes(folder) else []


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
