"""The repository's addresses that a body names, looked for in its raw bytes.

They only say whose secret is to be tried. Nothing is parsed before a signature fits: reading 2.5 MB of JSON is much work for a
body of anybody. The time is that of a few searches for fixed bytes, and the number of finds is limited. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from builds.incoming.payloads import ADDRESSES, FORM, JSON, kind_of

MOST_FINDS = 20  # of each name: a delivery about a pull request has three repositories
LONGEST = 1000
_VALUE = re.compile(rb'"\s{0,20}:\s{0,20}"((?:[^"\\\x00-\x1f]|\\/){1,1000})"')


def addresses_in(body: bytes, content_type: str) -> list[str]:
    """The texts that stand behind the names of addresses, whether or not they belong to the repository of the delivery."""
    kind = kind_of(content_type)
    if kind not in (JSON, FORM):
        return []
    return list(dict.fromkeys(found for name in ADDRESSES for found in _values(body, name.encode(), kind)))


def _values(body: bytes, name: bytes, kind: str) -> Iterator[str]:
    is_form = kind == FORM
    mark = b"%22" + name + b"%22" if is_form else b'"' + name + b'"'
    at = body.find(mark)
    for _ in range(MOST_FINDS):
        if at < 0:
            return
        start = at + len(mark) - len(b"%22" if is_form else b'"')
        piece = body[start : start + LONGEST * (3 if is_form else 1) + 100]
        found = _VALUE.match(unquote_to_bytes(piece.replace(b"+", b" ")) if is_form else piece)
        if found:
            yield found[1].replace(b"\\/", b"/").decode("utf-8", "replace")
        at = body.find(mark, at + len(mark))
