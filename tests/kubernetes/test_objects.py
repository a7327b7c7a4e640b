"""Objects: what the server adds, patches of three kinds, versions and generations, parts with rules of their own."""

from __future__ import annotations

from tests.kubernetes.support import (
    JSON_PATCH,
    STRATEGIC,
    Home,
    Json,
    config_map,
    container_of,
    deployment,
    managers,
)


def test_the_server_adds_identity_and_time(home: Home) -> None:
    metadata = home.create("deployments", deployment())["metadata"]
    assert {"uid", "resourceVersion", "creationTimestamp", "managedFields"} <= metadata.keys()
    assert metadata["generation"] == 1
    assert metadata["namespace"] == home.name


def test_what_exists_is_not_created_again(home: Home) -> None:
    home.create("deployments", deployment())
    reply = home.raw.post(home.path("deployments"), deployment())
    assert (reply.status, reply.reason) == (409, "AlreadyExists")
    assert reply.message == 'deployments.apps "web" already exists'


def test_a_name_can_be_made_up(home: Home) -> None:
    body = home.create("configmaps", {"metadata": {"generateName": "x-"}})
    assert body["metadata"]["name"].startswith("x-")
    assert len(body["metadata"]["name"]) == 7


def test_defaults_of_a_deployment(home: Home) -> None:
    spec = home.create("deployments", deployment(replicas=None))["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)


def test_defaults_of_a_pod_template(home: Home) -> None:
    body = deployment()
    container_of(body)["ports"] = [{"containerPort": 80}]
    container_of(body)["readinessProbe"] = {"httpGet": {"port": 80}}
    created = home.create("deployments", body)
    pod = created["spec"]["template"]["spec"]
    assert {k: v for k, v in pod.items() if k != "containers"} == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
    }
    assert container_of(created) == {
        "name": "main",
        "image": "registry.example/app:1",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "resources": {},
        "readinessProbe": {
            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def test_defaults_of_a_service(home: Home) -> None:
    spec = home.create("services", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    del spec["clusterIP"], spec["clusterIPs"]
    assert spec == {
        "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }


def test_a_load_balancer_gets_a_node_port_and_keeps_it(home: Home) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "lb"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    first = home.raw.apply(home.path("services", "lb"), service).body["spec"]
    assert 30000 <= first["ports"][0]["nodePort"] < 32768
    assert first["allocateLoadBalancerNodePorts"] is True
    again = home.raw.apply(home.path("services", "lb"), service).body["spec"]
    assert (again["clusterIP"], again["ports"]) == (first["clusterIP"], first["ports"])


def test_defaults_of_a_job(home: Home) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}
    job = home.create(
        "jobs", {"metadata": {"name": "j"}, "spec": {"suspend": True, "template": {"spec": pod}}}
    )
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}}
    assert spec["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "j"


def test_nulls_and_dates_of_yaml(home: Home) -> None:
    """YAML is read as `kubectl` reads it: a date is a text, null is as if it was not there."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: dated, labels: null}\ndata: {day: '2026-01-02', none: null}\n"
    reply = home.raw.post(home.path("configmaps"), text, content_type="application/yaml")
    assert (reply.status, reply.body["data"]["day"]) == (201, "2026-01-02")


def test_a_namespace_keeps_the_label_with_its_name(home: Home) -> None:
    path = f"/api/v1/namespaces/{home.name}"
    body = home.raw.get(path).body
    body["metadata"]["labels"] = {"a": "1"}
    reply = home.raw.send("PUT", path, body)
    assert reply.body["metadata"]["labels"] == {"a": "1", "kubernetes.io/metadata.name": home.name}


def test_string_data_becomes_data(home: Home) -> None:
    body = home.create("secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert (body["data"], body["type"]) == ({"a": "Yg=="}, "Opaque")
    assert "stringData" not in body


def test_empty_maps_and_lists_are_as_none(home: Home) -> None:
    body = deployment()
    body["metadata"]["labels"] = {}
    container_of(body)["env"] = []
    created = home.create("deployments", body)
    assert "labels" not in created["metadata"]
    assert "env" not in container_of(created)
    assert container_of(created)["resources"] == {}


def test_managers_of_an_update_own_defaults_too(home: Home) -> None:
    body = home.create("deployments", deployment())
    spec = managers(body)["suite", "Update", ""]["f:spec"]
    assert spec["f:strategy"] == {
        "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
        "f:type": {},
    }
    assert spec["f:template"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    assert "f:clusterIP" not in spec


# --- patches ---------------------------------------------------------------------------------------------------------


def test_null_removes_in_a_merge_patch(home: Home) -> None:
    home.create("configmaps", config_map(a="1", b="2"))
    assert home.raw.merge(home.path("configmaps", "settings"), {"data": {"a": None}}).body["data"] == {
        "b": "2"
    }


def test_json_patch(home: Home) -> None:
    home.create("configmaps", config_map(a="1"))
    patch = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "add", "path": "/data/b~1c", "value": "2"},
    ]
    reply = home.raw.send("PATCH", home.path("configmaps", "settings"), patch, content_type=JSON_PATCH)
    assert reply.status == 422  # the key is no valid one
    patch[1]["path"] = "/data/b"
    reply = home.raw.send("PATCH", home.path("configmaps", "settings"), patch, content_type=JSON_PATCH)
    assert reply.body["data"] == {"a": "1", "b": "2"}


def strategic(home: Home, container: Json, **more: object) -> Json:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", **container}], **more}}}}
    reply = home.raw.send("PATCH", home.path("deployments", "web"), patch, content_type=STRATEGIC)
    assert reply.status == 200, reply.text
    return reply.body


def test_strategic_patches_merge_containers_by_name(home: Home) -> None:
    body = deployment()
    container_of(body)["env"] = [{"name": "A", "value": "1"}]
    home.create("deployments", body)
    container = container_of(strategic(home, {"image": "other:2"}))
    assert (container["image"], container["env"]) == ("other:2", [{"name": "A", "value": "1"}])


def test_strategic_patches_delete_items(home: Home) -> None:
    body = deployment()
    container_of(body)["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    home.create("deployments", body)
    container = container_of(strategic(home, {"env": [{"name": "A", "$patch": "delete"}]}))
    assert container["env"] == [{"name": "B", "value": "2"}]


def test_strategic_patches_order_items(home: Home) -> None:
    body = deployment()
    container_of(body)["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    home.create("deployments", body)
    order = {"$setElementOrder/env": [{"name": "B"}, {"name": "A"}], "env": [{"name": "B", "value": "3"}]}
    assert container_of(strategic(home, order))["env"] == [
        {"name": "B", "value": "3"},
        {"name": "A", "value": "1"},
    ]


def test_strategic_patches_replace_where_told(home: Home) -> None:
    body = deployment()
    container_of(body)["env"] = [{"name": "A", "value": "1"}]
    home.create("deployments", body)
    env = [{"$patch": "replace"}, {"name": "B", "value": "2"}]
    assert container_of(strategic(home, {"env": env}))["env"] == [{"name": "B", "value": "2"}]


def test_a_patch_may_insist_on_a_version(home: Home) -> None:
    home.create("configmaps", config_map())
    patch = {"metadata": {"resourceVersion": "1"}, "data": {"a": "b"}}
    assert home.raw.merge(home.path("configmaps", "settings"), patch).reason == "Conflict"


# --- versions --------------------------------------------------------------------------------------------------------


def test_a_stale_replacement_is_a_conflict(home: Home) -> None:
    stale = home.create("configmaps", config_map())
    home.raw.merge(home.path("configmaps", "settings"), {"data": {"a": "1"}})
    reply = home.raw.send("PUT", home.path("configmaps", "settings"), {**stale, "data": {"a": "2"}})
    assert (reply.status, reply.reason) == (409, "Conflict")
    assert "the object has been modified; please apply your changes to the latest version" in reply.message


def test_a_replacement_replaces(home: Home) -> None:
    live = home.create("configmaps", config_map(a="1"))
    reply = home.raw.send("PUT", home.path("configmaps", "settings"), {**live, "data": {"b": "2"}})
    assert reply.body["data"] == {"b": "2"}
    assert reply.body["metadata"]["uid"] == live["metadata"]["uid"]


def test_a_change_of_nothing_keeps_the_version(home: Home) -> None:
    live = home.create("configmaps", config_map(a="1"))
    reply = home.raw.merge(home.path("configmaps", "settings"), {"data": {"a": "1"}})
    assert reply.body["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]


def test_the_generation_counts_changes_of_the_spec(home: Home) -> None:
    home.create("deployments", deployment())
    home.settled()
    path = home.path("deployments", "web")
    generation = home.live("deployments", "web")["metadata"]["generation"]
    labelled = home.raw.merge(path, {"metadata": {"labels": {"q": "1"}}}).body["metadata"]["generation"]
    paused = home.raw.merge(path, {"spec": {"paused": True}}).body["metadata"]["generation"]
    assert (labelled, paused) == (generation, generation + 1)


def test_an_annotation_of_a_deployment_counts_too(home: Home) -> None:
    before = home.create("deployments", deployment())["metadata"]["generation"]
    patch = {"metadata": {"annotations": {"a": "b"}}}
    reply = home.raw.merge(home.path("deployments", "web"), patch)
    assert reply.body["metadata"]["generation"] == before + 1


# --- parts -----------------------------------------------------------------------------------------------------------


def test_the_status_changes_by_its_own_path_only(home: Home) -> None:
    body = {"metadata": {"name": "claim"}, "spec": _claim()}
    home.create("persistentvolumeclaims", body)
    path = home.path("persistentvolumeclaims", "claim")
    home.raw.merge(path, {"status": {"phase": "Bound"}})
    assert home.live("persistentvolumeclaims", "claim")["status"] == {"phase": "Pending"}
    home.raw.merge(f"{path}/status", {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Bound"}})
    after = home.live("persistentvolumeclaims", "claim")
    assert after["status"]["phase"] == "Bound"


def _claim() -> Json:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "none",
        "resources": {"requests": {"storage": "1Gi"}},
    }


def test_scale_reads_and_writes_replicas(home: Home) -> None:
    home.create("deployments", deployment())
    path = home.path("deployments", "web") + "/scale"
    reply = home.raw.merge(path, {"spec": {"replicas": 2}})
    assert (reply.body["kind"], reply.body["spec"]["replicas"]) == ("Scale", 2)
    assert reply.body["status"]["selector"] == "app=web"
    assert home.live("deployments", "web")["spec"]["replicas"] == 2


def test_scale_refuses_less_than_nothing(home: Home) -> None:
    home.create("deployments", deployment())
    reply = home.raw.merge(home.path("deployments", "web") + "/scale", {"spec": {"replicas": -1}})
    assert (reply.status, reply.fields) == (422, ["spec.replicas"])
