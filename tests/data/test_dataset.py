"""The data set is found, checked, decoded and indexed; bad input is refused or left out, by name."""

import itertools
import struct
import sys
import types
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.config import CLASSES
from lib.data import DataError, UnreadableImage, dataset


def picture(seed: int, side: int = 32) -> np.ndarray:
    """A smooth coloured pattern that no other seed comes near."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images a class in Train, one in Test."""
    root, seeds = tmp_path / "set", itertools.count()
    for label in CLASSES:
        for part in ("Train", "Train", "Test"):
            seed = next(seeds)
            save(root / part / label / f"ISIC_{seed:07d}.png", picture(seed))
    return root


def read(folder: Path, metadata: Path | None = None, **kwargs) -> tuple[pd.DataFrame, pd.DataFrame]:
    return dataset.read(folder, metadata, bits=8, difference=9.0, **kwargs)


# --- finding and checking ---------------------------------------------------------------------------------------------


def test_the_folder_is_found_where_it_was_unpacked(folder, tmp_path, monkeypatch):
    nested = tmp_path / "zip" / "Skin cancer ISIC The International Skin Imaging Collaboration"
    nested.parent.mkdir()
    folder.rename(nested)
    (nested.parent / "__MACOSX" / "Train").mkdir(parents=True)
    monkeypatch.setenv("SKINCAS_DATA", str(tmp_path / "zip"))
    assert dataset.find() == dataset.find(str(tmp_path)) == dataset.find(str(nested)) == nested
    # class folders alone are a data set too
    assert dataset.find(str(nested / "Train")) == nested / "Train"
    assert set(dataset.check(nested / "Train").counts().columns) == {""}


def test_without_a_folder_the_public_set_is_downloaded_or_the_user_told_what_to_do(folder, monkeypatch):
    monkeypatch.delenv("SKINCAS_DATA", raising=False)
    asked = []
    hub = types.SimpleNamespace(dataset_download=lambda handle: asked.append(handle) or str(folder.parent))
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    assert dataset.find("") == folder and asked == ["nodoubttome/skin-cancer9-classesisic"]

    def offline(handle):
        raise ConnectionError("no route to host")

    hub.dataset_download = offline
    with pytest.raises(DataError, match=r"no route to host.*download https://www.kaggle.com/.*--data"):
        dataset.find("")


def test_given_paths_that_are_no_folder_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SKINCAS_DATA", "unused")
    with pytest.raises(DataError, match=r"--data .*absent.* does not exist.*DIR/Train/<class>/"):
        dataset.find(str(tmp_path / "absent"))
    archive = tmp_path / "set.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"set\.zip.* is a file, not a folder"):
        dataset.find(str(archive))


def test_a_folder_of_something_else_is_refused_with_its_path_and_the_expected_layout(tmp_path):
    other = tmp_path / "holiday"
    (other / "beach").mkdir(parents=True)
    save(other / "beach" / "a.png", picture(0))
    for call in (dataset.check, lambda path: dataset.find(str(path)), read):
        for path in (other, other / "beach"):
            with pytest.raises(DataError, match="holiday.*DIR/Train/<class>/.*DIR/<class>/.*melanoma"):
                call(path)
    with pytest.raises(DataError, match="absent.*DIR/Train/<class>/"):
        dataset.check(tmp_path / "absent")


@pytest.mark.parametrize("part", ["Train", "Test"])
def test_a_missing_class_is_named_with_the_folder_that_may_be_meant(folder, part):
    (folder / part / "nevus").rename(folder / part / "naevus")
    with pytest.raises(DataError, match=f"{part}' has no folder for nevus; is it in 'naevus'.*expected DIR/Train"):
        dataset.check(folder)


def test_an_empty_class_folder_is_refused_whatever_else_lies_in_it(folder):
    for image in (folder / "Test" / "melanoma").iterdir():
        image.rename(image.with_suffix(".txt"))
    (folder / "Test" / "melanoma" / "._hidden.png").write_bytes(b"")
    with pytest.raises(DataError, match="Test/melanoma' holds no image; expected"):
        dataset.check(folder)


