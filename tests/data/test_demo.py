"""The demo's data: the same each time, learnable, and marked as synthetic."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.config.files import file_digest, read_json
from lib.config.paper import CLASSES
from lib.config.params import load_study
from lib.config.paths import REPOSITORY
from lib.data import demo, preprocess
from lib.data.folder import decode
from lib.data.synthetic import FAMILIES

STUDY = load_study("demo")
DEFAULT = (STUDY.demo_images, STUDY.demo_size, 0)
QUANTILES = [5, 25, 50, 75, 95]
GROUPED = ("lesions", "exact_duplicates", "near_duplicates", "two_classes")


@pytest.fixture(scope="module")
def default_set(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.ensure(folder, *DEFAULT)
    return folder


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    demo.ensure(here, 6, 48, 5)
    code = f"from lib.data import demo; demo.cv2.setNumThreads(1); demo.ensure(demo.Path({str(there)!r}), 6, 48, 5)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=120)
    assert _digests(here) == _digests(there) and len(_digests(here)) > 100


def test_each_image_says_that_it_is_synthetic_and_has_a_mask(default_set):
    count, size, _ = DEFAULT
    files = _files(default_set)
    assert Counter(path.parent.name for path in files) == dict.fromkeys(CLASSES, count)
    for path in files:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (size, size))
            assert image.info["comment"] == b"synthetic demo image" and path.stem.startswith("ISIC_9")
        mask = cv2.imread(str(default_set / "masks" / f"{path.stem}_segmentation.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (size, size) and set(np.unique(mask)) == {0, 255} and 0.015 < (mask > 0).mean() < 0.75


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
    planted = read_json(default_set / "planted.json")
    images = pd.DataFrame(planted["images"]).set_index("file")
    assert sorted(images.index) == sorted(sources)
    typical = (images["class"] == images["looks_like"]).mean()
    assert 0.6 < typical < 0.8
    assert 0.2 < without.mean() < typical < with_leak.mean()
    # a lesion looks alike in all its images, and like a class of its family
    family = {name: members for members in FAMILIES for name in members}
    assert all(look in family[name] for name, look in zip(images["class"], images["looks_like"]))
    for kind in GROUPED:
        assert all(images.loc[entry["files"], "looks_like"].nunique() == 1 for entry in planted[kind])


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
    (folder / demo.MARKER).unlink()  # now it is a folder of something else
    with pytest.raises(FileExistsError, match="not of the demo"):
        demo.ensure(folder, 6, 32, 0)


def _files(demo_set: Path) -> list[Path]:
    return sorted(path for part in ("Train", "Test") for path in (demo_set / part).glob("*/*.jpg"))


def _belonging(demo_set: Path, sources: list[str]) -> np.ndarray:
    """The number of the lesion or picture that each file belongs to, by what was planted."""
    number = {source: place for place, source in enumerate(sources)}
    for kind in GROUPED:
        for entry in read_json(demo_set / "planted.json")[kind]:
            number |= dict.fromkeys(entry["files"], number[entry["files"][0]])
    return np.array([number[source] for source in sources])


def _digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in folder.rglob("*") if path.is_file()}
