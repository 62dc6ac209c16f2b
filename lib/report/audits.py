"""What the report says of the printed tables, of the data set and its labels, and of the protocols."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from lib.audit.near_duplicates import SHARE
from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import StudyPaths
from lib.data.folds import UNUSED
from lib.data.pool import POOLS
from lib.figures.dataset import draw_sample_images
from lib.figures.printed import draw_fitting_sizes, draw_sizes_against_split
from lib.figures.style import roman
from lib.report import html, wording
from lib.report.data import read_csv, read_parquet, read_pool, to_records

MOST_CONTRADICTORY, MOST_SUSPECTS = 5, 25  # pictures and labels that are shown; the files have all
MOST_PAIRS, MOST_PAIR_PICTURES = 25, 6  # pairs that the hash misses, in the table and as pictures
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
    """What 01_audit finds in the printed tables (audit/printed.json)."""
    audit = read_json(paths.printed_audit)
    if audit is None:
        return html.missing("audit/printed.json is not there: the printed tables were not audited.")
    source, link = "audit/printed.json", html.notebook(paths, "audit")
    behind = {"01_audit": link}
    sizes = []
    for number, table in audit.get("tables", {}).items():
        groups = [
            f"{group['test_n']}: {len(group['rows'])} of {len(table['rows'])}" for group in table.get("groups", [])
        ]
        sizes.append(
            {
                "table": f"Table {roman(number)}",
                "val_n": wording.shortened(table.get("val_n"), "none"),
                "test_n": wording.shortened(table.get("test_n"), "none"),
                "groups": "; ".join(groups) or "none",
                "impossible": sum(row.get("confusion_matrices") == 0 for row in table.get("rows", [])),
            }
        )
    columns = [
        *(html.column("table", "Table", "head"), html.column("val_n", "Validation images, all rows")),
        *(html.column("test_n", "Test images, all rows"), html.column("groups", "Test images of groups: rows")),
        html.column("impossible", "Rows that no 2x2 confusion matrix gives", "count"),
    ]
    caption = (
        "Sizes of the validation and test sets of which every printed accuracy is a whole fraction; where no size fits "
        "all rows of a table, the sizes that groups of its rows share."
    )
    parts = [html.table("printed-sizes", caption, columns, sizes, source=source, behind=behind)]
    if all("rows" in table and "groups" in table for table in audit.get("tables", {}).values()):
        alt = "; ".join(f"{row['table']}: {row['groups']}" for row in sizes)
        caption = (
            "Each dot is a test-set size that fits a printed row; a full column of dots is a size that rows share."
        )
        wide = draw_fitting_sizes(audit["tables"])
        about = {"source": source, "runs": behind}
        parts.append(html.figure("fitting-sizes", wide, "Which sizes fit", caption, alt, **about))
    pool = audit.get("pool") or {}
    if {"tables", "test_n_expected", "images"} <= set(pool):
        alt = f"Test sets that the tables imply against the {pool['test_n_expected']} of an 8-1-1 split."
        caption = (
            "Test sets implied by the tables, and a tenth of the images: what was split was larger than the data set."
        )
        wide = draw_sizes_against_split(pool)
        about = {"source": source, "runs": behind}
        parts.append(html.figure("implied-pool", wide, "Too large a test set", caption, alt, **about))
    for key, name, caption in (
        ("row_errors", "row-errors", "Printed rows that contradict themselves or another row."),
        ("text_errors", "text-errors", "Numbers in the text that differ from the tables."),
    ):
        errors = [
            {name: _plain(value, name) for name, value in error.items() if name != "scores"}
            for error in audit.get(key, [])
        ]
        if errors:
            parts.append(html.records_table(name, caption, errors, source))
        else:
            parts.append(html.part("note", text=f"{caption} None was found."))
    if pool.get("sums"):
        caption = "Do the sizes add up across scenarios? Six benign and three malignant classes make up the nine."
        of_paper = ("tables", "of")  # numbers of tables
        sums = [
            {key: _roman(value) if key in of_paper else value for key, value in row.items()} for row in pool["sums"]
        ]
        parts.append(html.records_table("pool-sums", caption, sums, source))
    if "share" in audit.get("detection", {}):
        rates = audit["detection"]
        text = f"Of all {rates['changes']:,} changes of one digit in the printed tables"
        text += f" this audit would catch {wording.percent(rates['share'])}."
        parts.append(html.part("note", text=text))
    return html.joined(parts)


def dataset_audit(paths: StudyPaths) -> HTML:
    """What 01_audit finds in the data set (audit/dataset.json)."""
    audit = read_json(paths.dataset_audit)
    if audit is None:
        return html.missing("audit/dataset.json is not there: the data set was not audited.")
    source = "audit/dataset.json"
    single = {k: v for k, v in audit.items() if not isinstance(v, (dict, list))}
    parts = [html.facts("dataset-counts", "The data set in numbers.", single, source)]
    for key, value in audit.items():
        name, caption = f"dataset-{key.replace('_', '-')}", DATA_SET_CAPTIONS.get(key, f"{wording.sentence(key)}.")
        if isinstance(value, dict) and value:
            parts.append(html.dict_table(name, caption, value, source, own_words=key in ("paper", "accuracy_ceiling")))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            parts.append(html.records_table(name, caption, value, source))
    return html.joined(parts, "side-by-side")


def worst_cases(paths: StudyPaths, study: Study) -> HTML:
    """Pictures filed under more than one class, side by side with the classes they are filed under."""
    views, images = read_pool(paths)
    files = read_parquet(paths.image_index)
    if views is None or files is None:
        return html.missing("No index of the data set's images: contradictory pictures cannot be shown.")
    classes = files.groupby("content")["class"].agg(lambda names: sorted(set(names)))
    contradictory = classes[classes.map(len) > 1]
    if contradictory.empty:
        return html.part("note", text="No content is filed under more than one class.")
    shown = []
    for content, names in contradictory.head(MOST_CONTRADICTORY).items():
        sources = set(files.loc[files["content"] == content, "source"])
        rows = views[views["source"].isin(sources) & (views["view"] == 0)]
        if len(rows):
            shown.append((" = ".join(names), images[rows.index[0]]))
    if not shown:
        return html.missing("The contradictory pictures are not among the prepared images.")
    caption = f"{len(shown)} of {len(contradictory)} contents that the data set files under more than one class."
    alt = "Pictures filed under several classes: " + "; ".join(title for title, _ in shown)
    wide = draw_sample_images(shown)
    title = "One picture, two labels" + html.if_synthetic(study)
    behind = {"01_audit": html.notebook(paths, "audit")}
    about = {"source": "audit/images.parquet", "runs": behind}
    return html.figure("worst-cases", wide, title, caption, alt, **about)


def label_errors(suspects: Mapping[str, Any]) -> HTML:
    """The labels that look most wrong, and how many of them the official diagnosis confirms.

    Args:
        suspects: what lib.audit.labels.label_errors gives.
    """
    if suspects["reason"] or suspects["ranked"].empty:
        return html.missing(f"Label errors were not looked for: {suspects['reason'] or 'no image to rank'}.")
    columns = ["rank", "image_id", "class", "suggested", "p_given", "p_suggested", "diagnosis", "kind"]
    ranked = suspects["ranked"].sort_values("rank")
    caption = f"The {min(MOST_SUSPECTS, len(ranked))} likeliest label errors of {len(ranked)} images, out of fold."
    parts = [
        html.records_table(
            "label-errors", caption, to_records(ranked[columns].head(MOST_SUSPECTS)), "tables/label_errors.csv"
        )
    ]
    if len(suspects["precision"]):
        caption = "How many of the k likeliest label errors the official diagnosis confirms, against drawing at random."
        records = to_records(suspects["precision"][suspects["precision"]["class"] == "all"])
        parts.append(html.records_table("label-error-precision", caption, records, "tables/label_errors_precision.csv"))
    else:
        parts.append(html.part("note", text="No image has an official diagnosis, so none of them can be confirmed."))
    return html.joined(parts)


def missed_pairs(paths: StudyPaths, study: Study, found: Mapping[str, Any]) -> HTML:
    """How many pairs of known lesions the hash and the features find, and the pairs that only features do.

    Args:
        found: what lib.audit.near_duplicate_recall gives.
    """
    if found["reason"]:
        return html.missing(f"Near-duplicates by features were not looked for: {found['reason']}.")
    pairs = found["pairs"]
    columns = [
        *(html.column("found_by", "Found by", "head"), html.column("pairs", "Pairs", "count")),
        *(
            html.column("both_lesions_known", "Lesions of both known", "count"),
            html.column("one_lesion", "One lesion", "count"),
        ),
        html.column("recall", "Share of all pairs of one lesion", "percent"),
    ]
    known = int(found["recall"]["pairs_of_known_lesions"].iloc[0])
    caption = (
        f"Pairs of different pictures. The metadata know {known:,} pairs that show one lesion. The hash looks for "
        f"copies; a second photograph is none. Features find a pair where their cosine, the mean over "
        f"{', '.join(found['backbones'])}, is at least {found['threshold']:.3f}: {100 * SHARE:.0f} % of the hash's own "
        f"{found['hash_pairs']} pairs reach that, and no label or lesion was looked at to choose it."
    )
    parts = [
        html.table(
            "near-duplicate-recall", caption, columns, to_records(found["recall"]), "tables/near_duplicate_recall.csv"
        )
    ]
    if pairs.empty:
        return html.joined([*parts, html.part("note", text="Features find no pair that the hash misses.")])
    parts.append(html.part("note", text=_pairs_in_words(pairs, study)))
    parts.append(_pair_pictures(paths, study, pairs))
    shown = pairs.head(MOST_PAIRS).assign(
        similarity=pairs["similarity"].round(3), difference=pairs["difference"].round(1)
    )
    columns = [
        *(html.column("first", "First", "small"), html.column("second", "Second", "small")),
        *(
            html.column("similarity", "Similarity", "value"),
            html.column("difference", "Pixels differ by, grey levels", "decimal"),
        ),
        *(html.column("same_class", "One class", "value"), html.column("same_lesion", "One lesion", "value")),
        html.column("same_group", "One group", "value"),
    ]
    caption = (
        f"The {len(shown)} most similar of the {len(pairs)} pairs that features find and the hash misses. Pixels are "
        "compared as grey squares of 64 px, the second turned and mirrored as it fits best. –: a lesion is not known."
    )
    source = "tables/near_duplicates.csv"
    parts.append(
        html.table("near-duplicates", caption, columns, to_records(shown), source, data=pairs, folded=len(shown) > 12)
    )
    return html.joined(parts)


def protocol_sizes(paths: StudyPaths, study: Study) -> HTML:
    """What takes part under each protocol, what of the test was seen in training, and the best accuracy possible."""
    views, rows = read_parquet(paths.views), []
    for protocol in study.protocols:
        table = read_parquet(paths.protocol(protocol))
        if table is None or views is None:
            continue
        for pool in POOLS:
            used = table[table[f"tenth_{pool}"] != UNUSED]
            tested = used.groupby(f"tenth_{pool}").size()
            whole = used.groupby("group")[f"tenth_{pool}"].nunique()
            row = {"protocol": protocol, "pool": pool.replace("_", " "), "views": len(used)}
            row |= {"originals": int((views.loc[used["row"], "view"] == 0).sum()), "groups": len(whole)}
            row |= {"least": int(tested.min()), "most": int(tested.max()), "crossing": int((whole > 1).sum())}
            rows.append(row)
    if not rows:
        return html.missing("No prepared images: nothing to count.")
    columns = [
        *(html.column("protocol", "Protocol", "head"), html.column("pool", "Pool")),
        *(html.column("views", "Views", "count"), html.column("originals", "Of them originals", "count")),
        *(
            html.column("least", "smallest", "count", "Tenth, views"),
            html.column("most", "largest", "count", "Tenth, views"),
        ),
        *(html.column("groups", "Groups", "count"), html.column("crossing", "Groups in several tenths", "count")),
    ]
    caption = (
        "Views that take part. Each tenth is the test set of one fold. A group is a lesion with all its images, their "
        "duplicates and near-duplicates; a group in several tenths is a leak."
    )
    parts = [html.table("protocol-sizes", caption, columns, rows, source="prepared/*.parquet")]
    seen = _of_protocols(paths.seen_in_training, study)
    if len(seen):
        seen = seen.assign(scenario_title=seen["scenario"].map(wording.named))
        columns = [
            *(html.column("protocol", "Protocol", "head"), html.column("scenario_title", "Scenario")),
            html.column("test_views", "Test views, all folds", "count"),
            html.column("file", "same file", "percent", "Also in training, per cent of them"),
            html.column("group", "same group", "percent", "Also in training, per cent of them"),
        ]
        caption = "Test views that were seen in training: another view of the same file, or of the same group."
        parts.append(
            html.table("seen-in-training", caption, columns, to_records(seen), "prepared/seen_in_training.csv",
                       filters=["protocol"])
        )  # fmt: skip
    best = _of_protocols(paths.ceilings, study)
    if len(best):
        best = best.pivot(index="scenario", columns="protocol", values="ceiling")[_known(study, best)].reset_index()
        best = best.assign(scenario=best["scenario"].map(wording.named))
        columns = [html.column("scenario", "Scenario", "head")]
        columns += [html.column(protocol, protocol, "percent") for protocol in best.columns[1:]]
        caption = "The best accuracy that any classifier can reach, per cent: one picture has one answer, whatever its "
        caption += "labels say."
        parts.append(html.table("ceilings", caption, columns, to_records(best), "prepared/ceilings.csv"))
    return html.joined(parts)


def protocol_changes(paths: StudyPaths, study: Study) -> HTML:
    """What `clean` changed: labels corrected or dropped; and the classes with too few images to test."""
    changes, parts = read_csv(paths.label_changes), []
    if changes is None and not paths.label_changes.is_file():
        return html.missing("No prepared/label_changes.csv: what clean changed is not known.")
    if changes is not None and len(changes):
        changes["class"] = changes["class"].fillna("dropped")
        kinds = changes.groupby(["folder_class", "class", "reason"]).size().rename("images").reset_index()
        columns = [
            *(html.column("folder_class", "Label of the folder"), html.column("class", "Label used")),
            *(html.column("reason", "Reason"), html.column("images", "Files", "count")),
        ]
        dropped = int((changes["class"] == "dropped").sum())
        caption = f"What clean does with labels: {len(changes) - dropped} files corrected, {dropped} dropped, by kind."
        parts.append(
            html.table("label-changes", caption, columns, to_records(kinds), "prepared/label_changes.csv",
                       filters=["folder_class", "class"], data=changes, folded=len(kinds) > 12)
        )  # fmt: skip
    else:
        parts.append(html.part("note", text="clean changed no label and dropped no file."))
    few = _of_protocols(paths.not_evaluable, study)
    if len(few):
        caption = "Classes with too few original images over all folds: not evaluable, and left out of the scores."
        parts.append(html.records_table("not-evaluable", caption, to_records(few), "prepared/not_evaluable.csv"))
    else:
        parts.append(html.part("note", text="Every class has enough images to be scored."))
    return html.joined(parts)


def _of_protocols(path: Path, study: Study) -> pd.DataFrame:
    """The rows of a table of 02_prepare_data on the study's protocols; empty where it is not there."""
    table = read_csv(path)
    return pd.DataFrame() if table is None else table[table["protocol"].isin(study.protocols)]


