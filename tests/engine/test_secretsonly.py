"""The secrets alone: the objects of a kept release, other Secrets, and marks that restart exactly the readers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document
from engine.manifests.masking import is_secret
from engine.manifests.secretfiles import parse_secrets_file, read_secrets
from engine.manifests.secretsonly import with_other_secrets
from engine.manifests.stored import secrets_of_files, to_stored
from engine.types import Json, Manifest
from tests.engine.support import DIGESTS, b64, read, rendered

REFERENCE = "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\ndata: {TOKEN: '', PIN: ''}\n"


def reader(name: str, key: str, kind: str = "Deployment") -> str:
    return f"""---
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  template:
    spec:
      containers:
      - name: {name}
        image: registry.example.com/shop/web
        env: [{{name: A, valueFrom: {{secretKeyRef: {{name: app, key: {key}}}}}}}]
"""


WORKLOADS = reader("token", "TOKEN") + reader("pin", "PIN", "StatefulSet")
IN_GIT = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: fixed}\nstringData: {PIN: hunter2}\n"


def populated(**values: str) -> list[Document]:
    rows = "".join(f"  {key}: {b64(value)}\n" for key, value in values.items())
    head = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n  labels: {team: shop}\ndata:\n"
    return parse_secrets_file(head + rows, path="secret.yaml")


def documents() -> list[Document]:
    return [*read(REFERENCE, "secret.yaml"), *read(WORKLOADS + IN_GIT)]


def release(**values: str) -> tuple[list[Manifest], list[Json]]:
    """The objects of a deploy, and the release that is kept of it."""
    manifests = list(
        rendered(documents(), secrets={"secret.yaml": populated(**values)}, digested=True).manifests
    )
    kept = to_stored(manifests, digests=DIGESTS, version_ids={"secret.yaml": "v1"})
    return manifests, json.loads(json.dumps(kept))


def alone(kept: list[Json], secrets: list[Document], **more: Any) -> list[Manifest]:
    given: dict[str, Any] = {"git_documents": documents(), **more}
    return with_other_secrets(
        kept, secrets={"secret.yaml": secrets}, namespace="shop-staging", environment_label="shop.staging",
        digests=DIGESTS, **given,
    )  # fmt: skip


def bodies(manifests: list[Manifest]) -> dict[str, Json]:
    return {str(manifest.ref): manifest.body for manifest in manifests}


def test_the_same_secrets_give_the_same_objects() -> None:
    manifests, kept = release(TOKEN="t", PIN="p")
    assert bodies(alone(kept, populated(TOKEN="t", PIN="p"))) == bodies(manifests)


def test_only_the_secret_and_the_readers_of_what_changed_are_others() -> None:
    manifests, kept = release(TOKEN="t", PIN="p")
    before, after = bodies(manifests), bodies(alone(kept, populated(TOKEN="new", PIN="p")))
    assert before.keys() == after.keys()
    assert [ref for ref in before if before[ref] != after[ref]] == [
        "Secret/shop-staging/app",
        "Deployment.apps/shop-staging/token",
    ]


def test_it_is_what_a_whole_deploy_of_the_same_revision_makes() -> None:
    _, kept = release(TOKEN="t", PIN="p")
    manifests, _ = release(TOKEN="new", PIN="p", MORE="m")
    assert bodies(alone(kept, populated(TOKEN="new", PIN="p", MORE="m"))) == bodies(manifests)


def test_a_flat_file_stands_for_the_secret_of_the_release() -> None:
    _, kept = release(TOKEN="t", PIN="p")
    reference = secrets_of_files(kept)["secret.yaml"]
    flat = read_secrets('{"TOKEN": "new", "PIN": "p"}', path="secret.yaml", reference=reference)
    (found,) = [body for body in bodies(alone(kept, flat)).values() if body["metadata"]["name"] == "app"]
    assert found["data"] == {"TOKEN": b64("new"), "PIN": b64("p")}
    assert found["metadata"]["namespace"] == "shop-staging"


def test_secrets_of_several_documents_stand_where_the_first_stood() -> None:
    _, kept = release(TOKEN="t", PIN="p")
    more = parse_secrets_file(REFERENCE.replace("name: app", "name: more"), path="secret.yaml")
    names = [m.ref.name for m in alone(kept, [*populated(TOKEN="t", PIN="p"), *more]) if is_secret(m.body)]
    assert names == ["app", "more", "fixed"]


def test_a_secret_in_git_must_be_as_it_was() -> None:
    _, kept = release(TOKEN="t", PIN="p")
    other = read(WORKLOADS + IN_GIT.replace("hunter2", "hunter3"))
    with pytest.raises(SlipwayError, match="1 key differs") as caught:
        alone(kept, populated(TOKEN="t", PIN="p"), git_documents=other)
    assert "PIN" not in caught.value.message
    assert list(caught.value.key_names.values()) == [("PIN",)]


def test_a_secret_that_is_there_already_is_refused() -> None:
    _, kept = release(TOKEN="t", PIN="p")
    twice = parse_secrets_file(REFERENCE.replace("name: app", "name: fixed"), path="secret.yaml")
    with pytest.raises(ManifestError, match="Secret fixed of namespace shop-staging is already defined"):
        alone(kept, twice)
