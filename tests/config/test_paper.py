"""What the paper says: its scenarios, and its numbers, which are those of its text where that is given."""

import re

import pandas as pd
import pytest

from lib.config.paper import backbones
from lib.config.printed import literature, printed_rows, text_numbers


@pytest.fixture(scope="module")
def text() -> pd.DataFrame:
    return text_numbers()


def test_all_240_numbers_are_the_papers(paper_text):
    """Read back without lines or tabs: five percentages after a model's name, in the section of the table's number."""
    names = {backbone.printed: name for name, backbone in backbones().items()}
    flat = " ".join(paper_text.split())
    starts = [flat.index(f"TABLE {number}.") for number in ("I", "II", "III", "IV", "V")]
    found = {}
    for table, (start, end) in enumerate(zip(starts, starts[1:]), start=1):
        model = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
        for match in re.finditer(rf"({model})((?: \d+\.\d+%){{5}})", flat[start:end]):
            phase = "finetune" if "Fine tuning" in flat[start : start + match.start()] else "transfer"
            found[table, phase, names[match[1]]] = [float(value) for value in match[2].replace("%", "").split()]
    rows = printed_rows().set_index(["table", "phase", "backbone"])
    assert len(found) == 48
    assert {key: list(values) for key, values in zip(rows.index, rows.to_numpy())} == found


def test_table_five_is_the_papers(paper_text):
    lines = [line for line in paper_text.split("TABLE V.")[1].split("# C. Limit")[0].splitlines() if "\t" in line][1:]
    works = [row for row in literature().to_dict("records") if row["ref"] != "Proposed model"]
    assert len(lines) == len(works) + 4
    for line, row in zip(lines, works):
        printed = f"{row['ref']} {row['method']} {row['year']} {row['classes']} classes {row['accuracy']}%"
        assert line.split() == printed.split()
    ours = [row for row in literature().to_dict("records") if row["ref"] == "Proposed model"]
    printed = re.findall(r"(\d) classes\s+([\d.]+)%", " ".join(lines[len(works) :]))
    assert [(row["classes"], row["accuracy"]) for row in ours] == printed


def test_quotes_are_verbatim_and_hold_their_number(paper_text, text):
    flat = " ".join(paper_text.split())
    for entry in text.to_dict("records"):
        assert entry["quote"] in flat
        if entry["kind"] in ("value", "increase", "not_in_tables", "omitted"):
            # section IV.D prints a decimal comma
            assert entry["value"] in re.findall(r"\d+\.\d+|\d+", entry["quote"].replace(",", "."))


def test_no_percentage_of_the_prose_about_results_is_left_out(paper_text, text):
    flat = " ".join(paper_text.split())
    parts = [
        flat[flat.index("Abstract") : flat.index("I. INTRODUCTION")],
        flat[flat.index("III. METHODOLOGY") : flat.index("TABLE V.")],
        flat[flat.index("# C. Limit") : flat.index("ACKNOWLEDGMENT")],
    ]
    prose = re.sub(r"\d+\.\d+%(?: \d+\.\d+%){4}", "", " ".join(parts))  # without the tables' rows
    covered = set()
    for quote in set(text["quote"]):
        for match in re.finditer(re.escape(quote), prose):
            covered |= set(range(match.start(), match.end()))
    left = [match[0] for match in re.finditer(r"\d+(?:[.,]\d+)?%", prose) if match.start() not in covered]
    assert left == ["75%", "90%"]  # deaths by melanoma, and the accuracy aimed at in future: no results
