"""Which studies are there, and which trained models does each have?"""

from pathlib import Path

import pandas as pd

from lib.config import paper, params
from lib.config.files import read_json
from lib.config.paths import RUN_PREDICTIONS, RUN_RECORD, StudyPaths

AXES = ("scenario", "backbone", "protocol", "preprocessing", "seed", "phase")


def find_studies(results: Path) -> dict[str, Path]:
    """Studies with at least one trained model beside `results` (a study's results folder): name -> folder."""
    folders = sorted(results.parent.glob("*"))
    return {path.name: path for path in folders if not path.name.startswith(".") and len(find_models(path))}


def find_models(results: Path) -> pd.DataFrame:
    """The trained models of a results folder, one row each, with the columns AXES.

    Sorted in the order of params/: protocols from `by_view` to `clean`, `transfer` before `finetune`.
    """
    order = {"scenario": list(paper.scenarios()), "backbone": list(paper.backbones())}
    order |= {"protocol": params.PROTOCOLS, "preprocessing": params.PREPROCESSING, "phase": params.PHASES}
    rows, records = [], StudyPaths(results).run("*", "*", "*", "*", "*") / RUN_RECORD
    for record in results.glob(str(records.relative_to(results))):
        protocol, preprocessing, scenario, backbone, seed = record.parent.parts[-5:]
        for phase in params.PHASES:
            if (record.parent / RUN_PREDICTIONS.format(phase)).is_file():
                rows.append((scenario, backbone, protocol, preprocessing, int(seed.removeprefix("seed")), phase))
    models = pd.DataFrame(rows, columns=list(AXES))
    for axis, values in order.items():
        models = models[models[axis].isin(values)]  # what an older version trained is skipped
    places = {axis: list(values).index for axis, values in order.items()}
    return models.sort_values(list(AXES), key=lambda c: c.map(places.get(c.name, int)), ignore_index=True)


def is_synthetic(paths: StudyPaths) -> bool:
    """Whether a study's images are those of lib.data.demo: in its results folder, or as its audit's stamp says."""
    stamp = read_json(paths.stamp("audit")) or {}
    return bool(stamp.get("parameters", {}).get("synthetic")) or paths.demo_data.is_dir()


def list_studies(results: str) -> pd.DataFrame:
    """The studies beside a study's results folder, counted from their files: study, finished runs, failed runs,
    trained models (one per phase) and report (its path; "" where there is none)."""
    rows = []
    for folder in sorted(Path(results).parent.glob("[!.]*")):
        paths = StudyPaths(folder)
        if runs := len(list(paths.stamps.glob("[!.]*.json"))):
            failed = sum(run.get("status") == "failed" for run in (read_json(paths.state) or {}).values())
            report = paths.report.as_posix() if paths.report.is_file() else ""
            rows.append((folder.name, runs, failed, len(find_models(folder)), report))
    return pd.DataFrame(rows, columns=["study", "finished runs", "failed runs", "trained models", "report"])
