"""The numbers of a notebook that is run by hand, beside those of the study."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lib.config.paths import StudyPaths


def side_by_side(paths: StudyPaths, files: Mapping[str, Path], number: Callable[[Path], float]) -> pd.DataFrame:
    """What a number is in this run, and in the study where the notebook is run by hand.

    Args:
        files: name -> the file of the study that the number is computed from; this run has written its own.
        number: a file -> the number.

    Returns:
        A row a name: `yours`, and `the study's` (missing where the study has no such file) where it is run by hand;
        else `this run`.
    """
    return _beside(paths, lambda at: {name: number(at(path)) for name, path in files.items() if at(path).is_file()})


def all_side_by_side(
    paths: StudyPaths, file: Path, numbers: Callable[[Path], Mapping[str, float] | pd.Series]
) -> pd.DataFrame:
    """The same for several numbers of one file.

    Args:
        numbers: a file -> its numbers by name, which may be that of a row with several keys.
    """
    return _beside(paths, lambda at: dict(numbers(at(file))) if at(file).is_file() else {})


def _beside(paths: StudyPaths, read: Callable[[Callable[[Path], Path]], dict[str, float]]) -> pd.DataFrame:
    columns = {"the study's": read(lambda path: path), "yours": read(paths.new)} if paths.by_hand else {}
    columns = columns or {"this run": read(paths.new)}
    names = list(dict.fromkeys(name for found in columns.values() for name in found))
    shown = [", ".join(name) if isinstance(name, tuple) else name for name in names]
    return pd.DataFrame({title: [found.get(name, np.nan) for name in names] for title, found in columns.items()}, shown)
