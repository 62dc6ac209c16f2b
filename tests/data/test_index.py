"""Every image is read and indexed once; what cannot be read is listed by name."""

import pandas as pd
import pytest
from PIL import Image

from lib.data.folder import DataError, find_folder
from lib.data.metadata import isic_id
from tests.fixtures.pictures import picture, read, save


def test_files_of_one_name_are_different_sources_and_content_is_the_pixels_and_their_shape(folder):
    for name, pixels in {
        "Train/nevus/a.png": picture(60), "Train/nevus/a.bmp": picture(60), "Test/nevus/a.png": picture(61),
        "Train/nevus/a(1).png": picture(60).reshape(16, 64, 3),
    }.items():  # fmt: skip
        save(folder / name, pixels)
    index, unreadable = read(folder)
    assert len(index) == 31 and index["source"].is_unique and unreadable.empty and (index["image_id"] == "a").sum() == 3
    content = index.set_index("source")["content"]
    assert content["Train/nevus/a.png"] == content["Train/nevus/a.bmp"] and content.nunique() == 30
    assert [isic_id(text) for text in ("a", "a(1)", " a (12).JPG", "a_downsampled.jfif")] == ["a"] * 4


def test_unreadable_images_are_named_and_a_class_without_one_readable_image_stops(folder):
    melanoma = folder / "Train" / "melanoma"
    Image.fromarray(picture(50, side=128)).save(melanoma / "whole.jpg")
    (melanoma / "truncated.jpg").write_bytes((melanoma / "whole.jpg").read_bytes()[:-500])
    (melanoma / "text.jpg").write_text("not a picture")
    index, unreadable = read(folder)
    assert len(index) == 28
    assert unreadable["source"].tolist() == ["Train/melanoma/text.jpg", "Train/melanoma/truncated.jpg"]
    assert "not an image" in unreadable["reason"][0] and "truncated" in unreadable["reason"][1]
    assert set(unreadable["class"]) == {"melanoma"} and set(unreadable["part"]) == {"Train"}
    for image in folder.glob("*/melanoma/*"):
        image.write_text("not a picture")
    with pytest.raises(DataError, match="no readable image of melanoma .*not an image"):
        read(folder)


def test_the_index_is_the_same_whatever_the_number_of_threads_and_can_be_stored(folder, tmp_path):
    index, _ = read(folder, workers=1)
    pd.testing.assert_frame_equal(index, read(folder, workers=4)[0])
    index.to_parquet(tmp_path / "images.parquet")
    pd.testing.assert_frame_equal(index, pd.read_parquet(tmp_path / "images.parquet"))
    assert index["source"].is_monotonic_increasing and index["group"].nunique() == 27
    assert index["phash"].str.fullmatch("[0-9a-f]{16}").all() and index["content"].str.fullmatch("[0-9a-f]{64}").all()
    assert (index[["width", "height"]] == 32).all(axis=None)


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("isic_id,age\nA,50\n", "no diagnosis and no lesion_id, only 'isic_id', 'age'"),
        ("file,dx\nA,nv\n", "no column of ids, only 'file', 'dx'"),
        ("isic_id,isic2019_diagnosis,lesion_id\nA,NV,\nA,MEL,\n", "gives 'A' the diagnosis 'MEL' and 'NV'"),
        ("isic_id,isic2019_diagnosis,lesion_id\n,NV,\n", "an empty id"),
        ("isic_id,isic2019_diagnosis,lesion_id\nA,MELL,\n", "'A' the diagnosis 'MELL'; did you mean 'MEL'"),
        ("isic_id,isic2019_diagnosis,lesion_id\nB,NV,\n", "lists none of the 27 images"),
        ("", "cannot be read as CSV"),
        ("isic_id,isic2019_diagnosis\nA,NV,cut off\n", "cannot be read as CSV"),
        ("isic_id,isic2019_diagnosis\n", "lists none of the 27 images .*it is empty"),
        (None, "cannot be read as CSV"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused_by_name(folder, tmp_path, text, message):
    path = tmp_path / "metadata.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read(folder, path)
    assert "metadata.csv" in str(caught.value)


# --- the public data set ----------------------------------------------------------------------------------------------


def test_the_public_set_is_read_whole(real_data, real_metadata):
    folder = find_folder(str(real_data))
    index, unreadable = read(folder, real_metadata)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    assert index["source"].tolist() == files and len(files) == 2359 and unreadable.empty
    assert index["image_id"].nunique() == 2204
    official = pd.read_csv(real_metadata, dtype=str, keep_default_na=False).set_index("isic_id")
    for row in index.to_dict("records"):
        assert [row["part"], row["class"]] == row["source"].split("/")[:2]
        expected = official.loc[row["image_id"].split("(")[0]]
        assert [row["diagnosis"], row["lesion_id"]] == expected.tolist()
