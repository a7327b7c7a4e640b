"""A text of YAML or JSON as a tree whose every part knows where it stands, down to the character.

The engine's readers say what a file means; this tree says which characters to replace. Nothing is resolved here: a
scalar is the text that was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SCALAR, MAPPING, LIST, ALIAS = "scalar", "mapping", "list", "alias"
MAX_DEPTH = 150  # as the engine's reader
BLOCK_STYLES = ("|", ">")
_NULLS = ("", "~", "null", "Null", "NULL")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_ANCHOR = re.compile(r"&[^\s\[\]{},]+[ \t]+")
_COLON = re.compile(r"[ \t]*:")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")


@dataclass(frozen=True, eq=False, init=False)
class Node:
    """One value of the text, from `start` to before `end`, in characters. `line` counts from 1.

    `style`: of a scalar, as YAML's indicators (`'`, `"`, `|`, `>`), empty when it is plain. `value`: of a scalar its
    text, of an alias the anchor's name. `target`: what an alias stands for.
    """

    kind: str
    start: int
    end: int
    line: int
    value: str = field(default="", repr=False)
    style: str = ""
    tag: str = ""
    anchor: str = ""
    flow: bool = False
    pairs: tuple[tuple[Node, Node], ...] = field(default=(), repr=False)
    items: tuple[Node, ...] = field(default=(), repr=False)
    target: Node | None = field(default=None, repr=False)

    def __init__(
        self, kind: str, start: int, end: int, line: int, value: str = "", style: str = "", tag: str = "",
        anchor: str = "", *, flow: bool = False, pairs: tuple[tuple[Node, Node], ...] = (),
        items: tuple[Node, ...] = (), target: Node | None = None,
    ) -> None:  # fmt: skip
        # A file has thousands of nodes, and the method that a frozen dataclass writes takes twice as long.
        self.__dict__.update(
            kind=kind, start=start, end=end, line=line, value=value, style=style, tag=tag, anchor=anchor, flow=flow,
            pairs=pairs, items=items, target=target,
        )  # fmt: skip

    @property
    def is_blank(self) -> bool:
        """Nothing is written where the value belongs."""
        return self.kind == SCALAR and not self.style and self.start == self.end

    @property
    def is_null(self) -> bool:
        """Blank, or one of YAML's words for it."""
        return self.kind == SCALAR and not self.style and not self.tag and self.value in _NULLS

    @property
    def is_block(self) -> bool:
        """A scalar of several lines behind `|` or `>`."""
        return self.kind == SCALAR and self.style in BLOCK_STYLES


@dataclass(frozen=True)
class Root:
    """One document of the text. `aliased`: names of the anchors that an alias uses. `start`: where it begins, with its `---`
    if it has one; text before that belongs to no document."""

    node: Node
    aliased: frozenset[str] = frozenset()
    start: int = 0


@dataclass(frozen=True)
class Tree:
    """All documents of a text. `json`: it was read as JSON and must stay JSON."""

    roots: tuple[Root, ...]
    json: bool


def content_start(text: str, node: Node) -> int:
    """Where a node begins behind its anchor."""
    found = _ANCHOR.match(text, node.start) if node.anchor else None
    return found.end() if found else node.start


def end_of(text: str, pair: tuple[Node, Node]) -> int:
    """Where a pair's last character ends; of a blank value, behind the colon."""
    key, value = pair
    if value.is_blank:
        return colon_end(text, key) or key.end
    if value.is_block:
        return block_end(text, value)
    if value.flow or not (value.pairs or value.items):
        return value.end
    return end_of(text, value.pairs[-1]) if value.pairs else _end_of_item(text, value.items[-1])


def _end_of_item(text: str, item: Node) -> int:
    if item.pairs and not item.flow:
        return end_of(text, item.pairs[-1])
    if item.items and not item.flow:
        return _end_of_item(text, item.items[-1])
    return block_end(text, item) if item.is_block else item.end


def colon_end(text: str, key: Node) -> int:
    """The place behind the colon of a key; 0 when there is none."""
    found = _COLON.match(text, key.end)
    return found.end() if found else 0


def block_header(text: str, node: Node) -> tuple[int, int, int]:
    """Of a block scalar: where its indicators begin and end, and where its first line begins (after the break)."""
    start = content_start(text, node)
    found = _BLOCK_HEADER.match(text, start)
    header_end = found.end() if found else start
    return start, header_end, min(line_end(text, header_end)[1], max(node.end, header_end))


def keeps_blank_lines(text: str, node: Node) -> bool:
    """A block scalar with `+`: the blank lines that follow are its own."""
    start, header_end, _ = block_header(text, node)
    return node.is_block and "+" in text[start:header_end]


def block_end(text: str, node: Node) -> int:
    """Behind the last line of a block scalar that holds something, its line break not counted.

    Empty lines that follow are no part of it, unless it keeps them (`+`), or spaces in them could be.
    """
    _, header_end, first = block_header(text, node)
    body = text[first : node.end]
    kept = body.rstrip()
    rest = body[len(kept) :]
    if keeps_blank_lines(text, node) or (kept and rest.lstrip(" \t").strip("\r\n")):
        return first + len(body) - len(_last_break(body))
    return first + len(kept) + _spaces(rest) if kept else header_end


def _spaces(rest: str) -> int:
    return len(rest) - len(rest.lstrip(" \t"))


def _last_break(body: str) -> str:
    ends = [found.group() for found in _BREAK.finditer(body[-2:]) if found.end() == len(body[-2:])]
    return ends[0] if ends else ""


def line_start(text: str, at: int) -> int:
    """Where the line of that place begins."""
    return max(text.rfind(mark, 0, at) + 1 for mark in "\n\r\x85\u2028\u2029")


def line_end(text: str, at: int) -> tuple[int, int]:
    """Where the line of that place ends: before and behind its break (equal at the end of the text)."""
    found = _BREAK.search(text, at)
    return (found.start(), found.end()) if found else (len(text), len(text))


def line_break(text: str, at: int) -> str:
    """The line break used around that place: the next one, or the first of the text, or LF."""
    before, behind = line_end(text, at)
    found = _BREAK.search(text) if before == behind else None
    return text[before:behind] or (found.group() if found else "\n")
