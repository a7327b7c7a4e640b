"""The Docker engine of this installation: as the settings name it, what was last heard of it, and the room that it takes.

Only workers of builds reach it. A tick lets one of them ask it every minute; what it said waits in the cache, for the status
page.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from adapters.docker import disk
from adapters.docker.disk import Freed, Limit, Used
from adapters.docker.engine import Engine
from adapters.errors import ExternalError
from builds.models import Build
from builds.tags import LABEL_BUILD, LABEL_IMAGE, LABEL_PROJECT
from core.heartbeats import WORKER, processes
from core.jobs import enqueue, queued, slot
from runs.models import OPEN

log = structlog.get_logger(__name__)
LOOK_SECONDS = 60
PRUNE_SECONDS = 3600
TEND_SECONDS = 90  # for one look with making room: the worker builds nothing meanwhile
KEPT_SECONDS = 7 * 86_400
_KEY, _JOB = "builds.engine", "engine"


@dataclass(frozen=True)
class Heard:
    """What was last heard of the engine. Times are texts (ISO 8601), empty for never; sizes are bytes. `error`, `hint`: why it
    did not answer; the rest is then what it said before."""

    asked_at: str = ""
    answered_at: str = ""
    failed_at: str = ""
    error: str = ""
    hint: str = ""
    version: str = ""
    builder: str = ""
    architecture: str = ""
    images: int = 0
    image_bytes: int = 0
    cache_bytes: int = 0
    pruned_at: str = ""
    pruned_images: int = 0
    pruned_bytes: int = 0


def engine(*, timeout: float = 30.0) -> Engine:
    """The engine. Makes no request. `timeout`: seconds for a question; builds and pushes have limits of their own."""
    return Engine(
        settings.DOCKER_HOST, settings.DOCKER_CERT_PATH, builder=settings.DOCKER_BUILDER, timeout=timeout
    )


def heard() -> Heard:
    """What was last heard of the engine."""
    kept = cache.get(_KEY)
    try:
        return Heard(**kept) if isinstance(kept, dict) else Heard()
    except TypeError:  # written by another version of the portal
        return Heard()


def has_worker() -> bool:
    """Whether a worker of builds lives. Where nothing is to be built, nobody starts one, and that is no trouble."""
    return any(one.kind == WORKER and one.lives and "builds" in one.queues for one in processes())


def look_soon() -> None:
    """Tick: lets a worker of builds, where there is one, ask the engine before builds that wait, unless the last such job still
    waits."""
    known = queued("builds") if has_worker() else None
    if known is not None and not any(one.startswith(f"{_JOB}-") for one in known):
        job_id = f"{_JOB}-{slot(LOOK_SECONDS)}"
        enqueue("builds.jobs.tend_engine", queue="builds", job_id=job_id, at_front=True, seconds=300)


def tend() -> None:
    """Asks the engine how it is, and makes room once an hour, in TEND_SECONDS. What it says, or that it did not answer, is kept.
    What there was no time to remove goes an hour later."""
    last, now = heard(), timezone.now().isoformat()
    try:
        found = _asked(last, now)
    except ExternalError as error:
        found = {"error": error.message, "hint": error.hint, "failed_at": last.failed_at or now}
    else:
        found |= {"error": "", "hint": "", "failed_at": "", "answered_at": now}
    cache.set(_KEY, {**asdict(last), **found, "asked_at": now}, KEPT_SECONDS)


def _asked(last: Heard, now: str) -> dict[str, object]:
    made, limit = engine(timeout=10), Limit(TEND_SECONDS)
    facts = made.facts()
    found: dict[str, object] = {
        "version": facts.version, "builder": facts.builder, "architecture": facts.architecture,
    }  # fmt: skip
    used = disk.used(made.wire, LABEL_BUILD, limit)
    if not last.pruned_at or datetime.fromisoformat(now) - datetime.fromisoformat(last.pruned_at) > timedelta(
        seconds=PRUNE_SECONDS
    ):
        freed = prune(made, used, limit)
        found |= {
            "pruned_at": now, "pruned_images": freed.images, "pruned_bytes": freed.image_bytes + freed.cache_bytes,
        }  # fmt: skip
        used = disk.used(made.wire, LABEL_BUILD, limit) if limit.left else used
    return found | {"images": len(used.images), "image_bytes": used.image_bytes, "cache_bytes": used.cache}


def prune(made: Engine, used: Used, limit: Limit) -> Freed:
    """Removes images of ours that are old or too many, and old cache. Half of the room is for images, half for the cache."""
    keep, most = timedelta(days=settings.DOCKER_KEEP_DAYS), settings.DOCKER_KEEP_GB * 1_000_000_000 // 2
    busy = {str(number) for number in Build.objects.filter(state__in=OPEN).values_list("number", flat=True)}
    chosen = disk.to_remove(
        used.images, (LABEL_PROJECT, LABEL_IMAGE), now=timezone.now(), keep=keep, most_bytes=most, busy=busy,
        build=LABEL_BUILD,
    )  # fmt: skip
    freed = disk.remove(made.wire, chosen, limit)
    cache_bytes = disk.prune_cache(made.wire, keep=keep, most_bytes=most, limit=limit)
    if freed.images or cache_bytes:
        log.info("made room in the Docker engine", images=freed.images, bytes=freed.image_bytes + cache_bytes)
    return Freed(freed.images, freed.image_bytes, cache_bytes)
