"""What the data set itself says: pictures filed twice, labels that contradict each other, and what that costs.

Everything is counted from the index of lib.data.index.build_index; nothing is trained.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lib.config.paper import CLASSES, IMAGES, scenarios
from lib.data.folder import PARTS
from lib.data.metadata import DIAGNOSIS_CLASSES, isic_id, odd_lesions


def dataset_audit(
    index: pd.DataFrame, unreadable: pd.DataFrame, printed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Count what audit/dataset.json holds. Content means the decoded pixels: same size, every pixel equal.

    Takes what lib.data.index.build_index returns, and of lib.audit.printed_tables.printed_audit the test-set sizes.

    Returns, ready for JSON:
        files, unreadable_files: those that could be read, and those that could not.
        isic_ids: distinct ids under which metadata list the files (`isic_id`): a marked copy has its original's.
        marked_copies: files whose name marks a copy, as in `ISIC_0025509(1).jpg`.
        distinct_contents: distinct contents; contradictory_contents: those filed under more than one class.
        contradictory_pairs: {"class a + class b": contents filed under both}, names in alphabetical order.
        same_label_duplicates: files beyond the first of each content within a class (Train and Test together).
        near_duplicate_groups: sets of contents joined by confirmed near-duplicates; near_duplicate_contents: in them.
        official_test_in_train: files in Test whose content is also in Train (under whatever class).
        official_test_related_to_train: files in Test with the content, a near-duplicate or the lesion of one in Train.
        lesions_known: distinct lesion ids; files_with_lesion: files that have one; lesion_ids: `lesion_ids`.
        lesions_with_several_images: lesions with more than one content; images_of_those_lesions: their contents.
        odd_lesions: {lesion id: {files, classes}} of those with files of several classes, or with many.
        files_with_diagnosis: files with an official diagnosis; official_diagnoses: {class: {official code: files}}.
        label_disagreement_files, label_disagreements: the same of those whose class the diagnosis does not allow.
        diagnosed: {"filed_once", "filed_twice" (in several classes): {files with a diagnosis, contradicted by it}}.
        class_counts: {class: {part: files, ..., "all": files, "contradictory": files whose content has other labels,
            "uncontradicted": files whose class neither another label nor a diagnosis contradicts}}.
        accuracy_ceiling: {"raw": {scenario: `accuracy_ceiling` of its files}}; of the protocols: prepared/ceilings.csv.
        paper: the number of images the paper gives against the number found.
        test_of_8_1_1: for each scenario, the images of its classes, a tenth of them (smallest, largest: each class's
            tenth rounded down or up), the test-set sizes that fit the printed table (one for each group of rows, none
            without `printed`), how many times a tenth they are, and whether one of them fits the images as they are;
            fits_augmented: all fit images that are augmented, before the split or after it: sizes do not tell which.
    """
    by_content = index.groupby("content")
    classes = by_content["class"].agg(lambda names: tuple(sorted(set(names))))
    contradictory = classes[classes.map(len) > 1]
    pairs = pd.Series([" + ".join(pair) for names in contradictory for pair in combinations(names, 2)], dtype=str)
    near = by_content["near_group"].first().value_counts()
    test, train = index[index["part"] == "Test"], index[index["part"] == "Train"]
    with_lesion = index[index["lesion_id"] != ""]
    images = with_lesion.groupby("lesion_id")["content"].nunique()
    official = index[index["diagnosis"] != ""]
    disagreeing = official[disagrees(official)]
    labels = {name: index["class"].map(scenario.label_of()).dropna() for name, scenario in scenarios().items()}
    ceilings = {name: accuracy_ceiling(index["content"][label.index], label) for name, label in labels.items()}
    ids = index["image_id"].map(isic_id)
    copies = int((ids != index["image_id"]).sum())
    return {
        "files": len(index),
        "unreadable_files": len(unreadable),
        "isic_ids": ids.nunique(),
        "marked_copies": copies,
        "distinct_contents": len(classes),
        "contradictory_contents": len(contradictory),
        "contradictory_pairs": {name: int(count) for name, count in sorted(pairs.value_counts().items())},
        "same_label_duplicates": int(index.duplicated(["content", "class"]).sum()),
        "near_duplicate_groups": int((near > 1).sum()),
        "near_duplicate_contents": int(near[near > 1].sum()),
        "official_test_in_train": int(test["content"].isin(train["content"]).sum()),
        "official_test_related_to_train": int(test["group"].isin(train["group"]).sum()),
        "lesions_known": len(images),
        "files_with_lesion": len(with_lesion),
        "lesion_ids": lesion_ids(index),
        "lesions_with_several_images": int((images > 1).sum()),
        "images_of_those_lesions": int(images[images > 1].sum()),
        "odd_lesions": odd_lesions(index).to_dict("index"),
        "files_with_diagnosis": len(official),
        "label_disagreement_files": len(disagreeing),
        "label_disagreements": _cross_table(disagreeing),
        "official_diagnoses": _cross_table(official),
        "diagnosed": _diagnosed(official.assign(contradicted=disagrees(official)), set(contradictory.index)),
        "class_counts": _class_counts(index, set(contradictory.index)),
        "accuracy_ceiling": {"raw": ceilings},
        "paper": {
            "images_described": IMAGES,
            "images_found": len(index),
            "found_without_marked_copies": len(index) - copies,
            "distinct_contents": len(classes),
        },
        "test_of_8_1_1": [_tenth(index, name, (printed or {}).get("tables", {})) for name in scenarios()],
    }


