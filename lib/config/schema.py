"""YAML files whose every key is known: an unknown key, a wrong type or an impossible value is refused by name."""

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

MAX_BYTES, MAX_DEPTH = 2**17, 10  # of a parameter file: more is a mistake, or there to hang its reader


class ParameterError(ValueError):
    """A parameter file that cannot be used; the message names the file, the key and what to write instead."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Loader(yaml.SafeLoader):
    """YAML without what misleads: a key given twice, numbers without end."""

    def construct_mapping(self, node, deep=False):
        mapping, seen = super().construct_mapping(node, deep), set()
        for key, _ in node.value:
            if (name := self.construct_object(key)) in seen:
                raise _problem(f"key {name!r} is given twice; keep one", key)
            seen.add(name)
        return mapping

    def construct_object(self, node, deep=False):
        value = super().construct_object(node, deep)
        if isinstance(value, (int, float)) and not abs(value) < 2**63:
            raise _problem(f"{node.value[:40]} is not a number below 2^63", node)
        return value


_Loader.add_implicit_resolver(  # `1e-5` has no point, which YAML 1.1 takes for text
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _problem(text: str, place: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=place.start_mark)


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML file says; ParameterError names the file and the line that cannot be used."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES // 1024} KiB; write only what differs from the defaults")
        text, depth = path.read_text(encoding="utf-8"), 0
        for event in yaml.parse(text, yaml.SafeLoader):  # what can hang its reader is found before anything is composed
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if getattr(event, "anchor", None) or getattr(event, "tag", None) or depth > MAX_DEPTH:
                raise _problem(f"anchors, aliases, tags and over {MAX_DEPTH} nested values are not read", event)
        content = yaml.load(text, _Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where, what = f", line {mark.line + 1}" if mark else "", getattr(error, "problem", None) or error
        raise ParameterError(f"{path}{where}: cannot be read as YAML: {' '.join(str(what).split())}") from error
    content = {} if content is None else content
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
                value = "" if isinstance(problem["input"], dict) else f", not {repr(problem['input'])[:80]}"
                lines.append(f"{path}: {key or 'study'}: {text}{value}")
        raise ParameterError("\n".join(lines)) from error


def refuse_unknown(names: Iterable[str], valid: Collection[str], problem: str) -> None:
    """Refuse a name that is not `valid`, with the nearest that is."""
    for name in names:
        if name not in valid:
            raise ParameterError(f"{problem} {name!r}{nearest(name, valid)}; there are {', '.join(map(str, valid))}")


def nearest(name: str, valid) -> str:
    """`; did you mean 'x'?` for the nearest valid name, or nothing where none is near."""
    close = difflib.get_close_matches(str(name), [str(v) for v in valid], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
