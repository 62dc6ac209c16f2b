"""Where a result comes from: run.json of each training run, and the RO-Crate of a study as a whole."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

from lib.freshness import file_digest, read_json, write_json
from lib.paths import REPOSITORY
from lib.study import Run


def of_study(study_name: str, command: list[str]) -> dict[str, Any]:
    """What all runs of one call share: study, command, git commit and whether the tree was clean."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain")
    return {
        "study": study_name,
        "command": command,
        "git": {"commit": commit, "clean": changed == "" if commit else None},
    }


def complete(
    run: Run, attempt: Path, stamp: dict[str, Any], facts: dict[str, Any], environment: dict[str, str]
) -> None:
    """Add to the run.json that a notebook wrote, before it is put in place, all that tells where its numbers are from.

    The notebook's own keys stay as they are; `provenance` is added.
    """
    for folder in (attempt / name for name in run.outputs):
        path = folder / "run.json"
        if not path.is_file():
            continue
        outputs = {
            file.relative_to(folder).as_posix(): file_digest(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file != path
        }
        own = read_json(path) or {}
        own["provenance"] = facts | {
            "run": run.id,
            "axes": run.axes,
            "seed": run.axes.get("seed"),
            "deterministic": run.parameters.get("deterministic"),
            "parameters": stamp["parameters"],
            "inputs": stamp["inputs"] | stamp["external"],
            "outputs": outputs,
            "code": stamp["code"],
            "packages": packages(),
            "hardware": hardware(),
            "environment": {k: v for k, v in environment.items() if k != "PATH"},
            "seconds": stamp["seconds"],
            "peak_memory_bytes": stamp["peak_memory"],
        }
        write_json(path, own)


@cache
def packages() -> dict[str, str]:
    """Every installed package with its version."""
    return dict(sorted({d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}.items()))


@cache
def hardware() -> dict[str, Any]:
    """Processor, cores, memory and GPUs of this machine."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


@cache
def gpus() -> list[str]:
    """The machine's NVIDIA GPUs as nvidia-smi names them; none where there is no driver."""
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in found.splitlines() if line.startswith("GPU ")]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