def test_class_folders_match_without_regard_to_case_spaces_underscores_and_hyphens(folder):
    spellings = {
        "actinic keratosis": "Actinic_Keratosis",
        "basal cell carcinoma": "BASAL-CELL-CARCINOMA",
        "pigmented benign keratosis": "pigmentedbenignkeratosis",
        "vascular lesion": " vascular  lesion ",
    }
    (folder / "Train").rename(folder / "TRAIN")
    for label, spelling in spellings.items():
        (folder / "TRAIN" / label).rename(folder / "TRAIN" / spelling)
    layout = dataset.check(folder)
    assert layout.counts().eq({"Train": 2, "Test": 1}).all(axis=None) and layout.ignored == ()
    index, _ = read(folder)
    assert set(index["class"]) == set(CLASSES) and set(index["part"]) == {"Train", "Test"}


def test_files_of_one_name_in_one_class_are_different_sources(folder):
    name = "ISIC_0000000"
    save(folder / "Test" / CLASSES[0] / f"{name}.png", picture(100))
    save(folder / "Train" / CLASSES[0] / f"{name}.bmp", picture(101))
    save(folder / "Train" / CLASSES[0] / f"{name}(1).png", picture(102))
    index, unreadable = read(folder)
    assert len(index) == 30 and index["source"].is_unique and unreadable.empty
    assert (index["image_id"] == name).sum() == 3
    assert [dataset.isic_id(text) for text in (name, f"{name}(1)", f"{name} (12)")] == [name] * 3


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_every_pixel_format_becomes_the_same_8_bit_rgb(tmp_path):
    rgb, grey = picture(1), picture(1)[..., 0]
    as_grey = np.repeat(grey[..., None], 3, axis=2)
    opaque = np.dstack([rgb, np.full(grey.shape, 255, np.uint8)])
    files = {
        save(tmp_path / "rgb.png", rgb): rgb,
        save(tmp_path / "grey.png", grey): as_grey,
        save(tmp_path / "grey_16_bit.png", grey.astype(np.uint16) * 256 + 77): as_grey,
        save(tmp_path / "grey_16_bit.tif", grey.astype(np.uint16) * 256 + 77): as_grey,
        save(tmp_path / "rgba.png", opaque): rgb,
        save(tmp_path / "black_and_white.png", grey > 127): (as_grey > 127) * np.uint8(255),
    }
    cv2.imwrite(str(tmp_path / "rgb_16_bit.png"), rgb[..., ::-1].astype(np.uint16) * 256 + 77)
    files[tmp_path / "rgb_16_bit.png"] = rgb
    for path, expected in files.items():
        pixels = dataset.decode(path)
        assert pixels.dtype == np.uint8 and pixels.shape == rgb.shape, path
        np.testing.assert_array_equal(pixels, expected, err_msg=path.name)


def test_cmyk_photographs_keep_their_colours(tmp_path):
    rgb = picture(2, side=64)
    path = tmp_path / "cmyk.jpg"
    Image.fromarray(rgb).convert("CMYK").save(path, quality=100, subsampling=0)
    assert np.abs(dataset.decode(path).astype(int) - rgb).mean() < 3


def test_transparent_pixels_are_white_and_pictures_stand_upright(tmp_path):
    rgb = picture(3)
    clear = save(tmp_path / "clear.png", np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)]))
    assert (dataset.decode(clear) == 255).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by a quarter, clockwise
    Image.fromarray(rgb[:20]).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(dataset.decode(tmp_path / "turned.png"), np.rot90(rgb[:20], -1))


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (8_001, 8_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, width, height):
    # were it decoded, it would fail for another reason: there are no pixels behind the header
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = [struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in chunks]
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    with pytest.raises(UnreadableImage, match="64,000,000 pixels allowed"):
        dataset.decode(path)


