"""A unified diff of lines whose work is bounded.

difflib compares each line with every equal one. For a text of many lines that repeat in another order that takes minutes, so
the comparisons are counted, and a text that needs too many is shown as one block of lines gone and one of new lines.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile

CONTEXT = 3  # unchanged lines around a change
MOST_OF_ONE = 1_000_000  # comparisons for one text, about a fifth of a second
MOST_OF_ALL = 5_000_000  # for all texts of one preview
SHOWN = 100  # lines of each side where a text needs too many


class Steps:
    """How many comparisons are left, shared by texts that are compared for one answer."""

    def __init__(self, left: int = MOST_OF_ALL) -> None:
        self.left = left


class _TooMany(Exception):
    pass


class _Counted(difflib.SequenceMatcher[str]):
    """Raises _TooMany instead of making more comparisons than are left."""

    def __init__(self, old: Sequence[str], new: Sequence[str], steps: Steps) -> None:
        super().__init__(None, old, new)
        found: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # not in the type stubs
        self._before = [0, *accumulate(1 + len(found.get(line, ())) for line in old)]
        self._steps, self._own, self._whole = steps, MOST_OF_ONE, len(old)

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> difflib.Match:
        """As in the base class, which calls it for smaller and smaller parts."""
        cost = self._before[self._whole if ahi is None else ahi] - self._before[alo]
        self._own -= cost
        if self._own < 0 or self._steps.left < cost:
            raise _TooMany
        self._steps.left -= cost
        return super().find_longest_match(alo, ahi, blo, bhi)


def line_diff(old: Sequence[str], new: Sequence[str], steps: Steps | None = None) -> list[str]:
    """The lines of a unified diff without file names; empty when nothing differs."""
    head = _same(old, new)
    tail = _same(old[head:][::-1], new[head:][::-1])
    start = max(head - CONTEXT, 0)
    ends = [len(lines) - max(tail - CONTEXT, 0) for lines in (old, new)]
    if head == len(old) == len(new):
        return []
    first, second = old[start : ends[0]], new[start : ends[1]]
    try:
        groups = _Counted(first, second, steps or Steps()).get_grouped_opcodes(CONTEXT)
        return [line for group in groups for line in _hunk(group, first, second, start)]
    except _TooMany:
        return list(_blocks(old[head : len(old) - tail], new[head : len(new) - tail], head))


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines are equal at the beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _hunk(
    group: Sequence[tuple[str, int, int, int, int]], old: Sequence[str], new: Sequence[str], start: int
) -> Iterator[str]:
    (_, old_from, _, new_from, _), (_, _, old_to, _, new_to) = group[0], group[-1]
    yield _head(start + old_from, old_to - old_from, start + new_from, new_to - new_from)
    for tag, a, b, c, d in group:
        if tag == "equal":
            yield from (f" {line}" for line in old[a:b])
            continue
        yield from (f"-{line}" for line in old[a:b])
        yield from (f"+{line}" for line in new[c:d])


def _blocks(gone: Sequence[str], come: Sequence[str], start: int) -> Iterator[str]:
    yield _head(start, len(gone), start, len(come))
    for sign, lines in (("-", gone), ("+", come)):
        yield from (f"{sign}{line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            word = "gone" if sign == "-" else "new"
            yield f"… {len(lines) - SHOWN} more lines {word}; there are too many changes to compare line by line"


def _head(old_from: int, old_count: int, new_from: int, new_count: int) -> str:
    return f"@@ -{_range(old_from, old_count)} +{_range(new_from, new_count)} @@"


def _range(start: int, count: int) -> str:
    """As unified diffs number lines: from 1; an empty range by the line before it."""
    first = start + 1 if count else start
    return str(first) if count == 1 else f"{first},{count}"
