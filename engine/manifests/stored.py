"""A release as it is kept: every rendered object, Secrets as names and keyed digests of their values, never the values.

A rollback restores the objects from it; the values of Secrets are fetched again, from the pinned version of the secrets
file or from the revision, and must still have the digests that were kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import SlipwayError
from engine.manifests.documents import Document
from engine.manifests.masking import (
    BOUND,
    LAST_APPLIED,
    Digests,
    is_secret,
    key_digests,
    without_last_applied,
)
from engine.manifests.secretfiles import normal_data
from engine.manifests.variables import Filler, Variable
from engine.types import Json, Manifest, ObjectRef, Source


def to_stored(
    manifests: Sequence[Manifest], *, digests: Digests, version_ids: Mapping[str, str]
) -> list[Json]:
    """The objects as JSON without secret values. `version_ids`: AWS VersionId by path of the secrets file."""
    return [_stored(manifest, digests, version_ids) for manifest in manifests]


def _stored(manifest: Manifest, digests: Digests, version_ids: Mapping[str, str]) -> Json:
    if not is_secret(manifest.body):
        return {"object": without_last_applied(manifest.body), "source": str(manifest.source)}
    return {
        "secret": _stored_secret(manifest, digests),
        "source": str(manifest.source),
        "from": _origin(manifest, version_ids),
    }


def _stored_secret(manifest: Manifest, digests: Digests) -> Json:
    """The public part of a Secret. A field that is not known to be public is not kept."""
    body, metadata = manifest.body, manifest.body["metadata"]
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED
    }
    stored: Json = {
        "ref": str(manifest.ref),
        "apiVersion": manifest.api_version,
        "labels": dict(metadata.get("labels") or {}),
        "annotations": annotations,
        "keys": key_digests(body, digests.here),
        BOUND: True,
    }
    for field in ("type", "immutable"):
        if body.get(field) is not None:
            stored[field] = body[field]
    return stored


def _origin(manifest: Manifest, version_ids: Mapping[str, str]) -> Json:
    if manifest.secrets_file:
        return {"file": manifest.secrets_file, "version_id": version_ids.get(manifest.secrets_file, "")}
    return {"git": str(manifest.source), "variables": [list(variable) for variable in manifest.filled]}


def from_stored(
    stored: Sequence[Json],
    *,
    secrets: Mapping[str, Sequence[Document]],
    git_documents: Sequence[Document],
    digests: Digests,
) -> list[Manifest]:
    """The manifests of a kept release, in its order.

    `secrets`: documents of the pinned version of each secrets file, by path; `git_documents`: those of the release's
    revision, for Secrets that live in Git. Raises SlipwayError when a Secret is gone or a value is no longer the one
    that was kept; no value is named.
    """
    return [_restored(entry, secrets, git_documents, digests) for entry in stored]


def secrets_of_files(stored: Sequence[Json]) -> dict[str, list[Document]]:
    """The Secrets that came from secrets files, without values, by the file's path: what a flat secrets file stands for
    where there is no reference file to ask."""
    found: dict[str, list[Document]] = {}
    for entry in stored:
        if path := entry.get("from", {}).get("file", ""):
            kept, ref = entry["secret"], ObjectRef.parse(entry["secret"]["ref"])
            metadata = {"name": ref.name, "namespace": ref.namespace}
            body = {"apiVersion": kept["apiVersion"], "kind": ref.kind, "metadata": metadata}
            found.setdefault(path, []).append(Document(body, _source(entry["source"])))
    return found


def _restored(
    entry: Json,
    secrets: Mapping[str, Sequence[Document]],
    git_documents: Sequence[Document],
    digests: Digests,
) -> Manifest:
    source = _source(entry["source"])
    if "object" in entry:
        body = entry["object"]
        return _manifest_of(body, source)
    kept, origin = entry["secret"], entry["from"]
    ref = ObjectRef.parse(kept["ref"])
    filled = tuple((name, value, type_) for name, value, type_ in origin.get("variables", ()))
    data = (
        _data_from_file(ref, origin, secrets)
        if "file" in origin
        else _data_from_git(ref, origin, filled, git_documents)
    )
    metadata = {
        "name": ref.name,
        "namespace": ref.namespace,
        "labels": kept["labels"],
        "annotations": kept["annotations"],
    }
    body = {"apiVersion": kept["apiVersion"], "kind": ref.kind, "metadata": metadata, "data": data}
    body.update({field: kept[field] for field in ("type", "immutable") if field in kept})
    _check_digests(ref, kept["keys"], key_digests(body, digests.of(kept)), origin)
    return Manifest(ref, kept["apiVersion"].rpartition("/")[2], body, source, origin.get("file", ""), filled)


def _manifest_of(body: Json, source: Source) -> Manifest:
    group, _, version = body["apiVersion"].rpartition("/")
    metadata = body["metadata"]
    ref = ObjectRef(body["kind"], group, metadata.get("namespace", ""), metadata["name"])
    return Manifest(ref, version, body, source)


def _data_from_file(
    ref: ObjectRef, origin: Json, secrets: Mapping[str, Sequence[Document]]
) -> dict[str, str]:
    return _data_of(ref, secrets.get(origin["file"], ()), f"the secrets file {origin['file']}")


def _data_from_git(
    ref: ObjectRef, origin: Json, filled: Sequence[tuple[str, str, str]], documents: Sequence[Document]
) -> dict[str, str]:
    """The values of a Secret in Git, found by the place where it stood, with the variables of that release."""
    filler = Filler(Variable(name, value, _type(kind)) for name, value, kind in filled)
    here = [
        Document(filler.fill(document.body), document.source)
        for document in documents
        if str(document.source) == origin["git"] and is_secret(document.body)
    ]
    return _data_of(ref, here, origin["git"])


def _type(text: str) -> Any:
    return text if text in ("number", "boolean") else "string"


def _data_of(ref: ObjectRef, documents: Sequence[Document], where: str) -> dict[str, str]:
    """The data of the named Secret; one with the exact namespace goes before one without."""
    named = [d for d in documents if is_secret(d.body) and d.body["metadata"]["name"] == ref.name]
    fitting = [d for d in named if d.body["metadata"].get("namespace") == ref.namespace] or [
        d for d in named if not d.body["metadata"].get("namespace")
    ]
    problems: list[str] = []
    if fitting:
        data = normal_data(fitting[0].body, where=where, problems=problems)
        if not problems:
            return data
    message = f"Secret {ref.namespace}/{ref.name} of that release cannot be restored: it is not in {where}."
    raise SlipwayError(message, hint=_HINT)


_HINT = "Nothing was changed on the cluster. Deploy the revision again instead; it takes today's values."

_OTHER_KEY = (
    "Every value differs: was the portal's DIGEST_KEY changed since that release? Then releases of before can be rolled back "
    "to only with the old key."
)


def _check_digests(ref: ObjectRef, kept: Mapping[str, str], found: Mapping[str, str], origin: Json) -> None:
    changed = sorted(key for key in kept.keys() | found.keys() if kept.get(key) != found.get(key))
    if changed:
        where = origin.get("file") or origin.get("git")
        what = f"Secret {ref.namespace}/{ref.name} in {where}"
        count = "1 key differs" if len(changed) == 1 else f"{len(changed)} keys differ"
        message = f"{what} no longer has the values of that release: {count}."
        all_differ = len(kept) > 1 and kept.keys() == found.keys() and len(changed) == len(kept)
        hint = f"{_HINT} {_OTHER_KEY}" if all_differ else _HINT
        raise SlipwayError(message, hint=hint, key_names={message: tuple(changed)})


def _source(text: str) -> Source:
    file, _, line = text.rpartition(":")
    return Source(file, int(line))


def content_hash(stored: Sequence[Json]) -> str:
    """A hash (SHA-256, hex) of the applied objects. Order, source lines and version ids do not change it."""
    parts = sorted(_canonical(entry.get("object", entry.get("secret"))) for entry in stored)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
