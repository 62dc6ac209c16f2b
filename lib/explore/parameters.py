"""Which parameters of a notebook that is run by hand cannot be used, and which differ from the study's?"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from lib.config.files import read_json
from lib.config.paper import backbones, scenarios
from lib.config.params import AXES, PREPROCESSING, PROTOCOLS, Settings, Study
from lib.config.paths import RUN_RECORD, StudyPaths, run_id
from lib.config.schema import ParameterError, refuse_unknown, validated
from lib.config.steps import STEPS


def check(step: str, paths: StudyPaths, values: Mapping[str, Any]) -> None:
    """Refuse parameters, among the names of a step's notebook, that run_all would refuse or that this study has no
    files for; a ParameterError names the parameter, its value and what is allowed. Those of run_all are checked."""
    if not paths.by_hand:
        return
    values = {name: value for name, value in values.items() if not callable(value)}
    validated(Study, {name: values[name] for name in Study.model_fields if name in values}, Path("parameters"))
    known = dict(zip(AXES, (PROTOCOLS, PREPROCESSING, [*scenarios()], [*backbones()], range(10))))
    given = known.keys() & values.keys()
    for axis in given:
        refuse_unknown([values[axis]], known[axis], f"{axis}: not known:")
    for name in ("data", "masks", "external", "weights_dir"):
        if values.get(name) and not Path(values[name]).exists():
            raise ParameterError(f"{name}: no file or folder {values[name]!r}; give one, or leave it empty")
    if step != "audit" and not paths.root.exists() and not paths.attempt.exists():
        beside = [path.parent.name for path in paths.root.parent.glob("*/audit")]
        refuse_unknown([paths.root.name], beside, f"results: no study in {paths.root.parent} is named")
    lists = [[values[axis]] if axis in values else values.get(f"{axis}s", ["*"]) for axis in known]
    cells = [dict(zip(known, cell)) for cell in product(*lists)]
    for name in STEPS[step].reads:
        if _has(paths, name, cells):
            continue
        for axis in given:
            if has := [value for value in known[axis] if _has(paths, name, cells, {axis: value})]:
                refuse_unknown([values[axis]], has, f"{axis}: {paths.root.name} does not have")
        raise ParameterError(f"results: {paths.root} lacks {name}: run the notebook before this one, or run_all.py")


def _has(paths: StudyPaths, name: str, cells: list[dict[str, Any]], other: Mapping[str, Any] = {}) -> bool:
    return any(paths.named([name], cell | other)[0].exists() for cell in cells)


def name_changes(paths: StudyPaths, cell: Mapping[str, Any]) -> str:
    """`units 16 instead of 128`: what differs in a cell (axis -> value) trained by hand from the study's own, by
    its stamp or its record, but for the folds; "" where the cell was not trained by hand."""
    if not paths.by_hand or not paths.run(**cell).is_relative_to(paths.attempt):
        return ""
    records = [read_json(at.run(**cell) / RUN_RECORD) or {} for at in (paths, StudyPaths(paths.root))]
    own, study = (record.get("model", {}) | record.get("parameters", {}) for record in records)
    study |= (read_json(paths.stamp(run_id("train", cell))) or {}).get("parameters", {})
    names = [name for name in Settings.model_fields if name in own and name in study and not name.endswith("_folds")]
    changed = [f"{name} {own[name]} instead of {study[name]}" for name in names if own[name] != study[name]]
    return ", ".join(changed) or "the same parameters"
