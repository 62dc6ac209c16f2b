"""External images: refused by name, read, and excluded where the data set has them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from lib.config.files import read_json
from lib.config.paper import CLASSES, scenarios
from lib.config.paths import DEMO_EXTERNAL, DEMO_METADATA, DEMO_PLANTED
from lib.data import demo
from lib.data.external import external_images, read_external
from lib.data.folder import DataError, check_external
from tests.fixtures.pictures import picture, read, save


@pytest.fixture
def elsewhere(tmp_path):
    """An image of each of the nine classes that the data set of `folder` does not have."""
    root = tmp_path / "elsewhere"
    for place, label in enumerate(CLASSES):
        save(root / label / f"other_{place}.png", picture(1000 + place, side=64))
    return root


def looked_at(elsewhere, folder, metadata=None):
    index, _ = read(folder, metadata)
    return read_external(elsewhere, scenarios(), [metadata] if metadata else [], index, folder, 8, 9.0).set_index(
        "source"
    )


def test_folders_are_classes_of_a_scenario_or_benign_and_malignant_others_are_refused_by_name(elsewhere, tmp_path):
    assert {label for label, _ in check_external(elsewhere, scenarios())} == set(CLASSES)
    for name in set(CLASSES) - set(scenarios()["three_malignant"].names):
        shutil.rmtree(elsewhere / name)
    assert len(check_external(elsewhere, scenarios())) == 3
    with pytest.raises(DataError, match="fits no scenario.*nine_classes lacks actinic keratosis.*lacks benign"):
        check_external(elsewhere, {name: scenarios()[name] for name in ("nine_classes", "benign_malignant")})
    (elsewhere / "squamous cell carcinoma").rename(elsewhere / "Benign")
    (elsewhere / "basal cell carcinoma").rename(elsewhere / "malignant")
    assert [label for label, _ in check_external(elsewhere, scenarios())] == ["benign", "malignant", "melanoma"]
    (elsewhere / "melanoma").rename(elsewhere / "melanomas")
    with pytest.raises(DataError, match="melanomas' is named after no class; did you mean 'melanoma'.*DIR/<class>/"):
        check_external(elsewhere, scenarios())
    shutil.rmtree(elsewhere / "melanomas")
    next((elsewhere / "malignant").iterdir()).unlink()
    with pytest.raises(DataError, match="malignant' holds no image"):
        check_external(elsewhere, scenarios())
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no class folder"):
        check_external(tmp_path / "nothing", scenarios())


def test_copies_near_copies_turned_and_mirrored_ones_are_found_and_scenarios_take_all_others(elsewhere, folder):
    own = picture(12, side=32)  # of the nevi in Train
    lighter = np.clip(own.astype(int) + 3, 0, 255).astype(np.uint8)
    larger = np.asarray(Image.fromarray(own).resize((80, 80), Image.Resampling.BICUBIC))
    copies = {
        "copy": own, "lighter": lighter, "larger": larger, "turned": np.rot90(lighter), "mirrored": own[:, ::-1],
        "both": np.rot90(own[:, ::-1], 3),
    }  # fmt: skip
    for name, pixels in copies.items():
        save(elsewhere / "nevus" / f"{name}.png", np.ascontiguousarray(pixels))
    files = looked_at(elsewhere, folder)
    left = files[files["excluded"] != ""]
    assert set(left.index) == {f"nevus/{name}.png" for name in copies}
    assert left.loc["nevus/copy.png", "excluded"] == "is an image of the data set"
    assert (left["because_of"] == "Train/nevus/ISIC_0000012.png").all()
    taken = {name: external_images(files.reset_index(), scenario) for name, scenario in scenarios().items()}
    assert [len(taken[name]) for name in ("nine_classes", "six_benign", "three_malignant")] == [9, 6, 3]
    assert taken["benign_malignant"]["true_class"].value_counts().to_dict() == {"benign": 6, "malignant": 3}


def test_one_id_one_lesion_what_is_joined_to_them_and_copies_among_themselves_are_excluded(elsewhere, folder, tmp_path):
    (elsewhere / "nevus" / "broken.png").write_text("no picture")
    save(elsewhere / "nevus" / os.fsdecode(b"caf\xe9.png"), picture(502))
    save(elsewhere / "nevus" / "again.png", picture(1004, side=64))
    save(elsewhere / "melanoma" / "twin.png", picture(1000, side=64))  # an actinic keratosis too
    save(elsewhere / "melanoma" / "ISIC_0000009(1).png", picture(500))  # a crop, say: other pixels
    save(elsewhere / "melanoma" / "ISIC_7000001.png", picture(501))
    save(elsewhere / "melanoma" / "ISIC_7000002.png", picture(501, side=96))  # nearly the one above, of no known lesion
    metadata = tmp_path / "official.csv"
    metadata.write_text("isic_id,isic2019_diagnosis,lesion_id\nISIC_0000010,MEL,L1\nISIC_7000001,MEL,L1\nother_3,NV,\n")
    files = looked_at(elsewhere, folder, metadata)
    left = files.loc[files["excluded"] != "", "excluded"].to_dict()
    assert left == {
        "melanoma/ISIC_0000009(1).png": "has the ISIC id of an image of the data set",
        "melanoma/ISIC_7000001.png": "shows a lesion of the data set",
        "melanoma/ISIC_7000002.png": "is a near-duplicate of an excluded file, or shows its lesion",
        "melanoma/other_3.png": "has another official diagnosis",
        "nevus/broken.png": "cannot be read",
        "nevus/caf\\xe9.png": "cannot be read",
        "nevus/other_4.png": "is a copy of another external image",
        "melanoma/twin.png": "lies in two classes, itself or nearly",
        "actinic keratosis/other_0.png": "lies in two classes, itself or nearly",
    }
    assert files.loc["melanoma/twin.png", "because_of"] == "actinic keratosis/other_0.png"
    # some classes have no image left: an accuracy over the others would be that of another task
    taken = {name: len(external_images(files.reset_index(), scenario)) for name, scenario in scenarios().items()}
    assert taken == {"nine_classes": 0, "benign_malignant": 7, "six_benign": 0, "three_malignant": 0}


def test_the_demo_plants_copies_that_are_found_and_no_other_is(demo_data):
    copies = read_json(demo_data / DEMO_PLANTED)["external_copies"]
    files = looked_at(demo_data / DEMO_EXTERNAL, demo_data, demo_data / DEMO_METADATA)
    reasons = {c["file"]: f"is {'nearly ' * (c['kind'] != 'copy')}an image of the data set" for c in copies}
    assert files.loc[files["excluded"] != "", "excluded"].to_dict() == reasons
    assert [files.loc[copy["file"], "because_of"] for copy in copies] == [copy["of"] for copy in copies]
    assert files.groupby("class").size().min() >= demo.EXTERNAL_IMAGES
