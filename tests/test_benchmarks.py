"""The kept ratios are those that the benchmarks measure, and each benchmark is a function that exists."""

import ast
import json

from lib.config.paths import REPOSITORY, RESULTS

FOLDER = REPOSITORY / "tests" / "benchmarks"


def test_the_kept_rows_are_those_of_the_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import bench

    kept = json.loads((RESULTS / "reference" / "benchmarks.json").read_text())
    assert list(bench.BENCHMARKS) == list(dict.fromkeys(row["name"] for row in kept))
    for module, function in bench.BENCHMARKS.values():
        tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
