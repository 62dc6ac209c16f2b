"""The end of the report: what the paper leaves open, its equations, and where the results come from."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import OPEN_CHOICES, StudyPaths
from lib.report import html
from lib.report.columns import named
from lib.report.show import facts, show
from lib.report.wording import in_words


def open_choices(study: Study) -> pd.DataFrame:
    """What the paper leaves open, the value used in this study, and why (params/open_choices.yaml)."""
    rows = []
    for key, entry in yaml.safe_load(OPEN_CHOICES.read_text(encoding="utf-8")).items():
        value, default = getattr(study, key), Study.model_fields[key].get_default(call_default_factory=True)
        own = "" if value == default else f"Set by this study; {in_words(default)} is the default. "
        rows.append({"open": entry["open"], "parameter": key, "value": in_words(value), "why": own + entry["why"]})
    return pd.DataFrame(rows)


def show_choices(study: Study, choices: pd.DataFrame) -> HTML:
    """The open choices, and the values that hold in part of the matrix."""
    caption = "What the paper leaves open, and what this study used."
    parts = [show(choices, "open-choices", caption, "params/open_choices.yaml", cards=True)]
    for override in study.overrides:
        chosen = [(axis, [value] if isinstance(value, str) else value) for axis, value in override.when.items()]
        where = " and ".join(", ".join(str(named(axis, value)) for value in values) for axis, values in chosen)
        values = ", ".join(f"`{key}` {in_words(value)}" for key, value in override.set.items())
        parts.append(html.part("note", text=f"Other values hold for {where}: {values}."))
    return html.joined(parts)


def training_facts(records: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the training runs were made, from their run.json files: commits, hardware, time and memory."""
    made = [record["provenance"] for record in records if record.get("provenance")]
    if not made:
        return {}
    commits = {_commit(record.get("git") or {}) for record in made}
    values = {"training runs": len(made), "commits of the code": ", ".join(sorted(commits))}
    for key in ("hardware", "deterministic"):
        values[key] = ", ".join(sorted({in_words(record.get(key)) for record in made}))
    values["longest run, minutes"] = max((record.get("seconds") or 0) for record in made) / 60
    values["most memory of a run, MiB"] = max((record.get("peak_memory_bytes") or 0) for record in made) / 2**20
    return values | {"packages": made[-1].get("packages") or {}}


def show_provenance(paths: StudyPaths, runs: pd.DataFrame, versions: Mapping[str, str]) -> HTML:
    """Versions, commits, and how long each step took.

    Args:
        runs: what `lib.report.data.read_runs` gives.
    """
    parts = [show(facts(versions), "versions", "What the report was made with.", "this notebook")]
    values = training_facts([read_json(path) or {} for path in sorted(paths.root.glob("runs/*/*/*/*/*/run.json"))])
    packages = values.pop("packages", {})
    if values:
        parts.append(show(facts(values), "training-runs", "Where the training runs were made.", "runs/*/run.json"))
    if packages:
        table = pd.DataFrame(packages.items(), columns=["name", "version"])
        caption = f"All {len(table)} packages that the last training run had."
        parts.append(show(table, "packages", caption, "runs/*/run.json", folded=True))
    ran = runs[~runs["status"].isin(["skipped", "not run"])]
    if len(ran):
        times = ran.groupby("step", sort=False)["seconds"].agg(["count", "sum", "max"]).reset_index()
        times = times.assign(sum=times["sum"] / 60, max=times["max"] / 60)
        titles = {"step": "Step", "count": "Runs", "sum": "Minutes in all", "max": "Longest"}
        parts.append(show(times, "times", "Run times by step.", "state.json", titles=titles))
        rows = runs[["run", "status", "seconds"]].assign(run_link=[html.notebook(paths, run) for run in runs["run"]])
        caption = "Every run with its executed notebook."
        parts.append(show(rows, "notebooks", caption, "state.json", titles={"run": "Notebook"}, folded=True))
    return html.joined(parts)


def _commit(git: Mapping[str, Any]) -> str:
    """A short commit, and whether the tree differed from it."""
    if not git.get("commit"):
        return "not recorded"
    return git["commit"][:12] + (" with changes" if git.get("clean") is False else "")
