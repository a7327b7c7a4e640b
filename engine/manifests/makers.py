"""Objects that controllers make and no manifest contains: tokens, claims, certificates.

A workload may refer to them before they exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.manifests.plan import TOKEN_SECRET
from engine.manifests.references import (
    claim_templates,
    containers_of,
    list_of,
    mapping_of,
    pod_template_of,
    text_of,
)
from engine.types import Json, Manifest

Target = tuple[str, str, str]  # kind, namespace, name
_TOKEN_KEYS = frozenset({"token", "ca.crt", "namespace"})
_ROOT_CA = ("ConfigMap", "kube-root-ca.crt")
# Groups of Kubernetes itself: its kinds make no Secret or ConfigMap that is not known here.
_OWN_GROUPS = ("", "apps", "batch", "autoscaling", "policy")


def keys_of(body: Json) -> set[str]:
    """The keys that a Secret or ConfigMap offers to pods; a token of a service account is filled in by the cluster."""
    keys = {key for part in ("data", "stringData", "binaryData") for key in mapping_of(body.get(part))}
    return keys | _TOKEN_KEYS if body.get("type") == TOKEN_SECRET else keys


def made_by_cluster(target: Target) -> set[str] | None:
    """The keys of an object that the cluster makes in every namespace; None for all other objects."""
    kind, _, name = target
    if (kind, name) == _ROOT_CA:
        return {"ca.crt"}
    return set() if (kind, name) == ("ServiceAccount", "default") else None


def made_by_deploy(manifests: Iterable[Manifest]) -> set[Target]:
    """The objects that controllers make from the objects of this deploy. Their keys are not known."""
    return {target for manifest in manifests for target in _made_of(manifest)}


def custom_objects(manifests: Sequence[Manifest], namespace: str) -> list[str]:
    """The custom objects of a deploy in a namespace, as `Database main`: an operator may make Secrets from them."""
    return [
        f"{m.ref.kind} {m.ref.name}"
        for m in manifests
        if m.ref.namespace == namespace and not _is_own(m.ref.group)
    ]


def _is_own(group: str) -> bool:
    return group in _OWN_GROUPS or group.endswith(".k8s.io")


def _made_of(manifest: Manifest) -> Iterator[Target]:
    namespace = manifest.ref.namespace
    if manifest.ref.kind == "StatefulSet":
        for name in _claims(manifest.body):
            yield "PersistentVolumeClaim", namespace, name
    for name in _secrets(manifest):
        yield "Secret", namespace, name
        yield "ConfigMap", namespace, name


def _claims(body: Json) -> Iterator[str]:
    """The claims of a StatefulSet: one of each template for each of its pods."""
    spec, name = mapping_of(body.get("spec")), body["metadata"]["name"]
    replicas, first = spec.get("replicas", 1), mapping_of(spec.get("ordinals")).get("start", 0)
    if not isinstance(replicas, int) or not isinstance(first, int):
        return
    for template in claim_templates(body):
        for ordinal in range(first, first + replicas):
            yield f"{text_of(mapping_of(template.get('metadata')).get('name'))}-{name}-{ordinal}"


def _secrets(manifest: Manifest) -> Iterable[str]:
    """Secrets and ConfigMaps of well-known operators, and all words in the arguments of a Job."""
    spec = mapping_of(manifest.body.get("spec"))
    if manifest.ref.kind == "Certificate":
        return [text_of(spec.get("secretName"))]
    if manifest.ref.kind == "ExternalSecret":
        return [text_of(mapping_of(spec.get("target")).get("name")) or manifest.ref.name]
    if manifest.ref.kind == "SealedSecret":
        return [manifest.ref.name]
    if manifest.ref.kind == "Job":
        # ingress-nginx's admission Job: `--secret-name=ingress-nginx-admission`
        return _words_of_job(manifest.body)
    return ()


def _words_of_job(body: Json) -> Iterator[str]:
    for container in containers_of(pod_template_of(body) or {}):
        for argument in [*list_of(container.get("command")), *list_of(container.get("args"))]:
            yield from str(argument).replace("=", " ").split()
