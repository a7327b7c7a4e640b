"""Kinds: what is served from the start, and custom ones that come and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.support import STRATEGIC, Home, Json, Raw, managers, until

GROUP = "/apis/suite.example/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.suite.example"},
    "spec": {
        "group": "suite.example",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": _SPEC,
                            "status": {"type": "object", "properties": {"n": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def widgets(raw: Raw) -> Iterator[None]:
    """The custom kind Widget."""
    assert raw.post(DEFINITIONS, DEFINITION).status == 201
    until(lambda: raw.get(GROUP).status == 200, what="the new group")
    until(lambda: raw.get(f"{GROUP}/widgets").status == 200, what="the new kind")
    yield
    raw.send("DELETE", f"{DEFINITIONS}/widgets.suite.example")
    until(lambda: raw.get(f"{DEFINITIONS}/widgets.suite.example").status == 404, what="its end", seconds=60)
    until(lambda: raw.get(f"{GROUP}/widgets").status == 404, what="the end of the kind", seconds=60)


def widget(name: str = "it", **spec: Any) -> Json:
    return {
        "apiVersion": "suite.example/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 1, **spec},
    }


# --- discovery -------------------------------------------------------------------------------------------------------


def test_the_kinds_that_a_deploy_needs_are_served(raw: Raw) -> None:
    wanted = {
        "/api/v1": {
            "configmaps",
            "secrets",
            "pods/log",
            "services",
            "namespaces",
            "nodes",
            "serviceaccounts/token",
        },
        "/apis/apps/v1": {"deployments/scale", "replicasets", "statefulsets/status", "daemonsets"},
        "/apis/batch/v1": {"jobs", "cronjobs"},
        "/apis/networking.k8s.io/v1": {"ingresses/status", "ingressclasses"},
        "/apis/rbac.authorization.k8s.io/v1": {"clusterroles", "rolebindings"},
    }
    for path, names in wanted.items():
        found = {r["name"] for r in raw.get(path).body["resources"]}
        assert names <= found, path


def test_a_resource_is_described(raw: Raw) -> None:
    entries = {r["name"]: r for r in raw.get("/apis/apps/v1").body["resources"]}
    entries["deployments"].pop("storageVersionHash", None)
    assert entries["deployments"] == {
        "name": "deployments",
        "singularName": "deployment",
        "namespaced": True,
        "kind": "Deployment",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["deploy"],
        "categories": ["all"],
    }
    assert entries["deployments/scale"]["group"] == "autoscaling"


def test_groups_are_listed(raw: Raw) -> None:
    groups = {g["name"]: g["preferredVersion"]["version"] for g in raw.get("/apis").body["groups"]}
    assert groups["apps"] == "v1"
    assert groups["autoscaling"] == "v2"


def test_everything_in_one_document(raw: Raw) -> None:
    reply = raw.send("GET", "/apis", accept=AGGREGATED)
    assert reply.body["kind"] == "APIGroupDiscoveryList"
    [apps] = [g for g in reply.body["items"] if g["metadata"]["name"] == "apps"]
    [deployments] = [r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments"]
    assert (deployments["scope"], deployments["shortNames"]) == ("Namespaced", ["deploy"])


def test_the_fields_of_a_kind_are_told(raw: Raw) -> None:
    paths = raw.get("/openapi/v3").body["paths"]
    document = raw.get(paths["apis/apps/v1"]["serverRelativeURL"]).body
    schemas = document["components"]["schemas"]
    assert schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"]["type"] == "integer"
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in {p["name"] for p in patch["parameters"]}


def test_the_version(raw: Raw) -> None:
    assert raw.get("/version").body["gitVersion"].startswith("v1.37.")


# --- custom kinds ----------------------------------------------------------------------------------------------------

custom = pytest.mark.usefixtures("widgets")


@custom
def test_a_definition_is_established(raw: Raw) -> None:
    status = raw.get(f"{DEFINITIONS}/widgets.suite.example").body["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert status["storedVersions"] == ["v1"]


@custom
def test_a_custom_object_gets_its_defaults(home: Home) -> None:
    body = home.create("widgets", widget())
    assert body["spec"] == {"size": 1, "colour": "red"}
    assert body["metadata"]["generation"] == 1


@custom
@pytest.mark.parametrize(
    ("spec", "field"),
    [({"size": 0}, "spec.size"), ({"size": "x"}, "spec.size"), ({"colour": "green"}, "spec.colour")],
)
def test_a_custom_object_must_fit(home: Home, spec: Json, field: str) -> None:
    reply = home.raw.post(home.path("widgets"), widget(**spec))
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert field in reply.fields


@custom
def test_a_required_field_is_missed(home: Home) -> None:
    body = widget()
    del body["spec"]["size"]
    assert home.raw.post(home.path("widgets"), body).fields == ["spec.size"]


@custom
def test_unknown_fields_of_a_custom_object(home: Home) -> None:
    assert "odd" not in home.create("widgets", widget(odd=1))["spec"]
    reply = home.raw.post(home.path("widgets"), widget("other", odd=1), fieldValidation="Strict")
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert 'unknown field "spec.odd"' in reply.message


@custom
def test_some_places_take_anything(home: Home) -> None:
    assert home.create("widgets", widget(free={"a": {"b": 1}}))["spec"]["free"] == {"a": {"b": 1}}


@custom
def test_lists_of_custom_objects_merge_by_their_keys(home: Home) -> None:
    path = home.path("widgets", "it")
    home.raw.apply(path, widget(parts=[{"name": "a", "count": 1}]))
    reply = home.raw.apply(path, widget(parts=[{"name": "b", "count": 2}]), manager="other")
    assert [p["name"] for p in reply.body["spec"]["parts"]] == ["a", "b"]
    assert 'k:{"name":"a"}' in managers(reply.body)["suite", "Apply", ""]["f:spec"]["f:parts"]


@custom
def test_the_status_of_a_custom_object_is_apart(home: Home) -> None:
    home.create("widgets", widget())
    path = home.path("widgets", "it")
    assert "status" not in home.raw.merge(path, {"status": {"n": 1}}).body
    assert home.raw.merge(f"{path}/status", {"status": {"n": 1}}).body["status"] == {"n": 1}


@custom
def test_no_strategic_patches_of_custom_objects(home: Home) -> None:
    home.create("widgets", widget())
    reply = home.raw.send("PATCH", home.path("widgets", "it"), {}, content_type=STRATEGIC)
    assert (reply.status, reply.reason) == (415, "UnsupportedMediaType")


@custom
def test_columns_of_a_custom_kind(home: Home) -> None:
    home.create("widgets", widget(size=7))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    body = home.raw.send("GET", home.path("widgets"), accept=accept).body
    assert [c["name"] for c in body["columnDefinitions"]] == ["Name", "Size"]
    assert body["rows"][0]["cells"] == ["it", 7]


def test_a_definition_must_be_whole(raw: Raw) -> None:
    body = {**DEFINITION, "metadata": {"name": "others.suite.example"}}
    reply = raw.post(DEFINITIONS, body)
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert "metadata.name" in reply.fields
