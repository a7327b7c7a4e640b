"""Which characters of a text to replace for one edit. Nothing else of the text is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from secrets_ui.files.model import DATA, Entry
from secrets_ui.files.nodes import (
    Node,
    block_end,
    block_header,
    colon_end,
    content_start,
    end_of,
    keeps_blank_lines,
    line_break,
    line_end,
    line_start,
)
from secrets_ui.files.writing import (
    base64_scalar,
    fits_literal,
    literal_header,
    literal_lines,
    text_scalar,
)

Pair = tuple[Node, Node]
_BLANK_LINES = re.compile("(?:[ \t]*(?:\r\n|[\n\r\x85\u2028\u2029]))*")
_GAP = re.compile("(?:[ \t\r\n]|(?<=[ \t\r\n])#[^\r\n]*)*")  # what may stand before a comma of a flow mapping


class CannotSplice(Exception):
    """The edit cannot be made in place; the text says why."""


@dataclass(frozen=True)
class Splice:
    """Replace the characters from `start` to before `end`."""

    start: int
    end: int
    new: str = field(default="", repr=False)


def apply_splices(text: str, splices: Iterable[Splice]) -> str:
    """The text with all of them; they may touch, not overlap."""
    parts: list[str] = []
    at = 0
    for splice in sorted(splices, key=lambda s: (s.start, s.end)):
        if splice.start < at:
            raise CannotSplice("two changes meet in one place; save them one after the other")
        parts += [text[at : splice.start], splice.new]
        at = splice.end
    return "".join([*parts, text[at:]])


def scalar_for(value: bytes, part: str, style: str, *, json: bool) -> str:
    """The value as one scalar of that part. Raises CannotSplice for bytes that are no text where text belongs."""
    style = '"' if json else style
    if part == DATA:
        return base64_scalar(value, style)
    return text_scalar(as_text(value, part), style)


def as_text(value: bytes, part: str) -> str:
    """The value as the text that this part stores."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CannotSplice(f"{part} holds text only, and the value is not UTF-8 text") from None


def set_value(text: str, entry: Entry, value: bytes, *, json: bool) -> list[Splice]:
    """Puts a value in the place of the old one, in its form as far as that can carry it."""
    key, node = entry.pair
    if node.is_block:
        return _set_block(text, entry, value)
    scalar = scalar_for(value, entry.part, node.style, json=json)
    if node.is_blank:
        at = colon_end(text, key)
        return [Splice(at, at, f" {scalar}")]
    return [Splice(content_start(text, node), node.end, scalar)]


def _set_block(text: str, entry: Entry, value: bytes) -> list[Splice]:
    """A block's indicator becomes the value and its lines go; what stands behind the indicator stays."""
    node = entry.pair[1]
    start, header_end, first = block_header(text, node)
    body_end = min(line_end(text, block_end(text, node))[1], node.end)
    if entry.part != DATA and first > header_end and first < len(text):
        splices = _literal(text, entry, as_text(value, entry.part), body_end)
        if splices:
            return splices
    scalar = scalar_for(value, entry.part, "" if entry.part == DATA else '"', json=False)
    return [Splice(start, header_end, scalar), Splice(first, max(first, body_end))]


def _literal(text: str, entry: Entry, value: str, body_end: int) -> list[Splice]:
    """A block of text stays a (literal) block, where that can carry the value."""
    key, node = entry.pair
    start, header_end, first = block_header(text, node)
    digit = "".join(c for c in text[start:header_end] if c.isdigit())
    column = key.start - line_start(text, key.start)
    indent = column + int(digit) if digit else _indent_of(text[first : node.end], column + 2)
    header = literal_header(value, digit)
    if not fits_literal(value, header, indent, digit):
        return []
    body = literal_lines(value, indent, line_break(text, header_end))
    return [Splice(start, header_end, header), Splice(first, max(first, body_end), body)]


def _indent_of(body: str, otherwise: int) -> int:
    line = next((line for line in re.split("[\r\n]", body) if line.strip(" ")), "")
    return len(line) - len(line.lstrip(" ")) if line else otherwise


def remove_block_pair(text: str, pairs: tuple[Pair, ...], index: int) -> Splice:
    """Takes a pair of a block mapping with its lines and the comment behind it."""
    key, _ = pairs[index]
    start = line_start(text, key.start)
    if text[start : key.start].strip():
        raise CannotSplice("its key shares its line with something else")
    end = line_end(text, end_of(text, pairs[index]))[1]
    if index and keeps_blank_lines(text, pairs[index - 1][1]) and (blank := _BLANK_LINES.match(text, end)):
        end = blank.end()  # else the value before would get them
    return Splice(start, end)


def remove_flow_pair(text: str, pairs: tuple[Pair, ...], index: int) -> list[Splice]:
    """Takes a pair out of `{…}` with one comma: the one behind it, or for the last the one before it."""
    start, end = pairs[index][0].start, end_of(text, pairs[index])
    behind = _comma(text, end)
    before = _comma(text, end_of(text, pairs[index - 1])) if index and behind is None else None
    commas = [Splice(before, before + 1)] if before is not None else []
    end = behind + 1 if behind is not None else end
    first, (last, after) = line_start(text, start), line_end(text, end)
    alone = not text[first:start].strip() and re.fullmatch(r"[ \t]*(?:#.*)?", text[end:last])
    if alone and (before is None or before < first):
        return [*commas, Splice(first, after)]
    if before is not None and not text[before + 1 : start].strip(" \t"):
        return [Splice(before, end)]
    spaces = len(text[end:last]) - len(text[end:last].lstrip(" \t")) if behind is not None else 0
    return [*commas, Splice(start, end + spaces)]


def _comma(text: str, at: int) -> int | None:
    found = _GAP.match(text, at)
    place = found.end() if found else at
    return place if text[place : place + 1] == "," else None


def insert_lines(text: str, at: int, lines: Iterable[str]) -> Splice:
    """Puts whole lines behind the line of that place, with its line end."""
    before, behind = line_end(text, at)
    end = line_break(text, at)
    if before == behind:  # the text ends without a line end, and goes on doing so
        return Splice(behind, behind, "".join(f"{end}{line}" for line in lines))
    return Splice(behind, behind, "".join(f"{line}{end}" for line in lines))


def insert_in_flow(text: str, mapping: Node, rendered: list[str]) -> Iterator[Splice]:
    """Puts pairs behind the last of `{…}`, on lines of their own where the last one has its own."""
    if not mapping.pairs:
        yield Splice(mapping.start + 1, mapping.start + 1, ", ".join(rendered))
        return
    last = mapping.pairs[-1]
    start, end = last[0].start, end_of(text, last)
    first, comma = line_start(text, start), _comma(text, end)
    behind = end if comma is None else comma + 1
    rest = text[end : line_end(text, behind)[0]]
    if text[first:start].strip() or not re.fullmatch(r"[ \t]*,?[ \t]*(?:#.*)?", rest):
        yield Splice(end, end, "".join(f", {pair}" for pair in rendered))
        return
    lines = [f"{text[first:start]}{pair}," for pair in rendered]
    if comma is None:
        yield Splice(end, end, ",")
        lines[-1] = lines[-1][:-1]
    yield insert_lines(text, behind, lines)
