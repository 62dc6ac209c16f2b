"""REFORMS: the 32 items of params/reforms.yaml, answered for this study and for the paper."""

from pathlib import Path

import pandas as pd
import yaml
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.params import AXES, Study
from lib.config.paths import REFORMS, StudyPaths
from lib.report import html
from lib.report.data import read_csv, rows_where
from lib.report.show import show

NOT_STATED = "not stated"
FROM_AUDIT = ["files", "unreadable_files", "files_with_lesion", "files_with_diagnosis"]
FROM_AUDIT += ["contradictory_contents", "label_disagreement_files"]


def load_reforms(path: Path = REFORMS) -> tuple[str, pd.DataFrame]:
    """The address of the checklist, and one row per item: `module` and the keys that the file describes."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    items = [{"module": module["name"]} | item for module in content["modules"] for item in module["items"]]
    table = pd.DataFrame(items)
    lists = {key: [_as_list(value) for value in table[key]] for key in ("files", "sections", "place")}
    return content["source"], table.assign(**lists)


def checklist(paths: StudyPaths, study: Study) -> HTML:
    """Every item with both answers, and where each can be checked."""
    (source, items), found = load_reforms(), numbers(paths, study)
    silent = items.loc[[place == [NOT_STATED] for place in items["place"]], "id"]
    text = f"The paper's text says nothing of {len(silent)} of the {len(items)} items: {', '.join(silent)}."
    if study.synthetic:
        text += " The answers are those for the real images; the numbers are those of the synthetic ones."
    quoted = [[f"“{name}”" for name in names] for names in items["sections"]]
    table = pd.DataFrame(
        {
            "item": items["id"] + " " + items["item"],
            "module": items["module"],
            "study": [answer.format_map(found) for answer in items["study"]],
            "study_note": ["; ".join([*names, *files]) for names, files in zip(quoted, items["files"])],
            "paper": items["paper"],
            "paper_note": items["place"].map("; ".join),
        }
    )
    caption = "A place shows that the paper says something of an item, not that it says all that is asked."
    body = show(table, "reforms", caption, "params/reforms.yaml", folded=True, cards=True)
    return html.joined([html.part("note", text=text, link=source), body])


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


def _as_list(value: list[str] | str | float) -> list[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []
