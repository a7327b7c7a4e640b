"""Finds many texts at once in a text, in time that does not grow with their number.

Forms are found by their first six characters in a dictionary. A form of more than WINDOW characters is kept in windows, so that
any part of it that holds a whole window is found, and then followed to both sides.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PREFIX = 6
WINDOW = 64
# Texts come cut by other code: by the engine, by the API server, by the container's runtime. None cuts shorter.
SHORTEST_CUT = 190
MOST_FORMS = 2_000_000  # windows and forms; about 200 MB. More are not taken, and the matcher is full
_FEW = 16
_END = re.compile(r"[\n\r…]|\Z")

Span = tuple[int, int]


@dataclass
class _Bucket:
    """Forms with the same beginning; put in order at the first search after one was added."""

    forms: list[str]
    lengths: tuple[int, ...] = ()
    is_ordered: bool = False

    def add(self, form: str) -> None:
        """Adds a form."""
        self.forms.append(form)
        self.is_ordered = False

    def _order(self) -> None:
        if not self.is_ordered:
            self.forms = sorted(set(self.forms))
            self.lengths = tuple(sorted({len(form) for form in self.forms}, reverse=True))
            self.is_ordered = True

    def longest(self, text: str, at: int) -> str:
        """The longest form that stands at this place, or nothing."""
        if len(self.forms) <= _FEW:
            return max((form for form in self.forms if text.startswith(form, at)), key=len, default="")
        self._order()
        for length in self.lengths:
            wanted = text[at : at + length]
            place = bisect_left(self.forms, wanted)
            if place < len(self.forms) and self.forms[place] == wanted:
                return wanted
        return ""

    def begins_with(self, rest: str) -> bool:
        """Whether a form begins with this rest of a text."""
        self._order()
        place = bisect_left(self.forms, rest)
        return place < len(self.forms) and self.forms[place].startswith(rest)


class Matcher:
    """The forms. Threads that share a matcher guard every call by a lock."""

    def __init__(self) -> None:
        self._buckets: dict[str, str | _Bucket] = {}  # by their beginning; most forms are alone
        self._windows: dict[str, list[tuple[str, int]]] = {}  # a window → long forms that have it, and where
        self._short: set[str] = set()  # of four and five characters
        self._whole_lines: set[str] = set()
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Whether forms may have been left out."""
        return self.count >= MOST_FORMS

    def add(self, forms: Iterable[str], *, whole_lines: bool = False) -> None:
        """Adds forms of four characters and more. `whole_lines`: where one stands, its whole line is found."""
        for form in forms:
            if self.is_full:
                return
            if len(form) < PREFIX:
                self._short.add(form)
            elif len(form) <= WINDOW:
                self._keep(form)
            else:
                self._keep_windows(form)
            if whole_lines:
                self._whole_lines.add(form[:WINDOW])

    def _keep(self, form: str) -> None:
        begin = form[:PREFIX]
        known = self._buckets.setdefault(begin, form)
        if isinstance(known, _Bucket):
            known.add(form)
        elif known != form:
            self._buckets[begin] = _Bucket([known, form])
        self.count += 1

    def _longest(self, text: str, at: int) -> str:
        """The longest form that stands at this place, or nothing. Some form begins as the text there."""
        known = self._buckets[text[at : at + PREFIX]]
        if isinstance(known, _Bucket):
            return known.longest(text, at)
        return known if text.startswith(known, at) else ""

    def _keep_windows(self, form: str) -> None:
        for at in (*range(0, len(form) - WINDOW, WINDOW), len(form) - WINDOW):
            window = form[at : at + WINDOW]
            known = self._windows.setdefault(window, [])
            if (form, at) in known or len(known) >= _FEW:
                continue
            known.append((form, at))
            self._keep(window)

    def spans(self, text: str) -> list[Span]:
        """The places of all forms in the text, in order; those that overlap are one. Also what a cut left of a form at the
        end of a long line, or before “…”."""
        found = [*self._whole(text), *self._alone(text), *self._cut(text)]
        return _joined(found)

    def _whole(self, text: str) -> Iterator[Span]:
        buckets, end = self._buckets, 0
        hits = [at for at in range(len(text) - PREFIX + 1) if text[at : at + PREFIX] in buckets]
        for at in hits:
            if at + WINDOW <= end:
                continue  # no form, or window of one, reaches further
            form = self._longest(text, at)
            if not form:
                continue
            first, last = at, at + len(form)
            if form in self._whole_lines:
                first, last = _line_around(text, at)
            elif len(form) == WINDOW:
                first, last = self._followed(text, at, form)
            end = max(end, last)
            yield first, last

    def _followed(self, text: str, at: int, window: str) -> Span:
        """The place of the part of a long form that stands around one of its windows."""
        first, last = at, at + WINDOW
        for form, offset in self._windows.get(window, ()):
            first = min(first, at - _same_before(text, at, form, offset))
            last = max(last, at + WINDOW + _same_behind(text, at + WINDOW, form, offset + WINDOW))
        return first, last

    def _alone(self, text: str) -> Iterator[Span]:
        """Short forms where no letter or digit stands beside them."""
        if not self._short:
            return
        for length in (4, 5):
            for at in range(len(text) - length + 1):
                if text[at : at + length] in self._short and not _has_neighbours(text, at, at + length):
                    yield at, at + length

    def _cut(self, text: str) -> Iterator[Span]:
        if len(text) < SHORTEST_CUT or not self._buckets:
            return
        line = 0
        for match in _END.finditer(text):
            end = match.start()
            if end - line >= SHORTEST_CUT:
                yield from self._begun(text, max(line, end - WINDOW), end)
            if match[0] in ("\n", "\r"):
                line = match.end()

    def _begun(self, text: str, start: int, end: int) -> Iterator[Span]:
        """The beginning of a form that ends at `end`. Fewer than PREFIX characters stay."""
        for at in range(start, end - PREFIX + 1):
            known = self._buckets.get(text[at : at + PREFIX])
            begins = known.begins_with if isinstance(known, _Bucket) else (known or "").startswith
            if known and begins(text[at:end]):
                yield at, end
                return


def _has_neighbours(text: str, first: int, last: int) -> bool:
    return any(one.isascii() and one.isalnum() for one in (text[first - 1 : first], text[last : last + 1]))


def _line_around(text: str, at: int) -> Span:
    first = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    ends = [end for end in (text.find("\n", at), text.find("\r", at)) if end != -1]
    return first, min(ends, default=len(text))


def _same_behind(text: str, at: int, form: str, offset: int) -> int:
    """How many characters are the same from these places on."""
    most = min(len(text) - at, len(form) - offset)
    if text.startswith(form[offset : offset + most], at):
        return most
    return next(n for n in range(most) if text[at + n] != form[offset + n])


def _same_before(text: str, at: int, form: str, offset: int) -> int:
    """How many characters are the same before these places."""
    most = min(at, offset)
    return next((n for n in range(most) if text[at - n - 1] != form[offset - n - 1]), most)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined
