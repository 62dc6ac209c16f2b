"""All ratios in one table: `make bench`, or `python tests/benchmarks/bench.py [NAME ...]`.

Each benchmark measures ours and the baseline side by side in a process of its own; an hour and a half on two cores that
have nothing else to do. Writes results/benchmarks.json; with --reference, results/reference/benchmarks.json.
"""

import argparse
import json
import subprocess
import sys

import timing
from rich.console import Console
from rich.table import Table

BENCHMARKS = {  # name -> module and function that returns its rows
    "study": ("training_speed", "study"),
    "head": ("training_speed", "head"),
    "head_rest": ("training_speed", "head"),
    "transfer": ("training_speed", "transfer"),
    "input": ("image_speed", "batches"),
    "step": ("training_speed", "step"),
    "kmeans": ("image_speed", "segmentation"),
    "gradcam": ("image_speed", "explanation"),
    "audit_scaling": ("image_speed", "audit"),
    "tracing": ("training_speed", "tracing"),
    "orchestration": ("engine_speed", "orchestration"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--reference", action="store_true", help="write results/reference/benchmarks.json")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    target = timing.results(options.reference) / "benchmarks.json"
    before = json.loads(target.read_text()) if target.exists() else []
    machine, measured, failed = timing.machine(), [], []
    for module, function in dict.fromkeys(BENCHMARKS[name] for name in options.names or BENCHMARKS):
        print(f"{module}.{function} ...", file=sys.stderr, flush=True)
        try:
            measured += [row | {"machine": machine} for row in timing.in_own_process(module, function)]
        except subprocess.CalledProcessError:
            failed.append(f"{module}.{function}")
    names = {row["name"] for row in measured}
    rows = [row for row in before if row["name"] not in names] + measured
    rows.sort(key=lambda row: list(BENCHMARKS).index(row["name"]))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, str(target))
    for name in failed:
        print(f"{name} failed: its message stands above", file=sys.stderr)
    return 1 if failed else 0


def show(rows: list[dict], title: str) -> None:
    table = Table("name", "what", "ours", "baseline", "ratio", "target", "met", title=title, show_lines=True)
    for row in rows:
        values = [f"{row[key]:g} {row['unit']}" for key in ("ours", "baseline")]
        what = f"{row['what']}\n[{row['note']}]" if row["note"] else row["what"]
        target = f"{row['bound']} {row['target']:g}"
        table.add_row(row["name"], what, *values, f"{row['ratio']:g}", target, "yes" if row["met"] else "no")
    Console(width=None if Console().is_terminal else 150).print(table, markup=False)


if __name__ == "__main__":
    sys.exit(main())
