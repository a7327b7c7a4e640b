"""Keeps secret values out of all output: logs, Slack, audit, errors, stored objects.

Code that reads a secret registers it with the current redactor; code that writes text out passes it through
`redact_text`. A redactor belongs to one run, job or request (a context variable), so its values are forgotten with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from core.matcher import Matcher
from core.secret_forms import LARGE, forms_of, is_token, lines_of, parts_of, pieces_of

MASK = "•••••"
# A value of up to three characters looks like ordinary text ("1", "yes"): replacing it would garble every log, and the
# gaps would reveal the value. Values of four and five characters are replaced where they stand alone.
SHORTEST = 4
# Each value of up to SMALL characters (a whole secret of AWS) is looked through for lines and parts, however many others there
# are; larger ones up to MOST_TEXT characters together, beyond which only pieces of them are known.
SMALL = 65_536
MOST_TEXT = 8_000_000
FULL = "(hidden: too many secret values are in use to tell whether this text shows one)"


class Redactor:
    """Replaces registered values in text. Threads may share a redactor."""

    def __init__(self) -> None:
        self._values: set[str | bytes] = set()  # of large ones a digest
        self._waiting: list[str | bytes] = []  # registered, without forms so far
        self._matcher = Matcher()
        self._lock = threading.Lock()
        self._looked_through = 0

    def add(self, values: Iterable[str | bytes]) -> None:
        """Registers values with all their parts, in every form in which they may appear (core/secret_forms.py). The forms are
        made before the first text is redacted: many requests read values and write no text."""
        with self._lock:
            for value in values:
                if isinstance(value, bytes) and value.isascii():
                    value = value.decode()  # the same forms, once
                known = value if len(value) <= LARGE else hash(value).to_bytes(8, signed=True)
                if known not in self._values:
                    self._values.add(known)
                    self._waiting.append(value)

    def _add(self, value: str | bytes) -> None:
        self._add_whole(value)
        if len(value) > SMALL:
            self._looked_through += len(value)
            if self._looked_through > MOST_TEXT:
                return
        if isinstance(value, str) and len(value) <= LARGE and is_token(value):
            return
        text = value if isinstance(value, str) else value.decode(errors="ignore")
        self._keep(lines_of(text))
        for part in dict.fromkeys(parts_of(text)):
            self._add_whole(part)

    def _add_whole(self, value: str | bytes) -> None:
        if len(value) > LARGE:
            self._keep(pieces_of(value), whole_lines=True)
        else:
            self._keep(forms_of(value))

    def _keep(self, forms: Iterable[str], *, whole_lines: bool = False) -> None:
        self._matcher.add({form for form in forms if len(form) >= SHORTEST}, whole_lines=whole_lines)

    def redact(self, text: str) -> str:
        """`text` with each registered value replaced by five dots, also a value of which a cut left only the beginning. When
        there are more values than can be kept, FULL: else whoever adds values enough could have others shown."""
        kept, position = [], 0
        with self._lock:
            for value in self._waiting:
                self._add(value)
            self._waiting = []
            if self._matcher.is_full:
                return FULL
            spans = self._matcher.spans(text)
        for first, last in spans:
            kept += [text[position:first], MASK]
            position = last
        return "".join([*kept, text[position:]]) if kept else text


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
