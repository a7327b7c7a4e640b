"""The order in which a deploy's objects are applied: few stages, everything inside one at once.

A later stage may need an earlier one to exist (a namespace, a definition, a Secret that a Job reads); inside a stage
Kubernetes itself sorts things out. Webhooks come after the workloads that answer them, because a webhook without a pod
refuses every object that it watches.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine.types import OBJECT_ANNOTATION, PHASE_ANNOTATION, Json, Manifest

MAX_JOB_NAME = 63  # it becomes the value of the pods' label job-name
CRD_GROUP = "apiextensions.k8s.io"
TOKEN_SECRET = "kubernetes.io/service-account-token"  # noqa: S105 - a type


class Phase(enum.StrEnum):
    """The purpose of a stage."""

    FOUNDATIONS = "foundations"
    CONFIG = "config"
    PREDEPLOY = "predeploy"
    WORKLOADS = "workloads"
    POSTDEPLOY = "postdeploy"


@dataclass(frozen=True)
class Stage:
    """Objects to apply at once, before the next stage begins. Several stages may have the same phase."""

    phase: Phase
    manifests: tuple[Manifest, ...]


_FOUNDATIONS = {
    ("", "Namespace"),
    ("", "PersistentVolume"),
    (CRD_GROUP, "CustomResourceDefinition"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "VolumeAttributesClass"),
    ("snapshot.storage.k8s.io", "VolumeSnapshotClass"),
    ("networking.k8s.io", "IngressClass"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("node.k8s.io", "RuntimeClass"),
    ("resource.k8s.io", "DeviceClass"),
}
_CONFIG = {
    ("", "ServiceAccount"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "PersistentVolumeClaim"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    *(
        ("rbac.authorization.k8s.io", kind)
        for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ),
    ("external-secrets.io", "ExternalSecret"),
    ("bitnami.com", "SealedSecret"),
}
_GATES = {  # with these the API server calls pods of this deploy, or refuses objects
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("apiregistration.k8s.io", "APIService"),
}
_ROOMS = (  # in order, with the phase that each belongs to
    ("foundations", Phase.FOUNDATIONS),
    ("config", Phase.CONFIG),
    ("tokens", Phase.CONFIG),
    ("predeploy", Phase.PREDEPLOY),
    ("workloads", Phase.WORKLOADS),
    ("gates", Phase.WORKLOADS),
    ("custom", Phase.WORKLOADS),
    ("postdeploy", Phase.POSTDEPLOY),
)


def stages(manifests: Sequence[Manifest], *, deploy_number: int) -> list[Stage]:
    """Sorts objects into stages, none empty, each object exactly once, in their given order within a stage.

    Jobs of the phases predeploy and postdeploy become `<name>-<deploy_number>`, since a finished Job cannot be changed.
    Custom resources whose definition comes with the same deploy stand after workloads and webhooks: their controller is
    part of it (cert-manager's ClusterIssuer).
    """
    defined = defined_kinds(manifest.body for manifest in manifests)
    rooms: dict[str, list[Manifest]] = {name: [] for name, _ in _ROOMS}
    for manifest in manifests:
        rooms[_room(manifest, defined)].append(manifest)
    for name in ("predeploy", "postdeploy"):
        rooms[name] = [_numbered(manifest, deploy_number) for manifest in rooms[name]]
    return [Stage(phase, tuple(rooms[name])) for name, phase in _ROOMS if rooms[name]]


def phase_of(body: Json) -> str:
    """The annotation `slipway.dev/phase`, or empty."""
    annotations = body["metadata"].get("annotations") or {}
    return str(annotations.get(PHASE_ANNOTATION) or "")


def defined_kinds(bodies: Iterable[Json]) -> dict[tuple[str, str], Json]:
    """Group and kind that each CustomResourceDefinition among the objects defines, with its `spec`."""
    found = {}
    for body in bodies:
        spec = body.get("spec")
        if body.get("kind") != "CustomResourceDefinition" or not isinstance(spec, dict):
            continue
        names = spec.get("names")
        if isinstance(names, dict) and str(body.get("apiVersion", "")).startswith(f"{CRD_GROUP}/"):
            found[str(spec.get("group", "")), str(names.get("kind", ""))] = spec
    return found


def _room(manifest: Manifest, defined: dict[tuple[str, str], Json]) -> str:
    kind = (manifest.ref.group, manifest.ref.kind)
    if kind in defined:
        return "custom"
    if kind in _FOUNDATIONS:
        return "foundations"
    if kind == ("", "Secret") and manifest.body.get("type") == TOKEN_SECRET:
        return "tokens"  # the cluster deletes one whose ServiceAccount is not there yet
    if kind in _CONFIG:
        return "config"
    if kind in _GATES:
        return "gates"
    if kind == ("batch", "Job") and (phase := phase_of(manifest.body)) in ("predeploy", "postdeploy"):
        return phase
    return "workloads"


def _numbered(manifest: Manifest, number: int) -> Manifest:
    """The Job under a name of its own for this deploy; its mark on the cluster follows."""
    ref = replace(manifest.ref, name=numbered_name(manifest.ref.name, number))
    metadata = {**manifest.body["metadata"], "name": ref.name}
    annotations = metadata.get("annotations") or {}
    if OBJECT_ANNOTATION in annotations:
        metadata["annotations"] = {**annotations, OBJECT_ANNOTATION: str(ref)}
    return replace(manifest, ref=ref, body={**manifest.body, "metadata": metadata})


def numbered_name(name: str, number: int) -> str:
    """`<name>-<number>` within 63 characters; a shortened name carries a hash, so that two never meet."""
    suffix = f"-{number}"
    if len(name) + len(suffix) > MAX_JOB_NAME:
        mark = hashlib.sha256(name.encode()).hexdigest()[:6]
        name = f"{name[: MAX_JOB_NAME - len(suffix) - 7].rstrip('-.')}-{mark}"
    return name + suffix
