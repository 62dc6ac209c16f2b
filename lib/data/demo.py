"""The embedded demo: a small labelled set of synthetic dermoscopy-like images with known flaws.

The images are drawn, not taken: they show no person and mean nothing for medicine. They come in the public layout
(Train/<class>/, Test/<class>/) with lesion masks and metadata, so every step runs on them as on the real set, and
planted.json says which flaws of real sets were planted where, so what the audit finds can be held to the truth.
"""

import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lib.config.files import read_json, write_json
from lib.config.paper import CLASSES
from lib.config.paths import demo_masks, demo_metadata, demo_planted
from lib.data.drawing import look_of, photo
from lib.data.looks import FAMILIES, LOOKS

VERSION = 3  # of what is drawn and planted: another number replaces the sets that were drawn before
NOTICE = "synthetic demo image"
MARKER = "demo.json"  # written last: what the set was drawn with
LEAST_IMAGES, LEAST_SIZE = 6, 32
LARGER = 12  # images a class from which on most lesions have several images, and each class has a wrong label
IMAGES_OF_A_LESION = (1, 2, 2, 3)  # equally likely


@dataclass(frozen=True)
class DemoSet:
    """A drawn data set.

    Args:
        folder: holds Train/, Test/, masks/, metadata.csv and planted.json.
        planted: the planted flaws as planted.json has them; files are paths below `folder`, posix style:
            lesions: several images of one lesion, each {lesion_id, files};
            exact_duplicates: the same file under two ids in one class, each {files};
            near_duplicates: re-encoded and slightly changed under another id, no common lesion id, each {files};
            two_classes: the same content under two classes, each {files, classes, diagnosis ("" where none is
            given), answer (the class that the diagnosis decides for, or "")};
            label_disagreements: every file whose class contradicts its diagnosis, those of two_classes too,
            each {file, class, diagnosis}.
            Beside the flaws, `drawn` has every file: {file, class (of the lesion that it shows), looks_like (the class
            whose look was drawn)}.
    """

    folder: Path
    planted: dict[str, list[dict]]

    @property
    def metadata(self) -> Path:
        return demo_metadata(self.folder)

    @property
    def masks(self) -> Path:
        return demo_masks(self.folder)


def ensure(folder: Path, images_per_class: int, size: int, seed: int) -> DemoSet:
    """The data set in `folder`, drawn only if it is not there or was drawn with other arguments.

    Args and errors as `draw`.
    """
    folder = Path(folder)
    if _marker(folder) == _arguments(images_per_class, size, seed):
        return DemoSet(folder, read_json(demo_planted(folder)))
    return draw(folder, images_per_class, size, seed)


