"""Random values, from the operating system's generator."""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Callable

MIN_LENGTH, MAX_LENGTH = 8, 1024
_LETTERS = string.ascii_letters + string.digits


def random_value(kind: str, length: int) -> bytes:
    """A fresh value of one of KINDS. `length`: characters (of `bytes`, bytes); a UUID has its own.

    Raises ValueError for an unknown kind or a length outside of 8 to 1024.
    """
    if kind not in KINDS:
        raise ValueError("There is no such kind of random value.")
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise ValueError(f"A random value has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    return KINDS[kind](length)


def _letters(length: int) -> bytes:
    return "".join(secrets.choice(_LETTERS) for _ in range(length)).encode()


def _hex(length: int) -> bytes:
    return secrets.token_hex((length + 1) // 2)[:length].encode()


def _base64(length: int) -> bytes:
    """Whole groups of four, so that the text is base64 without padding; rounded up."""
    return base64.b64encode(secrets.token_bytes((length + 3) // 4 * 3))


def _url_safe(length: int) -> bytes:
    return secrets.token_urlsafe(length)[:length].encode()


def _uuid(_: int) -> bytes:
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)).encode()


KINDS: dict[str, Callable[[int], bytes]] = {
    "letters and digits": _letters,
    "hex": _hex,
    "base64": _base64,
    "URL-safe": _url_safe,
    "UUID": _uuid,
    "bytes": secrets.token_bytes,
}
