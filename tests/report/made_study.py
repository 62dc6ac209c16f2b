"""A results folder of made-up numbers, its report, and a parser of pages: what the tests of the pages share."""

import json
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from nbclient import NotebookClient
from PIL import Image

from lib.config import CLASSES, NOTEBOOKS, PHASES, Study, StudyPaths, published, scenarios
from lib.explain import kmeans
from lib.report import notebooks, pages
from lib.verdicts import scores

# a class folder, a file name and an error text that would break a page which trusts names
HOSTILE = "<script>alert('1')</script> \"x\" \u202eevil\n../../up & $_a^b$.jpg"
AS_TEXT = HOSTILE.replace("\u202e", "<U+202E>")  # the mark would turn the line round

STUDY = Study(
    title='A study of "test" results <b>',
    synthetic=True,
    backbones=["EfficientNetV2B3", "MobileNet"],
    seeds=[0, 1],
    leave_out=[
        {"backbone": "EfficientNetV2B3", "scenario": "six_benign"},
        {"protocol": ["published", "grouped"], "seed": 1},
    ],
    image_size=32,
    finetune_epochs=3,
    transfer_epochs=5,
)
FAILED = "train-published-native-benign_malignant-MobileNet-seed0"
NOT_RUN = "train-clean-native-three_malignant-MobileNet-seed1"
SKILL = {"published": 2.4, "grouped": 1.3, "clean": 1.2}  # how far the true class's logit is raised


def write_study(root: Path, study: Study = STUDY, images_a_class: int = 6) -> None:
    """A results folder of made-up numbers, as the steps before the report leave it; some runs failed or are missing."""
    paths, generator = StudyPaths(root), np.random.default_rng(0)
    state = {
        "audit": _run("audit", {}),
        "kmeans": _run("kmeans", {}),
        "gradcam-nine_classes-MobileNet": _run("gradcam", {}),
    }
    for protocol in study.protocols:
        index = _prepare(paths, protocol, study, images_a_class, generator)
        state[f"prepare-{protocol}"] = _run("prepare", {"protocol": protocol})
        for scenario in study.scenarios:
            _scenario(paths, protocol, scenario, study, index, state, generator)
    _audit(paths, study)
    _pictures(paths, study, generator)
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
    name = "-".join([step, *(f"seed{v}" if k == "seed" else str(v) for k, v in axes.items())])
    return {
        "step": step, "axes": axes, "status": status, "cause": cause, "error": error,
        "notebook": f"notebooks/{name}.ipynb", "seconds": 12.5,
    }  # fmt: skip


def _prepare(paths, protocol, study, images_a_class, generator):
    rows = []
    for number, name in enumerate(CLASSES):
        for k in range(images_a_class):
            source = HOSTILE if number == k == 0 else f"Train/{name}/ISIC_{number:03}{k:04}.jpg"
            for view in range(2):
                part = ("train", "train", "val", "test")[k % 4]
                rows.append((source, f"ISIC_{number:03}{k:04}", name, name, number * 100 + k, view, part, part))
    columns = ["source", "image_id", "class", "folder_class", "group", "view", "part", "part_two_classes"]
    index = pd.DataFrame(rows, columns=columns)
    side = study.image_size
    y, x = np.mgrid[:side, :side] / side - 0.5
    pictures = []
    for number in index["group"]:
        lesion = (x**2 + y**2 < 0.04 + 0.01 * (number % 9))[..., None]
        colour = np.array([120 + number % 90, 70 + number % 50, 60])
        pictures.append(
            np.clip(np.where(lesion, colour, [225, 180, 160]) + generator.normal(0, 6, (side, side, 3)), 0, 255)
        )
    folder = paths.prepared(protocol)
    folder.mkdir(parents=True)
    np.save(paths.images(protocol), np.array(pictures, np.uint8))
    index.to_parquet(paths.index(protocol))
    changes = pd.DataFrame(
        [
            (HOSTILE, "ISIC_0000000", "melanoma", "nevus", "official diagnosis"),
            ("b.jpg", "b", "nevus", "", "two classes"),
        ],
        columns=["source", "image_id", "folder_class", "class", "reason"],
    )
    changes.iloc[: 2 if protocol == "clean" else 0].to_csv(paths.label_changes(protocol), index=False)
    pd.DataFrame(
        [("nine_classes", "seborrheic keratosis", 1, "fewer than 2 original test images")]
        if protocol == "clean"
        else [],
        columns=["scenario", "class", "test_images", "reason"],
    ).to_csv(folder / "not_evaluable.csv", index=False)
    return index


