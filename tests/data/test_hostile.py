"""Names made to harm, from the data set to the report: they stay text, and nothing is written outside the results."""

import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from lib.config.paper import CLASSES
from lib.config.paths import REPOSITORY, StudyPaths
from tests.report.test_report import Page

SCRIPT = "<script>alert('1')<\N{FRACTION SLASH}script>"  # a file name holds no /
NAMES = (f'{SCRIPT} "x" & $_a^b$', "line\nbreak", "\u202egnp.drawkcab", "up ..", "=1+1", "%s{0}\\n")
FOLDER = "ne\nvus -_"  # spaces and dashes do not matter in the name of a class
SMALL = {
    "title": f"{SCRIPT} \u202e 'study'\n../../up",
    "scenarios": ["nine_classes", "three_malignant"],
    "backbones": ["MobileNet"],
    "protocols": ["clean"],
    "image_size": 32,
    "pool_size_benign_malignant": 30,
    "min_test_images": 1,
    "weights": "none",
    "kmeans_images": 60,
}


@pytest.fixture(scope="module")
def study(demo_data, tmp_path_factory):
    """A study of the steps without training on hostile names: its results, its folder, and what it printed."""
    tmp_path = tmp_path_factory.mktemp("hostile")
    data = tmp_path / f"{SCRIPT} \u202e data"
    shutil.copytree(demo_data, data, ignore=shutil.ignore_patterns("masks", "*.csv", "*.json", "*.txt"))
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
    pools = {"pool_sizes": dict.fromkeys(CLASSES, 12)}
    (tmp_path / "hostile.yaml").write_text(yaml.safe_dump(SMALL | pools, allow_unicode=True), encoding="utf-8")
    root = tmp_path / "here" / "below" / "results"
    before = set(tmp_path.rglob("*"))
    command = [sys.executable, "run_all.py", str(tmp_path / "hostile.yaml"), "--data", str(data)]
    command += ["--metadata", str(metadata), "--results", str(root), "--step", "audit,prepare,kmeans,report"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SKINCAS_")}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=kept)
    assert done.returncode == 0, done.stdout + done.stderr
    return root, tmp_path, set(tmp_path.rglob("*")) - before


@pytest.mark.slow
def test_nothing_is_written_outside_the_results_and_no_name_of_the_data_set_becomes_a_path(study):
    root, _, new = study
    assert StudyPaths(root).report in new
    for path in new:
        assert path.is_relative_to(root) or root.is_relative_to(path), path
        assert re.fullmatch(r"[\w./-]+", os.path.relpath(path, root)), path


@pytest.mark.slow
def test_names_reach_the_files_as_they_are_and_the_pages_as_text(study):
    root, _, _ = study
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
