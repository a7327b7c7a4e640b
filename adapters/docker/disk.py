"""The room that our images and BuildKit's cache take in an engine, and making room.

Only images with our label are touched. BuildKit's cache has no labels: it belongs to everybody who builds on the engine, and
only what was not used for a while, or is more than it may be, is removed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.docker.faults import engine_errors
from adapters.docker.wire import Wire
from adapters.errors import ExternalError

_CREATED = "org.opencontainers.image.created"
_MAX_USED = (1, 48)  # the API's version from which the limit of the cache has its newer name
SLOW = 120.0  # seconds: an engine with many images needs a while for its sums
MOMENT = 0.1  # what is left to a question that comes too late


class Limit:
    """The time that all questions of one look may take together."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds for the next question; 0 when the time is over."""
        return max(0.0, min(SLOW, self._until - time.monotonic()))


@dataclass(frozen=True)
class OurImage:
    """One image of ours. `own_size`: bytes that no other image has; `created_at`: when it was built."""

    engine_id: str
    labels: dict[str, str]
    own_size: int
    created_at: datetime


@dataclass(frozen=True)
class Used:
    """What is used. `shared`: bytes of layers that several images have; `cache`: of BuildKit's cache."""

    images: tuple[OurImage, ...]
    shared: int
    cache: int

    @property
    def image_bytes(self) -> int:
        """Bytes of our images."""
        return self.shared + sum(image.own_size for image in self.images)


@dataclass(frozen=True)
class Freed:
    """What was removed."""

    images: int = 0
    image_bytes: int = 0
    cache_bytes: int = 0


def used(wire: Wire, label: str, limit: Limit) -> Used:
    """Asks for the images that bear the label, and for the cache. Raises ExternalError."""
    with engine_errors(wire.host, "tell what its disk is used for"):
        response = wire.client.get(wire.client._url("/system/df"), timeout=limit.left or MOMENT)
        wire.client._raise_for_status(response)
        said: dict[str, Any] = response.json()
    ours = [one for one in said.get("Images") or () if label in (one.get("Labels") or {})]
    shared = max((max(0, int(one.get("SharedSize") or 0)) for one in ours), default=0)
    cache = sum(int(one.get("Size") or 0) for one in said.get("BuildCache") or () if not one.get("Shared"))
    return Used(tuple(_image(one) for one in ours), shared, cache)


def _image(one: dict[str, Any]) -> OurImage:
    labels = {str(name): str(value) for name, value in (one.get("Labels") or {}).items()}
    own = int(one.get("Size") or 0) - max(0, int(one.get("SharedSize") or 0))
    return OurImage(str(one["Id"]), labels, max(0, own), _built_at(labels, int(one.get("Created") or 0)))


def _built_at(labels: dict[str, str], created: int) -> datetime:
    """By our label: the engine's own time is that of the newest layer, which may have come from the cache."""
    try:
        written = datetime.fromisoformat(labels.get(_CREATED, ""))
    except ValueError:
        return datetime.fromtimestamp(created, UTC)
    # Anybody's base image can bear labels like ours, also a time without a zone, which cannot be compared.
    return written if written.tzinfo else written.replace(tzinfo=UTC)


def to_remove(
    images: Sequence[OurImage],
    kind: Sequence[str],
    *,
    now: datetime,
    keep: timedelta,
    most_bytes: int,
    busy: Collection[str],
    build: str,
) -> list[OurImage]:
    """The images to remove: those older than `keep`, and the oldest ones until the rest has at most `most_bytes`. Pure.

    Stays: the newest image of each kind (equal labels of the names `kind`), which is the next build's cache, and images whose
    label `build` is in `busy`, because they are being made or pushed."""
    newest: dict[tuple[str, ...], OurImage] = {}
    for image in images:
        key = tuple(image.labels.get(name, "") for name in kind)
        if key not in newest or image.created_at > newest[key].created_at:
            newest[key] = image
    kept = {one.engine_id for one in newest.values()}
    kept |= {one.engine_id for one in images if one.labels.get(build) in busy}
    removed, total = [], sum(one.own_size for one in images)
    for image in sorted(images, key=lambda one: one.created_at):
        if image.engine_id not in kept and (now - image.created_at > keep or total > most_bytes):
            removed.append(image)
            total -= image.own_size
    return removed


def remove(wire: Wire, images: Iterable[OurImage], limit: Limit) -> Freed:
    """Removes images with all their names, as many as the time allows. One that a container runs stays. Raises ExternalError when
    the engine has gone."""
    count = size = 0
    for image in images:
        if not limit.left:
            break
        try:
            with engine_errors(wire.host, "remove an image"):
                wire.client.remove_image(image.engine_id, force=True)
        except ExternalError as error:
            if error.permanent:  # in use, or gone already
                continue
            raise
        count, size = count + 1, size + image.own_size
    return Freed(count, size)


def prune_cache(wire: Wire, *, keep: timedelta, most_bytes: int, limit: Limit) -> int:
    """Removes what BuildKit's cache has not used for `keep`, and what is more than `most_bytes`, while there is time. Returns the
    bytes that are free now. Raises ExternalError."""
    version = tuple(int(part) for part in wire.client._version.split("."))
    name = "max-used-space" if version >= _MAX_USED else "keep-storage"
    hours = int(keep.total_seconds() // 3600)
    asked = ({"filters": f'{{"until":["{hours}h"]}}'}, {name: str(most_bytes)})
    return sum(_prune(wire, {"all": "1", **params}, limit) for params in asked if limit.left)


def _prune(wire: Wire, params: dict[str, str], limit: Limit) -> int:
    with engine_errors(wire.host, "prune its cache"):
        response = wire.client.post(
            wire.client._url("/build/prune"), params=params, timeout=limit.left or MOMENT
        )
        wire.client._raise_for_status(response)
        return int(response.json().get("SpaceReclaimed") or 0)
