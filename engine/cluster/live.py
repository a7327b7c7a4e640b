"""What runs in a namespace now: its workloads, their images and their health, for the board."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from engine.cluster.client import ACCEPT_JSON, ACCEPT_METADATA_LIST, Client, list_all
from engine.cluster.resources import built_in
from engine.health.crashes import running_exits
from engine.health.objects import Judgement, current_pods, judge
from engine.health.pods import condition, troubles_of
from engine.health.trouble import Trouble
from engine.limits import Limits
from engine.types import ENVIRONMENT_LABEL, Json, ObjectRef, Progress

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_LIMITS = Limits()


@dataclass(frozen=True)
class Workload:
    """One workload as it stands. `health`: healthy, progressing, degraded, suspended or unknown."""

    ref: ObjectRef
    images: tuple[str, ...]
    desired: int
    ready: int
    updated: int
    health: str
    sentence: str
    managed: bool  # carries this environment's label


def read_live(client: Client, namespace: str, *, environment_label: str) -> list[Workload]:
    """The Deployments, StatefulSets and DaemonSets of a namespace, by kind and name. Four or five reads at
    once, no more, however many there are. Raises ApiError."""
    with ThreadPoolExecutor(max_workers=5) as pool:
        lists = [pool.submit(_read, client, kind, namespace) for kind in (*_WORKLOADS, "Pod", "ReplicaSet")]
        *workloads, pods, replica_sets = [found.result() for found in lists]
    seen: list[Workload] = []
    for kind, bodies in zip(_WORKLOADS, workloads, strict=True):
        for body in sorted(bodies, key=lambda item: str(item["metadata"]["name"])):
            troubles = _troubles(kind, body, pods, replica_sets)
            seen.append(workload_of(kind, body, troubles, environment_label=environment_label))
    return seen


def _read(client: Client, kind: str, namespace: str) -> list[Json]:
    api_version = "v1" if kind == "Pod" else "apps/v1"
    accept = (
        ACCEPT_METADATA_LIST if kind == "ReplicaSet" else ACCEPT_JSON
    )  # of those only owner and revision count
    return list_all(client, built_in(kind, api_version).path(namespace), accept=accept)[0]


def _troubles(kind: str, body: Json, pods: list[Json], replica_sets: list[Json]) -> list[Trouble]:
    """What is wrong now: neither ends of containers that run again, nor pods that their node ended."""
    mine = current_pods(kind, body, pods, replica_sets)
    found = [t for pod in mine for t in troubles_of(pod, limits=_LIMITS, forgiven=running_exits(pod))]
    return [trouble for trouble in found if trouble.topic != "evicted"]


def workload_of(kind: str, body: Json, troubles: list[Trouble], *, environment_label: str) -> Workload:
    """One workload from its object and what is wrong with its current pods."""
    metadata, status = body["metadata"], body.get("status") or {}
    judgement = judge(kind, body, int(metadata.get("generation") or 0))
    health, sentence = _health(kind, body, judgement, troubles)
    desired, ready, updated = _counts(kind, body, status)
    ref = ObjectRef(kind, "apps", metadata.get("namespace") or "", metadata["name"])
    managed = (metadata.get("labels") or {}).get(ENVIRONMENT_LABEL) == environment_label
    return Workload(ref, tuple(_images(body)), desired, ready, updated, health, sentence, managed)


def _health(kind: str, body: Json, judgement: Judgement, troubles: list[Trouble]) -> tuple[str, str]:
    if (body.get("spec") or {}).get("paused"):
        return "suspended", judgement.sentence
    if judgement.progress == Progress.FAILED:
        return "degraded", judgement.sentence
    if troubles:
        return "degraded", min(troubles, key=lambda trouble: trouble.grace).sentence
    if judgement.progress == Progress.READY:
        return "healthy", judgement.sentence
    if kind == "Deployment" and condition(body, "Available").get("status") == "False":
        return "progressing", f"{judgement.sentence}; fewer than it needs"
    return "progressing", judgement.sentence


def _counts(kind: str, body: Json, status: Json) -> tuple[int, int, int]:
    if kind == "DaemonSet":
        names = ("desiredNumberScheduled", "numberReady", "updatedNumberScheduled")
        desired, ready, updated = (int(status.get(name) or 0) for name in names)
        return desired, ready, updated
    replicas = (body.get("spec") or {}).get("replicas")
    desired = 1 if replicas is None else int(replicas)
    return desired, int(status.get("readyReplicas") or 0), int(status.get("updatedReplicas") or 0)


def _images(body: Json) -> Iterator[str]:
    """The images of init containers and containers, each once, in order."""
    spec = ((body.get("spec") or {}).get("template") or {}).get("spec") or {}
    names = [c.get("image") or "" for part in ("initContainers", "containers") for c in spec.get(part) or []]
    yield from dict.fromkeys(name for name in names if name)
