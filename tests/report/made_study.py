"""A results folder of made-up numbers, its report, and a parser of pages: what the tests of the pages share."""

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pandas as pd
from nbclient import NotebookClient
from PIL import Image

from lib.config.params import AXES, PHASES, Study
from lib.config.paths import DEFAULT_VARIANT, NOTEBOOKS, REPOSITORY, RUN_RECORD, StudyPaths, run_id
from lib.data.predictions import Models
from lib.explain import kmeans
from lib.report import pages
from lib.scores.outcomes import collect_outcomes, write_outcomes
from tests.fixtures.predictions import made_up_index, write_prepared, write_run

# a class folder, a file name and an error text that would break a page which trusts names
HOSTILE = "<script>alert('1')</script> \"x\" \u202eevil\n../../up & $_a^b$.jpg"
AS_TEXT = HOSTILE.replace("\u202e", "<U+202E>")  # the mark would turn the line round

STUDY = Study(
    title='A study of "test" results <b>',
    backbones=["EfficientNetV2B3", "MobileNet"],
    seeds=[0, 1],
    skip=[
        {"backbone": "EfficientNetV2B3", "scenario": "six_benign"},
        {"protocol": ["by_view", "by_file", "by_lesion"], "seed": 1},
    ],
    image_size=32,
    finetune_epochs=3,
    transfer_epochs=5,
)
SYNTHETIC = STUDY.model_copy(update={"synthetic": True})
FAILED = "train-by_view-native-benign_malignant-MobileNet-seed0"
NOT_RUN = "train-clean-native-three_malignant-MobileNet-seed1"
SKILL = {"by_view": 0.85, "by_file": 0.62, "by_lesion": 0.6, "clean": 0.55}  # the share that a frozen model has right
AUDIT = REPOSITORY / "results" / "reference" / "mobilenet_cpu" / "audit"
HISTORY = ["fold", "phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
SMALL_CLASS = "seborrheic keratosis"  # too small to be scored


def write_study(root: Path, study: Study = STUDY) -> None:
    """A results folder of made-up numbers, as the steps before the report leave it; some runs failed or are missing."""
    paths, generator = StudyPaths(root), np.random.default_rng(0)
    state = {step: _run(step, {}) for step in ("audit", "prepare", "kmeans", "gradcam")}
    _prepare(paths, study, generator)
    for cell in study.cells(*AXES[:-1]):  # of the study's own settings
        run = _run("train", cell)
        name = Path(run["notebook"]).stem
        state[name] = run
        if name == FAILED:
            run |= {"status": "failed", "error": f"ValueError: {HOSTILE}"}
        elif name == NOT_RUN:
            run |= {"status": "not run", "cause": "features-native-MobileNet failed"}
        else:
            _train(paths, study, cell, generator)
    _audit(paths)
    for cell in study.cells("preprocessing", "scenario"):
        run = _run("evaluate", cell)
        state[Path(run["notebook"]).stem] = run
        evaluate(paths, study, cell)
    _pictures(paths, study)
    paths.state.write_text(json.dumps(state))
    for name, run in {"report": _run("report", {}), **state}.items():
        if run["status"] != "not run":
            write_notebook(paths.executed(name), run["error"])


def write_notebook(path: Path, error: str = "") -> None:
    """An executed notebook that prints, shows a table and a script, and ends in a traceback where there is an error."""
    v4 = nbformat.v4
    table = pd.DataFrame({"file": [HOSTILE], "n": [1]})
    shown = [
        v4.new_output("stream", name="stdout", text=f"reading {HOSTILE}\n"),
        v4.new_output("execute_result", {"text/html": table.to_html(), "text/plain": "a table"}, execution_count=1),
        v4.new_output("display_data", {"text/html": "<b onclick='alert(1)'>x</b><script>alert(2)</script>"}),
        v4.new_output("display_data", {"application/javascript": "alert(3)", "text/plain": HOSTILE}),
    ]
    cells = [v4.new_markdown_cell("# 04 Train\n\n## The images\n\n$x^2$"), v4.new_code_cell("show()", outputs=shown)]
    if error:
        raised = {"ename": "ValueError", "evalue": HOSTILE, "traceback": ["\x1b[31mTraceback\x1b[0m", error]}
        cells.append(v4.new_code_cell("fail()", outputs=[v4.new_output("error", **raised)]))
    for count, cell in enumerate(cells[1:], start=1):
        cell.execution_count = count
    path.parent.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells), path)


def _run(step, axes, status="done", cause="", error=""):
    name = run_id(step, axes)
    axes = axes | {"variant": DEFAULT_VARIANT}
    return {
        "step": step, "axes": axes, "status": status, "cause": cause, "error": error,
        "notebook": f"notebooks/{name}.ipynb", "seconds": 12.5,
    }  # fmt: skip


