"""External images: what of a folder is no image of the data set, and may be told by its models.

A file that is an image of the data set, nearly is one, or shows one of its lesions is left out with its reason, and so
is whatever is joined to such a file. What is left has been in no fitting.
"""

from collections.abc import Mapping
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from lib.config.paper import CLASSES, MALIGNANT, Scenario
from lib.data.duplicates import add_groups, candidate_pairs, turned
from lib.data.folder import check_external, external_labels, lacking
from lib.data.index import DIAGNOSIS_CLASSES, isic_id, look, read_metadata
from lib.data.threads import map_in_threads

UNREADABLE = "cannot be read"
SAME = "is an image of the data set"
NEAR = "is nearly an image of the data set"
SAME_ID = "has the ISIC id of an image of the data set"
SAME_LESION = "shows a lesion of the data set"
JOINED = "is nearly, or shows the lesion of, a file that is left out"
TWO_CLASSES = "lies in two classes, itself or nearly"
COPY = "is a copy of another file from elsewhere"
DIAGNOSIS = "its official diagnosis is another"
LEFT_OUT = (UNREADABLE, SAME, NEAR, SAME_ID, SAME_LESION, JOINED, TWO_CLASSES, COPY, DIAGNOSIS)
FILES = ["source", "image_id", "class", "diagnosis", "lesion_id", "group", "left_out", "because_of"]

# the classes of the data set that a folder stands for
COVERED = {name: {name} for name in CLASSES}
COVERED |= {"benign": set(CLASSES) - set(MALIGNANT), "malignant": set(MALIGNANT)}


def read_external(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    metadata: Path | None,
    index: pd.DataFrame,
    data: Path,
    bits: int,
    difference: float,
    workers: int = 2,
) -> pd.DataFrame:
    """Decode every image from elsewhere once and say which are left out.

    Near-duplicates are those of the index (lib.data.duplicates), and their turned and mirrored copies too, as the
    models are trained on such views. A crop, or another photograph of a lesion whose id is not known, is not found.

    Args:
        folder, scenarios: as `check_external` takes them.
        metadata: CSV for `read_metadata`, which may name these images too, or None.
        index: a row a file of the data set (audit/images.parquet): source, image_id, content, phash, lesion_id.
        data: the folder that its `source` is relative to.
        bits, difference: what confirms a near-duplicate, as for `build_index`.

    Returns:
        FILES, a row a file, by source; `left_out` is one of LEFT_OUT, or "" where the file is kept; `because_of` the
        file of the data set, or of the folder, that it is left out for, or the reason why it cannot be read. `group`
        joins near-duplicates and images of one lesion among these files.

    Raises:
        DataError: what `check_external` and `read_metadata` raise.
    """
    listed = check_external(folder, scenarios)
    seen = map_in_threads(look, [path for _, path in listed], workers, "external images read")
    files = pd.DataFrame(
        [(path.relative_to(folder).as_posix(), path.stem, label) for label, path in listed], columns=FILES[:3]
    ).assign(diagnosis="", lesion_id="", group=-1, left_out="", because_of="")
    if metadata:
        known = read_metadata(metadata).reindex(files["image_id"].map(isic_id)).fillna("").reset_index(drop=True)
        files[["diagnosis", "lesion_id"]] = known
    bad = np.array([isinstance(one, str) for one in seen], bool)
    _leave_out(files, np.flatnonzero(bad), UNREADABLE, [one for one in seen if isinstance(one, str)])
    good = [one for one in seen if not isinstance(one, str)]
    if good:
        pictures = files[~bad].assign(content=[one[2] for one in good], phash=[one[3] for one in good])
        pictures = add_groups(pictures, np.stack([one[4] for one in good]), bits, difference)
        files.loc[~bad, "group"] = pictures["group"]
        _leave_out_known(files, pictures, [one[4] for one in good], index, data, bits, difference)
        _leave_out_unsure(files, pictures)
    return files[FILES].sort_values("source", ignore_index=True)


