"""Keep what a study found in results/reference/: tables, claims, audits and the outcomes of its tests, no picture.

    python tests/benchmarks/reference.py results/mobilenet_cpu

Probabilities have DIGITS digits; the predicted class stays what it was.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lib.config.paths import RESULTS, StudyPaths
from lib.scores.outcomes import MODEL, class_columns

DIGITS = 3
SKIPPED = {"label_errors.csv"}  # names pictures of people one by one, and is long
# columns that are in the order of the rows: each value is kept as its difference from the one above
ORDERED = {"row": "DELTA_BINARY_PACKED", "group": "DELTA_BINARY_PACKED", "source": "DELTA_BYTE_ARRAY"}


def keep(source: StudyPaths, target: StudyPaths) -> None:
    """Copy what is small and shows no picture from one results folder to another, which is made anew."""
    shutil.rmtree(target.root, ignore_errors=True)
    files = [source.claims, source.printed_audit, source.dataset_audit, source.gradcam_table, source.not_evaluable]
    files += [path for path in source.tables.iterdir() if path.name not in SKIPPED]
    for path in filter(Path.is_file, files):
        copy = target.root / path.relative_to(source.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for path in [*source.root.glob("outcomes/*/*.parquet"), *source.root.glob("variants/*/outcomes/*/*.parquet")]:
        copy = target.root / path.relative_to(source.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        write(small(pd.read_parquet(path)), copy)


def small(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The tested rows, those of each model in order, with rounded probabilities; where two classes become equal, the
    one that was highest stays so."""
    tested = outcomes[outcomes["part"] != "val"]
    models = [rows.sort_values(["seed", "row"]) for _, rows in tested.groupby(MODEL, sort=False)]
    tested = pd.concat(models, ignore_index=True)
    classes = class_columns(tested)
    rounded = tested[classes].round(DIGITS).to_numpy(np.float32, copy=True)
    highest = tested[classes].to_numpy().argmax(axis=1)
    changed = rounded.argmax(axis=1) != highest
    rounded[changed, highest[changed]] += np.float32(10**-DIGITS)
    return tested.assign(**dict(zip(classes, rounded.T)))


def write(outcomes: pd.DataFrame, path: Path) -> None:
    """Write what `small` gives in as few bytes as Parquet takes."""
    others = [column for column in outcomes.columns if column not in ORDERED]
    packed = {"compression": "zstd", "compression_level": 22, "use_dictionary": others, "column_encoding": ORDERED}
    outcomes.to_parquet(path, index=False, **packed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results folder of a finished study")
    parser.add_argument("--name", help="folder in results/reference/; default: that of the results folder")
    arguments = parser.parse_args()
    kept = StudyPaths(RESULTS / "reference" / (arguments.name or arguments.results.name))
    keep(StudyPaths(arguments.results), kept)
    size = sum(path.stat().st_size for path in kept.root.rglob("*") if path.is_file())
    print(f"{kept.root}: {size / 1e6:.1f} MB")
