"""Server-side apply: who owns what, conflicts, lists that merge by their schema, what goes when nobody wants it."""

from __future__ import annotations

import pytest

from tests.kubernetes.support import (
    IMAGE,
    JSON_PATCH,
    STRATEGIC,
    Home,
    Json,
    config_map,
    container_of,
    deployment,
    managers,
)


def web(home: Home) -> str:
    return home.path("deployments", "web")


def with_env(*names: str, tag: str = "1") -> Json:
    body = deployment(tag=tag)
    container_of(body)["env"] = [{"name": n, "value": "1"} for n in names]
    return body


def env_of(body: Json) -> list[str]:
    return [e["name"] for e in container_of(body).get("env") or []]


def test_it_creates_what_is_missing(home: Home) -> None:
    reply = home.raw.apply(web(home), deployment())
    assert reply.status == 201
    assert list(managers(reply.body)) == [("suite", "Apply", "")]
    assert reply.body["metadata"]["generation"] == 1


def test_it_owns_the_leaves_that_it_names(home: Home) -> None:
    reply = home.raw.apply(home.path("configmaps", "settings"), config_map(labels={"a": "1"}, key="v"))
    assert managers(reply.body)["suite", "Apply", ""] == {
        "f:data": {"f:key": {}},
        "f:metadata": {"f:labels": {"f:a": {}}},
    }


def test_items_of_lists_are_owned_by_their_keys(home: Home) -> None:
    body = deployment()
    container_of(body)["ports"] = [{"containerPort": 80}]
    owned = managers(home.raw.apply(web(home), body).body)["suite", "Apply", ""]
    containers = owned["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert containers == {
        'k:{"name":"main"}': {
            ".": {},
            "f:name": {},
            "f:image": {},
            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
        }
    }
    assert owned["f:spec"]["f:selector"] == {}


def test_the_same_again_changes_nothing(home: Home) -> None:
    path = home.path("configmaps", "settings")
    first = home.raw.apply(path, config_map(a="1"))
    again = home.raw.apply(path, config_map(a="1"))
    assert again.status == 200
    assert again.body == first.body


def test_another_manager_with_another_value_is_a_conflict(home: Home) -> None:
    home.raw.apply(web(home), deployment(tag="1"))
    reply = home.raw.apply(web(home), deployment(tag="2"), manager="other")
    assert (reply.status, reply.reason) == (409, "Conflict")
    field = '.spec.template.spec.containers[name="main"].image'
    assert reply.message == f'Apply failed with 1 conflict: conflict with "suite": {field}'
    assert reply.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "suite"', "field": field}
    ]


def test_conflicts_with_updates_name_the_version(home: Home) -> None:
    home.create("deployments", deployment())
    reply = home.raw.apply(web(home), deployment(replicas=3, tag="2"))
    assert reply.status == 409
    assert reply.message == (
        'Apply failed with 2 conflicts: conflicts with "suite" using apps/v1:\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="main"].image'
    )


def test_conflicts_with_the_scale_subresource_name_it(home: Home) -> None:
    home.raw.apply(web(home), deployment(replicas=0))
    home.raw.merge(web(home) + "/scale", {"spec": {"replicas": 1}}, fieldManager="autoscaler")
    reply = home.raw.apply(web(home), deployment(replicas=0))
    assert reply.status == 409
    assert (
        'conflict with "autoscaler" with subresource "scale" using apps/v1: .spec.replicas' in reply.message
    )