def external_images(files: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """The files of `read_external` that a scenario's models are asked about: source, image_id, group, true_class.

    None where a class of the scenario has no file left (`lacking`)."""
    kept = files[files["left_out"] == ""]
    kept = kept.assign(true_class=kept["class"].map(external_labels(scenario)))
    if lacking(scenario, set(kept["class"])):
        kept = kept.iloc[:0]
    return kept.dropna(subset="true_class")[["source", "image_id", "group", "true_class"]].reset_index(drop=True)


def _leave_out_known(files, pictures, thumbnails, index: pd.DataFrame, data: Path, bits, difference) -> None:
    """What is in the data set, and what is joined to it; `pictures` are the rows of `files` that can be read."""
    first = index.drop_duplicates("content").set_index("content")["source"]
    _leave_out_where(files, pictures["content"].map(first), SAME)
    near = _near_copies(thumbnails, pictures["phash"], index, data, bits, difference)
    _leave_out_where(files, pd.Series(near, index=pictures.index), NEAR)
    ids = pd.Series(index["source"].to_numpy(), index=index["image_id"].map(isic_id))
    ids = ids[ids.index.str.match(r"ISIC_\d+$") & ~ids.index.duplicated()]  # other names say nothing of who gave them
    _leave_out_where(files, pictures["image_id"].map(isic_id).map(ids), SAME_ID)
    lesions = index[index["lesion_id"] != ""].drop_duplicates("lesion_id").set_index("lesion_id")["source"]
    _leave_out_where(files, pictures["lesion_id"].map(lesions), SAME_LESION)
    left = files[(files["left_out"] != "") & (files["group"] >= 0)].drop_duplicates("group")
    _leave_out_where(files, pictures["group"].map(left.set_index("group")["source"]), JOINED)


def _leave_out_unsure(files: pd.DataFrame, pictures: pd.DataFrame) -> None:
    """What lies in two classes, what repeats another file, and what the official diagnosis contradicts."""
    for _, alike in pictures.groupby("near_group"):
        if not set.intersection(*(COVERED[label] for label in alike["class"])):
            others = [alike["class"] != label for label in alike["class"]]
            _leave_out(files, alike.index, TWO_CLASSES, [alike["source"][other].iloc[0] for other in others])
    kept = pictures[files.loc[pictures.index, "left_out"] == ""].sort_values("source")
    first = kept.groupby("content")["source"].transform("first")
    _leave_out_where(files, first.where(first != kept["source"]), COPY)
    allowed = [
        set(DIAGNOSIS_CLASSES.get(code, COVERED[label])) for code, label in zip(files["diagnosis"], files["class"])
    ]
    wrong = [not allows & COVERED[label] for allows, label in zip(allowed, files["class"])]
    _leave_out_where(files, files["diagnosis"].where(wrong), DIAGNOSIS)


def _leave_out_where(files: pd.DataFrame, because_of: pd.Series, why: str) -> None:
    """Leave out the files that have a reason, by the row numbers of `files`; NaN: none."""
    because_of = because_of.dropna()
    _leave_out(files, because_of.index, why, because_of.tolist())


def _leave_out(files: pd.DataFrame, rows, why: str, because_of: list[str]) -> None:
    """The first reason of a file stands."""
    for row, cause in zip(rows, because_of):
        if not files.at[row, "left_out"]:
            files.loc[row, ["left_out", "because_of"]] = why, cause


def _near_copies(
    thumbnails: list[np.ndarray], hashes: pd.Series, index: pd.DataFrame, data: Path, bits: int, difference: float
) -> list[str | None]:
    """Of each picture the file of the data set that it nearly is, turned or mirrored or not; None where there is none.

    The files of the data set whose hash is near are decoded once more; one that has gone counts as near."""
    ways = [turned(picture) for picture in thumbnails]
    # the hash of a turned picture is that of its thumbnail turned: a bit or two away, and pixels decide
    hashed = [[own, *(str(imagehash.phash(Image.fromarray(way))) for way in of[1:])] for own, of in zip(hashes, ways)]
    once = index.drop_duplicates("content").reset_index(drop=True)
    everything = [*once["phash"], *(text for of in hashed for text in of)]
    found: list[str | None] = [None] * len(thumbnails)
    seen: dict[int, np.ndarray | None] = {}
    for first, second, _ in candidate_pairs(np.array([int(text, 16) for text in everything], np.uint64), bits):
        across = (first < len(once)) & (second >= len(once))
        for own, other in zip(first[across].tolist(), (second[across] - len(once)).tolist()):
            picture, way = divmod(other, 8)
            if found[picture] is None:
                if own not in seen:
                    looked = look(data / once["source"].iat[own])
                    seen[own] = None if isinstance(looked, str) else looked[4].astype(np.int16)
                if seen[own] is None or np.abs(seen[own] - ways[picture][way]).mean() <= difference:
                    found[picture] = once["source"].iat[own]
    return found
