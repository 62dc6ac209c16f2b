"""The report: its numbers against scikit-learn, its page against a parser, and the cases where results are missing."""

import json
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from lib import evaluate
from lib.params import CLASSES, PHASES, Study, published, scenarios
from lib.paths import NOTEBOOKS, StudyPaths

# a class folder, a file name and an error text that would break a page which trusts names
HOSTILE = "<script>alert('1')</script> \"x\" \u202eevil ../../up & $_a^b$.jpg"

STUDY = Study(
    title='A study of "test" results <b>',
    synthetic=True,
    backbones=["EfficientNetV2B3", "ResNet50", "MobileNet"],
    seeds=[0, 1],
    leave_out=[{"backbone": "EfficientNetV2B3", "scenario": "six_benign"}],
    image_size=32,
    finetune_epochs=3,
    transfer_epochs=5,
)
FAILED = "train-published-native-benign_malignant-ResNet50-seed0"
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
                true_class=[labels[name] for name in pd.concat([pool["class"]] * 4)]
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
                "loss": 2 - 1.6 * rise, "accuracy": 0.9 * rise, "val_loss": 2.1 - 1.4 * rise, "val_accuracy": 0.8 * rise,
                "learning_rate": 1e-3,
            }
        ).to_csv(folder / "history.csv", index=False)  # fmt: skip
        (folder / "run.json").write_text(json.dumps({"commit": "0123abc", "versions": {"keras": "3.15"}}))
    target = paths.evaluation(protocol, "native", scenario)
    target.mkdir(parents=True)
    axes = {"protocol": protocol, "preprocessing": "native", "scenario": scenario}
    state[f"evaluate-{protocol}-native-{scenario}"] = _run("evaluate", axes)
    for name, table in evaluate.evaluate(found, "EfficientNetV2B3", []).items():
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
        "near_duplicate_groups": 3, "official_test_in_train": 7, "lesions_known": 1800, "lesions_with_several_images": 40,
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
    table = rows[["source", "image_id"]].assign(true_class=rows["class"], probability=0.7, share_in_lesion=0.5)
    table.to_csv(maps / "maps.csv", index=False)
    paths.kmeans.mkdir(parents=True, exist_ok=True)
    rows[["source", "image_id", "class"]].assign(dice=0.8).to_csv(paths.kmeans / "segmentation.csv", index=False)
    for name in rows["image_id"]:
        picture = generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(maps / f"{name}.png")
