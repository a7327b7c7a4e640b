"""How long new pods are watched once they are ready, and the `minReadySeconds` that keeps the old ones meanwhile.

A container without a readiness probe is ready for Kubernetes as soon as it runs. One that crashes at its start is
therefore ready for an instant, and a rolling update takes the old pods away within two seconds. Both halves of the
answer are here: the time for which a rollout is watched, and the field that lets the cluster itself wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.limits import Limits, parse_settle
from engine.manifests.documents import group_of
from engine.manifests.references import mapping_of, mappings_of, pod_template_of
from engine.types import ADDED_ANNOTATION, MIN_READY_ANNOTATION, SETTLE_ANNOTATION, Json

_KEEPING = {("Deployment", "apps"), ("StatefulSet", "apps"), ("DaemonSet", "apps")}
_SETTLING = {*_KEEPING, ("ReplicaSet", "apps"), ("Pod", "")}


@dataclass(frozen=True)
class Settling:
    """An environment's setting. `seconds`: the settle time where a container has no readiness probe; `keeps_old_pods`:
    whether it becomes `minReadySeconds` of workloads that set none."""

    seconds: float = Limits.settle
    keeps_old_pods: bool = True


USUAL = Settling()


def settles(body: Json) -> bool:
    """Whether the object's pods are to run for ever, so that an end of one of their containers is a failure."""
    return (body.get("kind"), group_of(str(body.get("apiVersion")))) in _SETTLING


def unprobed(body: Json) -> list[str]:
    """Names of the containers that run for ever and have no readiness probe (native sidecars among them)."""
    spec = mapping_of((pod_template_of(body) or {}).get("spec"))
    sidecars = [c for c in mappings_of(spec.get("initContainers")) if c.get("restartPolicy") == "Always"]
    lasting = [*mappings_of(spec.get("containers")), *sidecars]
    return [str(c.get("name", "")) for c in lasting if not c.get("readinessProbe")]


def settle_time(body: Json, default: float) -> float:
    """Seconds for which each new pod must have been ready: the object's annotation, else `default` where a container has
    no readiness probe, else none."""
    if not settles(body):
        return 0.0
    own = parse_settle(_annotation(body, SETTLE_ANNOTATION))
    if own is not None:
        return own
    return default if unprobed(body) else 0.0


def settle_reason(body: Json) -> str:
    """Why it is watched: `container web has no readiness probe`."""
    if names := unprobed(body):
        return f"{_containers(names)} no readiness probe"
    return f"{SETTLE_ANNOTATION} asks for it"


def keeping_old_pods(body: Json, settling: Settling) -> Json:
    """The object with the settle time as its `minReadySeconds` where that keeps old pods, else as it is.

    The field is not part of the pod template, so that it replaces no pod by itself. The annotation `slipway.dev/added`
    says which field it is and why.
    """
    seconds = int(settle_time(body, settling.seconds))
    metadata = body["metadata"]
    annotations = {**(metadata.get("annotations") or {})}
    annotations.pop(ADDED_ANNOTATION, None)  # of an object that was read from a cluster and committed
    if settling.keeps_old_pods and seconds and _may_be_added(body, seconds):
        why = f"minReadySeconds, because {_containers(unprobed(body))} no readiness probe"
        annotations[ADDED_ANNOTATION] = why
        body = {**body, "spec": {**body["spec"], "minReadySeconds": seconds}}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def _may_be_added(body: Json, seconds: int) -> bool:
    """Only where it is not set, a container has no probe, and pods are replaced one after the other."""
    spec = mapping_of(body.get("spec"))
    if not _is_kept(body) or not unprobed(body):
        return False
    if spec.get("minReadySeconds") is not None or _annotation(body, MIN_READY_ANNOTATION) == "never":
        return False
    strategy = mapping_of(spec.get("strategy") or spec.get("updateStrategy"))
    deadline = spec.get("progressDeadlineSeconds")
    in_time = not isinstance(deadline, int) or deadline > seconds  # else the API server refuses the object
    return in_time and strategy.get("type") not in ("Recreate", "OnDelete")


def probe_warnings(body: Json, settling: Settling) -> list[str]:
    """What the missing readiness probes of a workload mean, for the preview; nothing where none is missing, or where the
    object says itself how long it is to be watched."""
    if not _is_kept(body) or _annotation(body, SETTLE_ANNOTATION):
        return []
    names = unprobed(body)
    if not names:
        return []
    seconds = settle_time(body, settling.seconds)
    watched = (
        f"the rollout is watched for {seconds:g} s more"
        if seconds
        else "the rollout is not watched after that"
    )
    added = ADDED_ANNOTATION in (body["metadata"].get("annotations") or {})
    kept = f", and minReadySeconds: {seconds:g} was added so that old pods stay as long" if added else ""
    return [
        f"{body['kind']} {body['metadata']['name']}: {_containers(names)} no readiness probe. Kubernetes takes such a "
        f"container for ready as soon as it runs, even if it crashes a moment later; {watched}{kept}"
    ]


def _is_kept(body: Json) -> bool:
    return (body.get("kind"), group_of(str(body.get("apiVersion")))) in _KEEPING


def added_fields(body: Json) -> dict[str, str]:
    """Fields of `spec` that were added at rendering, with the reason."""
    field, _, why = _annotation(body, ADDED_ANNOTATION).partition(", ")
    return {field: f"added by Slipway {why}"} if why else {}


def without_added(body: Json) -> Json:
    """The object without the fields that were added at rendering, and without the annotation about them."""
    metadata = body["metadata"]
    spec = {name: value for name, value in body["spec"].items() if name not in added_fields(body)}
    annotations = {n: v for n, v in (metadata.get("annotations") or {}).items() if n != ADDED_ANNOTATION}
    return {**body, "metadata": {**metadata, "annotations": annotations}, "spec": spec}


def _containers(names: list[str]) -> str:
    """`container web has`, `containers web and proxy have`."""
    if len(names) == 1:
        return f"container {names[0]} has"
    return f"containers {', '.join(names[:-1])} and {names[-1]} have"


def _annotation(body: Json, name: str) -> str:
    return str(mapping_of(mapping_of(body.get("metadata")).get("annotations")).get(name) or "")
