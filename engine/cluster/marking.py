"""Fences off an older deploy whose worker may still write: marks every object of this deploy before it is planned.

Each write of a deploy carries the version of the object that it was planned on. A newer deploy that changes the object
invalidates that version; one that finds it as it wants it does not, and a worker that was stopped could still write it when
it wakes. So where such a worker may exist, an annotation is written to each object first. What the older worker has read is
too old from then on. What it wrote before the mark, this deploy reads after it, and repairs.

This costs one more request for each object, and only after a worker was given up (deployments/pipeline/fencing.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from engine.cluster.client import ACCEPT_METADATA, MERGE_PATCH, ApiError, Client
from engine.cluster.ownership import FENCE_MANAGER
from engine.cluster.parallel import Outcomes, Talk
from engine.cluster.refusals import silent_webhook
from engine.cluster.resources import ClusterKinds
from engine.errors import SlipwayError
from engine.types import FENCE_ANNOTATION, Json, Manifest, ObjectRef, Observer

WEBHOOK_SECONDS = 60.0  # an admission webhook whose pods are starting is waited for
PAUSE_SECONDS = 1.0


def mark_objects(
    client: Client,
    kinds: ClusterKinds,
    manifests: Sequence[Manifest],
    before: Mapping[ObjectRef, Json] | None,
    mark: str,
    observer: Observer,
) -> dict[ObjectRef, Json]:
    """Marks the objects that exist and returns `before` with their metadata as it is then. `before`: the objects that existed;
    None: not known, each one is tried. Raises ApiError, and what the observer's `check` raises."""
    known = [manifest for manifest in manifests if before is None or manifest.ref in before]

    def work(manifest: Manifest, talk: Talk) -> Json | None:
        until = time.monotonic() + WEBHOOK_SECONDS
        while True:
            try:
                return _mark(client, kinds.path_of(manifest), mark)
            except ApiError as error:
                if error.status == 404:
                    return None
                if not silent_webhook(error) or time.monotonic() > until:
                    raise
            talk.pause(PAUSE_SECONDS)

    found = dict(before or {})
    for manifest, outcome in Outcomes(known, work, observer, writes=True):
        if isinstance(outcome, SlipwayError):
            raise outcome
        if outcome is not None:
            found[manifest.ref] = outcome
    return found


def _mark(client: Client, path: str, mark: str) -> Json:
    body = {"metadata": {"annotations": {FENCE_ANNOTATION: mark}}}
    query = {"fieldManager": FENCE_MANAGER}
    return client.request(
        "PATCH", path, query=query, body=body, content_type=MERGE_PATCH, accept=ACCEPT_METADATA
    )
