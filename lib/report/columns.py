"""The columns of all tables of the report: under which title a key stands, in which format, and what it means."""

from dataclasses import dataclass

from lib.config.paper import scenarios
from lib.figures.rungs import RUNG_NAMES

PHASE_NAMES = {"transfer": "Transfer", "finetune": "Fine-tuned"}
NUMBERS = {"percent", "points", "count", "decimal", "p_value"}  # formats whose columns stand right


@dataclass(frozen=True)
class Column:
    """How a column is shown.

    Attributes:
        format: of a number `percent` (of a fraction of 1), `points` (the same, signed and coloured), `count`,
            `decimal` or `p_value`; of text `text`, `quote`, `small`, `code`, `words` (`code` in backticks) or `chip`;
            `value` for JSON of any kind.
        tip: what it means, shown when the pointer rests on the title.
        extra: hidden on a phone until the reader asks for all columns.
        filter: readers can choose one of its values.
    """

    title: str
    format: str = "text"
    tip: str = ""
    extra: bool = False
    filter: bool = False


def column(key: str) -> Column:
    """The column of a key; a key without an entry stands under its own words."""
    if key in scenarios():
        return Column(scenarios()[key].title, "percent")
    words = key.replace("_", " ")
    return COLUMNS.get(key) or Column(words[:1].upper() + words[1:], "value")


def named(key: str, value: object) -> object:
    """A scenario, phase or rung by its name on the page; any other value as it is."""
    match key:
        case "scenario" if value in scenarios():
            return scenarios()[value].title
        case "phase":
            return PHASE_NAMES.get(value, value)
        case "rung":
            return RUNG_NAMES.get(value, value)
    return value


def _of_printed_tables() -> dict[str, Column]:
    """Measures of Tables I to IV, the printed value of each and the difference."""
    titles = {"val_accuracy": "Val acc", "test_accuracy": "Test acc", "precision": "Precision", "recall": "Recall"}
    columns = {}
    for key, title in (titles | {"f1": "F1"}).items():
        extra = key != "test_accuracy"
        columns[key] = Column(title, "percent", extra=extra)
        columns[f"printed_{key}"] = Column("paper", "percent", "as the paper prints it", extra)
        columns[f"{key}_difference"] = Column("diff.", "points", "ours minus printed, in percentage points", extra)
    return columns


