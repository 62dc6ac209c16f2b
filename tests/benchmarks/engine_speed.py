"""What the engine costs: trivial notebooks against papermill alone, a second worker, the check of a finished study."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import timing
from timing import AT_LEAST, AT_MOST, row

from lib.config.paper import CLASSES

FIXTURES = timing.ROOT / "tests" / "fixtures"
JOBS, SECONDS = 2, 6  # workers; processor time of a busy notebook
ROUNDS = 5  # of engine and papermill alone: either took between 26 and 37 s on a machine shared with others

BUSY = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end:\n    sum(range(1000))\n"
SCRIPT = "import sys; sys.path.insert(0, {root!r}); import run_all; from pathlib import Path\n"
SCRIPT += "if __name__ == '__main__': sys.exit(run_all.main(notebooks=Path({notebooks!r})))\n"


def orchestration() -> list[dict]:
    engine, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        notebooks = prepare(work)
        for number in range(ROUNDS):  # with audit, prepare, features and evaluate: 60 notebooks
            engine.append(study(work, notebooks, 56, JOBS, f"round{number}"))
            notebook, results = notebooks / "04_train.ipynb", work / f"round{number}"
            alone.append(timing.seconds(lambda: papermill_alone(notebook, results, 60)))  # noqa: B023
        study(work, notebooks, 146, JOBS)
        again = study(work, notebooks, 146, JOBS)
        replace_last_cell(notebooks / "04_train.ipynb", BUSY.format(seconds=SECONDS))
        one, two = (study(work, notebooks, 16, jobs, f"busy{jobs}") for jobs in (1, 2))
    spread = f"{min(engine):.1f} to {max(engine):.1f} s against {min(alone):.1f} to {max(alone):.1f} s"
    ratios = ", ".join(f"{e / a:.2f}" for e, a in zip(engine, alone))
    trivial = f"a study of 60 trivial notebooks on {JOBS} workers / the same notebooks by papermill alone"
    busy = f"16 notebooks that keep a core busy for {SECONDS} s: --jobs 1 / --jobs 2"
    note = f"medians of {ROUNDS} rounds by turns: {spread}; ratios of the rounds {ratios}"
    small = "with the four small notebooks before and after them"
    return [
        row("orchestration", trivial, median(engine), median(alone), 1.15, AT_MOST, note),
        row("orchestration", busy, two, one, 1.6, AT_LEAST, small),
        row("orchestration", "check of a finished study of 150 runs / 5 s", again, 5, 1, AT_MOST, "imports included"),
    ]


def prepare(work: Path) -> Path:
    """A data set of names, and the fixture notebooks beside lib; returns the notebooks' folder."""
    for name in CLASSES:
        (work / "data" / name).mkdir(parents=True)
        (work / "data" / name / "a.jpg").write_bytes(name.encode())
    notebooks = work / "tests" / "fixtures" / "notebooks"
    shutil.copytree(FIXTURES / "notebooks", notebooks)
    (work / "lib").symlink_to(timing.ROOT / "lib")
    return notebooks


def study(work: Path, notebooks: Path, seeds: int, jobs: int, results: str = "") -> float:
    """Seconds that a study of `seeds` + 4 runs takes."""
    file, script = work / f"{seeds}.yaml", work / "run.py"
    settings = "backbones: [MobileNet]\nprotocols: [by_view]\nscenarios: [nine_classes]\nweights: none\n"
    file.write_text(f"{settings}seeds: {list(range(seeds))}\n")
    script.write_text(SCRIPT.format(root=str(timing.ROOT), notebooks=str(notebooks)))
    flags = ["--data", str(work / "data"), "--results", str(work / (results or f"results{seeds}"))]
    command = [sys.executable, str(script), str(file), *flags, "--step", "evaluate", "--jobs", str(jobs)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return timing.seconds(lambda: subprocess.run(command, check=True, **quiet))


def papermill_alone(notebook: Path, results: Path, count: int) -> None:
    """As many notebooks on as many processes, without the engine."""
    with ProcessPoolExecutor(JOBS, initializer=_quiet) as pool:
        list(pool.map(_execute, [(notebook, results, seed) for seed in range(count)]))


def replace_last_cell(notebook: Path, code: str) -> None:
    content = json.loads(notebook.read_text())
    content["cells"][-1]["source"] = code
    notebook.write_text(json.dumps(content))


def _quiet() -> None:
    """Without the warning that every kernel of this process writes as it starts."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _execute(job: tuple[Path, Path, int]) -> None:
    import papermill

    notebook, results, seed = job
    attempt = results.parent / f"alone{seed}"
    parameters = {"results": str(results), "attempt": str(attempt), "seed": seed}
    options = {"cwd": str(notebook.parent), "progress_bar": False}
    papermill.execute_notebook(str(notebook), str(attempt.with_suffix(".ipynb")), parameters, **options)
