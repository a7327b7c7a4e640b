"""`.dockerignore`: which files of a context are sent.

The rules are Docker's own (`github.com/moby/patternmatcher`): the last pattern that fits a path or a folder above it decides.
The SDK's matcher looks at one folder above only, and its `**` differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from posixpath import normpath

_ANY, _WITHIN, _FOLDERS = ".*", "[^/]*", "(?:.*/)?"
_MOST_WIDE = 2  # with more of them, a regular expression can take hours


@dataclass(frozen=True)
class _Rule:
    fits: Callable[[str], object]
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
            if left_out == rule.keeps and any(rule.fits(place) for place in above):
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
            yield _Rule(_matcher(_expression(cleaned)), keeps)


def _matcher(pieces: list[str]) -> Callable[[str], object]:
    """What tells whether a whole path fits. Its time grows with lengths only, whatever the pattern."""
    if sum(piece in (_ANY, _WITHIN, _FOLDERS) for piece in pieces) <= _MOST_WIDE:
        return re.compile("".join(pieces), re.S).fullmatch
    return _Walk(pieces).fits


class _Walk:
    """Follows all ways through a pattern at once, character by character."""

    def __init__(self, pieces: list[str]) -> None:
        # `**/` is any text and a slash, or nothing: the way from its first place leads on to the one after both.
        self._steps: list[
            tuple[re.Pattern[str], bool, int]
        ] = []  # what fits, whether it repeats, and how far it may be skipped
        for piece in pieces:
            if piece == _FOLDERS:
                self._steps += [(re.compile(".", re.S), True, 2), (re.compile("/"), False, 0)]
            else:
                wide = piece in (_ANY, _WITHIN)
                self._steps.append((re.compile(piece.rstrip("*") if wide else piece, re.S), wide, int(wide)))

    def fits(self, path: str) -> bool:
        """Whether the whole path fits."""
        places = self._reached({0})
        for char in path:
            places = self._reached({at + (not self._steps[at][1]) for at in places if self._takes(at, char)})
        return len(self._steps) in places

    def _takes(self, at: int, char: str) -> bool:
        return at < len(self._steps) and self._steps[at][0].fullmatch(char) is not None

    def _reached(self, places: set[int]) -> set[int]:
        waiting = list(places)
        while waiting:
            at = waiting.pop()
            for further in self._skips(at):
                if further not in places:
                    places.add(further)
                    waiting.append(further)
        return places

    def _skips(self, at: int) -> Iterable[int]:
        if at >= len(self._steps) or not self._steps[at][1]:
            return ()
        return {at + 1, at + self._steps[at][2]}


def _expression(pattern: str) -> list[str]:
    """The pieces of a regular expression. `*` and `?` stay within a name, `**` goes over any number of folders, `[…]` is a set,
    and a backslash takes the next character as it is."""
    out, position = list[str](), 0
    while position < len(pattern):
        char = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
                out.append(_FOLDERS)
            else:
                out.append(_ANY)
            continue
        if char == "[" and (end := pattern.find("]", position + 2)) > 0:
            out.append(_set(pattern[position + 1 : end]))
            position = end + 1
            continue
        if char == "\\" and position + 1 < len(pattern):
            position += 1
            char = re.escape(pattern[position])
        else:
            char = {"*": _WITHIN, "?": "[^/]"}.get(char) or re.escape(char)
        out.append(char)
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
