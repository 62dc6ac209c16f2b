"""What the paper leaves open, and where the training runs were made, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lib.config.params import Study
from lib.config.paths import OPEN_CHOICES
from lib.config.schema import read_yaml
from lib.report.columns import named
from lib.report.wording import in_words


def open_choices(study: Study) -> pd.DataFrame:
    """What the paper leaves open, the value used in this study, and why (params/open_choices.yaml); beneath it one row
    for each value that holds in part of the matrix."""
    rows = []
    for key, entry in read_yaml(OPEN_CHOICES).items():
        value, default = getattr(study, key), Study.model_fields[key].get_default(call_default_factory=True)
        own = "" if value == default else f"Set by this study; {in_words(default)} is the default. "
        rows.append({"open": entry["open"], "parameter": key, "value": in_words(value), "why": own + entry["why"]})
    for override in study.overrides:
        chosen = [(axis, [value] if isinstance(value, str) else value) for axis, value in override["when"].items()]
        where = " and ".join(", ".join(str(named(value, axis)) for value in values) for axis, values in chosen)
        for key, value in override["set"].items():
            rows.append({"open": f"For {where}", "parameter": key, "value": in_words(value), "why": ""})
    return pd.DataFrame(rows)


def training_runs(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Where the training runs were made, from their run.json files: one row per commit, machine, backbone and origin of
    its weights, with how many runs, the minutes of the longest and the memory in MiB of the largest."""
    rows = []
    for record in records:
        made = record.get("provenance") or {}
        git = {"commit": None, "clean": True} | (made.get("git") or {})
        commit = git["commit"][:12] + ("" if git["clean"] else " with changes") if git["commit"] else "not recorded"
        row = {"commit": commit} | {key: in_words(made.get(key)) for key in ("hardware", "deterministic")}
        row |= {"backbone": record.get("model", {}).get("backbone", ""), "weights_from": record.get("weights_from", "")}
        row |= {"minutes": (made.get("seconds") or 0) / 60}
        rows.append(row | {"mebibytes": (made.get("peak_memory_bytes") or 0) / 2**20})
    keys = ["commit", "hardware", "deterministic", "backbone", "weights_from"]
    made = pd.DataFrame(rows, columns=[*keys, "minutes", "mebibytes"]).groupby(keys, as_index=False)
    return made.agg(count=("minutes", "size"), minutes=("minutes", "max"), mebibytes=("mebibytes", "max"))
