"""The Docker engine on the status page and in `/metrics`. Reads what was last heard of it; asks nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from builds.engine import Heard, has_worker, heard
from builds.models import Build
from core.status import Row, Sample
from runs.models import ACTIVE
from ui.words import size

GROUP = "Docker engine"
OLD = timedelta(minutes=10)
WITHOUT = (
    "Nothing can be built here. Everything else works, and images that are built elsewhere can be deployed."
)


def rows() -> list[Row]:
    """One row. A missing engine is no fault of an installation that has never built anything: there the row only says so."""
    if not has_worker():
        return [Row(GROUP, GROUP, "inactive", sentence=f"No worker of builds runs. {WITHOUT}")]
    last = heard()
    if not last.asked_at:
        return [
            Row(GROUP, GROUP, "inactive", sentence="Not asked yet; a worker of builds asks within a minute.")
        ]
    if last.error:
        return [_without(last)]
    answered = _time(last.answered_at)
    asked = _time(last.asked_at)
    active = Build.objects.filter(state__in=ACTIVE).count()
    if asked is not None and timezone.now() - asked > OLD and not active:
        sentence = "Not heard of for a while; does a worker of builds run?"
        return [Row(GROUP, GROUP, "unknown", sentence=sentence, answered_at=answered, details=details(last))]
    return [
        Row(
            GROUP, GROUP, "reachable", sentence=sentence_of(last), answered_at=answered, details=details(last)
        )
    ]


def _without(last: Heard) -> Row:
    """The engine does not answer."""
    answered = _time(last.answered_at)
    if not Build.objects.exists():
        return Row(
            GROUP, GROUP, "inactive", sentence=f"There is none. {WITHOUT}", remedy=last.hint, answered_at=answered,
            details=(settings.DOCKER_HOST,),
        )  # fmt: skip
    return Row(
        GROUP, GROUP, "unreachable", sentence="Does not answer: builds end with an error.", error=last.error,
        remedy=f"{last.hint} {WITHOUT}".strip(), answered_at=answered, failed_at=_time(last.failed_at),
        details=(settings.DOCKER_HOST,),
    )  # fmt: skip


def sentence_of(last: Heard) -> str:
    """Version, builder and disk in one sentence."""
    builder = (
        "BuildKit" if last.builder == "buildkit" else "the classic builder, which cannot give builds secrets"
    )
    return (
        f"Docker {last.version} with {builder}. Images of builds: {last.images}, {size(last.image_bytes)};"
        f" cache: {size(last.cache_bytes)}.{network()}"
    )


def network() -> str:
    """What steps of builds do not reach, as a further sentence; empty for the engine's default."""
    return " Steps of builds reach no network (BUILD_NETWORK)." if settings.BUILD_NETWORK == "none" else ""


def details(last: Heard) -> tuple[str, ...]:
    """For admins: where it is, and when room was made."""
    keeps = f"Images are kept {settings.DOCKER_KEEP_DAYS} days, {settings.DOCKER_KEEP_GB} GB with the cache at most"
    pruned = f"; {last.pruned_images} images and {size(last.pruned_bytes)} were removed last"
    return (settings.DOCKER_HOST, keeps + (pruned if last.pruned_at else ""))


def samples() -> list[Sample]:
    """Disk that builds use; nothing while no engine was heard of."""
    last = heard()
    if not last.answered_at:
        return []
    text = "Bytes in the Docker engine that builds use."
    return [
        Sample("slipway_docker_bytes", text, float(last.image_bytes), {"kind": "images"}),
        Sample("slipway_docker_bytes", text, float(last.cache_bytes), {"kind": "cache"}),
    ]


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
