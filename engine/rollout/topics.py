"""What a rollout follows from its start: the kinds that it waits for, and their pods."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cluster.feed import Topic
from engine.cluster.resources import ClusterKinds, built_in
from engine.rollout.targets import WAITED_FOR
from engine.types import Manifest


def is_watched(manifest: Manifest) -> bool:
    """Whether the object's kind is followed from the start."""
    return (manifest.ref.group, manifest.ref.kind) in WAITED_FOR or _is_load_balancer(manifest)


def _is_load_balancer(manifest: Manifest) -> bool:
    spec = manifest.body.get("spec") or {}
    return manifest.ref.kind == "Service" and not manifest.ref.group and spec.get("type") == "LoadBalancer"


def topics_of(manifests: Sequence[Manifest], kinds: ClusterKinds) -> list[Topic]:
    """What to follow from the start: the kinds that are waited for, and pods wherever one of them makes some."""
    topics: dict[Topic, None] = {}
    for manifest in manifests:
        if is_watched(manifest):
            topics[Topic(kinds.resource_of(manifest), manifest.ref.namespace)] = None
            if manifest.ref.kind != "Service":
                topics[Topic(built_in("Pod"), manifest.ref.namespace)] = None
    return list(topics)
