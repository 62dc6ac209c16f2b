"""Official diagnoses and lesion ids, as the makers of the sets publish them."""

import numpy as np
import pandas as pd
import pytest

from lib.audit.contents import dataset_audit
from lib.config.paper import CLASSES
from lib.data.folder import DataError, check_folder, find_folder
from lib.data.metadata import DIAGNOSIS_CLASSES, check_metadata, odd_lesions, read_metadata
from lib.data.protocols import corrected_labels
from tests.fixtures.pictures import read

CODES = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]  # the columns of ISIC 2019
HAM = {"AK": "akiec", "SCC": "akiec", "BCC": "bcc", "BKL": "bkl", "DF": "df", "MEL": "mel", "NV": "nv", "VASC": "vasc"}
# diagnosis_1, _2 and _3 of the ISIC archive
ARCHIVE = {
    "AK": ("Indeterminate", "Indeterminate epidermal proliferations", "Solar or actinic keratosis"),
    "BCC": ("Malignant", "Malignant adnexal epithelial proliferations - Follicular", "Basal cell carcinoma"),
    "BKL": ("Benign", "Benign epidermal proliferations", "Pigmented benign keratosis"),
    "DF": ("Benign", "Benign soft tissue proliferations - Fibro-histiocytic", "Dermatofibroma"),
    "MEL": ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma, NOS"),
    "NV": ("Benign", "Benign melanocytic proliferations", "Nevus"),
    "SCC": ("Malignant", "Malignant epidermal proliferations", "Squamous cell carcinoma, NOS"),
    "VASC": ("Benign", "Benign soft tissue proliferations - Vascular", None),
    "": ("Benign", "Benign epidermal proliferations", "Acrochordon"),
}
SMALL = pd.DataFrame(
    [["ISIC_0000000", code, f"IL_{number:07d}" if number % 2 else ""] for number, code in enumerate([*CODES[:8], ""])],
    columns=["isic_id", "isic2019_diagnosis", "lesion_id"],
).assign(isic_id=[f"ISIC_{number:07d}" for number in range(9)])


def write(folder, truth, form):
    """The files of one format, written from our own columns as their makers write them."""
    ids, codes, lesions = truth["isic_id"], truth["isic2019_diagnosis"], truth["lesion_id"].replace("", np.nan)
    if form == "ours":
        tables = {"isic2019_truth.csv": truth}
    elif form in ("isic 2019", "tabs"):
        image = [name + "_downsampled" * (number % 3 == 0) for number, name in enumerate(ids)]
        ones = {code: (codes.replace("", "UNK") == code).astype(float) for code in CODES}
        front = {"image": image, "age_approx": 55.0, "anatom_site_general": "torso"}
        other = front | {"lesion_id": lesions, "sex": "male"}
        tables = {
            "ISIC_2019_Training_GroundTruth.csv": pd.DataFrame({"image": image} | ones),
            "ISIC_2019_Training_Metadata.csv": pd.DataFrame(other).sample(frac=1, random_state=0),
        }
    elif form == "archive":
        names = pd.DataFrame([ARCHIVE[code] for code in codes], columns=["diagnosis_1", "diagnosis_2", "diagnosis_3"])
        front = {"isic_id": ids, "attribution": 'Anonymous, "Clinic"', "copyright_license": "CC-0", "age_approx": 55}
        table = pd.DataFrame(front | {"benign_malignant": names["diagnosis_1"].str.lower()} | dict(names))
        tables = {"metadata.csv": table.assign(diagnosis_4=np.nan, diagnosis_5=np.nan, lesion_id=lesions)}
    elif form == "ham":
        ours = truth[lesions.notna() & (codes != "")]
        front = {"lesion_id": ours["lesion_id"], "image_id": ours["isic_id"] + ".jpg"}
        table = pd.DataFrame(front | {"dx": ours["isic2019_diagnosis"].map(HAM), "dx_type": "histo", "age": 50.0})
        tables = {"HAM10000_metadata.csv": table.assign(sex="male", localization="back")}
    tabs = form == "tabs"
    paths = [folder / (name.replace(".csv", ".tsv") if tabs else name) for name in tables]
    for path, table in zip(paths, tables.values()):
        table.to_csv(path, index=False, sep="\t" if tabs else ",", encoding="utf-8-sig" if tabs else "utf-8")
    return paths


@pytest.mark.parametrize("form", ["ours", "isic 2019", "tabs", "archive"])
def test_every_format_of_the_makers_says_the_same(tmp_path, form):
    known = read_metadata(write(tmp_path, SMALL, form)).reset_index()
    pd.testing.assert_frame_equal(known, SMALL.set_axis(["isic_id", "diagnosis", "lesion_id"], axis=1))


def test_ham10000_joins_the_lesions_and_its_akiec_decides_between_no_two_classes(tmp_path):
    known = read_metadata(write(tmp_path, SMALL, "ham"))["diagnosis"]
    codes = {"ISIC_0000001": "NV", "ISIC_0000003": "AKIEC", "ISIC_0000005": "DF", "ISIC_0000007": "AKIEC"}
    assert known.to_dict() == codes and DIAGNOSIS_CLASSES["AKIEC"] == ("actinic keratosis", "squamous cell carcinoma")
    both = read_metadata([*write(tmp_path, SMALL, "ham"), *write(tmp_path, SMALL, "isic 2019")]).reset_index()
    pd.testing.assert_frame_equal(both, SMALL.set_axis(["isic_id", "diagnosis", "lesion_id"], axis=1))


