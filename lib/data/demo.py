"""The demo's data: a small set of synthetic dermoscopic images in the public layout, with planted flaws of real sets.

Every image is synthetic, of no person and no real lesion, and not for any medical use. The ids ISIC_9... are made up;
the ISIC Archive has no such images. planted.json has the truth that the study's findings are compared with.
"""

import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from lib.config.files import read_json, write_json
from lib.config.paper import CLASSES
from lib.config.paths import DEMO_EXTERNAL, DEMO_MASKS, DEMO_METADATA, DEMO_PLANTED
from lib.data.metadata import DIAGNOSIS_CLASSES
from lib.data.synthetic import FAMILY, choose_look, draw_image

VERSION = 6  # of the images and flaws: sets of another version are replaced
NOTICE = "synthetic demo image"
MARKER = "demo.json"  # written last: the arguments of a set
LARGER = 12  # images per class from which on most lesions have several images, and each class has wrong labels
IMAGES_PER_WRONG_LABEL = 8  # one in eight, planted in each class of such a set
IMAGES_OF_A_LESION = (1, 2, 2, 3)  # equally likely
EXTERNAL_IMAGES = 4  # external images per class, without the copies
FIRST_EXTERNAL_LESION = 900_000  # far above the numbers of the set's own lesions
CODE = {label: code for code, labels in DIAGNOSIS_CLASSES.items() for label in labels}
DECIDED = [label for label in CLASSES if len(DIAGNOSIS_CLASSES[CODE[label]]) == 1]  # BKL covers two classes


def ensure(folder: Path, images_per_class: int, size: int, seed: int = 0) -> dict[str, list[dict]]:
    """Make the data set in `folder`, where it is not there or has other arguments; the same give the same bytes.

    It holds Train/, Test/, masks/, metadata.csv, planted.json, and external/ with external images in class folders.

    Args:
        folder: new, empty, or an earlier demo set, which is replaced; else FileExistsError.
        images_per_class: files per class, planted ones included; at least 6.
        size: side of the square images, px; at least 32.

    Returns:
        The content of planted.json; files are paths below `folder`:
        lesions: several images of one lesion, each {lesion_id, files};
        exact_duplicates: the same file under two ids in one class, each {files};
        near_duplicates: compressed again and a little brighter, under another id, each {files};
        two_classes: one content in two classes, each {files, classes, diagnosis, answer (that it decides for, or "")};
        label_disagreements: class contradicts diagnosis, those of two_classes too, each {file, class, diagnosis};
        images: every file, each {file, class (of the lesion in it), looks_like (the class whose look it has)};
        external_copies: of the set's own files, as they are, nearly, or rotated, each {file (in external/), of, kind}.
    """
    arguments = {"images_per_class": images_per_class, "size": size, "seed": seed, "version": VERSION}
    if read_json(folder / MARKER) == arguments:
        return read_json(folder / DEMO_PLANTED)
    if folder.exists() and not (folder / MARKER).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{str(folder)!r} exists and is not of the demo; remove it, or choose other results")
    folder.parent.mkdir(parents=True, exist_ok=True)
    attempt = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        plan = _plan(images_per_class, seed)
        _write(attempt, plan, size, seed)
        planted = _planted(plan) | {"external_copies": _write_external(attempt, plan, size, seed)}
        (attempt / "SYNTHETIC.txt").write_text(__doc__, encoding="utf-8")
        write_json(attempt / DEMO_PLANTED, planted)
        write_json(attempt / MARKER, arguments)
        attempt.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        attempt.replace(folder)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
    return planted


@dataclass
class _File:
    """A file of the set before it is written: where it lies, what it shows and what the metadata say of it."""

    label: str
    part: str
    isic_id: str
    shows: str  # the true class of the lesion
    lesion: int  # number of the lesion
    view: int = 0  # number of the image of that lesion
    looks_like: str = ""  # the class whose look that lesion has
    lesion_id: str = ""
    diagnosis: str = ""
    copy_of: "_File | None" = None
    flaw: str = ""  # the planted flaw that it takes part in: its metadata are then as planted

    @property
    def source(self) -> str:
        return f"{self.part}/{self.label}/{self.isic_id}.jpg"


