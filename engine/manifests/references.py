"""The references of a deploy's objects: Secrets, ConfigMaps, service accounts, volume claims, images.

Read from pod templates wherever they stand (workloads, CronJobs, custom resources with a `template`), so that a missing
Secret key is named before anything is written instead of leaving pods in CreateContainerConfigError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.types import Json, Manifest, ObjectRef

CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Reference:
    """One object, or one key of it, that `by` needs. `key` is empty for the whole object."""

    by: ObjectRef
    kind: str  # Secret, ConfigMap, ServiceAccount, PersistentVolumeClaim
    namespace: str
    name: str
    key: str = ""
    optional: bool = False


def pod_template_of(body: Json) -> Json | None:
    """The pod template of a workload (the object itself for a Pod), or None. It has `spec.containers`."""
    path = _template_path(body)
    if path is None:
        return None
    for key in path:
        body = body[key]
    return body


def with_pod_template(body: Json, template: Json) -> Json:
    """The object with another pod template in place of its own. Only the parts on the way to it are copied."""
    path = _template_path(body) or ()
    return _with(body, path, template)


def _with(body: Json, path: tuple[str, ...], value: Json) -> Json:
    return {**body, path[0]: _with(body[path[0]], path[1:], value)} if path else value


_TEMPLATE_PATHS = (("spec", "template"), ("spec", "jobTemplate", "spec", "template"), ("template",))


def _template_path(body: Json) -> tuple[str, ...] | None:
    if body.get("kind") == "Pod" and body.get("apiVersion") == "v1":
        return () if _has_containers(body) else None
    for path in _TEMPLATE_PATHS:
        if path[0] not in body:  # most objects have neither
            continue
        node: Any = body
        for key in path:
            node = mapping_of(node).get(key)
        if isinstance(node, dict) and _has_containers(node):
            return path
    return None


def container_images(body: Json) -> list[str]:
    """Image references of all containers, init and ephemeral ones included, in order, each once."""
    template = pod_template_of(body)
    images = [c.get("image") for c in containers_of(template)] if template else []
    return list(dict.fromkeys(image for image in images if isinstance(image, str) and image))


def pull_secrets_of(body: Json) -> list[str]:
    """Names of the pull secrets that the object itself gives (a workload or a ServiceAccount)."""
    template = pod_template_of(body)
    holder = (
        mapping_of(template.get("spec")) if template else body if body.get("kind") == "ServiceAccount" else {}
    )
    return [
        entry["name"]
        for entry in mappings_of(holder.get("imagePullSecrets"))
        if isinstance(entry.get("name"), str)
    ]


def containers_of(template: Json) -> Iterator[Json]:
    """All containers of a pod template, init and ephemeral ones included."""
    spec = mapping_of(template.get("spec"))
    for name in CONTAINER_LISTS:
        yield from mappings_of(spec.get(name))


def references_of(manifest: Manifest) -> list[Reference]:
    """Everything the object's pods, or the ServiceAccount, need from the same namespace; each once."""
    found = dict.fromkeys(
        (kind, name, key, optional) for kind, name, key, optional in _found(manifest.body) if name
    )
    return [
        Reference(manifest.ref, kind, manifest.ref.namespace, name, key, opt)
        for kind, name, key, opt in found
    ]


_Found = tuple[str, str, str, bool]


def _found(body: Json) -> Iterator[_Found]:
    for name in pull_secrets_of(body):
        yield "Secret", name, "", False
    template = pod_template_of(body)
    if template is None:
        return
    spec = mapping_of(template.get("spec"))
    yield "ServiceAccount", str(spec.get("serviceAccountName") or spec.get("serviceAccount") or ""), "", False
    for container in containers_of(template):
        yield from _of_container(container)
    templates = {mapping_of(claim.get("metadata")).get("name") for claim in claim_templates(body)}
    for volume in mappings_of(spec.get("volumes")):
        if volume.get("name") not in templates:
            yield from _of_volume(volume)


def claim_templates(body: Json) -> list[Json]:
    """The claim templates of a StatefulSet."""
    return mappings_of(mapping_of(body.get("spec")).get("volumeClaimTemplates"))


def _of_container(container: Json) -> Iterator[_Found]:
    for variable in mappings_of(container.get("env")):
        source = mapping_of(variable.get("valueFrom"))
        yield from _selected("Secret", source.get("secretKeyRef"))
        yield from _selected("ConfigMap", source.get("configMapKeyRef"))
    for entry in mappings_of(container.get("envFrom")):
        yield from _selected("Secret", entry.get("secretRef"))
        yield from _selected("ConfigMap", entry.get("configMapRef"))


def _of_volume(volume: Json) -> Iterator[_Found]:
    secret = mapping_of(volume.get("secret"))
    yield from _projected("Secret", secret, secret.get("secretName"))
    config = mapping_of(volume.get("configMap"))
    yield from _projected("ConfigMap", config, config.get("name"))
    claim = mapping_of(volume.get("persistentVolumeClaim"))
    yield "PersistentVolumeClaim", text_of(claim.get("claimName")), "", False
    for source in mappings_of(mapping_of(volume.get("projected")).get("sources")):
        for kind, field in (("Secret", "secret"), ("ConfigMap", "configMap")):
            entry = mapping_of(source.get(field))
            yield from _projected(kind, entry, entry.get("name"))


def _selected(kind: str, selector: Any) -> Iterator[_Found]:
    entry = mapping_of(selector)
    yield kind, text_of(entry.get("name")), text_of(entry.get("key")), entry.get("optional") is True


def _projected(kind: str, volume: Json, name: Any) -> Iterator[_Found]:
    optional = volume.get("optional") is True
    keys = [text_of(item.get("key")) for item in mappings_of(volume.get("items"))]
    for key in keys or [""]:
        yield kind, text_of(name), key, optional


def _has_containers(template: Json) -> bool:
    return isinstance(mapping_of(template.get("spec")).get("containers"), list)


def mapping_of(value: Any) -> Json:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def mappings_of(value: Any) -> list[Json]:
    """The mappings of a list; nothing when it is no list. Manifests may hold anything."""
    return [item for item in list_of(value) if isinstance(item, dict)]


def text_of(value: Any) -> str:
    """The value if it is text, else empty."""
    return value if isinstance(value, str) else ""
