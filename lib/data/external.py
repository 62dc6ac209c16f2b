"""External images: which files of a folder are not of the data set, so that its models can be scored on them.

A file is excluded, with its reason, where it is an image of the data set, nearly is one, or shows one of its lesions,
and so is whatever is joined to such a file. The others took part in no fitting.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from lib.config.paper import CLASSES, MALIGNANT, Scenario
from lib.data.duplicates import add_groups, hash_numbers, near_hashes, rotated_and_mirrored
from lib.data.folder import as_text, check_external, external_labels, lacking
from lib.data.index import look, look_at
from lib.data.metadata import DIAGNOSIS_CLASSES, isic_id, read_metadata

FILES = ["source", "image_id", "class", "diagnosis", "lesion_id", "group", "excluded", "because_of"]

# the classes of the data set that a folder stands for
COVERED = {name: {name} for name in CLASSES}
COVERED |= {"benign": set(CLASSES) - set(MALIGNANT), "malignant": set(MALIGNANT)}


def read_external(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    metadata: Sequence[Path],
    index: pd.DataFrame,
    data: Path,
    bits: int,
    difference: float,
) -> pd.DataFrame:
    """Decode every external image once and say which are excluded.

    Near-duplicates are those of the index (lib.data.duplicates), and their rotated and mirrored copies too, since the
    models are trained on such views. A crop, or another photograph of a lesion whose id is not known, is not found.

    Args:
        folder, scenarios: as `check_external` takes them.
        metadata: files for `read_metadata`, which may name these images too; may be none.
        index: one row per file of the data set (audit/images.parquet), `source` relative to `data`.
        bits, difference: what confirms a near-duplicate, as for `build_index`.

    Returns:
        FILES, one row per file, by source. `excluded` is the reason, "" where the file is kept.
        `because_of` names the file of the data set or of the folder, the diagnosis, or why it cannot be read.
        `group` joins near-duplicates and images of one lesion among these files.
    """
    listed = check_external(folder, scenarios)
    sources = [path.relative_to(folder).as_posix() for _, path in listed]
    rows = [(as_text(source), as_text(path.stem), label) for source, (label, path) in zip(sources, listed)]
    files = pd.DataFrame(rows, columns=FILES[:3]).assign(diagnosis="", lesion_id="", group=-1)
    files[["excluded", "because_of"]] = ""
    if metadata:
        known = read_metadata(metadata).reindex(files["image_id"].map(isic_id)).fillna("")
        files[["diagnosis", "lesion_id"]] = known.to_numpy()
    looks = look_at(folder, sources, 2, "external images read")
    readable = looks["reason"] == ""
    _exclude(files, "cannot be read", looks["reason"][~readable])
    if readable.any():
        pictures = files.join(looks)[readable]
        pictures = add_groups(pictures, np.stack(pictures["thumbnail"]), bits, difference)
        files.loc[readable, "group"] = pictures["group"]
        _exclude_known(files, pictures, _near_copies(pictures, index, data, bits, difference), index)
        _exclude_unsure(files, pictures)
    return files[FILES].sort_values("source", ignore_index=True)


def external_images(files: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """The files of `read_external` that a scenario's models are scored on: source, image_id, group, true_class.

    None where a class of the scenario has no file that is kept (`lacking`)."""
    kept = files[files["excluded"] == ""]
    kept = kept.assign(true_class=kept["class"].map(external_labels(scenario)))
    if lacking(scenario, set(kept["class"])):
        kept = kept.iloc[:0]
    return kept.dropna(subset="true_class")[["source", "image_id", "group", "true_class"]].reset_index(drop=True)


def _exclude_known(files: pd.DataFrame, pictures: pd.DataFrame, near: pd.Series, index: pd.DataFrame) -> None:
    """Exclude what is in the data set, nearly is (`near` names the file), or is joined to such a file."""
    contents = index.drop_duplicates("content").set_index("content")["source"]
    _exclude(files, "is an image of the data set", pictures["content"].map(contents))
    _exclude(files, "is nearly an image of the data set", near)
    ids = pd.Series(index["source"].to_numpy(), index=index["image_id"].map(isic_id))
    ids = ids[ids.index.str.match(r"ISIC_\d+$") & ~ids.index.duplicated()]  # other names may repeat by chance
    _exclude(files, "has the ISIC id of an image of the data set", pictures["image_id"].map(isic_id).map(ids))
    lesions = index[index["lesion_id"] != ""].drop_duplicates("lesion_id").set_index("lesion_id")["source"]
    _exclude(files, "shows a lesion of the data set", pictures["lesion_id"].map(lesions))
    excluded = files[(files["excluded"] != "") & (files["group"] >= 0)].drop_duplicates("group").set_index("group")
    joined = pictures["group"].map(excluded["source"])
    _exclude(files, "is a near-duplicate of an excluded file, or shows its lesion", joined)


def _exclude_unsure(files: pd.DataFrame, pictures: pd.DataFrame) -> None:
    """Exclude what lies in two classes, repeats another file, or is contradicted by its official diagnosis."""
    for _, alike in pictures.groupby("near_group"):
        if not set.intersection(*alike["class"].map(COVERED)):
            others = [alike.loc[alike["class"] != label, "source"].iloc[0] for label in alike["class"]]
            _exclude(files, "lies in two classes, itself or nearly", pd.Series(others, index=alike.index))
    kept = pictures[files.loc[pictures.index, "excluded"] == ""].sort_values("source")
    first = kept.groupby("content")["source"].transform("first")
    _exclude(files, "is a copy of another external image", first.where(first != kept["source"]))
    wrong = [
        code in DIAGNOSIS_CLASSES and COVERED[label].isdisjoint(DIAGNOSIS_CLASSES[code])
        for code, label in zip(files["diagnosis"], files["class"])
    ]
    _exclude(files, "has another official diagnosis", files["diagnosis"].where(wrong))


def _exclude(files: pd.DataFrame, reason: str, because_of: pd.Series) -> None:
    """Exclude the files that have a cause in `because_of`, NaN where there is none. A file keeps its first reason."""
    causes = because_of.dropna()
    causes = causes[files.loc[causes.index, "excluded"] == ""]
    files.loc[causes.index, "excluded"] = reason
    files.loc[causes.index, "because_of"] = causes


def _near_copies(pictures: pd.DataFrame, index: pd.DataFrame, data: Path, bits: int, difference: float) -> pd.Series:
    """For each picture the file of the data set that it nearly is, rotated or mirrored or not; None: there is none.

    Files of the data set whose hash is near are decoded again; one that is no longer there counts as near."""
    once = index.drop_duplicates("content")
    sources, known, look_once = once["source"].to_numpy(), hash_numbers(once["phash"]), cache(look)

    def near_copy(picture: pd.Series) -> str | None:
        for number, pose in enumerate(rotated_and_mirrored(picture["thumbnail"])):
            # the hash of a rotated picture is that of its thumbnail, rotated: a bit or two away, and pixels decide
            phash = str(imagehash.phash(Image.fromarray(pose))) if number else picture["phash"]
            for source in sources[near_hashes(known, *hash_numbers([phash]), bits)]:
                *_, own, reason = look_once(data / source)
                if reason or np.abs(own.astype(np.int16) - pose).mean() <= difference:
                    return source
        return None

    return pictures.apply(near_copy, axis=1)
