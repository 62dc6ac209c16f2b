"""The demo's data: the same each time, learnable, and with exactly the flaws that planted.json lists."""

import hashlib
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.config.files import read_json
from lib.config.paper import CLASSES
from lib.config.params import load_study
from lib.config.paths import REPOSITORY
from lib.data import demo, preprocess
from lib.data.folder import decode
from lib.data.synthetic import FAMILIES

STUDY = load_study("demo")
DEFAULT = (STUDY.demo_images, STUDY.demo_size, 0)
QUANTILES = [5, 25, 50, 75, 95]
CODES = dict(zip(CLASSES, ("AK", "BCC", "DF", "MEL", "NV", "BKL", "BKL", "SCC", "VASC")))


@pytest.fixture(scope="module")
def default_set(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.ensure(folder, *DEFAULT)
    return folder


@pytest.fixture(scope="module", params=[DEFAULT, (6, 64, 3)], ids=str)
def made(request, default_set, tmp_path_factory) -> tuple[Path, tuple[int, int, int]]:
    """The default set, and one of the smallest."""
    if request.param == DEFAULT:
        return default_set, DEFAULT
    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.ensure(folder, *request.param)
    return folder, request.param


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    demo.ensure(here, 6, 48, 5)
    code = f"from lib.data import demo; demo.cv2.setNumThreads(1); demo.ensure(demo.Path({str(there)!r}), 6, 48, 5)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=120)
    assert _digests(here) == _digests(there) and len(_digests(here)) > 100


def test_the_layout_is_the_public_one_and_every_file_says_that_it_is_synthetic(made):
    demo_set, (count, size, _) = made
    files = _files(demo_set)
    assert Counter(path.parent.name for path in files) == dict.fromkeys(CLASSES, count)
    assert all({path.name for path in (demo_set / part).iterdir()} == set(CLASSES) for part in ("Train", "Test"))
    for path in files:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (size, size))
            assert image.info["comment"] == b"synthetic demo image" and path.stem.startswith("ISIC_9")


