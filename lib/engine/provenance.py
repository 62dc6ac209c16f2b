"""Where a result comes from: run.json of each training run, and the RO-Crate of a study as a whole."""

import mimetypes
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

from lib.config.files import file_digest, files_below, read_json, write_json
from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine.freshness import read_stamp
from lib.engine.planning import Run


def of_study(study_name: str, command: list[str]) -> dict[str, Any]:
    """What all runs of one call share: study, command, git commit and whether the tree was clean."""
    commit, changed = _output("git", "rev-parse", "HEAD"), _output("git", "status", "--porcelain")
    git = {"commit": commit, "clean": changed == "" if commit else None}
    return {"study": study_name, "command": command, "git": git}


def complete(run: Run, attempt: Path, stamp: dict, facts: dict, environment: dict[str, str]) -> None:
    """Add `provenance`, where its numbers come from, to the run.json that a notebook wrote."""
    for folder in (attempt / name for name in run.outputs):
        path = folder / "run.json"
        if not path.is_file():
            continue
        provenance = facts | {key: stamp[key] for key in ("parameters", "code", "seconds", "peak_memory_bytes")}
        provenance |= {
            "run": run.id,
            "axes": run.axes,
            "deterministic": run.parameters.get("deterministic"),
            "inputs": stamp["inputs"] | stamp["external"],
            "outputs": {f.relative_to(folder).as_posix(): file_digest(f) for f in files_below(folder) if f != path},
            "packages": packages(),
            "hardware": hardware(),
            "environment": environment,
        }
        write_json(path, (read_json(path, dict) or {}) | {"provenance": provenance})


@cache
def packages() -> dict[str, str]:
    """Every installed package with its version."""
    return dict(sorted({d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}.items()))


@cache
def hardware() -> dict[str, Any]:
    """Processor, cores, memory and GPUs of this machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


@cache
def gpus() -> list[str]:
    """The machine's NVIDIA GPUs as nvidia-smi lists them; none where there is no driver."""
    return [line for line in (_output("nvidia-smi", "-L") or "").splitlines() if line.startswith("GPU ")]


def _output(*command: str) -> str | None:
    """What a command prints; None where it fails."""
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def write_crate(runs: list[Run], root: Path, title: str, facts: dict[str, Any]) -> Path:
    """Describe a results folder as an RO-Crate (version 1.1, profile Process Run Crate 0.5): ro-crate-metadata.json.

    Every run that ended well is a CreateAction with its notebook, what it read and what it wrote. Files have size and
    SHA-256 as in the stamps. Who ran the study is not recorded: add agent, author and publisher when you publish.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    paths = StudyPaths(root)
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "http://schema.org/sha256"  # the context of RO-Crate 1.1 lacks it

    def entity(identifier: str, kind: str, **properties: Any) -> Any:
        new = ContextEntity(crate, identifier, {"@type": kind} | properties)
        return crate.get(identifier) or crate.add(new)

    def file(name: str, **properties: str) -> Any:
        properties["encodingFormat"] = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return crate.add_file(root / name, name, properties=properties)

    crate.name = title
    crate.description = f"Results of study {facts['study']!r}: {title}"
    terms = "Of the code and of what it computes. Images of a data set keep the terms of that data set."
    crate.license = entity("https://spdx.org/licenses/MIT", "CreativeWork", name="MIT License", description=terms)
    profile = "https://w3id.org/ro/wfrun/process/0.5"
    crate.root_dataset["conformsTo"] = entity(profile, "CreativeWork", name="Process Run Crate", version="0.5")
    crate.datePublished = datetime.now(UTC)
    files: dict[str, Any] = {}  # by path
    for run in runs:
        stamp = read_stamp(paths.stamp(run.id))
        if not stamp or not paths.executed(run.id).is_file():
            continue
        software = {"name": run.notebook.name, "softwareVersion": facts["git"]["commit"] or "unknown"}
        written = {
            name: file(name, contentSize=str(size), sha256=digest)
            for name, (size, _, digest) in stamp["outputs"].items()
            if (root / name).is_file()
        }
        files |= written
        executed = file(paths.executed(run.id).relative_to(root).as_posix())
        ended = datetime.fromtimestamp(paths.stamp(run.id).stat().st_mtime, UTC)
        cell = ", ".join(f"{axis} {value}" for axis, value in run.axes.items())
        properties = {
            "name": run.id,
            "description": f"{run.notebook.name} executed for {cell or 'the whole study'}",
            "endTime": ended.isoformat(timespec="seconds"),
        }
        read, results = [files[name] for name in stamp["inputs"] if name in files], [*written.values(), executed]
        notebook = entity(f"#{run.notebook.stem}", "SoftwareApplication", **software)
        action = crate.add_action(notebook, f"#{run.id}", read, results, properties)
        crate.root_dataset.append_to("mentions", action, compact=True)
    write_json(paths.crate, crate.metadata.generate())
    return paths.crate