def _scenario(paths, protocol, scenario, study, index, state, generator):
    found, labels = {}, scenarios()[scenario].label_of()
    pool = index[index["class"].isin(labels) & index["part"].isin(["val", "test"])].reset_index(drop=True)
    names = scenarios()[scenario].names
    for cell in study.cells("protocol", "preprocessing", "scenario", "backbone", "seed"):
        if (cell["protocol"], cell["scenario"]) != (protocol, scenario):
            continue
        run = _run("train", cell)
        state[Path(run["notebook"]).stem] = run
        if Path(run["notebook"]).stem == FAILED:
            run |= {"status": "failed", "error": f"ValueError: {HOSTILE}"}
            continue
        if Path(run["notebook"]).stem == NOT_RUN:
            run |= {"status": "not run", "cause": "features-clean-native-MobileNet failed"}
            continue
        folder = paths.run(*cell.values())
        folder.mkdir(parents=True)
        for phase in PHASES:
            # repeated so that tests have some images; source and view stay unique
            table = pd.concat([pool.assign(view=pool["view"] + 2 * k) for k in range(4)], ignore_index=True)
            table = table[["source", "image_id", "group", "view", "part"]].assign(
                fold=0, row=np.arange(len(table)), true_class=[labels[name] for name in pd.concat([pool["class"]] * 4)]
            )
            logits = generator.normal(0, 1, (len(table), len(names)))
            truth = table["true_class"].map(names.index).to_numpy()
            logits[np.arange(len(table)), truth] += SKILL[protocol] + (phase == "finetune")
            probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            for column, name in enumerate(names):
                table[name] = probabilities[:, column].astype(np.float32)
            table.to_parquet(folder / f"predictions_{phase}.parquet")
            found[phase, cell["backbone"], cell["seed"]] = table
        epochs = study.transfer_epochs + study.finetune_epochs
        rise = 1 - np.exp(-np.arange(1, epochs + 1) / 3)
        pd.DataFrame(
            {
                "epoch": [*range(1, study.transfer_epochs + 1), *range(1, study.finetune_epochs + 1)],
                "phase": ["transfer"] * study.transfer_epochs + ["finetune"] * study.finetune_epochs,
                "loss": 2 - 1.6 * rise, "accuracy": 0.9 * rise, "val_loss": 2.1 - 1.4 * rise,
                "val_accuracy": 0.8 * rise,
                "learning_rate": 1e-3,
            }
        ).to_csv(folder / "history.csv", index=False)  # fmt: skip
        (folder / "run.json").write_text(
            json.dumps(
                {"provenance": {"git": {"commit": "0123abc" * 5, "clean": False}, "packages": {"keras": "3.15"}}}
            )
        )
    target = paths.evaluation(protocol, "native", scenario)
    target.mkdir(parents=True)
    axes = {"protocol": protocol, "preprocessing": "native", "scenario": scenario}
    state[f"evaluate-{protocol}-native-{scenario}"] = _run("evaluate", axes)
    for name, table in scores.evaluate(found, "EfficientNetV2B3", []).items():
        table.to_csv(target / f"{name}.csv", index=False)


