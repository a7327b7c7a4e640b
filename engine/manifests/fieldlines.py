"""Finds the line of a field that the API server complains of.

The server names a field by its path (`spec.template.spec.containers[0].imagePullPolcy`); the author of the file needs
`web.yaml:31`. Only then the file is read a second time, with the line of every key.
"""

from __future__ import annotations

import json
import re
from typing import Any

from engine.manifests.documents import parse_file
from engine.manifests.yamlread import YamlDocument, YamlError
from engine.types import Source

_STEP = re.compile(r"""\[((?:[^"\]]|"(?:[^"\\]|\\.)*")*)\]|([^.\[\]]+)""")
_KEY = re.compile(r"""([\w-]+)=("(?:[^"\\]|\\.)*"|[\w.-]+)(?:,|$)""")


def line_of_field(content: bytes, source: Source, path: str) -> Source:
    """Where the field stands in the file that `source` points into: the deepest part of the path that can be found.

    `content`: the file as read. `path` as API servers write it: keys with dots stand in brackets or are pieced together,
    items of lists are named by their place (`[0]`) or by their keys (`[name="web"]`: the last such item).
    """
    try:
        documents = list(parse_file(content, with_key_lines=True))
    except YamlError:
        return source
    for document in documents:
        body = _object_at(document.value, document, source.line)
        if body is not None:
            return Source(source.file, _line(body, document.key_lines, _steps(path), source.line))
    return source


def _steps(path: str) -> list[str]:
    return [
        bracketed if _KEY.match(bracketed) else bracketed.strip("\"'") or plain
        for bracketed, plain in _STEP.findall(path)
    ]


def _object_at(value: Any, document: YamlDocument, line: int) -> Any:
    """The object that begins at this line: the document, or an item of a list in it."""
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        return next((found for item in value["items"] if (found := _object_at(item, document, line))), None)
    return value if isinstance(value, dict) and document.lines.get(id(value)) == line else None


def _line(value: Any, key_lines: dict[int, dict[str, int]], steps: list[str], line: int) -> int:
    while steps:
        if isinstance(value, list) and steps[0].isdigit() and int(steps[0]) < len(value):
            value, steps = value[int(steps[0])], steps[1:]
            continue
        if isinstance(value, list) and (item := _item(value, steps[0])) is not None:
            value, steps = item, steps[1:]
            line = min(key_lines.get(id(value), {}).values(), default=line)
            continue
        key = _longest_key(value, steps)
        if key is None:
            break
        line = key_lines.get(id(value), {}).get(key, line)
        value, steps = value[key], steps[key.count(".") + 1 if key != steps[0] else 1 :]
    return line


def _item(items: list[Any], step: str) -> Any:
    """The last item whose members are those of a step such as `name="web"` or `containerPort=8080,protocol="TCP"`. A
    member that the file leaves out (a default) counts as equal."""
    wanted = {name: json.loads(value) if value[0] == '"' else value for name, value in _KEY.findall(step)}
    for item in reversed(items):
        if not isinstance(item, dict) or not any(name in item for name in wanted):
            continue
        if all(str(item.get(name, value)) == str(value) for name, value in wanted.items()):
            return item
    return None


def _longest_key(value: Any, steps: list[str]) -> str | None:
    """The key that the next steps name; `metadata.annotations.slipway.dev/wait` has one with a dot."""
    if not isinstance(value, dict):
        return None
    candidates = (".".join(steps[:count]) for count in range(1, len(steps) + 1))
    return next((key for key in candidates if key in value), None)
