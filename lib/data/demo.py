"""The embedded demo: a small labelled set of synthetic dermoscopy-like images with known flaws.

The images are drawn, not taken: they show no person and mean nothing for medicine. They come in the public layout
(Train/<class>/, Test/<class>/) with lesion masks and metadata, so every step runs on them as on the real set, and
planted.json says which flaws of real sets were planted where, so what the audit finds can be held to the truth.
"""

import csv
import hashlib
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lib.config import CLASSES

NOTICE = "synthetic demo image"
MARKER = "demo.json"  # written last: what the set was drawn with
LEAST_IMAGES, LEAST_SIZE = 6, 32

RGB = tuple[int, int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A structure within a lesion: a colour laid on where `kind`, a function of this module, says.

    Args:
        kind: network, dots, blobs, patches, vessels, ridges, area or streaks.
        colour: RGB, 0 to 255.
        strength: range of the share of `colour` where the structure is full.
        scale: size of its elements, a fraction of the image side.
        amount: number of elements, or the share of the lesion for patches.
        between: from where to where it lies, 0 the lesion's centre, 1 its border.
        chance: share of the lesions that have it.
        opaque: shows even where the lesion itself is faint.
    """

    kind: str
    colour: RGB
    strength: Range
    scale: float = 0.05
    amount: Range = (0.4, 0.6)
    between: Range = (0.0, 1.1)
    chance: float = 1.0
    opaque: bool = False


@dataclass(frozen=True)
class Look:
    """How the lesions of a class look; ranges are drawn from uniformly for each lesion.

    Args:
        code: official diagnosis code.
        palettes: colours from the lesion's darkest to its lightest part; one palette is drawn for each lesion.
        radius: fraction of the image side.
        opacity: share of the lesion's colour over the skin's, at its centre.
        elongation: longer over shorter axis.
        irregular: relative deviation of the outline from an ellipse.
        jagged: roughness of the border (adds noise to the distance from the centre).
        soft: width of the border, a fraction of the radius.
        lobes: how many overlapping shapes it is made of (more: less symmetric).
        mottle: how unevenly the palette is mixed.
        halo: redness of the skin around it, 0 to 1.
        marks: its structures, painted in this order.
    """

    code: str
    palettes: tuple[tuple[RGB, ...], ...]
    radius: Range
    opacity: Range
    elongation: Range = (1.0, 1.4)
    irregular: Range = (0.03, 0.08)
    jagged: Range = (0.02, 0.06)
    soft: Range = (0.06, 0.15)
    lobes: tuple[int, int] = (1, 1)
    mottle: Range = (0.15, 0.3)
    halo: Range = (0.0, 0.1)
    marks: tuple[Mark, ...] = ()


BROWN = ((74, 42, 30), (122, 74, 50), (164, 110, 78))
LIGHT_BROWN = ((128, 84, 54), (164, 116, 78), (190, 146, 108))
GREY_BROWN = ((104, 76, 68), (138, 106, 94), (168, 136, 120))
BLACK_BROWN = ((34, 22, 22), (70, 42, 36), (118, 74, 56))
RED = ((168, 70, 74), (198, 104, 104), (216, 136, 130))
PINK = ((186, 104, 110), (208, 132, 132), (222, 158, 150))
PURPLE = ((92, 22, 58), (140, 36, 78), (176, 62, 98))
CRIMSON = ((140, 16, 44), (182, 34, 62), (206, 70, 86))
WHITE, CREAM, BLUE_GREY, BLUE_WHITE = (236, 218, 212), (228, 206, 160), (78, 78, 96), (126, 132, 156)
DARK, DARK_RED, BLOOD, BLACK = (52, 30, 24), (104, 30, 34), (184, 44, 58), (26, 18, 20)

LOOKS: dict[str, Look] = {
    # red pseudonetwork round pale follicles, white scale, no clear border
    "actinic keratosis": Look(
        "AK",
        (RED, ((166, 84, 72), (192, 116, 100), (208, 146, 128))),
        (0.28, 0.42),
        (0.55, 0.85),
        irregular=(0.1, 0.2),
        jagged=(0.18, 0.35),
        soft=(0.3, 0.5),
        lobes=(1, 3),
        mottle=(0.3, 0.5),
        halo=(0.2, 0.5),
        marks=(
            Mark("dots", (226, 182, 168), (0.4, 0.75), 0.022, (40, 80)),
            Mark("patches", WHITE, (0.4, 0.75), 0.05, (0.1, 0.22), chance=0.75, opaque=True),
            Mark("patches", (132, 84, 58), (0.4, 0.7), 0.1, (0.15, 0.35), chance=0.4),
        ),
    ),
    # pink, branching vessels, blue-grey ovoid nests, sometimes an ulcer
    "basal cell carcinoma": Look(
        "BCC",
        (PINK, ((196, 122, 116), (212, 146, 136), (224, 170, 158))),
        (0.22, 0.36),
        (0.55, 0.85),
        irregular=(0.06, 0.16),
        jagged=(0.06, 0.15),
        soft=(0.15, 0.3),
        lobes=(1, 2),
        marks=(
            Mark("blobs", BLUE_GREY, (0.55, 0.9), 0.06, (3, 8), (0.0, 0.9), chance=0.75, opaque=True),
            Mark("vessels", BLOOD, (0.6, 0.9), 0.014, (4, 7), (0.0, 1.2), chance=0.85, opaque=True),
            Mark("blobs", DARK_RED, (0.6, 0.9), 0.07, (1, 2), (0.0, 0.6), chance=0.35, opaque=True),
            Mark("streaks", WHITE, (0.3, 0.5), 0.02, (5, 12), (0.0, 0.9), chance=0.3),
        ),
    ),
    # pale scar-like centre, fine network and a soft edge around it
    "dermatofibroma": Look(
        "DF",
        (
            ((166, 112, 92), (188, 136, 116), (206, 158, 140)),
            ((172, 98, 96), (196, 124, 118), (212, 150, 142)),
        ),
        (0.22, 0.36),
        (0.6, 0.9),
        elongation=(1.0, 1.3),
        soft=(0.25, 0.45),
        halo=(0.1, 0.4),
        marks=(
            Mark("network", (128, 82, 68), (0.2, 0.4), 0.03, between=(0.45, 1.0)),
            Mark("area", WHITE, (0.35, 0.7), 0.08, between=(0.0, 0.4), opaque=True),
            Mark("streaks", WHITE, (0.4, 0.7), 0.02, (6, 14), (0.0, 0.5), chance=0.5, opaque=True),
        ),
    ),
    # asymmetric, ragged, several colours, blue-white veil, black dots and streaks
    "melanoma": Look(
        "MEL",
        (
            BLACK_BROWN,
            BROWN,
            ((60, 34, 34), (120, 72, 52), (192, 128, 100)),
        ),
        (0.26, 0.40),
        (0.75, 0.97),
        elongation=(1.1, 1.5),
        irregular=(0.12, 0.24),
        jagged=(0.05, 0.13),
        soft=(0.08, 0.2),
        lobes=(2, 3),
        mottle=(0.4, 0.65),
        marks=(
            Mark("network", DARK, (0.25, 0.5), 0.042, chance=0.7),
            Mark("patches", BLACK, (0.5, 0.85), 0.22, (0.12, 0.3), chance=0.7),
            Mark("patches", (168, 92, 86), (0.3, 0.55), 0.25, (0.1, 0.2), chance=0.35),
            Mark("patches", BLUE_WHITE, (0.35, 0.6), 0.32, (0.12, 0.28), (0.0, 0.85), chance=0.65),
            Mark("dots", BLACK, (0.6, 0.9), 0.018, (6, 24), (0.4, 1.1), chance=0.7, opaque=True),
            Mark("streaks", DARK, (0.6, 0.9), 0.025, (8, 20), (0.8, 1.25), chance=0.5, opaque=True),
        ),
    ),
    # regular brown oval, one or two browns, even network or globules
    "nevus": Look(
        "NV",
        (
            BROWN,
            LIGHT_BROWN,
            ((150, 92, 62), (176, 118, 84), (200, 146, 112)),
        ),
        (0.2, 0.34),
        (0.7, 0.95),
        soft=(0.08, 0.22),
        marks=(
            Mark("network", (72, 42, 32), (0.25, 0.5), 0.034, chance=0.75),
            Mark("dots", (66, 38, 28), (0.4, 0.75), 0.026, (20, 50), (0.0, 0.95), chance=0.4),
            Mark("area", (56, 34, 28), (0.3, 0.55), 0.1, between=(0.0, 0.45), chance=0.4),
        ),
    ),
    # flat patchy brown with a moth-eaten border
    "pigmented benign keratosis": Look(
        "BKL",
        (GREY_BROWN, LIGHT_BROWN),
        (0.25, 0.38),
        (0.5, 0.85),
        irregular=(0.1, 0.2),
        jagged=(0.12, 0.24),
        soft=(0.1, 0.22),
        lobes=(1, 3),
        mottle=(0.35, 0.6),
        marks=(
            Mark("ridges", (96, 66, 52), (0.3, 0.6), 0.09, (0.15, 0.3), chance=0.6),
            Mark("patches", (206, 164, 146), (0.4, 0.7), 0.1, (0.1, 0.25), chance=0.5),
            Mark("dots", (112, 92, 88), (0.4, 0.7), 0.014, (20, 60), chance=0.4),
        ),
    ),
    # stuck-on and waxy: sharp border, milia-like cysts, comedo-like openings, fissures
    "seborrheic keratosis": Look(
        "BKL",
        (
            ((130, 92, 58), (168, 126, 84), (194, 156, 112)),
            ((86, 60, 46), (120, 92, 70), (160, 128, 100)),
        ),
        (0.25, 0.4),
        (0.7, 0.95),
        irregular=(0.05, 0.14),
        jagged=(0.03, 0.1),
        soft=(0.02, 0.05),
        mottle=(0.25, 0.45),
        marks=(
            Mark("ridges", (70, 46, 34), (0.45, 0.75), 0.11, (0.15, 0.3), chance=0.7),
            Mark("dots", (240, 224, 188), (0.6, 0.95), 0.022, (6, 22), (0.0, 0.92), chance=0.85),
            Mark("dots", (44, 28, 20), (0.6, 0.95), 0.028, (4, 16), (0.0, 0.92), chance=0.75),
            Mark("patches", CREAM, (0.3, 0.55), 0.1, (0.1, 0.25), chance=0.4),
        ),
    ),
    # red, with white and yellow masses of keratin, blood spots and coiled vessels
    "squamous cell carcinoma": Look(
        "SCC",
        (RED, ((186, 84, 88), (212, 122, 116), (224, 158, 142)), ((160, 80, 76), (194, 114, 102), (216, 150, 134))),
        (0.24, 0.40),
        (0.5, 0.9),
        irregular=(0.1, 0.2),
        jagged=(0.08, 0.2),
        soft=(0.1, 0.25),
        lobes=(1, 3),
        mottle=(0.3, 0.5),
        halo=(0.1, 0.4),
        marks=(
            Mark("patches", CREAM, (0.6, 0.9), 0.12, (0.2, 0.4), (0.0, 0.8), opaque=True),
            Mark("patches", WHITE, (0.5, 0.85), 0.08, (0.1, 0.25), chance=0.7, opaque=True),
            Mark("vessels", DARK_RED, (0.5, 0.8), 0.012, (2, 5), (0.4, 1.1), chance=0.5),
            Mark("blobs", DARK_RED, (0.6, 0.9), 0.05, (1, 4), (0.0, 0.7), chance=0.6, opaque=True),
            Mark("dots", BLOOD, (0.5, 0.8), 0.02, (10, 30), (0.4, 1.0), chance=0.5),
        ),
    ),
    # round red to purple lacunae, sometimes dark with clotted blood, smooth border
    "vascular lesion": Look(
        "VASC",
        (CRIMSON, PURPLE, ((150, 60, 70), (190, 92, 100)), ((48, 20, 44), (86, 34, 62), (120, 52, 82))),
        (0.15, 0.3),
        (0.7, 0.95),
        irregular=(0.03, 0.1),
        soft=(0.06, 0.2),
        halo=(0.0, 0.35),
        marks=(
            Mark("blobs", (122, 14, 48), (0.5, 0.85), 0.055, (6, 18), (0.0, 0.95), chance=0.85),
            Mark("blobs", (44, 14, 34), (0.6, 0.9), 0.06, (1, 5), (0.0, 0.8), chance=0.5),
            Mark("ridges", (214, 150, 160), (0.3, 0.55), 0.1, (0.12, 0.22), chance=0.5),
        ),
    ),
}

# fair, pink, tan, brown and (polarised light) mauve skin
SKINS: tuple[RGB, ...] = ((226, 188, 174), (220, 176, 164), (216, 178, 160), (206, 164, 146), (212, 174, 168))


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
    """

    folder: Path
    planted: dict[str, list[dict]]

    @property
    def metadata(self) -> Path:
        return self.folder / "metadata.csv"

    @property
    def masks(self) -> Path:
        return self.folder / "masks"


def ensure(folder: Path, images_per_class: int, size: int, seed: int) -> DemoSet:
    """The data set in `folder`, drawn only if it is not there or was drawn with other arguments.

    Args and errors as `draw`.
    """
    folder = Path(folder)
    if _marker(folder) == _arguments(images_per_class, size, seed):
        return DemoSet(folder, json.loads((folder / "planted.json").read_text(encoding="utf-8")))
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
        _write_json(attempt / "planted.json", planted)
        _write_json(attempt / MARKER, arguments)
        attempt.chmod(0o755)
        _refuse_other(folder)
        shutil.rmtree(folder, ignore_errors=True)
        attempt.replace(folder)
    except OSError:
        if _marker(folder) != arguments:  # else another process was faster, with the same bytes
            raise
        planted = json.loads((folder / "planted.json").read_text(encoding="utf-8"))
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
    shows: str  # the class that is drawn
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
    files: dict[str, list[_File]] = {}
    for label in CLASSES:
        files[label] = []
        for i in range(images_per_class):
            lesion = len(files) * 10_000 + i
            number = numbers[(len(files) - 1) * images_per_class + i]
            part = "Test" if i < in_test else "Train"
            files[label].append(_File(label, part, f"ISIC_9{number:06d}", label, lesion, diagnosis=LOOKS[label].code))

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

    everything = [file for label in CLASSES for file in files[label]]
    for file in everything:
        unknown, no_lesion_id = random.random(2)
        if not file.flaw:
            file.diagnosis = "" if unknown < 0.13 else file.diagnosis
            file.lesion_id = "" if no_lesion_id < 0.35 else f"DEMO_{file.lesion:06d}"
    return everything


def _one_lesion(images: list[_File]) -> None:
    for view, file in enumerate(images):
        file.lesion, file.view, file.flaw = images[0].lesion, view, "lesion"
        file.lesion_id = f"DEMO_{file.lesion:06d}"


def _copy(original: _File, copy: _File, flaw: str, same_id: bool, diagnosis: str | None = None) -> None:
    original.flaw = copy.flaw = flaw
    original.diagnosis = original.diagnosis if diagnosis is None else diagnosis
    copy.copy_of, copy.diagnosis, copy.shows, copy.lesion = (
        original,
        original.diagnosis,
        original.shows,
        original.lesion,
    )
    copy.near_copy = flaw == "near-duplicate"
    if same_id:
        copy.isic_id = original.isic_id


def _mislabel(file: _File, shows: str) -> None:
    file.shows, file.diagnosis, file.flaw = shows, LOOKS[shows].code, "label"


def _planted(plan: list[_File]) -> dict[str, list[dict]]:
    planted = {
        "lesions": [],
        "exact_duplicates": [],
        "near_duplicates": [],
        "two_classes": [],
        "label_disagreements": [],
    }
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
    return planted


# ---- files


def _write(folder: Path, plan: list[_File], size: int, seed: int) -> None:
    (folder / "masks").mkdir()
    (folder / "SYNTHETIC.txt").write_text(
        "Every image in this folder is synthetic: drawn by lib/demo.py, of no person and no real lesion.\n"
        "The ids ISIC_9... are made up; the ISIC Archive has no such images. Not for any medical use.\n",
        encoding="utf-8",
    )
    drawn: dict[int, tuple[bytes, np.ndarray]] = {}
    for file in sorted(plan, key=lambda one: one.copy_of is not None):  # originals first
        if file.copy_of is None:
            picture, mask = _photo(file.shows, size, seed, file.lesion, file.view)
            content = _jpeg(picture, 92)
        else:
            content, mask = drawn[id(file.copy_of)]
            content = _near_copy(content) if file.near_copy else content
        drawn[id(file)] = content, mask
        path = folder / file.source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        Image.fromarray(mask).save(folder / "masks" / f"{file.isic_id}_segmentation.png")
    rows = {file.isic_id: (file.isic_id, file.diagnosis, file.lesion_id) for file in plan}
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["isic_id", "isic2019_diagnosis", "lesion_id"])
        table.writerows(sorted(rows.values()))


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


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _arguments(images_per_class: int, size: int, seed: int) -> dict:
    """What a set is drawn with: the arguments, and this module, so that a changed drawing replaces an old set."""
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return {"images_per_class": images_per_class, "size": size, "seed": seed, "drawn_by": source}