def _plan(images_per_class: int, seed: int) -> list[_File]:
    """Every file of the set with its flaws. The first files of each class are in Test."""
    random, in_test = np.random.default_rng([seed, 0]), max(1, round(0.12 * images_per_class))
    files: dict[str, list[_File]] = {label: [] for label in CLASSES}
    for place, number in enumerate(random.permutation(len(CLASSES) * images_per_class)):
        k, i = divmod(place, images_per_class)
        label, part, lesion = CLASSES[k], "Test" if i < in_test else "Train", (k + 1) * 10_000 + i
        files[label].append(_File(label, part, f"ISIC_9{number:06d}", label, lesion, diagnosis=CODE[label]))
    _plant(files)
    if images_per_class >= LARGER:
        for number, label in enumerate(CLASSES):
            others = [name for name in CLASSES if name not in FAMILY[label] and name in DECIDED]
            for count in range(images_per_class // IMAGES_PER_WRONG_LABEL):
                _mislabel(files[label][-6 - count], others[(number + count) % len(others)])
            _several_images([file for file in files[label] if not file.flaw], random)

    everything = [file for label in CLASSES for file in files[label]]
    looks: dict[int, str] = {}
    for file in everything:  # an image with a wrong label shows its true class, so that the label can be seen wrong
        look = file.shows if file.flaw == "label" else choose_look(file.shows, random)
        file.looks_like = looks.setdefault(file.lesion, look)
    for file in everything:
        unknown, no_lesion_id = random.random(2)
        if file.flaw in ("", "lesion") and unknown < 0.13:
            file.diagnosis = ""
        if not file.flaw and no_lesion_id >= 0.35:
            file.lesion_id = f"DEMO_{file.lesion:06d}"
    return everything


def _plant(files: dict[str, list[_File]]) -> None:
    """The flaws of sets of every size."""
    nevus, melanoma, bcc = files["nevus"], files["melanoma"], files["basal cell carcinoma"]
    keratosis, scc, vascular = files["actinic keratosis"], files["squamous cell carcinoma"], files["vascular lesion"]
    pigmented, seborrheic = files["pigmented benign keratosis"], files["seborrheic keratosis"]
    fibroma = files["dermatofibroma"]
    for images in (nevus[-3:], melanoma[-2:], [pigmented[0], pigmented[-2]]):
        _one_lesion(images)
    _copy(vascular[-2], vascular[-1], "exact_duplicates")
    _copy(fibroma[-2], fibroma[-1], "near_duplicates")
    _copy(scc[0], scc[-2], "near_duplicates")  # one in Test, one in Train
    _copy(nevus[-5], melanoma[-3], "two_classes", same_id=True)
    _copy(bcc[0], keratosis[-1], "two_classes", same_id=True)  # one in Test, one in Train
    keratosis[-2].diagnosis = ""
    _copy(keratosis[-2], scc[-1], "two_classes")
    _copy(pigmented[-1], seborrheic[-1], "two_classes", same_id=True)  # BKL decides for neither
    _mislabel(nevus[-4], "actinic keratosis")
    _mislabel(melanoma[-4], "nevus")


def _one_lesion(images: list[_File]) -> None:
    for view, file in enumerate(images):
        file.lesion, file.view, file.flaw = images[0].lesion, view, "lesion"
        file.lesion_id = f"DEMO_{file.lesion:06d}"


def _several_images(files: list[_File], random: np.random.Generator) -> None:
    """Give the files, in their order, to lesions of one to three images."""
    while files:
        count = random.choice(IMAGES_OF_A_LESION)
        if len(files[:count]) > 1:
            _one_lesion(files[:count])
        files = files[count:]


def _copy(original: _File, copy: _File, flaw: str, same_id: bool = False) -> None:
    original.flaw = copy.flaw = flaw
    copy.copy_of, copy.diagnosis = original, original.diagnosis
    copy.shows, copy.lesion = original.shows, original.lesion
    copy.isic_id = original.isic_id if same_id else copy.isic_id


def _mislabel(file: _File, shows: str) -> None:
    file.shows, file.diagnosis, file.flaw = shows, CODE[shows], "label"


def _planted(plan: list[_File]) -> dict[str, list[dict]]:
    """planted.json, as `ensure` describes it."""
    lesions = pd.DataFrame([(file.lesion_id, file.source) for file in plan if file.flaw == "lesion"]).groupby(0)[1]
    pairs: dict[str, list[dict]] = {"exact_duplicates": [], "near_duplicates": [], "two_classes": []}
    for copy in (file for file in plan if file.copy_of):
        entry = {"files": sorted([copy.source, copy.copy_of.source])}
        if copy.flaw == "two_classes":
            classes = sorted([copy.label, copy.copy_of.label])
            decided = [label for label in classes if CODE[label] == copy.diagnosis]
            answer = decided[0] if len(decided) == 1 else ""
            entry |= {"classes": classes, "diagnosis": copy.diagnosis, "answer": answer}
        pairs[copy.flaw].append(entry)
    return {
        "lesions": [{"lesion_id": name, "files": sorted(files)} for name, files in lesions],
        **pairs,
        "label_disagreements": [
            {"file": file.source, "class": file.label, "diagnosis": file.diagnosis}
            for file in plan
            if file.diagnosis not in ("", CODE[file.label])
        ],
        "images": [{"file": file.source, "class": file.shows, "looks_like": file.looks_like} for file in plan],
    }


def _write(folder: Path, plan: list[_File], size: int, seed: int) -> None:
    (folder / DEMO_MASKS).mkdir()
    written: dict[int, tuple[bytes, np.ndarray]] = {}
    for file in sorted(plan, key=lambda one: one.copy_of is not None):  # originals first
        if file.copy_of is None:
            image, mask = draw_image(file.looks_like, size, seed, file.lesion, file.view)
            content = _jpeg(image, 92)
        else:
            content, mask = written[id(file.copy_of)]
            # a coarser compression would change small images too much
            content = _jpeg(_brighter(content, 1), 90) if file.flaw == "near_duplicates" else content
        written[id(file)] = content, mask
        path = folder / file.source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        Image.fromarray(mask).save(folder / DEMO_MASKS / f"{file.isic_id}_segmentation.png")
    rows = {(file.isic_id, file.diagnosis, file.lesion_id) for file in plan}
    table = pd.DataFrame(sorted(rows), columns=["isic_id", "isic2019_diagnosis", "lesion_id"])
    table.to_csv(folder / DEMO_METADATA, index=False)


def _write_external(folder: Path, plan: list[_File], size: int, seed: int) -> list[dict[str, str]]:
    """External images, of another camera, and copies of the set's own, which are returned."""
    for number, label in enumerate(CLASSES):
        (folder / DEMO_EXTERNAL / label).mkdir(parents=True)
        for image in range(EXTERNAL_IMAGES):
            lesion = FIRST_EXTERNAL_LESION + 1000 * number + image
            pixels, _ = draw_image(label, size, seed, lesion, 0)
            pixels = _other_camera(pixels, np.random.default_rng([seed, 3, lesion]))
            (folder / DEMO_EXTERNAL / label / f"EXTERNAL_{number}{image:03d}.jpg").write_bytes(_jpeg(pixels, 90))
    changes = {
        "copy": ("nevus", lambda content: content),
        "near copy": ("basal cell carcinoma", lambda content: _jpeg(_brighter(content, 2), 90)),
        "rotated copy": ("vascular lesion", lambda content: _jpeg(np.rot90(_brighter(content, 0)), 90)),
    }
    copies = []
    for number, (kind, (label, change)) in enumerate(changes.items()):
        own = min(file.source for file in plan if file.label == label)
        copy = f"{label}/EXTERNAL_9{number:03d}.jpg"
        (folder / DEMO_EXTERNAL / copy).write_bytes(change((folder / own).read_bytes()))
        copies.append({"file": copy, "of": own, "kind": kind})
    return copies


def _other_camera(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An image as another camera takes it: larger, in dim greenish light, out of focus; uint8 [1.25 s, 1.25 s, 3]."""
    larger = round(1.25 * len(image))
    light = np.float32([0.76, 0.80, 0.66]) * random.uniform(0.9, 1.1)
    image = cv2.resize(image * light, (larger, larger), interpolation=cv2.INTER_CUBIC)
    image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.006, 0.012) * larger)
    return np.clip(np.rint(image + random.normal(0, 2, image.shape)), 0, 255).astype(np.uint8)


def _brighter(content: bytes, levels: int) -> np.ndarray:
    """The pixels of an image file, brighter by some grey levels."""
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    return np.clip(pixels.astype(np.int16) + levels, 0, 255).astype(np.uint8)


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = NOTICE  # ImageDescription
    stream, image = io.BytesIO(), Image.fromarray(np.ascontiguousarray(pixels))
    image.save(stream, "JPEG", quality=quality, comment=NOTICE.encode(), exif=exif)
    return stream.getvalue()
