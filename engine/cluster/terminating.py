"""Objects that are being deleted. An apply to such an object succeeds, and a moment later the object is gone. So a rollout
waits for its end before the first write. If the object does not go in time, the error names the finalizer that keeps it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from engine.cluster.client import ACCEPT_METADATA, ApiError, Client
from engine.cluster.parallel import Outcomes, Talk
from engine.cluster.resources import ClusterKinds
from engine.errors import SlipwayError
from engine.types import Json, Manifest, ObjectRef, Observer

_ADVICE = {
    "kubernetes.io/pvc-protection": "A pod still uses the claim: stop it first.",
    "kubernetes.io/pv-protection": "A claim still uses the volume: delete it first.",
    "foregroundDeletion": "What belongs to it is still being deleted: look whether that hangs.",
    "service.kubernetes.io/load-balancer-cleanup": "Its load balancer is still being removed: try again in a minute.",
}
_USUAL_ADVICE = "Let the controller that set the finalizer finish, or remove the finalizer, and deploy again."


class BeingDeleted(SlipwayError):
    """The object is being deleted and does not go."""


def is_being_deleted(body: Json) -> bool:
    """Whether the object is on its way out."""
    return bool(body["metadata"].get("deletionTimestamp"))


def told(ref: ObjectRef, body: Json) -> BeingDeleted:
    """The error for an object that is being deleted: the finalizer that keeps it, and a hint."""
    finalizers = [str(name) for name in body["metadata"].get("finalizers") or []]
    name = f"{ref.kind} {ref.name}"
    if not finalizers:
        return BeingDeleted(f"{name} is being deleted.", hint="Deploy again when it is gone.")
    which = f"the finalizer{'s' if len(finalizers) > 1 else ''} {', '.join(finalizers)}"
    advice = next((_ADVICE[f] for f in finalizers if f in _ADVICE), _USUAL_ADVICE)
    return BeingDeleted(
        f"{name} is being deleted, and {which} keep{'' if len(finalizers) > 1 else 's'} it.", hint=advice
    )


def wait_until_gone(
    client: Client,
    kinds: ClusterKinds,
    manifests: Sequence[Manifest],
    observer: Observer | None,
    *,
    seconds: float,
    pause: float,
) -> dict[ObjectRef, SlipwayError]:
    """Waits until these objects are gone, all at once. Returns an error for each object that does not go in time. Raises
    what the observer's `check` raises."""

    def wait(manifest: Manifest, talk: Talk) -> None:
        _wait(client, kinds.path_of(manifest), manifest, talk, seconds, pause)

    outcomes = Outcomes(manifests, wait, observer)
    return {manifest.ref: outcome for manifest, outcome in outcomes if isinstance(outcome, SlipwayError)}


def _wait(client: Client, path: str, manifest: Manifest, talk: Talk, seconds: float, pause: float) -> None:
    started = time.monotonic()
    said = False
    while True:
        try:
            body = client.request("GET", path, accept=ACCEPT_METADATA)
        except ApiError as error:
            if error.status == 404:
                return
            raise
        if not is_being_deleted(body):
            return
        if time.monotonic() - started + pause > seconds:
            raise told(manifest.ref, body)
        if not said:
            talk.line(f"{told(manifest.ref, body).message} Waiting for its end for up to {seconds:.0f} s.")
            said = True
        talk.pause(pause)
