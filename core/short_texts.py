"""Whether a short text can hold a value in any of its spellings, told without making these. Pure.

A text is decoded once in every way that values are encoded, and plain pieces of each value are looked for in the results. The
argument that no value is missed (`tests/core/test_short_texts.py` compares both ways):

- A text of fewer than SHORTEST_CUT characters is compared with whole forms, and with windows (64 characters) of long ones; the
  matcher looks for cut forms in longer texts only.
- Only values of one token are judged (`_TOKEN`), alone or behind a name and a colon. core/secret_forms.py takes no part out of
  a token, and out of such a pair its token. They are ASCII and hold nothing that JSON, HTML or Python would escape: their
  forms are Base64, hexadecimal, percent and the value itself.
- A whole form, and a line of wrapped Base64, spells the value except for one byte at each side. A window spells 20
  neighbouring bytes at least (percent takes three characters for each). Without two bytes at each side that leaves 15 or more,
  and among 15 neighbouring bytes there is a whole block of 8.
- The last line of wrapped Base64 may be short. It is looked for as it is.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote, unquote_plus

from core.matcher import SHORTEST_CUT

_TOKEN = re.compile(r"(?:[A-Za-z0-9_.-]+: )?([A-Za-z0-9_.~+/-]{8,4000}={0,2})\Z")
_EDGE = 2  # bytes at each side that an encoding may share with its neighbours
_BLOCK = 8
_WHOLE = 20  # bytes of which no spelling has more characters than a window
_WIDTHS = (64, 76)  # of wrapped Base64
_TO_BASE64 = str.maketrans("-_", "+/")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_NOT_HEX = re.compile(r"[^0-9A-Fa-f]")


def is_short(text: str) -> bool:
    """Whether `readings` tells all of this text."""
    return len(text) < SHORTEST_CUT


def clues(value: str | bytes) -> list[str] | None:
    """Texts one of which stands in the readings of every short text that holds the value. None: this value is not judged."""
    found = _TOKEN.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    pieces = _pieces(found[1])
    return pieces if len(found[1]) == len(value) else [*pieces, *_pieces(found[0])]


def _pieces(value: str) -> list[str]:
    core = value[_EDGE:-_EDGE]
    if len(value) <= _WHOLE:
        return [core]
    pieces = [core[at : at + _BLOCK] for at in range(0, len(core) - _BLOCK + 1, _BLOCK)]
    return [*pieces, *_last_lines(value)] if len(value) > 48 else pieces


def _last_lines(value: str) -> list[str]:
    """Of the value's Base64 as it is wrapped."""
    whole = base64.b64encode(value.encode()).decode().rstrip("=")
    ends = [whole[len(whole) - len(whole) % width :] for width in _WIDTHS]
    return [end for end in ends if len(end) >= 4]


def readings(text: str) -> str:
    """The text as it is and decoded in every way, one behind the other."""
    plain = text.translate(_TO_BASE64)
    decoded = [*_as_base64(plain), *_as_hex(text)]
    return "\n".join((text, plain, unquote(text, "latin-1"), unquote_plus(text, "latin-1"), *decoded))


def _as_base64(text: str) -> list[str]:
    """At each of the four places where a group of four may begin."""
    padded = f"AAA{_NOT_BASE64.sub('A', text)}AAA"
    starts = [padded[at:] for at in range(4)]
    return [base64.b64decode(one[: len(one) // 4 * 4]).decode("latin-1") for one in starts]


def _as_hex(text: str) -> list[str]:
    digits = _NOT_HEX.sub("0", text)
    starts = [digits[at:] for at in range(2)]
    return [bytes.fromhex(one[: len(one) // 2 * 2]).decode("latin-1") for one in starts]
