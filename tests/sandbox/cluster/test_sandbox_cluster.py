"""The samples, pull secrets and the look of `kubectl apply` on control planes with played nodes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.types import Json
from sandbox import processes
from sandbox.cluster.api import Api, ApiFailed
from sandbox.cluster.kubectl import LAST_APPLIED, apply_as_kubectl
from sandbox.samples import SAMPLES
from sandbox.samples.by_hand import objects_by_hand
from sandbox.samples.names import namespaces
from sandbox.samples.publish import World, make_world
from tests.planes import Plane, kubectl_program
from tests.sandbox.ends import Aws
from tests.sandbox.played import until
from tests.sandbox.pulling import give_pull_secret

CLUSTER_BASE, STOREFRONT, CATALOG = SAMPLES


@pytest.fixture(scope="module")
def api(cluster: Plane) -> Api:
    return Api.from_kubeconfig(cluster.kubeconfig, user_agent="tests")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def world(aws: Aws, place: Path) -> World:
    return make_world(place / "world.json", place / "git", aws.url)


@pytest.fixture(scope="module")
def ready(cluster: Plane, nodes: processes.Child, world: World, aws: Aws) -> Iterator[None]:
    """Namespaces with their pull secrets, removed afterwards."""
    for name in namespaces():
        give_pull_secret(cluster.kubeconfig, aws.url, name)
    yield
    api = Api.from_kubeconfig(cluster.kubeconfig, user_agent="tests")
    for name in namespaces():
        api.delete(f"/api/v1/namespaces/{name}")


def apply(cluster: Plane, world: World, place: Path, aws: Aws, slug: str, name: str, revision: str) -> None:
    sample = next(s for s in SAMPLES if s.slug == slug)
    environment = next(e for e in sample.environments if e.slug == name)
    client = aws.client("secretsmanager")
    made = objects_by_hand(
        sample,
        environment,
        repositories=place / "git",
        commit=world.resolve(slug, revision),
        registry_host=aws.url.removeprefix("http://"),
        secrets={
            f.path: client.get_secret_value(SecretId=f.secret_id)["SecretString"]
            for f in environment.secrets_files
        },
    )
    first = ("Namespace", "CustomResourceDefinition")
    wanted = [o for o in made if o["kind"] in first], [o for o in made if o["kind"] not in first]
    apply_as_kubectl(cluster.kubeconfig, wanted[0])
    api = Api.from_kubeconfig(cluster.kubeconfig, user_agent="tests")
    if wanted[0]:
        until(lambda: served(api, "/apis/cert-manager.io/v1/clusterissuers"), what="cert-manager's kinds")
    apply_as_kubectl(cluster.kubeconfig, wanted[1])


def served(api: Api, path: str) -> bool:
    """Whether a new kind can be used: for a moment the API server answers 404, then 429 (storage initializing)."""
    try:
        return api.find(path) is not None
    except ApiFailed as error:
        if error.passing:
            return False
        raise


def available(api: Api, namespace: str, name: str) -> bool:
    found = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    return status.get("availableReplicas") == status.get("updatedReplicas") == wanted


def test_the_samples_become_ready_in_their_order(
    cluster: Plane, api: Api, world: World, place: Path, aws: Aws, ready: None
) -> None:
    apply(cluster, world, place, aws, "cluster-base", "cluster", "main")
    apply(cluster, world, place, aws, "catalog", "production", "main~5")
    apply(cluster, world, place, aws, "storefront", "staging", "main")
    for namespace, name in (
        ("ingress-nginx", "ingress-nginx-controller"),
        ("catalog-production", "api"),
        ("catalog-production", "search"),
        ("storefront-staging", "web"),
        ("storefront-staging", "worker"),
    ):
        until(lambda n=namespace, d=name: available(api, n, d), seconds=60, what=f"{namespace}/{name}")
    job = "/apis/batch/v1/namespaces/storefront-staging/jobs/migrate"
    until(lambda: api.get(job).get("status", {}).get("succeeded"), what="the migration")


def test_a_broken_revision_crashes_with_its_words(
    cluster: Plane, api: Api, world: World, place: Path, aws: Aws, ready: None
) -> None:
    apply(cluster, world, place, aws, "storefront", "production", "broken")
    path = "/api/v1/namespaces/storefront-production/pods"

    def crashed() -> str:
        pods = api.get(path, {"labelSelector": "app.kubernetes.io/name=web"})["items"]
        counts = {
            pod["metadata"]["name"]: status["restartCount"]
            for pod in pods
            for status in pod.get("status", {}).get("containerStatuses", [])
        }
        return next((name for name, count in counts.items() if count), "")

    pod = until(crashed, seconds=60, what="a crash")
    log = api.text(f"{path}/{pod}/log", {"previous": "true"})
    assert "Error: setting PAYMENT_API_URL is missing" in log.splitlines()


OBJECTS: list[Json] = [
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "annotations": {"note": "<b> & é"}},
        "data": {"x": "1 < 2 & 3 > 2"},
    },
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"k": base64.b64encode(b"v").decode()},
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "labels": {"app": "d"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": "example.invalid/c:1"}]},
            },
        },
    },
]


def test_objects_look_as_kubectl_leaves_them(cluster: Plane, api: Api, tmp_path: Path) -> None:
    ours, theirs = f"ours-{uuid.uuid4().hex[:6]}", f"theirs-{uuid.uuid4().hex[:6]}"
    for name in (ours, theirs):
        api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    placed = [{**body, "metadata": {**body["metadata"], "namespace": ours}} for body in OBJECTS]
    assert apply_as_kubectl(cluster.kubeconfig, placed) == ["ConfigMap/a", "Secret/s", "Deployment/d"]
    assert apply_as_kubectl(cluster.kubeconfig, placed) == []
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    kubectl = [
        str(kubectl_program()),
        "--kubeconfig",
        str(cluster.kubeconfig),
    ]
    env = {"PATH": os.defpath, "HOME": str(tmp_path)}
    subprocess.run(
        [*kubectl, "apply", "-n", theirs, "-f", str(file)], check=True, capture_output=True, env=env
    )
    for path in ("/api/v1/namespaces/{}/configmaps/a", "/api/v1/namespaces/{}/secrets/s"):
        assert traces(api.get(path.format(ours))) == traces(api.get(path.format(theirs)))
    deployment = "/apis/apps/v1/namespaces/{}/deployments/d"
    mine, real = traces(api.get(deployment.format(ours))), traces(api.get(deployment.format(theirs)))
    assert mine == real
    assert mine[0][0] == "kubectl-client-side-apply"
    for name in (ours, theirs):
        api.delete(f"/api/v1/namespaces/{name}")


def traces(body: Json) -> tuple[tuple[str, str, str], str]:
    """What kubectl leaves: the first manager's entry, and the annotation, without the namespace's name."""
    entry = next(e for e in body["metadata"]["managedFields"] if e["manager"].startswith("kubectl"))
    fields = json.dumps(entry["fieldsV1"], sort_keys=True)
    applied = body["metadata"]["annotations"][LAST_APPLIED]
    return (entry["manager"], entry["operation"], fields), applied.replace(
        body["metadata"]["namespace"], "NS"
    )