def test_force_takes_the_field(home: Home) -> None:
    home.raw.apply(web(home), deployment(tag="1"))
    reply = home.raw.apply(web(home), deployment(tag="2"), manager="other", force="true")
    assert container_of(reply.body)["image"] == f"{IMAGE}:2"
    suite = managers(reply.body)["suite", "Apply", ""]
    container = suite["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert container == {".": {}, "f:name": {}}


def test_the_same_value_may_have_two_owners(home: Home) -> None:
    home.raw.apply(web(home), deployment())
    reply = home.raw.apply(web(home), deployment(), manager="other")
    assert reply.status == 200
    assert {m for m, _, _ in managers(reply.body)} >= {"suite", "other"}


def test_what_the_only_owner_drops_is_removed(home: Home) -> None:
    home.raw.apply(web(home), with_env("A", "B"))
    assert env_of(home.raw.apply(web(home), with_env("A")).body) == ["A"]


def test_what_another_owns_too_stays(home: Home) -> None:
    path = home.path("configmaps", "settings")
    home.raw.apply(path, config_map(a="1", b="2"))
    home.raw.apply(path, config_map(b="2"), manager="other")
    assert home.raw.apply(path, config_map(a="1")).body["data"] == {"a": "1", "b": "2"}


def test_the_last_label_can_be_dropped(home: Home) -> None:
    path = home.path("configmaps", "settings")
    home.raw.apply(path, config_map(labels={"a": "1"}, key="v"))
    reply = home.raw.apply(path, config_map(key="v"))
    assert reply.status == 200
    assert "labels" not in reply.body["metadata"]


def test_another_name_than_that_of_the_address(home: Home) -> None:
    reply = home.raw.apply(home.path("configmaps", "settings"), config_map("other", key="v"))
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert home.raw.get(home.path("configmaps", "other")).status == 404


def test_a_dropped_struct_goes_with_its_defaults(home: Home) -> None:
    body = deployment()
    container_of(body)["readinessProbe"] = {"httpGet": {"port": 80}}
    first = home.raw.apply(web(home), body).body
    assert container_of(first)["readinessProbe"]["periodSeconds"] == 10
    assert "readinessProbe" not in container_of(home.raw.apply(web(home), deployment()).body)


def test_items_of_others_survive(home: Home) -> None:
    home.raw.apply(web(home), with_env("A"))
    patch = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "main", "env": [{"name": "X", "value": "2"}]}]}}
        }
    }
    home.raw.send("PATCH", web(home), patch, content_type=STRATEGIC, fieldManager="editor")
    assert sorted(env_of(home.raw.apply(web(home), with_env("A", tag="2")).body)) == ["A", "X"]


def test_the_applied_order_of_a_list_wins(home: Home) -> None:
    home.raw.apply(web(home), with_env("A", "B", "C"))
    assert env_of(home.raw.apply(web(home), with_env("C", "A", "B")).body) == ["C", "A", "B"]


def test_sets_merge(home: Home) -> None:
    path = home.path("configmaps", "settings")
    first, second = config_map(), config_map()
    first["metadata"]["finalizers"] = ["suite.example/a"]
    second["metadata"]["finalizers"] = ["suite.example/b"]
    home.raw.apply(path, first)
    reply = home.raw.apply(path, second, manager="other")
    assert reply.status == 200, reply.text
    assert reply.body["metadata"]["finalizers"] == ["suite.example/a", "suite.example/b"]
    home.raw.merge(path, {"metadata": {"finalizers": None}})


def test_ports_of_a_service_merge_by_port_and_protocol(home: Home) -> None:
    def service(*ports: tuple[str, str]) -> Json:
        listed = [{"name": name, "port": 53, "protocol": protocol} for name, protocol in ports]
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dns"}, "spec": {"ports": listed}}

    path = home.path("services", "dns")
    home.raw.apply(path, service(("udp", "UDP")))
    reply = home.raw.apply(path, service(("tcp", "TCP")), manager="other")
    assert {(p["name"], p["protocol"]) for p in reply.body["spec"]["ports"]} == {
        ("udp", "UDP"),
        ("tcp", "TCP"),
    }


def test_atomic_lists_are_owned_whole(home: Home) -> None:
    body = deployment()
    container_of(body)["command"] = ["a", "b"]
    home.raw.apply(web(home), body)
    container_of(body)["command"] = ["a", "c"]
    reply = home.raw.apply(web(home), body, manager="other")
    assert '.spec.template.spec.containers[name="main"].command' in reply.message


