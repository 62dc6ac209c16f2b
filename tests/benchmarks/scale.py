"""How the engine bears 24 to 2,400 runs: `python tests/benchmarks/scale.py [RUNS ...]`, with notebooks that sleep.

Prints and writes results/scale.csv and results/scale.svg (--reference: under results/reference): of the time that the
workers had, the share that they spent inside notebooks. What is missing is the engine's: planning, hashing, scheduling,
and the start and the end of the study, in which workers wait.
"""

import argparse
import json
import tempfile
from pathlib import Path

import bench_orchestration
import common
import pandas as pd

JOBS, SLEEP = 4, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=int, default=[24, 240, 2400])
    parser.add_argument("--reference", action="store_true", help="write under results/reference")
    options = parser.parse_args()
    rows = []
    for runs in options.runs:
        rows.append(measure(runs))
        print(rows[-1], flush=True)
    target = common.ROOT / "results" / ("reference" if options.reference else "")
    table = pd.DataFrame(rows).assign(machine=common.machine())
    table.to_csv(target / "scale.csv", index=False)
    plot(table).savefig(target / "scale.svg")


def measure(runs: int) -> dict:
    """A study of `runs` notebooks, four of them not training, and the same command again when all are fresh."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        notebooks = bench_orchestration.prepare(work)
        bench_orchestration.add_code(notebooks / "04_train.ipynb", f"import time\ntime.sleep({SLEEP})\n")
        seconds = bench_orchestration.study(work, notebooks, seeds=runs - 4, jobs=JOBS)
        again = bench_orchestration.study(work, notebooks, seeds=runs - 4, jobs=JOBS)
        stamps = list((work / f"results{runs - 4}" / "stamps").glob("[!.]*.json"))
        inside = sum(json.loads(stamp.read_text())["seconds"] for stamp in stamps)
    if len(stamps) != runs:
        raise RuntimeError(f"{len(stamps)} runs ended well, not {runs}")
    return {
        "runs": runs,
        "jobs": JOBS,
        "seconds": round(seconds, 1),
        "notebook_seconds": round(inside, 1),
        "efficiency": round(inside / (JOBS * seconds), 3),
        "check_seconds": round(again, 1),
    }


def plot(table: pd.DataFrame):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    axes.plot(table["runs"], table["efficiency"], marker="o")
    for runs, efficiency in zip(table["runs"], table["efficiency"]):
        axes.annotate(f"{efficiency:.0%}", (runs, efficiency), textcoords="offset points", xytext=(0, 7), ha="center")
    axes.set(xscale="log", ylim=(0, 1.1), xlabel="runs", ylabel="share of the workers' time\ninside notebooks")
    axes.set_xticks(table["runs"], [f"{runs:,}" for runs in table["runs"]])
    axes.minorticks_off()
    return figure


if __name__ == "__main__":
    main()
