"""00_start says which notebook answers what, and what is there, from the files themselves."""

import html
import re

import nbformat
import pytest

from lib.config.files import write_json
from lib.config.paths import NOTEBOOKS, StudyPaths
from lib.config.steps import STEPS
from lib.explore import tour


def test_every_notebook_but_the_tour_is_named_with_its_own_question():
    found = tour.questions().set_index("notebook")
    assert set(found.index) == {path.stem for path in NOTEBOOKS.glob("*.ipynb")} - {"00_start"}
    for name, row in found.iterrows():
        first = " ".join(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells[0].source.split())
        assert first.startswith(f"# {row['title']} {row['question']}") and row["question"].endswith("?")


def test_the_pages_of_the_tour_lead_to_notebooks_that_are_there():
    notebook = nbformat.read(NOTEBOOKS / "00_start.ipynb", as_version=4)
    linked = re.findall(r"\]\(([^)]+)\)", " ".join(cell.source for cell in notebook.cells))
    linked += re.findall(r"href='([^']+)'", tour.which_notebook("../results/none").data)
    assert len(linked) > 10 and all((NOTEBOOKS / name).is_file() for name in linked)


@pytest.fixture
def results(tmp_path):
    """Stamps as the runs of a study leave them, in a folder with a hostile name; and one without any result."""
    paths = StudyPaths(tmp_path / "results" / "<b>demo")
    for run in ("audit", "prepare", "features-native-MobileNet", "features-native-ResNet50"):
        paths.new(paths.stamp(run))
        write_json(paths.stamp(run), {})
    write_json(paths.format, {})
    write_json(paths.state, {"kmeans": {"status": "failed"}, "audit": {"status": "done"}})
    (tmp_path / "results" / "scratch" / "demo").mkdir(parents=True)
    return paths


def test_studies_are_counted_from_their_files(results):
    (row,) = tour.studies(results.root).to_dict("records")
    assert (row["study"], row["runs"], row["failed"], row["models"]) == ("<b>demo", 4, 1, 0)
    assert row["steps"] == ["audit", "prepare", "features"] and row["report"] is None
    shown = tour.what_is_there(str(results.root)).data
    assert "<b>" not in shown and "&lt;b&gt;demo" in shown and "4, 1 failed" in shown
    rest = ", ".join(list(STEPS)[3:])
    assert f"(not yet: {rest})" in html.unescape(shown)
    counted = tour.which_notebook(str(results.root)).data
    assert counted.count("1 run finished") == 2 and counted.count("2 runs finished") == 1 and "<b>" not in counted


def test_without_results_it_says_how_to_make_some(tmp_path):
    assert "python run_all.py demo" in tour.what_is_there(str(tmp_path / "nowhere" / "demo")).data
