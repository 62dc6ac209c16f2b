"""What the report says of the printed tables, of the data set and its labels, and of the protocols."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.pool import POOLS
from lib.data.protocols import UNUSED
from lib.figures.dataset import draw_sample_images
from lib.figures.printed import draw_fitting_sizes, draw_sizes_against_split
from lib.figures.style import roman
from lib.report import html, wording
from lib.report.columns import columns
from lib.report.data import read_csv, read_parquet, read_pool
from lib.report.show import facts, show

MOST_PICTURES, MOST_ROWS = 6, 25  # shown on the page; the files have all
PRINTED, DATA_SET = "audit/printed.json", "audit/dataset.json"
DATA_SET_CAPTIONS = {
    "contradictory_pairs": "Identical pictures filed under two classes.",
    "label_disagreements": "Folder (rows) against an official diagnosis that contradicts it (columns), in files.",
    "official_diagnoses": "Folder (rows) against the official diagnosis (columns), where there is one, in files.",
    "class_counts": "Files of each class, and how many of them share their picture with another class.",
    "accuracy_ceiling": "The best accuracy any classifier can reach, since one picture has one answer; per cent.",
    "paper": "The data set against the paper's description.",
    "test_of_8_1_1": "Test sets of an 8-1-1 split of the files, against those that the printed accuracies imply.",
}


def printed_audit(paths: StudyPaths) -> HTML:
    """What 01_audit finds in the printed tables."""
    audit, runs = read_json(paths.printed_audit), {"01_audit": html.notebook(paths, "audit")}
    if audit is None:
        return html.missing(f"{PRINTED} is not there: the printed tables were not audited.")
    sizes = pd.DataFrame(
        {
            "table": roman(number),
            "val_n": wording.shortened(table["val_n"], "none"),
            "test_n": wording.shortened(table["test_n"], "none"),
            "groups_of_rows": "; ".join(
                f"{g['test_n']}: {len(g['rows'])} of {len(table['rows'])}" for g in table["groups"]
            ),
            "impossible_rows": sum(row.get("confusion_matrices") == 0 for row in table["rows"]),
        }
        for number, table in audit["tables"].items()
    )
    errors = [_in_words(pd.DataFrame(audit[key])) for key in ("row_errors", "text_errors")]
    text = f"{len(errors[0])} errors of printed rows and {len(errors[1])} of numbers in the text were found; of all "
    text += f"{audit['detection']['changes']:,} changes of one digit the audit would catch "
    text += f"{wording.percent(audit['detection']['share'])}."
    fitting, pool = draw_fitting_sizes(audit["tables"]), audit["pool"]
    parts = [
        html.result(text),
        show(sizes, "printed-sizes", "Sizes of the test sets that give every printed accuracy.", PRINTED, runs=runs),
        html.figure(
            "fitting-sizes", fitting, "Which sizes fit", "A full column of dots is a size that all rows share.",
            "; ".join(f"Table {row.table}: {row.groups_of_rows}" for row in sizes.itertuples()), PRINTED, runs,
        ),
        html.figure(
            "implied-pool", draw_sizes_against_split(pool), "Too large a test set",
            "Bars above the dashed line: what was split was larger than the data set.",
            f"Test sets that the tables imply against the {pool['test_n_expected']} of an 8-1-1 split.", PRINTED, runs,
        ),
    ]  # fmt: skip
    tables = {
        "row-errors": (errors[0], "Printed rows that contradict themselves or another row."),
        "text-errors": (errors[1], "Numbers in the text that differ from the tables."),
        "pool-sums": (
            _in_words(pd.DataFrame(pool.get("sums", []))),
            "Six benign and three malignant classes make up the nine: do the sizes?",
        ),
    }
    return html.joined(
        [*parts, *(_show_if_any(table, name, caption, PRINTED) for name, (table, caption) in tables.items())]
    )


def dataset_audit(paths: StudyPaths) -> HTML:
    """What 01_audit finds in the data set."""
    audit = read_json(paths.dataset_audit)
    if audit is None:
        return html.missing(f"{DATA_SET} is not there: the data set was not audited.")
    single = {key: value for key, value in audit.items() if not isinstance(value, (dict, list))}
    parts = [show(facts(single), "dataset-counts", "The data set in numbers.", DATA_SET)]
    for key, value in audit.items():
        if isinstance(value, (dict, list)) and value:
            caption = DATA_SET_CAPTIONS.get(key, f"{key.replace('_', ' ').capitalize()}.")
            parts.append(show(_as_table(value), f"dataset-{key.replace('_', '-')}", caption, DATA_SET))
    return html.joined(parts, "side-by-side")


def worst_cases(paths: StudyPaths, study: Study) -> HTML:
    """Pictures filed under more than one class, with these classes."""
    views, images = read_pool(paths)
    files = read_parquet(paths.image_index)
    if views is None or files is None:
        return html.missing("No index of the data set's images: contradictory pictures cannot be shown.")
    classes = files.groupby("content")["class"].agg(lambda names: " = ".join(sorted(set(names))))
    rows = views[(views["view"] == 0)].drop_duplicates("source").reset_index().set_index("source")["index"]
    contradictory = files[files["content"].map(classes) != files["class"]].drop_duplicates("content")
    shown = contradictory[contradictory["source"].isin(rows.index)].head(MOST_PICTURES)
    if shown.empty:
        return html.part("note", text="No prepared picture is filed under more than one class.")
    pictures = [(classes[row.content], images[rows[row.source]]) for row in shown.itertuples()]
    return html.figure(
        "worst-cases", draw_sample_images(pictures), f"One picture, two labels{html.if_synthetic(study)}",
        f"{len(shown)} of {len(contradictory)} pictures that the data set files under more than one class.",
        "Pictures filed under several classes: " + "; ".join(title for title, _ in pictures),
        "audit/images.parquet", {"01_audit": html.notebook(paths, "audit")},
    )  # fmt: skip


def label_errors(suspects: Mapping[str, Any]) -> HTML:
    """The labels that look most wrong, and how many of them the official diagnosis confirms.

    Args:
        suspects: what lib.audit.labels.label_errors gives.
    """
    ranked, precision = suspects["ranked"], suspects["precision"]
    if suspects["reason"] or ranked.empty:
        return html.missing(f"Label errors were not looked for: {suspects['reason'] or 'no image to rank'}.")
    columns = ["rank", "image_id", "class", "suggested", "p_given", "p_suggested", "diagnosis", "kind"]
    ranked = ranked.sort_values("rank").head(MOST_ROWS)
    caption = f"The {len(ranked)} likeliest label errors of {len(suspects['ranked'])} images, out of fold."
    parts = [show(ranked[columns], "label-errors", caption, "tables/label_errors.csv")]
    if len(precision):
        precision = precision[precision["class"] == "all"].drop(columns="class")
        caption = "How many of the first k the official diagnosis confirms, against a random order."
        parts.append(show(precision, "label-error-precision", caption, "tables/label_errors_precision.csv"))
    return html.joined(parts)


def missed_pairs(paths: StudyPaths, study: Study, found: Mapping[str, Any]) -> HTML:
    """How many pairs of known lesions the hash and the features find, and the pairs that only features find.

    Args:
        found: what lib.audit.near_duplicates.near_duplicate_recall gives.
    """
    if found["reason"]:
        return html.missing(f"Near-duplicates by features were not looked for: {found['reason']}.")
    pairs, apart = found["pairs"], (~found["pairs"]["same_group"].astype(bool)).sum()
    text = f"Features find {len(pairs)} pairs that the hash misses; {apart} of them lie in two groups, which by_lesion "
    text += "may deal to both sides of a split."
    caption = (
        f"Pairs of different pictures. Features find a pair where the mean cosine over {', '.join(found['backbones'])} "
        f"is at least {found['threshold']:.3f}, which the hash's own {found['hash_pairs']} pairs set."
    )
    titles, source = {"recall": "Share of all pairs of one lesion"}, "tables/near_duplicate_recall.csv"
    parts = [html.result(text), show(found["recall"], "near-duplicate-recall", caption, source, titles=titles)]
    if len(pairs):
        columns = ["first", "second", "similarity", "difference", "same_class", "same_lesion", "same_group"]
        shown = pairs[columns].head(MOST_ROWS).rename(columns={"difference": "grey_levels"})
        caption = f"The {len(shown)} most similar pairs that the hash misses. –: a lesion is not known."
        parts.append(_pair_pictures(paths, study, pairs.head(MOST_PICTURES)))
        parts.append(show(shown, "near-duplicates", caption, "tables/near_duplicates.csv", data=pairs, folded=True))
    return html.joined(parts)


def protocol_sizes(paths: StudyPaths, study: Study) -> HTML:
    """What takes part under each protocol, what of the test is in training, too, and the best accuracy possible."""
    views = read_parquet(paths.views)
    tables = {name: read_parquet(paths.protocol(name)) for name in study.protocols}
    rows = [
        _pool_sizes(table[table[f"tenth_{pool}"] != UNUSED], f"tenth_{pool}", views) | {"protocol": name, "pool": pool}
        for name, table in tables.items()
        for pool in POOLS
        if table is not None and views is not None
    ]
    if not rows:
        return html.missing("No prepared images: nothing to count.")
    caption = "Views that take part. A group (a lesion with its images and their copies) in several tenths is a leak."
    columns = ["protocol", "pool", "views", "originals", "least", "most", "lesions", "crossing"]
    parts = [show(pd.DataFrame(rows), "protocol-sizes", caption, "prepared/*.parquet", columns)]
    seen, best = (read_csv(path) for path in (paths.seen_in_training, paths.ceilings))
    if seen is not None:
        titles = {"file": "file_in_training", "group": "group_in_training"}
        seen = seen[seen["protocol"].isin(study.protocols)].rename(columns=titles)
        caption = "Test views with another view of the same file, or of the same group, in training, per cent."
        parts.append(show(seen, "seen-in-training", caption, "prepared/seen_in_training.csv"))
    if best is not None:
        best = best.pivot(index="scenario", columns="protocol", values="ceiling").rename_axis(columns=None)
        caption = "The best accuracy that any classifier can reach, per cent: one picture has one answer."
        columns = ["scenario", *(name for name in study.protocols if name in best)]
        parts.append(show(best.reset_index(), "ceilings", caption, "prepared/ceilings.csv", columns))
    return html.joined(parts)


def protocol_changes(paths: StudyPaths, study: Study) -> HTML:
    """What `clean` changed: labels corrected or dropped; and the classes with too few images to test."""
    changes, few = read_csv(paths.label_changes), read_csv(paths.not_evaluable)
    if changes is None:
        return html.missing("No prepared/label_changes.csv: what clean changed is not known.")
    changes = changes.assign(label_used=changes["class"].fillna("dropped"))
    dropped = (changes["label_used"] == "dropped").sum()
    kinds = changes.groupby(["folder_class", "label_used", "reason"]).size().rename("files").reset_index()
    caption = "What clean does with labels, by kind."
    parts = [
        html.result(f"`clean` corrects {len(changes) - dropped} labels and drops {dropped} files."),
        show(kinds, "label-changes", caption, "prepared/label_changes.csv", data=changes, folded=len(kinds) > 12),
    ]
    few = pd.DataFrame() if few is None else few[few["protocol"].isin(study.protocols)]
    caption = "Classes with too few original images over all folds: not evaluable, and not among the scores."
    return html.joined([*parts, _show_if_any(few, "not-evaluable", caption, "prepared/not_evaluable.csv")])


def _show_if_any(table: pd.DataFrame, name: str, caption: str, source: str) -> HTML:
    return show(table, name, caption, source) if len(table) else html.part("note", text=f"{caption} None was found.")


def _as_table(value: Mapping[str, Any] | list[dict]) -> pd.DataFrame:
    """A value of audit/dataset.json: a list of records, a cross table, or names and values."""
    if isinstance(value, list):
        return pd.DataFrame(value)
    if all(isinstance(row, dict) for row in value.values()):
        table = pd.DataFrame.from_dict(value, orient="index").rename_axis("name").reset_index()
        return table.assign(name=[columns()[name]["title"] if name in columns() else name for name in table["name"]])
    return facts(value)


def _in_words(errors: pd.DataFrame) -> pd.DataFrame:
    """Numbers of tables as the paper writes them, and keys in text as words."""

    def say(value: Any) -> Any:
        return wording.plain(value) if isinstance(value, str) else value

    errors = errors.map(say).drop(columns="scores", errors="ignore")
    for key in {"table", "tables", "of"} & set(errors):
        errors[key] = [
            ", ".join(roman(number) for number in ([value] if isinstance(value, str) else value))
            for value in errors[key]
        ]
    return errors


def _pool_sizes(used: pd.DataFrame, tenth: str, views: pd.DataFrame) -> dict[str, int]:
    """Of the rows of a protocol that take part: views, originals, the smallest and largest tenth, groups, and groups
    that lie in several tenths."""
    sizes, spread = used.groupby(tenth).size(), used.groupby("group")[tenth].nunique()
    counts = {"views": len(used), "originals": (views.loc[used["row"], "view"] == 0).sum(), "least": sizes.min()}
    return counts | {"most": sizes.max(), "lesions": len(spread), "crossing": (spread > 1).sum()}


def _pair_pictures(paths: StudyPaths, study: Study, pairs: pd.DataFrame) -> HTML:
    views, images = read_pool(paths)
    if views is None:
        return html.missing("The prepared images are not there: the pairs cannot be shown.")
    rows = dict(zip(views["source"][views["view"] == 0], np.flatnonzero(views["view"] == 0)))
    shown = []
    for pair in pairs.itertuples():
        shown.append((f"{pair.class_first}, similarity {pair.similarity:.2f}", images[rows[pair.first]]))
        shown.append((f"{pair.class_second}, differ by {pair.difference:.1f}", images[rows[pair.second]]))
    alt = "Pairs of pictures that are nearly the same: " + "; ".join(title for title, _ in shown)
    title, caption = (
        f"Nearly one picture, missed by the hash{html.if_synthetic(study)}",
        f"{len(pairs)} pairs, side by side.",
    )
    figure = draw_sample_images(shown, columns=6)
    return html.figure("near-duplicate-pictures", figure, title, caption, alt, source="tables/near_duplicates.csv")
