"""What a secrets file holds, for the person who edits it: Secrets, keys, values, and where each may be changed.

A file is either a Kubernetes Secret file (one or more documents) or a flat JSON object of strings. Opening is lenient
where reading for a deploy is strict, so that a broken value can be seen and repaired.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from engine.errors import ManifestError
from engine.manifests.secretfiles import FILE, FLAT, strict_base64
from engine.manifests.yamlread import YamlError
from secrets_ui.files.json_nodes import json_tree
from secrets_ui.files.nodes import ALIAS, MAPPING, SCALAR, Node, Root, Tree, colon_end
from secrets_ui.files.walk import Found, members, secrets_of, text_of
from secrets_ui.files.yaml_nodes import yaml_tree

DATA, STRING_DATA, WHOLE = "data", "stringData", "object"
MOST_LINES = 5  # that a sentence names
_FORMS = {"": "plain", "'": "single-quoted", '"': "double-quoted", "|": "literal block", ">": "folded block"}


@dataclass(frozen=True, init=False)
class Entry:
    """One key of a Secret.

    `part`: `data` (base64 there), `stringData`, or `object` for a flat JSON object. `raw`: as it stands in the file.
    `value`: the bytes meant; None when they cannot be read, and then `mistake` says why. `locked`: why the key
    cannot be edited in place, with its line; empty when it can.
    """

    key: str
    part: str
    line: int
    form: str
    raw: str = field(repr=False)
    value: bytes | None = field(repr=False)
    mistake: str
    locked: str
    pair: tuple[Node, Node] = field(repr=False)
    holder: Node = field(repr=False)  # the mapping that it stands in

    def __init__(
        self, key: str, part: str, line: int, form: str, raw: str, value: bytes | None, mistake: str, locked: str,
        pair: tuple[Node, Node], holder: Node,
    ) -> None:  # fmt: skip
        # See `Node`.
        self.__dict__.update(
            key=key, part=part, line=line, form=form, raw=raw, value=value, mistake=mistake, locked=locked,
            pair=pair, holder=holder,
        )  # fmt: skip

    @property
    def editable(self) -> bool:
        """It can be changed, renamed and removed."""
        return not self.locked


@dataclass(frozen=True)
class Secret:
    """One Secret of the file, by its `index`. `closed`: why no key can be added; a flat object has no name."""

    index: int
    name: str
    namespace: str
    type: str
    line: int
    entries: tuple[Entry, ...]
    closed: str
    node: Node = field(repr=False)

    def entry(self, key: str) -> Entry | None:
        """The key's entry; of several the one that counts."""
        return self._by_key.get(key)

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in self.entries}

    def values(self) -> dict[str, bytes]:
        """Every value that can be read, by key."""
        return {e.key: e.value for e in self.entries if e.value is not None}


@dataclass(frozen=True)
class SecretsText:
    """An opened file. `text` is the stored text, byte-order mark included; `form`: `file` or `flat`."""

    text: str = field(repr=False)
    form: str
    secrets: tuple[Secret, ...]
    tree: Tree = field(repr=False)

    @property
    def body(self) -> str:
        """The text without byte-order mark: what the nodes' places count in."""
        return self.text.removeprefix("\ufeff")

    @property
    def mark(self) -> str:
        """The byte-order mark, if there is one."""
        return self.text[: len(self.text) - len(self.body)]

    def find(self, name: str, namespace: str = "") -> Secret | None:
        """The Secret of that name; a namespace is compared when given."""
        fitting = (s for s in self.secrets if s.name == name and namespace in ("", s.namespace))
        return next(fitting, None)


def open_text(text: str) -> SecretsText:
    """The file as it can be edited. Raises ManifestError when it is neither YAML nor JSON, or holds no Secret."""
    tree = _tree(text.removeprefix("\ufeff"))
    body = text.removeprefix("\ufeff")
    if tree.json and (flat := _flat(body, tree)) is not None:
        return SecretsText(text, FLAT, (flat,), tree)
    secrets = tuple(_secret(index, body, found) for index, found in enumerate(secrets_of(tree, body)))
    if not secrets:
        raise ManifestError("The file holds no Secret.", hint=_HINT)
    return SecretsText(text, FILE, secrets, tree)


_HINT = (
    "A secrets file is one or more Kubernetes Secrets, or one JSON object of strings. Replace it as a whole."
)


def _tree(body: str) -> Tree:
    found = json_tree(body) if body.lstrip().startswith("{") else None
    if found is not None:
        return found
    try:
        return yaml_tree(body)
    except YamlError as error:
        raise ManifestError(f"Line {error.line}: {error.problem}.", hint=_HINT) from None