def test_only_pictures_are_opened(tmp_path):
    (tmp_path / "postscript.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "absent.jpg")
    (tmp_path / "folder.jpg").mkdir()
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tif")
    reasons = {"postscript.jpg": "not an image", "empty.jpg": "not an image", "link.jpg": "No such file or directory"}
    reasons |= {"folder.jpg": "not a regular file", "float.tif": "no known white"}
    for name, reason in reasons.items():
        with pytest.raises(UnreadableImage, match=reason) as caught:
            dataset.decode(tmp_path / name)
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
        pixels = dataset.decode(path)
    except UnreadableImage as error:
        assert str(error)
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


# --- reading ----------------------------------------------------------------------------------------------------------


def test_unreadable_images_are_named_counted_and_left_out(folder):
    melanoma = folder / "Train" / "melanoma"
    Image.fromarray(picture(50, side=128)).save(melanoma / "whole.jpg")
    (melanoma / "truncated.jpg").write_bytes((melanoma / "whole.jpg").read_bytes()[:-500])
    (melanoma / "text.jpg").write_text("not a picture")
    index, unreadable = read(folder)
    assert len(index) == 28
    reasons = unreadable.set_index("source")["reason"]
    assert list(reasons.index) == ["Train/melanoma/text.jpg", "Train/melanoma/truncated.jpg"]
    assert "not an image" in reasons.iloc[0] and "truncated" in reasons.iloc[1]
    assert set(unreadable["class"]) == {"melanoma"} and set(unreadable["part"]) == {"Train"}


def test_a_class_without_one_readable_image_stops(folder):
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
    assert (index[["width", "height"]] == 32).all(axis=None) and (index[["diagnosis", "lesion_id"]] == "").all(
        axis=None
    )


def test_content_is_the_pixels_and_their_shape_not_the_file(folder):
    nevus = folder / "Train" / "nevus"
    save(nevus / "a.png", picture(60))
    save(nevus / "b.bmp", picture(60))
    save(nevus / "c.png", picture(60).reshape(16, 64, 3))
    content = read(folder)[0].set_index("image_id")["content"]
    assert content["a"] == content["b"] != content["c"]


def test_groups_join_what_shares_a_lesion_a_content_or_is_a_near_duplicate_however_long_the_chain(folder, tmp_path):
    train = folder / "Train"
    noise = np.random.default_rng(0).integers(-2, 3, (32, 32, 3))
    save(train / "nevus" / "near.png", np.clip(picture(0) + noise, 0, 255).astype(np.uint8))
    save(train / "melanoma" / "copy.png", picture(1))
    metadata = tmp_path / "metadata.csv"
    # 0 ~ near (pixels), near and copy (lesion), copy = 1 (content), 1 and 2 (lesion)
    metadata.write_text(
        "isic_id,isic2019_diagnosis,lesion_id\nnear,NV,HAM_1\ncopy,,HAM_1\nISIC_0000001,,HAM_2\nISIC_0000002,AK,HAM_2\n"
    )
    index, _ = read(folder, metadata)
    index = index.set_index("image_id")
    chain = ["ISIC_0000000", "near", "copy", "ISIC_0000001", "ISIC_0000002"]
    assert index.loc[chain, "group"].nunique() == 1
    assert index["group"].value_counts().tolist() == [5] + [1] * 24
    assert index["near_group"].value_counts().tolist() == [2, 2] + [1] * 25
    assert index.loc["near", "diagnosis"] == "NV" and index.loc["copy", "diagnosis"] == ""


def test_hostile_file_names_are_data(folder, tmp_path):
    names = [
        "<script>alert(1)<／script>",
        "a'b\"c`d",
        "new\nline",
        "\u202egnp.drawkcab",
        "$(touch x)",
        "%s{0}\\n",
        "=1+1",
    ]
    for number, name in enumerate(names):
        save(folder / "Train" / "nevus" / f"{name}.png", picture(70 + number))
    bytes_only = bytes(folder / "Train" / "nevus") + b"/\xff\xfe.png"
    with open(bytes_only, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write((folder / "Train" / "nevus" / "=1+1.png").read_bytes())
    index, unreadable = read(folder)
    assert set(names) <= set(index["image_id"]) and len(index) == 27 + len(names)
    assert unreadable[["source", "reason"]].values.tolist() == [
        [r"Train/nevus/\xff\xfe.png", "its name is not valid UTF-8"]
    ]
    index.to_parquet(tmp_path / "index.parquet")
    unreadable.to_csv(tmp_path / "unreadable.csv")
    assert set(pd.read_parquet(tmp_path / "index.parquet")["source"]) == set(index["source"])


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("isic_id,diagnosis\nA,NV\n", "no column isic2019_diagnosis, lesion_id, only 'isic_id', 'diagnosis'"),
        ("isic_id,isic2019_diagnosis,lesion_id\nA,NV,\nA,MEL,\n", "the id 'A' more than once"),
        ("isic_id,isic2019_diagnosis,lesion_id\n,NV,\n", "an empty id"),
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


def test_metadata_that_is_not_text_is_refused(folder, tmp_path):
    path = save(tmp_path / "metadata.png", picture(0))
    with pytest.raises(DataError, match="cannot be read as CSV"):
        dataset.read_metadata(path)


# --- near-duplicates --------------------------------------------------------------------------------------------------


def near_hashes(generator: np.random.Generator, centres: int, copies: int) -> np.ndarray:
    """Clusters of hashes a few bits apart."""
    hashes = generator.integers(0, 2**64, centres, dtype=np.uint64).repeat(copies)
    for _ in range(6):
        bits = generator.integers(0, 64, len(hashes)).astype(np.uint64)
        hashes = np.where(generator.random(len(hashes)) < 0.7, hashes ^ (np.uint64(1) << bits), hashes)
    return hashes


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 120),
    st.integers(0, 40),
    st.integers(1, 9),
    st.sampled_from([0, 1, 3, 6, 8, 16]),
)
def test_candidates_are_exactly_the_pairs_that_comparing_all_pairs_finds(seed, single, centres, copies, bits):
    generator = np.random.default_rng(seed)
    spread = generator.integers(0, 2**64, single, dtype=np.uint64)
    hashes = generator.permutation(np.concatenate([spread, near_hashes(generator, centres, copies)]))
    found = [tuple(map(int, row)) for chunk in dataset.candidate_pairs(hashes, bits) for row in zip(*chunk)]
    numbers = [int(value) for value in hashes]
    pairs = itertools.combinations(range(len(numbers)), 2)
    expected = [(i, j, (numbers[i] ^ numbers[j]).bit_count()) for i, j in pairs]
    assert sorted(found) == [entry for entry in expected if entry[2] <= bits]  # each pair once


