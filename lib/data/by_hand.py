"""The numbers of a notebook that is run by hand, beside those of the study."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
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
    own = paths.new(written)
    study = paths.root / own.relative_to(paths.attempt or paths.root)
    places = {"the study's": study, "yours": own} if paths.by_hand else {"this run": own}
    columns = {title: dict(numbers(path)) if path.exists() else {} for title, path in places.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    shown = [", ".join(name) if isinstance(name, tuple) else name for name in names]
    return pd.DataFrame(
        {title: [column.get(name, np.nan) for name in names] for title, column in columns.items()}, shown
    )
