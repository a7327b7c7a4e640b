"""A unified diff as rows for a table: kind, line numbers of both sides, sign and text. Pure.

Values of secrets come masked as `#<digest>` (`engine.manifests.masking`); rows mark them, so that the page can say that a
value is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$")
_MASKED = re.compile(r"""^(?P<before>.*[:\s-]\s*)['"]?#(?P<digest>[0-9a-f]{8,64})['"]?\s*$""")


@dataclass(frozen=True)
class DiffLine:
    """`kind`: same, add, gone, or cut-off (unchanged lines left out). `masked`: digest of a hidden value after `text`."""

    kind: str
    old: int | None
    new: int | None
    sign: str
    text: str
    masked: str = ""


def rows(lines: Iterable[str]) -> list[DiffLine]:
    """Rows of one unified diff (`difflib.unified_diff` without line ends). File headers are left out."""
    result: list[DiffLine] = []
    old = new = 1
    inside = False
    for line in lines:
        if hunk := _HUNK.match(line):
            old, new, inside = int(hunk[1]), int(hunk[2]), True
            if result or hunk[3] or min(old, new) > 1:
                result.append(DiffLine("cut-off", None, None, "", hunk[3] or "…"))
        elif inside or not line.startswith(("--- ", "+++ ")):
            row = _row(line, old, new)
            old, new = old + (row.old is not None), new + (row.new is not None)
            result.append(row)
    return result


def _row(line: str, old: int, new: int) -> DiffLine:
    sign, text = (line[:1], line[1:]) if line[:1] in ("+", "-", " ") else (" ", line)
    hidden = _MASKED.match(text)
    shown, masked = (hidden["before"], hidden["digest"][:8]) if hidden else (text, "")
    if sign == "+":
        return DiffLine("add", None, new, "+", shown, masked)
    if sign == "-":
        return DiffLine("gone", old, None, "−", shown, masked)
    return DiffLine("same", old, new, "", shown, masked)


def counts(lines: Iterable[str]) -> tuple[int, int]:
    """How many lines a diff adds and removes."""
    found = rows(lines)
    return sum(row.kind == "add" for row in found), sum(row.kind == "gone" for row in found)
