"""Keeps secret values out of all output: logs, Slack, audit, errors, stored objects.

Code that reads a secret registers it with the current redactor; code that writes text out passes it through
`redact_text`. A redactor belongs to one run, job or request (a context variable), so its values are forgotten with it.
"""

from __future__ import annotations

import binascii
import json
import re
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote, quote_plus

from core.storable import storable_text

MASK = "•••••"
# A value of up to three characters looks like ordinary text ("1", "yes"): replacing it would garble every log, and the
# gaps would reveal the value. Values of four and five characters are replaced where they stand alone.
SHORTEST = 4
STANDS_ALONE = 6
# Texts come here cut by other code: by the engine, by the API server, by the container's runtime. None cuts shorter.
SHORTEST_CUT = 190
MANY_FORMS = 400  # from which cutting the text into pieces takes less time than looking for each form
_END = re.compile(r"[\n\r…]|\Z")


class Redactor:
    """Replaces registered values in text. Threads may share a redactor."""

    def __init__(self) -> None:
        self._values: set[str | bytes] = set()
        self._forms: set[str] = set()
        self._by_beginning: dict[str, list[str]] = {}  # the forms by their first SHORTEST characters
        self._lock = threading.Lock()

    def add(self, values: Iterable[str | bytes]) -> None:
        """Registers values in every form they may appear in (`forms_of`)."""
        new = {_text_of(value) for value in values} - self._values
        forms = {form for value in new for form in forms_of(value) if len(form) >= SHORTEST}
        with self._lock:  # new sets: another thread may be reading the old ones
            for form in forms - self._forms:
                self._by_beginning.setdefault(form[:SHORTEST], []).append(form)
            self._forms = self._forms | forms
            self._values = self._values | new

    def redact(self, text: str) -> str:
        """`text` with each registered value replaced by five dots, also a value of which a cut left only the beginning."""
        # Only those that stand in the text: the pattern of a file with hundreds of keys takes a second to compile.
        found = {form for form in self._near(text) if form in text}
        if found:
            text = _pattern_for(found).sub(MASK, text)
        return without_cut_values(text, self._near(text)) if len(text) >= SHORTEST_CUT else text

    def _near(self, text: str) -> Collection[str]:
        """The forms that may stand in the text. Of many, those whose beginning does: a preview has thousands of lines, and
        looking for each form in each line took seconds."""
        if len(self._forms) < MANY_FORMS:
            return self._forms
        pieces = {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
        return [form for piece in pieces for form in self._by_beginning.get(piece, ())]


def _text_of(value: str | bytes) -> str | bytes:
    """Bytes that are text as that text: both have the same forms."""
    try:
        return value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return value


def forms_of(value: str | bytes) -> list[str]:
    """The spellings under which a value may appear in text. Base64 and URL-safe Base64 come without padding."""
    raw = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    forms = _base64_forms(raw)
    if (bare := raw.strip()) != raw:
        forms += _base64_forms(bare)
    try:
        plain = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return forms
    stripped = plain.strip()
    forms.append(stripped)
    if _SAME_IN_URLS.match(stripped):  # secrets files hold hundreds of such values: the same in all spellings
        return forms
    return forms + (_url_forms(stripped) if _SAME_IN_JSON.match(stripped) else _escaped_forms(stripped))


_SAME_IN_URLS = re.compile(r"[A-Za-z0-9_.~-]*\Z")
_SAME_IN_JSON = re.compile(
    r"[ !#-\[\]-~]*\Z"
)  # printable ASCII without `"` and `\`: in one line, also the same in repr
_ESCAPED_IN_URLS = re.compile(r"[^A-Za-z0-9_.~-]")


def _base64_forms(data: bytes) -> list[str]:
    text = binascii.b2a_base64(data, newline=False).decode().rstrip("=")
    if "+" in text or "/" in text:
        return [text, text.replace("+", "-").replace("/", "_")]
    return [text]


def _url_forms(text: str) -> list[str]:
    """As URLs carry a text of ASCII."""
    quoted = _ESCAPED_IN_URLS.sub(lambda sign: f"%{ord(sign[0]):02X}", text)
    return [quoted, quoted.replace("%20", "+")]


def _escaped_forms(text: str) -> list[str]:
    """As databases, URLs, JSON and programs' logs carry any text, and its longer lines."""
    return [
        storable_text(text),
        quote(text, safe="", errors="surrogatepass"),
        quote_plus(text, errors="surrogatepass"),
        json.dumps(text)[1:-1],  # as programs log it: JSON with and without \\uXXXX, and repr
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        *(line.strip() for line in text.splitlines() if len(line.strip()) >= STANDS_ALONE + 2),
    ]


def without_cut_values(text: str, forms: Collection[str]) -> str:
    """`text` without the beginning of a value at the end of a long line, or before “…”: there the line was cut, so that the
    value as a whole is not found. A rest of fewer than STANDS_ALONE characters stays."""
    if len(text) < SHORTEST_CUT:
        return text
    kept, position, line = [], 0, 0
    for match in _END.finditer(text):
        end = match.start()
        if end - line >= SHORTEST_CUT:
            cut = _cut_value_at(text, position, end, forms)
            kept += [text[position:cut], MASK if cut < end else ""]
            position = end
        if match[0] in ("\n", "\r"):
            line = match.end()
    return "".join([*kept, text[position:]])


def _cut_value_at(text: str, start: int, end: int, forms: Iterable[str]) -> int:
    """The position from which `text` up to `end` is the beginning of one of the values; `end` when it is of none."""
    first = end
    for form in forms:
        at = text.find(form[:STANDS_ALONE], max(start, end - len(form) + 1), end)
        while at != -1 and not form.startswith(text[at:end]):
            at = text.find(form[:STANDS_ALONE], at + 1, end)
        if at != -1 and end - at >= STANDS_ALONE:
            first = min(first, at)
    return first


def _pattern_for(forms: set[str]) -> re.Pattern[str]:
    # Longest first, so that a value that contains another value is replaced as a whole.
    parts = [
        re.escape(form) if len(form) >= STANDS_ALONE else rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"
        for form in sorted(forms, key=len, reverse=True)
    ]
    return re.compile("|".join(parts))


_current: ContextVar[Redactor | None] = ContextVar("redactor", default=None)


def current() -> Redactor | None:
    """The redactor of the current run, job or request, or None."""
    return _current.get()


@contextmanager
def redacting() -> Iterator[Redactor]:
    """Makes a new redactor the current one for the duration of the block."""
    redactor = Redactor()
    token = _current.set(redactor)
    try:
        yield redactor
    finally:
        _current.reset(token)


@contextmanager
def redactor_in_force() -> Iterator[Redactor]:
    """Keeps the current redactor for the block, or makes a new one current when there is none."""
    redactor = _current.get()
    if redactor is not None:
        yield redactor
        return
    with redacting() as fresh:
        yield fresh


def redact_text(text: str) -> str:
    """`text` through the current redactor; unchanged when there is none."""
    redactor = _current.get()
    return redactor.redact(text) if redactor else text


def redact_nested(value: Any) -> Any:
    """`value` (as JSON knows it) with every text inside it through the current redactor."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact_nested(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_nested(item) for item in value]
    return value
