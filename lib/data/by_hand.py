"""The numbers of a notebook that is run by hand, beside those of the study."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from lib.config.paths import StudyPaths


def compare_with_study(
    paths: StudyPaths, written: Path, numbers: Callable[[Path], Mapping[str, float] | pd.Series]
) -> pd.DataFrame:
    """Numbers of this run and, where the notebook is run by hand, the same numbers of the study; one row per name.

    Args:
        written: the file or folder of the study from which the numbers are computed; this run has written its own.
        numbers: such a file or folder -> its numbers by name; a name may be a tuple of keys.
    """
    own = paths.new(written)  # of the study it is at the same place
    study = {"the study's": paths.root / own.relative_to(paths.attempt)} if paths.by_hand else {}
    places = study | {"yours" if study else "this run": own}
    columns = {title: dict(numbers(path)) if path.exists() else {} for title, path in places.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    shown = [", ".join(name) if isinstance(name, tuple) else name for name in names]
    return pd.DataFrame(
        {title: [column.get(name, float("nan")) for name in names] for title, column in columns.items()}, shown
    )
