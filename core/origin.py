"""The origin of a request for logs and the audit: its id and the caller's address."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """`request_id` is also on error pages and in the log. `address`: the caller's IP address; may be empty."""

    request_id: str
    address: str = ""


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)


def origin() -> Origin:
    """The origin of the current request or job; outside of both a fresh one."""
    return _origin.get() or Origin(request_id=new_request_id())


def set_origin(value: Origin | None) -> None:
    """Sets the origin for the current context."""
    _origin.set(value)


def new_request_id() -> str:
    """A reference id: short enough to be read out on the phone."""
    return uuid.uuid4().hex[:12]
