"""The data set's folder is found and checked, its files decoded; bad input is refused by name."""

import os
import shutil
import struct
import sys
import types
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.config.paper import CLASSES
from lib.data.folder import DataError, UnreadableImage, check_folder, decode, find_folder, passed_over, say_passed_over
from tests.fixtures.pictures import picture, read, save


def test_the_folder_is_found_where_it_was_unpacked_or_downloaded_or_the_error_helps(folder, tmp_path, monkeypatch):
    nested = tmp_path / "zip" / "Skin cancer ISIC The International Skin Imaging Collaboration"
    nested.parent.mkdir()
    folder.rename(nested)
    (nested.parent / "__MACOSX" / "Train").mkdir(parents=True)
    monkeypatch.setenv("SKINCAS_DATA", str(tmp_path / "zip"))
    assert find_folder() == find_folder(str(tmp_path)) == find_folder(str(nested)) == nested
    # class folders alone are a data set too
    assert find_folder(str(nested / "Train")) == nested / "Train"
    assert {part for part, _, _ in check_folder(nested / "Train")} == {""}
    monkeypatch.delenv("SKINCAS_DATA")
    places = {"nodoubttome/skin-cancer9-classesisic": str(tmp_path)}
    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=places.pop))
    assert find_folder("") == nested
    with pytest.raises(DataError, match=r"KeyError: 'nodoubttome.*download https://www.kaggle.com/.*--data"):
        find_folder("")


def test_a_folder_of_something_else_is_refused_with_the_layout_and_one_of_another_or_no_class_by_name(folder, tmp_path):
    other = tmp_path / "holiday"
    (other / "beach").mkdir(parents=True)
    save(other / "beach" / "a.png", picture(0))
    for call in (check_folder, lambda path: find_folder(str(path)), read):
        for path in (other, other / "beach"):
            with pytest.raises(DataError, match="holiday.*DIR/Train/<class>/.*DIR/<class>/.*melanoma"):
                call(path)
    for call, message in ((find_folder, "absent.*DIR/Train/<class>/"), (check_folder, "absent' cannot be read")):
        with pytest.raises(DataError, match=message):
            call(tmp_path / "absent")
    (folder / "Test" / "nevus").rename(folder / "Test" / "naevus")
    with pytest.raises(DataError, match="Test' has no folder for nevus; is it in 'naevus'.*expected DIR/Train"):
        check_folder(folder)
    (folder / "Test" / "nevus").mkdir()
    (folder / "Test" / "nevus" / "._hidden.png").write_bytes(b"")
    with pytest.raises(DataError, match="Test/nevus' holds no image; expected"):
        check_folder(folder)


@pytest.mark.parametrize("names", ["Training Testing", "train test val", "TRAIN_2 Test-set Validation", "train valid"])
def test_every_usual_name_of_a_part_and_every_spelling_of_a_class_is_known_and_no_part_is_left_out(folder, names):
    names = names.split()
    for label in CLASSES:  # case, spaces, underscores and hyphens do not matter
        spellings = label.upper(), f" {label.replace(' ', '  ')}", label.replace(" ", "_"), label.replace(" ", "-")
        (folder / "Train" / label).rename(folder / "Train" / spellings[len(label) % 4])
    root = folder.parent / "kaggle" / "set"
    for old, new in zip(("Train", "Test", "Test"), names):
        shutil.copytree(folder / old, root / new)
    files = check_folder(root)
    assert find_folder(str(root.parent)) == root and passed_over(root, files).empty
    parts = [next(part for part in ("Train", "Test", "Val") if name.lower().startswith(part.lower())) for name in names]
    assert Counter(part for part, *_ in files) == dict(zip(parts, (18, 9, 9)))
    assert Counter(label for part, label, _ in files if part == "Train") == dict.fromkeys(CLASSES, 2)


def test_what_lies_below_the_folder_is_read_or_counted_with_the_reason(folder):
    image = next((folder / "Test" / "nevus").iterdir())
    Image.open(image).save(folder / "Train" / "nevus" / "camera.JFIF", format="JPEG")
    reasons = {
        "Train/nevus/.DS_Store": "hidden, or of macOS",
        "__MACOSX/Train/nevus/._a.png": "hidden, or of macOS",
        "Train/nevus/scan.heic": "ending '.heic'",
        "notes": "no ending",
        "Test/melanoma/more/deep/a.png": "below a class folder",
        "Train/wart/a.png": "in a folder of no class",
        "Train/mole/a.png": "in a folder of no class",
        "Train/a.png": "outside of class folders",
        "a.png": "outside of class folders",
        "train_masks/a.png": "outside of class folders",
        "Extra/nevus/a.png": "outside of class folders",
    }
    for name in reasons:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / name)
    (folder / "Train" / "empty").mkdir()
    for place in ("Train/loop", "__MACOSX/loop", "Train/wart/up"):  # a walk that follows them all has no end
        for target in (folder, folder.parent, folder / "__MACOSX"):
            (folder / f"{place}_{target.name}").symlink_to(target)
    os.mkfifo(folder / "Train" / "nevus" / "pipe.png")
    files = check_folder(folder)
    assert {path.name for *_, path in files} & {"camera.JFIF", "pipe.png", "a.png"} == {"camera.JFIF"}
    table = passed_over(folder, files).set_index("reason")
    assert table["files"].to_dict() == Counter(reasons.values()) | {"not a regular file": 1, "empty": 0}
    assert table["files"].sum() + len(files) == sum(len(names) for _, _, names in os.walk(folder))
    assert table["folders"]["in a folder of no class"] == 2 and table["folders"]["empty"] == 1
    assert all(reason in say_passed_over(table.reset_index()) for reason in table.index)
    above = passed_over(folder.parent, files)  # the set may lie below the folder that is given
    assert above["such_as"].str.startswith("set/").all() and above["files"].sum() == table["files"].sum()


