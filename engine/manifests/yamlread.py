"""YAML text to plain Python data, as `kubectl` understands it, with lines, limits and no recursion.

Built from libyaml's events rather than by a PyYAML constructor: that keeps the line of every object, refuses duplicate
keys and bombs while reading, and cannot run out of Python's stack. go-yaml (kubectl's parser) is a port of the same
libyaml. Merge keys follow go-yaml: `<<` takes effect where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from engine.manifests.scalars import TAG, Scalar, json_value, key_text, resolve_plain, resolve_tagged
from engine.manifests.yamlevents import Run, events, every_event

MAX_DEPTH = 150  # cert-manager's CRDs, deep ones, nest 40 levels
MAX_NODES = 300_000  # values in a file; cert-manager has 14,000
MAX_ALIAS_NODES = 100_000  # values that aliases may add to a file; a bomb adds millions
MAX_DOCUMENTS = 5_000  # in a file
MAX_CHARACTERS = (
    12_000_000  # of all values with aliases expanded; a deploy sends, compares and keeps them expanded
)
_PER_VALUE = 4  # characters around a value in JSON: quotes, comma, colon
_NO_PLAIN_KEY = "a list or mapping stands where a key is expected; {{ … }} of templates is not filled in here"
_ADVICE = {
    "mapping values are not allowed in this context": "check the indentation, and quote text that contains “: ”",
    "did not find expected key": "check the indentation, and quote text that begins with a special character",
    "found character that cannot start any token": "quote text that begins with %, @ or `",
    "could not find expected ':'": "check the indentation of the lines above",
    "did not find expected '-' indicator": "check the indentation of the list",
}
_MERGE = object()
_NO_KEY = object()


class YamlError(Exception):
    """The text cannot be read. `line` counts from 1; `problem` quotes no value of the text."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"{line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass
class Budget:
    """What may still be read, aliases expanded. Files that are deployed together share one."""

    values: int = MAX_NODES
    characters: int = MAX_CHARACTERS

    @property
    def is_spent(self) -> bool:
        """Whether more was asked for than was left."""
        return self.values < 0 or self.characters < 0

    def take(self, values: int, characters: int, line: int) -> None:
        """Takes so much away. Raises YamlError, before anything is expanded, when that is more than is left."""
        self.values -= values
        self.characters -= characters
        if self.values < 0:
            raise YamlError(
                line, f"more than {MAX_NODES} values, counted over all files with aliases expanded"
            )
        if self.characters < 0:
            most = MAX_CHARACTERS // 1_000_000
            raise YamlError(
                line, f"more than {most} MB of values, counted over all files with aliases expanded"
            )


@dataclass(frozen=True)
class YamlDocument:
    """One document of a stream.

    `marks`: lines, rising, of each string scalar that holds `${`, by its text. `lines`: line of the first key of each mapping, by
    `id()`; the data is kept alive by `value`. `key_lines`: the same per key, filled only when asked for.
    """

    value: Any = field(repr=False)
    line: int
    marks: Mapping[str, Sequence[int]] = field(repr=False)
    lines: dict[int, int]
    key_lines: dict[int, dict[str, int]]


@dataclass
class _Frame:
    """A collection that is being read."""

    value: Any
    line: int
    is_map: bool
    anchor: str | None
    key: Any = _NO_KEY
    nodes: int = 1  # with everything below it, aliases expanded
    size: int = _PER_VALUE  # the same in characters
    merged: set[str] = field(default_factory=set)  # keys that came by `<<` and may be overwritten
    as_text: bool = False  # unquoted scalars in it stay text


def read_yaml(
    text: str,
    *,
    text_under: frozenset[str] = frozenset(),
    with_key_lines: bool = False,
    budget: Budget | None = None,
) -> Iterator[YamlDocument]:
    """Yields the documents of a stream; empty ones have the value None.

    `text_under`: keys whose mappings keep unquoted scalars as the text that was written (the data of Secrets, where
    `1234` and `true` are base64); only what is empty is null there. `budget`: what may be read, shared with other files.
    Raises YamlError.
    """
    builder = _Builder(text_under, with_key_lines, budget or Budget())
    documents = 0
    try:
        for event in events(text) if text_under else every_event(text):
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > MAX_DOCUMENTS:
                    raise YamlError(_line_of(event), f"more than {MAX_DOCUMENTS} documents in one file")
                builder.start()
            elif isinstance(event, DocumentEndEvent):
                yield builder.finish()
            elif isinstance(event, Run):
                builder.take_run(event)
            else:
                builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, min(error.position, len(text))) + 1
        raise YamlError(line, "a control character that YAML does not allow") from None


