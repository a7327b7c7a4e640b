"""Finds the Secrets of a tree, and the mappings that hold their values, with whatever stands in the way of editing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from secrets_ui.files.nodes import ALIAS, LIST, MAPPING, SCALAR, Node, Root, Tree, end_of

Pair = tuple[Node, Node]
_COMMENT = re.compile(r"#[^\r\n]*")
_COMPLEX = "its key is written with “?”"
_MERGED = "it comes by a merge key (<<)"


@dataclass(frozen=True)
class Found:
    """A Secret's mapping. `locked`: why nothing in it can be edited."""

    node: Node
    root: Root
    locked: str
    text: str = field(repr=False)

    def child(self, name: str) -> Node | None:
        """The value under a key of the Secret, aliases followed."""
        return _resolved(next((v for k, v in reversed(self.node.pairs) if k.value == name), None))


@dataclass(frozen=True)
class Member:
    """`data` or `stringData` of a Secret: pairs, each with why it is locked."""

    node: Node
    pairs: tuple[tuple[Pair, str], ...]
    locked: str


def secrets_of(tree: Tree, text: str) -> Iterator[Found]:
    """The Secrets of all documents, items of lists included, in the order of the file."""
    for root in tree.roots:
        for node, locked in _secrets(root.node, root, "", ""):
            yield Found(node, root, locked, text)


def _secrets(node: Node, root: Root, kind: str, locked: str) -> Iterator[tuple[Node, str]]:
    locked = locked or _anchored(node, root)
    if node.kind == ALIAS:
        node, locked = node.target or node, "the Secret comes by an alias"
    if node.kind != MAPPING:
        return
    own_kind = text_of(node, "kind") or kind
    items = _resolved(_value(node, "items"))
    if own_kind.endswith("List") and items is not None and items.kind == LIST:
        locked = locked or _anchored(items, root)
        for item in items.items:
            yield from _secrets(item, root, own_kind.removesuffix("List"), locked)
    elif own_kind == "Secret" and "/" not in text_of(node, "apiVersion"):
        yield node, locked


def members(found: Found, part: str) -> Iterator[Member]:
    """The mappings of that name; more than one when the key stands twice, or by a merge key."""
    own = [value for key, value in found.node.pairs if key.value == part and key.kind == SCALAR]
    for value in own:
        locked = f"{part} stands more than once in the Secret" if len(own) > 1 else found.locked
        yield _member(value, found, locked)
    if not own:
        for source in _merged(found.node):
            value_there = _value(source, part)
            if value_there is not None:
                yield _member(value_there, found, _MERGED)


def _member(value: Node, found: Found, locked: str) -> Member:
    locked = locked or _anchored(value, found.root)
    if value.kind == ALIAS:
        value, locked = value.target or value, locked or f"the values come by an alias (*{value.value})"
    if value.tag:
        locked = locked or "the values carry a tag (!…)"
    if value.kind != MAPPING and not value.is_null:
        locked = locked or "the values are no mapping"
    pairs = [(pair, why) for pair, why in _own_pairs(value, found.text) if not is_merge(pair[0])]
    known = {key.value for (key, _), _ in pairs}
    for source in _merged(value):
        fresh = [pair for pair in source.pairs if pair[0].value not in known and not is_merge(pair[0])]
        pairs += [(pair, _MERGED) for pair in fresh]
        known |= {key.value for key, _ in fresh}
    return Member(value, tuple(pairs), locked)


def _own_pairs(value: Node, text: str) -> Iterator[tuple[Pair, str]]:
    """Each pair; one whose key stands behind a `?` is locked."""
    before = value.start
    for pair in value.pairs:
        between = text[before : pair[0].start]
        yield pair, _COMPLEX if "?" in between and "?" in _COMMENT.sub("", between) else ""
        before = end_of(text, pair)


def is_merge(key: Node) -> bool:
    """The key `<<`, not quoted."""
    return key.value == "<<" and key.kind == SCALAR and not key.style


def _merged(node: Node, seen: frozenset[int] = frozenset()) -> Iterator[Node]:
    """The mappings that merge keys bring, nested ones too."""
    if id(node) in seen or len(seen) > 20:
        return
    for key, value in node.pairs:
        if is_merge(key):
            target = _resolved(value)
            for source in target.items if target is not None and target.kind == LIST else [target]:
                source = _resolved(source)
                if source is not None and source.kind == MAPPING:
                    yield source
                    yield from _merged(source, seen | {id(node)})


def _anchored(node: Node, root: Root) -> str:
    return f"an alias elsewhere repeats it (&{node.anchor})" if node.anchor in root.aliased else ""


def _value(node: Node | None, name: str) -> Node | None:
    return next((v for k, v in reversed(node.pairs) if k.value == name), None) if node else None


def _resolved(node: Node | None) -> Node | None:
    return node.target if node is not None and node.kind == ALIAS else node


def text_of(node: Node | None, name: str) -> str:
    """The text of a scalar under a key, aliases followed; empty when there is none."""
    found = _resolved(_value(_resolved(node), name))
    return found.value if found is not None and found.kind == SCALAR else ""
