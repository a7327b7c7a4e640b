"""References: found wherever pods are described, and missing ones named."""

from __future__ import annotations

from typing import Any

import pytest

from engine.manifests.documents import read_documents
from engine.manifests.fieldlines import line_of_field
from engine.manifests.missing import missing_references
from engine.manifests.references import (
    container_images,
    pod_template_of,
    pull_secrets_of,
    references_of,
    with_pod_template,
)
from engine.types import Json, Source
from tests.engine.support import read, rendered

POD = """
      serviceAccountName: runner
      imagePullSecrets: [{name: pull}]
      initContainers:
      - name: init
        image: init:1
        env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}]
      containers:
      - name: web
        image: web:1
        env:
        - {name: B, valueFrom: {secretKeyRef: {name: app, key: b}}}
        - {name: C, valueFrom: {secretKeyRef: {name: app, key: c, optional: true}}}
        - {name: D, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: E, value: x}
        envFrom: [{secretRef: {name: all}}, {configMapRef: {name: some, optional: true}}]
      ephemeralContainers: [{name: e, image: init:1}]
      volumes:
      - {name: v, secret: {secretName: certs, items: [{key: tls.crt, path: x}]}}
      - {name: w, configMap: {name: files}}
      - {name: x, persistentVolumeClaim: {claimName: data}}
      - {name: y, projected: {sources: [{secret: {name: token}}, {configMap: {name: ca, optional: true}}]}}
      - {name: z, emptyDir: {}}
"""
DEPLOYMENT = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:" + POD
)
WANTED = {
    ("ServiceAccount", "runner", "", False),
    ("Secret", "pull", "", False),
    ("ConfigMap", "settings", "a", False),
    ("Secret", "app", "b", False),
    ("Secret", "app", "c", True),
    ("Secret", "all", "", False),
    ("ConfigMap", "some", "", True),
    ("Secret", "certs", "tls.crt", False),
    ("ConfigMap", "files", "", False),
    ("PersistentVolumeClaim", "data", "", False),
    ("Secret", "token", "", False),
    ("ConfigMap", "ca", "", True),
}


def test_everything_a_pod_needs() -> None:
    (manifest,) = rendered(read(DEPLOYMENT)).manifests
    found = references_of(manifest)
    assert {(r.kind, r.name, r.key, r.optional) for r in found} == WANTED
    assert len(found) == len(WANTED)
    assert {(r.by, r.namespace) for r in found} == {(manifest.ref, "shop-staging")}
    assert container_images(manifest.body) == ["init:1", "web:1"]
    assert pull_secrets_of(manifest.body) == ["pull"]


def test_service_accounts_name_pull_secrets() -> None:
    text = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\nimagePullSecrets: [{name: pull}]\n"
    (manifest,) = rendered(read(text)).manifests
    assert [(r.kind, r.name) for r in references_of(manifest)] == [("Secret", "pull")]


def test_claim_templates_are_no_references() -> None:
    text = DEPLOYMENT.replace("Deployment", "StatefulSet").replace(
        "spec:\n  template:", "spec:\n  volumeClaimTemplates: [{metadata: {name: x}}]\n  template:"
    )
    (manifest,) = rendered(read(text)).manifests
    assert "PersistentVolumeClaim" not in {r.kind for r in references_of(manifest)}


@pytest.mark.parametrize(
    "body",
    [
        {"spec": {}},
        {"spec": {"template": {"spec": {}}}},
        {"kind": "Pod", "apiVersion": "v1", "spec": None},
        {"spec": {"template": "containers"}},
        {},
    ],
)
def test_objects_without_pods(body: Json) -> None:
    assert pod_template_of(body) is None
    assert container_images(body) == []


def test_replacing_a_template_copies_only_its_path() -> None:
    body: Json = {
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": []}}, "x": {}}}, "y": {}}
    }
    new = with_pod_template(body, {"new": 1})
    assert new["spec"]["jobTemplate"]["spec"]["template"] == {"new": 1}
    assert new["spec"]["y"] is body["spec"]["y"]
    assert body["spec"]["jobTemplate"]["spec"]["template"] == {"spec": {"containers": []}}


