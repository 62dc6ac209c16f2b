"""What the data set itself says: pictures filed twice, labels that contradict each other, and what that costs.

Everything is counted from the index that lib.data.build_index makes; nothing is trained.
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from lib.config.paper import CLASSES, Scenario
from lib.config.paper import scenarios as paper_scenarios
from lib.data.folder import UnreadableImage, decode
from lib.data.index import DIAGNOSIS_CLASSES, isic_id

PAPER_IMAGES = 2357  # abstract, sections III and IV.A


def dataset_audit(
    index: pd.DataFrame,
    unreadable: pd.DataFrame,
    printed: Mapping[str, Any] | None = None,
    scenarios: Mapping[str, Scenario] | None = None,
) -> dict[str, Any]:
    """Count what audit/dataset.json holds. Content means the decoded pixels: same size, every pixel equal.

    Args:
        index, unreadable: what lib.data.build_index returns.
        printed: what lib.audit.printed_tables found in the printed tables; adds its test-set sizes to the comparison.
        scenarios: by name; the paper's four if None.

    Returns, ready for JSON:
        files: files that could be read; unreadable_files: those that could not.
        isic_ids: distinct ids under which metadata list the files (`isic_id`): a marked copy has its original's.
        marked_copies: files whose name marks a copy, as in `ISIC_0025509(1).jpg`.
        distinct_contents: distinct contents.
        contradictory_contents: contents filed under more than one class.
        contradictory_pairs: {"class a + class b": contents filed under both}, names in alphabetical order.
        same_label_duplicates: files beyond the first of each content within a class (Train and Test together).
        near_duplicate_groups: sets of different contents joined by confirmed near-duplicates.
        near_duplicate_contents: contents in those sets.
        official_test_in_train: files in Test whose content is also in Train (under whatever class).
        official_test_related_to_train: files in Test with the content, a near-duplicate or the lesion of one in Train.
        lesions_known: distinct lesion ids; files_with_lesion: files that have one.
        lesions_with_several_images: lesions with more than one content; images_of_those_lesions: their contents.
        files_with_diagnosis: files for which the metadata gives an official diagnosis.
        label_disagreement_files: those whose class the diagnosis does not allow (lib.data.DIAGNOSIS_CLASSES).
        label_disagreements: the same as a cross table {class: {official code: files}}.
        official_diagnoses: the cross table of all files with a diagnosis, agreeing ones too.
        class_counts: {class: {part: files, ..., "all": files, "contradictory": files whose content has other labels}}.
        accuracy_ceiling: {"raw": {scenario: x}}, as `accuracy_ceiling` has it, over the files of the scenario's
            classes; None where there is none. Those of the protocols are in prepared/ceilings.csv.
        paper: the number of images the paper gives against the number found.
        test_of_8_1_1: for each scenario, the images of its classes, a tenth of them (smallest, largest: each class's
            tenth rounded down or up), the test-set sizes that fit the printed table (one for each group of rows, none
            if `by_view` is None), how many times a tenth they are, and whether one of them fits the images.
    """
    scenarios = paper_scenarios() if scenarios is None else scenarios
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
    return {
        "files": len(index),
        "unreadable_files": len(unreadable),
        "isic_ids": index["image_id"].map(isic_id).nunique(),
        "marked_copies": int((index["image_id"].map(isic_id) != index["image_id"]).sum()),
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
        "lesions_with_several_images": int((images > 1).sum()),
        "images_of_those_lesions": int(images[images > 1].sum()),
        "files_with_diagnosis": len(official),
        "label_disagreement_files": len(disagreeing),
        "label_disagreements": _cross_table(disagreeing),
        "official_diagnoses": _cross_table(official),
        "class_counts": _class_counts(index, set(contradictory.index)),
        "accuracy_ceiling": {"raw": _ceilings(index, scenarios)},
        "paper": _against_paper(index),
        "test_of_8_1_1": _tenths(index, printed, scenarios),
    }


def accuracy_ceiling(content: pd.Series, label: pd.Series) -> float:
    """The best accuracy that any classifier of pictures can reach: for each content, the label it has most often.

    A picture has one answer; where its copies carry different labels, only the most frequent one can be right.

    Args:
        content: what is the same picture, a value an image.
        label: the label of each image.

    Returns:
        fraction of the images, 0 to 1; NaN without images.
    """
    counts = pd.DataFrame({"content": np.asarray(content), "label": np.asarray(label)}).value_counts()
    return float(counts.groupby(level="content").max().sum() / counts.sum()) if len(counts) else float("nan")


def protocol_ceilings(index: pd.DataFrame, chosen: Mapping[str, pd.DataFrame]) -> dict[str, float | None]:
    """`accuracy_ceiling` of what a protocol tests over all its folds, for each scenario.

    All views of a picture count as that picture: a classifier that gives a picture and its turned, mirrored or
    contrast-changed view different answers could in principle pass it, but not by looking at the lesion.

    Args:
        index: columns source and content.
        chosen: scenario -> what lib.data.select gives for the protocol.
    """
    contents = index.set_index("source")["content"]
    return {
        name: _known(accuracy_ceiling(rows["source"].map(contents), rows["label"])) for name, rows in chosen.items()
    }


def disagrees(index: pd.DataFrame) -> np.ndarray:
    """bool [n]: the file has an official diagnosis, and it does not allow the class it is filed under."""
    pairs = zip(index["class"], index["diagnosis"])
    return np.array([code != "" and label not in DIAGNOSIS_CLASSES[code] for label, code in pairs], dtype=bool)


def worst_cases(
    index: pd.DataFrame, folder: Path, kind: str, count: int = 8
) -> list[list[tuple[np.ndarray, list[str]]]]:
    """Pairs of files that show a flaw at its worst, as lib.figures.worst_cases draws them; never to be committed.

    Args:
        index: what lib.data.build_index returns.
        folder: the data set.
        kind: `contradictory` (one content, two classes), `near_duplicates` (nearly one picture, two contents; those
            under two classes or in Train and Test come first), or `disagreements` (class and official diagnosis).
        count: most pairs; kinds of classes take turns.

    Returns:
        a list a case: of each of its files the picture (uint8 [height, width, 3], at most 256 px) and what to write
        over it: image id, class, and part or official diagnosis. Empty where the data set has no such flaw.

    Raises:
        ValueError: unknown kind.
    """
    kinds = ("contradictory", "near_duplicates", "disagreements")
    if kind not in kinds:
        raise ValueError(f"no kind of worst cases {kind!r}; expected one of {', '.join(kinds)}")
    return [
        [
            (
                _small(Path(folder) / file["source"]),
                [file["image_id"], file["class"]]
                + [f"official: {file['diagnosis']}" if kind == "disagreements" else file["part"]],
            )
            for file in case
        ]
        for case in _cases(index, kind)[:count]
    ]


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value


def _ceilings(index: pd.DataFrame, scenarios: Mapping[str, Scenario]) -> dict[str, float | None]:
    ceilings = {}
    for name, scenario in scenarios.items():
        label = index["class"].map(scenario.label_of())
        ceilings[name] = _known(accuracy_ceiling(index["content"][label.notna()], label.dropna()))
    return ceilings


def _cross_table(files: pd.DataFrame) -> dict[str, dict[str, int]]:
    counts = files.groupby(["class", "diagnosis"]).size()
    return {
        label: {code: int(counts[label, code]) for code in sorted(counts[label].index)}
        for label in CLASSES
        if label in counts.index.get_level_values("class")
    }


def _class_counts(index: pd.DataFrame, contradictory: set[str]) -> dict[str, dict[str, int]]:
    parts = [part for part in ("Train", "Test") if part in set(index["part"])]
    counts = {}
    for label in CLASSES:
        files = index[index["class"] == label]
        counts[label] = {part: int((files["part"] == part).sum()) for part in parts}
        counts[label] |= {"all": len(files), "contradictory": int(files["content"].isin(contradictory).sum())}
    return counts


def _against_paper(index: pd.DataFrame) -> dict[str, int | str]:
    copies = int((index["image_id"].map(isic_id) != index["image_id"]).sum())
    return {
        "images_described": PAPER_IMAGES,
        "images_found": len(index),
        "found_without_marked_copies": len(index) - copies,
        "distinct_contents": index["content"].nunique(),
        "class_counts_described": "none in the text: Fig. 7 prints them as a picture only, so they are not compared",
    }


def _tenths(
    index: pd.DataFrame, printed: Mapping[str, Any] | None, scenarios: Mapping[str, Scenario]
) -> list[dict[str, Any]]:
    tables = (printed or {}).get("tables", {})
    rows = []
    for name, scenario in scenarios.items():
        per_class = index["class"].map(scenario.label_of()).value_counts()
        images = int(per_class.sum())
        table = tables.get(str(scenario.table), {})
        # the smallest size that fits each group of rows, where no size fits all rows, or multiples of one do
        printed = [int(group["test_n"]) for group in table.get("groups") or []] or [
            int(n) for n in table.get("test_n", [])
        ]
        rows.append(
            {
                "scenario": name,
                "table": scenario.table,
                "images": images,
                "test_of_8_1_1": round(images / 10),
                # each class's tenth is rounded up or down: a split by class can differ by less than one a class
                "smallest": int((per_class // 10).sum()),
                "largest": int((-(-per_class // 10)).sum()),
                "printed_test_n": printed,
                "times": [round(10 * n / images, 2) for n in printed],
                "fits": any((per_class // 10).sum() <= n <= (-(-per_class // 10)).sum() for n in printed)
                if printed
                else None,
            }
        )
    return rows


def _cases(index: pd.DataFrame, kind: str) -> list[list[dict]]:
    """Cases of one or two files, kinds of classes taking turns, the most frequent kind first."""
    cases: list[tuple[int, tuple, list[dict]]] = []  # (rank, kind of classes, files)
    if kind == "disagreements":
        rows = index[disagrees(index)].to_dict("records")
        cases = [(0, (row["class"], row["diagnosis"]), [row]) for row in rows]
    else:
        differing, column = ("class", "content") if kind == "contradictory" else ("content", "near_group")
        for _, files in index.groupby(column, sort=False):
            files = files.drop_duplicates(differing)
            if len(files) < 2:
                continue
            first = files.iloc[0]
            # of more than two, the one that differs most from the first: other class, then other part
            other = (files["class"] != first["class"]) * 2 + (files["part"] != first["part"])
            second = files.loc[other.iloc[1:].idxmax()]
            rank = -int(other[second.name]) if kind == "near_duplicates" else 0
            cases.append((rank, tuple(sorted((first["class"], second["class"]))), [first.to_dict(), second.to_dict()]))
    table = pd.DataFrame(cases, columns=["rank", "classes", "files"])
    alike = table.groupby(["rank", "classes"])["classes"]
    table = table.assign(turn=alike.cumcount(), size=-alike.transform("size"))
    return table.sort_values(["rank", "turn", "size", "classes"], kind="stable")["files"].tolist()


def _small(path: Path) -> np.ndarray:
    """A picture of at most 256 px for showing; grey where the file has gone since it was indexed."""
    try:
        pixels = decode(path)
    except UnreadableImage:
        return np.full((64, 64, 3), 200, np.uint8)
    scale = min(1.0, 256 / max(pixels.shape[:2]))
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
