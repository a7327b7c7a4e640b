"""libyaml's events of a text, where many plain lines `KEY: base64` in a row, as secrets files have them, are one `Run`.

Reading hundreds of such lines event by event takes most of the time of reading a secrets file. `events` blanks all of them but
the first and the last (spaces and the same number of line ends take their place), lets libyaml read the rest, and puts the lines
that it has not seen back as a `Run`. Why the result is the same as without this:

- The lines of a run have one indentation, and only ASCII characters that mean nothing to YAML: no quote, no tab, no CR, no `#`,
  `&`, `*`, `!`, `|`, `<`, `{`, no character beyond ASCII. Their one `: ` stands behind the key.
- libyaml itself says what the first and the last line are. Only where it finds a plain key and a plain value in each, exactly
  where the pattern saw them, with nothing between the first line's value and the last line's key, both are pairs of one block
  mapping. In a literal block, in quotes, in braces, or as the continuation of a text above, that is not what it finds.
- Then it was, behind the first line's value, in the state in which a line of this indentation is the next pair of that mapping.
  The line that was blanked behind it is such a line, and leaves that state behind. So each of the blanked lines is such a pair.
- Blank lines between two pairs change nothing, and as many characters and line ends keep every place and line as it is.
- Wherever this is not so, or libyaml finds an error, the whole text is read again without blanking anything.

`tests/engine/test_yamlevents.py` compares both ways of reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import ScalarEvent

MAX_CHARACTERS = 65_536  # AWS's limit for a secret. All events of a text are kept for a moment
_SHORTEST = 8  # lines that are worth it
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the pure one is 20 times slower but equal

_LINE = r"[A-Za-z_][A-Za-z0-9_.-]{0,252}+: [A-Za-z0-9+/]++={0,2}+\n"
_RUN = re.compile(rf"^( {{1,40}}+){_LINE}(?:\1{_LINE}){{{_SHORTEST - 1},}}+", re.MULTILINE)
_PARTS = re.compile(r" +([^:]+): ([^\n]+)\n")


@dataclass(frozen=True)
class Run:
    """Pairs of a block mapping, each in a line of its own. The first one stands in the text at `index`, `column` and `line`."""

    index: int
    line: int
    column: int
    pairs: Sequence[tuple[str, str]] = field(repr=False)

    def starts(self) -> Iterator[tuple[int, int]]:
        """Where the key and the value of each pair begin."""
        at = self.index
        for key, value in self.pairs:
            yield at, at + len(key) + 2
            at += len(key) + 2 + len(value) + 1 + self.column

    def events(self) -> Iterator[ScalarEvent]:
        """The same as libyaml's events."""
        for line, (pair, starts) in enumerate(zip(self.pairs, self.starts(), strict=True), start=self.line):
            for text, start in zip(pair, starts, strict=True):
                column = self.column + start - starts[0]
                places = _mark(start, line, column), _mark(start + len(text), line, column + len(text))
                yield ScalarEvent(None, None, (True, False), text, *places, style="")


def _mark(index: int, line: int, column: int) -> yaml.Mark:
    return yaml.Mark("", index, line, column, None, 0)


def events(text: str) -> Iterator[Any]:
    """The events of a text, and its runs. Raises what PyYAML raises: YAMLError, UnicodeEncodeError for half a surrogate pair."""
    found = [*_RUN.finditer(text)] if len(text) <= MAX_CHARACTERS else []
    return _with_runs(text, found) if found else every_event(text)


def every_event(text: str) -> Iterator[Any]:
    """The events of a text without runs."""
    loader = _LOADER(text)
    try:
        while (event := loader.get_event()) is not None:
            yield event
    finally:
        loader.dispose()


def _with_runs(text: str, found: Sequence[re.Match[str]]) -> Iterator[Any]:
    lines = [text[match.start() : match.end()].splitlines(keepends=True) for match in found]
    try:
        seen = [*every_event(_blanked(text, found, lines))]
    except yaml.YAMLError:
        return every_event(text)
    behind = {_place(event)[1]: at for at, event in enumerate(seen) if type(event) is ScalarEvent}
    runs: dict[int, Run] = {}
    for match, own in zip(found, lines, strict=True):
        at = behind.get(match.start() + len(own[0]) - 1, 0)
        ends = (match.start(), own[0]), (match.end() - len(own[-1]), own[-1])
        if at < 1 or not _are_pairs(seen[at - 1 : at + 3], ends):
            return every_event(text)
        runs[at] = _run(own, match, seen[at])
    return _put_together(seen, runs)


def _blanked(text: str, found: Sequence[re.Match[str]], lines: Sequence[Sequence[str]]) -> str:
    """The text with blanks in place of all lines of a run but the first and the last."""
    parts, at = [], 0
    for match, own in zip(found, lines, strict=True):
        start, end = match.start() + len(own[0]), match.end() - len(own[-1])
        ends = len(own) - 2
        parts += [text[at:start], " " * (end - start - ends), "\n" * ends]
        at = end
    return "".join([*parts, text[at:]])


def _are_pairs(seen: Sequence[Any], ends: Sequence[tuple[int, str]]) -> bool:
    """Whether these four events are the plain keys and values of two lines, of which start and text are given."""
    wanted = []
    for start, line in ends:
        key, _, value = line.strip().partition(": ")
        at = start + len(line) - len(line.lstrip(" "))
        wanted += [(key, at), (value, at + len(key) + 2)]
    return len(seen) == len(wanted) and all(map(_is_plain, seen, wanted))


def _is_plain(event: Any, wanted: tuple[str, int]) -> bool:
    if type(event) is not ScalarEvent or event.anchor or event.tag or event.style:
        return False
    text, start = wanted
    return event.value == text and _place(event) == (start, start + len(text))


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def _run(own: Sequence[str], match: re.Match[str], first_value: Any) -> Run:
    pairs = _PARTS.findall("".join(own[1:-1]))
    column = len(match[1])
    return Run(match.start() + len(own[0]) + column, first_value.start_mark.line + 1, column, pairs)


def _put_together(seen: Sequence[Any], runs: dict[int, Run]) -> Iterator[Any]:
    for at, event in enumerate(seen):
        yield event
        if at in runs:
            yield runs[at]