def test_every_pixel_format_becomes_the_same_8_bit_rgb_upright_and_white_where_transparent(tmp_path):
    rgb, grey = picture(1), picture(1)[..., 0]
    as_grey = np.repeat(grey[..., None], 3, axis=2)
    opaque = np.dstack([rgb, np.full(grey.shape, 255, np.uint8)])
    files = {
        save(tmp_path / "rgb.png", rgb): rgb,
        save(tmp_path / "grey.png", grey): as_grey,
        save(tmp_path / "grey_16_bit.png", grey.astype(np.uint16) * 256 + 77): as_grey,
        save(tmp_path / "grey_16_bit.tif", grey.astype(np.uint16) * 256 + 77): as_grey,
        save(tmp_path / "rgba.png", opaque): rgb,
        save(tmp_path / "clear.png", np.dstack([rgb, np.zeros_like(grey)])): np.full_like(rgb, 255),
        save(tmp_path / "black_and_white.png", grey > 127): (as_grey > 127) * np.uint8(255),
    }
    cv2.imwrite(str(tmp_path / "rgb_16_bit.png"), rgb[..., ::-1].astype(np.uint16) * 256 + 77)
    files[tmp_path / "rgb_16_bit.png"] = rgb
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by a quarter, clockwise
    Image.fromarray(rgb).save(tmp_path / "turned.png", exif=exif)
    files[tmp_path / "turned.png"] = np.rot90(rgb, -1)
    for path, expected in files.items():
        pixels = decode(path)
        assert pixels.dtype == np.uint8 and pixels.shape == rgb.shape, path
        np.testing.assert_array_equal(pixels, expected, err_msg=path.name)


def test_a_decompression_bomb_is_refused_by_its_header_and_an_image_of_100_megapixels_is_read(tmp_path):
    # were it decoded, it would fail for another reason: there are no pixels behind the header
    header = struct.pack(">IIBBBBB", 10_001, 10_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = [struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in chunks]
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    with pytest.raises(UnreadableImage, match="100,000,000 pixels allowed"):
        decode(path)
    Image.new("1", (12_500, 8_000), 1).save(tmp_path / "phone.png")
    assert decode(tmp_path / "phone.png").shape == (8_000, 12_500, 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_whole_pixels_are_used_whatever_else_of_the_file_is_damaged(tmp_path):
    rgb, exif = picture(3)[:20], Image.Exif()
    exif[0x0112] = 6
    good, profile = exif.tobytes(), np.random.default_rng(0).bytes(2_000_000)  # more than Pillow reads
    for kind in ("png", "jpg"):
        for number, damaged in enumerate((b"", b"Exif\0\0nonsense", good[:10], b"II*\0\xff\xff\xff\xff")):
            path = tmp_path / f"{number}.{kind}"
            Image.fromarray(rgb).save(path, exif=damaged, quality=100)
            expected = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]
            assert np.abs(decode(path).astype(int) - expected).max() <= 3, path  # JPEG decoders differ a little
    Image.fromarray(rgb).save(tmp_path / "large.png", exif=exif, icc_profile=profile)
    np.testing.assert_array_equal(decode(tmp_path / "large.png"), np.rot90(rgb, -1))
    content = bytearray((tmp_path / "large.png").read_bytes())
    content[content.index(b"eXIf") + 9] ^= 255  # its checksum is wrong now
    (tmp_path / "checksum.png").write_bytes(content)
    np.testing.assert_array_equal(decode(tmp_path / "checksum.png"), rgb)
    (tmp_path / "truncated.png").write_bytes(content[:-60])
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(tmp_path / "truncated.png")


def test_only_pictures_are_opened_and_the_reason_does_not_repeat_the_path(tmp_path):
    (tmp_path / "postscript.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tif")
    reasons = {"postscript.jpg": "not an image", "empty.jpg": "not an image", "absent.jpg": "No such file or directory"}
    for name, reason in (reasons | {"folder.jpg": "not a regular file", "float.tif": "no known white"}).items():
        with pytest.raises(UnreadableImage, match=reason) as caught:
            decode(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_decoded_or_refused_never_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "damaged.jpg"
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "TIFF", "WEBP"]))
    Image.fromarray(picture(4)).save(path, format=kind)
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        pixels = decode(path)
    except UnreadableImage as error:
        assert str(error)
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