class _Builder:
    """Puts events together. A stack of open collections stands in for recursion."""

    def __init__(self, text_under: frozenset[str], with_key_lines: bool, budget: Budget) -> None:
        self._text_under = text_under
        self._with_key_lines = with_key_lines
        self._budget = budget
        self._alias_nodes = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: lambda event: self._open({}, event, is_map=True),
            SequenceStartEvent: lambda event: self._open([], event, is_map=False),
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
        }

    def start(self) -> None:
        """Begins a document; anchors do not reach across documents."""
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}
        self._marks: dict[str, list[int]] = {}
        self._lines: dict[int, int] = {}
        self._key_lines: dict[int, dict[str, int]] = {}
        self._root: Any = None
        self._root_line = 0

    def take(self, event: Any) -> None:
        """Handles an event between the start and the end of a document."""
        self._budget.take(1, _PER_VALUE, _line_of(event))
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def take_run(self, run: Run) -> None:
        """Handles pairs of the mapping that is open: at once where nothing can be wrong with one of them."""
        frame, budget, pairs = self._stack[-1], self._budget, dict(run.pairs)
        values, characters = 2 * len(run.pairs), sum(len(key) + len(value) for key, value in run.pairs)
        size = characters + values * _PER_VALUE
        is_plain = frame.as_text and not self._with_key_lines and not frame.merged
        is_new = len(pairs) == len(run.pairs) and frame.value.keys().isdisjoint(pairs)
        if is_plain and is_new and values < budget.values and size < budget.characters:
            budget.take(values, size, run.line)
            frame.value.update(pairs)
            frame.nodes += values
            frame.size += size
        else:
            for event in run.events():
                self.take(event)

    def finish(self) -> YamlDocument:
        """The document that has just ended."""
        return YamlDocument(self._root, self._root_line, self._marks, self._lines, self._key_lines)

    def _scalar(self, event: ScalarEvent) -> None:
        text: str = event.value
        line = _line_of(event)
        stack = self._stack
        is_key = bool(stack) and stack[-1].is_map and stack[-1].key is _NO_KEY
        if event.tag is not None:
            value: Any = _tagged(text, event.tag, line)
        elif not event.implicit[0] or (stack and stack[-1].as_text and text):
            value = text
        else:
            value = resolve_plain(text)
        if is_key:
            merge = text == "<<" and (event.implicit[0] or event.tag == TAG + "merge")
            value = _MERGE if merge else self._key(value, line)
        else:
            value = _finite(json_value(value), line)
        if "${" in text:
            self._marks.setdefault(text, []).append(line)
        size = len(text) + _PER_VALUE
        self._budget.take(0, len(text), line)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, size)
        self._put(value, 1, size, line)

    def _key(self, value: Scalar, line: int) -> str:
        key = key_text(value)
        if key is None:
            raise YamlError(line, "a key is empty or null; a key must be a string")
        return key

    def _open(self, value: Any, event: Any, *, is_map: bool) -> None:
        line = _line_of(event)
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(line, f"nested more than {MAX_DEPTH} levels deep")
        if self._stack and self._stack[-1].is_map and self._stack[-1].key is _NO_KEY:
            raise YamlError(line, _NO_PLAIN_KEY)
        if event.anchor:
            self._anchors[event.anchor] = None
        as_text = bool(self._stack) and self._stack[-1].key in self._text_under
        self._stack.append(_Frame(value, line, is_map, event.anchor, as_text=as_text))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, frame.nodes, frame.size)
        if frame.is_map:
            self._lines[id(frame.value)] = frame.line
        self._put(frame.value, frame.nodes, frame.size, frame.line)

    def _alias(self, event: AliasEvent) -> None:
        line = _line_of(event)
        if event.anchor not in self._anchors:
            raise YamlError(line, "an alias (*name) names an anchor that is not defined above it")
        known = self._anchors[event.anchor]
        if known is None:
            raise YamlError(line, "an anchor contains itself")
        value, nodes, size = known
        self._budget.take(0, size, line)
        self._alias_nodes += nodes
        if self._alias_nodes > MAX_ALIAS_NODES:
            raise YamlError(line, f"aliases expand to more than {MAX_ALIAS_NODES} values")
        if self._stack and self._stack[-1].is_map and self._stack[-1].key is _NO_KEY:
            if not isinstance(value, Scalar):
                raise YamlError(line, _NO_PLAIN_KEY)
            value = self._key(value, line)
        self._put(value, nodes, size, line)

    def _put(self, value: Any, nodes: int, size: int, line: int) -> None:
        """Hands a finished value (or key) to the collection around it."""
        if not self._stack:
            self._root, self._root_line = value, line
            return
        frame = self._stack[-1]
        frame.nodes += nodes
        frame.size += size
        if not frame.is_map:
            frame.value.append(value)
        elif frame.key is _NO_KEY:
            self._start_pair(frame, value, line)
        elif frame.key is _MERGE:
            _merge(frame, value, line)
            frame.key = _NO_KEY
        else:
            frame.value[frame.key] = value
            frame.key = _NO_KEY

    def _start_pair(self, frame: _Frame, key: Any, line: int) -> None:
        if key is not _MERGE and key in frame.value:
            if key not in frame.merged:
                raise YamlError(line, f"the key {_shown(key)} stands twice in one mapping")
            frame.merged.discard(key)
        if self._with_key_lines:
            self._key_lines.setdefault(id(frame.value), {})[key] = line
        frame.key = key


