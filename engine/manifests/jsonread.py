"""Files of JSON values one after the other, which kubectl reads too and YAML does not cover."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from engine.manifests.scalars import json_value
from engine.manifests.yamlread import MAX_DEPTH, MAX_DOCUMENTS, YamlDocument, YamlError
from engine.types import Json

_SPACE = re.compile(r"[ \t\r\n]*")


class _DuplicateKeyError(ValueError):
    """A JSON object has the same key twice."""


def read_json_stream(text: str) -> list[YamlDocument] | None:
    """The values of a JSON stream; None when the text is no JSON.

    Raises YamlError for what is JSON but not acceptable: duplicate keys, nesting, numbers that JSON cannot carry.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_unique_pairs, parse_constant=_no_constant)
    documents: list[YamlDocument] = []
    position, line = 0, 1
    while (match := _SPACE.match(text, position)) and match.end() < len(text):
        line += text.count("\n", position, match.end())
        start = match.end()
        if len(documents) >= MAX_DOCUMENTS:
            raise YamlError(line, f"more than {MAX_DOCUMENTS} documents in one file")
        try:
            value, position = decoder.raw_decode(text, start)
        except _DuplicateKeyError as error:
            raise YamlError(line, str(error)) from None
        except RecursionError:
            raise YamlError(line, f"nested more than {MAX_DEPTH} levels deep") from None
        except ValueError:
            return None
        value = _checked(value, line, 0)
        marks = {string: (line,) for string in strings_of(value) if "${" in string}
        documents.append(YamlDocument(value, line, marks, {}, {}))
        line += text.count("\n", start, position)
    return documents


def with_lines(documents: list[YamlDocument], positions: Sequence[YamlDocument]) -> list[YamlDocument]:
    """The JSON values with the lines of the same text read as YAML; as they are where the two differ in their form."""
    if len(documents) != len(positions):
        return documents
    return [_placed(*pair) for pair in zip(documents, positions, strict=True)]


def _placed(document: YamlDocument, position: YamlDocument) -> YamlDocument:
    lines: dict[int, int] = {}
    key_lines: dict[int, dict[str, int]] = {}
    waiting = [(document.value, position.value)]
    while waiting:
        mine, theirs = waiting.pop()
        if isinstance(mine, dict) and isinstance(theirs, dict) and mine.keys() == theirs.keys():
            lines[id(mine)] = position.lines.get(id(theirs), document.line)
            key_lines[id(mine)] = position.key_lines.get(id(theirs), {})
            waiting += [(mine[key], theirs[key]) for key in mine]
        elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
            waiting += zip(mine, theirs, strict=True)
    marks = position.marks if _same_texts(document, position) else document.marks
    return replace(document, line=position.line, marks=marks, lines=lines, key_lines=key_lines)


def _same_texts(document: YamlDocument, position: YamlDocument) -> bool:
    return document.marks.keys() == position.marks.keys()


def strings_of(value: Any) -> Iterator[str]:
    """Every string of a tree, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)


def _checked(value: Any, line: int, depth: int) -> Any:
    """The same tree with numbers as Kubernetes reads them. Raises YamlError when it nests too deep."""
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise YamlError(line, f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {_whole(key): _checked(item, line, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_checked(item, line, depth + 1) for item in value]
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise YamlError(line, "a number is too large")
    return json_value(value)


def _whole(text: str) -> str:
    """Half of a surrogate pair, which JSON can spell, becomes the replacement character, as in Go."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> Json:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _DuplicateKeyError("a key stands twice in one object")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
