"""Texts from outside: storable everywhere, and harmless on a page, in a terminal, in Slack and in a table."""

from __future__ import annotations

import unicodedata

import pytest

from core.csvexport import safe_cell
from core.storable import storable, storable_text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07gone", "␛[2J␛]0;title␇gone"),
        ("abc\u202egnp.exe", "abc�gnp.exe"),
        ("a\u2066b\u2069c\u200fd", "a�b�c�d"),
        ("\x9b31m", "�31m"),  # ESC [ in one character
        ("back\x08space \x7f", "back␈space ␡"),
        ("tab\tand\nline\r\n", "tab\tand\nline\r\n"),
        ("N\x00U\x00L", "NUL"),
        ("Zoë 東京 👩‍🚀", "Zoë 東京 👩‍🚀"),
    ],
)
def test_what_would_command_a_terminal_is_a_picture(given: str, shown: str) -> None:
    assert storable_text(given) == shown
    assert safe_cell(given).lstrip("'") == shown


def test_no_control_and_no_change_of_direction_passes() -> None:
    every = "".join(map(chr, range(0xD800))) + "".join(map(chr, range(0xE000, 0x10000)))
    left = {c for c in storable_text(every) if unicodedata.category(c) == "Cc"}
    assert left == set("\t\n\r\x0b\x0c\x1c\x1d\x1e\x85")
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not [c for c in storable_text(every) if unicodedata.bidirectional(c) in turning]


def test_lists_and_dictionaries_too() -> None:
    assert storable({"a": ["\x1b", ("\x00b",)], "n": 1}) == {"a": ["␛", ["b"]], "n": 1}
