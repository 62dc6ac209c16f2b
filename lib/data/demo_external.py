"""The demo's external images: drawn lesions that another camera sees on another skin.

They lie in class folders, as `--external` expects them, with a few copies of the demo's own images among them;
planted.json says which, so what is found can be held to the truth. Drawn, of no person and no real lesion.
"""

import io
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lib.config.files import read_json, write_json
from lib.config.paper import CLASSES
from lib.config.paths import demo_planted
from lib.data import demo
from lib.data.drawing import photo
from lib.data.folder import check_folder

VERSION = 1  # of what is drawn and planted here
MARKER = "demo_external.json"
IMAGES = 4  # drawn a class
FIRST_LESION = 900_000  # far above the numbers of the demo's own lesions


def ensure(folder: Path, data: Path, images_per_class: int, size: int, seed: int) -> dict[str, list[dict[str, str]]]:
    """The external images in `folder`, drawn only if they are not there or belong to another demo set.

    Args:
        folder: new, empty, or an earlier set of these images.
        data: the demo set, drawn with the other arguments (lib.data.demo.ensure).

    Returns:
        What was planted: `copies`, `near_copies` (lightened and compressed again) and `turned_copies` (by a quarter),
        each {file, of}, paths below `folder` and `data`.

    Raises:
        FileExistsError: `folder` holds something else.
    """
    arguments = {"images_per_class": images_per_class, "size": size, "seed": seed, "versions": [demo.VERSION, VERSION]}
    if read_json(folder / MARKER) == arguments:
        return read_json(demo_planted(folder))
    if folder.exists() and read_json(folder / MARKER) is None and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{str(folder)!r} exists and is no set of the demo; remove it, or choose other results")
    folder.parent.mkdir(parents=True, exist_ok=True)
    attempt = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        planted = _draw(attempt, data, size, seed)
        write_json(demo_planted(attempt), planted)
        write_json(attempt / MARKER, arguments)
        attempt.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        attempt.replace(folder)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
    return planted


def other_camera(picture: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A drawn picture as another camera sees it on darker skin: greenish light, soft focus, a round dark frame.

    Args:
        picture: uint8 [s, s, 3]; mask: uint8 [s, s], 255 where the lesion is.

    Returns:
        uint8 [1.25 s, 1.25 s, 3].
    """
    size = len(picture)
    lesion = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 0.03 * size)[..., None]
    skin = np.float32([0.74, 0.62, 0.56]) * random.uniform(0.9, 1.1)
    shown = picture * (lesion + (1 - lesion) * skin)
    light = np.float32([0.94, 1.04, 0.88]) * random.uniform(0.95, 1.1)
    shown = 255 * np.clip(shown * light / 255, 0, 1) ** random.uniform(0.8, 0.95)
    larger = round(1.25 * size)
    shown = cv2.resize(shown.astype(np.float32), (larger, larger), interpolation=cv2.INTER_CUBIC)
    shown = cv2.GaussianBlur(shown, (0, 0), random.uniform(0.006, 0.012) * larger)
    y, x = (np.mgrid[:larger, :larger].astype(np.float32) + 0.5) / larger - 0.5
    inside = np.clip((random.uniform(0.5, 0.58) - np.hypot(x, y)) / 0.02, 0, 1)[..., None]
    shown = shown * inside + np.float32([6, 8, 12]) * (1 - inside) + random.normal(0, 2, shown.shape)
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def _draw(folder: Path, data: Path, size: int, seed: int) -> dict[str, list[dict[str, str]]]:
    (folder / "SYNTHETIC.txt").write_text(
        "Every image in this folder is synthetic: drawn by lib.data.demo_external, of no person and no real lesion.\n",
        encoding="utf-8",
    )
    own = {}  # the demo's own images of each class
    for _, label, path in check_folder(data).files:
        own.setdefault(label, []).append(path)
    for number, label in enumerate(CLASSES):
        (folder / label).mkdir()
        for image in range(IMAGES):
            lesion = FIRST_LESION + 1000 * number + image
            picture, mask = photo(label, size, seed, lesion, 0)
            picture = other_camera(picture, mask, np.random.default_rng([seed, 3, lesion]))
            _save(picture, folder / label / f"ELSEWHERE_{number}{image:03d}.jpg")
    copied = {"copies": "nevus", "near_copies": "basal cell carcinoma", "turned_copies": "vascular lesion"}
    planted = {}
    for place, (kind, label) in enumerate(copied.items()):
        original = own[label][0]
        file = folder / label / f"ELSEWHERE_9{place:03d}.jpg"
        pixels = np.asarray(Image.open(original))
        if kind == "copies":
            shutil.copyfile(original, file)
        elif kind == "near_copies":
            _save(np.clip(pixels.astype(np.int16) + 2, 0, 255).astype(np.uint8), file)
        else:
            _save(np.ascontiguousarray(np.rot90(pixels)), file)
        relative = {"file": file.relative_to(folder).as_posix(), "of": original.relative_to(data).as_posix()}
        planted[kind] = [relative]
    return planted


def _save(picture: np.ndarray, path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=90, comment=demo.NOTICE.encode())
    path.write_bytes(stream.getvalue())
