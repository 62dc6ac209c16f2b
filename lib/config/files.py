"""Which files are in a folder, their digests, and JSON that is written as a whole or not at all."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def listing(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without hidden entries."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def files_below(folder: Path, above: frozenset[Path] = frozenset()) -> list[Path]:
    """The regular files below a folder as the study reads them: links are followed, hidden files are not read.

    A named pipe is not listed, since reading it would never end; a link to a folder above itself is not followed.
    """
    here = folder.resolve()
    if here in above or not os.access(folder, os.R_OK | os.X_OK):
        return []
    files = []
    for path in listing(folder):
        files += files_below(path, above | {here}) if path.is_dir() else [path] if path.is_file() else []
    return files


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that it is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=1, default=str))
    temporary.replace(path)


def read_json(path: Path, kind: type = object) -> Any:
    """A JSON file's content, None where there is no such file, it is damaged or not of that kind."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, kind) else None
