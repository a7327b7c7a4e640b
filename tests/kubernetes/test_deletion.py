"""Deletions: finalizers, owners and owned, namespaces that drain, preconditions."""

from __future__ import annotations

import pytest

from tests.kubernetes.support import Home, Json, config_map, deployment, some_name, until


def owned_map(home: Home, owner: Json, name: str = "owned", *, blocks: bool = True) -> None:
    body = config_map(name)
    metadata = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]}
    body["metadata"]["ownerReferences"] = [{**reference, "blockOwnerDeletion": blocks}]
    home.create("configmaps", body)


def gone(home: Home, name: str, plural: str = "configmaps") -> None:
    until(lambda: home.raw.get(home.path(plural, name)).status == 404, what=f"the end of {name}", seconds=60)


def test_a_deletion_is_answered_with_a_status(home: Home) -> None:
    uid = home.create("configmaps", config_map())["metadata"]["uid"]
    reply = home.raw.send("DELETE", home.path("configmaps", "settings"))
    assert (reply.status, reply.body["status"]) == (200, "Success")
    assert reply.body["details"] == {"name": "settings", "kind": "configmaps", "uid": uid}


def test_finalizers_hold_an_object(home: Home) -> None:
    body = config_map()
    body["metadata"]["finalizers"] = ["suite.example/hold"]
    home.create("configmaps", body)
    path = home.path("configmaps", "settings")
    assert home.raw.send("DELETE", path).body["metadata"]["deletionTimestamp"]
    assert home.raw.get(path).status == 200
    home.raw.merge(path, {"metadata": {"finalizers": None}})
    assert home.raw.get(path).status == 404


def test_what_is_owned_goes_after_its_owner(home: Home) -> None:
    owned_map(home, home.create("configmaps", config_map("owner")))
    home.raw.send("DELETE", home.path("configmaps", "owner"), propagationPolicy="Background")
    gone(home, "owned")


def test_in_the_foreground_the_owner_waits(home: Home) -> None:
    owner = home.create("configmaps", config_map("owner"))
    body = config_map("owned")
    body["metadata"] |= {
        "finalizers": ["suite.example/hold"],
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "owner",
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": True,
            }
        ],
    }
    home.create("configmaps", body)
    reply = home.raw.send("DELETE", home.path("configmaps", "owner"), propagationPolicy="Foreground")
    assert "foregroundDeletion" in reply.body["metadata"]["finalizers"]
    until(lambda: "deletionTimestamp" in home.live("configmaps", "owned")["metadata"], what="its deletion")
    assert home.raw.get(home.path("configmaps", "owner")).status == 200
    home.raw.merge(home.path("configmaps", "owned"), {"metadata": {"finalizers": None}})
    gone(home, "owner")


def test_orphans_lose_their_reference(home: Home) -> None:
    owned_map(home, home.create("configmaps", config_map("owner")))
    home.raw.send("DELETE", home.path("configmaps", "owner"), propagationPolicy="Orphan")
    gone(home, "owner")
    until(
        lambda: "ownerReferences" not in home.live("configmaps", "owned")["metadata"], what="a reference less"
    )


def test_what_names_an_owner_that_never_was_goes(home: Home) -> None:
    owned_map(home, {"metadata": {"name": "nobody", "uid": "00000000-0000-0000-0000-000000000000"}})
    gone(home, "owned")


def test_a_precondition(home: Home) -> None:
    home.create("configmaps", config_map())
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "another"}}
    reply = home.raw.send("DELETE", home.path("configmaps", "settings"), options)
    assert (reply.status, reply.reason) == (409, "Conflict")
    assert "The object might have been deleted and then recreated" in reply.message


def test_a_dry_run_deletes_nothing(home: Home) -> None:
    home.create("configmaps", config_map())
    assert home.raw.send("DELETE", home.path("configmaps", "settings"), dryRun="All").status == 200
    assert home.raw.get(home.path("configmaps", "settings")).status == 200


def test_many_at_once(home: Home) -> None:
    for name in ("a", "b"):
        home.create("configmaps", config_map(name, {"t": "1"}))
    reply = home.raw.send("DELETE", home.path("configmaps"), labelSelector="t=1")
    assert reply.status == 200
    assert [i["metadata"]["name"] for i in home.raw.get(home.path("configmaps")).body["items"]] == [
        "kube-root-ca.crt"
    ]


def test_a_deployment_goes_with_all_below_it(home: Home) -> None:
    home.create("deployments", deployment(replicas=1))
    until(lambda: home.api.get(home.path("pods"))["items"], what="its pod")
    home.raw.send("DELETE", home.path("deployments", "web"), propagationPolicy="Background")
    until(lambda: not home.api.get(home.path("replicasets"))["items"], what="the end of its set")
    until(lambda: not home.api.get(home.path("pods"))["items"], what="the end of its pods")


@pytest.fixture
def other(home: Home) -> str:
    """Another namespace."""
    name = some_name()
    home.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    until(lambda: home.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"), what="its account")
    return name


def test_a_namespace_takes_its_content_along(home: Home, other: str) -> None:
    home.api.create(f"/api/v1/namespaces/{other}/configmaps", config_map())
    reply = home.raw.send("DELETE", f"/api/v1/namespaces/{other}")
    assert reply.body["status"]["phase"] == "Terminating"
    until(lambda: home.raw.get(f"/api/v1/namespaces/{other}").status == 404, what="its end")
    assert home.raw.get(f"/api/v1/namespaces/{other}/configmaps/settings").status == 404


def test_nothing_is_created_in_a_namespace_that_goes(home: Home, other: str) -> None:
    body = config_map("held")
    body["metadata"]["finalizers"] = ["suite.example/hold"]
    path = f"/api/v1/namespaces/{other}/configmaps"
    home.api.create(path, body)
    home.raw.send("DELETE", f"/api/v1/namespaces/{other}")
    reply = home.raw.post(path, config_map("late"))
    assert (reply.status, reply.reason) == (403, "Forbidden")
    assert "because it is being terminated" in reply.message
    until(lambda: "deletionTimestamp" in home.api.get(f"{path}/held")["metadata"], what="its deletion")
    home.raw.merge(f"{path}/held", {"metadata": {"finalizers": None}})
    until(lambda: home.raw.get(f"/api/v1/namespaces/{other}").status == 404, what="its end")


def test_a_new_namespace_has_what_every_one_has(home: Home) -> None:
    body = home.api.get(f"/api/v1/namespaces/{home.name}")
    assert body["metadata"]["labels"]["kubernetes.io/metadata.name"] == home.name
    assert (body["spec"], body["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    assert "BEGIN CERTIFICATE" in home.live("configmaps", "kube-root-ca.crt")["data"]["ca.crt"]
