"""What controllers make is not missing; what they do not make is."""

from __future__ import annotations

import pytest

from engine.manifests.makers import custom_objects, keys_of, made_by_cluster
from engine.manifests.missing import missing_references
from tests.engine.support import read, rendered

POD = """apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers: [{name: c, image: c:1}]
  volumes: [{name: v, VOLUME}]
"""
STATEFUL_SET = """---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "db:1"}]}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]
"""


def missing(text: str) -> list[str]:
    return [reason for _, reason in missing_references(rendered(read(text)).manifests, lambda *_: None)]


@pytest.mark.parametrize(
    ("claim", "is_there"),
    [("data-db-0", True), ("data-db-1", True), ("data-db-2", False), ("other-db-0", False)],
)
def test_the_claims_of_a_stateful_set_are_those_of_its_pods(claim: str, is_there: bool) -> None:
    text = POD.replace("VOLUME", f"persistentVolumeClaim: {{claimName: {claim}}}") + STATEFUL_SET
    assert (missing(text) == []) == is_there


def test_ordinals_may_begin_later() -> None:
    text = POD.replace("VOLUME", "persistentVolumeClaim: {claimName: data-db-5}") + STATEFUL_SET
    assert missing(text.replace("replicas: 2", "replicas: 1\n  ordinals: {start: 5}")) == []
    assert len(missing(text)) == 1


@pytest.mark.parametrize(("key", "is_there"), [("ca.crt", True), ("other.crt", False)])
def test_the_authority_has_one_key(key: str, is_there: bool) -> None:
    volume = f"configMap: {{name: kube-root-ca.crt, items: [{{key: {key}, path: x}}]}}"
    assert (missing(POD.replace("VOLUME", volume)) == []) == is_there


def test_a_token_has_the_keys_that_the_cluster_fills_in() -> None:
    token = "kubernetes.io/service-account-token"
    assert keys_of({"type": token, "data": {"extra": ""}}) == {"token", "ca.crt", "namespace", "extra"}
    assert keys_of({"type": "Opaque", "stringData": {"a": ""}}) == {"a"}
    assert made_by_cluster(("Secret", "shop", "kube-root-ca.crt")) is None


def test_custom_objects_of_the_same_namespace_may_make_something() -> None:
    text = (
        "apiVersion: lab.example.org/v1\nkind: Database\nmetadata: {name: main}\n---\n"
        "apiVersion: lab.example.org/v1\nkind: Database\nmetadata: {name: far, namespace: other}\n---\n"
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: edge}\n"
    )
    given = rendered(read(text)).manifests
    assert custom_objects(given, "shop-staging") == ["Database main"]
