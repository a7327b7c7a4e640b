"""Who may do what: tokens, roles, and what an account may ask about itself."""

from __future__ import annotations

import base64

import pytest

from sandbox.cluster.accounts import account_kubeconfig
from tests.kubernetes.support import Home, Raw, config_map, until

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
READ_MAPS = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]


@pytest.fixture
def reader(home: Home) -> Raw:
    """An account that may read the maps of its namespace."""
    text = account_kubeconfig(
        home.kubeconfig, "reader", namespace=home.name, rules=READ_MAPS, only_in=home.name
    )
    raw = Raw(text)
    until(lambda: raw.get(home.path("configmaps")).status == 200, what="its rights")
    return raw


def allowed(raw: Raw, **attributes: str) -> bool:
    body = {"spec": {"resourceAttributes": attributes}}
    return bool(raw.post(REVIEWS, body).body["status"]["allowed"])


def test_what_a_role_grants_is_allowed(home: Home, reader: Raw) -> None:
    assert reader.get(home.path("configmaps", "kube-root-ca.crt")).status == 200


def test_what_no_role_grants_is_forbidden(home: Home, reader: Raw) -> None:
    reply = reader.get(home.path("secrets"))
    assert (reply.status, reply.reason) == (403, "Forbidden")
    assert reply.message == (
        f'secrets is forbidden: User "system:serviceaccount:{home.name}:reader" cannot list resource "secrets" '
        f'in API group "" in the namespace "{home.name}"'
    )


def test_a_role_counts_in_its_namespace_only(home: Home, reader: Raw) -> None:
    assert reader.get("/api/v1/namespaces/default/configmaps").status == 403
    assert reader.get("/api/v1/configmaps").status == 403


def test_reading_is_not_writing(home: Home, reader: Raw) -> None:
    reply = reader.post(home.path("configmaps"), config_map())
    assert (reply.status, reply.reason) == (403, "Forbidden")
    apply = reader.apply(home.path("configmaps", "settings"), config_map())
    assert 'cannot patch resource "configmaps"' in apply.message


def test_an_account_is_told_the_truth_about_itself(home: Home, reader: Raw) -> None:
    assert allowed(reader, verb="list", resource="configmaps", namespace=home.name)
    assert not allowed(reader, verb="create", resource="configmaps", namespace=home.name)
    assert not allowed(reader, verb="list", resource="configmaps")
    assert not allowed(reader, verb="list", group="apps", resource="deployments", namespace=home.name)


def test_the_administrator_may_everything(home: Home) -> None:
    assert allowed(home.raw, verb="delete", resource="nodes")


def test_rights_go_with_their_binding(home: Home, reader: Raw) -> None:
    home.raw.send("DELETE", home.path("rolebindings", f"{home.name}-reader"))
    until(lambda: reader.get(home.path("configmaps")).status == 403, what="the end of its rights")


def test_everybody_may_discover(reader: Raw) -> None:
    assert [reader.get(path).status for path in ("/api", "/apis", "/version", "/openapi/v3")] == [200] * 4


def test_a_wrong_token_is_nobody(home: Home) -> None:
    raw = Raw(home.kubeconfig.read_text(), token="nonsense")
    reply = raw.get("/api/v1/namespaces")
    assert (reply.status, reply.reason, reply.message) == (401, "Unauthorized", "Unauthorized")


def test_without_a_token_little_is_open(home: Home) -> None:
    raw = Raw(home.kubeconfig.read_text(), token="")
    assert raw.get("/version").status == 200
    assert raw.get("/readyz").text == "ok"
    reply = raw.get("/api/v1/namespaces")
    assert (reply.status, reply.reason) == (403, "Forbidden")
    assert (
        'User "system:anonymous" cannot list resource "namespaces" in API group "" at the cluster scope'
        in reply.message
    )


def test_a_token_ends_with_its_account(home: Home, reader: Raw) -> None:
    home.raw.send("DELETE", home.path("serviceaccounts", "reader"))
    until(lambda: reader.get(home.path("configmaps")).status == 401, what="the end of its token", seconds=60)


def test_a_token_for_a_time(home: Home) -> None:
    text = account_kubeconfig(
        home.kubeconfig, "guest", namespace=home.name, rules=READ_MAPS, only_in=home.name, expires_after=600
    )
    raw = Raw(text)
    until(lambda: raw.get(home.path("configmaps")).status == 200, what="its rights")


def test_no_token_for_less_than_ten_minutes(home: Home) -> None:
    path = home.path("serviceaccounts", "default") + "/token"
    reply = home.raw.post(path, {"spec": {"expirationSeconds": 60}})
    assert (reply.status, reply.fields) == (422, ["spec.expirationSeconds"])


def test_a_secret_for_a_token_is_filled(home: Home) -> None:
    secret = {
        "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token",
    }
    home.create("secrets", secret)
    data = until(lambda: home.live("secrets", "t").get("data"), what="its data")
    assert base64.b64decode(data["namespace"]).decode() == home.name
    assert data.keys() == {"ca.crt", "namespace", "token"}
