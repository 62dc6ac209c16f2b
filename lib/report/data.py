"""What the report reads of a study, in plain Python and pandas; what is not there is None or an empty table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lib.config.files import read_json
from lib.config.params import AXES
from lib.config.paths import StudyPaths

RUN = ["run", "step", *AXES, "status", "cause", "error", "notebook", "seconds"]


def read_csv(path: Path) -> pd.DataFrame | None:
    """A CSV file, names kept as text and as they were before `as_csv`; None where it is not there or empty."""
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])
        return table.replace(r"^'(?='*[=+\-@\t\n])", "", regex=True)
    except (FileNotFoundError, NotADirectoryError, pd.errors.EmptyDataError):
        return None


def read_parquet(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.is_file() else None


def read_picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L" if picture.mode in ("1", "L", "P", "I;16", "I") else "RGB"))


def read_pool(paths: StudyPaths) -> tuple[pd.DataFrame | None, np.ndarray | None]:
    """The views of the pool and their images, row by row; None twice where there is no pool."""
    views = read_parquet(paths.views)
    if views is None or not paths.images.is_file():
        return None, None
    return views, np.load(paths.images, mmap_mode="r", allow_pickle=False)


def read_runs(paths: StudyPaths) -> pd.DataFrame:
    """state.json as a table: run, step, the axes, status, cause, error, notebook, seconds; without the report's run."""
    rows = []
    for run, entry in (read_json(paths.state) or {}).items():
        if entry.get("step") != "report":
            known = {key: value for key, value in entry.items() if key in RUN and value is not None}
            known |= {axis: str(value) for axis, value in entry.get("axes", {}).items()}
            known |= {"status": "done"} if known.get("status") == "kept" else {}  # elsewhere; its results are here
            rows.append(dict.fromkeys(RUN, "") | {"seconds": 0.0} | known | {"run": run})
    return pd.DataFrame(rows, columns=RUN)


def executed_notebooks(paths: StudyPaths) -> dict[str, Path]:
    """Run -> its executed notebook, for every run of the study that has one."""
    executed = {run: paths.executed(run) for run in read_json(paths.state) or {} if Path(run).name == run}
    return {run: path for run, path in executed.items() if path.is_file()}


def rows_where(table: pd.DataFrame | None, /, **values: Any) -> pd.DataFrame:
    """The rows of a table that have these values; an empty table where there is none."""
    if table is None:
        return pd.DataFrame(columns=[*values])
    return table[(table[[*values]] == [*values.values()]).all(axis=1)]


def to_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts of plain Python values, None where empty."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
