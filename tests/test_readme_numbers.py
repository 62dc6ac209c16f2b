"""The README's numbers are those of the files beside it."""

import re

import pandas as pd

from lib.config import REPOSITORY, scenarios

REFERENCE = REPOSITORY / "results" / "reference" / "mobilenet_cpu" / "tables"
RUNGS = ["printed", "published", "no leak", "originals", "right labels", "clean"]


def test_every_accuracy_of_the_readmes_ladder_is_that_of_the_reference_table():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Za-z ,]*) \| (MobileNet(?:V2)?) \|((?: [\d.]+ \|){6})$", text, re.MULTILINE)
    table = pd.read_csv(REFERENCE / "ladder.csv").set_index(["scenario", "backbone", "phase", "rung"])["accuracy"]
    by_title = {scenario.title: name for name, scenario in scenarios().items()}
    shown = {}
    for title, backbone, numbers in rows:
        of_file = [f"{100 * table[by_title[title], backbone, 'transfer', rung]:.1f}" for rung in RUNGS]
        shown[title, backbone] = numbers.replace(" ", "").strip("|").split("|")
        assert shown[title, backbone] == of_file, (title, backbone)
    assert len(shown) == 2 * len(scenarios())


def test_every_step_and_interval_that_the_readme_names_is_in_the_reference_table():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    table = pd.read_csv(REFERENCE / "ladder.csv")
    in_file = {
        f"{100 * row.step:+.1f} [{100 * row.step_low:+.1f}, {100 * row.step_high:+.1f}]".replace("-", "\N{MINUS SIGN}")
        for row in table.dropna(subset="step").itertuples()
    }
    named = re.findall(r"[+\N{MINUS SIGN}][\d.]+ \[[+\N{MINUS SIGN}][\d.]+, [+\N{MINUS SIGN}][\d.]+\]", text)
    assert named and set(named) <= in_file
