"""What a pod needs before its containers can start: the Secrets and ConfigMaps it names, and its pull secrets.

Messages are the kubelet's (pkg/kubelet/kubelet_pods.go, pkg/volume/{secret,configmap,projected}).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.types import Json
from sandbox.cluster.api import Api
from sandbox.node.images import Login, logins_of

_PATHS = {"Secret": "secrets", "ConfigMap": "configmaps"}
_NOUNS = {"Secret": "secret", "ConfigMap": "configmap"}  # as the kubelet's errors write them
_VOLUME_NOUNS = {"Secret": "secret", "ConfigMap": "config"}


@dataclass(frozen=True)
class Need:
    """One object, or one key of it, that a pod names. `key` is empty when the whole object is meant."""

    kind: str  # Secret or ConfigMap
    name: str
    key: str = ""
    optional: bool = False


class References:
    """Looks for what a pod names. Raises ApiFailed when the API server does not answer."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def missing_for_container(self, namespace: str, container: Json) -> str:
        """Why the container's environment cannot be made, in the kubelet's words; "" when it can."""
        for need in environment_needs(container):
            if (keys := self._keys(namespace, need)) is None:
                return f'{_NOUNS[need.kind]} "{need.name}" not found'
            if need.key and need.key not in keys and not need.optional:
                return f"couldn't find key {need.key} in {need.kind} {namespace}/{need.name}"
        return ""

    def missing_for_volumes(self, namespace: str, pod_spec: Json) -> str:
        """Why a volume cannot be mounted, as the event FailedMount says it; "" when all can."""
        for volume, need in volume_needs(pod_spec):
            why = ""
            if (keys := self._keys(namespace, need)) is None:
                why = f'{_NOUNS[need.kind]} "{need.name}" not found'
            elif need.key and need.key not in keys and not need.optional:
                why = f"references non-existent {_VOLUME_NOUNS[need.kind]} key: {need.key}"
            if why:
                return f'MountVolume.SetUp failed for volume "{volume}" : {why}'
        return ""

    def logins(self, namespace: str, pod_spec: Json) -> tuple[list[Login], list[str]]:
        """The logins of the pod's pull secrets, and the names of those that do not exist."""
        logins: list[Login] = []
        missing: list[str] = []
        for name in (entry.get("name", "") for entry in pod_spec.get("imagePullSecrets") or []):
            secret = self._api.find(f"/api/v1/namespaces/{namespace}/secrets/{name}") if name else None
            if secret is None:
                missing.append(name)
            else:
                logins += logins_of(secret)
        return logins, missing

    def _keys(self, namespace: str, need: Need) -> set[str] | None:
        """The keys of the object; None when it is missing and must not be."""
        found = self._api.find(f"/api/v1/namespaces/{namespace}/{_PATHS[need.kind]}/{need.name}")
        if found is None:
            return {need.key} if need.optional else None
        return {*(found.get("data") or {}), *(found.get("binaryData") or {})}


def environment_needs(container: Json) -> Iterator[Need]:
    """What the container's environment names, in the order in which a kubelet looks."""
    for source in container.get("envFrom") or []:
        for kind, part in (("ConfigMap", source.get("configMapRef")), ("Secret", source.get("secretRef"))):
            if part:
                yield Need(kind, part.get("name", ""), optional=bool(part.get("optional")))
    for variable in container.get("env") or []:
        value = variable.get("valueFrom") or {}
        for kind, part in (
            ("ConfigMap", value.get("configMapKeyRef")),
            ("Secret", value.get("secretKeyRef")),
        ):
            if part:
                yield Need(kind, part.get("name", ""), part["key"], bool(part.get("optional")))


def volume_needs(pod_spec: Json) -> Iterator[tuple[str, Need]]:
    """What the volumes name, as (volume, need). The token volume that every pod has is left out: it always works."""
    for volume in pod_spec.get("volumes") or []:
        name = volume["name"]
        if name.startswith("kube-api-access-"):
            continue
        sources = [volume, *((volume.get("projected") or {}).get("sources") or [])]
        for source in sources:
            for need in _source_needs(source):
                yield name, need


def _source_needs(source: Json) -> Iterator[Need]:
    for kind, part in (("ConfigMap", source.get("configMap")), ("Secret", source.get("secret"))):
        if not part:
            continue
        name = part.get("name") or part.get("secretName") or ""
        optional = bool(part.get("optional"))
        yield Need(kind, name, optional=optional)
        for item in part.get("items") or []:
            yield Need(kind, name, item["key"], optional)
