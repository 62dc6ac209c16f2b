"""How the study was done, as tables: open choices, training runs, and the 32 items of REFORMS."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lib.config.files import read_json
from lib.config.params import AXES, Study
from lib.config.paths import OPEN_CHOICES, REFORMS, StudyPaths
from lib.config.schema import read_yaml
from lib.report.data import read_csv, rows_where
from lib.report.wording import in_words, named

FROM_AUDIT = ["files", "unreadable_files", "files_with_lesion", "files_with_diagnosis"]
FROM_AUDIT += ["contradictory_contents", "label_disagreement_files"]


def open_choices(study: Study) -> pd.DataFrame:
    """What the paper leaves open, the value used in this study, and why (params/open_choices.yaml); beneath it one row
    for each value that holds in part of the matrix."""
    rows = []
    for key, entry in read_yaml(OPEN_CHOICES).items():
        value, default = getattr(study, key), Study.model_fields[key].get_default(call_default_factory=True)
        own = "" if value == default else f"Set by this study; {in_words(default)} is the default. "
        rows.append({"open": entry["open"], "parameter": key, "value": in_words(value), "why": own + entry["why"]})
    for override in study.overrides:
        chosen = [(axis, value if isinstance(value, list) else [value]) for axis, value in override["when"].items()]
        where = " and ".join(", ".join(str(named(value, axis)) for value in values) for axis, values in chosen)
        for key, value in override["set"].items():
            rows.append({"open": f"For {where}", "parameter": key, "value": in_words(value), "why": ""})
    return pd.DataFrame(rows)


def training_runs(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Where the training runs were made, from their run.json files: one row per commit, machine, backbone and origin of
    its weights, with how many runs, the minutes of the longest and the memory in MiB of the largest."""
    rows = []
    for record in records:
        made = record.get("provenance") or {}
        git = {"commit": None, "clean": True} | (made.get("git") or {})
        commit = git["commit"][:12] + ("" if git["clean"] else " with changes") if git["commit"] else "not recorded"
        row = {"commit": commit} | {key: in_words(made.get(key)) for key in ("hardware", "deterministic")}
        row |= {"backbone": record.get("model", {}).get("backbone", ""), "weights_from": record.get("weights_from", "")}
        row |= {"minutes": (made.get("seconds") or 0) / 60}
        rows.append(row | {"mebibytes": (made.get("peak_memory_bytes") or 0) / 2**20})
    keys = ["commit", "hardware", "deterministic", "backbone", "weights_from"]
    made = pd.DataFrame(rows, columns=[*keys, "minutes", "mebibytes"]).groupby(keys, as_index=False)
    return made.agg(count=("minutes", "size"), minutes=("minutes", "max"), mebibytes=("mebibytes", "max"))


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
