"""Pre-processing and augmentation, section III.B of the paper: equations 1 and 3 to 5, and the arrays made with them.

Equation 2 is a layer of the networks, lib.models.networks.MinMax.
"""

import errno
import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lib.data.threads import map_in_threads


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Equation 1, I_resized = resize(I, D_desired): uint8 [h, w, 3] to [size, size, 3].

    Areas are averaged where the image shrinks (antialiased); where it grows it is interpolated bicubically. The aspect
    ratio is not kept, since the equation mentions neither cropping nor padding.
    """
    if image.shape[:2] == (size, size):
        return image
    how = cv2.INTER_AREA if min(image.shape[:2]) >= size else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=how)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Equation 3, I_rotated = rotate(I, theta), counter-clockwise about the centre.

    Corners are filled by reflection: black wedges would reveal the angle.
    """
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def flip(image: np.ndarray, horizontal: bool, vertical: bool) -> np.ndarray:
    """Equation 4, I_flipped = flip(I), along either axis or both."""
    return np.ascontiguousarray(image[:: -1 if vertical else 1, :: -1 if horizontal else 1])


def enhance_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Equation 5: distances from the image's mean grey level are multiplied by `factor` and clipped to 0..255."""
    mean = image.mean(dtype=np.float64)
    return np.clip(np.rint(mean + factor * (image.astype(np.float32) - mean)), 0, 255).astype(np.uint8)


def augment(image: np.ndarray, source: str, view: int, seed: int, rotation: float, contrast: float) -> np.ndarray:
    """View number `view` of an image, uint8 [s, s, 3]: view 0 is the image, the others are rotated, flipped and changed
    in contrast.

    The random numbers depend on (source, view, seed) alone, so a set is the same whatever the order of work. `rotation`
    is the largest angle to either side, degrees; `contrast` the largest relative change, in [0, 1).
    """
    if view == 0:
        return image
    key = hashlib.blake2b(f"{seed}\0{view}\0{source}".encode("utf-8", "surrogateescape"), digest_size=16).digest()
    random = np.random.default_rng(int.from_bytes(key, "big"))
    image = rotate(image, random.uniform(-rotation, rotation))
    image = flip(image, *(random.random(2) < 0.5))
    return enhance_contrast(image, random.uniform(1 - contrast, 1 + contrast))


def write_images(
    views: pd.DataFrame,
    decode: Callable[[Path], np.ndarray],
    data: Path,
    path: Path,
    size: int,
    seed: int,
    rotation: float,
    contrast: float,
    workers: int = 2,
) -> None:
    """Write every row of `views` (columns source, view) to one memory-mapped array; each file is decoded once.

    Args:
        decode: reads a file as uint8 [h, w, 3].
        data: the folder that `source` is relative to.
        path: the .npy file to write, uint8 [len(views), size, size, 3], row i = row i of `views`.
    """
    images = create_array(path, np.uint8, (len(views), size, size, 3))
    rows = views.reset_index(drop=True).groupby("source", sort=False).groups

    def write(numbered: tuple[int, str]) -> None:
        count, source = numbered
        image = resize(decode(data / source), size)
        for row in rows[source]:
            images[row] = augment(image, source, int(views["view"].iat[row]), seed, rotation, contrast)
        if count % 256 == 0:
            release(images)

    map_in_threads(write, enumerate(rows), workers, "files made into views")
    images.flush()


def create_array(path: Path, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """A new memory-mapped .npy file whose room on the disk is taken, else OSError: a page that finds none would kill
    the process."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except AttributeError:  # macOS has none
        pass
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            needed = f"the disk has no room for its {array.nbytes / 1e9:.3f} GB"
            raise OSError(error.errno, needed, str(path)) from error
    return array


def open_images(path: Path) -> np.ndarray:
    """images.npy, memory-mapped and read-only: uint8 [n, size, size, 3]."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def release(array: np.ndarray) -> None:
    """Release the pages of a memory-mapped array: they stay in the page cache, not in the memory of this process."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
