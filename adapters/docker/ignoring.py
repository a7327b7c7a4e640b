"""`.dockerignore`: which files of a context are sent.

The rules are Docker's own (`github.com/moby/patternmatcher`): the last pattern that fits a path or a folder above it decides.
The SDK's matcher looks at one folder above only, and its `**` differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import normpath


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    keeps: bool


class Ignored:
    """The patterns of a `.dockerignore`."""

    def __init__(self, text: str) -> None:
        self._rules = list(_rules(text.removeprefix("\ufeff").splitlines()))

    def __call__(self, path: str) -> bool:
        """Whether a path is left out."""
        if not self._rules:
            return False
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        left_out = False
        for rule in self._rules:
            if left_out == rule.keeps and any(rule.pattern.fullmatch(place) for place in above):
                left_out = not rule.keeps
        return left_out


def _rules(lines: Iterable[str]) -> Iterable[_Rule]:
    for line in lines:
        if line.startswith("#"):
            continue
        text = line.strip()
        keeps = text.startswith("!")
        text = text.removeprefix("!").strip()
        cleaned = normpath(text).lstrip("/") if text else ""
        if cleaned and cleaned != ".":
            yield _Rule(re.compile(_expression(cleaned)), keeps)


def _expression(pattern: str) -> str:
    """`*` and `?` stay within a name, `**` goes over any number of folders, `[…]` is a set, and a backslash takes the next
    character as it is."""
    out, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        if char == "[" and (end := pattern.find("]", position + 2)) > 0:
            out += _set(pattern[position + 1 : end])
            position = end + 1
            continue
        if char == "\\" and position + 1 < len(pattern):
            position += 1
            char = re.escape(pattern[position])
        else:
            char = {"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char)
        out += char
        position += 1
    return out


def _set(inside: str) -> str:
    denies = inside.startswith("^")
    kept = (
        inside.removeprefix("^")
        .replace("\\", "\\\\")
        .replace("[", "\\[")
        .replace("^", "\\^")
        .replace("&", "\\&")
    )
    return f"[{'^' if denies else ''}{kept}]"