def _audit(paths, study):
    paths.audit.mkdir(parents=True)
    sizes = {"1": [901], "2": [401, 500], "3": [594], "4": [307]}
    tables = {}
    for number, found in sizes.items():
        printed = published().query("table == @number", local_dict={"number": int(number)})
        rows = [
            {"phase": row.phase, "backbone": row.backbone, "val_n": found, "test_n": found, "confusion_matrices": None}
            for row in printed.itertuples()
        ]
        halves = [rows[i :: len(found)] for i in range(len(found))]
        groups = [{"val_n": n, "test_n": n, "rows": half} for n, half in zip(found, halves)]
        every = found if len(found) == 1 else []
        tables[number] = {"val_n": every, "test_n": every, "groups": groups, "rows": rows}
    pool = {
        "images": 2357,
        "test_n_expected": 235.7,
        "tables": {n: [{"test_n": g["test_n"], "rows": 6} for g in t["groups"]] for n, t in tables.items()},
        "sums": [{"tables": ["3", "4"], "of": "1", "test_n": [901], "agrees": True}],
    }
    row_error = {"table": "2", "phase": "finetune", "backbone": "ResNet50", "what": "recall is not accuracy"}
    text_error = {
        "place": "section IV.B",
        "quote": "reached 69.25%",
        "what": HOSTILE,
        "printed": 69.25,
        "expected": 69.37,
    }
    audit = {
        "tables": tables,
        "row_errors": [row_error | {"printed": 91.52, "expected": 92.8}],
        "text_errors": [text_error],
        "pool": pool,
        "detection": {"changes": 8460, "share": 0.77},
    }
    dataset = {
        "files": 2357, "isic_ids": 2300, "distinct_contents": 2200, "contradictory_contents": 11,
        "contradictory_pairs": {"melanoma + nevus": 9, "actinic keratosis + " + HOSTILE: 2}, "same_label_duplicates": 4,
        "near_duplicate_groups": 3, "official_test_in_train": 7, "lesions_known": 1800,
        "lesions_with_several_images": 40,
        "images_of_those_lesions": 99,
        "label_disagreements": {"melanoma": {"NV": 3, "MEL": 400}, "nevus": {"MEL": 2}},
        "accuracy_ceiling": {"raw": {"nine_classes": 0.981}, "clean": {"nine_classes": 1.0}},
    }  # fmt: skip
    paths.published_audit.write_text(json.dumps(audit))
    paths.dataset_audit.write_text(json.dumps(dataset))


def _pictures(paths, study, generator):
    maps = paths.gradcam_maps("nine_classes", "MobileNet")
    maps.mkdir(parents=True)
    index = pd.read_parquet(paths.index(study.protocols[-1])).query("view == 0")
    rows = index.groupby("class").head(1)
    files = pd.concat([rows, rows.head(1).assign(**{"class": "nevus"})], ignore_index=True)
    files = files.assign(content=files["image_id"], diagnosis="", lesion_id="", part="Train", width=32, height=32)
    files.assign(phash="0" * 16).to_parquet(paths.image_index)
    table = rows[["source", "image_id"]].assign(true_class=rows["class"], predicted_class="nevus", probability=0.7)
    table = table.assign(share_in_lesion=0.5, lesion_area=0.2)
    table.to_csv(maps / "maps.csv", index=False)
    paths.kmeans.mkdir(parents=True, exist_ok=True)
    rows[["source", "image_id", "class"]].assign(dice=0.8).to_csv(paths.kmeans / "segmentation.csv", index=False)
    (paths.kmeans / "masks").mkdir()
    for place, source in enumerate(rows["source"]):
        mask = np.zeros((32, 32), bool)
        mask[10:22, 10:22] = True
        kmeans.write_mask(paths.kmeans / "masks" / f"{kmeans.safe_name(source)}.png", mask)
        picture = generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(maps / f"{place:02d}-{kmeans.safe_name(source)}.png")


def make_report(results: Path, study: Study = STUDY, source: Path = NOTEBOOKS) -> Path:
    """The report of a results folder, by the notebook in `source` as the runner fills it in."""
    notebook = nbformat.read(source / "08_report.ipynb", as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += f"\nresults = {str(results)!r}\nsettings = {study.model_dump()!r}"
    NotebookClient(notebook, timeout=600, startup_timeout=300, resources={"metadata": {"path": str(source)}}).execute()
    nbformat.write(notebook, StudyPaths(results).executed("report"))
    html = StudyPaths(results).report
    pages.to_html(StudyPaths(results).executed("report"), html)
    notebooks.write_pages(StudyPaths(results))
    return html


class Page(HTMLParser):
    """What a test asks of a page: its elements with attributes, its text, the rows of its tables."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.inside = [], [], []
        self.tables, self.table = {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        self.inside.append(tag)
        if "table" in attributes.get("class", "").split() and tag == "div":
            self.table = attributes["id"]
            self.tables[self.table] = []
        if tag == "tr" and self.table:
            self.tables[self.table].append([])
        if tag in ("td", "th") and self.table:
            self.tables[self.table][-1].append("")

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside):
            self.text.append(data)
            if self.table and {"td", "th"} & set(self.inside):
                self.tables[self.table][-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]