def _marker(folder: Path) -> dict | None:
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _refuse_other(folder: Path) -> None:
    """Never replace what is not a demo set."""
    if not folder.exists() or "drawn_by" in (_marker(folder) or {}):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise FileExistsError(f"{str(folder)!r} exists and is no demo set; give the demo another folder, or remove it")


# ---- a picture: the lesion on its own, then the skin, the lesion laid on it, and what the camera adds


def _photo(label: str, size: int, seed: int, lesion: int, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture `view` of a lesion, uint8 [size, size, 3], and its mask, uint8 [size, size], 0 or 255."""
    look = LOOKS[label]
    patient = np.random.default_rng([seed, 1, lesion])
    camera = np.random.default_rng([seed, 2, lesion, view])
    first, second = patient.choice(len(SKINS), 2, replace=False, shuffle=False)
    skin_tone = _mix(np.float32(SKINS[first]), np.float32(SKINS[second]), patient.random())
    colour, alpha, shape = _lesion(look, size, patient)

    turn = cv2.getRotationMatrix2D((size / 2, size / 2), camera.uniform(0, 360), camera.uniform(0.85, 1.15))
    turn[:, 2] += camera.uniform(-0.07, 0.07, 2) * size
    colour = cv2.warpAffine(colour, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    alpha, shape = (cv2.warpAffine(layer, turn, (size, size), flags=cv2.INTER_LINEAR) for layer in (alpha, shape))

    picture = _skin(skin_tone, size, camera)
    halo = cv2.GaussianBlur(shape, (0, 0), 0.08 * size)[..., None] * _within(look.halo, patient)
    picture = _mix(picture, picture * np.float32([1.0, 0.78, 0.78]), halo)
    shade = 1 + 0.04 * _noise(size, 0.03, camera)[..., None]  # the lesion's skin has relief too
    picture = _mix(picture, colour * shade, alpha[..., None])
    picture = _camera(picture, camera)
    return picture, np.where(shape > 0.5, 255, 0).astype(np.uint8)


def _lesion(look: Look, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A lesion in the middle of an empty square: colour float32 [s, s, 3], share over the skin, and its full shape."""
    radius = _within(look.radius, random) * size
    y, x = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    lobes = random.integers(look.lobes[0], look.lobes[1] + 1)
    distance = np.full((size, size), np.inf, np.float32)
    for _ in range(lobes):
        share = 1.0 if lobes == 1 else random.uniform(0.6, 0.85)
        away, towards = 0.0 if lobes == 1 else (1 - share) * radius, random.uniform(0, 2 * np.pi)
        outline = _distance(x - away * np.cos(towards), y - away * np.sin(towards), share * radius, look, random)
        distance = np.minimum(distance, outline)
    distance += _within(look.jagged, random) * _noise(size, 0.09, random, octaves=3)
    soft = _within(look.soft, random)
    shape = np.clip((1 + soft - distance) / (2 * soft), 0, 1).astype(np.float32)
    shape = shape * shape * (3 - 2 * shape)

    palette = np.float32(look.palettes[random.integers(len(look.palettes))])
    palette = palette * random.uniform(0.95, 1.05) + random.normal(0, 2, 3)
    lean = random.uniform(0, 2 * np.pi)
    mottle = _within(look.mottle, random)
    tone = 0.3 + 0.35 * distance + mottle * _noise(size, 0.22, random, octaves=3)
    tone += 0.6 * mottle * (x * np.cos(lean) + y * np.sin(lean)) / radius
    tone = np.clip(tone, 0, 1) * (len(palette) - 1)
    stops = np.arange(len(palette))
    colour = np.stack([np.interp(tone, stops, palette[:, c]) for c in range(3)], axis=-1).astype(np.float32)
    alpha = shape * _within(look.opacity, random)
    for mark in look.marks:
        if random.random() < mark.chance:
            where = _KINDS[mark.kind](mark, distance, random) * _between(distance, mark.between)
            where = (where * _within(mark.strength, random)).astype(np.float32)
            colour = _mix(colour, np.float32(mark.colour), where[..., None])
            if mark.opaque:
                alpha = np.maximum(alpha, 0.9 * where)
    return colour, alpha, shape


def _distance(x: np.ndarray, y: np.ndarray, radius: float, look: Look, random: np.random.Generator) -> np.ndarray:
    """Distance from a wobbly ellipse's centre, 1 on its outline."""
    angle, stretch = random.uniform(0, np.pi), np.sqrt(_within(look.elongation, random))
    along = (x * np.cos(angle) + y * np.sin(angle)) / stretch
    across = (y * np.cos(angle) - x * np.sin(angle)) * stretch
    theta = np.arctan2(across, along).astype(np.float32)
    orders = np.arange(2, 8, dtype=np.float32)
    sizes = _within(look.irregular, random) * random.normal(0, 1.6, len(orders)) / orders
    phases = random.uniform(0, 2 * np.pi, len(orders)).astype(np.float32)
    outline = 1 + sum(s * np.cos(o * theta + p) for s, o, p in zip(sizes.astype(np.float32), orders, phases))
    return (np.hypot(along, across) / (radius * np.clip(outline, 0.45, 1.5))).astype(np.float32)


def _skin(tone: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Skin with uneven blood and pigment, and fine relief: float32 [size, size, 3]."""
    blood = 0.028 * random.uniform(0.4, 1.6) * _noise(size, 0.12, random, octaves=4)[..., None]
    relief = 0.022 * random.uniform(0.5, 1.5) * _noise(size, 0.03, random, octaves=2)[..., None]
    return tone * (1 + blood * np.float32([0.4, 1.2, 1.0]) + relief)


def _camera(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Hair, gel bubbles, ruler, uneven light, colour cast, dark corners and sensor noise: uint8 picture."""
    size = len(picture)
    if random.random() < 0.33:
        picture = _hair(picture, random)
    if random.random() < 0.12:
        picture = _bubbles(picture, random)
    if random.random() < 0.12:
        picture = _ruler(picture, random)
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size - 0.5
    towards = random.uniform(0, 2 * np.pi)
    light = (
        1
        + random.uniform(0, 0.22) * (x * np.cos(towards) + y * np.sin(towards))
        - random.uniform(0, 0.35) * (x**2 + y**2)
    )
    cast = random.uniform(0.95, 1.05) * (1 + random.normal(0, 0.008, 3))
    picture = picture * (light[..., None] * cast).astype(np.float32)
    if random.random() < 0.25:
        centre, radius = random.uniform(-0.04, 0.04, 2), random.uniform(0.52, 0.66)
        edge = random.uniform(0.01, 0.06)
        seen = np.clip((radius - np.hypot(x - centre[0], y - centre[1])) / edge, 0, 1)[..., None]
        picture = _mix(np.float32([14, 10, 10]), picture, seen)
    picture = picture + random.normal(0, random.uniform(1, 3), picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _hair(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = len(picture)
    layer = np.zeros((size, size), np.float32)
    main = random.uniform(0, np.pi)
    short = random.random() < 0.3
    for _ in range(random.integers(20, 45) if short else random.integers(2, 11)):
        middle, angle = random.uniform(0, size, 2), main + random.normal(0, 0.35)
        half = size * (0.028 if short else random.uniform(0.2, 0.6)) * np.array([np.cos(angle), np.sin(angle)])
        bend = 0 if short else random.normal(0, 0.08) * size
        t = np.linspace(-1, 1, 13)[:, None]
        points = middle + t * half + (1 - t**2) * bend * np.array([-np.sin(angle), np.cos(angle)])
        _polyline(layer, points, max(1, round(size / 180)), random.uniform(0.35, 0.8))
    shadow = cv2.GaussianBlur(layer, (0, 0), size / 130)
    colour = np.float32([[40, 26, 22], [84, 54, 38], [206, 188, 160]][random.choice(3, p=[0.5, 0.35, 0.15])])
    return _mix(picture * (1 - 0.12 * shadow[..., None]), colour, layer[..., None])


def _bubbles(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = len(picture)
    rim, glint = np.zeros((2, size, size), np.float32)
    for _ in range(random.integers(3, 10)):
        centre, radius = random.uniform(0, size, 2), max(2, random.uniform(0.012, 0.05) * size)
        _disc(rim, centre, radius, 1.0, max(1, round(size / 130)))
        _disc(glint, centre - 0.35 * radius, 0.25 * radius, 1.0)
    picture = _mix(picture, np.float32([250, 244, 240]), 0.45 * rim[..., None])
    return _mix(picture, np.float32([255, 255, 255]), 0.8 * glint[..., None])


def _ruler(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Tick marks along one edge."""
    size = len(picture)
    layer = np.zeros((size, size), np.float32)
    step, length = random.uniform(0.035, 0.06) * size, 0.05 * size
    for i, at in enumerate(np.arange(random.uniform(0, step), size, step)):
        _polyline(layer, np.array([[at, size], [at, size - length * (1.6 if i % 5 == 0 else 1)]]), 1, 0.85)
    layer = np.ascontiguousarray(np.rot90(layer, random.integers(4)))
    return _mix(picture, np.float32([24, 22, 24]), layer[..., None])


# ---- structures: where a mark lies, float32 [s, s], 0 to 1; distance is 0 at the lesion's centre, 1 at its border


def _network(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Lines of a honeycomb, bent by noise, as strong as the noise says."""
    size = len(distance)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wave, start = 2 * np.pi / (mark.scale * size), random.uniform(0, np.pi)
    x, y = (axis + 0.45 * mark.scale * size * _noise(size, 0.16, random) for axis in (x, y))
    cells = sum(np.cos(wave * (x * np.cos(a) + y * np.sin(a))) for a in start + np.arange(3) * np.pi / 3)
    return np.clip((0.6 - cells) / 1.6, 0, 1) * np.clip(0.75 + 0.35 * _noise(size, 0.2, random), 0, 1)


def _dots(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    layer = np.zeros_like(distance)
    for centre in _places(mark, distance, random):
        _disc(layer, centre, max(0.7, mark.scale * len(layer) * random.uniform(0.35, 0.65)), random.uniform(0.6, 1))
    return cv2.GaussianBlur(layer, (0, 0), 0.5)


def _blobs(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Ovals with a soft edge that touch each other."""
    size = len(distance)
    layer = np.zeros_like(distance)
    for centre in _places(mark, distance, random):
        axes = mark.scale * size * random.uniform(0.5, 1.3, 2)
        oval = np.zeros_like(distance)
        _disc(oval, centre, axes, random.uniform(0.7, 1), angle=random.uniform(0, 180))
        layer = np.maximum(layer, oval)
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.6, 0.12 * mark.scale * size))
    return layer * np.clip(1 + 0.15 * _noise(size, 0.04, random), 0, 1)


def _patches(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The parts of the lesion where noise is highest; `amount` is their share."""
    noise = _noise(len(distance), mark.scale, random, octaves=3)
    inside = noise[distance < 1]
    level = np.quantile(inside, 1 - _within(mark.amount, random)) if inside.size else 0.0
    return np.clip(0.5 + (noise - level) / 1.3, 0, 1)


def _ridges(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Winding lines: where noise is near zero."""
    return np.clip(
        1 - np.abs(_noise(len(distance), mark.scale, random, octaves=2)) / _within(mark.amount, random), 0, 1
    )


def _area(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(0.85 + 0.3 * _noise(len(distance), mark.scale, random, octaves=3), 0, 1)


def _vessels(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Branching trees, thick at the stem."""
    size = len(distance)
    layer = np.zeros_like(distance)
    for start in _places(mark, distance, random):
        towards = np.arctan2(*(size / 2 - start)[::-1]) + random.normal(0, 0.6)
        _branch(layer, start, towards, 0.26 * size, mark.scale * size, 4, random)
    return cv2.GaussianBlur(layer, (0, 0), 0.5)


def _branch(layer, start, towards: float, length: float, width: float, levels: int, random) -> None:
    turns = towards + np.cumsum(random.normal(0, 0.28, 8))
    points = np.vstack([start, start + np.cumsum(length / 8 * np.stack([np.cos(turns), np.sin(turns)], 1), axis=0)])
    _polyline(layer, points, max(1, round(width)), min(1.0, max(0.3, width / 2)))
    if levels > 1:
        for at in random.integers(2, 9, 2):
            side = random.choice([-1, 1]) * random.uniform(0.4, 1.0)
            _branch(layer, points[at], turns[at - 1] + side, 0.6 * length, 0.65 * width, levels - 1, random)


def _streaks(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Short lines: from the border outwards where the mark lies there, across each other where it lies within."""
    size = len(distance)
    layer = np.zeros_like(distance)
    main = random.uniform(0, np.pi)
    for place in _places(mark, distance, random):
        radial = np.arctan2(*(place - size / 2)[::-1])
        angle = radial if mark.between[0] > 0.5 else main + random.choice([0, np.pi / 2])
        half = random.uniform(0.02, 0.05) * size * np.array([np.cos(angle), np.sin(angle)])
        _polyline(layer, np.array([place - half, place + half]), max(1, round(mark.scale * size / 2)), 1.0)
    return cv2.GaussianBlur(layer, (0, 0), 0.6)


_KINDS = {
    "network": _network,
    "dots": _dots,
    "blobs": _blobs,
    "patches": _patches,
    "ridges": _ridges,
    "area": _area,
    "vessels": _vessels,
    "streaks": _streaks,
}


def _places(mark: Mark, distance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many points (x, y) within the mark's part of the lesion as its amount says."""
    y, x = np.nonzero((distance >= mark.between[0]) & (distance <= mark.between[1]))
    count = round(_within(mark.amount, random)) if len(x) else 0
    chosen = random.integers(0, max(1, len(x)), count)
    return np.stack([x[chosen], y[chosen]], axis=1).astype(np.float64)


def _between(distance: np.ndarray, limits: Range) -> np.ndarray:
    """1 within the limits, falling to 0 over a tenth of the radius outside them."""
    outer = np.clip(1 + (limits[1] - distance) / 0.1, 0, 1)
    return outer if limits[0] <= 0 else outer * np.clip(1 + (distance - limits[0]) / 0.1, 0, 1)


# ---- small helpers


def _within(limits: Range, random: np.random.Generator) -> float:
    return random.uniform(*limits)


def _mix(below: np.ndarray, above: np.ndarray, share) -> np.ndarray:
    return (below + (above - below) * share).astype(np.float32)


def _noise(size: int, scale: float, random: np.random.Generator, octaves: int = 1) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1; its largest features are `scale` of the side wide."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = int(np.clip(round(1.5 * 2**octave / scale), 2, size))
        grid = random.standard_normal((cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) / 2 ** (0.8 * octave)
    return (total - total.mean()) / (total.std() + 1e-6)


_FRACTION = 4  # bits of a pixel that OpenCV's drawing functions take, so that small shapes keep their place


def _polyline(layer: np.ndarray, points: np.ndarray, width: int, value: float) -> None:
    whole = np.rint(points * 2**_FRACTION).astype(np.int32).reshape(1, -1, 2)
    drawn = np.zeros(layer.shape, np.uint8)
    cv2.polylines(drawn, whole, False, 255, width, cv2.LINE_AA, _FRACTION)
    np.maximum(layer, drawn * np.float32(value / 255), out=layer)


def _disc(layer: np.ndarray, centre: np.ndarray, radius, value: float, width: int = -1, angle: float = 0) -> None:
    """A filled disc or oval, or its outline."""
    middle, axes = (np.rint(np.broadcast_to(v, 2) * 2**_FRACTION).astype(int).tolist() for v in (centre, radius))
    drawn = np.zeros(layer.shape, np.uint8)
    cv2.ellipse(drawn, middle, axes, angle, 0, 360, 255, width, cv2.LINE_AA, _FRACTION)
    np.maximum(layer, drawn * np.float32(value / 255), out=layer)
