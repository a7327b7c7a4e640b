"""Which pods cannot pull an image now, and which pull secrets they name. Pure functions over the API's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.health.crashes import statuses_of
from engine.types import Json

_WORDS = ("ErrImagePull", "ImagePullBackOff")


@dataclass(frozen=True)
class FailedPull:
    """An image that a container's node cannot pull. `message`: the node's own. `secrets`: the pull secrets that the pod names;
    they were fixed when it was made (`born`), from its template or its service account. `owner`: the kind of its controller, such
    as Job; empty for a pod that nothing makes anew."""

    pod: str
    container: str
    image: str
    message: str
    secrets: tuple[str, ...]
    born: str
    owner: str = ""


_SHOWN = ("ReplicaSet", "StatefulSet", "DaemonSet")


def failed_beside(pods: Iterable[Json]) -> tuple[FailedPull, ...]:
    """The same of the pods that belong to no Deployment, StatefulSet or DaemonSet: those of Jobs, and lone ones."""
    return failed_pulls(pod for pod in pods if _owner(pod) not in _SHOWN)


def _owner(pod: Json) -> str:
    """The kind of a pod's controller."""
    owners = pod["metadata"].get("ownerReferences") or []
    return next((str(one.get("kind", "")) for one in owners if one.get("controller")), "")


def failed_pulls(pods: Iterable[Json]) -> tuple[FailedPull, ...]:
    """What these pods cannot pull, pod by pod. A pod that is being deleted does not count."""
    return tuple(
        found for pod in pods if not pod["metadata"].get("deletionTimestamp") for found in _of_pod(pod)
    )


def _of_pod(pod: Json) -> Iterator[FailedPull]:
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    secrets = tuple(str(one.get("name", "")) for one in spec.get("imagePullSecrets") or [])
    for status, _ in statuses_of(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _WORDS:
            yield FailedPull(
                str(metadata.get("name", "")), str(status.get("name", "")), str(status.get("image", "")),
                str(waiting.get("message") or ""), secrets, str(metadata.get("creationTimestamp") or ""), _owner(pod),
            )  # fmt: skip
