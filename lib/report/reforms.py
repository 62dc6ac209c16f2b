"""REFORMS: the 32 items of params/reforms.yaml, answered for this study and for the paper."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from IPython.display import HTML
from pydantic import Field, model_validator

from lib.config.files import read_json
from lib.config.params import AXES, Study
from lib.config.paths import REFORMS, StudyPaths
from lib.config.schema import ParameterError, Strict, read_yaml, validated
from lib.report import html
from lib.report.data import read_csv, rows_where

ITEMS = 32
NOT_STATED = "not stated"
PLACE = r"^(abstract|section [IV]+(\.[A-E])?|Table (I|II|III|IV|V)|Fig\. \d+|equation \d+)$"
FROM_AUDIT = (
    *("files", "unreadable_files", "files_with_lesion", "files_with_diagnosis"),
    *("contradictory_contents", "label_disagreement_files"),
)
NUMBERS = {
    *FROM_AUDIT,
    *("class_range", "label_changes", "seen_by_view", "seen_clean"),
    *("image_size", "backbones", "transfer_folds", "finetune_folds"),
}


class Item(Strict):
    """An item of the checklist, with both answers and where each can be checked."""

    id: str = Field(pattern=r"^[1-8][a-g]$")
    item: str = Field(min_length=1)
    study: str = Field(min_length=1)
    files: list[str] = []  # of the repository
    sections: list[str] = []  # headings of the report
    paper: str = Field(min_length=1)
    place: Literal["not stated"] | list[Annotated[str, Field(pattern=PLACE)]]  # in the paper

    @model_validator(mode="after")
    def can_be_checked(self) -> "Item":
        if not self.files and not self.sections:
            raise ValueError("must name a file or a section of the report that shows it")
        if not self.place:
            raise ValueError(f"must name a place of the paper, or be {NOT_STATED!r}")
        if unknown := set(re.findall(r"\{(\w*)\}", self.study)) - NUMBERS:
            raise ValueError(f"no number {sorted(unknown)[0]!r}; valid are {', '.join(sorted(NUMBERS))}")
        return self


class Module(Strict):
    name: str = Field(min_length=1)
    items: list[Item]


class Reforms(Strict):
    title: str
    source: str = Field(pattern=r"^https://\S+$")
    modules: list[Module]

    @property
    def items(self) -> list[Item]:
        return [item for module in self.modules for item in module.items]

    @model_validator(mode="after")
    def each_once(self) -> "Reforms":
        ids = [item.id for item in self.items]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"ids must be unique; {', '.join(twice)} stands more than once")
        if len(ids) != ITEMS:
            raise ValueError(f"must answer the {ITEMS} items of the checklist, answers {len(ids)}")
        return self


def load_reforms(path: Path = REFORMS) -> Reforms:
    """The checklist with its answers.

    Raises:
        ParameterError: unknown key, an answer or a place is missing, an id twice; it names the item.
    """
    content = read_yaml(path)
    # item by item first, so that the message names it
    for module in content.get("modules") or []:
        for entry in (module.get("items") or []) if isinstance(module, dict) else []:
            if not isinstance(entry, dict):
                raise ParameterError(f"{path}: an item must hold `key: value` lines, not {entry!r}")
            validated(Item, entry, path, f"item {entry.get('id', '?')}")
    return validated(Reforms, content, path)


def checklist(paths: StudyPaths, study: Study) -> HTML:
    """The answers, a folded table a module, with how many items the paper's text says nothing of."""
    reforms = load_reforms()
    silent = [item.id for item in reforms.items if item.place == NOT_STATED]
    text = (
        f"{reforms.title}. Of the {ITEMS} items the paper's text does not state {len(silent)}: "
        f"{', '.join(silent)}. A place shows that it says something of an item, not that it says all that is asked."
    )
    if study.synthetic:
        text += " The images of this study are drawn: the answers are those for the real ones, the numbers its own."
    columns = [
        *(html.column("item", "Item", "head"), html.column("study", "This study"), html.column("paper", "The paper")),
    ]
    found, parts = numbers(paths, study), [html.part("note", text=text, link=reforms.source)]
    for place, module in enumerate(reforms.modules, start=1):
        rows = [_row(item, found) for item in module.items]
        caption = f"{place}. {module.name}: items {module.items[0].id} to {module.items[-1].id}."
        source = "params/reforms.yaml"
        parts.append(html.table(f"reforms-{place}", caption, columns, rows, source, folded=True, cards=True))
    return html.joined(parts)


def numbers(paths: StudyPaths, study: Study) -> dict[str, str]:
    """NUMBERS in words, from the study's own results; `not counted` where a step has not left them."""
    audit = read_json(paths.dataset_audit) or {}
    changes = read_csv(paths.label_changes)
    counts = [count["all"] for count in (audit.get("class_counts") or {}).values()]
    found: dict[str, Any] = {key: audit.get(key) for key in FROM_AUDIT}
    found |= {
        "class_range": f"{min(counts):,} to {max(counts):,}" if counts else None,
        "label_changes": None if changes is None else len(changes),
        "seen_by_view": _share_seen(paths, "by_view"),
        "seen_clean": _share_seen(paths, "clean"),
        "image_size": study.image_size,
        "backbones": ", ".join(study.backbones),
        "transfer_folds": len(study.transfer_folds),
        "finetune_folds": _finetune_folds(study),
    }
    return {
        key: "not counted" if value is None else f"{value:,}" if isinstance(value, int) else value
        for key, value in found.items()
    }


def _finetune_folds(study: Study) -> str:
    """How many folds are fine-tuned, as few and as many as in any cell: `1 to 3`."""
    settings = [study.settings(cell) for cell in study.cells(*AXES)]
    counts = sorted({len(of_cell["finetune_folds"]) for of_cell in settings if of_cell["finetune_epochs"]})
    return " to ".join(map(str, [counts[0], *counts[1:][-1:]])) if counts else "none"


def _share_seen(paths: StudyPaths, protocol: str) -> str | None:
    """The share of the test views of the nine classes that have another view of their file in training."""
    seen = rows_where(read_csv(paths.seen_in_training), protocol=protocol, scenario="nine_classes")
    return f"{100 * seen['file'].iloc[0]:.0f} %" if len(seen) else None


def _row(item: Item, found: dict[str, str]) -> dict[str, Any]:
    shown = re.sub(r"\{(\w+)\}", lambda match: found[match[1]], item.study)
    where = [
        *(f"\N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}" for name in item.sections),
        *item.files,
    ]
    places = [NOT_STATED] if item.place == NOT_STATED else item.place
    row = {"item": f"{item.id} {item.item}", "study": shown, "paper": item.paper}
    return row | {"_small": {"study": "; ".join(where), "paper": "; ".join(places)}}
