"""True lesion masks are found by the id of their image, and only masks are used."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.data.folder import DataError
from lib.explain.kmeans import overlap, write_mask
from lib.explain.masks import check_masks, find_masks, read_mask


@pytest.fixture
def truth():
    """A disc, bool [120, 150]."""
    y, x = np.mgrid[:120, :150]
    return (y - 60) ** 2 + (x - 80) ** 2 < 40**2


def checked(folder, image_id="ISIC_0012", width=150, height=120):
    images = pd.DataFrame({"image_id": [image_id], "width": [width], "height": [height]})
    usable, excluded = check_masks(find_masks(folder, [image_id]), images)
    return usable, excluded.to_dict("records")


def test_masks_are_found_by_image_id_and_read_at_the_size_of_the_image(tmp_path, truth):
    write_mask(tmp_path / "ISIC_0012_segmentation.png", truth)
    write_mask(tmp_path / "ISIC_001_segmentation.png", ~truth)
    masks = find_masks(tmp_path, ["ISIC_0012", "ISIC_0012(1)", "ISIC_001", "ISIC_00", "JSIC_1"])
    found, other = tmp_path / "ISIC_0012_segmentation.png", tmp_path / "ISIC_001_segmentation.png"
    assert masks == {"ISIC_0012": [found], "ISIC_0012(1)": [found], "ISIC_001": [other]}
    np.testing.assert_array_equal(read_mask(found, (120, 150)), truth)
    assert overlap(read_mask(found, (240, 300))[::2, ::2], truth)[0] > 0.98
    found.write_text("not a picture")
    with pytest.raises(ValueError, match="ISIC_0012"):
        read_mask(found, (10, 10))


@pytest.mark.parametrize("kind", ["0 and 1", "0 and 255", "16 bits", "palette", "1 bit", "RGBA", "large lesion"])
def test_a_picture_of_two_values_is_a_mask_whatever_they_are(tmp_path, truth, kind):
    path = tmp_path / "ISIC_0012_segmentation.png"
    wanted = ~truth if kind == "large lesion" else truth
    grey = wanted.astype(np.uint8)
    if kind == "palette":
        picture = Image.fromarray(grey, "P")
        picture.putpalette([0, 0, 0, 128, 0, 0])  # as PASCAL VOC colours its second class
    elif kind == "16 bits":
        picture = Image.fromarray(wanted.astype(np.uint16))
    elif kind in ("1 bit", "RGBA"):
        picture = Image.fromarray(wanted).convert(kind if kind == "RGBA" else "1")
    else:
        picture = Image.fromarray(grey * (1 if kind == "0 and 1" else 255))
    picture.save(path)
    usable, excluded = checked(tmp_path)
    assert excluded == []
    np.testing.assert_array_equal(read_mask(usable["ISIC_0012"], (120, 150)), wanted)


def test_what_is_not_the_mask_of_its_image_is_excluded_with_its_name_and_the_reason(tmp_path, truth):
    path = tmp_path / "ISIC_0012_lesion.PNG"

    def reason(content, **size):
        cv2.imwrite(str(path), content)
        (row,) = checked(tmp_path, **size)[1]
        assert row["file"] == path.name and row["image_id"] == "ISIC_0012"
        return row["reason"]

    mask = truth.astype(np.uint8) * 255
    assert "levels" in reason(cv2.GaussianBlur(mask, (9, 9), 0)) and "1 grey level" in reason(mask * 0)
    assert "150 x 120 px" in reason(mask, width=120, height=150)
    for width, height in ((150, 120), (75, 60), (1000, 800), (301, 240)):
        assert checked(tmp_path, width=width, height=height)[1] == []
    write_mask(tmp_path / "ISIC_0012_attribute_globules.png", truth)
    assert "one of 2 files (ISIC_0012_attribute_globules.png, " in checked(tmp_path)[1][0]["reason"]
    write_mask(tmp_path / "ISIC_0012_segmentation.png", truth)
    assert checked(tmp_path) == ({"ISIC_0012": tmp_path / "ISIC_0012_segmentation.png"}, [])
    (tmp_path / "ISIC_0012_segmentation.png").write_bytes(b"")
    assert checked(tmp_path)[1][0]["reason"] == "cannot be read as a picture"


def test_a_folder_without_a_mask_of_any_image_is_refused(tmp_path, truth):
    with pytest.raises(DataError, match="has none for the 1 images .*it has no PNG file"):
        find_masks(tmp_path, ["ISIC_0012"])
    write_mask(tmp_path / "PH2_001_segmentation.png", truth)
    with pytest.raises(DataError, match=r"such as 'ISIC_0012'; it has 'PH2_001_segmentation.png'"):
        find_masks(tmp_path, ["ISIC_0012"])
