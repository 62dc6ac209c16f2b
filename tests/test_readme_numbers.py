"""The README's numbers are those of the files beside it."""

import re

import pandas as pd

from lib.config.paper import scenarios
from lib.config.paths import REPOSITORY

REFERENCE = REPOSITORY / "results" / "reference" / "mobilenet_cpu" / "tables"
RUNGS = ["printed", "by_view", "by lesion", "originals", "corrected labels", "clean"]


def test_every_accuracy_of_the_readmes_ladder_is_that_of_the_reference_table():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Za-z ]*) \| (\w+)(, fine-tuned)? \|((?: [\d.]+ \|){6})$", text, re.MULTILINE)
    table = pd.read_csv(REFERENCE / "ladder.csv").set_index(["scenario", "backbone", "phase", "rung"])["accuracy"]
    by_title = {scenario.title: name for name, scenario in scenarios().items()}
    shown = {}
    for title, backbone, tuned, numbers in rows:
        model = title, backbone, "finetune" if tuned else "transfer"
        of_file = [f"{100 * table[by_title[title], backbone, model[2], rung]:.1f}" for rung in RUNGS]
        shown[model] = numbers.replace(" ", "").strip("|").split("|")
        assert shown[model] == of_file, model
    models = [("MobileNet", "transfer"), ("MobileNetV2", "transfer"), ("MobileNet", "finetune")]
    assert set(shown) == {(title, *model) for title in by_title for model in models}


def test_every_step_and_interval_that_the_readme_names_is_in_the_reference_table():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    table = pd.read_csv(REFERENCE / "ladder.csv")
    in_file = {
        f"{100 * row.step:+.1f} [{100 * row.step_low:+.1f}, {100 * row.step_high:+.1f}]".replace("-", "\N{MINUS SIGN}")
        for row in table.dropna(subset="step").itertuples()
    }
    named = re.findall(r"[+\N{MINUS SIGN}][\d.]+ \[[+\N{MINUS SIGN}][\d.]+, [+\N{MINUS SIGN}][\d.]+\]", text)
    assert named and set(named) <= in_file


def test_what_the_readme_says_of_all_rows_together_is_true_of_the_reference_tables():
    text = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    steps = pd.read_csv(REFERENCE / "ladder.csv").set_index(["scenario", "phase", "backbone", "rung"])
    above = 100 * steps.xs("by_view", level="rung")["step"].dropna()
    claims = pd.read_json(REFERENCE.parent / "claims.json").set_index("id")
    tested = claims.filter(regex=r"^table-[1-4]-(transfer|finetune)-mobilenet(v2)?-test_accuracy$", axis="index")
    tested = tested[tested["verdict"] != "not tested"]
    assert len(above) == len(tested) == 12 and set(tested["verdict"]) == {"not reproduced"}
    assert "gives none of the twelve printed accuracies that it tested" in text
    assert ((above > 0).sum(), (above < 0).sum()) == (9, 3) and "nine come out higher than printed, three lower" in text
    two = above.index.get_level_values("scenario") == "benign_malignant"
    assert f"ours are {above[~two].min():.0f} to {above[~two].max():.0f} points higher" in text
    assert f"in Table II {-above[two].max():.0f} to {-above[two].min():.0f} lower" in text
    leak = steps.xs("by lesion", level="rung")
    frozen, tuned = (leak.xs(phase, level="phase") for phase in ("transfer", "finetune"))
    least, most = -100 * frozen["step"].max(), -100 * frozen["step"].min()
    assert f"the leak is worth {least:.0f} to {most:.0f} points, and beyond chance in every row" in text
    assert (frozen["step_high"] < 0).all()
    undecided = tuned[tuned["step_high"] >= 0].index.get_level_values("scenario")
    assert list(undecided) == ["benign_malignant"] and "and not beyond chance in two." in text
    reached = 100 * steps.loc[("nine_classes", "transfer", "MobileNet", "clean"), "accuracy"]
    assert f"with wrong labels put right, it reaches {reached:.1f} %" in text


def test_what_the_readme_says_of_open_choices_is_in_the_reference_tables():
    text = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    tables = REFERENCE.parents[1] / "multiverse" / "tables"
    rows = pd.read_csv(tables / "multiverse_rows.csv").set_index("scenario")
    choices = pd.read_csv(tables / "multiverse_choices.csv").set_index(["preprocessing", "variant"])
    assert set(rows["backbone"]) == {"MobileNet"} and len(rows) == len(scenarios())
    assert set(rows["choices"]) == {len(choices)} and f"Of {len(choices)} tried with MobileNet" in text
    assert choices["reached"].max() == 3 and "none gives all four printed numbers" in text
    most = choices[choices["reached"] == 3]
    assert set(most.index) == {("raw", "rotation_15"), ("raw", "rotation_40")}
    assert "turned by at most 15 or 40 degrees, it gives three: Tables I, III and IV." in text
    given = {scenario.title for name, scenario in scenarios().items() if scenario.table in (1, 3, 4)}
    assert {frozenset(which.split("; ")) for which in most["which"]} == {frozenset(given)}
    needs = rows.loc["benign_malignant", "reached_by"].split("; ")
    assert set(needs) == {"native, rotation 0", "minmax, rotation 0", "native, rotation 15"}
    reached, chance = rows["reached"], rows["expected_by_chance"]
    assert f"reached by {reached.min()} to {reached.max()} of the {len(choices)}" in text
    assert f"by {chance.min():.1f} to {chance.max():.1f} of the {len(choices)}" in text


