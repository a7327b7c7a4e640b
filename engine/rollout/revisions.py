"""Pods of another revision beside the current ones of a StatefulSet.

Its status says that an update is over when it names one revision only. After a change back to what ran before it does so at
once, while pods of the revision in between still run. And its controller replaces no pod while another one is not ready, not
even one whose own revision is at fault: people have to delete that one (Kubernetes: "forced rollback").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.health.objects import Judgement, failed, waiting
from engine.health.pods import is_ready
from engine.health.quorum import rank
from engine.health.trouble import Trouble
from engine.rollout.targets import Target, wanted_pods
from engine.types import Json, Progress


def with_old_pods(target: Target, body: Json, judgement: Judgement, others: Sequence[Json]) -> Judgement:
    """The judgement, unless pods of another revision are still there although the status says that all is well. `others`: pods
    of the object that are not current."""
    if target.ref.kind != "StatefulSet" or judgement.progress != Progress.READY or not others:
        return judgement
    spec = body.get("spec") or {}
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return judgement
    wanted = wanted_pods(target.ref.kind, body)
    to_update = max(0, wanted - int((strategy.get("rollingUpdate") or {}).get("partition") or 0))
    if len(target.pods) >= to_update:
        return judgement
    return waiting(f"{len(target.pods)} of {to_update} replicas updated")


def judge_blocked(
    target: Target,
    body: Json,
    judgement: Judgement,
    others: Sequence[Json],
    troubles_of: Callable[[Json], Sequence[Trouble]],
    *,
    now: float,
    patience: float,
) -> Judgement:
    """The judgement, or a failure where a pod of another revision has been in the way for `patience` seconds: it may
    become ready by itself. `troubles_of`: of one pod. Notes in the target since when."""
    pod = in_the_way(target, body, others)
    uid = pod["metadata"].get("uid", "") if pod else ""
    if pod is None or target.blocked[1] != uid:
        target.blocked = (now, uid)
    if pod is None:
        return judgement
    trouble = blocking(pod, troubles_of(pod))
    if now - target.blocked[0] < patience:
        return Judgement(judgement.progress, f"{judgement.sentence}; {trouble.sentence}", "", trouble)
    target.pods = [pod, *target.pods]  # the evidence is of this one
    return failed(trouble.sentence, trouble.hint, trouble)


def in_the_way(target: Target, body: Json, others: Sequence[Json]) -> Json | None:
    """The pod of another revision for which the controller waits before it replaces any: not ready, while all current pods
    are. None where there is none."""
    policy = (body.get("spec") or {}).get("podManagementPolicy")
    if target.ref.kind != "StatefulSet" or policy == "Parallel":
        return None
    if not all(is_ready(pod) for pod in target.pods):
        return None
    late = [p for p in others if not is_ready(p) and not p["metadata"].get("deletionTimestamp")]
    return min(late, key=lambda pod: str(pod["metadata"]["name"]), default=None)


def blocking(pod: Json, troubles: Sequence[Trouble]) -> Trouble:
    """What is to be said of a pod that is in the way. `troubles`: its own."""
    metadata = pod["metadata"]
    name, uid = metadata["name"], metadata.get("uid", "")
    unknown = Trouble(name, uid, "blocked", "NotReady", 0.0, "it does not become ready")
    worst = min(troubles, key=lambda trouble: (rank(trouble), -trouble.exits), default=unknown)
    sentence = (
        f"pod {name} of an earlier release is in the way, the StatefulSet replaces none while it is not ready: "
        f"{worst.sentence}"
    )
    hint = (
        f"Delete that pod (kubectl -n {metadata.get('namespace')} delete pod {name}): it comes back with this release. "
        "Then deploy again."
    )
    return replace(worst, sentence=sentence, hint=hint)
