"""YAML text to a tree of nodes, from libyaml's events: their marks count characters, without a byte-order mark."""

from __future__ import annotations

from collections.abc import Iterator
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
    StreamStartEvent,
)

from engine.manifests.yamlevents import Run, events
from engine.manifests.yamlread import YamlError
from secrets_ui.files.nodes import ALIAS, LIST, MAPPING, MAX_DEPTH, SCALAR, Node, Root, Tree


def yaml_tree(text: str) -> Tree:
    """The tree of a text without byte-order mark. Raises YamlError, which quotes no value."""
    try:
        return Tree(tuple(_roots(events(text))), json=False)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise YamlError(line, "half of a surrogate pair, which is no text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, str(error.problem or "not valid YAML")) from None
    except yaml.reader.ReaderError:
        raise YamlError(1, "a control character that YAML does not allow") from None


def _roots(events: Iterator[Any]) -> Iterator[Root]:
    is_first = True
    for event in events:
        if isinstance(event, DocumentStartEvent):
            document = _Document(events)
            node = document.node(next(events), 0)
            yield Root(node, frozenset(document.aliased), _start(event, is_first=is_first))
            is_first = False
        elif not isinstance(event, StreamStartEvent | DocumentEndEvent):
            return


def _start(event: Any, *, is_first: bool) -> int:
    """Where a document begins; what stands before a first one without `---` can only be its own comments."""
    start: int = event.start_mark.index
    return 0 if is_first and not event.explicit else start


class _Document:
    """Puts the events of one document together. Recursion is safe: the depth is limited."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        self.aliased: set[str] = set()

    def node(self, event: Any, depth: int) -> Node:
        """The node that begins with this event."""
        if depth > MAX_DEPTH:
            raise YamlError(event.start_mark.line + 1, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, AliasEvent):
            return self._alias(event)
        made = self._scalar(event) if isinstance(event, ScalarEvent) else self._collection(event, depth)
        if made.anchor:
            self._anchors[made.anchor] = made
        return made

    def _alias(self, event: Any) -> Node:
        self.aliased.add(event.anchor)
        target = self._anchors.get(event.anchor)
        if target is None:
            problem = "an alias (*name) names an anchor that is not defined above it"
            raise YamlError(event.start_mark.line + 1, problem)
        return Node(ALIAS, *_place(event, event), value=event.anchor, target=target)

    def _scalar(self, event: ScalarEvent) -> Node:
        return Node(
            SCALAR,
            *_place(event, event),
            event.value,
            event.style or "",
            event.tag or "",
            event.anchor or "",
        )

    def _collection(self, event: Any, depth: int) -> Node:
        is_map = isinstance(event, MappingStartEvent)
        parts: list[Node] = []
        while not isinstance(last := next(self._events), MappingEndEvent | SequenceEndEvent):
            if isinstance(last, Run):
                parts += _nodes(last)
            else:
                parts.append(self.node(last, depth + 1))
        assert isinstance(event, MappingStartEvent | SequenceStartEvent)  # noqa: S101 (libyaml's grammar)
        return Node(
            MAPPING if is_map else LIST,
            *_place(event, last),
            tag=event.tag or "",
            anchor=event.anchor or "",
            flow=bool(event.flow_style),
            pairs=tuple(zip(parts[::2], parts[1::2], strict=True)) if is_map else (),
            items=() if is_map else tuple(parts),
        )


def _nodes(run: Run) -> Iterator[Node]:
    for line, ((key, value), (start, behind)) in enumerate(
        zip(run.pairs, run.starts(), strict=True), run.line + 1
    ):
        yield Node(SCALAR, start, start + len(key), line, key)
        yield Node(SCALAR, behind, behind + len(value), line, value)


def _place(first: Any, last: Any) -> tuple[int, int, int]:
    return first.start_mark.index, last.end_mark.index, first.start_mark.line + 1