def test_what_the_readme_says_of_mobilenetv2s_input_range_is_in_the_reference_table():
    text = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    table = pd.read_csv(REFERENCE.parents[1] / "preprocessing" / "tables" / "table_1.csv")
    raw = table.query("preprocessing == 'raw' and protocol == 'by_view' and phase == 'transfer'")
    row = raw.set_index("backbone").loc["MobileNetV2"]
    assert not row["repetition_low"] <= row["printed_test_accuracy"] <= row["repetition_high"]
    said = "MobileNetV2, fed with 0 to 255, has {:.1f} % in nine classes, with {:.1f} % printed."
    assert said.format(100 * row["test_accuracy"], 100 * row["printed_test_accuracy"]) in text


def test_the_studies_have_the_same_numbers_where_they_did_the_same():
    cell = ["table", "protocol", "preprocessing", "variant", "phase", "backbone"]
    studies = {}
    for name in ("mobilenet_cpu", "preprocessing", "multiverse"):
        tables = {
            path.stem: pd.read_csv(path) for path in (REFERENCE.parents[1] / name / "tables").glob("table_[1-4].csv")
        }
        rows = pd.concat(tables, names=["table", None]).reset_index("table").query("seeds > 0")
        studies[name] = rows.set_index(cell)["test_accuracy"]
    for first, second, rows in (
        ("mobilenet_cpu", "preprocessing", 6),  # nine classes, native, three protocols, two networks
        ("mobilenet_cpu", "multiverse", 4),  # MobileNet, by_view, native, four tasks
        ("preprocessing", "multiverse", 3),  # MobileNet, by_view, nine classes, three input ranges
    ):
        common = studies[first].index.intersection(studies[second].index)
        assert len(common) == rows
        pd.testing.assert_series_equal(studies[first][common], studies[second][common])


def test_what_is_said_of_more_seeds_is_in_their_tables():
    text = " ".join((REFERENCE.parents[1] / "README.md").read_text(encoding="utf-8").split())
    three = pd.read_csv(REFERENCE.parents[1] / "seeds.csv")
    assert set(three["scenario"]) == {"nine_classes"} and set(three["backbone"]) == {"MobileNetV2"}
    one = pd.read_csv(REFERENCE / "ladder.csv").query(
        "scenario == 'nine_classes' and backbone == 'MobileNetV2' and phase == 'transfer'"
    )
    one, three = (100 * table.set_index("rung").select_dtypes("number") for table in (one, three))
    half = [
        [(table.at[rung, "high"] - table.at[rung, "low"]) / 2 for rung in ("originals", "clean")]
        for table in (one, three)
    ]
    said = (
        "{:.1f} points on the originals under `by_lesion` and {:.1f} under `clean`, against {:.1f} and {:.1f} with one"
    )
    assert said.format(*half[1], *half[0]) in text
    leak, last = ([table.loc[rung] for table in (three, one)] for rung in ("by lesion", "clean"))
    assert "the leak's step is {:.1f} points against {:.1f}".format(*(rung["step"] for rung in leak)) in text
    steps = " against ".join(f"{rung.step:+.1f} [{rung.step_low:.1f}, {rung.step_high:.1f}]" for rung in last)
    assert f"the step to `clean` {steps}" in text
    spread = pd.read_csv(REFERENCE.parents[1] / "seeds_spread.csv").iloc[0]
    assert (spread["seeds"], spread["folds"]) == (3, 10)
    said = "spread by {:.1f} points (standard deviation) from seed to seed, and by {:.1f} from fold to fold"
    assert said.format(100 * spread["run_sd"], 100 * spread["fold_sd"]) in text


def test_what_is_said_of_the_cell_of_paper_is_in_its_table():
    readme, reference = (
        " ".join((folder / "README.md").read_text(encoding="utf-8").split())
        for folder in (REPOSITORY, REFERENCE.parents[1])
    )
    rows = 100 * pd.read_csv(REFERENCE.parents[1] / "paper_cell.csv").set_index("phase").select_dtypes("number")
    accuracy = "{:.1f} % [{:.1f}, {:.1f}]"
    ends = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
    frozen, tuned = (accuracy.format(*rows.loc[phase, ends]) for phase in ("transfer", "finetune"))
    assert f"Frozen, ten folds: {frozen}." in reference and rows.at["transfer", "folds"] == 1000
    images = f"Fine-tuned, fold 0, {rows.at['finetune', 'n_test'] / 100:.0f} images: {tuned}"
    others = "validation {:.1f} %, printed {:.1f} %".format(
        *rows.loc["finetune", ["val_accuracy", "printed_test_accuracy"]]
    )
    assert f"{images}, {others}" in reference
    assert f"had {rows.at['finetune', 'test_accuracy']:.1f} % in a fold of Table IV" in readme
