"""Equations 1 and 3 to 5 against other libraries, and sets that do not depend on the order of work."""

import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from lib.data import preprocess


@pytest.fixture
def photo():
    """A smooth picture with a bright disc: uint8 [90, 120, 3]."""
    y, x = np.mgrid[0:90, 0:120]
    disc = 120 * (np.hypot(y - 40, x - 70) < 20)
    return np.clip(np.stack([60 + x, 40 + y + disc, 90 + disc], axis=-1), 0, 255).astype(np.uint8)


def test_resize_is_antialiased_like_pillows_box_filter(photo):
    ours = preprocess.resize(photo, 30).astype(int)
    theirs = np.asarray(Image.fromarray(photo).resize((30, 30), Image.Resampling.BOX)).astype(int)
    assert ours.shape == (30, 30, 3) and np.abs(ours - theirs).max() <= 1


def test_rotation_agrees_with_scipy_away_from_the_corners(photo):
    square = photo[:90, :90]
    ours = preprocess.rotate(square, 33.0).astype(float)
    theirs = ndimage.rotate(square.astype(float), 33.0, reshape=False, order=1, mode="mirror", axes=(0, 1))
    y, x = np.mgrid[0:90, 0:90]
    inside = np.hypot(y - 44.5, x - 44.5) < 40
    assert np.abs(ours - theirs)[inside].mean() < 1.5


def test_contrast_scales_the_spread_about_the_mean_and_clips():
    image = np.array([[[100, 120, 140]]], np.uint8)
    assert preprocess.enhance_contrast(image, 1.5).tolist() == [[[90, 120, 150]]]
    assert preprocess.enhance_contrast(image, 1.0).tolist() == image.tolist()
    assert preprocess.enhance_contrast(image, 50.0).tolist() == [[[0, 120, 255]]]


def test_a_written_view_depends_on_its_source_number_and_seed_not_on_workers_or_order(tmp_path, photo):
    sources = [f"{name}.png" for name in "abcd"]
    pictures = {source: np.roll(photo, 17 * place, axis=1) for place, source in enumerate(sources)}
    views = pd.DataFrame({"source": sources * 3, "view": np.repeat([0, 1, 2], 4)})

    def written(table, workers, seed=3):
        path = tmp_path / f"{workers}-{table.index[0]}-{seed}.npy"
        arguments = dict(size=32, seed=seed, rotation=90.0, contrast=0.2, workers=workers)
        preprocess.write_images(table, lambda p: pictures[p.name], tmp_path, path, **arguments)
        return pd.Series([image.tobytes() for image in preprocess.open_images(path)], index=table.index)

    first, other, seeded = written(views, 1), written(views.iloc[::-1], 4), written(views, 1, seed=4)
    assert (first == other.sort_index()).all() and first.nunique() == 12
    assert (first == seeded).tolist() == (views["view"] == 0).tolist()
    assert first[0] == preprocess.resize(pictures["a.png"], 32).tobytes()
    one = [preprocess.augment(photo[:90, :90], source, 1, 0, 90.0, 0.2).tobytes() for source in sources]
    assert len(set(one)) == 4  # of one picture too, by the name of its source


def test_a_full_disk_is_an_error_that_says_so_before_any_pixel_is_written(tmp_path):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        preprocess.create_array(tmp_path / "small.npy", "uint8", (10, 64, 64))[:] = 1
        with pytest.raises(OSError, match=r"the disk has no room for its 0\.003 GB.*images.npy"):
            preprocess.create_array(tmp_path / "images.npy", "uint8", (50, 256, 256))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
