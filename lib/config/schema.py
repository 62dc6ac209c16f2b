"""YAML files whose every key is known: an unknown key, a wrong type or an impossible value is refused by name."""

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class ParameterError(ValueError):
    """A parameter file that cannot be used; the message names the file, the key and what to write instead."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"{path}: cannot be read as YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: must hold `key: value` lines, holds a {type(content).__name__}")
    return content


def validated(model: type[Strict], content: dict[str, Any], path: Path, entry: str = ""):
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in (entry, *problem["loc"]) if part != "")
            if problem["type"] == "extra_forbidden":
                lines.append(f"{path}: unknown key {key!r}{nearest(problem['loc'][-1], model.model_fields)}")
            else:
                text = problem["msg"].removeprefix("Value error, ")
                value = "" if isinstance(problem["input"], dict) else f", not {problem['input']!r}"
                lines.append(f"{path}: {key or 'study'}: {text}{value}")
        raise ParameterError("\n".join(lines)) from error


def nearest(name: str, valid) -> str:
    """`; did you mean 'x'?` for the nearest valid name, or nothing where none is near."""
    close = difflib.get_close_matches(str(name), [str(v) for v in valid], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
