"""Which studies are there, and which trained models does each have?"""

from pathlib import Path

import pandas as pd

from lib.config import paper, params
from lib.config.files import read_json
from lib.config.paths import RUN_PREDICTIONS, RUN_RECORD, SCRATCH, StudyPaths

AXES = ("scenario", "backbone", "protocol", "preprocessing", "seed", "phase", "trained")
TRAINED = {"by run_all": "", "by hand": SCRATCH}  # -> the attempt of the paths where the model lies


def find_studies(results: Path) -> dict[str, Path]:
    """Studies with at least one trained model beside `results` (a study's results folder): name -> folder."""
    beside = results.resolve().parent
    names = sorted({path.name for folder in (beside, beside / SCRATCH) for path in folder.glob("[!.]*")})
    return {name: beside / name for name in names if len(find_models(beside / name))}


def find_models(results: Path) -> pd.DataFrame:
    """The trained models of a results folder, one row each, with the columns AXES, in the order of params/."""
    order = {"scenario": list(paper.scenarios()), "backbone": list(paper.backbones()), "trained": list(TRAINED)}
    order |= {"protocol": params.PROTOCOLS, "preprocessing": params.PREPROCESSING, "phase": params.PHASES}
    rows = []
    for trained, attempt in TRAINED.items():
        paths = StudyPaths.of(str(results), attempt)
        for record in (paths.attempt or paths.root).glob(f"runs/*/*/*/*/*/{RUN_RECORD}"):
            protocol, preprocessing, scenario, backbone, seed = record.parent.parts[-5:]
            cell = (scenario, backbone, protocol, preprocessing, int(seed.removeprefix("seed")))
            saved = [phase for phase in params.PHASES if (record.parent / RUN_PREDICTIONS.format(phase)).is_file()]
            rows += [(*cell, phase, trained) for phase in saved]
    models = pd.DataFrame(rows, columns=list(AXES))
    for axis, values in order.items():
        models = models[models[axis].isin(values)]  # what an older version trained is skipped
    places = {axis: list(values).index for axis, values in order.items()}
    return models.sort_values(list(AXES), key=lambda c: c.map(places.get(c.name, int)), ignore_index=True)


def is_synthetic(paths: StudyPaths) -> bool:
    """Whether a study's images are those of lib.data.demo: in its results folder, or as its audit's stamp says."""
    stamp = read_json(paths.stamp("audit")) or {}
    return bool(stamp.get("parameters", {}).get("synthetic")) or paths.demo_data.is_dir()
