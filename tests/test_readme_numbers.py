"""The numbers of the README are those of the files in results/reference."""

import json
import re
from collections import Counter

import pandas as pd

from lib.config.paper import scenarios
from lib.config.paths import REPOSITORY
from lib.config.printed import printed_rows

REFERENCE = REPOSITORY / "results" / "reference" / "mobilenet_cpu"
README = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
ANSWER = README.split("**The answer so far.**")[1].split("```")[0]
COUNTS = ("none", "one", "two", "three", "four", "five", "six")


def frozen_mobilenet():
    rows = pd.read_csv(REFERENCE / "tables" / "ladder.csv")
    return rows.query("preprocessing == 'native' and backbone == 'MobileNet' and phase == 'transfer'")


def read_claims(study):
    return json.loads((REFERENCE.with_name(study) / "claims.json").read_text(encoding="utf-8"))


def accuracies_tested(claims):
    """The claims that are printed test accuracies of Tables I to IV and were tested."""
    rows = [claim for claim in claims if claim["place"] == "table" and claim["test"]["measure"] == "test_accuracy"]
    return [claim for claim in rows if claim["default"]["outcome"] != "not tested"]


def test_every_accuracy_of_the_readmes_table_is_that_of_the_reference_ladder():
    rungs = frozen_mobilenet().set_index(["rung", "scenario"])
    table = re.search(r"\| rung \|.*?\n\n", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    title, _, *rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()]
    assert title[1:] == [scenario.title for scenario in scenarios().values()]
    assert [row[0].split(":")[0] for row in rows] == [*rungs.index.unique("rung")]
    for what, *cells in rows:
        for name, cell in zip(scenarios(), cells):
            value, low, high = (100 * rungs.loc[what.split(":")[0], name][["accuracy", "low", "high"]]).astype(float)
            assert cell == (f"{value:.1f}" if low != low else f"{value:.1f} [{low:.1f}, {high:.1f}]")


def test_the_answer_counts_the_verdicts_of_the_kept_study():
    verdicts = Counter(claim["verdict"] for claim in read_claims("mobilenet_cpu"))
    assert f"Of {verdicts.total()} claims" in ANSWER
    assert f"tested {verdicts.total() - verdicts['not tested']}:" in ANSWER
    inflected = {"holds": "holds?", "depends on open choices": "depends? on open choices"}
    for verdict, count in verdicts.items():
        assert re.search(rf"\b{count} {inflected.get(verdict, f'(is|are) {verdict}')}", ANSWER), (count, verdict)


def test_the_answer_counts_the_printed_accuracies_that_each_order_gives():
    tested = accuracies_tested(read_claims("mobilenet_cpu"))
    by_view = sum(claim["default"]["outcome"] == "yes" for claim in tested)
    by_file = sum("by_file, native" in claim["choices"]["numbers"].get("reached", []) for claim in tested)
    words = re.search(r"(\w+) of its printed accuracies .* (\w+) of the six lies .*, (\w+) do,", ANSWER).groups()
    assert [word.lower() for word in words] == [COUNTS[number] for number in (len(tested), by_view, by_file)]


def test_the_points_of_the_answer_are_those_of_the_ladder():
    rungs = frozen_mobilenet().query("scenario == 'nine_classes'").set_index("rung")
    leak, clean = (
        rungs.loc["by file", ["step", "step_high", "step_low"]],
        rungs.loc["clean", ["accuracy", "low", "high"]],
    )
    unrotated = pd.read_csv(REFERENCE.with_name("multiverse") / "tables" / "table_1.csv")
    unrotated = unrotated.query("variant == 'rotation_0' and preprocessing == 'native' and seeds > 0")
    apart = unrotated.set_index("protocol")["test_accuracy"]
    expected = [*-leak, apart["by_view"] - apart["by_file"], *clean]
    assert re.findall(r"\d+\.\d(?!\d)", ANSWER) == [f"{100 * number:.1f}" for number in expected]


def test_the_headline_is_the_printed_one():
    rows = printed_rows().query("table == 1 and phase == 'finetune'").set_index("backbone")["test_accuracy"]
    assert rows.idxmax() == "EfficientNetV2B3" and f"{rows.max():.2f} % accuracy" in README


def test_what_the_readme_says_of_the_files_is_in_the_audit():
    audit = json.loads((REFERENCE / "audit" / "dataset.json").read_text(encoding="utf-8"))
    files, known = audit["files"], audit["files_with_lesion"]
    assert f"{files - known} of the {files:,} files have no lesion id" in README
    assert f"{audit['contradictory_contents']} pictures are filed under two classes" in README
    assert f"{audit['official_test_in_train']} of the" in README


def test_the_answer_names_the_account_that_the_explanations_favour():
    rows = pd.read_csv(REFERENCE.with_name("multiverse") / "tables" / "explanations.csv")
    (favoured,) = rows.query("evidence == 'conclusion' and what == 'input_range'").to_dict("records")
    assert (favoured["input_range"], favoured["status"]) == ("0..255", "weak")
    assert f"(p = {favoured['p']:.2f}, the least" in ANSWER
    fits = rows.query("evidence == 'account' and high > 0.05")  # the rows of MobileNet, all tables together
    fits = fits.set_index(["protocol", "input_range"])
    assert {*fits.index} == {("by_view", "0..255"), ("by_file", "own")} and not fits["compatible_all"].any()
    assert [COUNTS[int(fits.loc[key, "compatible"])] for key in fits.index] == ["three", "six"]
    assert "with three of six settings; splitting first fits with all six" in ANSWER