def _known(study: Study, table: pd.DataFrame) -> list[str]:
    return [protocol for protocol in study.protocols if protocol in set(table["protocol"])]


def _pairs_in_words(pairs, study: Study) -> str:
    known = pairs["same_lesion"].notna()
    apart = int((~pairs["same_group"]).sum())
    text = (
        f"Of {len(pairs)} pairs that the hash misses, {int(pairs['looks_alike'].sum())} also look alike pixel by pixel "
    )
    text += f"(at most {study.near_duplicate_difference:g} grey levels). "
    if known.any():
        text += (
            f"Of {int(known.sum())} whose lesions are both known, {int(pairs['same_lesion'].sum())} show one lesion. "
        )
    return text + (
        f"{apart} lie in two groups, so the honest protocols may deal them to both sides of a split."
        if apart
        else "All lie in one group each, so the honest protocols keep them together."
    )


def _pair_pictures(paths: StudyPaths, study: Study, pairs) -> HTML:
    views, images = read_pool(paths)
    if views is None:
        return html.missing("The prepared images are not there: the pairs cannot be shown.")
    rows = dict(zip(views["source"][views["view"] == 0], np.flatnonzero(views["view"] == 0)))
    shown = []
    for pair in to_records(pairs.head(MOST_PAIR_PICTURES)):
        lesion = {True: "one lesion", False: "two lesions", None: "lesion not known"}[pair["same_lesion"]]
        titles = [
            f"{pair['class_first']}, {lesion}",
            f"similarity {pair['similarity']:.2f}, differ by {pair['difference']:.1f}",
        ]
        shown += [(title, images[rows[pair[side]]]) for title, side in zip(titles, ("first", "second"))]
    caption = f"The first {len(shown) // 2} pairs, each two pictures side by side."
    alt = "Pairs of pictures that are nearly the same: " + "; ".join(title for title, _ in shown)
    title = "Nearly one picture, missed by the hash" + html.if_synthetic(study)
    return html.figure(
        "near-duplicate-pictures", draw_sample_images(shown, columns=6), title, caption, alt,
        source="tables/near_duplicates.csv",
    )  # fmt: skip


def _plain(value: Any, key: str) -> Any:
    """A value of audit/printed.json with the keys in its text as words, and the numbers of tables as the paper's."""
    if not isinstance(value, str):
        return value
    if key == "table" and value.isdigit():
        return roman(value)
    return re.sub(r"\bTable (\d)\b", lambda match: f"Table {roman(match[1])}", wording.plain(value))


def _roman(numbers: str | list[str]) -> str:
    """The numbers of tables as the paper writes them: `III, IV` for ["3", "4"]."""
    return ", ".join(roman(number) for number in ([numbers] if isinstance(numbers, str) else numbers))