def draw(folder: Path, images_per_class: int, size: int, seed: int) -> DemoSet:
    """Draw the data set; the same arguments give the same bytes.

    It is drawn beside `folder` and renamed into place, so it is never half there; an earlier demo set is replaced.

    Args:
        folder: new, empty, or an earlier demo set.
        images_per_class: files a class, planted ones included; at least 6.
        size: side of the square images, px; at least 32.
        seed: any whole number from 0.

    Raises:
        ValueError: an argument out of range.
        FileExistsError: `folder` holds something else.
    """
    folder = Path(folder)
    arguments = _arguments(images_per_class, size, seed)
    for name, least in (("images_per_class", LEAST_IMAGES), ("size", LEAST_SIZE), ("seed", 0)):
        if arguments[name] < least:
            raise ValueError(f"{name} is {arguments[name]}, but the demo needs at least {least}; give a larger number")
    _refuse_other(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    attempt = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        plan = _plan(images_per_class, seed)
        planted = _planted(plan)
        _write(attempt, plan, size, seed)
        write_json(demo_planted(attempt), planted)
        write_json(attempt / MARKER, arguments)
        attempt.chmod(0o755)
        _refuse_other(folder)
        shutil.rmtree(folder, ignore_errors=True)
        attempt.replace(folder)
    except OSError:
        if _marker(folder) != arguments:  # else another process was faster, with the same bytes
            raise
        planted = read_json(demo_planted(folder))
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
    return DemoSet(folder, planted)


# ---- what is drawn: files, ids, lesions, diagnoses and planted flaws


@dataclass
class _File:
    """A file to be: where it lies, what it shows and what the metadata says of its id."""

    label: str
    part: str
    isic_id: str
    shows: str  # the class of the lesion that is drawn
    looks_like: str  # the class whose look that lesion has
    lesion: int  # number of the drawn lesion
    view: int = 0  # number of the picture of that lesion
    lesion_id: str = ""
    diagnosis: str = ""
    copy_of: "_File | None" = None
    near_copy: bool = False
    flaw: str = ""  # the planted flaw it takes part in: keeps its metadata as planted

    @property
    def source(self) -> str:
        return f"{self.part}/{self.label}/{self.isic_id}.jpg"


def _plan(images_per_class: int, seed: int) -> list[_File]:
    """Every file of the set, flaws planted. A place is (class, number); the first numbers of a class are in Test."""
    random = np.random.default_rng([seed, 0])
    in_test = max(1, round(0.12 * images_per_class))
    numbers = random.permutation(len(CLASSES) * images_per_class)
    files: dict[str, list[_File]] = {label: [] for label in CLASSES}
    for place, number in enumerate(numbers):
        k, i = divmod(place, images_per_class)
        label, part, lesion = CLASSES[k], "Test" if i < in_test else "Train", (k + 1) * 10_000 + i
        code = LOOKS[label].code
        files[label].append(_File(label, part, f"ISIC_9{number:06d}", label, label, lesion, diagnosis=code))

    nevus, melanoma, bcc = files["nevus"], files["melanoma"], files["basal cell carcinoma"]
    keratosis, scc, vascular = files["actinic keratosis"], files["squamous cell carcinoma"], files["vascular lesion"]
    pigmented, seborrheic = files["pigmented benign keratosis"], files["seborrheic keratosis"]
    fibroma = files["dermatofibroma"]

    for images in ([nevus[-1], nevus[-2], nevus[-3]], [melanoma[-1], melanoma[-2]], [pigmented[0], pigmented[-2]]):
        _one_lesion(images)
    _copy(vascular[-2], vascular[-1], "exact duplicate", same_id=False)
    _copy(fibroma[-2], fibroma[-1], "near-duplicate", same_id=False)
    _copy(scc[0], scc[-2], "near-duplicate", same_id=False)  # one in Test, one in Train
    _copy(nevus[-5], melanoma[-3], "two classes", same_id=True)
    _copy(bcc[0], keratosis[-1], "two classes", same_id=True)  # one in Test, one in Train
    _copy(keratosis[-2], scc[-1], "two classes", same_id=False, diagnosis="")
    _copy(pigmented[-1], seborrheic[-1], "two classes", same_id=True)  # BKL decides for neither
    _mislabel(nevus[-4], "actinic keratosis")
    _mislabel(melanoma[-4], "nevus")
    if images_per_class >= LARGER:
        for number, label in enumerate(CLASSES):
            _mislabel(files[label][-6], _far(label)[number % len(_far(label))])
            _several_images([file for file in files[label] if not file.flaw], random)

    everything = [file for label in CLASSES for file in files[label]]
    looks = {}
    for file in everything:  # a wrong label is wrong by the look, too, so that it can be seen
        look = file.shows if file.flaw == "label" else look_of(file.shows, random)
        file.looks_like = looks.setdefault(file.lesion, look)
    for file in everything:
        unknown, no_lesion_id = random.random(2)
        if file.flaw in ("", "lesion"):
            file.diagnosis = "" if unknown < 0.13 else file.diagnosis
        if not file.flaw:
            file.lesion_id = "" if no_lesion_id < 0.35 else f"DEMO_{file.lesion:06d}"
    return everything


def _one_lesion(images: list[_File]) -> None:
    for view, file in enumerate(images):
        file.lesion, file.view, file.flaw = images[0].lesion, view, "lesion"
        file.lesion_id = f"DEMO_{file.lesion:06d}"


def _several_images(files: list[_File], random: np.random.Generator) -> None:
    """Make lesions of several images of the files, in their order; some keep a lesion of their own."""
    while files:
        count = random.choice(IMAGES_OF_A_LESION)
        if len(files[:count]) > 1:
            _one_lesion(files[:count])
        files = files[count:]


def _far(label: str) -> list[str]:
    """The classes that nobody takes `label` for and that a diagnosis decides for: benign keratosis covers two."""
    family = next(family for family in FAMILIES if label in family)
    return [name for name in CLASSES if name not in family and LOOKS[name].code != "BKL"]


def _copy(original: _File, copy: _File, flaw: str, same_id: bool, diagnosis: str | None = None) -> None:
    original.flaw = copy.flaw = flaw
    original.diagnosis = original.diagnosis if diagnosis is None else diagnosis
    copy.copy_of, copy.diagnosis = original, original.diagnosis
    copy.shows, copy.lesion = original.shows, original.lesion
    copy.near_copy = flaw == "near-duplicate"
    if same_id:
        copy.isic_id = original.isic_id


def _mislabel(file: _File, shows: str) -> None:
    file.shows, file.diagnosis, file.flaw = shows, LOOKS[shows].code, "label"


def _planted(plan: list[_File]) -> dict[str, list[dict]]:
    flaws = ("lesions", "exact_duplicates", "near_duplicates", "two_classes", "label_disagreements")
    planted = {flaw: [] for flaw in flaws}
    lesions: dict[str, list[str]] = {}
    for file in plan:
        if file.flaw == "lesion":
            lesions.setdefault(file.lesion_id, []).append(file.source)
        if file.diagnosis and LOOKS[file.label].code != file.diagnosis:
            entry = {"file": file.source, "class": file.label, "diagnosis": file.diagnosis}
            planted["label_disagreements"].append(entry)
        if file.copy_of is None:
            continue
        pair = sorted([file.copy_of, file], key=lambda one: one.source)
        files = {"files": [one.source for one in pair]}
        if file.near_copy:
            planted["near_duplicates"].append(files)
        elif file.label == file.copy_of.label:
            planted["exact_duplicates"].append(files)
        else:
            classes = sorted({file.label, file.copy_of.label})
            fitting = [label for label in classes if LOOKS[label].code == file.diagnosis]
            answer = fitting[0] if len(fitting) == 1 else ""
            planted["two_classes"].append(files | {"classes": classes, "diagnosis": file.diagnosis, "answer": answer})
    planted["lesions"] = [{"lesion_id": name, "files": sorted(files)} for name, files in sorted(lesions.items())]
    planted["drawn"] = [{"file": file.source, "class": file.shows, "looks_like": file.looks_like} for file in plan]
    return planted


# ---- files


def _write(folder: Path, plan: list[_File], size: int, seed: int) -> None:
    demo_masks(folder).mkdir()
    (folder / "SYNTHETIC.txt").write_text(
        "Every image in this folder is synthetic: drawn by lib.data.demo, of no person and no real lesion.\n"
        "The ids ISIC_9... are made up; the ISIC Archive has no such images. Not for any medical use.\n",
        encoding="utf-8",
    )
    drawn: dict[int, tuple[bytes, np.ndarray]] = {}
    for file in sorted(plan, key=lambda one: one.copy_of is not None):  # originals first
        if file.copy_of is None:
            picture, mask = photo(file.looks_like, size, seed, file.lesion, file.view)
            content = _jpeg(picture, 92)
        else:
            content, mask = drawn[id(file.copy_of)]
            content = _near_copy(content) if file.near_copy else content
        drawn[id(file)] = content, mask
        path = folder / file.source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        Image.fromarray(mask).save(demo_masks(folder) / f"{file.isic_id}_segmentation.png")
    rows = {(file.isic_id, file.diagnosis, file.lesion_id) for file in plan}
    table = pd.DataFrame(sorted(rows), columns=["isic_id", "isic2019_diagnosis", "lesion_id"])
    table.to_csv(demo_metadata(folder), index=False)


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = NOTICE  # ImageDescription
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, comment=NOTICE.encode(), exif=exif)
    return stream.getvalue()


def _near_copy(content: bytes) -> bytes:
    """A JPEG a little brighter and compressed again; coarser compression would change small pictures too much."""
    picture = np.asarray(Image.open(io.BytesIO(content)))
    return _jpeg(np.clip(picture.astype(np.int16) + 1, 0, 255).astype(np.uint8), 90)


def _arguments(images_per_class: int, size: int, seed: int) -> dict:
    """What a set is drawn with, as its marker says it."""
    return {"images_per_class": images_per_class, "size": size, "seed": seed, "drawn_by": VERSION}


def _marker(folder: Path) -> dict:
    return read_json(folder / MARKER) or {}


def _refuse_other(folder: Path) -> None:
    """Never replace what is not a demo set."""
    if not folder.exists() or "drawn_by" in _marker(folder):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise FileExistsError(f"{str(folder)!r} exists and is no demo set; give the demo another folder, or remove it")
