"""What a value is: its kind and its length, told without the value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_HEX = re.compile(r"[0-9a-fA-F]{8,}\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+\Z")
BEGIN = "-----BEGIN "  # how PEM begins
EMPTY, BINARY, PEM, JSON, URL, HEX, LINES, TEXT = (
    "empty", "binary", "PEM", "JSON", "URL", "hex", "multi-line", "text",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """`name`: one of the kinds above. `size`: bytes. `characters`: None for binary."""

    name: str
    size: int
    characters: int | None

    @property
    def words(self) -> str:
        """For people, e.g. `PEM, 1704 characters`."""
        if not self.size:
            return "empty"
        return f"{self.name}, {_count(self.size, 'byte') if self.characters is None else _count(self.characters, 'character')}"


def kind_of(value: bytes) -> Kind:
    """The kind of a value."""
    text = text_of(value)
    if text is None:
        return Kind(BINARY, len(value), None)
    return Kind(_name(text), len(value), len(text))


def text_of(value: bytes) -> str | None:
    """The value as text; None when it is binary: not UTF-8, or with NUL."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _name(text: str) -> str:
    stripped = text.strip()
    if not text:
        return EMPTY
    if BEGIN in text:
        return PEM
    if is_json(stripped):
        return JSON
    if _URL.match(stripped):
        return URL
    if len(stripped) % 2 == 0 and _HEX.match(stripped) and not stripped.isdigit():
        return HEX
    return LINES if "\n" in text.rstrip("\r\n") else TEXT


def is_json(text: str) -> bool:
    """A JSON object or list; single numbers and words are plain text."""
    if text[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