def missing(text: str, live: dict[tuple[str, str], set[str]]) -> list[str]:
    asked: list[Any] = []

    def look(kind: str, namespace: str, name: str) -> set[str] | None:
        assert (kind, name) not in asked, "asked twice"
        assert namespace == "shop-staging"
        asked.append((kind, name))
        return live.get((kind, name))

    return [reason for _, reason in missing_references(rendered(read(text)).manifests, look)]


LIVE = {
    ("ServiceAccount", "runner"): set[str](),
    ("Secret", "pull"): {".dockerconfigjson"},
    ("ConfigMap", "settings"): {"a"},
    ("Secret", "app"): {"b"},
    ("Secret", "all"): set[str](),
    ("Secret", "certs"): {"tls.crt"},
    ("ConfigMap", "files"): set[str](),
    ("PersistentVolumeClaim", "data"): set[str](),
    ("Secret", "token"): set[str](),
}


def test_nothing_is_missing_when_the_cluster_has_it() -> None:
    assert missing(DEPLOYMENT, LIVE) == []


def test_missing_objects_and_keys_are_named() -> None:
    live = LIVE | {("Secret", "app"): {"other"}}
    del live["ConfigMap", "files"]
    assert missing(DEPLOYMENT, live) == [
        "Deployment web needs a key of Secret app, which has no such key",
        "Deployment web needs ConfigMap files, which is neither in the config directory nor in namespace shop-staging",
    ]


def test_what_the_deploy_brings_counts_before_what_is_live() -> None:
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {other: x}\n"
    config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\nbinaryData: {a: eA==}\n"
    live = dict(LIVE)
    del live["ConfigMap", "settings"]
    assert missing(DEPLOYMENT + secret + config, live) == [
        "Deployment web needs a key of Secret app, which has no such key"
    ]


def test_the_default_service_account_is_always_there() -> None:
    assert missing(DEPLOYMENT.replace("runner", "default"), LIVE) == []


@pytest.mark.parametrize(
    "producer",
    [
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: make}\nspec: {template: {spec: {containers: "
        "[{name: a, args: [create, --secret-name=certs]}]}}}",
        "apiVersion: certs.example.org/v1\nkind: Certificate\nmetadata: {name: make}\nspec: {secretName: certs}",
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: certs}\nspec: {}",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: certs}\nspec: {}",
    ],
)
def test_what_something_of_the_deploy_produces_is_not_missing(producer: str) -> None:
    live = dict(LIVE)
    del live["Secret", "certs"]
    assert missing(DEPLOYMENT, live) != []
    assert missing(f"{DEPLOYMENT}---\n{producer}\n", live) == []


FILE = b"""# comment
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: a
    annotations:
      slipway.dev/wait: "false"
      a.b: c
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: b}
  spec:
    template:
      spec:
        containers:
        - name: x
        - name: y
          imagePullPolcy: Always
"""


@pytest.mark.parametrize(
    ("line", "path", "found"),
    [
        (12, "spec.template.spec.containers[1].imagePullPolcy", 21),
        (12, ".spec.template.spec.containers[1].image", 18),
        (12, "spec.nothing", 15),
        (12, "nothing", 12),
        (5, "metadata.annotations.slipway.dev/wait", 10),
        (5, "metadata.annotations[a.b]", 11),
        (5, 'metadata.annotations["slipway.dev/wait"]', 10),
        (5, "metadata.annotations[0]", 9),
        (7, "spec", 7),
    ],
)
def test_the_line_of_a_field(line: int, path: str, found: int) -> None:
    assert line_of_field(FILE, Source("a.yaml", line), path) == Source("a.yaml", found)


def test_lines_of_the_fixture_are_those_of_its_documents() -> None:
    assert [d.source.line for d in read_documents({"a.yaml": FILE})] == [5, 12]


def test_a_file_that_cannot_be_read_gives_the_object_itself() -> None:
    assert line_of_field(b"a: [", Source("a.yaml", 3), "a") == Source("a.yaml", 3)
    assert line_of_field(b"a: 1", Source("a.yaml", 3), "a") == Source("a.yaml", 3)
