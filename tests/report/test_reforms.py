"""REFORMS: 32 items, each answered for the study and for the paper, with places that exist."""

import itertools
import re

import nbformat

from lib.config.paths import NOTEBOOKS, REPOSITORY, StudyPaths
from lib.report import methods
from tests.report.made_study import STUDY

MODULES = [3, 5, 7, 3, 6, 3, 3, 2]  # items of each module of the checklist


def test_each_of_32_items_is_answered_and_names_files_and_sections_that_exist(results):
    source, items = methods.load_reforms()
    expected = [f"{place}{'abcdefg'[item]}" for place, size in enumerate(MODULES, start=1) for item in range(size)]
    assert items["id"].tolist() == expected and len(expected) == 32 and source.startswith("https://")
    assert items[["module", "item", "study", "paper"]].map(lambda text: bool(text.strip())).all(axis=None)
    cells = nbformat.read(NOTEBOOKS / "08_report.ipynb", as_version=4).cells
    words = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = set(re.findall(r"^#{2,3} (.+)$", words, re.MULTILINE))
    for item in items.itertuples():
        assert [name for name in item.files if not (REPOSITORY / name).is_file()] == [], item.id
        assert set(item.sections) <= headings and (item.files or item.sections), item.id
    answers = methods.checklist(StudyPaths(results), STUDY, items)["study"]
    assert not answers.str.contains("{", regex=False).any()  # each number is filled in


def test_every_place_of_the_paper_exists(paper_text):
    chapters = re.split(r"^#* ?(I|II|III|IV|V|VI)\. [A-Z ]+$", paper_text, flags=re.MULTILINE)
    places = {"not stated"} | {f"section {chapter}" for chapter in chapters[1::2]}
    for chapter, text in zip(chapters[1::2], chapters[2::2]):
        places |= {f"section {chapter}.{part}" for part in re.findall(r"^#* ?(\w)\. ", text, re.MULTILINE)}
    for place in {*itertools.chain(*methods.load_reforms()[1]["place"])} - places:
        kind, _, number = place.partition(" ")
        sign = {"Table": f"TABLE {number}.", "equation": f"({number})", "abstract": "Abstract-"}
        assert kind != "section" and sign.get(kind, f"{place}.") in paper_text, place
