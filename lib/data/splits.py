"""The three protocols: which image, under which label, goes into which part.

`published` keeps the leak that the printed test sets imply: pool, augment, and only then split.
`grouped` splits first, by group. `clean` is `grouped` with labels that hold.
The protocols differ in what they hold back, never in the model.
"""

import zlib

import numpy as np
import pandas as pd

from lib.config import MALIGNANT, Scenario
from lib.data.index import DIAGNOSIS_CLASSES

PARTS = ("train", "val", "test")
COLUMNS = ["source", "image_id", "class", "folder_class", "group", "view", "part", "part_two_classes"]


def split(
    index: pd.DataFrame,
    protocol: str,
    pool_sizes: dict[str, int],
    pool_size_benign_malignant: int,
    min_test_images: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every view of every image that a protocol uses, with its part in either pool.

    One pool serves the nine classes (six_benign and three_malignant slice its split), another the two classes.
    A view that is in both stands in one row.

    Args:
        index: a row a file: source, image_id, class, content, diagnosis, group (audit/images.parquet).
        pool_sizes: images a class after augmentation; under `grouped` and `clean` the training part gets 8/10 of it.
        pool_size_benign_malignant: the same for benign and for malignant.
        min_test_images: a class whose tenth is smaller is not split: all of it is for training, none is tested.

    Returns:
        The views (COLUMNS, sorted by source and view; `part` and `part_two_classes` are "" where the view is not
        in that pool), and the files whose label was changed or that were dropped
        (source, image_id, folder_class, class, reason).
    """
    files = index.drop(columns="part").assign(folder_class=index["class"]).sort_values("source", ignore_index=True)
    changes = pd.DataFrame(columns=["source", "image_id", "folder_class", "class", "reason"])
    if protocol == "clean":
        files, changes = relabel(files)
    files["two_classes"] = np.where(files["class"].isin(MALIGNANT), "malignant", "benign")
    two_sizes = dict.fromkeys(("benign", "malignant"), pool_size_benign_malignant)
    if protocol == "published":
        nine = _pool_then_split(files, "class", pool_sizes, seed)
        two = _pool_then_split(files, "two_classes", two_sizes, seed)
    else:
        parts = _split_groups(files, min_test_images, seed)
        nine = _split_then_augment(files, parts, "class", pool_sizes, seed)
        two = _split_then_augment(files, parts, "two_classes", two_sizes, seed)
    views = nine.merge(two, on=["source", "view"], how="outer", suffixes=("", "_two_classes")).fillna("")
    views = views.merge(files, on="source", how="left")[COLUMNS]
    return views.sort_values(["source", "view"], ignore_index=True), changes


def relabel(files: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels that hold, for the `clean` protocol.

    Identical content under two classes takes the official diagnosis, and is dropped where there is none or where
    the diagnosis names two classes that both claim it; any other label that contradicts the diagnosis is corrected.
    BKL covers pigmented benign and seborrheic keratosis: it corrects neither into the other, and a file of a third
    class with that diagnosis is dropped. Of identical files one is kept.

    Returns:
        The files kept with their label in `class`, and what was changed or dropped with the reason.
    """
    label = pd.Series("", index=files.index)
    reason = pd.Series("", index=files.index)
    for _, copies in files.groupby("content", sort=False):
        claimed = set(copies["folder_class"])
        codes = set(copies["diagnosis"]) - {""}
        official = set.intersection(*(set(DIAGNOSIS_CLASSES[code]) for code in codes)) if codes else claimed
        fits = claimed & official or official
        if len(fits) == 1:
            answer = fits.pop()
            right = copies["folder_class"] == answer
            kept = copies[right].index[0] if right.any() else copies.index[0]
            label[kept] = answer
            reason[copies.index.drop(kept)] = f"copy of {files['source'][kept]}"
            if not right.any():
                reason[kept] = f"official diagnosis {'/'.join(sorted(codes))}"
        else:
            known = f"diagnosis {'/'.join(sorted(codes))} does not decide" if codes else "no diagnosis decides"
            reason[copies.index] = f"{known} between {' and '.join(sorted(claimed | official if codes else claimed))}"
    files = files.assign(**{"class": label})
    changes = files.loc[reason != "", ["source", "image_id", "folder_class", "class"]]
    changes = changes.assign(reason=reason[reason != ""]).reset_index(drop=True)
    return files[label != ""].reset_index(drop=True), changes


def not_evaluable(views: pd.DataFrame, scenarios: dict[str, Scenario], min_test_images: int) -> pd.DataFrame:
    """The classes of each scenario with fewer than `min_test_images` in the test part: scenario, class, counts, reason.

    These rows are what the report shows in place of a number.
    """
    rows = []
    for name, scenario in scenarios.items():
        chosen = select(views, scenario)
        for label in scenario.names:
            count = chosen.loc[chosen["label"] == label, "part"].value_counts()
            if count.get("test", 0) < min_test_images:
                reason = f"{count.get('test', 0)} test images, at least {min_test_images} are needed"
                counts = {f"{part}_images": count.get(part, 0) for part in PARTS}
                rows.append({"scenario": name, "class": label, **counts, "reason": reason})
    return pd.DataFrame(rows, columns=["scenario", "class", *(f"{part}_images" for part in PARTS), "reason"])


def select(views: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """The views that take part in a scenario, with `row` (in images.npy), `label` (its class there) and `part`."""
    part = "part_two_classes" if scenario.pool == "two_classes" else "part"
    chosen = views.assign(row=np.arange(len(views)), label=views["class"].map(scenario.label_of()), part=views[part])
    return chosen[chosen["label"].notna() & (chosen["part"] != "")].reset_index(drop=True)


def mixed_share(chosen: pd.DataFrame, by: str = "group") -> float:
    """The share of test views of which another view with the same `by` (source, group) is in the training part."""
    test = chosen[chosen["part"] == "test"]
    seen = chosen.loc[chosen["part"] == "train", by]
    return float(test[by].isin(seen).mean()) if len(test) else float("nan")


def examples(views: pd.DataFrame, per_class: int) -> list[int]:
    """Rows of the first views of one much-augmented image of each class, to look at."""
    rows = []
    for _, members in views.groupby("class"):
        most = members["source"].value_counts(sort=True).index[0]
        rows += members.index[members["source"] == most][:per_class].tolist()
    return rows


def _pool_then_split(files: pd.DataFrame, column: str, sizes: dict[str, int], seed: int) -> pd.DataFrame:
    """source, view, part: each class is brought to its pool size, then its views are split 8-1-1 at random."""
    pools = []
    for label, members in files.groupby(column):
        random = _random(seed, "published", column, label)
        pool = _views(members["source"], sizes[label], random)
        if len(pool) > sizes[label]:  # more files than the pool holds
            pool = pool.iloc[random.permutation(len(pool))[: sizes[label]]]
        tenth = round(len(pool) / 10)
        parts = np.repeat(PARTS, [len(pool) - 2 * tenth, tenth, tenth])
        pools.append(pool.assign(part=random.permutation(parts)))
    return pd.concat(pools, ignore_index=True)


def _split_then_augment(
    files: pd.DataFrame, parts: pd.Series, column: str, sizes: dict[str, int], seed: int
) -> pd.DataFrame:
    """source, view, part: only the training files of a class are augmented, to 8/10 of its pool size."""
    pools = []
    for label, members in files.groupby(column):
        part = parts[members.index]
        train = _views(members["source"][part == "train"], round(0.8 * sizes[label]), _random(seed, column, label))
        held_out = pd.DataFrame({"source": members["source"], "view": 0, "part": part})[part != "train"]
        pools += [train.assign(part="train"), held_out]
    return pd.concat(pools, ignore_index=True)


def _views(sources: pd.Series, size: int, random: np.random.Generator) -> pd.DataFrame:
    """Every source as it is (view 0), then augmented views of the sources in turn until there are `size`."""
    order = random.permutation(sources.to_numpy())
    total = max(size, len(order)) if len(order) else 0
    numbers = np.arange(total)
    return pd.DataFrame({"source": order[numbers % max(len(order), 1)], "view": numbers // max(len(order), 1)})


def _split_groups(files: pd.DataFrame, min_test_images: int, seed: int) -> pd.Series:
    """The part of each file: groups stay whole and each class is split 8-1-1 as nearly as its groups allow.

    Large groups are placed first, each in a part drawn in proportion to what the part still lacks; the many
    single images that come last fill the parts exactly.
    """
    counts = pd.crosstab(files["group"], files["class"])
    tenth = (counts.sum() / 10).round().astype(int)
    tenth[tenth < min_test_images] = 0  # too few to be tested: all for training
    lacks = {"train": counts.sum() - 2 * tenth, "val": tenth.copy(), "test": tenth.copy()}
    random = _random(seed, "groups")
    counts = counts.iloc[random.permutation(len(counts))]
    counts = counts.iloc[np.argsort(-counts.sum(axis=1).to_numpy(), kind="stable")]
    part_of = {}
    for group, count in zip(counts.index, counts.to_numpy()):
        has = count > 0
        room = [lacks[part].to_numpy()[has].min() if _fits(lacks[part], count) else 0 for part in PARTS]
        part = random.choice(PARTS, p=np.array(room) / sum(room)) if sum(room) else "train"
        part_of[group] = part
        lacks[part] -= count
    return files["group"].map(part_of)


def _fits(lacks: pd.Series, count: np.ndarray) -> bool:
    return bool((lacks.to_numpy() >= count)[count > 0].all())


def _random(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])
