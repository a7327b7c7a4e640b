"""What one click can mend: exact functions from bytes to bytes, by the finding's code."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

# No-break spaces become spaces; what has no width goes.
SPACES = {
    "\u00a0": "no-break space",
    "\u202f": "narrow no-break space",
    "\u2007": "figure space",
    "\u3000": "wide space",
}
HIDDEN = {
    "\u200b": "zero-width space", "\u200c": "zero-width non-joiner", "\u200d": "zero-width joiner",
    "\u2060": "word joiner", "\ufeff": "byte-order mark", "\u00ad": "soft hyphen", "\u180e": "vowel separator",
    "\u200e": "direction mark", "\u200f": "direction mark", "\u202a": "direction mark", "\u202b": "direction mark",
    "\u202c": "direction mark", "\u202d": "direction mark", "\u202e": "direction mark", "\u2066": "direction mark",
    "\u2067": "direction mark", "\u2068": "direction mark", "\u2069": "direction mark",
}  # fmt: skip
_TABLE = str.maketrans({**dict.fromkeys(SPACES, " "), **dict.fromkeys(HIDDEN, "")})


def _text(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda value: change(value.decode()).encode()


def decoded_twice(value: bytes) -> bytes:
    """The bytes behind a value that is itself base64."""
    return base64.b64decode(b"".join(value.split()))


def _unquoted(value: bytes) -> bytes:
    return value.strip()[1:-1]


MENDS: dict[str, Callable[[bytes], bytes]] = {
    "trailing-newline": lambda value: value.rstrip(b"\r\n"),
    "trailing-space": lambda value: value.rstrip(b" \t"),
    "leading-space": lambda value: value.lstrip(b" \t\r\n"),
    # Several CR before one LF: the first pass would leave a CR LF.
    "crlf": lambda value: re.sub(rb"\r+\n", b"\n", value),
    "invisible": _text(lambda text: text.translate(_TABLE)),
    "quotes": _unquoted,
    "double-base64": decoded_twice,
    "escaped-newlines": lambda value: value.replace(b"\\r\\n", b"\n").replace(b"\\n", b"\n"),
    "nul": lambda value: value.rstrip(b"\0"),
}


def mend(code: str, value: bytes) -> bytes:
    """The mended value. Raises KeyError for a code that nothing mends by itself."""
    return MENDS[code](value)
