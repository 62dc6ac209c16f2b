"""REFORMS: the 32 items of params/reforms.yaml, answered for this study and for the paper."""

import pandas as pd

from lib.config.files import read_json
from lib.config.params import AXES, Study
from lib.config.paths import REFORMS, StudyPaths
from lib.config.schema import read_yaml
from lib.report.data import read_csv, rows_where

FROM_AUDIT = ["files", "unreadable_files", "files_with_lesion", "files_with_diagnosis"]
FROM_AUDIT += ["contradictory_contents", "label_disagreement_files"]


def load_reforms() -> tuple[str, pd.DataFrame]:
    """The address of the checklist, and one row per item: `module` and the keys that the file describes."""
    content = read_yaml(REFORMS)
    items = [{"module": module["name"]} | item for module in content["modules"] for item in module["items"]]
    return content["source"], pd.DataFrame(items)


def checklist(paths: StudyPaths, study: Study, items: pd.DataFrame) -> pd.DataFrame:
    """One row per item that `load_reforms` gives: both answers, and where each can be checked."""
    found = numbers(paths, study)
    places = zip(items["sections"], items["files"])
    return pd.DataFrame(
        {
            "item": items["id"] + " " + items["item"],
            "module": items["module"],
            "study": [answer.format_map(found) for answer in items["study"]],
            "study_note": ["; ".join([*(f"“{name}”" for name in names), *files]) for names, files in places],
            "paper": items["paper"],
            "paper_note": items["place"].map("; ".join),
        }
    )


def numbers(paths: StudyPaths, study: Study) -> dict[str, str]:
    """What stands for each {name} in the answers, from the study's own results; `not counted` where it has none."""
    audit, changes = read_json(paths.dataset_audit) or {}, read_csv(paths.label_changes)
    counts = [count["all"] for count in (audit.get("class_counts") or {}).values()]
    seen = rows_where(read_csv(paths.seen_in_training), scenario="nine_classes")
    shares = dict(zip(seen["protocol"], seen["file"])) if len(seen) else {}
    cells = [study.settings(cell) for cell in study.cells(*AXES)]
    tuned = sorted({len(cell["finetune_folds"]) for cell in cells if cell["finetune_epochs"]})
    found = {key: audit.get(key) for key in FROM_AUDIT} | {
        "class_range": f"{min(counts):,} to {max(counts):,}" if counts else None,
        "label_changes": None if changes is None else len(changes),
        "seen_by_view": f"{100 * shares['by_view']:.0f} %" if "by_view" in shares else None,
        "seen_clean": f"{100 * shares['clean']:.0f} %" if "clean" in shares else None,
        "image_size": study.image_size,
        "backbones": ", ".join(study.backbones),
        "transfer_folds": len(study.transfer_folds),
        "finetune_folds": " to ".join(map(str, dict.fromkeys([*tuned[:1], *tuned[-1:]]))) or "none",
    }
    return {
        key: "not counted" if value is None else f"{value:,}" if isinstance(value, int) else value
        for key, value in found.items()
    }
