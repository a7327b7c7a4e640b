"""`.env` texts: `KEY=value` by line, as shells, Docker Compose and the dotenv libraries have them.

Single quotes hold their text as it is; in double quotes a backslash escapes; both may span lines. Without quotes the
value ends at the line's end or at a `#` behind a space. Lines are compared by LF.

Lines that look like a part of a value (base64 of an unquoted PEM) are no keys: a key is shown, and a value never is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import SlipwayError
from engine.manifests.secretfiles import key_problem
from secrets_ui.values.kinds import text_of

_START = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=#'\"]+)[ \t]*=[ \t]*")
_QUOTED = re.compile(rf"{_START.pattern}['\"]")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a", "b": "\b"}
_WRITTEN = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"', "$": "\\$"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_BARE = re.compile(r"(?!=\Z)[A-Za-z0-9_./:@%+,=-]+\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}\Z")
_EXPECTED = "KEY=value is expected here"


@dataclass(frozen=True)
class Pasted:
    """Values read from a text, in order, and what is wrong with it, as line and sentence; none of them quotes a value."""

    values: dict[str, bytes] = field(repr=False)
    problems: tuple[tuple[int, str], ...] = ()


class CannotWrite(SlipwayError):
    """Some values cannot stand in such a file. `keys`: their names."""

    code = "not-editable"

    def __init__(self, message: str, keys: tuple[str, ...]) -> None:
        super().__init__(message, hint="Leave these keys out, or download the Secret file.")
        self.keys = keys


def read_env(text: str) -> Pasted:
    """The values of a `.env` text. Problems are collected; lines that have one are left out."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    values: dict[str, bytes] = {}
    problems: list[tuple[int, str]] = []
    at, counted, line, in_pem = 0, 0, 1, False
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        end = _line_end(text, at)
        bare = text[at:end].strip()
        if not bare or bare.startswith("#"):
            at = end + 1
            continue
        begin = at
        if in_pem and _BASE64.match(bare):
            at, key, value, problem = end + 1, "", "", _EXPECTED
        else:
            at, key, value, problem = _assignment(text, at)
        in_pem = _opens_pem(text[begin:at], in_pem and not key, problem)
        problem = problem or (f"{key} stands twice" if key in values else "")
        if problem:
            problems.append((line, problem))
        else:
            values[key] = value.encode("utf-8", "replace")
    return Pasted(values, tuple(problems))


def _opens_pem(part: str, was_open: bool, problem: str) -> bool:
    """Whether a PEM is still open behind this part of the text. One that stands whole in quotes is not."""
    begins, ends = part.rfind("-----BEGIN "), part.rfind("-----END ")
    if begins <= ends:
        return was_open and ends < 0
    return bool(problem) or _QUOTED.match(part) is None


def _assignment(text: str, at: int) -> tuple[int, str, str, str]:
    """Where to go on, key, value, problem."""
    end = _line_end(text, at)
    start = _START.match(text, at, end)
    if start is None or key_problem(start[1]) or text[start.end() - 1 : end].strip() == "==":
        return end + 1, "", "", _EXPECTED
    key, place = start[1], start.end()
    quote = text[place : place + 1]
    if quote not in ("'", '"') or place >= end:
        return end + 1, key, _COMMENT.sub("", text[place:end]).rstrip(), ""
    found = (_SINGLE if quote == "'" else _DOUBLE).match(text, place)
    if found is None:
        return end + 1, key, "", f"the quote that begins the value of {key} is not closed"
    rest = _REST.match(text, found.end())
    if rest is None:
        return _line_end(text, found.end()) + 1, key, "", f"text stands behind the quoted value of {key}"
    value = found[1] if quote == "'" else _ESCAPE.sub(_unescaped, found[1])
    return max(rest.end(), end + 1), key, value, ""


def _unescaped(found: re.Match[str]) -> str:
    """A known escape; a backslash before anything else that needs none stays, as dotenv libraries have it."""
    escaped = found[1]
    if escaped in _ESCAPES:
        return _ESCAPES[escaped]
    return escaped if escaped in "\\\"'$`\n" else found[0]


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def write_env(values: Mapping[str, bytes]) -> str:
    """A `.env` text from which `read_env` gives the same bytes. Raises CannotWrite, naming the keys."""
    texts = {key: text_of(value) for key, value in values.items()}
    names = tuple(key for key in values if not _NAME.match(key) or key_problem(key))
    if names:
        raise CannotWrite(f"Not the name of a variable: {', '.join(map(one_line, names))}.", names)
    binary = tuple(key for key, text in texts.items() if text is None)
    if binary:
        raise CannotWrite(f"Binary values cannot stand in a .env file: {', '.join(binary)}.", binary)
    return "".join(f"{key}={_quoted(text or '')}\n" for key, text in texts.items())


def one_line(key: str) -> str:
    """A key as it stands in a sentence or comment: a stored one may hold anything, also line ends, which show as escapes."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in key)


def _quoted(text: str) -> str:
    if not text or _BARE.match(text):
        return text
    if not any(mark in text for mark in "'\\\n\r\t"):
        return f"'{text}'"
    return '"' + "".join(_WRITTEN.get(character, character) for character in text) + '"'
