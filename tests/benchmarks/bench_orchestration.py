"""What the engine costs: a study of trivial notebooks against papermill alone, the gain of a second worker, and how
long the check of a finished study takes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import common

from lib.config.paper import CLASSES

FIXTURES = common.ROOT / "tests" / "fixtures"
JOBS, SECONDS = 2, 6  # workers; processor time of a busy notebook
ROUNDS = 5  # of engine and papermill alone: either alone took between 26 and 37 s on a machine shared with others

BUSY = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end:\n    sum(range(1000))\n"
SCRIPT = "import sys; sys.path.insert(0, {root!r}); import run_all; from pathlib import Path\n"
SCRIPT += "if __name__ == '__main__': sys.exit(run_all.main(notebooks=Path({notebooks!r})))\n"


def measure() -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        notebooks = prepare(work)
        engine, alone = overhead(work, notebooks)
        study(work, notebooks, seeds=146, jobs=JOBS)
        again = study(work, notebooks, seeds=146, jobs=JOBS)
        add_code(notebooks / "04_train.ipynb", BUSY.format(seconds=SECONDS))
        one, two = (study(work, notebooks, seeds=16, jobs=jobs, results=f"busy{jobs}") for jobs in (1, 2))
    name = "orchestration"
    return [
        common.ratio(
            name,
            f"a study of 60 trivial notebooks on {JOBS} workers / the same notebooks by papermill alone",
            median(engine),
            median(alone),
            "s",
            median(engine) / median(alone),
            1.15,
            "at most",
            f"medians of {ROUNDS} rounds by turns: {min(engine):.1f} to {max(engine):.1f} s against "
            f"{min(alone):.1f} to {max(alone):.1f} s; ratios of the rounds "
            f"{', '.join(f'{e / a:.2f}' for e, a in zip(engine, alone))}",
        ),
        common.ratio(
            name,
            f"16 notebooks that keep a core busy for {SECONDS} s: --jobs 1 / --jobs 2",
            two,
            one,
            "s",
            one / two,
            1.6,
            "at least",
            "with the four small notebooks before and after them",
        ),
        common.ratio(
            name,
            "check of a finished study of 150 runs / 5 s",
            again,
            5,
            "s",
            again / 5,
            1,
            "at most",
            "imports included",
        ),
    ]


def overhead(work: Path, notebooks: Path) -> tuple[list[float], list[float]]:
    """Seconds of each round: of a study of 60 notebooks, and of papermill alone on 60 of them."""
    engine, alone = [], []
    for number in range(ROUNDS):
        # with audit, prepare, features and evaluate: 60
        engine.append(study(work, notebooks, seeds=56, jobs=JOBS, results=f"round{number}"))
        alone.append(papermill_alone(notebooks / "04_train.ipynb", work / f"round{number}", JOBS, 60))
    return engine, alone


def prepare(work: Path) -> Path:
    """A data set of names, and the fixture notebooks beside lib; returns the notebooks' folder."""
    for name in CLASSES:
        (work / "data" / name).mkdir(parents=True)
        (work / "data" / name / "a.jpg").write_bytes(name.encode())
    notebooks = work / "tests" / "fixtures" / "notebooks"
    shutil.copytree(FIXTURES / "notebooks", notebooks)
    (work / "lib").symlink_to(common.ROOT / "lib")
    return notebooks


def study(work: Path, notebooks: Path, seeds: int, jobs: int, results: str = "") -> float:
    """Seconds that a study of `seeds` + 4 runs takes."""
    file = work / f"{seeds}.yaml"
    file.write_text(
        "backbones: [MobileNet]\nprotocols: [by_view]\nscenarios: [nine_classes]\nweights: none\n"
        f"seeds: {list(range(seeds))}\n"
    )
    script = work / "run.py"
    script.write_text(SCRIPT.format(root=str(common.ROOT), notebooks=str(notebooks)))
    flags = ["--data", str(work / "data"), "--results", str(work / (results or f"results{seeds}"))]
    command = [sys.executable, str(script), str(file), *flags, "--step", "evaluate", "--jobs", str(jobs)]
    with common.stopwatch() as watch:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return watch()


def papermill_alone(notebook: Path, results: Path, jobs: int, count: int) -> float:
    """Seconds that papermill takes for as many notebooks on as many processes."""
    with common.stopwatch() as watch, ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        list(pool.map(_one, [(notebook, results, seed) for seed in range(count)]))
    return watch()


def add_code(notebook: Path, code: str) -> None:
    """Put `code` in place of the notebook's last cell."""
    content = json.loads(notebook.read_text())
    content["cells"][-1]["source"] = code
    notebook.write_text(json.dumps(content))


def _quiet() -> None:
    """Without the warning that every kernel of this process writes as it starts."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _one(job: tuple[Path, Path, int]) -> None:
    import papermill

    notebook, results, seed = job
    papermill.execute_notebook(
        str(notebook),
        str(results.parent / f"alone{seed}.ipynb"),
        {"results": str(results), "attempt": str(results.parent / f"alone{seed}"), "seed": seed},
        cwd=str(notebook.parent),
        progress_bar=False,
    )
