"""The part of the board that follows changes, made once for all who may see the same.

After a change every open board asks for this part. Without this each of 500 would be made anew; now each web process makes one
for each set of rights. A page that was told of a change says when that was (header `Slipway-Told`): every part that was begun
later shows it. Other requests get a kept part only while nothing was noted since it was begun (`core.models.Change`, the audit).
FRESH_SECONDS end both, because ages and silent clusters change by themselves.
"""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import close_old_connections, connection
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.text import compress_string

from audit.models import AuditEvent
from core.dbclock import database_seconds
from core.models import Change
from portal.board_filters import MINE
from projects.models import Membership

FRESH_SECONDS = 10.0
TOLD = "Slipway-Told"
MOST = 200  # kept parts; beyond that all go
LONGEST_QUERY = 300
# Transactions commit in another order than their rows got their ids: one of so many newest rows may still come.
NEWEST = 100
Key = tuple[Any, ...]
Version = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Made:
    """A part that was made, compressed. `version`: what was noted before it was begun; `began`: when, by the database's clock;
    `until`: how long it counts, by this process' own."""

    packed: bytes
    version: Version
    began: float
    until: float

    def shows(self, told: float) -> bool:
        """Whether it shows what somebody was told of at that moment."""
        return bool(told) and self.began > told and time.monotonic() < self.until

    def is_newest(self, version: Version) -> bool:
        """Whether nothing was noted since it was begun."""
        return self.version == version and time.monotonic() < self.until


_made: dict[Key, Made] = {}
_making: defaultdict[Key, threading.Lock] = defaultdict(threading.Lock)


def answer(request: HttpRequest, make: Callable[[], str]) -> HttpResponse:
    """The answer to a request for the part. `make` makes it, without anything that is the person's own."""
    query = request.GET.urlencode()
    if len(query) > LONGEST_QUERY:
        return HttpResponse(make())
    rights = rights_of(request)

    def are_same() -> bool:
        return rights_of(request) == rights

    return _sent(request, _of((rights, query), told_at(request), make, are_same))


def told_at(request: HttpRequest) -> float:
    """When the page was told of the change for which it asks; 0 where it asks by itself."""
    given = request.headers.get(TOLD, "")
    return float(given) if re.fullmatch(r"\d{1,11}(\.\d{1,9})?", given) else 0.0


def rights_of(request: HttpRequest) -> Key:
    """What decides what a person sees: two with the same see the same board."""
    user: Any = request.user
    own = user.pk if request.GET.get("show") == MINE else None
    if user.is_admin:
        return (True, own)
    held = Membership.objects.filter(user=user).order_by("project", "environment", "role")
    return (False, own, *held.values_list("project", "environment", "role"))


def noted() -> Version:
    """What was noted last, of changes and of audit events."""
    return tuple(
        tuple(rows.order_by("-pk").values_list("pk", flat=True)[:NEWEST])
        for rows in (Change.objects.all(), AuditEvent.objects.all())
    )


def _of(key: Key, told: float, make: Callable[[], str], are_same: Callable[[], bool]) -> Made:
    """The kept part, or a new one. Requests for the same part wait for the one that makes it. `are_same`: whether the person's
    rights are still those of the key. A part that was made with others is theirs alone, so it is not kept."""
    if not connection.in_atomic_block:
        close_old_connections()  # a request that waits keeps no connection of the pool
    with _making[key]:
        found = _made.get(key)
        if found is not None and found.shows(told):
            return found
        version = noted()
        if found is None or not found.is_newest(version):
            found = _make(version, make)
            if not are_same():
                return found
            if len(_made) >= MOST:
                _made.clear()
                _making.clear()  # a request that holds one of them keeps it
            _made[key] = found
        return found


def _make(version: Version, make: Callable[[], str]) -> Made:
    began, until = database_seconds(), time.monotonic() + FRESH_SECONDS
    return Made(compress_string(make().encode(), max_random_bytes=100), version, began, until)


def _sent(request: HttpRequest, made: Made) -> HttpResponse:
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(made.packed if packs else gzip.decompress(made.packed))
    patch_vary_headers(response, ("Accept-Encoding", "HX-Request", "Cookie"))
    if packs:
        response["Content-Encoding"] = "gzip"
    return response
