"""Keep what a study found in results/reference/: outcomes, histories, tables, claims, audits, and the report made from
them. No image, nor a picture made of one, no features, no weights.

    python tests/benchmarks/reference.py results/mobilenet_cpu

Probabilities have DIGITS digits; the predicted class stays what it was.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lib.config.files import file_digest, read_json, write_json
from lib.config.paths import REPOSITORY, RESULTS, RUN_RECORD, StudyPaths
from lib.engine.freshness import FORMAT
from lib.scores.outcomes import MODEL, class_columns

DIGITS = 3
SKIPPED = {"label_errors.csv"}  # names pictures of people one by one, and is long
# of the provenance of a training: what the report shows; the command has paths of the machine
MADE = ("git", "hardware", "deterministic", "seconds", "peak_memory_bytes", "packages")
# columns that are in the order of the rows: each value is kept as its difference from the one above
ORDERED = {"row": "DELTA_BINARY_PACKED", "group": "DELTA_BINARY_PACKED", "source": "DELTA_BYTE_ARRAY"}


def keep(source: StudyPaths, target: StudyPaths) -> None:
    """Copy what is small and shows no picture from one results folder to another, which is made anew."""
    shutil.rmtree(target.root, ignore_errors=True)
    files = [source.claims, source.gradcam_table, source.segmentation, *source.audit.iterdir()]
    files += [path for path in source.tables.iterdir() if path.name not in SKIPPED]
    files += [path for path in source.prepared.iterdir() if path != source.images]
    files += source.root.glob("outcomes/*/*.csv")
    for path in filter(Path.is_file, files):
        shutil.copyfile(path, _place(path, source, target))
    for pattern in ("outcomes/*/*.parquet", "variants/*/outcomes/*/*.parquet"):
        for path in source.root.glob(pattern):
            write(small(pd.read_parquet(path)), _place(path, source, target))
    for path in source.root.glob("runs/*/*/*/*/*/history.csv"):
        pd.read_csv(path).round(DIGITS + 2).to_csv(_place(path, source, target), index=False)
        record = read_json(path.with_name(RUN_RECORD)) or {}
        made = {key: value for key, value in record.get("provenance", {}).items() if key in MADE}
        write_json(_place(path.with_name(RUN_RECORD), source, target), record | {"provenance": made})
    state = read_json(source.state) or {}
    for entry in state.values():
        entry["status"] = "kept" if entry["status"] == "done" else entry["status"]
    write_json(target.state, state)
    write_json(target.format, {"format": FORMAT})


def build_report(kept: StudyPaths, study: str, data: Path | None = None) -> Path:
    """The report of a kept study, in a copy of its folder: where it lies. `data` is where the copy goes."""
    copy = StudyPaths(shutil.copytree(kept.root, (data or Path(tempfile.mkdtemp())) / study))
    command = [sys.executable, "run_all.py", study, "--step", "report", "--yes", "--results", str(copy.root)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return copy.report


def draw_first_screen(report: Path) -> Path | None:
    """Picture the first screen of a report beside it; the picture names the page's digest. None without a browser."""
    browser, target = shutil.which("chromium") or shutil.which("chromium-browser"), report.with_name("first_screen.png")
    if not browser:
        return None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1440,900"]
    command = [browser, *flags, f"--screenshot={target}", report.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    of_page = PngInfo()
    of_page.add_text("page", file_digest(report))
    with Image.open(target) as picture:
        picture.convert("P", palette=Image.Palette.ADAPTIVE).save(target, pnginfo=of_page, optimize=True)
    return target


def _place(path: Path, source: StudyPaths, target: StudyPaths) -> Path:
    """Where a file of `source` goes in `target`; its folder is made."""
    copy = target.root / path.relative_to(source.root)
    copy.parent.mkdir(parents=True, exist_ok=True)
    return copy


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
    parser.add_argument("--name", help="the study, in results/reference/; default: that of the results folder")
    parser.add_argument("--report", action="store_true", help="build the report alone, from what is kept")
    arguments = parser.parse_args()
    name = arguments.name or arguments.results.name
    kept = StudyPaths(RESULTS / "reference" / name)
    if not arguments.report:
        keep(StudyPaths(arguments.results), kept)
    made = build_report(kept, name)
    kept.report.parent.mkdir(exist_ok=True)
    shutil.copyfile(made, kept.report)
    draw_first_screen(kept.report)
    size = sum(path.stat().st_size for path in kept.root.rglob("*") if path.is_file())
    print(f"{kept.report}\n{kept.root}: {size / 1e6:.1f} MB")
