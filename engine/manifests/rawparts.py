"""The parts of a broken secrets file that may be values. They are hidden, so the list is rather too long than too
little. What a reader needs to find the mistake (names of keys and objects, kinds) is left out where it can be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from engine.manifests.masking import decode_value

_PUBLIC_KEYS = frozenset({"apiVersion", "kind", "metadata", "name", "namespace", "type", "immutable"})
_PUBLIC_WORDS = frozenset({"v1", "Secret", "ConfigMap", "List", "Opaque"})
_FLOW = re.compile(r"[{}\[\],]")
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*)"|'([^']*)'""")
_PAIR = re.compile(r"""["']?([^"':=]*)["']?\s*[:=](.*)\Z""", re.DOTALL)
_BLOCK = re.compile(r"[|>][-+\d]*\Z")
_USUAL = re.compile(
    r"([A-Za-z0-9_.-]+): ([A-Za-z0-9+/=]+)\Z"
)  # `KEY: base64`, as most lines are: has the parts that `_of_line` finds
_LONG = 16  # characters of base64 that are found inside any longer text, however that is encoded
_AROUND = " \t\"'{}[],"


def raw_parts(text: str) -> list[str | bytes]:
    """Lines, what stands behind `:` and `=`, and what stands in quotes; what is base64 also decoded. Each once. Of a line that is
    a key and long base64 only the latter: where the line stands, that does."""
    found: dict[str | bytes, None] = {}
    for line in text.splitlines():
        for part in _parts_of(line.strip()):
            if part and part not in _PUBLIC_WORDS:
                found[part] = None
                if ":" not in part:  # which no base64 holds
                    found[decode_value(part)] = None  # itself, where it is not base64
    return [part for part in found if part]


def _parts_of(line: str) -> Iterable[str]:
    usual = _USUAL.match(line)
    if usual and usual[1] not in _PUBLIC_KEYS:
        return (usual[2],) if len(usual[2]) >= _LONG else (line, usual[2])
    return _of_line(line.removeprefix("- ").strip())


def _of_line(line: str) -> Iterator[str]:
    """The parts of a line, and those of each piece of it where it holds lists or mappings in one line, as JSON does."""
    for piece in dict.fromkeys((line, *_FLOW.split(line))):
        yield from _of_piece(piece.strip())
    for match in _QUOTED.finditer(line):
        if not line[match.end() :].lstrip().startswith(":"):
            yield match[1] or match[2] or ""


def _of_piece(piece: str) -> Iterator[str]:
    """The value of a pair, and the whole of what is not only a key, or a pair that is public."""
    pair = _PAIR.match(piece.lstrip(_AROUND))
    value = pair[2].strip(_AROUND) if pair else ""
    if pair and (pair[1].strip(_AROUND) in _PUBLIC_KEYS or not value or _BLOCK.match(value)):
        return
    yield value
    if pair or " " in piece or len(piece) > _LONGEST_WORD:
        yield piece


_LONGEST_WORD = 7  # a shorter one that stands alone may be any word of a message
