"""Reads the workloads of a namespace as they are now: their images and their health, for the board."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from engine.cluster.client import ACCEPT_JSON, ACCEPT_METADATA_LIST, ApiError, Client, list_all
from engine.cluster.resources import built_in
from engine.health.events import event_time
from engine.health.held import held_back, what_is_held
from engine.health.lasting import is_calm, standing
from engine.health.objects import current_pods, is_owned, judge
from engine.health.pods import is_ready
from engine.health.pulling import FailedPull, failed_beside, failed_pulls
from engine.types import ENVIRONMENT_LABEL, Json, ObjectRef, Progress

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Workload:
    """One workload as it stands. `images`: of its template. `serves`: of most of its ready pods, where these are others.
    `health`: as in engine/health/lasting.py, or unknown. `pulls`: what its current pods cannot pull."""

    ref: ObjectRef
    images: tuple[str, ...]
    desired: int
    ready: int
    updated: int
    health: str
    sentence: str
    managed: bool  # carries this environment's label
    pulls: tuple[FailedPull, ...] = ()
    serves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Live:
    """A namespace as it stands. `beside`: what pods cannot pull that belong to none of the workloads, such as those of Jobs."""

    workloads: list[Workload]
    beside: tuple[FailedPull, ...] = ()


def read_live(
    client: Client, namespace: str, *, environment_label: str, wall: Callable[[], float] = time.time
) -> list[Workload]:
    """The workloads of `read_all` alone. Raises ApiError."""
    return read_all(client, namespace, environment_label=environment_label, wall=wall).workloads


def read_all(
    client: Client, namespace: str, *, environment_label: str, wall: Callable[[], float] = time.time
) -> Live:
    """The Deployments, StatefulSets and DaemonSets of a namespace, by kind and name. Five reads at once, and one of events
    where something is not as it should be; no more, however many there are. Raises ApiError."""
    with ThreadPoolExecutor(max_workers=5) as pool:
        lists = [pool.submit(_read, client, kind, namespace) for kind in (*_WORKLOADS, "Pod", "ReplicaSet")]
        *workloads, pods, replica_sets = [found.result() for found in lists]
    found: list[tuple[str, Json, list[Json]]] = []
    for kind, bodies in zip(_WORKLOADS, workloads, strict=True):
        for body in sorted(bodies, key=lambda item: str(item["metadata"]["name"])):
            found.append((kind, body, current_pods(kind, body, pods, replica_sets)))
    now = wall()
    is_well = all(_is_well(kind, body, mine, now) for kind, body, mine in found)
    events = {} if is_well else _warnings(client, namespace)
    seen: list[Workload] = []
    for kind, body, mine in found:
        workload = workload_of(kind, body, mine, events, now, environment_label=environment_label)
        if held_back(kind, body) and (running := _running_images(body, pods, replica_sets)):
            workload = replace(workload, images=running)
        elif serves := _serving_images(body, mine, _all_pods(body, pods, replica_sets)):
            workload = replace(workload, serves=serves)
        seen.append(workload)
    return Live(seen, failed_beside(pods))


def _read(client: Client, kind: str, namespace: str) -> list[Json]:
    api_version = "v1" if kind == "Pod" else "apps/v1"
    # Of ReplicaSets only owner and revision count.
    accept = ACCEPT_METADATA_LIST if kind == "ReplicaSet" else ACCEPT_JSON
    return list_all(client, built_in(kind, api_version).path(namespace), accept=accept)[0]


def _is_well(kind: str, body: Json, pods: list[Json], wall: float) -> bool:
    """Whether there is nothing that events could explain."""
    judgement = judge(kind, body, int(body["metadata"].get("generation") or 0))
    return judgement.progress == Progress.READY and all(is_calm(pod, wall) for pod in pods)


def _warnings(client: Client, namespace: str) -> dict[str, list[Json]]:
    """Warnings by the uid of what they are about, oldest first; none where they may not be read."""
    try:
        path = built_in("Event").path(namespace)
        items = list_all(client, path, query={"fieldSelector": "type=Warning"})[0]
    except ApiError:
        return {}
    found: dict[str, list[Json]] = {}
    for event in sorted(items, key=event_time):
        found.setdefault(str((event.get("involvedObject") or {}).get("uid") or ""), []).append(event)
    return found


def workload_of(
    kind: str,
    body: Json,
    pods: list[Json],
    events: Mapping[str, list[Json]],
    wall: float,
    *,
    environment_label: str,
) -> Workload:
    """One workload from its object, its current pods, and the Warnings about them."""
    metadata, status = body["metadata"], body.get("status") or {}
    judgement = judge(kind, body, int(metadata.get("generation") or 0))
    how = standing(kind, body, judgement, pods, events, wall)
    desired, ready, updated = _counts(kind, body, status)
    ref = ObjectRef(kind, "apps", metadata.get("namespace") or "", metadata["name"])
    managed = (metadata.get("labels") or {}).get(ENVIRONMENT_LABEL) == environment_label
    held = what_is_held(kind, body)
    in_trouble = how.health in ("failing", "degraded")
    health, sentence = ("suspended", held) if held and not in_trouble else (how.health, how.sentence)
    pulls = failed_pulls(pods)
    return Workload(ref, tuple(_images(body)), desired, ready, updated, health, sentence, managed, pulls)


def _running_images(body: Json, pods: list[Json], replica_sets: list[Json]) -> tuple[str, ...]:
    """The images of the pods that a workload has, old ones as well: where pods are not replaced, the template does not tell
    which images run."""
    mine = _all_pods(body, pods, replica_sets)
    return tuple(dict.fromkeys(image for pod in mine for image in _images({"spec": {"template": pod}})))


def _serving_images(body: Json, current: list[Json], every: list[Json]) -> tuple[str, ...]:
    """The images of most of the ready pods, where the template has others; else none. While a rollout is on its way, or has
    failed, old pods go on serving. The status does not tell: it counts an old pod as ready and a crashing new one as updated.
    `current`, `every`: the workload's pods of the template, and all of them."""
    ready = [pod for pod in every if is_ready(pod)]
    new = {pod["metadata"]["uid"] for pod in current}
    if all(pod["metadata"]["uid"] in new for pod in ready):
        return ()
    counted = Counter(tuple(_images({"spec": {"template": pod}})) for pod in ready).most_common(1)
    serves = counted[0][0] if counted else ()
    return () if serves == tuple(_images(body)) else serves


def _all_pods(body: Json, pods: list[Json], replica_sets: list[Json]) -> list[Json]:
    """The pods of a workload, old ones as well."""
    uid = str(body["metadata"].get("uid") or "")
    owners = {uid, *(str(item["metadata"].get("uid")) for item in replica_sets if is_owned(item, uid))}
    return [pod for pod in pods if any(is_owned(pod, owner) for owner in owners)]


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
