"""Digests on pod templates (marks): a changed Secret or ConfigMap changes the mark of its readers, so exactly they restart.

One annotation covers the Secrets of the release, one its ConfigMaps; each is set only where the pods read any. A workload
that the release that runs has without a mark stays without it until a value that it reads changes. A mark of the older form
(`masking.Digests`) stays likewise as long as it is right. So the first deploy after an upgrade of the portal restarts no
workload only for a mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.manifests.masking import Digest, Digests, is_secret, key_digests
from engine.manifests.references import (
    mapping_of,
    pod_template_of,
    pull_secrets_of,
    references_of,
    with_pod_template,
)
from engine.types import Json, Manifest, ObjectRef

SECRETS_ANNOTATION = "slipway.dev/secrets"  # changes with the Secret values that the pods read
CONFIG_ANNOTATION = "slipway.dev/config"  # the same for ConfigMaps
_MARKS = (("Secret", SECRETS_ANNOTATION), ("ConfigMap", CONFIG_ANNOTATION))
_MARKED_KINDS = {("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("batch", "CronJob")}

_Sources = Mapping[ObjectRef, Mapping[str, str]]  # digest of each value by its key


@dataclass(frozen=True)
class _Before:
    """The release that runs: digests of its Secrets and ConfigMaps, in the form that it was stored with, and the annotations of
    its pod templates."""

    form: Digest
    sources: _Sources
    templates: Mapping[ObjectRef, Json]


def with_marks(
    manifests: Sequence[Manifest], digests: Digests, *, before: Sequence[Json] = ()
) -> list[Manifest]:
    """The objects, with marks on the workloads that read Secrets or ConfigMaps of the same release. `before`: the stored objects
    of the release that runs now."""
    last = _last(before, digests.of_release(before))
    sources = {form: _sources_of(manifests, form) for form in (digests.here, digests.anywhere)}
    return [_marked(manifest, sources, last, digests) for manifest in manifests]


def _sources_of(manifests: Sequence[Manifest], digest: Digest) -> _Sources:
    return dict(_source(one.ref, one.body, digest) for one in manifests if _is_read(one.body))


def _marked(
    manifest: Manifest, sources: Mapping[Digest, _Sources], before: _Before, digests: Digests
) -> Manifest:
    template = pod_template_of(manifest.body)
    if template is None or (manifest.ref.group, manifest.ref.kind) not in _MARKED_KINDS:
        return manifest
    had = before.templates.get(manifest.ref)
    marks = {}
    for kind, name in _MARKS:
        values = {form: _read(manifest, kind, found, form) for form, found in sources.items()}
        was = _read(manifest, kind, before.sources, before.form)
        unmarked = had is not None and name not in had and values[before.form] == was
        if values[digests.here] and not unmarked:
            old = had is not None and had.get(name) == values[digests.anywhere]
            marks[name] = values[digests.anywhere if old else digests.here]
    if not marks:
        return manifest
    metadata = dict(mapping_of(template.get("metadata")))
    metadata["annotations"] = {**mapping_of(metadata.get("annotations")), **marks}
    return replace(manifest, body=with_pod_template(manifest.body, {**template, "metadata": metadata}))


def _read(manifest: Manifest, kind: str, sources: _Sources, digest: Digest) -> str:
    """One digest over exactly those keys that the pods read; empty when they read none of `sources`. Pull secrets are
    read by the kubelet, for each new pod."""
    pull_secrets = set(pull_secrets_of(manifest.body)) if kind == "Secret" else set()
    read = {}
    for reference in references_of(manifest):
        keys = sources.get(ObjectRef(kind, "", reference.namespace, reference.name))
        if reference.kind == kind and keys is not None and reference.name not in pull_secrets:
            wanted = [reference.key] if reference.key else keys
            read.update({f"{reference.name}/{key}": keys.get(key, "") for key in wanted})
    return digest(json.dumps(read, sort_keys=True).encode()) if read else ""


def _is_read(body: Json) -> bool:
    return is_secret(body) or _is_config_map(body)


def _is_config_map(body: Json) -> bool:
    return body.get("kind") == "ConfigMap" and body.get("apiVersion") == "v1"


def _source(ref: ObjectRef, body: Json, digest: Digest) -> tuple[ObjectRef, Mapping[str, str]]:
    """The digest by key of a Secret or ConfigMap."""
    if is_secret(body):
        return ref, key_digests(body, digest)
    values = [*mapping_of(body.get("data")).items(), *mapping_of(body.get("binaryData")).items()]
    return ref, {key: digest(f"{ref}/{key}".encode() + b"\0" + str(value).encode()) for key, value in values}


def _last(stored: Sequence[Json], digest: Digest) -> _Before:
    """The same data from the stored objects of a release."""
    bodies = [(_ref(entry["object"]), entry["object"]) for entry in stored if "object" in entry]
    sources = dict(_source(ref, body, digest) for ref, body in bodies if _is_config_map(body))
    sources |= dict(_kept_secrets(stored))
    templates = {ref: pod_template_of(body) for ref, body in bodies}
    return _Before(
        digest,
        sources,
        {
            ref: mapping_of(mapping_of(template.get("metadata")).get("annotations"))
            for ref, template in templates.items()
            if template is not None
        },
    )


def _kept_secrets(stored: Sequence[Json]) -> Iterable[tuple[ObjectRef, Mapping[str, str]]]:
    for entry in stored:
        if "secret" in entry and "ref" in entry["secret"]:
            yield ObjectRef.parse(entry["secret"]["ref"]), entry["secret"]["keys"]


def _ref(body: Json) -> ObjectRef:
    group = body["apiVersion"].rpartition("/")[0]
    return ObjectRef(body["kind"], group, body["metadata"].get("namespace", ""), body["metadata"]["name"])
