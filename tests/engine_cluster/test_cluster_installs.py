"""Definitions with their objects, webhooks that do not answer, and two install files as their projects publish them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.cluster.apply import ApplyError, Patience
from engine.cluster.resources import ClusterKinds, ref_of
from engine.limits import Limits
from engine.manifests.documents import read_documents
from engine.types import Action, Json, Manifest, ObjectRef, Progress
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import config_map, manifests
from tests.observer import Watching

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
# What others publish heals as on a real cluster: a Job makes the Secret that a pod mounts.
AS_LONG = replace(Limits(), settle=1.0)
# Made before the rest: until the API server knows of a new webhook, it takes objects without asking it.
EARLY = {"CustomResourceDefinition", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}


def widget_definition(group: str, scope: str = "Namespaced") -> Json:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def widget(group: str, where: str, **spec: object) -> Json:
    metadata = {"name": "one", **({"namespace": where} if where else {})}
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": metadata, "spec": spec}


@pytest.fixture
def group(cluster: Cluster) -> Iterator[str]:
    """An API group of this test; its definition is removed afterwards."""
    name = f"g{time.time_ns() % 10**9}.example.org"
    yield name
    cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{name}")


def test_a_definition_and_its_object_in_one_deploy(cluster: Cluster, group: str) -> None:
    where = cluster.namespace
    bodies = (widget(group, where, size=1), widget_definition(group))
    found = {change.ref.kind: change for change in cluster.preview(*bodies)}
    assert found["Widget"].deferred
    assert found["CustomResourceDefinition"].action == Action.CREATE
    result, observer = cluster.deploy(*bodies)
    assert result.ok
    assert cluster.get(f"/apis/{group}/v1/namespaces/{where}/widgets/one")["spec"] == {"size": 1}
    (change,) = cluster.preview(widget(group, where, size=2))
    assert (change.action, "+  size: 2" in change.diff) == (Action.CHANGE, True)
    assert observer.last(
        ObjectRef("CustomResourceDefinition", "apiextensions.k8s.io", "", f"widgets.{group}")
    )


def test_a_bad_object_of_a_new_kind_is_found_before_it_is_applied(cluster: Cluster, group: str) -> None:
    bad = widget(group, cluster.namespace, size="large")
    with pytest.raises(ApplyError, match=r"spec\.size"):
        cluster.deploy(bad, widget_definition(group), config_map(cluster.namespace))
    names = [item["metadata"]["name"] for item in cluster.get(f"{cluster.core}/configmaps")["items"]]
    assert "settings" not in names


def silent_webhook(where: str) -> Json:
    """It is asked about the ConfigMaps of one namespace, and there is no pod to answer."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"silent-{where}"},
        "webhooks": [
            {
                "name": "silent.example.org",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": where}},
                "clientConfig": {"service": {"name": "silent", "namespace": where, "path": "/"}},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["*"],
                        "resources": ["configmaps"],
                    }
                ],
            }
        ],
    }


@pytest.fixture
def webhook(cluster: Cluster) -> Iterator[Json]:
    body = silent_webhook(cluster.namespace)
    service = {
        "metadata": {"name": "silent"},
        "spec": {"ports": [{"port": 443}], "selector": {"app": "none"}},
    }
    cluster.client.request("POST", f"{cluster.core}/services", body=service)
    cluster.client.request("POST", WEBHOOKS, body=body)
    yield body
    cluster.delete(f"{WEBHOOKS}/{body['metadata']['name']}")


def wait_until_refused(cluster: Cluster, *bodies: Json) -> None:
    """The API server takes a moment to know of a new webhook."""
    deadline = time.monotonic() + 60
    given = bodies or (config_map(cluster.namespace, "probe"),)
    while "webhook" not in (cluster.preview(*given, with_diff=False)[0].error or ""):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_webhook_that_does_not_answer_is_retried_then_explained(cluster: Cluster, webhook: Json) -> None:
    wait_until_refused(cluster)
    observer = Watching()
    with pytest.raises(ApplyError, match=r"asks the admission webhook silent\.example\.org first") as caught:
        cluster.deploy(config_map(cluster.namespace), observer=observer)
    assert "its service silent has no running pod" in caught.value.message
    assert "Trying again for up to 1 s." in observer.text


def test_a_webhook_that_begins_to_answer_is_waited_for(cluster: Cluster, webhook: Json) -> None:
    wait_until_refused(cluster)
    observer = Watching()

    def mend() -> None:
        if "Trying again" in observer.text and not gone:
            cluster.delete(f"{WEBHOOKS}/{webhook['metadata']['name']}")
            gone.append(True)

    gone: list[bool] = []
    observer.stop = mend
    result, _ = cluster.deploy(
        config_map(cluster.namespace), observer=observer, patience=Patience(webhook=20, pause=0.2)
    )
    assert gone
    assert result.ok


def install(name: str) -> list[Manifest]:
    """A published file's objects. Skips, saying so, where the file is not there."""
    file = DATA / name
    if not file.exists():
        pytest.skip(f"{file} is not there")
    return manifests(*(document.body for document in read_documents({name: file.read_bytes()})))


@pytest.mark.slow
def test_ingress_nginx_and_cert_manager_as_published(cluster: Cluster) -> None:
    ingress = install("ingress-nginx-digitalocean.yaml")
    certificates = install("cert-manager-v1.14.4.yaml")
    try:
        observer = Watching()
        with cluster.rollout(ingress, observer, limits=AS_LONG) as rollout:
            statuses = rollout.apply()
            result = rollout.wait()
        assert result.ok, [failure.sentence for failure in result.failures]
        assert len(statuses) == len(ingress)
        assert {s.sentence for s in result.statuses if s.ref.kind == "Job"} <= {
            "completed",
            "completed, and collected",
        }

        early = [m for m in certificates if m.ref.kind in EARLY]
        with cluster.rollout(early, Watching(), limits=AS_LONG) as rollout:
            rollout.apply()
        wait_until_refused(cluster, *(m.body for m in certificates if m.ref.kind == "ClusterIssuer"))
        observer = Watching()
        with (
            cluster.rollout(certificates, observer, limits=AS_LONG) as rollout,
            pytest.raises(ApplyError, match="ClusterIssuer") as caught,
        ):
            rollout.apply()
        refused = {s.ref.kind for s in caught.value.statuses if s.progress == Progress.FAILED}
        assert refused == {"ClusterIssuer"}
        applied = [s for s in caught.value.statuses if s.action == Action.CREATE]
        assert len(applied) == len(certificates) - len(early) - 1
        assert "cert-manager-webhook has no running pod" in caught.value.message
        assert "Trying again" in observer.text
    finally:
        clean_up(cluster, [*ingress, *certificates])


def clean_up(cluster: Cluster, given: list[Manifest]) -> None:
    """Remove what is not in a namespace; namespaces take the rest with them."""
    kinds = ClusterKinds(cluster.client)
    for manifest in given:
        resource = kinds.find(manifest.ref.group, manifest.version, manifest.ref.kind)
        if resource and not resource.namespaced and ref_of(manifest.body).kind != "Namespace":
            cluster.delete(f"/apis/{resource.group}/{manifest.version}/{resource.plural}/{manifest.ref.name}")
    for name in {m.ref.name for m in given if m.ref.kind == "Namespace"}:
        cluster.delete(f"/api/v1/namespaces/{name}")