def _prepare(paths, study, generator):
    """The pool and the protocols of a data set with a hostile name, a picture under two classes and a small class."""
    index = made_up_index(mislabelled=3)
    index.loc[0, "source"] = HOSTILE
    twin = index.index[index["class"] == "nevus"][0]
    index.loc[twin, ["content", "near_group", "group"]] = index.loc[0, ["content", "near_group", "group"]]
    small = index.index[index["class"] == SMALL_CLASS][4:]
    index = index.drop(small).reset_index(drop=True)
    write_prepared(paths, index, least=6)
    shape = len(pd.read_parquet(paths.views)), study.image_size, study.image_size, 3
    np.save(paths.images, generator.normal(128, 40, shape).clip(0, 255).astype(np.uint8))


def _train(paths, study, cell, generator):
    """What 04_train saves of a run, but for the weights: both phases, the history and run.json."""
    folds = {"transfer": study.transfer_folds, "finetune": study.finetune_folds}
    for phase in PHASES:
        skill = SKILL[cell["protocol"]] + (0.1 if phase == "finetune" else 0)
        write_run(
            paths, cell["protocol"], cell["scenario"], cell["backbone"], phase,
            lambda views, skill=skill: generator.random(len(views)) < skill,
            folds[phase], cell["seed"], cell["preprocessing"],
        )  # fmt: skip
    numbers = {"transfer": study.transfer_epochs, "finetune": study.finetune_epochs}
    epochs = [
        (fold, phase, epoch, 2 - epoch / 9, epoch / 9, 2 - epoch / 10, epoch / 10)
        for phase in PHASES
        for fold in folds[phase]
        for epoch in range(1, numbers[phase] + 1)
    ]
    folder = paths.run(**cell)
    pd.DataFrame(epochs, columns=HISTORY).to_csv(folder / "history.csv", index=False)
    made = {"git": {"commit": "0123abc" * 5, "clean": False}, "packages": {"keras": "3.15"}}
    (folder / RUN_RECORD).write_text(json.dumps({"provenance": made}))


def evaluate(paths, study, cell):
    """What 05_evaluate writes of a scenario."""
    models = {"protocols": study.protocols, "backbones": study.backbones, "seeds": study.seeds}
    target = paths.outcomes(**cell)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_outcomes(collect_outcomes(Models(paths, **cell, **models)), target)


def _audit(paths):
    """What 01_audit found in the paper and in the public set, with names that would break a page."""
    of_paper, of_set = (json.loads((AUDIT / f"{name}.json").read_text("utf-8")) for name in ("printed", "dataset"))
    of_paper["text_errors"][0]["what"] = HOSTILE
    of_set["contradictory_pairs"]["actinic keratosis + " + HOSTILE] = 2
    paths.printed_audit.write_text(json.dumps(of_paper))
    paths.dataset_audit.write_text(json.dumps(of_set))


def _pictures(paths, study):
    maps = paths.gradcam_maps("nine_classes", "MobileNet")
    maps.mkdir(parents=True)
    rows = pd.read_parquet(paths.views).query("view == 0").groupby("class").head(1)
    rows.assign(true_class=rows["class"], predicted_class="nevus").to_csv(maps / "maps.csv", index=False)
    names, mask = [f"{place:02d}.png" for place in range(len(rows))], np.eye(study.image_size, dtype=bool)
    for row, name in zip(rows.index, names):
        kmeans.write_mask(paths.segmentation_masks / name, mask)
        Image.fromarray(np.load(paths.images, mmap_mode="r")[row]).save(maps / name)
    rows.assign(mask=names, dice=0.8).to_csv(paths.segmentation, index=False)


def make_report(results: Path, study: Study = STUDY, source: Path = NOTEBOOKS) -> Path:
    """The report of a results folder, by the notebook in `source` as the runner fills it in."""
    notebook = nbformat.read(source / "08_report.ipynb", as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += f"\nresults = {str(results)!r}\nattempt = ''\nsettings = {study.model_dump()!r}"
    NotebookClient(notebook, timeout=600, startup_timeout=300, resources={"metadata": {"path": str(source)}}).execute()
    nbformat.write(notebook, StudyPaths(results).executed("report"))
    html = StudyPaths(results).report
    pages.write_report(StudyPaths(results).executed("report"), html)
    pages.write_notebooks(StudyPaths(results))
    return html


class Page(HTMLParser):
    """What a test asks of a page: its elements with attributes, its text, the rows of its tables."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.inside = [], [], []
        self.tables, self.rows = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        self.inside.append(tag)
        if tag == "div" and "table" in attributes.get("class", "").split():
            self.rows = self.tables[attributes["id"]] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside):
            self.text.append(data)
            if {"td", "th"} & set(self.inside):
                self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def check_links(self, folder: Path) -> None:
        """The page, which lies in `folder`, loads nothing and runs no attribute; its links lead somewhere."""
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for tag, attributes in self.elements:
            assert tag not in ("iframe", "object", "embed", "base", "form"), attributes
            assert not any(name.startswith("on") for name in attributes), attributes
            for name in ("src", "srcset", "data", "action", "poster", "xlink:href"):
                assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
            link = unquote(attributes.get("href", "data:"))
            if link.startswith("#"):
                assert link[1:] in ids, link
            elif not link.startswith(("data:", "https://")):  # a source that a reader may open
                assert (folder / link).is_file(), link
