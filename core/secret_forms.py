"""The parts of a secret value that are secret themselves, and the spellings under which programs write a value. Pure.

Everything is bounded: of a value beyond LARGE only pieces are spelled, each of which gives the whole line away.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from core.storable import storable_text

LARGE = 4096  # bytes of a value; its spellings as a whole would take about thirty times that
MOST_PARTS = 20_000  # lines and parts of one value
SHORTEST_LINE = 8
PIECE = 24  # bytes of the pieces of a large value: half a line of wrapped Base64, so that each line holds one
DENSE = 96  # pieces side by side at the beginning of a large value
SPREAD = 32  # pieces over the rest
_DEPTH = 3  # a URL in JSON in a dotenv line

_TOKEN = re.compile(r"[A-Za-z0-9_.~+/-]*={0,2}\Z")
_USER_INFO = re.compile(r"://[^\s:/@]*:(\S+)@[^\s@/]+")
_PAIR = re.compile(r"""(?<![\w.-])([\w.-]++)["']?\s*[=:]\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;&,]+)""")
_LINE = re.compile(r"\s*(?:export\s+|-\s+)?([\w.-]+)\s*[=:]\s*(\S.*)\Z", re.DOTALL)
_TELLING = re.compile(r"pass|pwd|secret|token|key|auth|cred|private|salt|dsn", re.IGNORECASE)
_WORD = re.compile(r"[a-z_-]*|[0-9.]*|[A-Z_-]*|true|false|null", re.IGNORECASE)


def is_token(value: str) -> bool:
    """Whether it is one word, also of Base64, as most values are: it has one line, and no URL, pair or JSON in it, so no part."""
    return bool(_TOKEN.match(value))


def parts_of(value: str, depth: int = _DEPTH) -> Iterator[str]:
    """What inside a value is secret by itself: the password of a URL, leaves of JSON, members of dotenv, YAML and connection
    strings, the pair of a Docker `auth`; and their parts. Ordinary words are left out, because replacing them would garble
    every text and tell the value."""
    for match in islice(_USER_INFO.finditer(value), MOST_PARTS):
        yield match[1]
        yield unquote(match[1], errors="replace")
    for key, part in islice(_members(value), MOST_PARTS):
        if not _is_secret(key, part):
            continue
        yield part
        if depth:
            yield from parts_of(part, depth - 1)


def _is_secret(key: str, part: str) -> bool:
    if _TELLING.search(key):
        return len(part) >= 6
    return len(part) >= 8 and not _WORD.fullmatch(part)


def _members(value: str) -> Iterator[tuple[str, str]]:
    """Pairs of key and text."""
    start = value.lstrip()[:1]
    if start in ("{", "["):
        try:
            yield from _leaves("", json.loads(value))
        except (ValueError, RecursionError):
            pass  # not JSON: read like any other text
        else:
            return
    for line in value.splitlines():
        if whole := _LINE.match(line):
            yield whole[1], _unquoted(whole[2].strip())
        for pair in _PAIR.finditer(line):
            yield pair[1], _unquoted(pair[2])


def _leaves(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(str(name), item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(key, item)
    elif isinstance(value, str):
        yield key, value
        if key == "auth":
            yield from _docker_auth(value)


def _docker_auth(value: str) -> Iterator[tuple[str, str]]:
    try:
        pair = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield "auth", pair
    yield "password", pair.partition(":")[2]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def lines_of(value: str) -> Iterator[str]:
    """The lines of a value that are long enough to tell something."""
    lines = (line.strip() for line in value.splitlines())
    return islice((line for line in lines if len(line) >= SHORTEST_LINE), MOST_PARTS)


def forms_of(value: str | bytes) -> Iterator[str]:
    """The spellings of a whole value: as it is, Base64 (also inside a longer text, and broken into lines), hexadecimal,
    percent, JSON, Go's JSON, HTML and Python's repr."""
    raw = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    for data in dict.fromkeys((raw, raw.strip())):
        yield from _encoded(data)
    try:
        plain = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return
    yield from _escaped(plain.strip())


def pieces_of(value: str | bytes) -> Iterator[str]:
    """Spellings of pieces of a large value: where one of them stands, the value does. Dense at the beginning, where cut texts
    show it, and spread over the rest."""
    raw = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    starts = [*range(0, PIECE * DENSE, PIECE), *range(0, len(raw) - PIECE, len(raw) // SPREAD)]
    for start in sorted(set(starts)):
        piece = raw[start : start + PIECE]
        yield from _encoded(piece, wrapped=False)
        yield from _escaped(piece.decode(errors="ignore"))


def _encoded(data: bytes, *, wrapped: bool = True) -> Iterator[str]:
    """Base64 and hexadecimal."""
    whole = _base64(data).rstrip("=")
    found = [whole, *_inside(data)]
    if wrapped:
        for width in (64, 76):
            found += (
                [whole[at : at + width] for at in range(0, len(whole), width)] if len(whole) > width else []
            )
    for form in found:
        yield form
        if "+" in form or "/" in form:
            yield form.translate(_FOR_ADDRESSES)
    yield data.hex()
    yield data.hex().upper()


_FOR_ADDRESSES = str.maketrans("+/", "-_")


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _inside(data: bytes) -> Iterator[str]:
    """What is left of the value's Base64 when other bytes stand before and behind it: three alignments, without the characters
    that belong to neighbours, too."""
    for before, first in ((0, 0), (1, 2), (2, 3)):
        text = _base64(b"\0" * before + data)
        rest = (before + len(data)) % 3
        yield text[first : len(text) - (0, 3, 2)[rest]]


def _escaped(plain: str) -> Iterator[str]:
    """As programs and protocols write a text. What equals the text itself comes again; the matcher keeps one."""
    yield plain
    if _ONE_SPELLING.match(plain):  # a secrets file holds hundreds of such values
        return
    if is_token(plain):  # these as well: in Base64 three characters are written in another way
        yield from _percent_of_token(plain)
        return
    yield storable_text(plain)
    for form in (quote(plain, safe="", errors="surrogatepass"), quote(plain, errors="surrogatepass"),
                 quote_plus(plain, errors="surrogatepass")):  # fmt: skip
        yield form
        yield _PERCENT.sub(lambda match: match[0].lower(), form)
    if _AS_PRINTED.match(plain):
        return
    for form in (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]):
        yield form
        yield form.translate(_GO)
    for form in (
        html.escape(plain),
        html.escape(plain).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    ):
        yield form
    yield repr(plain)[1:-1]


def _percent_of_token(plain: str) -> Iterator[str]:
    """The same as `quote` and `quote_plus` give, in both cases."""
    for plus, equal, slash in (("%2B", "%3D", "%2F"), ("%2b", "%3d", "%2f")):
        path = plain.replace("+", plus).replace("=", equal)
        yield path
        yield path.replace("/", slash)


_ONE_SPELLING = re.compile(r"[A-Za-z0-9_.~-]*\Z")
_AS_PRINTED = re.compile(r"[ !#-%(-;=?-\[\]-~]*\Z")  # JSON, HTML and repr write these as they are
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_GO = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
