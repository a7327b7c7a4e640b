"""JSON text to the same tree of nodes: for what YAML does not cover (tabs, surrogate pairs) and for flat objects."""

from __future__ import annotations

import bisect
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # the scanner of Python's own decoder

from secrets_ui.files.nodes import LIST, MAPPING, MAX_DEPTH, SCALAR, Node, Root, Tree

_SPACE = re.compile(r"[ \t\r\n]*")
_BARE = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


def json_tree(text: str) -> Tree | None:
    """The tree of JSON values one after the other; None when the text is not JSON. Duplicate keys are kept."""
    reader = _Reader(text)
    roots: list[Root] = []
    at = reader.space(0)
    try:
        while at < len(text):
            node = reader.node(at, 0)
            roots.append(Root(node))
            at = reader.space(node.end)
    except (ValueError, IndexError):
        return None
    return Tree(tuple(roots), json=True)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [found.start() for found in re.finditer("\n", text)]

    def space(self, at: int) -> int:
        """The next place that is no space."""
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def node(self, at: int, depth: int) -> Node:
        """The value at that place. Raises ValueError or IndexError."""
        if depth > MAX_DEPTH:
            raise ValueError
        if self._text[at] == "{":
            return self._mapping(at, depth)
        if self._text[at] == "[":
            return self._list(at, depth)
        return self._scalar(at)

    def _scalar(self, at: int) -> Node:
        line = bisect.bisect_left(self._lines, at) + 1
        if self._text[at] == '"':
            value, end = scanstring(self._text, at + 1, True)
            return Node(SCALAR, at, end, line, value=value, style='"')
        found = _BARE.match(self._text, at)
        if found is None:
            raise ValueError
        return Node(SCALAR, at, found.end(), line, value=found.group())

    def _mapping(self, at: int, depth: int) -> Node:
        pairs: list[tuple[Node, Node]] = []
        place = self.space(at + 1)
        while self._text[place] != "}":
            place = self._comma(place, first=not pairs)
            key = self._scalar(place)
            colon = self.space(key.end)
            if key.style != '"' or self._text[colon] != ":":
                raise ValueError
            pairs.append((key, self.node(self.space(colon + 1), depth + 1)))
            place = self.space(pairs[-1][1].end)
        return self._made(MAPPING, at, place + 1, pairs=tuple(pairs))

    def _list(self, at: int, depth: int) -> Node:
        items: list[Node] = []
        place = self.space(at + 1)
        while self._text[place] != "]":
            items.append(self.node(self._comma(place, first=not items), depth + 1))
            place = self.space(items[-1].end)
        return self._made(LIST, at, place + 1, items=tuple(items))

    def _comma(self, place: int, *, first: bool) -> int:
        """The place of the next part: at once for the first, behind a comma for the others."""
        if first:
            return place
        if self._text[place] != ",":
            raise ValueError
        return self.space(place + 1)

    def _made(
        self,
        kind: str,
        start: int,
        end: int,
        *,
        pairs: tuple[tuple[Node, Node], ...] = (),
        items: tuple[Node, ...] = (),
    ) -> Node:
        line = bisect.bisect_left(self._lines, start) + 1
        return Node(kind, start, end, line, flow=True, pairs=pairs, items=items)
