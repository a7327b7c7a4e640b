"""Whether the current request has changed something for good, for the answer after an error. Every change has an audit event
(audit/record.py), which notes its commit here."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from django.db import transaction


@dataclass
class _Request:
    changed: bool = False


_request: ContextVar[_Request | None] = ContextVar("committed", default=None)


def begin() -> None:
    """A request begins: nothing is changed yet."""
    _request.set(_Request())


def note_at_commit() -> None:
    """Notes a change once the current transaction is committed."""
    if request := _request.get():
        transaction.on_commit(lambda: setattr(request, "changed", True))


def anything() -> bool:
    """Whether the current request has committed a change."""
    request = _request.get()
    return request is not None and request.changed
