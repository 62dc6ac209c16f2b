"""Where a result comes from: run.json of each training run, and the RO-Crate of a study as a whole."""

import json
import os
import platform
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from lib.config.files import file_digest, read_json, write_json
from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine.planning import Run

PARTS = 40  # a folder in which a run wrote more files is one part of the crate
FORMATS = {  # media types, as registered where they are
    ".css": "text/css",
    ".csv": "text/csv",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".npy": "application/x-npy",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
}


def of_study(study_name: str, command: list[str]) -> dict[str, Any]:
    """What all runs of one call share: study, command, git commit and whether the tree was clean."""
    commit = _output("git", "rev-parse", "HEAD")
    changed = _output("git", "status", "--porcelain")
    return {
        "study": study_name,
        "command": command,
        "git": {"commit": commit, "clean": changed == "" if commit else None},
    }


def complete(
    run: Run, attempt: Path, stamp: dict[str, Any], facts: dict[str, Any], environment: dict[str, str]
) -> None:
    """Add `provenance`, where its numbers come from, to the run.json that a notebook wrote."""
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

    Every run that ended well is a CreateAction with its notebook, its parameters, what it read and what it wrote.
    Files are listed with format, size and SHA-256 as the stamps have them; nothing is copied. Who ran the study is
    not recorded: add agent, author and publisher when you publish the folder.
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
        properties["encodingFormat"] = FORMATS.get(Path(name).suffix, "application/octet-stream")
        return crate.add_file(root / name, name, properties=properties)

    def written_by(stamp: dict[str, Any]) -> dict[str, Any]:
        """The files of a stamp; a folder that has many stands for its files."""
        held = Counter(Path(name).parent.as_posix() for name in stamp["outputs"])
        written = {name: crate.add_dataset(root / name, name) for name, count in held.items() if count > PARTS}
        for name, (size, _, digest) in stamp["outputs"].items():
            if (root / name).is_file() and not _within(name, written):
                written[name] = file(name, contentSize=str(size), sha256=digest)
        return written

    crate.name = title
    crate.description = f"Results of study {facts['study']!r}: {title}"
    crate.license = entity(
        "https://spdx.org/licenses/MIT",
        "CreativeWork",
        name="MIT License",
        description="Of the code and of what it computes. Images of a data set keep the terms of that data set.",
    )
    crate.root_dataset["conformsTo"] = entity(
        "https://w3id.org/ro/wfrun/process/0.5", "CreativeWork", name="Process Run Crate", version="0.5"
    )
    version = facts["git"]["commit"] or "unknown"
    crate.datePublished = datetime.fromtimestamp(0, UTC)
    parts: dict[str, Any] = {}  # by path
    for run in runs:
        stamp = read_json(paths.stamp(run.id))
        if not stamp or not paths.executed(run.id).is_file():
            continue
        notebook = run.notebook.name
        software = entity(f"#{run.notebook.stem}", "SoftwareApplication", name=notebook, softwareVersion=version)
        values = [
            entity(f"#{run.id}/{name}", "PropertyValue", name=name, value=v if isinstance(v, str) else json.dumps(v))
            for name, v in stamp["parameters"].items()
        ]
        parts |= (written := written_by(stamp))
        read = dict.fromkeys(part for name in stamp["inputs"] if (part := _within(name, parts)))
        executed = file(paths.executed(run.id).relative_to(root).as_posix())
        ended = datetime.fromtimestamp(paths.stamp(run.id).stat().st_mtime, UTC)
        crate.datePublished = max(crate.datePublished, ended)
        cell = ", ".join(f"{axis} {value}" for axis, value in run.axes.items())
        properties = {
            "name": run.id,
            "description": f"{notebook} executed" + (f" for {cell}" if cell else ""),
            "startTime": (ended - timedelta(seconds=stamp["seconds"])).isoformat(timespec="seconds"),
            "endTime": ended.isoformat(timespec="seconds"),
        }
        inputs, results = [*(parts[name] for name in read), *values], [*written.values(), executed]
        action = crate.add_action(software, f"#{run.id}", inputs, results, properties)
        crate.root_dataset.append_to("mentions", action, compact=True)
    write_json(paths.crate, crate.metadata.generate())
    return paths.crate


def _within(name: str, parts: dict[str, Any]) -> str:
    """The part that is a file or its folder, "" where there is none."""
    return next((part for part in (name, *map(str, PurePosixPath(name).parents)) if part in parts), "")
