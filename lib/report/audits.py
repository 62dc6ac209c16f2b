"""What the report says of the printed tables, of the data set and its labels, and of the protocols."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import HTML

from lib import figures
from lib.config import Study, StudyPaths, read_json
from lib.report import html
from lib.report.data import read_csv, read_parquet, read_prepared, to_records

MOST_CONTRADICTORY, MOST_SUSPECTS = 5, 25  # pictures and labels that are shown; the files have all
DATA_SET_CAPTIONS = {
    "contradictory_pairs": "Identical pictures filed under two classes.",
    "label_disagreements": "Folder (rows) against an official diagnosis that contradicts it (columns), in files.",
    "official_diagnoses": "Folder (rows) against the official diagnosis (columns), where there is one, in files.",
    "class_counts": "Files of each class, and how many of them share their picture with another class.",
    "accuracy_ceiling": "The best accuracy any classifier can reach, since one picture has one answer; fractions of 1.",
    "paper": "The data set against the paper's description.",
    "test_of_8_1_1": "Test sets of an 8-1-1 split of the files, against those that the printed accuracies imply.",
}


def printed_audit(paths: StudyPaths) -> HTML:
    """What 01_audit finds in the printed tables (audit/published.json)."""
    audit = read_json(paths.published_audit)
    if audit is None:
        return html.missing("audit/published.json is not there: the printed tables were not audited.")
    source, link = "audit/published.json", html.notebook(paths, "audit")
    behind = {"01_audit": link}
    sizes = []
    for number, table in audit.get("tables", {}).items():
        groups = [
            f"{group['test_n']}: {len(group['rows'])} of {len(table['rows'])}" for group in table.get("groups", [])
        ]
        sizes.append(
            {
                "table": f"Table {figures.roman(number)}",
                "val_n": html.shortened(table.get("val_n"), "none"),
                "test_n": html.shortened(table.get("test_n"), "none"),
                "groups": "; ".join(groups) or "none",
                "impossible": sum(row.get("confusion_matrices") == 0 for row in table.get("rows", [])),
                "_link": {"test_n": link},
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
    parts = [html.table("printed-sizes", caption, columns, sizes, source=source)]
    if all("rows" in table and "groups" in table for table in audit.get("tables", {}).values()):
        alt = "; ".join(f"{row['table']}: {row['groups']}" for row in sizes)
        caption = (
            "Each dot is a test-set size that fits a printed row; a full column of dots is a size that rows share."
        )
        figure = figures.fitting_sizes(audit["tables"])
        parts.append(html.figure("fitting-sizes", figure, "Which sizes fit", caption, alt, source=source, runs=behind))
    pool = audit.get("pool") or {}
    if {"tables", "test_n_expected", "images"} <= set(pool):
        alt = f"Test sets that the tables imply against the {pool['test_n_expected']} of an 8-1-1 split."
        caption = (
            "Test sets implied by the tables, and a tenth of the images: what was split was larger than the data set."
        )
        figure = figures.sizes_against_split(pool)
        parts.append(
            html.figure("implied-pool", figure, "Too large a test set", caption, alt, source=source, runs=behind)
        )
    for key, name, caption in (
        ("row_errors", "row-errors", "Printed rows that contradict themselves or another row."),
        ("text_errors", "text-errors", "Numbers in the text that differ from the tables."),
    ):
        errors = audit.get(key, [])
        if errors:
            parts.append(html.records_table(name, caption, errors, source))
        else:
            parts.append(html.part("note", text=f"{caption} None was found."))
    if pool.get("sums"):
        caption = "Do the sizes add up across scenarios? Six benign and three malignant classes make up the nine."
        parts.append(html.records_table("pool-sums", caption, pool["sums"], source))
    if "share" in audit.get("detection", {}):
        rates = audit["detection"]
        text = f"Of all {rates['changes']:,} changes of one digit in the printed tables"
        text += f" this audit would catch {html.percent(rates['share'])}."
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
        name, caption = f"dataset-{key.replace('_', '-')}", DATA_SET_CAPTIONS.get(key, f"{html.sentence(key)}.")
        if isinstance(value, dict) and value:
            parts.append(html.dict_table(name, caption, value, source))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            parts.append(html.records_table(name, caption, value, source))
    return html.joined(parts, "side-by-side")


def worst_cases(paths: StudyPaths, study: Study) -> HTML:
    """Pictures filed under more than one class, side by side with the classes they are filed under."""
    index, images = read_prepared(paths, study.protocols[0])
    files = read_parquet(paths.image_index)
    if index is None or files is None:
        return html.missing("No index of the data set's images: contradictory pictures cannot be shown.")
    classes = files.groupby("content")["class"].agg(lambda names: sorted(set(names)))
    contradictory = classes[classes.map(len) > 1]
    if contradictory.empty:
        return html.part("note", text="No content is filed under more than one class.")
    shown = []
    for content, names in contradictory.head(MOST_CONTRADICTORY).items():
        sources = set(files.loc[files["content"] == content, "source"])
        rows = index[index["source"].isin(sources) & (index["view"] == 0)]
        if len(rows):
            shown.append((" = ".join(names), images[rows.index[0]]))
    if not shown:
        return html.missing("The contradictory pictures are not among the prepared images.")
    caption = f"{len(shown)} of {len(contradictory)} contents that the data set files under more than one class."
    alt = "Pictures filed under several classes: " + "; ".join(title for title, _ in shown)
    figure = figures.sample_images(shown)
    title = "One picture, two labels" + html.if_synthetic(study)
    behind = {"01_audit": html.notebook(paths, "audit")}
    return html.figure("worst-cases", figure, title, caption, alt, source="audit/images.parquet", runs=behind)


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


def protocol_sizes(paths: StudyPaths, study: Study) -> HTML:
    """Images in each part under each protocol, and how many groups (lesions, duplicates) lie in more than one part."""
    rows = []
    for protocol in study.protocols:
        index = read_parquet(paths.index(protocol))
        if index is None:
            continue
        for column, pool in (("part", "nine classes"), ("part_two_classes", "benign and malignant")):
            if column in index:
                used = index[index[column].fillna("") != ""]
                parts = used[column].value_counts()
                crossing = int((used.groupby("group")[column].nunique() > 1).sum())
                row = {"protocol": protocol, "pool": pool} | {p: int(parts.get(p, 0)) for p in ("train", "val", "test")}
                originals = int((used[used[column] == "test"]["view"] == 0).sum())
                rows.append(row | {"originals": originals, "crossing": crossing, "groups": used["group"].nunique()})
    if not rows:
        return html.missing("No prepared images: nothing to count.")
    columns = [
        *(
            html.column("protocol", "Protocol", "head"),
            html.column("pool", "Pool"),
            html.column("train", "Train", "count"),
        ),
        *(html.column("val", "Validation", "count"), html.column("test", "Test", "count")),
        html.column("originals", "Test images that are originals", "count"),
        *(html.column("groups", "Groups", "count"), html.column("crossing", "Groups in more than one part", "count")),
    ]
    caption = (
        "Images in each part. A group is a lesion with all its images, their duplicates and near-duplicates; a group "
        "in more than one part is a leak."
    )
    parts = [html.table("protocol-sizes", caption, columns, rows, source="prepared/*/index.parquet")]
    seen = [
        {"protocol": protocol} | record
        for protocol in study.protocols
        if (table := read_csv(paths.seen_in_training(protocol))) is not None
        for record in to_records(table)
    ]
    if seen:
        caption = "Test images that were seen in training, as the same file or as another image of the same group."
        parts.append(html.records_table("seen-in-training", caption, seen, "prepared/*/seen_in_training.csv"))
    return html.joined(parts)


def protocol_changes(paths: StudyPaths, study: Study) -> HTML:
    """What each protocol changed: labels corrected or dropped, classes with too few images to test."""
    changes, small, parts = [], [], []
    for protocol in study.protocols:
        for table, rows in (
            (read_csv(paths.label_changes(protocol)), changes),
            (read_csv(paths.not_evaluable(protocol)), small),
        ):
            if table is not None:
                rows += [{"protocol": protocol} | record for record in to_records(table)]
    done = [p for p in study.protocols if read_csv(paths.label_changes(p)) is not None]
    undone = [p for p in study.protocols if p not in done]
    if undone:
        parts.append(html.missing(f"Not prepared: {', '.join(undone)}."))
    if changes:
        table = pd.DataFrame(changes)
        table["class"] = table["class"].replace("", None).fillna("dropped")
        # the file that it is a copy of is in the download; here it would make every row its own kind
        kinds = table.assign(reason=table["reason"].str.replace(r"^copy of .*", "copy of another file", regex=True))
        counts = kinds.groupby(["protocol", "folder_class", "class", "reason"]).size().rename("images").reset_index()
        columns = [
            *(
                html.column("protocol", "Protocol"),
                html.column("folder_class", "Label of the folder"),
                html.column("class", "Label used"),
            ),
            *(html.column("reason", "Reason"), html.column("images", "Images", "count")),
        ]
        caption = f"Labels that a protocol changed or images that it dropped: {len(table)} files, by kind."
        source = "prepared/*/label_changes.csv"
        parts.append(
            html.table(
                "label-changes", caption, columns, to_records(counts), source=source, filters=["protocol"], data=table
            )
        )
    elif done:
        parts.append(html.part("note", text=f"No label was changed under {', '.join(done)}."))
    if small:
        caption = "Classes with too few original test images: not evaluable, and left out of the scores."
        parts.append(html.records_table("not-evaluable", caption, small, "prepared/*/not_evaluable.csv"))
    elif done:
        parts.append(html.part("note", text=f"Every class has enough test images under {', '.join(done)}."))
    return html.joined(parts)