def lesion_ids(index: pd.DataFrame) -> dict[str, dict[str, int]]:
    """{class: {"known": files with a lesion id, "unknown": those without, of which a group is a picture}}."""
    known = index["lesion_id"].ne("").map({True: "known", False: "unknown"})
    counts = pd.crosstab(index["class"], known)
    return counts.reindex(index=CLASSES, columns=["known", "unknown"], fill_value=0).to_dict("index")


def accuracy_ceiling(content: pd.Series, label: pd.Series) -> float | None:
    """The best accuracy that any classifier of pictures can reach: for each content, the label it has most often.

    A fraction, 0 to 1, of the images of which content and label are given; None without images (JSON has no NaN).
    """
    counts = pd.DataFrame({"content": np.asarray(content), "label": np.asarray(label)}).value_counts()
    return float(counts.groupby(level="content").max().sum() / counts.sum()) if len(counts) else None


def protocol_ceilings(index: pd.DataFrame, chosen: Mapping[str, pd.DataFrame]) -> dict[str, float | None]:
    """`accuracy_ceiling` of what a protocol tests over all its folds, for each scenario; None without images.

    `chosen` has the rows of lib.data.folds.select for each scenario. All views of a picture count as that picture: a
    classifier could exceed this only by answering differently for a picture and its augmented views.
    """
    contents = index.set_index("source")["content"]
    return {name: accuracy_ceiling(rows["source"].map(contents), rows["label"]) for name, rows in chosen.items()}


def disagrees(index: pd.DataFrame) -> np.ndarray:
    """bool [n]: the file has an official diagnosis, and it does not allow the class it is filed under."""
    pairs = zip(index["class"], index["diagnosis"])
    return np.array([code != "" and label not in DIAGNOSIS_CLASSES[code] for label, code in pairs], dtype=bool)


def flawed_files(index: pd.DataFrame, kind: str) -> list[pd.DataFrame]:
    """The files that show a flaw of the data set: for each case its one or two rows of the index.

    `kind` is `contradictory` (one content, two classes), `near_duplicates` (nearly one picture, two contents; those
    under two classes come first), or `disagreements` (class and official diagnosis).
    """
    if kind == "disagreements":
        return [file for _, file in index[disagrees(index)].groupby("source", sort=False)]
    shared, differing = {"contradictory": ("content", "class"), "near_duplicates": ("near_group", "content")}[kind]
    files = index.drop_duplicates([shared, differing]).sort_values("class", kind="stable")
    pairs = [several.iloc[[0, -1]] for _, several in files.groupby(shared) if len(several) > 1]
    return sorted(pairs, key=lambda pair: -pair["class"].nunique())


def _cross_table(files: pd.DataFrame) -> dict[str, dict[str, int]]:
    counts = files.groupby("class")["diagnosis"]
    return {label: {code: int(n) for code, n in codes.value_counts().sort_index().items()} for label, codes in counts}


def _diagnosed(files: pd.DataFrame, contradictory: set[str]) -> dict[str, dict[str, int]]:
    twice = files["content"].isin(contradictory)
    parts = {"filed_once": files.loc[~twice, "contradicted"], "filed_twice": files.loc[twice, "contradicted"]}
    return {name: {"files": len(part), "contradicted": int(part.sum())} for name, part in parts.items()}


def _class_counts(index: pd.DataFrame, contradictory: set[str]) -> dict[str, dict[str, int]]:
    columns = [*(part for part in PARTS if part in set(index["part"])), "all"]
    counts = pd.crosstab(index["class"], index["part"], margins=True, margins_name="all")
    counts = counts.reindex(index=CLASSES, columns=columns, fill_value=0)
    twice = index["content"].isin(contradictory)
    counts["contradictory"] = twice.groupby(index["class"]).sum()
    counts["uncontradicted"] = (~twice & ~disagrees(index)).groupby(index["class"]).sum()
    return counts.fillna(0).astype(int).to_dict("index")


def _tenth(index: pd.DataFrame, name: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    scenario = scenarios()[name]
    per_class = index["class"].map(scenario.label_of()).value_counts()
    images = int(per_class.sum())
    table = tables.get(str(scenario.table), {})
    # the smallest size that fits each group of rows, where no size fits all rows, or multiples of one do
    sizes = [int(group["test_n"]) for group in table.get("groups") or []] or table.get("test_n", [])
    # each class's tenth is rounded up or down: a split by class can differ by less than one per class
    smallest, largest = int((per_class // 10).sum()), int((-(-per_class // 10)).sum())
    row = {"scenario": name, "table": scenario.table, "images": images, "test_of_8_1_1": round(images / 10)}
    row |= {"smallest": smallest, "largest": largest, "printed_test_n": sizes}
    row["times"] = [round(10 * n / images, 2) for n in sizes]
    row["fits"] = any(smallest <= n <= largest for n in sizes) if sizes else None
    # augmentation can make any size from a tenth of the files on, before the split as well as after it
    return row | {"fits_augmented": all(n >= smallest for n in sizes) if sizes else None}