def _line_of(event: Any) -> int:
    """The line of an event, from 1."""
    return int(event.start_mark.line) + 1


def _merge(frame: _Frame, value: Any, line: int) -> None:
    """`<<: *base`, or a list of such of which the first wins; later keys overwrite it, earlier ones it overwrites."""
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise YamlError(line, "a merge key (<<) needs a mapping, or a list of mappings")
    for source in reversed(sources):
        frame.value.update(source)
        frame.merged.update(source)


def _tagged(text: str, tag: str, line: int) -> Scalar:
    try:
        return resolve_tagged(text, tag)
    except ValueError as error:
        raise YamlError(line, str(error)) from None


def _finite(value: Scalar, line: int) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise YamlError(line, "infinity and not-a-number do not exist in JSON; quote it if text is meant")
    return value


def _shown(key: str) -> str:
    return f"“{key}”" if len(key) <= 100 else f"“{key[:100]}…”"


def _explained(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    """libyaml's complaint with its line; tabs, the most common cause, in plain words."""
    mark = error.problem_mark or error.context_mark
    lines = text.rstrip().split("\n")
    # For a text that never ends, libyaml names the line after the last.
    number = min(mark.line if mark else 0, len(lines) - 1)
    line = lines[number]
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return YamlError(number + 1, "a tab in the indentation; YAML allows only spaces there")
    problem = str(error.problem or error.context or "not valid YAML")
    advice = _ADVICE.get(problem)
    return YamlError(number + 1, f"{problem} ({advice})" if advice else problem)
