"""A kept release with new Secrets from its secrets files; all other objects stay.

A rollback (`stored.from_stored`) refuses changed values. Here they may change, and the marks on pod templates change with them
(`digests.with_marks`), so that only workloads that read a changed key restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.manifests.digests import with_marks
from engine.manifests.documents import Document, refuse
from engine.manifests.masking import Digests, without_last_applied
from engine.manifests.render import marked, same_twice
from engine.manifests.stored import from_stored
from engine.types import Json, Manifest, ObjectRef


def with_other_secrets(
    stored: Sequence[Json],
    *,
    secrets: Mapping[str, Sequence[Document]],
    git_documents: Sequence[Document],
    namespace: str,
    environment_label: str,
    digests: Digests,
) -> list[Manifest]:
    """The manifests of a kept release, in its order, with the Secrets of `secrets` (documents by the path of the secrets
    file, for every such file of the release) in place of its own. `git_documents`: those of the release's revision, for
    Secrets that live in Git; these must be as they were.

    Raises ManifestError when an object would be there twice, SlipwayError as `from_stored` does.
    """
    found: list[Manifest] = []
    placed: set[str] = set()
    for entry in stored:
        path = entry.get("from", {}).get("file", "")
        if not path:
            found += from_stored([entry], secrets={}, git_documents=git_documents, digests=digests)
        elif path not in placed:
            placed.add(path)
            found += [_secret(document, path, namespace, environment_label) for document in secrets[path]]
    problems = list(same_twice(found))
    if problems:
        refuse(problems)
    return with_marks(found, digests, before=stored)


def _secret(document: Document, path: str, namespace: str, environment_label: str) -> Manifest:
    """A Secret of a secrets file as rendering makes it: with its namespace and the portal's marks."""
    body = without_last_applied(document.body)
    metadata = body["metadata"]
    ref = ObjectRef("Secret", "", metadata.get("namespace") or namespace, metadata["name"])
    return Manifest(ref, "v1", marked(body, ref, environment_label), document.source, path)