def test_planted_pairs_are_found_among_many_hashes():
    generator = np.random.default_rng(1)
    hashes = generator.integers(0, 2**64, 50_000, dtype=np.uint64)
    places = generator.permutation(50_000)[:600].reshape(300, 2)
    for first, second in places:
        flips = generator.permutation(64)[: generator.integers(0, 9)]
        hashes[second] = hashes[first] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    found = np.concatenate([np.column_stack(chunk[:2]) for chunk in dataset.candidate_pairs(hashes, 8)])
    # unplanted 64-bit hashes come within 8 bits of each other about once in 3 billion pairs
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, np.sort(places).tolist()))


def test_pixels_decide_among_pictures_with_near_hashes():
    hashes, thumbnails = ["0" * 16, "0" * 15 + "1", "f" * 16, "0" * 16], np.zeros((4, 64, 64), np.uint8)
    thumbnails[1], thumbnails[3] = 9, 10
    index = pd.DataFrame({"content": list("abcd"), "phash": hashes})
    pairs = dataset.near_duplicates(index, thumbnails, bits=1, difference=9.0)
    assert pairs.values.tolist() == [[0, 1, 1, 9.0], [1, 3, 1, 1.0]]


# --- the public data set ----------------------------------------------------------------------------------------------


def test_the_public_set_is_read_whole(real_data, real_metadata):
    folder = dataset.find(str(real_data))
    index, unreadable = read(folder, real_metadata)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    assert index["source"].tolist() == files and len(files) == 2359 and unreadable.empty
    assert index["image_id"].nunique() == 2204
    official = pd.read_csv(real_metadata, dtype=str, keep_default_na=False).set_index("isic_id")
    for row in index.to_dict("records"):
        assert [row["part"], row["class"]] == row["source"].split("/")[:2]
        expected = official.loc[row["image_id"].split("(")[0]]
        assert [row["diagnosis"], row["lesion_id"]] == expected.tolist()
