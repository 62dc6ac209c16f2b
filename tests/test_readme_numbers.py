"""The numbers of the README are those of the files in results/reference."""

import json
import re

import pandas as pd

from lib.config.paper import scenarios
from lib.config.paths import REPOSITORY
from lib.config.printed import printed_rows

REFERENCE = REPOSITORY / "results" / "reference" / "mobilenet_cpu" / "tables"
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
ANSWER = " ".join(README.split("**The answer so far.**")[1].split("![")[0].split())
FROZEN = "backbone == 'MobileNet' and phase == 'transfer'"
WORDS = {1: "one", 3: "three", 4: "four"}


def ladder():
    return pd.read_csv(REFERENCE / "ladder.csv").query("preprocessing == 'native'")


def test_every_accuracy_of_the_readmes_table_is_that_of_the_reference_ladder():
    header, rows = re.search(r"^\| scenario \| (.*) \|$\n.*\n((?:\|.*\n)+)", README, re.MULTILINE).groups()
    accuracy = ladder().query(FROZEN).set_index(["scenario", "rung"])["accuracy"]
    cells = [line.strip("| \n").split(" | ") for line in rows.strip().splitlines()]
    assert [title for title, *_ in cells] == [scenario.title for scenario in scenarios().values()]
    for name, (_, *numbers) in zip(scenarios(), cells):
        assert numbers == [f"{100 * accuracy[name, rung]:.1f}" for rung in header.split(" | ")]


def test_the_numbers_of_the_answer_are_those_of_ladder_and_claims():
    rungs = ladder().query(FROZEN + " and scenario == 'nine_classes'").set_index("rung")
    leak, clean = 100 * rungs.loc["by lesion"], 100 * rungs.loc["clean"]
    of_files = [-leak["step"], -leak["step_high"], -leak["step_low"], clean["accuracy"]]
    claims = pd.read_json(REFERENCE.parent / "claims.json").set_index("id")
    tested = claims.filter(regex=r"^table-[1-4]-transfer-mobilenet-test_accuracy$", axis="index")
    assert set(tested["verdict"]) == {"not reproduced"}
    steps = ladder().query(FROZEN + " and rung == 'by view'")["step"].dropna()
    counts = [len(tested), (steps > 0).sum(), (steps < 0).sum()]
    numbers = re.findall(r"\d+\.\d+", ANSWER)
    assert [float(number) for number in numbers if number != "95"] == [round(float(n), 1) for n in of_files]
    assert re.findall(r"\b(one|three|four)\b(?= printed| of|,| is lower)", ANSWER.lower()) == [
        WORDS[count] for count in counts
    ]


def test_the_headline_is_the_printed_one():
    rows = printed_rows().query("table == 1 and phase == 'finetune'").set_index("backbone")["test_accuracy"]
    assert rows.idxmax() == "EfficientNetV2B3" and f"{rows.max():.2f} % accuracy" in " ".join(README.split())


def test_the_readme_says_how_many_files_have_no_lesion_id():
    audit = json.loads((REFERENCE.parent / "audit" / "dataset.json").read_text(encoding="utf-8"))
    files, known = audit["files"], audit["files_with_lesion"]
    assert f"{files - known} of the {files:,} files have no lesion id" in " ".join(README.split())


def test_what_the_readme_says_of_choices_is_in_the_reference_tables():
    choices = pd.read_csv(REFERENCE.parents[1] / "multiverse" / "tables" / "multiverse_choices.csv")
    assert f"Of {len(choices)} combinations that we tried" in " ".join(README.split())
    assert (choices["reached"].max(), (choices["reached"] == 3).sum()) == (3, 2)
