"""What the engine costs: `python tests/benchmarks/bench_orchestration.py`, on a machine that has nothing else to do.

Prints the time of a study of 60 trivial notebooks over that of as many run by papermill alone on as many workers
(at most 1.15), the gain of two jobs over one on notebooks that keep one core busy (at least 1.6 on two cores),
and how long the check of a finished study takes (at most 5 s for 150 runs).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
sys.path.insert(0, str(HERE.parents[1]))

from lib.params import CLASSES  # noqa: E402

BUSY = "import time\nend = time.process_time() + 6\nwhile time.process_time() < end:\n    sum(range(1000))\n"
SCRIPT = "import sys; sys.path.insert(0, {root!r}); import run_all; from pathlib import Path\n"
SCRIPT += "if __name__ == '__main__': sys.exit(run_all.main(notebooks=Path({notebooks!r})))\n"


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in CLASSES:
            (work / "data" / name).mkdir(parents=True)
            (work / "data" / name / "a.jpg").write_bytes(name.encode())
        shutil.copytree(FIXTURES / "notebooks", work / "tests" / "fixtures" / "notebooks")
        (work / "lib").symlink_to(HERE.parents[1] / "lib")
        notebooks = work / "tests" / "fixtures" / "notebooks"

        engine = study(work, notebooks, seeds=56, jobs=jobs)  # with audit, prepare, features and evaluate: 60
        alone = papermill_alone(notebooks / "04_train.ipynb", work / "results56", jobs, 60)
        print(f"60 notebooks on {jobs} workers: engine {engine:.1f} s, papermill {alone:.1f} s, {engine / alone:.2f}")

        finished = study(work, notebooks, seeds=146, jobs=os.cpu_count() or 2)
        again = study(work, notebooks, seeds=146, jobs=jobs)
        print(f"150 finished runs, made in {finished:.0f} s, are checked in {again:.1f} s")

        add_load(notebooks / "04_train.ipynb")
        one, two = (study(work, notebooks, seeds=16, jobs=n, results=f"busy{n}") for n in (1, 2))
        print(f"busy notebooks: {one:.1f} s with one job, {two:.1f} s with two, {one / two:.2f} times faster")


def study(work: Path, notebooks: Path, seeds: int, jobs: int, results: str = "") -> float:
    """Seconds that a study of `seeds` + 4 runs takes."""
    file = work / f"{seeds}.yaml"
    file.write_text(
        "backbones: [MobileNet]\nprotocols: [published]\nscenarios: [nine_classes]\nweights: none\n"
        f"seeds: {list(range(seeds))}\n"
    )
    script = work / "run.py"
    script.write_text(SCRIPT.format(root=str(HERE.parents[1]), notebooks=str(notebooks)))
    flags = ["--data", str(work / "data"), "--results", str(work / (results or f"results{seeds}"))]
    started = time.monotonic()
    subprocess.run(
        [sys.executable, str(script), str(file), *flags, "--step", "evaluate", "--jobs", str(jobs)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - started


def papermill_alone(notebook: Path, results: Path, jobs: int, count: int) -> float:
    """Seconds that papermill takes for as many notebooks on as many processes."""
    started = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        list(pool.map(_one, [(notebook, results, seed) for seed in range(count)]))
    return time.monotonic() - started


def add_load(notebook: Path) -> None:
    content = json.loads(notebook.read_text())
    content["cells"][-1]["source"] = BUSY
    notebook.write_text(json.dumps(content))


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


if __name__ == "__main__":
    main()
