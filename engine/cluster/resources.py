"""The URL of each object: from a table of the built-in kinds (without a request), from CRDs of the same deploy, or from
discovery."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from engine.cluster.apiservices import discover
from engine.cluster.client import Client, Resource
from engine.errors import SlipwayError
from engine.types import Json, Manifest, ObjectRef

# group/version: kind plural, `*` marks kinds without a namespace. Served by every Kubernetes since 1.25.
_TABLE = """
v1: Pod pods, Service services, ConfigMap configmaps, Secret secrets, ServiceAccount serviceaccounts,
    Event events, PersistentVolumeClaim persistentvolumeclaims, Endpoints endpoints, LimitRange limitranges,
    ResourceQuota resourcequotas, PodTemplate podtemplates, ReplicationController replicationcontrollers,
    *Namespace namespaces, *Node nodes, *PersistentVolume persistentvolumes
apps/v1: Deployment deployments, StatefulSet statefulsets, DaemonSet daemonsets, ReplicaSet replicasets,
    ControllerRevision controllerrevisions
batch/v1: Job jobs, CronJob cronjobs
networking.k8s.io/v1: Ingress ingresses, NetworkPolicy networkpolicies, *IngressClass ingressclasses
policy/v1: PodDisruptionBudget poddisruptionbudgets
autoscaling/v1: HorizontalPodAutoscaler horizontalpodautoscalers
autoscaling/v2: HorizontalPodAutoscaler horizontalpodautoscalers
rbac.authorization.k8s.io/v1: Role roles, RoleBinding rolebindings, *ClusterRole clusterroles,
    *ClusterRoleBinding clusterrolebindings
storage.k8s.io/v1: *StorageClass storageclasses, *CSIDriver csidrivers, *CSINode csinodes,
    *VolumeAttachment volumeattachments
scheduling.k8s.io/v1: *PriorityClass priorityclasses
coordination.k8s.io/v1: Lease leases
discovery.k8s.io/v1: EndpointSlice endpointslices
node.k8s.io/v1: *RuntimeClass runtimeclasses
apiextensions.k8s.io/v1: *CustomResourceDefinition customresourcedefinitions
apiregistration.k8s.io/v1: *APIService apiservices
admissionregistration.k8s.io/v1: *ValidatingWebhookConfiguration validatingwebhookconfigurations,
    *MutatingWebhookConfiguration mutatingwebhookconfigurations
"""

Key = tuple[str, str, str]  # group, version, kind


def split_api_version(api_version: str) -> tuple[str, str]:
    """Group and version of an `apiVersion`: `apps/v1` -> apps, v1; `v1` -> "", v1."""
    group, _, version = api_version.rpartition("/")
    return group, version


def _read_table() -> dict[Key, Resource]:
    table: dict[Key, Resource] = {}
    for line in _TABLE.strip().replace(",\n    ", ", ").splitlines():
        api_version, _, kinds = line.partition(": ")
        group, version = split_api_version(api_version)
        for entry in kinds.split(", "):
            kind, plural = entry.split()
            name = kind.lstrip("*")
            table[group, version, name] = Resource(group, version, name, plural, not kind.startswith("*"))
    return table


BUILT_IN = _read_table()


def built_in(kind: str, api_version: str = "v1") -> Resource:
    """A kind of the static table. Raises KeyError for others."""
    return BUILT_IN[(*split_api_version(api_version), kind)]


def ref_of(body: Json) -> ObjectRef:
    """The reference of an object as the API server sends it."""
    metadata = body.get("metadata") or {}
    group, _ = split_api_version(str(body.get("apiVersion", "")))
    return ObjectRef(
        str(body.get("kind", "")), group, metadata.get("namespace") or "", metadata.get("name") or ""
    )


def crd_resources(body: Json) -> list[Resource]:
    """The kinds that a CustomResourceDefinition will serve."""
    spec = body.get("spec") or {}
    names = spec.get("names") or {}
    return [
        Resource(
            spec.get("group", ""),
            version["name"],
            names["kind"],
            names["plural"],
            spec.get("scope") != "Cluster",
        )
        for version in spec.get("versions") or []
        if version.get("served", True) and names.get("kind") and names.get("plural") and version.get("name")
    ]


class UnknownKind(SlipwayError):
    """The cluster does not serve this kind, and no CRD of the deploy defines it."""


class ClusterKinds:
    """Kinds of one cluster. Asks the API server at most once for each unknown group and version; thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._learned: dict[Key, Resource] = {}
        self._asked: dict[tuple[str, str], dict[str, Resource]] = {}

    def learn(self, manifests: Iterable[Manifest]) -> None:
        """Take the kinds of the CRDs among these manifests as known."""
        for manifest in manifests:
            if manifest.ref.kind == "CustomResourceDefinition":
                for resource in crd_resources(manifest.body):
                    self._learned[resource.group, resource.version, resource.kind] = resource

    def find(self, group: str, version: str, kind: str) -> Resource | None:
        """The resource, or None when the kind is unknown. Raises ApiError when the cluster does not answer."""
        key = (group, version, kind)
        return BUILT_IN.get(key) or self._learned.get(key) or self._discovered(group, version).get(kind)

    def namespaced(self, group: str, version: str, kind: str) -> bool | None:
        """Whether objects of the kind live in a namespace; None when the kind is unknown."""
        resource = self.find(group, version, kind)
        return resource.namespaced if resource else None

    def resource_of(self, manifest: Manifest) -> Resource:
        """The resource of a manifest. Raises UnknownKind."""
        resource = self.find(manifest.ref.group, manifest.version, manifest.ref.kind)
        if resource is None:
            kind = f"{manifest.ref.kind} ({manifest.api_version})"
            raise UnknownKind(
                f"{manifest.source}: the cluster does not know the kind {kind}.",
                hint="Check apiVersion and kind, or install what defines this kind first.",
            )
        return resource

    def path_of(self, manifest: Manifest) -> str:
        """The URL path of a manifest's object. Raises UnknownKind."""
        return self.resource_of(manifest).path(manifest.ref.namespace, manifest.ref.name)

    def _discovered(self, group: str, version: str) -> dict[str, Resource]:
        with self._lock:
            if (group, version) not in self._asked:
                found = discover(self._client, group, version)
                self._asked[group, version] = {resource.kind: resource for resource in found}
            return self._asked[group, version]