def test_files_that_contradict_each_other_are_refused_with_the_id(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("isic_id,diagnosis,lesion_id\nISIC_1,nevus,L1\nISIC_2,,L2\n")
    for row, message in (
        ("ISIC_1,mel,L1", "b.csv' gives 'ISIC_1' the diagnosis 'MEL' and 'NV'"),
        ("ISIC_2,nv,L3", "b.csv' gives 'ISIC_2' the lesion_id 'L2' and 'L3'"),
    ):
        second.write_text(f"image_id,dx,lesion_id\n{row}\n")
        with pytest.raises(DataError, match=message):
            read_metadata([first, second])
    second.write_text("image_id,dx\nISIC_2.jpg,nv\nISIC_1_downsampled,NA\n")
    assert read_metadata([first, second]).to_numpy().tolist() == [["NV", "L1"], ["NV", "L2"]]


def test_what_pandas_and_r_write_for_missing_is_missing_in_every_column(tmp_path):
    from pandas._libs.parsers import STR_NA_VALUES  # those that pandas reads

    for word in (*STR_NA_VALUES, "NA_character_", "unknown", "-", ".", " na "):
        path = tmp_path / "metadata.csv"
        table = SMALL.replace("", np.nan)
        table.to_csv(path, index=False, na_rep=word)
        assert read_metadata([path]).to_numpy().tolist() == SMALL.iloc[:, 1:].to_numpy().tolist(), word
        with pytest.raises(DataError, match="has an empty id") as caught:
            path.write_text(f"isic_id,isic2019_diagnosis,lesion_id\n{word},NV,\n")
            read_metadata([path])
        assert "did you mean" not in str(caught.value)
    path.write_text("isic_id,isic2019_diagnosis,lesion_id\nA,ND,\n")
    with pytest.raises(DataError, match="gives 'A' the diagnosis 'ND'; expected AKIEC, AK"):
        read_metadata([path])


def test_a_lesion_of_several_classes_is_reported_and_an_impossible_one_refused_by_name(folder, tmp_path):
    path, table = tmp_path / "metadata.csv", pd.DataFrame({"isic_id": [path.stem for *_, path in check_folder(folder)]})
    table.assign(lesion_id=["L1"] * 4 + [f"M{number}" for number in range(23)]).to_csv(path, index=False)
    index, unreadable = read(folder, path)
    files = index[index["lesion_id"] == "L1"]
    assert dataset_audit(index, unreadable)["odd_lesions"] == {
        "L1": {"files": 4, "classes": " + ".join(sorted(set(files["class"])))}
    }
    table.assign(lesion_id=["n.v.t."] * 20 + [""] * 7).to_csv(path, index=False)
    with pytest.raises(DataError, match="give 20 files of actinic keratosis .* the lesion_id 'n.v.t.'"):
        read(folder, path)
    with pytest.raises(DataError, match="51 files"):
        odd_lesions(pd.DataFrame({"class": CLASSES[0], "lesion_id": ["L1"] * 51}))


def test_the_public_set_has_the_same_groups_and_corrections_under_every_format(real_data, real_metadata, tmp_path):
    root = find_folder(str(real_data))
    index, _ = read(root, real_metadata)
    assert index["source"].tolist() == sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    assert index["image_id"].nunique() == 2204
    truth = pd.read_csv(real_metadata, dtype=str, keep_default_na=False)
    official = index[["diagnosis", "lesion_id"]]  # with the pictures they decide groups and corrections
    by_id = truth.set_index("isic_id").loc[index["image_id"].str.split("(").str[0]]
    assert official.to_numpy().tolist() == by_id[["isic2019_diagnosis", "lesion_id"]].to_numpy().tolist()
    files = check_folder(root)
    for form in ("ours", "isic 2019", "tabs", "archive"):
        known = check_metadata(files, write(tmp_path, truth, form))
        pd.testing.assert_frame_equal(known.reset_index(drop=True), official)
    # HAM10000 lists its own images alone, and does not tell actinic keratosis from squamous cell carcinoma
    known = check_metadata(files, write(tmp_path, truth, "ham"))
    of_ham = index.assign(**known.reset_index(drop=True))
    listed = of_ham["lesion_id"] != ""
    pd.testing.assert_series_equal(of_ham["lesion_id"][listed], index["lesion_id"][listed])
    in_ham = index.assign(diagnosis=index["diagnosis"].where(listed, ""))
    (labels, changed), (expected, wanted) = corrected_labels(of_ham), corrected_labels(in_ham)
    assert changed["source"].equals(wanted["source"])
    different = (labels != expected).to_numpy()  # a nevus: dropped, since HAM10000 leaves two classes open
    assert index["class"][different].tolist() == ["nevus"] and of_ham["diagnosis"][different].tolist() == ["AKIEC"]
    assert labels[different].tolist() == [""] and expected[different].tolist() == ["actinic keratosis"]
    assert len(changed) > 100
