"""REFORMS: 32 items, each answered for the study and for the paper, with places that exist."""

import re

import nbformat
import pytest

from lib.config.params import Study
from lib.config.paths import NOTEBOOKS, REPOSITORY, StudyPaths
from lib.report import methods

MODULES = [3, 5, 7, 3, 6, 3, 3, 2]  # items of each module of the checklist


def test_the_checklist_has_its_32_items_in_8_modules_each_answered_on_both_sides():
    source, items = methods.load_reforms()
    expected = [f"{place}{'abcdefg'[item]}" for place, size in enumerate(MODULES, start=1) for item in range(size)]
    assert items["id"].tolist() == expected and len(expected) == 32 and source.startswith("https://")
    assert items[["module", "item", "study", "paper"]].map(lambda text: bool(text.strip())).all(axis=None)
    assert set(items) == {"module", "id", "item", "study", "files", "sections", "paper", "place"}


def test_every_answer_of_the_study_names_files_and_sections_that_exist():
    cells = nbformat.read(NOTEBOOKS / "08_report.ipynb", as_version=4).cells
    words = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = set(re.findall(r"^#{2,3} (.+)$", words, re.MULTILINE))
    for item in methods.load_reforms()[1].itertuples():
        assert [name for name in item.files if not (REPOSITORY / name).is_file()] == [], item.id
        assert set(item.sections) <= headings and (item.files or item.sections), item.id


def test_every_place_of_the_paper_exists(paper_text):
    chapters = list(re.finditer(r"^#* ?(I|II|III|IV|V|VI)\. [A-Z ]+$", paper_text, re.MULTILINE))
    starts = {chapter[1]: chapter.start() for chapter in chapters}
    ends = dict(zip(starts, [*list(starts.values())[1:], len(paper_text)]))
    for item in methods.load_reforms()[1].itertuples():
        for place in [] if item.place == ["not stated"] else item.place:
            kind, _, number = place.partition(" ")
            if kind == "section":
                chapter, _, part = number.partition(".")
                text = paper_text[starts[chapter] : ends[chapter]]
                assert not part or re.search(rf"^#* ?{part}\. ", text, re.MULTILINE), (item.id, place)
            else:
                sign = {"Table": f"TABLE {number}.", "equation": f"({number})", "abstract": "Abstract-"}
                assert sign.get(kind, f"{place}.") in paper_text, (item.id, place)


@pytest.mark.parametrize(
    ("settings", "folds"),
    [
        ({"finetune_epochs": 0}, "none"),
        ({"overrides": [{"when": {"scenario": "three_malignant"}, "set": {"finetune_folds": [0, 1, 2]}}]}, "1 to 3"),
    ],
)
def test_each_item_is_answered_with_the_studys_own_numbers(results, settings, folds):
    items, study = methods.load_reforms()[1], Study(**settings)
    numbers = methods.numbers(StudyPaths(results), study)
    assert (numbers["finetune_folds"], numbers["contradictory_contents"]) == (folds, "155")
    answers = methods.checklist(StudyPaths(results), study, items)["study"]
    assert not answers.str.contains("{", regex=False).any()