def is_flat(tree: Tree) -> bool:
    """A JSON object that is no Kubernetes object: the same rule as the engine's reader."""
    if len(tree.roots) != 1 or tree.roots[0].node.kind != MAPPING:
        return False
    keys = {key.value: value for key, value in tree.roots[0].node.pairs}
    parts = (keys.get(name) for name in ("metadata", DATA, STRING_DATA))
    return not (
        {"apiVersion", "kind"} <= keys.keys() or any(p is not None and p.kind == MAPPING for p in parts)
    )


def _flat(body: str, tree: Tree) -> Secret | None:
    if not is_flat(tree):
        return None
    node = tree.roots[0].node
    entries = tuple(_entry(body, pair, WHOLE, "", (tree.roots[0], node)) for pair in node.pairs)
    return Secret(0, "", "", "", node.line, _without_twins(entries), "", node)


def _secret(index: int, body: str, found: Found) -> Secret:
    entries: list[Entry] = []
    closed = found.locked
    for part in (DATA, STRING_DATA):
        for member in members(found, part):
            closed = closed or (member.locked if part == DATA else "")
            entries += [
                _entry(body, pair, part, member.locked or locked, (found.root, member.node))
                for pair, locked in member.pairs
            ]
    metadata = found.child("metadata")
    return Secret(
        index=index,
        name=text_of(metadata, "name"),
        namespace=text_of(metadata, "namespace"),
        type=text_of(found.node, "type"),
        line=found.node.line,
        entries=_without_twins(tuple(entries)),
        closed=closed,
        node=found.node,
    )


def _without_twins(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Locks keys that stand more than once: in one mapping, or in `data` and `stringData`."""
    places: dict[str, list[Entry]] = {}
    for entry in entries:
        places.setdefault(entry.key, []).append(entry)
    reasons = {key: _twice(twins) for key, twins in places.items() if len(twins) > 1}
    return tuple(
        replace(entry, locked=entry.locked or reasons[entry.key]) if entry.key in reasons else entry
        for entry in entries
    )


def _twice(entries: list[Entry]) -> str:
    shown = [str(entry.line) for entry in entries[:MOST_LINES]]
    lines = " and ".join([*shown, *(["others"] if len(entries) > MOST_LINES else [])])
    return f"it stands more than once, in lines {lines}; take all but one out of the file as text"


def _entry(body: str, pair: tuple[Node, Node], part: str, locked: str, where: tuple[Root, Node]) -> Entry:
    key, value = pair
    shown = value.target or value if value.kind == ALIAS else value
    raw = shown.value if shown.kind == SCALAR else ""
    decoded, mistake = _decoded(shown, part)
    return Entry(
        key=key.value,
        part=part,
        line=key.line,
        form="alias" if value.kind == ALIAS else "blank" if value.is_blank else _form(shown),
        raw="" if shown.is_blank else raw,
        value=decoded,
        mistake=mistake,
        locked=_at(value.line, locked or _lock(body, pair, where[0])),
        pair=pair,
        holder=where[1],
    )


def _form(node: Node) -> str:
    return _FORMS[node.style] if node.kind == SCALAR else node.kind


def _at(line: int, reason: str) -> str:
    return f"line {line}: {reason}" if reason else ""


def _decoded(node: Node, part: str) -> tuple[bytes | None, str]:
    if node.kind != SCALAR:
        return None, f"must be text, found a {node.kind}"
    if part == DATA:
        value = strict_base64(node.value)
        return value, "" if value is not None else "is not valid base64"
    if part == WHOLE and node.style != '"':
        return (b"", "") if node.value == "null" else (None, "must be text; write the value in quotes")
    try:
        return node.value.encode(), ""
    except UnicodeEncodeError:
        return None, "holds half of a surrogate pair, which is no text"


def _lock(body: str, pair: tuple[Node, Node], root: Root) -> str:
    """Why this pair by itself cannot be changed in place."""
    key, value = pair
    if value.kind == ALIAS:
        return f"its value comes by an alias (*{value.value})"
    if value.kind != SCALAR:
        return f"its value is a {value.kind}, not text"
    if value.tag or key.tag:
        return "it carries a tag (!…)"
    if key.anchor or key.kind != SCALAR or key.is_block or (value.anchor and value.is_block):
        return "its key is written in a form that cannot be edited here"
    if value.anchor and (value.anchor in root.aliased or not value.value):
        return f"an alias elsewhere repeats its value (&{value.anchor})"
    if not colon_end(body, key) or "\n" in body[key.start : key.end]:
        return "its key is written in a form that cannot be edited here"
    return ""
