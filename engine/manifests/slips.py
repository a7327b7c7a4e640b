"""Finds mistakes in manifests that the API server would refuse without a clear reason.

Each check takes a rendered object and returns a problem in plain words, or nothing. They are certain: nothing that a
cluster accepts is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.limits import parse_duration, parse_settle
from engine.manifests.documents import group_of
from engine.manifests.settling import settles
from engine.types import (
    MIN_READY_ANNOTATION,
    PHASE_ANNOTATION,
    SETTLE_ANNOTATION,
    TIMEOUT_ANNOTATION,
    WAIT_ANNOTATION,
    Json,
)

PRUNE_ANNOTATION = "slipway.dev/prune"


def problems_of(body: Json) -> Iterator[str]:
    """All problems of one object; none of them quotes a value that could be secret."""
    yield from _steering_problems(body)


def _steering_problems(body: Json) -> Iterator[str]:
    """The annotations under `slipway.dev/` that steer single objects."""
    annotations = body["metadata"].get("annotations") or {}
    phase = annotations.get(PHASE_ANNOTATION)
    if phase is not None and phase not in ("predeploy", "postdeploy"):
        yield f"{PHASE_ANNOTATION} must be predeploy or postdeploy"
    elif phase is not None and (body["kind"], group_of(body["apiVersion"])) != ("Job", "batch"):
        yield f"{PHASE_ANNOTATION} is for Jobs; this is a {body['kind']}"
    if (annotations.get(WAIT_ANNOTATION) or "true") not in ("true", "false"):
        yield f'{WAIT_ANNOTATION} must be "true" or "false"'
    if parse_duration(annotations.get(TIMEOUT_ANNOTATION) or "1s") is None:
        yield f"{TIMEOUT_ANNOTATION} must be a duration such as 90s, 10m or 1h"
    for name in (PRUNE_ANNOTATION, MIN_READY_ANNOTATION):
        if (annotations.get(name) or "never") != "never":
            yield f"{name} can only be never"
    yield from _settle_problems(body, annotations)


def _settle_problems(body: Json, annotations: Json) -> Iterator[str]:
    settle = annotations.get(SETTLE_ANNOTATION)
    if settle is not None and parse_settle(settle) is None:
        yield f"{SETTLE_ANNOTATION} must be seconds or a duration of at most 10m, such as 30, 45s or 2m; 0 watches nothing"
    for name in (SETTLE_ANNOTATION, MIN_READY_ANNOTATION):
        if annotations.get(name) is not None and not settles(body):
            yield f"{name} is for workloads whose pods run for ever; this is a {body['kind']}"
