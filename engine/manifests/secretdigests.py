"""Digests of Secret values on pod templates: pods are replaced when a value that they read changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.manifests.masking import Digest, is_secret, key_digests
from engine.manifests.references import (
    mapping_of,
    pod_template_of,
    pull_secrets_of,
    references_of,
    with_pod_template,
)
from engine.types import Manifest, ObjectRef

SECRETS_ANNOTATION = (
    "slipway.dev/secrets"  # on pod templates: changes with the Secret values that the pods read
)
_ROLLED_KINDS = {("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet")}


def with_secret_digests(manifests: Sequence[Manifest], digest: Digest) -> list[Manifest]:
    """Workloads that read Secrets of this deploy get a digest of exactly those keys on their pod template."""
    secrets = {m.ref: key_digests(m.body, digest) for m in manifests if is_secret(m.body)}
    if not secrets:
        return list(manifests)
    return [_with_secret_digest(manifest, secrets, digest) for manifest in manifests]


def _with_secret_digest(
    manifest: Manifest, secrets: Mapping[ObjectRef, dict[str, str]], digest: Digest
) -> Manifest:
    template = pod_template_of(manifest.body)
    if template is None or (manifest.ref.group, manifest.ref.kind) not in _ROLLED_KINDS:
        return manifest
    pull_secrets = set(pull_secrets_of(manifest.body))
    read = {}
    for reference in references_of(manifest):
        keys = secrets.get(ObjectRef("Secret", "", reference.namespace, reference.name))
        if reference.kind == "Secret" and keys is not None and reference.name not in pull_secrets:
            wanted = [reference.key] if reference.key else keys
            read.update({f"{reference.name}/{key}": keys.get(key, "") for key in wanted})
    if not read:
        return manifest
    metadata = dict(mapping_of(template.get("metadata")))
    value = digest(json.dumps(read, sort_keys=True).encode())
    metadata["annotations"] = {**mapping_of(metadata.get("annotations")), SECRETS_ANNOTATION: value}
    return replace(manifest, body=with_pod_template(manifest.body, {**template, "metadata": metadata}))