def test_each_image_has_a_mask_that_lies_where_the_colour_differs_from_the_skin(made):
    demo_set, (_, size, _) = made
    paths = {path.stem: path for path in _files(demo_set)}
    assert {path.name for path in (demo_set / "masks").iterdir()} == {f"{name}_segmentation.png" for name in paths}
    contrast, moved = [], []
    for name, path in paths.items():
        with Image.open(demo_set / "masks" / f"{name}_segmentation.png") as image:
            assert (image.mode, image.size) == ("L", (size, size))
            mask = np.asarray(image)
        assert set(np.unique(mask)) == {0, 255}
        assert 0.015 < (mask > 0).mean() < 0.75
        lab = _lab(path, size)
        contrast.append(_contrast(lab, mask > 0))
        moved.append(_contrast(lab, np.roll(mask, size // 3, axis=(0, 1)) > 0))
    contrast, moved = np.array(contrast), np.array(moved)
    assert np.median(contrast) > 10 and np.quantile(contrast, 0.05) > 3  # CIELAB units; 2 can just be seen
    assert (contrast > moved).mean() > 0.95


def test_the_planted_flaws_are_there_and_no_others(made):
    demo_set, _ = made
    planted = read_json(demo_set / "planted.json")
    assert all(planted.values())

    contents, near = _alike(demo_set)
    exact = {frozenset(entry["files"]) for entry in planted["exact_duplicates"]}
    two_classes = {frozenset(entry["files"]) for entry in planted["two_classes"]}
    assert contents == exact | two_classes
    for pair in exact:
        assert len({Path(name).parent.name for name in pair}) == 1 and len({Path(name).stem for name in pair}) == 2
    assert near == {frozenset(entry["files"]) for entry in planted["near_duplicates"]}

    table = _metadata(demo_set)
    diagnosis, lesion_id = table["isic2019_diagnosis"], table["lesion_id"]
    for pair in near:
        assert all(lesion_id[Path(name).stem] == "" for name in pair)
    for entry in planted["two_classes"]:
        labels = [Path(name).parent.name for name in entry["files"]]
        assert sorted(labels) == entry["classes"] and len(set(labels)) == 2
        assert {diagnosis[Path(name).stem] for name in entry["files"]} == {entry["diagnosis"]}
        fitting = [label for label in labels if CODES[label] == entry["diagnosis"]]
        assert entry["answer"] == (fitting[0] if len(fitting) == 1 else "")
    assert {bool(entry["diagnosis"]) for entry in planted["two_classes"]} == {True, False}
    assert any(len({name.split("/")[0] for name in entry["files"]}) == 2 for entry in planted["two_classes"])

    names = [path.relative_to(demo_set).as_posix() for path in _files(demo_set)]
    lesions = defaultdict(list)
    for name in names:
        if lesion_id[Path(name).stem]:
            lesions[lesion_id[Path(name).stem]].append(name)
    assert {key: files for key, files in lesions.items() if len(files) > 1} == {
        entry["lesion_id"]: entry["files"] for entry in planted["lesions"]
    }
    wrong = {
        (name, Path(name).parent.name, diagnosis[Path(name).stem])
        for name in names
        if diagnosis[Path(name).stem] not in ("", CODES[Path(name).parent.name])
    }
    assert wrong == {(entry["file"], entry["class"], entry["diagnosis"]) for entry in planted["label_disagreements"]}


def test_the_set_carries_a_leak_that_a_neighbour_in_colour_finds(default_set):
    """The nearest neighbour among three views a file, by the quantiles of their colours: no network, nothing trained.

    With the leak any other view may be the neighbour; without it those of the same lesion or of a copy may not.
    """
    paths = _files(default_set)
    sources = [path.relative_to(default_set).as_posix() for path in paths]
    labels, groups = np.array([path.parent.name for path in paths]), _belonging(default_set, sources)
    colours = [
        np.percentile(
            preprocess.augment(preprocess.resize(decode(path), 64), source, view, 0, 180.0, 0.1), QUANTILES, (0, 1)
        )
        for path, source in zip(paths, sources)
        for view in range(3)
    ]
    colours = np.stack(colours).reshape(3 * len(paths), -1)
    files, labels, groups = (np.repeat(values, 3) for values in (np.arange(len(paths)), labels, groups))
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    with_leak = labels[distance.argmin(axis=1)] == labels
    distance[groups[:, None] == groups[None]] = np.inf
    without = labels[distance.argmin(axis=1)] == labels
    of_files = pd.DataFrame({"file": files, "step": with_leak.astype(float) - without}).groupby("file")["step"].mean()
    assert of_files.mean() - 2 * of_files.std() / len(of_files) ** 0.5 > 0.15
    # the classes can be learned (chance is 11 %), but overlap: what can be known of a new lesion is bounded
    images = pd.DataFrame(read_json(default_set / "planted.json")["images"])
    typical = (images["class"] == images["looks_like"]).mean()
    assert 0.6 < typical < 0.8
    assert 0.2 < without.mean() < typical < with_leak.mean()


def test_a_lesion_looks_alike_in_all_its_images_and_like_a_class_of_its_family(default_set):
    planted = read_json(default_set / "planted.json")
    images = {entry["file"]: entry for entry in planted["images"]}
    assert set(images) == {path.relative_to(default_set).as_posix() for path in _files(default_set)}
    family = {name: members for members in FAMILIES for name in members}
    assert set(family) == set(CLASSES)
    assert all(entry["looks_like"] in family[entry["class"]] for entry in images.values())
    for kind in ("lesions", "exact_duplicates", "near_duplicates", "two_classes"):
        for entry in planted[kind]:
            assert len({images[file]["looks_like"] for file in entry["files"]}) == 1
    assert len(planted["lesions"]) > 5 * len(CLASSES)
    for entry in planted["label_disagreements"]:  # a wrong label contradicts the image, not only the metadata
        assert CODES[images[entry["file"]]["class"]] == entry["diagnosis"]


def test_a_set_is_made_once_and_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    planted = demo.ensure(folder, 6, 32, 0)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert demo.ensure(folder, 6, 32, 0) == planted == read_json(folder / "planted.json")
    with monkeypatch.context() as patch:
        patch.setattr(demo, "_jpeg", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            demo.ensure(folder, 6, 32, 1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    monkeypatch.setattr(demo, "VERSION", demo.VERSION + 1)
    demo.ensure(folder, 7, 32, 0)
    assert len(_files(folder)) == 7 * len(CLASSES) and list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not of the demo"):
        demo.ensure(tmp_path, 6, 32, 0)
    assert (tmp_path / "notes.txt").read_text() == "keep"


def _files(demo_set: Path) -> list[Path]:
    return sorted(path for part in ("Train", "Test") for path in (demo_set / part).glob("*/*.jpg"))


def _belonging(demo_set: Path, sources: list[str]) -> np.ndarray:
    """The number of the lesion or picture that each file belongs to, by what was planted."""
    number = {source: place for place, source in enumerate(sources)}
    for kind in ("lesions", "exact_duplicates", "near_duplicates", "two_classes"):
        for entry in read_json(demo_set / "planted.json")[kind]:
            number |= dict.fromkeys(entry["files"], number[entry["files"][0]])
    return np.array([number[source] for source in sources])


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _metadata(demo_set: Path) -> pd.DataFrame:
    return pd.read_csv(demo_set / "metadata.csv", dtype=str, keep_default_na=False, index_col="isic_id")


def _alike(demo_set: Path) -> tuple[set[frozenset], set[frozenset]]:
    """Pairs of files of equal pixels, and pairs of different pixels that the audit's measure takes for one picture:
    every pair is compared, without lib.data.duplicates."""
    names, pixels, hashes, small = [], [], [], []
    for path in _files(demo_set):
        with Image.open(path) as image:
            names.append(path.relative_to(demo_set).as_posix())
            pixels.append(np.asarray(image))
            hashes.append(imagehash.phash(image).hash.ravel())
            grey = cv2.cvtColor(pixels[-1], cv2.COLOR_RGB2GRAY)
            small.append(cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(float))
    equal, near = set(), set()
    for i, j in combinations(range(len(names)), 2):
        if np.array_equal(pixels[i], pixels[j]):
            equal.add(frozenset((names[i], names[j])))
        elif (hashes[i] != hashes[j]).sum() <= 6 and np.abs(small[i] - small[j]).mean() <= 4:
            near.add(frozenset((names[i], names[j])))
    return equal, near


def _lab(path: Path, size: int) -> np.ndarray:
    """The picture in CIELAB, float32 [size, size, 3]."""
    picture = cv2.resize(
        cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (size, size), interpolation=cv2.INTER_AREA
    )
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _contrast(lab: np.ndarray, mask: np.ndarray) -> float:
    """Distance in colour between the inside of a mask and a ring around it."""
    size = len(lab)
    around = cv2.dilate(mask.astype(np.uint8), np.ones((size // 6, size // 6), np.uint8)) > 0
    return float(np.linalg.norm(np.median(lab[mask], axis=0) - np.median(lab[around & ~mask], axis=0)))
