"""Every image is read and indexed once; what cannot be read is listed by name."""

import threading

import pandas as pd
import pytest
from PIL import Image

from lib.data.folder import DataError
from lib.data.metadata import isic_id
from lib.data.threads import map_in_threads
from tests.fixtures.pictures import picture, read, save


def test_content_is_the_pixels_and_their_shape_whatever_the_file_is_called_and_the_number_of_threads(folder):
    for name, pixels in {
        "Train/nevus/a.png": picture(60), "Train/nevus/a.bmp": picture(60), "Test/nevus/a.png": picture(61),
        "Train/nevus/a(1).png": picture(60).reshape(16, 64, 3),
    }.items():  # fmt: skip
        save(folder / name, pixels)
    index, unreadable = read(folder, workers=1)
    pd.testing.assert_frame_equal(index, read(folder, workers=4)[0])
    assert index["source"].is_monotonic_increasing and index["group"].nunique() == 30
    assert index["phash"].str.fullmatch("[0-9a-f]{16}").all() and index["content"].str.fullmatch("[0-9a-f]{64}").all()
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("isic_id,age\nA,50\n", "no diagnosis and no lesion_id, only 'isic_id', 'age'"),
        ("isic_id,isic2019_diagnosis,lesion_id\nA,MELL,\n", "'A' the diagnosis 'MELL'; did you mean 'MEL'"),
        ("isic_id,isic2019_diagnosis,lesion_id\nB,NV,\n", "lists none of the 27 images"),
        ("", "cannot be read as CSV"),
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


def test_results_keep_the_order_of_the_items_the_bar_is_text_on_standard_output_and_errors_are_raised(capsys):
    last_done = threading.Event()

    def first_waits_for_the_last(number: int) -> int:
        assert last_done.wait(60) if number == 0 else number < 4 or last_done.set() is None
        return 10 * number

    assert map_in_threads(first_waits_for_the_last, iter(range(5)), 4, "files") == [0, 10, 20, 30, 40]
    shown = capsys.readouterr()
    assert "files: 100%" in shown.out.split("\r")[-1] and shown.err == ""  # a notebook shows standard error in red
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda number: 1 / number, [1, 0], 2, "files")
