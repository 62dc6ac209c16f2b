"""All ratios in one table: `make bench`, or `python tests/benchmarks/bench.py [NAME ...]`.

Each benchmark measures ours and the baseline side by side in a process of its own; an hour and a half on two cores that
have nothing else to do. Writes results/benchmarks.json; with --reference, results/reference/benchmarks.json.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import common
from rich.console import Console
from rich.table import Table

NAMES = {  # benchmark -> module
    "study": "bench_study",
    "head": "bench_head",
    "head_rest": "bench_head",
    "transfer": "bench_transfer",
    "input": "bench_input",
    "step": "bench_input",
    "kmeans": "bench_kmeans",
    "gradcam": "bench_gradcam",
    "audit_scaling": "bench_audit",
    "tracing": "bench_tracing",
    "orchestration": "bench_orchestration",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--reference", action="store_true", help="write results/reference/benchmarks.json")
    parser.add_argument("--reduced", action="store_true", help="study and head in minutes: parts stand for the whole")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if options.one:
        print(json.dumps(importlib.import_module(options.one).measure()))
        return 0
    target = common.ROOT / "results" / ("reference" if options.reference else "") / "benchmarks.json"
    before = json.loads(target.read_text()) if target.exists() else []
    environment = os.environ | ({"SKINCAS_REDUCED": "1"} if options.reduced else {})
    machine, failed = common.machine(), []
    measured = []
    for module in dict.fromkeys(NAMES[name] for name in options.names or NAMES):
        print(f"{module} ...", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--one", module]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode:
            failed.append(module)
            continue
        measured += [entry | {"machine": machine} for entry in json.loads(done.stdout.splitlines()[-1])]
    again = {entry["name"] for entry in measured}
    order = list(NAMES)
    kept = [entry for entry in before if entry["name"] not in again]
    results = sorted([*kept, *measured], key=lambda entry: order.index(entry["name"]))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")
    show(results, target)
    for module in failed:
        print(f"{module} failed: its message stands above", file=sys.stderr)
    return 1 if failed else 0


def show(results: list[dict], path: Path) -> None:
    table = Table("name", "what", "ours", "baseline", "ratio", "target", "met", title=str(path), show_lines=True)
    for entry in results:
        values = [f"{entry[key]:g} {entry['unit']}" for key in ("ours", "baseline")]
        what = f"{entry['what']}\n[{entry['note']}]" if entry["note"] else entry["what"]
        target = f"{entry['bound']} {entry['target']:g}"
        table.add_row(entry["name"], what, *values, f"{entry['ratio']:g}", target, "yes" if entry["met"] else "no")
    console = Console()
    Console(width=None if console.is_terminal else 150).print(table, markup=False)


if __name__ == "__main__":
    sys.exit(main())
