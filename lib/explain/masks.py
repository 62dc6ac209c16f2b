"""True lesion masks: which file of a folder is that of an image, and whether it is a mask."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lib.data.folder import DataError
from lib.data.metadata import isic_id


def find_masks(folder: Path, image_ids: Iterable[str]) -> dict[str, list[Path]]:
    """The files `<image_id>*.png` of a folder: image id -> its files, `<image_id>_segmentation.png` alone if there.

    No letter or digit may follow the id: ISIC_1 does not take the mask of ISIC_12. A marked copy takes its original's.

    Raises:
        DataError: no such folder, or no file of any of the images.
    """
    if not folder.is_dir():
        raise DataError(f"{str(folder)!r} is not a folder of masks; give one with <image id>_segmentation.png files")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png" and path.name[0] != ".")
    ids, found = sorted(set(image_ids)), {}
    for image_id in ids:
        name = isic_id(image_id)
        fits = [path for path in files if path.name.startswith(name) and not path.name[len(name)].isalnum()]
        if fits:
            found[image_id] = [path for path in fits if path.stem == f"{name}_segmentation"] or fits
    if not found:
        has = f"it has {files[0].name!r}" if files else "it has no PNG file"
        raise DataError(
            f"masks folder {str(folder)!r} has none for the {len(ids)} images (such as {ids[0]!r}; {has}); give "
            "<image id>_segmentation.png files of this data set"
        )
    return found


def check_masks(found: dict[str, list[Path]], images: pd.DataFrame) -> tuple[dict[str, Path], pd.DataFrame]:
    """Of the files of `find_masks` the masks of `images` (image_id, width, height), and the others with the reason.

    A mask has two values, of lesion and background, and its image's size or aspect.

    Returns:
        image id -> mask, and excluded: image_id, file, reason.
    """
    usable, excluded = {}, []
    for image in images.drop_duplicates("image_id").itertuples():
        paths = found.get(image.image_id, [])
        if reason := _reason(paths, image.width, image.height) if paths else "":
            excluded.append((image.image_id, paths[0].name, reason))
        elif paths:
            usable[image.image_id] = paths[0]
    return usable, pd.DataFrame(excluded, columns=["image_id", "file", "reason"])


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A mask file as bool [h, w] at the size of its image: lesion where the larger of its values is."""
    grey = _grey(path)
    if grey is None:
        raise ValueError(f"{path}: cannot be read as a mask; give a PNG that is white on the lesion, or remove it")
    low, high = float(grey.min()), float(grey.max())
    between = (low + high) / 2 if low < high else 127
    return cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_NEAREST) > between


def _reason(paths: list[Path], width: int, height: int) -> str:
    """Why these files of an image give no mask; "" where the one that there is does."""
    if len(paths) > 1:
        return f"one of {len(paths)} files ({', '.join(path.name for path in paths)}), none named _segmentation"
    grey = _grey(paths[0])
    if grey is None:
        return "cannot be read as a picture"
    if (values := len(np.unique(grey))) != 2:
        return f"has {values} grey {'level' if values == 1 else 'levels'}, not one of lesion and one of background"
    h, w = grey.shape
    if min(abs(w * height / h - width), abs(width * h / height - w)) > 1:  # within a pixel of the smaller one
        return f"{w} x {h} px is not the shape of its image, {width} x {height} px"
    return ""


def _grey(path: Path) -> np.ndarray | None:
    """Grey levels [h, w] as the file has them, 8 or 16 bits; None where it is not a picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return picture if picture is None or picture.ndim == 2 else cv2.cvtColor(picture[..., :3], cv2.COLOR_BGR2GRAY)
