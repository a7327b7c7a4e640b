"""Making a namespace, on both control planes and against a stub for what they do not do by themselves: who may, what is said, and
what the audit tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer

from adapters.errors import Conflict, Denied, Unavailable
from adapters.kubernetes.client import KubernetesClient
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects.allotting.using import NotAllotted
from projects.models import Allotment
from projects.namespaces import Made, create_namespace
from tests import factories as make
from tests.planes import PLANES, running_plane

OUTSIDE_IS_REAL = True
PATH = "/api/v1/namespaces"


@pytest.fixture(scope="module", params=PLANES)
def admin_kubeconfig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A control plane of its own; the kubeconfig of its admin."""
    with running_plane(request.param, tmp_path_factory.mktemp("plane")) as plane:
        yield plane.kubeconfig.read_text()


@pytest.fixture
def place(world: Any, httpserver: HTTPServer) -> Any:
    """The world, with a cluster that the test's stub plays."""
    world.cluster.kubeconfig = json.dumps(
        {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": httpserver.url_for("").rstrip("/")}}],
            "users": [{"name": "u", "user": {"token": "canary-kube-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
    )  # fmt: skip
    world.cluster.save()
    world.environment.refresh_from_db()
    return world


def refused(status: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "code": status, "message": message, "reason": "Forbidden"}


def verbs() -> list[str]:
    return list(AuditEvent.objects.filter(verb__startswith="namespace.").values_list("verb", flat=True))


@pytest.mark.slow
def test_it_is_made_once(world: Any, admin_kubeconfig: str) -> None:
    world.cluster.kubeconfig = admin_kubeconfig
    world.cluster.save()
    world.environment.refresh_from_db()
    actor = person(world.maintainer)
    assert create_namespace(actor, world.environment) == Made("shop", is_new=True)
    assert create_namespace(actor, world.environment) == Made("shop", is_new=False)
    with KubernetesClient.from_kubeconfig(admin_kubeconfig, user_agent="test") as client:
        labels = client.request("GET", f"{PATH}/shop")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert sorted(verbs()) == ["namespace.asked", "namespace.asked", "namespace.created"]
    event = AuditEvent.objects.get(verb="namespace.created")
    assert (event.project_slug, event.data) == ("shop", {"namespace": "shop", "cluster": "London"})


@pytest.mark.parametrize("who", ["deployer", "viewer", "auditor", "stranger", "staging_maintainer"])
def test_who_may_not(world: Any, who: str) -> None:
    with pytest.raises(Refused):
        create_namespace(person(getattr(world, who)), world.environment)
    assert verbs() == []


def test_another_projects_namespace(world: Any) -> None:
    other = make.make_project(slug="other")
    Allotment.objects.create(
        project=other, kind=Allotment.Kind.NAMESPACE, cluster=world.cluster, pattern="shop"
    )
    Allotment.objects.filter(project=world.project, pattern="shop").delete()
    with pytest.raises(NotAllotted, match="not allotted to Shop any more"):
        create_namespace(person(world.maintainer), world.environment)
    assert verbs() == []


def test_a_missing_right_is_named_with_its_rule(place: Any, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_json(
        refused(403, "namespaces is forbidden"), 403
    )
    httpserver.expect_request("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").respond_with_json(
        {"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": False}}, 201
    )
    with pytest.raises(Denied, match="lacks the right to create namespaces") as caught:
        create_namespace(person(place.maintainer), place.environment)
    assert "kubectl create namespace shop" in caught.value.hint
    rules = yaml.safe_load(caught.value.hint[caught.value.hint.index("rules:") :])["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}]
    assert verbs() == ["namespace.asked"]


def test_a_refusal_of_the_clusters_own_is_quoted(place: Any, httpserver: HTTPServer) -> None:
    text = "admission webhook names.example denied the request"
    httpserver.expect_request(PATH, method="POST").respond_with_json(refused(403, text), 403)
    httpserver.expect_request("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").respond_with_json(
        {"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": True}}, 201
    )
    with pytest.raises(Denied, match="admission webhook"):
        create_namespace(person(place.maintainer), place.environment)


def test_one_that_is_being_deleted(place: Any, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_json(
        refused(409, "object is being deleted"), 409
    )
    httpserver.expect_request(f"{PATH}/shop", method="GET").respond_with_json(
        {"kind": "Namespace", "metadata": {"name": "shop"}, "status": {"phase": "Terminating"}}
    )
    with pytest.raises(Conflict, match="is being deleted"):
        create_namespace(person(place.maintainer), place.environment)


def test_a_cluster_that_is_away(world: Any) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        create_namespace(person(world.maintainer), world.environment)


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/projects/shop/?x=1#y", "/projects/shop/?x=1#y"),
        ("", "/projects/shop/staging/"),
        ("https://evil.example/", "/projects/shop/staging/"),
        ("//evil.example/", "/projects/shop/staging/"),
        ("/\\evil.example/", "/projects/shop/staging/"),
        ("javascript:alert(1)", "/projects/shop/staging/"),
    ],
)
def test_the_button_goes_back_to_a_page_of_this_site(
    place: Any, httpserver: HTTPServer, sign_in: Any, wanted: str, goes: str
) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_json({"kind": "Namespace"}, 201)
    client = sign_in(place.maintainer)
    answer = client.post("/projects/shop/settings/environments/staging/namespace/", {"next": wanted})
    assert (answer.status_code, answer["Location"]) == (302, goes)


def test_an_error_is_a_page_that_says_what_to_do(world: Any, sign_in: Any) -> None:
    answer = sign_in(world.maintainer).post(
        "/projects/shop/settings/environments/staging/namespace/", headers={"accept": "text/html"}
    )
    assert answer.status_code == 502
    assert "does not answer" in answer.content.decode()
