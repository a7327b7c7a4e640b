"""New keys: behind the last one of their mapping, or in a mapping that is empty or missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from secrets_ui.files.model import DATA, STRING_DATA, WHOLE, Secret
from secrets_ui.files.nodes import MAPPING, SCALAR, Node, colon_end, end_of, line_end, line_start
from secrets_ui.files.splices import (
    CannotSplice,
    Splice,
    insert_in_flow,
    insert_lines,
    scalar_for,
)
from secrets_ui.files.writing import text_scalar


def part_for(secret: Secret, value: bytes, *, flat: bool) -> str:
    """Where a new key goes: `data`, unless the Secret keeps all its values in `stringData` and this one is text."""
    if flat:
        return WHOLE
    parts = {entry.part for entry in secret.entries}
    return STRING_DATA if parts == {STRING_DATA} and _is_text(value) else DATA


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


def add_keys(
    text: str, secret: Secret, part: str, values: Mapping[str, bytes], *, json: bool
) -> Iterator[Splice]:
    """The splices that add these keys to one part. Raises CannotSplice."""
    if part == WHOLE:
        yield from insert_in_flow(text, secret.node, _rendered(secret.node, part, values, json=json))
        return
    own = next((pair for pair in secret.node.pairs if pair[0].value == part), None)
    if own is None:
        yield from _missing(text, secret, part, values, json=json)
    elif own[1].kind == MAPPING and (own[1].pairs or own[1].flow):
        yield from _into(text, secret, own, part, values, json=json)
    elif own[1].is_null:
        yield from _blank(text, secret, own, part, values, json=json)
    else:
        raise CannotSplice(f"{part} is written in a form to which no key can be added")


def _into(
    text: str, secret: Secret, own: tuple[Node, Node], part: str, values: Mapping[str, bytes], *, json: bool
) -> Iterator[Splice]:
    node = own[1]
    rendered = _rendered(node, part, values, json=json)
    if not node.flow:
        indent = " " * _column(text, node.pairs[0][0])
        yield insert_lines(text, end_of(text, node.pairs[-1]), [indent + pair for pair in rendered])
    elif not node.pairs and not secret.node.flow and _on_its_line(text, own):
        yield from _blank(text, secret, own, part, values, json=json)
    else:
        yield from insert_in_flow(text, node, rendered)


def _blank(
    text: str, secret: Secret, own: tuple[Node, Node], part: str, values: Mapping[str, bytes], *, json: bool
) -> Iterator[Splice]:
    """`data:`, `data: {}` or `data: null`: what stands there goes, and the keys come as lines below."""
    key, node = own
    rendered = _rendered(node, part, values, json=json)
    colon = colon_end(text, key)
    if not colon or node.anchor:
        raise CannotSplice(f"{part} is written in a form to which no key can be added")
    if secret.node.flow:
        yield Splice(
            colon, max(colon, node.end if not node.is_blank else colon), f" {{{', '.join(rendered)}}}"
        )
        return
    end = colon if node.is_blank else node.end
    indent = " " * (_column(text, key) + _step(text, secret))
    yield Splice(colon, end)
    yield insert_lines(text, end, [indent + pair for pair in rendered])


def _missing(
    text: str, secret: Secret, part: str, values: Mapping[str, bytes], *, json: bool
) -> Iterator[Splice]:
    """No such mapping yet: it comes behind the Secret's last line."""
    rendered = _rendered(secret.node, part, values, json=json)
    if secret.node.flow:
        quote = '"' if json or secret.node.pairs[-1][0].style == '"' else ""
        pair = f"{quote}{part}{quote}: {{{', '.join(rendered)}}}"
        yield from insert_in_flow(text, secret.node, [pair])
        return
    outer = " " * _column(text, secret.node.pairs[0][0])
    inner = outer + " " * _step(text, secret)
    lines = [f"{outer}{part}:", *(inner + pair for pair in rendered)]
    yield insert_lines(text, end_of(text, secret.node.pairs[-1]), lines)


def _rendered(node: Node, part: str, values: Mapping[str, bytes], *, json: bool) -> list[str]:
    """`key: value` for each, quoted as the mapping's last pair is."""
    last = node.pairs[-1] if node.kind == MAPPING and node.pairs else None
    key_style = '"' if json else last[0].style if last else ""
    style = last[1].style if last and last[1].kind == SCALAR and last[1].style in ("'", '"') else ""
    return [
        f"{text_scalar(key, key_style)}: {scalar_for(value, part, style, json=json)}"
        for key, value in values.items()
    ]


def _on_its_line(text: str, own: tuple[Node, Node]) -> bool:
    return line_end(text, own[0].end) == line_end(text, own[1].end)


def _column(text: str, key: Node) -> int:
    return key.start - line_start(text, key.start)


def _step(text: str, secret: Secret) -> int:
    """By how much the file indents: as its metadata shows, else two."""
    for key, value in secret.node.pairs:
        if value.kind == MAPPING and value.pairs and not value.flow:
            return max(1, _column(text, value.pairs[0][0]) - _column(text, key))
    return 2
