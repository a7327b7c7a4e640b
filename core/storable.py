"""Makes texts from outside storable in every supported database, and safe to show on a page, in a terminal, in a table.

Programs write NUL into their logs, and JSON can hold half of a surrogate pair. PostgreSQL refuses both, SQLite the
second. Such a character in a pod's log must not fail a deploy. An escape sequence must not command the terminal of a person
who reads the log there, and a change of direction must not make a text look like another one.
"""

from __future__ import annotations

from typing import Any

_KEPT = "\t\n\r\x0b\x0c\x1c\x1d\x1e\x85"  # tab, and what ends a line: the journal splits there
_PICTURES = {code: 0x2400 + code for code in range(1, 0x20) if chr(code) not in _KEPT} | {0x7F: 0x2421}
_CONTROLS = {code: 0xFFFD for code in range(0x80, 0xA0) if chr(code) not in _KEPT}
_DIRECTIONS = dict.fromkeys((1564, 8206, 8207, *range(8234, 8239), *range(8294, 8298)), 65533)
_SHOWN = {**_PICTURES, **_CONTROLS, **_DIRECTIONS}


def visible_text(text: str) -> str:
    """`text` with a picture for each control character (␛ for ESC), � for characters that change the direction of writing. Tabs
    and ends of lines stay. Each character becomes one character, so a value in the text stays in one piece."""
    return text.translate(_SHOWN)


def storable_text(text: str) -> str:
    """`text` without NUL, with `?` for each half of a surrogate pair, and visible."""
    return visible_text(text.replace("\x00", "").encode("utf-8", "replace").decode())


def storable(value: Any) -> Any:
    """`value` (as JSON knows it) with every text inside it storable."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value
