"""The check of rights against a real API server: a ServiceAccount with exactly what deploys need, and one verb less."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from adapters.kubernetes.client import KubernetesClient, Right
from core.findings import FAILED, PASSED, WARNING, Finding
from projects import checking
from projects.cluster_account import account_yaml
from projects.cluster_rights import every_right, rights_needed
from tests.planes import PLANES, running_plane

OUTSIDE_IS_REAL = True
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=PLANES)
def admin_kubeconfig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A control plane of its own; the kubeconfig of its admin."""
    with running_plane(request.param, tmp_path_factory.mktemp("plane")) as plane:
        yield plane.kubeconfig.read_text()


PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/slipway/serviceaccounts",
    "Secret": "/api/v1/namespaces/slipway/secrets",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def role(*, without: str = "") -> list[dict[str, Any]]:
    """The rules of a Role with what deploys need."""
    return [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}
        for right in rights_needed("shop")
        if f"{right.verb} {right.resource}" != without
    ] + [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}]


@pytest.fixture(scope="module")
def deployer(admin_kubeconfig: str) -> Any:
    """`deployer(rules)`: the kubeconfig of a ServiceAccount that may do just that in the namespace shop."""
    with KubernetesClient.from_kubeconfig(admin_kubeconfig, user_agent="test") as client:
        client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "shop"}})
        client.request(
            "POST", "/api/v1/namespaces/shop/serviceaccounts", body={"metadata": {"name": "slipway"}}
        )
        token = client.request(
            "POST", "/api/v1/namespaces/shop/serviceaccounts/slipway/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )["status"]["token"]  # fmt: skip
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop"

    def give(rules: list[dict[str, Any]]) -> str:
        with KubernetesClient.from_kubeconfig(admin_kubeconfig, user_agent="test") as client:
            query = {"fieldManager": "test", "force": "true"}
            patch = "application/apply-patch+yaml"
            meta = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "slipway"}}
            client.request(
                "PATCH", f"{rbac}/roles/slipway", query=query, content_type=patch,
                body={**meta, "kind": "Role", "rules": rules},
            )  # fmt: skip
            client.request(
                "PATCH", f"{rbac}/rolebindings/slipway", query=query, content_type=patch,
                body={
                    **meta, "kind": "RoleBinding",
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "slipway"},
                    "subjects": [{"kind": "ServiceAccount", "name": "slipway", "namespace": "shop"}],
                },
            )  # fmt: skip
        config = yaml.safe_load(admin_kubeconfig)
        config["users"][0]["user"] = {"token": token}
        return json.dumps(config)

    return give


def settled(kubeconfig: str, text: str) -> list[Finding]:
    """The findings once the API server's authorizer has seen the role (its cache follows a watch)."""
    found: list[Finding] = []
    for _ in range(100):
        found = checking.namespace(kubeconfig, "shop")
        if found[-1].text == text:
            return found
    return found


def test_an_admins_cluster_is_good(admin_kubeconfig: str) -> None:
    answer = checking.cluster(admin_kubeconfig)
    assert [f.state for f in answer.findings] == [PASSED, PASSED, PASSED]
    assert answer.version.startswith("v1.")


def test_an_account_with_just_these_rights_suffices_in_its_namespace(deployer: Any) -> None:
    kubeconfig = deployer(role())
    found = settled(kubeconfig, "The account may do all that deploys need in shop.")
    assert [f.state for f in found] == [PASSED, WARNING, PASSED]
    assert "enforces no pod security in shop" in found[1].text
    everywhere = checking.cluster(kubeconfig).findings
    assert [f.state for f in everywhere] == [PASSED, WARNING, WARNING, WARNING]
    assert everywhere[-1].text.startswith("The account lacks rights for namespaces: get namespaces")
    pulls = everywhere[-2]
    assert "list namespaces, get secrets, list secrets" in pulls.text
    rules = yaml.safe_load(pulls.detail[pulls.detail.index("rules:") :])["rules"]
    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]} in rules
    assert len(rules) == 3


@pytest.mark.parametrize("right", ["patch deployments", "get pods/log", "watch events"])
def test_a_missing_right_is_named(deployer: Any, right: str) -> None:
    words = f"The account lacks rights in shop: {right}."
    found = settled(deployer(role(without=right)), words)
    assert (found[-1].state, found[-1].text) == (FAILED, words)
    verb, _, kind = right.partition(" ")
    [rule] = yaml.safe_load(found[-1].detail[found[-1].detail.index("rules:") :])["rules"]
    assert (rule["resources"], rule["verbs"]) == ([kind], [verb])


def test_a_namespace_that_is_not_there(admin_kubeconfig: str) -> None:
    assert [f.state for f in checking.namespace(admin_kubeconfig, "nowhere")] == [WARNING, PASSED]


def test_the_account_that_is_proposed_may_do_all_that_is_checked(admin_kubeconfig: str) -> None:
    """The YAML of the page and of the command, applied as it is. Real control planes know more of it than a test of the text."""
    config = yaml.safe_load(admin_kubeconfig)
    with KubernetesClient.from_kubeconfig(admin_kubeconfig, user_agent="test") as client:
        for body in yaml.safe_load_all(account_yaml()):
            client.request("POST", PLACES[body["kind"]], body=body)
        token = client.request(
            "POST", "/api/v1/namespaces/slipway/serviceaccounts/slipway/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )["status"]["token"]  # fmt: skip
    config["users"][0]["user"] = {"token": token}
    kubeconfig = json.dumps(config)
    for _ in range(100):  # the authorizer's cache follows a watch
        found = checking.cluster(kubeconfig).findings
        if {f.state for f in found} == {PASSED}:
            break
    assert [f.state for f in found] == [PASSED, PASSED, PASSED]
    with KubernetesClient.from_kubeconfig(kubeconfig, user_agent="test") as client:
        assert client.can(every_right()) == []
        assert client.can(
            [Right("delete", "", "secrets"), Right("patch", "rbac.authorization.k8s.io", "clusterroles")]
        )


def test_a_wrong_token_is_refused_for_good(admin_kubeconfig: str) -> None:
    config = yaml.safe_load(admin_kubeconfig)
    config["users"][0]["user"] = {"token": base64.b64encode(b"wrong").decode()}
    found = checking.cluster(json.dumps(config)).findings
    assert [(f.state, f.can_override) for f in found] == [(FAILED, False)]
