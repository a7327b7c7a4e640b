"""Patterns of branches, tags and paths. `*` stands for any text, also for an empty one and with slashes in it; every other
character stands for itself. Pure functions, whose time grows with the lengths only."""

from __future__ import annotations

from collections.abc import Iterable

MOST, LONGEST = 50, 200


def fits(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:  # the leftmost place of each piece leaves the most for the next ones
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def path_fits(pattern: str, path: str) -> bool:
    """Whether a path fits: whole, or because a folder above it does. `docs`, `docs/` and `docs/*` mean all below `docs`."""
    plain = pattern.removeprefix("./").strip("/")
    return fits(plain, path) or fits(f"{plain}/*", path)


def any_fits(patterns: Iterable[str], text: str) -> bool:
    """Whether one of the patterns fits the text."""
    return any(fits(pattern, text) for pattern in patterns)


def wanted_path(path: str, watch: Iterable[str], ignore: Iterable[str]) -> bool:
    """Whether a changed path asks for a build: it fits `watch` (or that is empty) and not `ignore`."""
    watched = list(watch)
    seen = not watched or any(path_fits(pattern, path) for pattern in watched)
    return seen and not any(path_fits(pattern, path) for pattern in ignore)


def problem_of(patterns: list[str]) -> str:
    """Why a list of patterns cannot be used, in one sentence; empty when it can."""
    if len(patterns) > MOST:
        return f"There are more than {MOST} patterns."
    for pattern in patterns:
        if len(pattern) > LONGEST:
            return f"A pattern is longer than {LONGEST} characters."
        if not pattern.isprintable():
            return "A pattern has characters that cannot be seen."
        if pattern.startswith("!"):
            return "Patterns cannot be negated with “!”."
    return ""