HOLM = "corrected for the number of comparisons by Holm's method"
COLUMNS = _of_printed_tables() | {
    # what names a row
    "scenario": Column("Scenario", filter=True),
    "backbone": Column("Model", filter=True),
    "phase": Column("Phase", filter=True),
    "protocol": Column("Protocol", filter=True),
    "preprocessing": Column("Input", tip="the input range of the network", filter=True),
    "variant": Column("Variant", tip="a named set of open choices"),
    "table": Column("Table", filter=True),
    "class": Column("Class"),
    "rung": Column("Rung", filter=True),
    "seed": Column("Seed", "count", extra=True),
    "what": Column("What", filter=True),
    "name": Column("Name"),
    "value": Column("Value", "value"),
    "image_id": Column("Image"),
    "note": Column("Note", "small", extra=True),
    # counts
    "n": Column("n", "count", "images tested by both models", extra=True),
    "n_test": Column("n", "count", "what was tested over all folds: views under by_view, else originals", extra=True),
    "images": Column("Images", "count", extra=True),
    "groups": Column("Lesions", "count", "a lesion with all its images and their duplicates", extra=True),
    "folds": Column("Folds", "count", extra=True),
    "files": Column("Files", "count"),
    "test_views": Column("Test views", "count", "over all folds"),
    # accuracies
    "accuracy": Column("Accuracy", "percent", "per cent, with its 95 % interval"),
    "step": Column("Step, points", "points", "change from the rung above, in percentage points"),
    "balanced_accuracy": Column("Balanced accuracy", "percent", "the mean recall of the classes"),
    "printed": Column("Printed", "percent"),
    "difference": Column("Difference, points", "points"),
    "lowest": Column("Lowest", "percent"),
    "highest": Column("Highest", "percent"),
    "mean": Column("Mean accuracy", "percent"),
    "raw": Column("Labels as filed", "percent"),
    "by_view": Column("by_view", "percent"),
    "by_file": Column("by_file", "percent"),
    "by_lesion": Column("by_lesion", "percent"),
    "clean": Column("clean", "percent"),
    # Table V and related work
    "ref": Column("Reference"),
    "method": Column("Method"),
    "year": Column("Year", extra=True),
    "classes": Column("Classes", filter=True),
    # models compared
    "baseline": Column("Baseline", filter=True),
    "only_proposed": Column("Only the paper's model is right", "count"),
    "only_baseline": Column("Only the baseline is right", "count"),
    "only_first": Column("Only the first is right", "count"),
    "only_second": Column("Only the second is right", "count"),
    "p_value": Column("p", "p_value", "two-sided"),
    "p_groups": Column("p, groups swapped", "p_value"),
    "p_groups_holm": Column("p, groups swapped, corrected", "p_value", HOLM),
    "p_mcnemar": Column("p, McNemar", "p_value"),
    "p_mcnemar_holm": Column("p, McNemar, corrected", "p_value", HOLM),
    "mean_error": Column("Mean difference, points", "value"),
    "mean_absolute_error": Column("Mean distance, points", "value"),
    "spearman": Column("Spearman's rho", "value"),
    "spearman_p": Column("p of rho", "p_value"),
    "kendall": Column("Kendall's tau", "value"),
    "kendall_p": Column("p of tau", "p_value"),
    "nearest": Column("Tables where it is nearest", "value"),
    # beyond accuracy
    "auc": Column("Area under the ROC curve", "percent"),
    "ece": Column("Calibration error", "percent", "expected calibration error"),
    "ece_if_calibrated": Column("Of a calibrated model", "percent", "what chance alone would give"),
    "confidence": Column("Stated probability", "percent"),
    "malignant": Column("Malignant images", "count"),
    "sensitivity_at_90": Column("Sensitivity at 90 % specificity", "percent"),
    "sensitivity_at_95": Column("Sensitivity at 95 % specificity", "percent"),
    "fold_sd": Column("Spread over folds", "percent", "standard deviation, in percentage points"),
    "run_sd": Column("Spread over seeds within a fold", "percent", "standard deviation, in percentage points"),
    "sampling_sd": Column("Spread by choice of images", "percent", "standard deviation, in percentage points"),
    "seed_sd": Column("Spread over seeds", "percent", "standard deviation, in percentage points"),
    # labels that look wrong
    "rank": Column("Rank", "count"),
    "suggested": Column("Suggested class"),
    "diagnosis": Column("Diagnosis"),
    "p_given": Column("Probability of the label", "percent"),
    "p_suggested": Column("Of the suggested one", "percent"),
    "k": Column("First", "count"),
    "hits": Column("Confirmed", "count"),
    "base_rate": Column("Wrong among all", "percent"),
    "lift": Column("Times as often as at random", "value"),
    # the audits
    "val_n": Column("Validation images", "value"),
    "test_n": Column("Test images", "value"),
    "test_n_of": Column("Test images of that table", "value"),
    "val_n_of": Column("Validation images of that table", "value"),
    "of": Column("Should make up table", "value"),
    "class_counts_described": Column("Files of each class that the text gives", "value"),
    "contradictory_contents": Column("Pictures filed under more than one class", "value"),
    "distinct_contents": Column("Different pictures", "value"),
    "images_described": Column("Images that the paper describes", "value"),
    "images_found": Column("Files found", "value"),
    "isic_ids": Column("ISIC numbers", "value"),
    "label_disagreement_files": Column("Files whose label contradicts the diagnosis", "value"),
    "near_duplicate_contents": Column("Pictures in groups of near-duplicates", "value"),
    "near_duplicate_groups": Column("Groups of near-duplicates", "value"),
    "official_test_in_train": Column("Official test images that lie in Train, too", "value"),
    "official_test_related_to_train": Column("Official test images with a relative in Train", "value"),
    "printed_test_n": Column("Test set that the table implies", "value"),
    "same_label_duplicates": Column("Copies under one class", "value"),
    "test_of_8_1_1": Column("Test set of an 8-1-1 split", "value"),
    # open choices
    "open": Column("What the paper leaves open"),
    "parameter": Column("Parameter", "code"),
    "why": Column("Why", "words"),
    # claims, runs
    "quote": Column("The paper says", "quote"),
    "where": Column("Where"),
    "kind": Column("Kind", extra=True, filter=True),
    "verdict": Column("Verdict", "chip", filter=True),
    "reason": Column("Why", "small"),
    "run": Column("Run"),
    "status": Column("Status", "chip", filter=True),
    "seconds": Column("Seconds", "decimal"),
    "version": Column("Version"),
    # protocols, choices, leakage and planted flaws
    "pool": Column("Pool"),
    "views": Column("Views", "count"),
    "originals": Column("Of them originals", "count"),
    "least": Column("Smallest tenth", "count", "views; each tenth is the test set of one fold"),
    "most": Column("Largest tenth", "count", "views"),
    "lesions": Column("Groups", "count", "a lesion with all its images, duplicates and near-duplicates"),
    "crossing": Column("Groups in several tenths", "count"),
    "file_in_training": Column("Same file in training", "percent"),
    "group_in_training": Column("Same group in training", "percent"),
    "folder_class": Column("Label of the folder", filter=True),
    "label_used": Column("Label used", filter=True),
    "choice": Column("Choice"),
    "choices": Column("Choices", "count"),
    "tables": Column("Printed rows", "count"),
    "reached": Column("Reached", "count"),
    "reached_by": Column("By", "small"),
    "which": Column("Which", "small"),
    "expected_by_chance": Column("By chance", "decimal", "how many choices would reach a random number"),
    "type": Column("Type"),
    "leakage": Column("What it is"),
    "outcome": Column("Here", "chip"),
    "evidence": Column("What shows it", "small"),
    "planted": Column("Planted", "count"),
    "found": Column("Found", "count"),
    "invented": Column("Invented", "count", "found, but not planted"),
    "best": Column("Best on unseen lesions", "percent"),
    # external images and pairs of pictures
    "source": Column("File"),
    "because_of": Column("Because of", "small"),
    "own_accuracy": Column("Accuracy on the data set", "percent"),
    "own_balanced_accuracy": Column("Balanced accuracy on the data set", "percent", extra=True),
    "first": Column("First", "small"),
    "second": Column("Second", "small"),
    "similarity": Column("Similarity", "value", "mean cosine of the features"),
    "grey_levels": Column("Pixels differ by", "decimal", "grey levels, rotated and mirrored as fits best"),
    "pairs": Column("Pairs", "count"),
    "both_lesions_known": Column("Lesions of both known", "count"),
    "one_lesion": Column("One lesion", "count"),
    # two results compared
    "measure": Column("Number", filter=True),
    "inside": Column("Inside", tip="whether the second lies in the 95 % interval of the first", filter=True),
    "part": Column("Part", tip="of the stamps", filter=True),
    "runs": Column("Runs", "count", "in how many of them"),
}
PROTOCOLS = ("by_view", "by_file", "by_lesion", "clean")
COLUMNS |= {f"ours_{name}": Column(name, "percent") for name in PROTOCOLS}  # beside what others report
