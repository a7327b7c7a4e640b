"""What a server refuses for more than one object's sake: rights that are granted, pod security, addresses, APIs of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.support import Home, Json, Raw, pod_template, some_name, until

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"


@pytest.fixture
def weak(home: Home) -> Raw:
    """An account that may write roles and bindings here, and read Secrets."""
    home.raw.post(home.path("serviceaccounts"), {"metadata": {"name": "weak"}})
    rules = [
        {
            "apiGroups": [GROUP],
            "resources": ["roles", "rolebindings"],
            "verbs": ["get", "create", "patch", "update"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    ]
    home.create("roles", {"metadata": {"name": "weak"}, "rules": rules})
    home.create("rolebindings", binding("weak", {"kind": "Role", "name": "weak"}, home.name))
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = home.path("serviceaccounts", "weak")
    token = home.raw.post(f"{path}/token", review).body["status"]["token"]
    account = Raw(home.kubeconfig.read_text(), token=token)
    until(lambda: account.get(home.path("roles", "weak")).status == 200, what="its rights")
    return account


def binding(name: str, role: Json, namespace: str) -> Json:
    subject = {"kind": "ServiceAccount", "name": "weak", "namespace": namespace}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, **role},
        "subjects": [subject],
    }


def role(name: str, *rules: tuple[str, str, str, str]) -> Json:
    """Rules of group, resources, names and verbs."""
    listed = [
        {
            "apiGroups": [group],
            "resources": resources.split(),
            "verbs": verbs.split(),
            **({"resourceNames": names.split()} if names else {}),
        }
        for group, resources, names, verbs in rules
    ]
    return {"apiVersion": f"{GROUP}/v1", "kind": "Role", "metadata": {"name": name}, "rules": listed}


def lacking(reply: Any) -> list[str]:
    """The rules of a refusal."""
    assert (reply.status, reply.reason) == (403, "Forbidden"), reply.text
    head, _, rules = str(reply.message).partition("not currently held:\n")
    assert "is attempting to grant RBAC permissions " in head
    return rules.split("\n")


def test_a_role_may_not_grant_more_than_its_author_has(home: Home, weak: Raw) -> None:
    wanted = role(
        "more", ("", "secrets pods", "", "get delete"), ("apps", "*", "", "*"), ("", "configmaps", "a", "get")
    )
    for reply in (
        weak.apply(home.path("roles", "more"), wanted),
        weak.apply(home.path("roles", "more"), wanted, dryRun="All"),
        weak.post(home.path("roles"), wanted),
        weak.send("PUT", home.path("roles", "weak"), {**wanted, "metadata": {"name": "weak"}}),
    ):
        assert lacking(reply) == [
            '{APIGroups:[""], Resources:["configmaps"], ResourceNames:["a"], Verbs:["get"]}',
            '{APIGroups:[""], Resources:["pods"], Verbs:["get" "delete"]}',
            '{APIGroups:[""], Resources:["secrets"], Verbs:["delete"]}',
            '{APIGroups:["apps"], Resources:["*"], Verbs:["*"]}',
        ]
    assert weak.apply(home.path("roles", "same"), role("same", ("", "secrets", "", "get"))).status == 201


def test_a_binding_may_not_either(home: Home, weak: Raw) -> None:
    body = binding("root", {"kind": "ClusterRole", "name": "cluster-admin"}, home.name)
    assert lacking(weak.apply(home.path("rolebindings", "root"), body)) == [
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
        '{NonResourceURLs:["*"], Verbs:["*"]}',
    ]
    assert home.raw.apply(home.path("rolebindings", "root"), body).status == 201


def test_who_may_escalate_may_grant(home: Home, weak: Raw) -> None:
    home.create("roles", role("free", (GROUP, "roles", "", "escalate bind")))
    home.create("rolebindings", binding("free", {"kind": "Role", "name": "free"}, home.name))
    wanted = role("more", ("", "pods", "", "get"))
    until(lambda: weak.apply(home.path("roles", "more"), wanted).status == 201, what="its new right")


# Pod security


@pytest.fixture
def restricted(raw: Raw) -> Iterator[str]:
    """A namespace that enforces the level restricted."""
    name = some_name()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    raw.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    until(
        lambda: raw.get(f"/api/v1/namespaces/{name}/serviceaccounts/default").status == 200,
        what="its account",
    )
    yield name
    raw.send("DELETE", f"/api/v1/namespaces/{name}")


FINE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
VIOLATIONS = (
    'host namespaces (hostNetwork=true), allowPrivilegeEscalation != false (container "main" must set '
    'securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "main" must set '
    'securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "main" must set '
    'securityContext.runAsNonRoot=true), seccompProfile (pod or container "main" must set '
    'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)


def pods(**container: Any) -> Json:
    template = pod_template(**container)
    if not container:
        template["spec"]["hostNetwork"] = True
    return template


def test_pods_that_violate_are_refused(raw: Raw, restricted: str) -> None:
    path = f"/api/v1/namespaces/{restricted}/pods"
    reply = raw.post(path, {"metadata": {"name": "bad"}, "spec": pods()["spec"]})
    assert (reply.status, reply.reason) == (403, "Forbidden")
    assert reply.message == f'pods "bad" is forbidden: violates PodSecurity "restricted:latest": {VIOLATIONS}'
    good = {"metadata": {"name": "good"}, "spec": pods(securityContext=FINE)["spec"]}
    assert raw.post(path, good).status == 201


def test_of_workloads_the_answer_warns(raw: Raw, restricted: str) -> None:
    path = f"/apis/apps/v1/namespaces/{restricted}/deployments/web"
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}}
    for query in ({"dryRun": "All"}, {}):
        reply = raw.apply(path, {**body, "spec": {**spec, "template": pods()}}, **query)
        assert reply.status == 201
        warning = reply.headers["Warning"].replace('\\"', '"')
        assert f'would violate PodSecurity "restricted:latest": {VIOLATIONS}' in warning
    reply = raw.apply(path, {**body, "spec": {**spec, "template": pods(securityContext=FINE)}}, force="true")
    assert (reply.status, reply.headers.get("Warning")) == (200, None)


# Addresses and ports of Services


def service(name: str, **spec: Any) -> Json:
    port = {"port": 80, **spec.pop("port", {})}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [port], **spec},
    }


def test_addresses_of_other_clusters_and_ports_that_are_taken(home: Home) -> None:
    def refused(body: Json) -> tuple[list[str], str]:
        reply = home.raw.apply(home.path("services", body["metadata"]["name"]), body)
        assert (reply.status, reply.reason) == (422, "Invalid"), reply.text
        return reply.fields, reply.message.partition(" is invalid: ")[2]

    fields, words = refused(service("a", clusterIP="172.20.1.5", clusterIPs=["172.20.1.5"]))
    assert fields == ["spec.clusterIPs"]
    assert "failed to allocate IP 172.20.1.5: the provided network does not match the current range" in words
    first = home.raw.apply(home.path("services", "a"), service("a", type="NodePort"))
    number = first.body["spec"]["ports"][0]["nodePort"]
    fields, words = refused(service("b", type="NodePort", port={"nodePort": number}))
    assert fields == ["spec.ports[0].nodePort"]
    assert words.endswith("provided port is already allocated")
    low = service("b", type="NodePort", port={"nodePort": 80})
    assert home.raw.apply(home.path("services", "b"), low, dryRun="All").status == 201, "it is not looked at"
    _, words = refused(low)
    assert words.endswith("not in the valid range. The range of valid ports is 30000-32767")
    again = service("a", type="NodePort", port={"nodePort": number})
    assert home.raw.apply(home.path("services", "a"), again).status == 200


# One-of fields


def test_a_volume_has_one_source(home: Home) -> None:
    template = pod_template(volumeMounts=[{"name": "v", "mountPath": "/v"}])
    template["spec"]["volumes"] = [{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}]
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    reply = home.raw.post(home.path("deployments"), {"metadata": {"name": "web"}, "spec": spec})
    assert reply.fields == [
        "spec.template.spec.volumes[0].configMap",
        "spec.template.spec.containers[0].volumeMounts[0].name",
    ]
    assert "may not specify more than 1 volume type" in reply.message


def test_a_stateful_set_on_delete_has_no_rolling_update(home: Home) -> None:
    spec = {"serviceName": "db", "selector": {"matchLabels": {"app": "web"}}, "template": pod_template()}
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}
    path = home.path("statefulsets", "db")
    assert home.raw.apply(path, {**body, "spec": {**spec, "replicas": 0}}).status == 201
    reply = home.raw.apply(
        path, {**body, "spec": {**spec, "replicas": 0, "updateStrategy": {"type": "OnDelete"}}}
    )
    assert reply.fields == ["spec.updateStrategy.rollingUpdate"]
    assert "only allowed for updateStrategy 'RollingUpdate'" in reply.message


def test_templates_of_stateful_sets_mount_their_claims(home: Home) -> None:
    template = pod_template(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = {
        "serviceName": "db",
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template,
    }
    body = {"metadata": {"name": "db"}, "spec": {**spec, "volumeClaimTemplates": [claim]}}
    home.create("statefulsets", body)


# Server-side apply in its own words


def test_all_values_of_a_wrong_type_are_named(home: Home) -> None:
    template = pod_template(args=["--port", 8080])
    template["metadata"]["annotations"] = {"example.org/on": True}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": home.name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    reply = home.raw.apply(home.path("deployments", "web"), body)
    assert reply.status == 500
    head, *lines = reply.message.split("\n")
    assert head == (
        f"failed to create typed patch object ({home.name}/web; apps/v1, Kind=Deployment): errors:"
    )
    assert sorted(lines) == [
        "  .spec.template.metadata.annotations.example.org/on: expected string, got &value.valueUnstructured{Value:true}",
        '  .spec.template.spec.containers[name="main"].args[1]: expected string, got &value.valueUnstructured{Value:8080}',
    ]


def test_an_object_of_another_cluster_is_not_found(home: Home) -> None:
    uid = "3d01d1a1-753a-4729-b0f1-b5271a9aee18"
    body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": uid}}
    reply = home.raw.apply(home.path("configmaps", "a"), body)
    assert (reply.status, reply.reason) == (409, "Conflict")
    assert (
        f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        in reply.message
    )
    body["metadata"] = {"name": "a", "resourceVersion": "7"}
    assert home.raw.apply(home.path("configmaps", "a"), body).status == 201


# APIs that a service serves


def test_an_api_whose_service_is_missing(raw: Raw) -> None:
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    name = "v1beta1.gone.example.org"
    spec = {
        "group": "gone.example.org",
        "version": "v1beta1",
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"name": "nowhere", "namespace": "default"},
    }
    raw.post(services, {"metadata": {"name": name}, "spec": spec})
    try:

        def condition() -> Json | None:
            conditions = (raw.get(f"{services}/{name}").body.get("status") or {}).get("conditions") or []
            return conditions[0] if conditions else None

        found = until(condition, what="its condition")
        del found["lastTransitionTime"]
        assert found == {
            "type": "Available",
            "status": "False",
            "reason": "ServiceNotFound",
            "message": 'service/nowhere in "default" is not present',
        }
        for path in (
            "/apis/gone.example.org/v1beta1",
            "/apis/gone.example.org/v1beta1/namespaces/default/things",
        ):
            reply = raw.get(path)
            assert (reply.status, reply.text) == (503, "service unavailable\n")
    finally:
        raw.send("DELETE", f"{services}/{name}")
    until(lambda: raw.get("/apis/gone.example.org/v1beta1").status == 404, what="its end")


# Defaults of a namespace


def test_a_limit_range_completes_pods_and_no_pod_asks_for_more_than_it_may_use(home: Home) -> None:
    limits = {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}
    home.create("limitranges", {"metadata": {"name": "defaults"}, "spec": {"limits": [limits]}})

    def made(name: str, **container: Any) -> Any:
        return home.raw.post(
            home.path("pods"), {"metadata": {"name": name}, "spec": pod_template(**container)["spec"]}
        )

    until(
        lambda: (
            made(some_name())
            .body.get("spec", {})
            .get("containers", [{}])[0]
            .get("resources", {})
            .get("limits")
        )
    )
    assert made("plain").body["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "500m"},
        "requests": {"cpu": "100m"},
    }
    reply = made("more", resources={"requests": {"cpu": "700m"}})
    assert (reply.status, reply.fields) == (422, ["spec.containers[0].resources.requests"])
    assert 'Invalid value: "700m": must be less than or equal to cpu limit of 500m' in reply.message
