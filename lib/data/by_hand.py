"""A number of a notebook that is run by hand, beside that of the study."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from lib.config import StudyPaths


def side_by_side(paths: StudyPaths, files: Mapping[str, Path], number: Callable[[Path], float]) -> pd.DataFrame:
    """What a number is in this run, and in the study where the notebook is run by hand.

    Args:
        files: name -> the file of the study that the number is computed from; this run has written its own.
        number: a file -> the number.

    Returns:
        A row a name: `yours`, and `the study's` (missing where the study has no such file) where it is run by hand;
        else `this run`.
    """
    here = {name: number(paths.new(path)) for name, path in files.items()}
    if not paths.by_hand:
        return pd.DataFrame({"this run": here})
    study = {name: number(path) if path.is_file() else float("nan") for name, path in files.items()}
    return pd.DataFrame({"the study's": study, "yours": here})
