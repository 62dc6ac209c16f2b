"""The end of the report: what the paper leaves open, its equations, and where the results come from."""

from collections.abc import Mapping
from typing import Any

import yaml
from IPython.display import HTML

from lib.config.files import read_json
from lib.config.params import Study
from lib.config.paths import PARAMS, StudyPaths
from lib.report import html, wording
from lib.report.data import read_runs, to_records


def open_choices(study: Study) -> HTML:
    """What the paper leaves open, the value used in this study, and why (params/open_choices.yaml)."""
    choices = yaml.safe_load((PARAMS / "open_choices.yaml").read_text(encoding="utf-8"))
    rows = []
    for key, entry in choices.items():
        value, default = getattr(study, key), Study.model_fields[key].get_default(call_default_factory=True)
        rows.append(
            {
                "open": entry["open"],
                "key": key,
                "value": wording.in_words(value),
                "why": entry["why"]
                if value == default
                else f"Set by this study; {wording.in_words(default)} is the default. {entry['why']}",
            }
        )
    columns = [
        *(html.column("open", "What the paper leaves open", "head"), html.column("key", "Parameter", "code")),
        *(html.column("value", "Value used"), html.column("why", "Why", "words")),
    ]
    caption = "What the paper leaves open, and what this study used."
    parts = [html.table("open-choices", caption, columns, rows, source="params/open_choices.yaml", cards=True)]
    if study.overrides:
        parts.append(html.part("note", text=f"Other values hold in part of the matrix. {_overrides(study)}"))
    return html.joined(parts)


def methods() -> HTML:
    """Equations 1 to 13 and what each became in the code."""
    return html.part("methods")


def provenance(paths: StudyPaths, versions: Mapping[str, str]) -> HTML:
    """Versions, commit, and how long each step took."""
    runs = read_runs(paths)
    parts = [html.dict_table("versions", "What the report was made with.", versions, "this notebook")]
    records = (read_json(path) or {} for path in sorted(paths.root.glob("runs/*/*/*/*/*/run.json")))
    whole = [record["provenance"] for record in records if record.get("provenance")]
    if whole:
        commits = [_commit(record.get("git") or {}) for record in whole]
        facts = {"training runs": len(whole), "commits of the code": ", ".join(sorted(set(commits)))}
        facts |= {
            key: ", ".join(sorted({wording.in_words(r.get(key)) for r in whole}))
            for key in ("hardware", "deterministic")
        }
        facts["longest run, minutes"] = max((record.get("seconds") or 0) for record in whole) / 60
        facts["most memory of a run, MiB"] = max((record.get("peak_memory_bytes") or 0) for record in whole) / 2**20
        parts.append(html.facts("training-runs", "Where the training runs were made.", facts, "runs/*/run.json"))
        packages = whole[-1].get("packages") or {}
        if isinstance(packages, dict) and packages:
            rows = [{"name": name, "version": str(version)} for name, version in packages.items()]
            columns = [html.column("name", "Package", "head"), html.column("version", "Version")]
            caption = f"All {len(rows)} packages that the last training run had."
            parts.append(html.table("packages", caption, columns, rows, source="runs/*/run.json", folded=True))
    if len(runs):
        ran = runs[~runs["status"].isin(["skipped", "not run"])]
        times = ran.groupby("step", sort=False)["seconds"].agg(["count", "sum", "max"]).reset_index()
        times[["sum", "max"]] = times[["sum", "max"]] / 60
        columns = [
            *(html.column("step", "Step", "head"), html.column("count", "Runs", "count")),
            *(html.column("sum", "Minutes in all", "decimal"), html.column("max", "Longest", "decimal")),
        ]
        rows = to_records(times)
        parts.append(html.table("times", "Run times by step.", columns, rows, source="state.json"))
        listed = to_records(runs[["run", "status", "seconds"]])
        for row in listed:
            row["_link"] = {"run": html.notebook(paths, row["run"])}
        columns = [
            html.column("run", "Notebook"),
            html.column("status", "Status", "status"),
            html.column("seconds", "Seconds", "decimal"),
        ]
        parts.append(
            html.table("notebooks", "Every run with its executed notebook.", columns, listed, source="state.json",
                   filters=["status"], folded=True)
        )  # fmt: skip
    return html.joined(parts)


def _overrides(study: Study) -> str:
    """`For MobileNet: `finetune_epochs` 0.` for each override."""
    said = []
    for override in study.overrides:
        chosen = [[value] if isinstance(value, str) else value for value in override.when.values()]
        where = " and ".join(", ".join(wording.named(str(name)) for name in names) for names in chosen)
        said.append(f"For {where}: " + ", ".join(f"`{key}` {wording.in_words(v)}" for key, v in override.set.items()))
    return ". ".join(said) + "."


def _commit(git: Mapping[str, Any]) -> str:
    """A short commit, and whether the tree differed from it."""
    if not git.get("commit"):
        return "not recorded"
    return git["commit"][:12] + (" with changes" if git.get("clean") is False else "")
