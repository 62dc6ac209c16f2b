"""Which studies are there, and which trained models does each have?"""

from pathlib import Path

import pandas as pd

from lib.config import params
from lib.config.files import read_json
from lib.config.paths import StudyPaths, run_predictions, run_record

AXES = ("scenario", "backbone", "protocol", "preprocessing", "seed", "phase")


def find_studies(results: Path) -> dict[str, Path]:
    """Studies with at least one trained model beside `results` (a study's results folder): name -> folder."""
    folder = results.resolve().parent
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {path.name: path for path in folders if not path.name.startswith(".") and len(find_models(path))}


def find_models(results: Path) -> pd.DataFrame:
    """The trained models of a results folder, a row each: the columns AXES and `folder`, the run's folder.

    Sorted in the order of params/: protocols from `by_view` to `clean`, `transfer` before `finetune`.
    """
    pattern = StudyPaths(results).run("*", "*", "*", "*", "*").relative_to(results)
    known = {
        "scenario": list(params.scenarios()),
        "backbone": list(params.backbones()),
        "protocol": params.PROTOCOLS,
        "preprocessing": params.PREPROCESSING,
    }
    rows = []
    for folder in results.glob(str(pattern)):
        protocol, preprocessing, scenario, backbone, seed = folder.relative_to(results).parts[-5:]
        values = (scenario, backbone, protocol, preprocessing)
        if run_record(folder).is_file() and all(value in known[axis] for axis, value in zip(AXES, values)):
            for phase in params.PHASES:
                if run_predictions(folder, phase).is_file():
                    rows.append((*values, int(seed.removeprefix("seed")), phase, folder))
    order = known | {"phase": params.PHASES}
    places = [{value: place for place, value in enumerate(order.get(axis, ()))} for axis in AXES]
    rows.sort(key=lambda row: [place.get(value, value) for place, value in zip(places, row)])
    return pd.DataFrame(rows, columns=[*AXES, "folder"])


def is_synthetic(paths: StudyPaths) -> bool:
    """Whether a study's images are drawn by lib.data.demo: in its results folder, or as its audit's stamp says."""
    stamp = read_json(paths.stamp("audit")) or {}
    return bool(stamp.get("parameters", {}).get("synthetic")) or paths.demo_data.is_dir()
