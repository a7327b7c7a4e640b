"""The little of protobuf's wire format that BuildKit's progress and sessions need.

Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field, in order. Raises ValueError for bytes that are no message."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key & 7 == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        length, position = _length(message, position, key & 7)
        if position + length > len(message):
            raise ValueError("a message that was cut off")
        yield key >> 3, message[position : position + length]
        position += length


def _length(message: bytes, position: int, kind: int) -> tuple[int, int]:
    if kind == _BYTES:
        return _varint(message, position)
    if kind in (_EIGHT, _FOUR):
        return (8 if kind == _EIGHT else 4), position
    raise ValueError("a field of an unknown kind")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise ValueError("a number that was cut off")


def text(message: bytes, number: int) -> str:
    """The first field of that number as text; empty without one."""
    for found, value in fields(message):
        if found == number and isinstance(value, bytes):
            return value.decode(errors="replace")
    return ""


def encoded(number: int, value: bytes) -> bytes:
    """One field of bytes or text."""
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(value)) + value


def encoded_number(number: int, value: int) -> bytes:
    """One field with a number."""
    return _as_varint(number << 3 | _VARINT) + _as_varint(value)


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
