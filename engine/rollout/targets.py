"""One object that a rollout waits for, and what is remembered of it between two judgements."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.cluster.apply import Applied
from engine.health.objects import Judgement
from engine.types import Action, Json, Manifest, ObjectRef, PodsShown

WAITED_FOR = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("", "Pod"),
    }
)


@dataclass(frozen=True)
class Refusals:
    """Since when pods are refused, when the object's counts last changed meanwhile, and these counts."""

    since: float
    moved: float
    counts: str


@dataclass
class Target:
    """One object that is waited for. `settle`: seconds for which each new pod must have been ready; `ends`: when its time
    and the deploy's are over."""

    applied: Applied
    started: float
    timeout: float
    settle: float = 0.0
    ends: float = 0.0
    last: Judgement | None = None
    most_ready: int = 0
    grew: float = 0.0
    ready_since: float | None = None  # by its own status
    troubles: dict[tuple[str, str, str], float] = field(default_factory=dict)  # first seen
    told: set[str] = field(default_factory=set)  # what the log was told once
    pods: list[Json] = field(default_factory=list)  # of the last judgement
    tries: int = 0  # failed ones, of a Job
    tried_at: float = 0.0
    waits: bool = False  # whether a pod shows a refusal from before the first write
    blocked: tuple[float, str] = (0.0, "")  # since when a pod is in the way, and its uid
    refused: Refusals | None = None
    shown: PodsShown | None = None  # of the last judgement

    @property
    def ref(self) -> ObjectRef:
        return self.applied.manifest.ref

    @property
    def manifest(self) -> Manifest:
        return self.applied.manifest


def is_waited_for(applied: Applied) -> bool:
    """Whether a rollout waits for this kind. Load balancers count only when they are new: an old one keeps its
    address."""
    kind, group = applied.manifest.ref.kind, applied.manifest.ref.group
    if kind == "Service" and group == "":
        spec = applied.manifest.body.get("spec") or {}
        return spec.get("type") == "LoadBalancer" and applied.action == Action.CREATE
    return (group, kind) in WAITED_FOR


def wanted_pods(kind: str, body: Json) -> int:
    """How many pods the object asks for now."""
    if kind == "DaemonSet":
        return int((body.get("status") or {}).get("desiredNumberScheduled") or 0)
    replicas = (body.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def extra_time(kind: str, body: Json) -> float:
    """What `minReadySeconds` costs where pods are replaced one after the other."""
    if kind not in ("StatefulSet", "DaemonSet"):
        return 0.0
    return float((body.get("spec") or {}).get("minReadySeconds") or 0) * wanted_pods(kind, body)


def replaces_pods(body: Json) -> bool:
    """Whether new pods come by themselves: not of a paused Deployment, nor where somebody has to delete the old ones."""
    spec = body.get("spec") or {}
    return not spec.get("paused") and (spec.get("updateStrategy") or {}).get("type") != "OnDelete"
