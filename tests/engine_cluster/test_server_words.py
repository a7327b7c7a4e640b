"""The table of what servers say (engine/cluster/server_words.py) against answers of real servers: every row has one."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cluster.client import ApiError
from engine.cluster.refusals import Refusal, explain
from engine.cluster.server_words import ROWS, missing_rights, told
from engine.cluster.takeover import APPLY_QUERY
from engine.types import Json
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import config_map, deployment, manifest

SPEC = "spec.template.spec"
# By the place in the table: a change of a Deployment or Service, and what we say of it.
CASES: list[tuple[int, Any, str, str]] = [
    (
        0,
        {"container": {"env": [{"name": "A"}, {"name": "A"}]}},
        f'{SPEC}.containers[name="web"].env',
        'name="A"',
    ),
    (1, {"container": {"args": [True]}}, f'{SPEC}.containers[name="web"].args[0]', "must be text"),
    (
        2,
        {"container": {"resources": "small"}},
        f'{SPEC}.containers[name="web"].resources',
        "must be a mapping",
    ),
    (3, {"container": {"env": {"A": "1"}}}, f'{SPEC}.containers[name="web"].env', "must be a list"),
    (4, {"minReadySeconds": "5"}, "spec.minReadySeconds", "must be a number"),
    (5, {"paused": "yes"}, "spec.paused", "must be true or false"),
    (6, {"clusterIP": "172.20.1.5"}, "spec.clusterIPs", "an address that this cluster does not have"),
    (7, {"clusterIP": None}, "spec.clusterIPs", "another Service of the cluster has this address"),
    (8, {"healthCheckNodePort": 80}, "spec.healthCheckNodePort", "30000-32767"),
    (9, {"nodePort": None}, "spec.ports[0].nodePort", "another Service of the cluster has this port"),
    (10, {"nodePort": 80}, "spec.ports[0].nodePort", "30000-32767"),
]


def service(where: str, name: str, number: int | None = None, **spec: Any) -> Json:
    port = {"port": 80, **({"nodePort": number} if number else {})}
    kind = {"type": "NodePort"} if "clusterIP" not in spec else {}
    body: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": where}}
    return {**body, "spec": {"ports": [port], **kind, **spec}}


def asked(cluster: Cluster, body: Json) -> tuple[ApiError, Refusal]:
    """The server's refusal, and what we make of it."""
    given = manifest(body)
    plural = {"Deployment": f"{cluster.apps}/deployments", "Service": f"{cluster.core}/services"}[
        body["kind"]
    ]
    with pytest.raises(ApiError) as refused:
        cluster.client.send(
            "PATCH",
            f"{plural}/{given.ref.name}",
            query=APPLY_QUERY,
            body=given.body,
            content_type="application/apply-patch+yaml",
        )
    return refused.value, explain(refused.value, given)


def body_for(cluster: Cluster, row: int, change: Any) -> Json:
    where = cluster.namespace
    if row < 6:
        return deployment(where, **change)
    if "healthCheckNodePort" in change:
        return service(where, "b", type="LoadBalancer", externalTrafficPolicy="Local", **change)
    if change.get("clusterIP"):
        return service(where, "b", **change)
    if change.get("nodePort"):
        return service(where, "b", change["nodePort"])
    made = cluster.client.request("POST", f"{cluster.core}/services", body=service(where, "a"))
    if "clusterIP" in change:
        return service(where, "b", clusterIP=made["spec"]["clusterIP"])
    return service(where, "b", made["spec"]["ports"][0]["nodePort"])


def test_every_row_has_a_case() -> None:
    assert [row for row, *_ in CASES] == list(range(len(ROWS)))


@pytest.mark.parametrize(("row", "change", "field", "words"), CASES)
def test_what_a_server_says_is_known(cluster: Cluster, row: int, change: Any, field: str, words: str) -> None:
    error, refusal = asked(cluster, body_for(cluster, row, change))
    assert refusal.hint == ROWS[row].hint
    assert words in refusal.sentence
    assert refusal.sentence.endswith("(app.yaml:1).")
    assert refusal.fields[0].startswith(field)
    assert "valueUnstructured" not in refusal.sentence
    assert error.words.startswith(error.message[:200])


def test_all_slips_of_an_object_are_told_however_long_the_text(cluster: Cluster) -> None:
    args: list[Any] = [True] * 12
    error, refusal = asked(cluster, deployment(cluster.namespace, container={"args": args}))
    assert len(error.message) < len(error.words)
    assert refusal.sentence.count("must be text") == 8
    assert "; and 4 more (app.yaml:1)." in refusal.sentence
    assert refusal.hint == "Write the value in quotes.", "said once"
    assert len(refusal.fields) == 12


def test_no_value_is_repeated() -> None:
    text = "failed to create typed patch object (a/b; v1, Kind=Secret): .data.k: expected string, got &value{Value:hush}"
    (slip,) = told(text)
    assert "hush" not in slip.sentence + slip.hint + slip.field


def test_what_nobody_knows_is_left_alone() -> None:
    assert told("something else: went wrong") == ()
    assert missing_rights("something else") == ()
    error = ApiError("something else went wrong", status=500)
    assert (
        explain(error, manifest(config_map("shop"))).sentence
        == "ConfigMap settings: something else went wrong"
    )


def test_rules_in_words() -> None:
    rules = "\n".join(
        [
            "x is attempting to grant RBAC permissions not currently held:",
            '{APIGroups:[""], Resources:["pods" "pods/log"], Verbs:["get" "list"]}',
            '{APIGroups:["apps"], Resources:["*"], ResourceNames:["web"], Verbs:["*"]}',
            '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
        ]
    )
    assert missing_rights(rules) == (
        "get, list of pods, pods/log",
        "every verb of every resource named web in apps",
        "get on the addresses /metrics",
    )
