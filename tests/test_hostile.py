"""Inputs made to harm. Generated ones are read or refused in our own words, and change nothing of what is sound beside
them. Names stay text from the data set to the report, and nothing is written outside the results.

SKINCAS_EXAMPLES=1000 generates so many of each kind, instead of 30.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.config.paper import CLASSES
from lib.config.params import Study, load_study
from lib.config.paths import PARAMS, REPOSITORY, StudyPaths
from lib.config.schema import ParameterError
from lib.data.folder import DataError, check_folder, find_folder, passed_over, say_passed_over
from lib.data.metadata import DIAGNOSIS_CLASSES, check_metadata, coverage, isic_id
from tests.fixtures.pictures import read
from tests.fixtures.tiny import write_tiny
from tests.report.test_report import Page

generated = settings(
    max_examples=int(os.environ.get("SKINCAS_EXAMPLES", 30)),
    deadline=20_000,  # ms: more is a hang
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
HOSTILE = ["<script>alert(1)<\u2044script>$_a^b$", "line\nbreak", "\u202egnp.drawkcab", "..", "=1+1", "%s{0}\\n", "~"]


def one_of(*values: object, **text: int) -> st.SearchStrategy:
    """Any of these values, or any text up to a size."""
    return st.sampled_from([*values, *HOSTILE]) | st.text(**text)


# any bytes but those that no name has
file_names = st.binary(min_size=1, max_size=12).map(lambda name: os.fsdecode(re.sub(rb"[/\0]", b"_", name)))
file_names |= st.sampled_from(["nevus", "Train", "testing", "__MACOSX", ".hidden", "-", "CON", "a" * 200])
places = ["", "Train", "Test", "Train/nevus", "Test/melanoma", "Train/nevus/below", "Validation", "other/Train/nevus"]
endings = ["", ".png", ".JPG", ".jfif", ".txt", ".png.zip", " .png"]
strays = st.tuples(*map(st.sampled_from, (places, endings, ["image", "text", "folder", "nowhere", "loop", "pipe"])))


def plant(root: Path, place: str, name: str, kind: str) -> None:
    path = root / place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case _ if os.path.lexists(path):
            pass
        case "image":
            shutil.copy(next((root / "Train" / "nevus").glob("ISIC_*.png")), path)
        case "text":
            path.write_text("no picture")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(root if kind == "loop" else root / "absent")


@pytest.fixture
def sound(folder) -> pd.DataFrame:
    return read(folder)[0].set_index("source").drop(columns=["near_group", "group"])


@generated
@given(st.lists(st.tuples(file_names, strays), max_size=6))
def test_whatever_lies_beside_the_images_is_counted_and_changes_none_of_them(folder, sound, planted):
    root = Path(shutil.copytree(folder, folder.parent / "generated" / "set"))
    try:
        for name, (place, ending, kind) in planted:
            plant(root, place, name + ending, kind)
        files = check_folder(find_folder(str(root.parent)))
        index, unreadable = read(root)
        table = passed_over(root, files)
    except DataError as error:
        assert str(root.parent) in str(error)
    else:
        assert len(index) + len(unreadable) == len(files)
        index.to_parquet(root.parent / "index.parquet")
        index = pd.read_parquet(root.parent / "index.parquet").set_index("source")
        pd.testing.assert_frame_equal(index.loc[sound.index, sound.columns], sound)
        assert table["files"].sum() + len(files) == sum(len(names) for _, _, names in os.walk(root))
        assert say_passed_over(table).isprintable()
        assert json.dumps(table.to_dict("records"), ensure_ascii=False).encode()
    finally:
        shutil.rmtree(root.parent)


columns = (
    *["isic_id", "image", "lesion_id", "dx", "isic2019_diagnosis", "diagnosis", "diagnosis_3", "MEL"],
    " dx",
    " lesion_id",
)
ids = [f"ISIC_{n:07d}" for n in range(27)]
cells = one_of(*ids, *DIAGNOSIS_CLASSES, "NA", "", "1", "1e400", " mel ", "L1", max_size=8)
rows = st.lists(st.lists(cells, min_size=1, max_size=5), max_size=30)
tables = st.tuples(st.lists(one_of(*columns, max_size=5), min_size=1, max_size=5), rows)


@generated
@given(tables, st.sampled_from(",;\t"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.randoms())
def test_a_metadata_table_is_read_or_refused_whatever_the_order_of_its_rows(folder, table, separator, encoding, random):
    (head, rows), files, path = table, check_folder(folder), folder.parent / "generated.csv"

    def known(lines: list[list[str]]) -> pd.DataFrame | None:
        with path.open("w", encoding=encoding, errors="replace", newline="") as file:
            csv.writer(file, delimiter=separator).writerows([head, *lines])
        try:
            return check_metadata(files, [path])
        except DataError as error:
            assert str(path) in str(error) or "lesion_id" in str(error)
            return None

    found, other = known(rows), known(random.sample(rows, len(rows)))
    assert (found is None) == (other is None)
    if found is not None:
        pd.testing.assert_frame_equal(found, other)
        assert set(found["diagnosis"]) <= {"", *DIAGNOSIS_CLASSES} and coverage(files, found)
        listed = {isic_id(value) for line in rows for value in line}
        assert all(path.stem in listed for (*_, path), row in zip(files, found.to_numpy()) if any(row))


values = st.none() | st.booleans() | st.integers() | st.floats() | st.dates()
values |= one_of("nine_classes", "MobileNet", "by_view", "native", "train", "none", "1e-5", ".inf", max_size=10)
keys = st.sampled_from([*Study.model_fields])
values = st.recursive(values, lambda of: st.lists(of, max_size=4) | st.dictionaries(keys, of, max_size=4), max_leaves=6)
contents = st.dictionaries(keys, values, max_size=4).map(yaml.safe_dump) | st.text(max_size=60)
edits = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 9), st.text(max_size=6)), max_size=4)


@generated
@given(contents, st.sampled_from(sorted(PARAMS.glob("*.yaml"))), edits, file_names)
def test_a_study_file_is_read_as_it_says_or_refused_by_name(tmp_path, text, real, edits, name):
    text = real.read_text(encoding="utf-8") if edits else text
    for place, removed, added in edits:
        place %= len(text) + 1
        text = text[:place] + added + text[place + removed :]
    path, again = tmp_path / f"{name}.yaml", tmp_path / "again.yaml"
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        study = load_study(str(path))
    except ParameterError as error:
        assert str(path) in str(error)
    else:
        again.write_text(yaml.safe_dump(study.model_dump(mode="json")), encoding="utf-8")
        assert load_study(str(again)) == study and study.cells(*study.values_of_axes()) is not None
    finally:
        path.unlink()


SCRIPT = "<script>alert('1')<\N{FRACTION SLASH}script>"  # a file name holds no /
NAMES = (f'{SCRIPT} "x" & $_a^b$', "line\nbreak", "\u202egnp.drawkcab", "up ..", "=1+1", "%s{0}\\n")
FOLDER = "ne\nvus -_"  # spaces and dashes do not matter in the name of a class
TITLE = f"{SCRIPT} \u202e 'study'\n../../up"


@pytest.mark.slow
def test_no_name_becomes_a_path_all_reach_the_files_as_they_are_and_the_pages_as_text(demo_data, tmp_path):
    """A study of the steps without training, on hostile names."""
    data = tmp_path / f"{SCRIPT} \u202e data"
    shutil.copytree(demo_data, data, ignore=shutil.ignore_patterns("masks", "external", "*.csv", "*.json", "*.txt"))
    files = sorted((data / "Train").rglob("*.jpg")) + sorted((data / "Train").rglob("*.png"))
    renamed = [path.rename(path.with_name(name + path.suffix)) for name, path in zip(NAMES, files[::7])]
    (renamed[0].parent / f"broken {renamed[0].name}").write_bytes(b"no picture")
    for path in list((data / "Train" / "nevus").iterdir()):  # ten folds need a class of ten files
        shutil.copy(path, path.with_name(f"copy {path.name}"))
    # the same picture under two classes: the report shows such files
    other = next(folder for folder in (data / "Train").iterdir() if folder != renamed[0].parent)
    shutil.copy(renamed[0], other / renamed[0].name)
    rows = [(name, "NV", f"../../{SCRIPT}") for name in NAMES] + [("../../../evil", "MEL", "\u202e/etc/passwd")]
    metadata = tmp_path / "meta\u202e'data.csv"
    pd.DataFrame(rows, columns=["isic_id", "isic2019_diagnosis", "lesion_id"]).to_csv(metadata, index=False)
    (data / "Train" / "nevus").rename(data / "Train" / FOLDER)
    stranger = data / "Train" / f"{SCRIPT}\u202e.."
    stranger.mkdir()
    shutil.copy(next((data / "Train" / FOLDER).iterdir()), stranger / "of no class.png")
    scenarios = ["nine_classes", "three_malignant"]
    write_tiny(tmp_path / "hostile.yaml", title=TITLE, synthetic=False, scenarios=scenarios, protocols=["clean"])
    root = tmp_path / "here" / "below" / "results"
    before = set(tmp_path.rglob("*"))
    command = [sys.executable, "run_all.py", str(tmp_path / "hostile.yaml"), "--data", str(data)]
    command += ["--metadata", str(metadata), "--results", str(root), "--step", "audit,prepare,kmeans,report"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SKINCAS_")}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=kept)
    assert done.returncode == 0, done.stdout + done.stderr
    new = set(tmp_path.rglob("*")) - before
    assert StudyPaths(root).report in new
    for path in new:
        assert path.is_relative_to(root) or root.is_relative_to(path), path
        assert re.fullmatch(r"[\w./-]+", os.path.relpath(path, root)), path
    paths = StudyPaths(root)
    index = pd.read_parquet(paths.image_index)
    assert set(NAMES) <= set(index["image_id"]) and "of no class" not in set(index["image_id"])
    nevi = index[index["class"] == "nevus"]
    assert nevi["source"].str.startswith(f"Train/{FOLDER}/").any() and set(index["class"]) == set(CLASSES)
    assert SCRIPT in "".join(pd.read_csv(paths.audit / "unreadable.csv")["source"])
    pages = [paths.report, *paths.report.parent.glob("notebooks/*.html")]
    assert {path.stem for path in pages} == {"index", "audit", "prepare", "kmeans"}
    shown = {}
    for path in pages:
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert "\u202e" not in text, path.name
        assert len(page.all("script")) == (path == paths.report), path.name
        assert not [a for _, a in page.elements if any(key.startswith("on") for key in a)], path.name
        shown[path.stem] = "".join(page.text)
    assert f"{SCRIPT} <U+202E> 'study'" in shown["index"]
    assert all("<script>alert('1')<" in text for text in shown.values())