def test_an_update_takes_ownership_from_an_applier(home: Home) -> None:
    path = home.path("configmaps", "settings")
    home.raw.apply(path, config_map(a="1", b="2"))
    reply = home.raw.merge(path, {"data": {"a": "9"}}, fieldManager="editor")
    found = managers(reply.body)
    assert found["suite", "Apply", ""] == {"f:data": {"f:b": {}}}
    assert found["editor", "Update", ""] == {"f:data": {"f:a": {}}}


def test_a_dry_run_shows_the_result_and_stores_nothing(home: Home) -> None:
    path = home.path("configmaps", "settings")
    before = home.raw.apply(path, config_map(a="1")).body
    reply = home.raw.apply(path, config_map(a="2"), dryRun="All")
    assert reply.body["data"] == {"a": "2"}
    assert home.raw.get(path).body == before


def test_a_dry_run_of_something_new(home: Home) -> None:
    reply = home.raw.apply(web(home), deployment(), dryRun="All")
    assert reply.status == 201
    assert reply.body["metadata"]["uid"]
    assert home.raw.get(web(home)).status == 404


def test_an_unknown_field_is_refused_with_500(home: Home) -> None:
    reply = home.raw.apply(web(home), deployment(replicaz=1), fieldValidation="Strict")
    assert reply.status == 500
    assert ".spec.replicaz: field not declared in schema" in reply.message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"replicas": "x"}, ".spec.replicas: expected numeric (int or float), got string"),
        ({"paused": "x"}, ".spec.paused: expected boolean, got"),
        ({"template": []}, ".spec.template: expected map, got"),
    ],
)
def test_a_wrong_type_is_refused_with_500(home: Home, spec: Json, words: str) -> None:
    reply = home.raw.apply(web(home), deployment(**spec))
    assert reply.status == 500
    assert words in reply.message


def test_two_items_with_one_key_are_refused(home: Home) -> None:
    reply = home.raw.apply(web(home), with_env("A", "A"))
    assert reply.status == 500
    assert 'containers[name="main"].env: duplicate entries for key [name="A"]' in reply.message


def test_managed_fields_may_not_be_applied(home: Home) -> None:
    body = config_map()
    body["metadata"]["managedFields"] = [{"manager": "x"}]
    reply = home.raw.apply(home.path("configmaps", "settings"), body)
    assert (reply.status, reply.message) == (400, "metadata.managedFields must be nil")


def test_a_stale_version_is_a_conflict(home: Home) -> None:
    path = home.path("configmaps", "settings")
    home.raw.apply(path, config_map(a="1"))
    body = config_map(a="2")
    body["metadata"]["resourceVersion"] = "1"
    reply = home.raw.apply(path, body)
    assert (reply.status, reply.reason) == (409, "Conflict")
    assert "the object has been modified" in reply.message


def test_managers_can_be_rewritten(home: Home) -> None:
    """How a deploy takes over what `kubectl apply` made: with a patch of managedFields."""
    path = home.path("configmaps", "settings")
    live = home.raw.post(
        home.path("configmaps"), config_map(a="1", b="2"), fieldManager="kubectl-client-side-apply"
    ).body
    [entry] = live["metadata"]["managedFields"]
    ours = {**entry, "manager": "suite", "operation": "Apply"}
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [ours]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
    ]
    reply = home.raw.send("PATCH", path, patch, content_type=JSON_PATCH, fieldManager="suite")
    assert reply.status == 200, reply.text
    assert list(managers(reply.body)) == [("suite", "Apply", "")]
    assert home.raw.apply(path, config_map(a="1")).body["data"] == {"a": "1"}


def test_the_status_is_not_applied_with_the_rest(home: Home) -> None:
    body = {**deployment(), "status": {"replicas": 7}}
    assert home.raw.apply(web(home), body).body["status"].get("replicas", 0) == 0


def test_string_data_becomes_data(home: Home) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    reply = home.raw.apply(home.path("secrets", "s"), secret)
    assert reply.body["data"] == {"a": "Yg=="}
    assert "stringData" not in reply.body


def test_yaml_is_read(home: Home) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata: {a: 'yes'}\n"
    assert home.raw.apply(home.path("configmaps", "settings"), text).body["data"] == {"a": "yes"}
