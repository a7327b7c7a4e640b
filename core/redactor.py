"""Keeps secret values out of all output: logs, Slack, audit, errors, stored objects.

Code that reads a secret registers it with the current redactor; code that writes text out passes it through
`redact_text`. A redactor belongs to one run, job or request (a context variable), so its values are forgotten with it.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••••"
# A value of up to three characters looks like ordinary text ("1", "yes"): replacing it would garble every log, and the
# gaps would reveal the value. Values of four and five characters are replaced where they stand alone.
SHORTEST = 4
STANDS_ALONE = 6


class Redactor:
    """Replaces registered values in text, in one pass of a compiled pattern. The first `redact` after an `add` compiles
    it: add values together. Threads may share a redactor."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, values: Iterable[str | bytes]) -> None:
        """Registers values in every form they may appear in (`forms_of`)."""
        forms = {form for value in values for form in forms_of(value) if len(form) >= SHORTEST}
        with self._lock:
            if not forms <= self._forms:
                self._forms |= forms
                self._pattern = None

    def redact(self, text: str) -> str:
        """`text` with each registered value replaced by five dots."""
        pattern = self._pattern or self._compiled()
        return pattern.sub(MASK, text) if pattern else text

    def _compiled(self) -> re.Pattern[str] | None:
        # Under the lock: a pattern must not be stored that lacks a value registered at the same time.
        with self._lock:
            if self._pattern is None and self._forms:
                self._pattern = _pattern_for(self._forms)
            return self._pattern


def forms_of(value: str | bytes) -> Iterator[str]:
    """Yields the spellings under which a value may appear in text. Base64 and URL-safe Base64 come without padding."""
    raw = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    for data in (raw, raw.strip()):
        yield base64.b64encode(data).decode().rstrip("=")
        yield base64.urlsafe_b64encode(data).decode().rstrip("=")
    try:
        plain = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return
    stripped = plain.strip()
    yield stripped
    yield quote(stripped, safe="", errors="surrogatepass")
    yield quote_plus(stripped, errors="surrogatepass")
    yield json.dumps(stripped)[1:-1]  # as programs log it: JSON with and without \\uXXXX, and repr
    yield json.dumps(stripped, ensure_ascii=False)[1:-1]
    yield repr(stripped)[1:-1]
    for line in stripped.splitlines():
        if len(line.strip()) >= STANDS_ALONE + 2:
            yield line.strip()


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
