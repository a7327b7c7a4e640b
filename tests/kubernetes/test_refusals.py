"""Bad input: the same status and reason as the real server's, and where it helps people the same words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.kubernetes.support import (
    JSON_PATCH,
    MERGE,
    SSA,
    STRATEGIC,
    Home,
    Json,
    Reply,
    config_map,
    deployment,
    until,
)

DEPLOYMENTS, MAPS = "deployments", "configmaps"


def changed(path: str, value: Any, base: Json | None = None) -> Json:
    """A deployment with one place changed; `None` removes it."""
    body = copy.deepcopy(base or deployment())
    *parents, last = path.split("/")
    target: Any = body
    for step in parents:
        target = target[int(step)] if isinstance(target, list) else target[step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return body


CONTAINER = "spec/template/spec/containers/0"
INVALID = [
    ("no selector", changed("spec/selector", None), "spec.selector"),
    (
        "labels that it does not select",
        changed("spec/template/metadata/labels", {"a": "b"}),
        "spec.template.metadata.labels",
    ),
    ("no containers", changed("spec/template/spec/containers", []), "spec.template.spec.containers"),
    ("no image", changed(f"{CONTAINER}/image", None), "spec.template.spec.containers[0].image"),
    ("no container name", changed(f"{CONTAINER}/name", None), "spec.template.spec.containers[0].name"),
    ("a bad container name", changed(f"{CONTAINER}/name", "A_b"), "spec.template.spec.containers[0].name"),
    (
        "port 0",
        changed(f"{CONTAINER}/ports", [{"containerPort": 0}]),
        "spec.template.spec.containers[0].ports[0].containerPort",
    ),
    (
        "a port too high",
        changed(f"{CONTAINER}/ports", [{"containerPort": 70000}]),
        "spec.template.spec.containers[0].ports[0].containerPort",
    ),
    (
        "a restart policy for jobs",
        changed("spec/template/spec/restartPolicy", "Never"),
        "spec.template.spec.restartPolicy",
    ),
    ("fewer than no replicas", changed("spec/replicas", -1), "spec.replicas"),
    ("an unknown strategy", changed("spec/strategy", {"type": "Bold"}), "spec.strategy"),
    ("a label too long", changed("metadata/labels", {"a": "x" * 64}), "metadata.labels"),
    ("a bad label key", changed("metadata/labels", {"a b": "x"}), "metadata.labels"),
    ("a bad name", changed("metadata/name", "Web_1"), "metadata.name"),
    (
        "a mount without its volume",
        changed(f"{CONTAINER}/volumeMounts", [{"name": "x", "mountPath": "/x"}]),
        "spec.template.spec.containers[0].volumeMounts[0].name",
    ),
]


@pytest.mark.parametrize(("body", "field"), [i[1:] for i in INVALID], ids=[i[0] for i in INVALID])
def test_an_invalid_deployment_is_refused_by_the_field_at_fault(home: Home, body: Json, field: str) -> None:
    reply = home.raw.post(home.path(DEPLOYMENTS), body)
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert field in reply.fields
    assert field in reply.message


OTHERS = [
    ("a service without ports", "services", {"spec": {}}, 422, "spec.ports"),
    ("unnamed ports", "services", {"spec": {"ports": [{"port": 1}, {"port": 2}]}}, 422, "spec.ports[0].name"),
    (
        "a secret of type tls without keys",
        "secrets",
        {"type": "kubernetes.io/tls", "data": {}},
        422,
        "data[tls.crt]",
    ),
    ("a secret that is not base64", "secrets", {"data": {"a": "%%"}}, 400, ""),
    (
        "a broken pull secret",
        "secrets",
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}},
        422,
        "data[.dockerconfigjson]",
    ),
    ("a bad key", MAPS, {"data": {"a b": "x"}}, 422, "data[a b]"),
    ("a number as value", MAPS, {"data": {"a": 1}}, 400, ""),
    ("an ingress without rules", "ingresses", {"spec": {}}, 422, "spec"),
    (
        "a path without a type",
        "ingresses",
        {
            "spec": {
                "rules": [
                    {
                        "http": {
                            "paths": [
                                {"path": "/", "backend": {"service": {"name": "a", "port": {"number": 1}}}}
                            ]
                        }
                    }
                ]
            }
        },
        422,
        "spec.rules[0].http.paths[0].pathType",
    ),
    (
        "a job that never ends",
        "jobs",
        {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}},
        422,
        "spec.template.spec.restartPolicy",
    ),
    (
        "a schedule of three fields",
        "cronjobs",
        {
            "spec": {
                "schedule": "1 2 3",
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}
                        }
                    }
                },
            }
        },
        422,
        "spec.schedule",
    ),
]


@pytest.mark.parametrize(
    ("plural", "body", "status", "field"), [o[1:] for o in OTHERS], ids=[o[0] for o in OTHERS]
)
def test_other_kinds_have_rules_too(home: Home, plural: str, body: Json, status: int, field: str) -> None:
    reply = home.raw.post(home.path(plural), {"metadata": {"name": "it"}, **body})
    assert (reply.status, reply.reason) == (status, "Invalid" if status == 422 else "BadRequest")
    assert not field or field in reply.fields


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            changed("spec/replicas", "x"),
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            changed("spec/paused", "x"),
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            changed("spec/template", []),
            "cannot unmarshal array into Go struct field DeploymentSpec.spec.template",
        ),
        (
            changed("metadata/labels", {"a": 1}),
            "cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            changed(f"{CONTAINER}/resources", {"limits": {"cpu": "lots"}}),
            "quantities must match the regular expression",
        ),
    ],
    ids=[
        "text for a number",
        "text for a boolean",
        "a list for an object",
        "a number as label",
        "no quantity",
    ],
)
def test_values_of_the_wrong_type(home: Home, change: Json, words: str) -> None:
    reply = home.raw.post(home.path(DEPLOYMENTS), change)
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert words in reply.message


def test_unknown_fields_are_named_when_validation_is_strict(home: Home) -> None:
    body = deployment(replicaz=1, minReady=2)
    reply = home.raw.post(home.path(DEPLOYMENTS), body, fieldValidation="Strict")
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert (
        'strict decoding error: unknown field "spec.replicaz", unknown field "spec.minReady"' in reply.message
    )


def test_unknown_fields_are_a_warning_otherwise(home: Home) -> None:
    reply = home.raw.post(home.path(DEPLOYMENTS), deployment(replicaz=1))
    assert reply.status == 201
    assert reply.headers["Warning"] == r'299 - "unknown field \"spec.replicaz\""'
    assert "replicaz" not in reply.body["spec"]


def test_unknown_fields_may_be_ignored(home: Home) -> None:
    reply = home.raw.post(home.path(DEPLOYMENTS), deployment(replicaz=1), fieldValidation="Ignore")
    assert reply.status == 201
    assert "Warning" not in reply.headers


def test_doubled_fields_are_named_when_validation_is_strict(home: Home) -> None:
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"q","name":"q"}}'
    reply = home.raw.post(home.path(MAPS), text, fieldValidation="Strict")
    assert reply.status == 400
    assert 'duplicate field "metadata.name"' in reply.message


def test_a_patch_with_unknown_fields(home: Home) -> None:
    home.create(DEPLOYMENTS, deployment())
    reply = home.raw.merge(home.path(DEPLOYMENTS, "web"), {"spec": {"foo": 1}}, fieldValidation="Strict")
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert 'strict decoding error: unknown field "spec.foo"' in reply.message


PATHS = [
    ("GET", "/nope", 404, ""),
    ("GET", "/apis/nope/v1", 404, ""),
    ("GET", "/apis/apps/v9/deployments", 404, "NotFound"),
    ("GET", "/apis/apps/v1/foos", 404, "NotFound"),
    ("GET", "{deployments}/nope", 404, "NotFound"),
    ("GET", "{deployments}/web/foo", 404, "NotFound"),
    ("PUT", "{deployments}", 405, "MethodNotAllowed"),
    ("POST", "{deployments}/web", 405, "MethodNotAllowed"),
    ("DELETE", "{deployments}/web/status", 405, "MethodNotAllowed"),
    ("DELETE", "{deployments}/web/scale", 405, "MethodNotAllowed"),
    ("DELETE", "/api/v1/namespaces", 405, "MethodNotAllowed"),
    ("GET", "{pods}/web/eviction", 405, "MethodNotAllowed"),
    ("DELETE", "{deployments}/nope", 404, "NotFound"),
    ("GET", "{pods}/nope/log", 404, "NotFound"),
    ("GET", "{deployments}?limit=x", 400, "BadRequest"),
    ("GET", "{deployments}?continue=xyz&limit=1", 400, "BadRequest"),
    ("GET", "{deployments}?resourceVersion=abc", 400, "BadRequest"),
    ("GET", "{deployments}?resourceVersion=99999999", 504, "Timeout"),
    ("GET", "{deployments}?labelSelector=a+in+(", 400, "BadRequest"),
    ("GET", "{deployments}?fieldSelector=spec.foo=1", 400, "BadRequest"),
    ("GET", "{pods}?fieldSelector=spec.foo=1", 400, "BadRequest"),
    ("DELETE", "{deployments}/nope?propagationPolicy=Foo", 422, "Invalid"),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"), PATHS, ids=[f"{m} {p}" for m, p, _, _ in PATHS]
)
def test_paths_and_parameters_that_mean_nothing(
    home: Home, method: str, path: str, status: int, reason: str
) -> None:
    full = path.format(deployments=home.path(DEPLOYMENTS), pods=home.path("pods"))
    reply = home.raw.send(method, full, {} if method in ("PUT", "POST") else None)
    assert (reply.status, reply.reason) == (status, reason)


BODIES: list[tuple[str, str, Any, str, int, str]] = [
    ("nothing", "POST", "", "application/json", 400, "BadRequest"),
    ("half of an object", "POST", "{", "application/json", 400, "BadRequest"),
    ("a list", "POST", "[]", "application/json", 400, "BadRequest"),
    ("another kind", "POST", deployment(), "application/json", 400, "BadRequest"),
    ("plain text", "POST", "x", "text/plain", 415, "UnsupportedMediaType"),
    ("no name", "POST", {"metadata": {}}, "application/json", 422, "Invalid"),
    (
        "another namespace",
        "POST",
        {"metadata": {"name": "x", "namespace": "y"}},
        "application/json",
        400,
        "BadRequest",
    ),
    ("more than a map may hold", "POST", config_map(a="x" * 1_050_000), "application/json", 422, "Invalid"),
    (
        "more than a body may hold",
        "POST",
        config_map(a="x" * 3_200_000),
        "application/json",
        413,
        "RequestEntityTooLarge",
    ),
    ("half a patch", "PATCH", "{", MERGE, 400, "BadRequest"),
    ("half a strategic patch", "PATCH", "{", STRATEGIC, 400, "BadRequest"),
    ("no list of operations", "PATCH", "{}", JSON_PATCH, 400, "BadRequest"),
    (
        "a path that is not there",
        "PATCH",
        [{"op": "replace", "path": "/a/b", "value": 1}],
        JSON_PATCH,
        422,
        "Invalid",
    ),
    ("a test that fails", "PATCH", [{"op": "test", "path": "/data", "value": 1}], JSON_PATCH, 422, "Invalid"),
    ("a patch that is none", "PATCH", "{}", "application/json", 415, "UnsupportedMediaType"),
    ("half a configuration", "PATCH", "{", SSA, 400, "BadRequest"),
    ("a configuration without kind", "PATCH", {"metadata": {"name": "settings"}}, SSA, 400, "BadRequest"),
    ("a configuration of another kind", "PATCH", deployment("settings"), SSA, 400, "BadRequest"),
]


@pytest.mark.parametrize(
    ("method", "body", "content_type", "status", "reason"),
    [b[1:] for b in BODIES],
    ids=[b[0] for b in BODIES],
)
def test_bodies_that_mean_nothing(
    home: Home, method: str, body: Any, content_type: str, status: int, reason: str
) -> None:
    home.create(MAPS, config_map(a="b"))
    path = home.path(MAPS, "" if method == "POST" else "settings")
    query = {"fieldManager": "suite"} if content_type == SSA else {}
    reply = home.raw.send(method, path, body, content_type=content_type, **query)
    assert (reply.status, reply.reason) == (status, reason)


OPTIONS = [
    ({"force": "true"}, MERGE, "force"),
    ({"dryRun": "Some"}, MERGE, "dryRun"),
    ({"fieldValidation": "Some"}, MERGE, "fieldValidation"),
    ({}, SSA, "fieldManager"),
]


@pytest.mark.parametrize(("query", "content_type", "field"), OPTIONS, ids=[o[2] for o in OPTIONS])
def test_options_that_do_not_fit(home: Home, query: Json, content_type: str, field: str) -> None:
    home.create(MAPS, config_map())
    reply = home.raw.send(
        "PATCH", home.path(MAPS, "settings"), config_map(), content_type=content_type, **query
    )
    assert (reply.status, reply.reason, reply.fields) == (422, "Invalid", [field])


def test_a_form_that_nobody_speaks(home: Home) -> None:
    reply = home.raw.send("GET", home.path(MAPS), accept="text/html")
    assert (reply.status, reply.reason) == (406, "NotAcceptable")


def test_protobuf_is_not_spoken_here(home: Home) -> None:
    reply = home.raw.post(home.path(MAPS), b"k8s\x00xxx", content_type="application/vnd.kubernetes.protobuf")
    assert reply.status in (400, 415)  # the real server reads protobuf, and cannot read this


def test_a_namespace_that_is_not_there(home: Home) -> None:
    reply = home.raw.post("/api/v1/namespaces/not-there/configmaps", config_map())
    assert (reply.status, reply.reason) == (404, "NotFound")
    assert reply.message == 'namespaces "not-there" not found'


@pytest.mark.parametrize(
    ("kind", "plural", "first", "patch", "words"),
    [
        (
            "Deployment",
            DEPLOYMENTS,
            deployment(),
            {"spec": {"selector": {"matchLabels": {"x": "y"}}}},
            "field is immutable",
        ),
        (
            "Service",
            "services",
            {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}},
            {"spec": {"clusterIP": "10.96.200.200"}},
            "may not change once set",
        ),
        (
            "Secret",
            "secrets",
            {"metadata": {"name": "web"}, "immutable": True, "data": {"a": "Yg=="}},
            {"data": {"a": "Yw=="}},
            "field is immutable when `immutable` is set",
        ),
        (
            "Job",
            "jobs",
            {
                "metadata": {"name": "web"},
                "spec": {
                    "suspend": True,
                    "template": {
                        "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}
                    },
                },
            },
            {"spec": {"completions": 3}},
            "field is immutable",
        ),
    ],
    ids=["Deployment", "Service", "Secret", "Job"],
)
def test_what_cannot_change(home: Home, kind: str, plural: str, first: Json, patch: Json, words: str) -> None:
    home.create(plural, first)
    reply = home.raw.merge(home.path(plural, "web"), patch)
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert reply.message.startswith(kind)
    assert words in reply.message


def test_a_quota(home: Home) -> None:
    home.create("resourcequotas", {"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "1"}}})

    def refused() -> str:
        reply = home.raw.post(home.path(MAPS), {"metadata": {"generateName": "x-"}})
        return reply.message if reply.status == 403 and "exceeded quota" in reply.message else ""

    assert "exceeded quota: few, requested: count/configmaps=1" in until(refused, what="a refusal")


def test_a_webhook_that_nobody_answers(home: Home) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
    hook = {
        "name": "hook.suite.example",
        "clientConfig": {"service": {"name": "hook", "namespace": home.name}},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": home.name}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    home.create(
        "services", {"metadata": {"name": "hook"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 443}]}}
    )
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    assert home.raw.post(hooks, {"metadata": {"name": home.name}, "webhooks": [hook]}).status == 201

    def refused() -> Reply | None:
        reply = home.raw.post(home.path("secrets"), {"metadata": {"generateName": "x-"}})
        return reply if reply.status == 500 else None

    reply = until(refused, what="a refusal")
    home.raw.send("DELETE", f"{hooks}/{home.name}")
    assert reply.message.startswith('Internal error occurred: failed calling webhook "hook.suite.example"')
    assert 'no endpoints available for service "hook"' in reply.message
