"""The lives of pods on played nodes, as the API server shows them."""

from __future__ import annotations

from sandbox.cluster.api import ApiFailed
from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import PROBED, Shop, until


def test_nodes_are_ready_in_three_zones(shop: Shop) -> None:
    items = shop.api.get("/api/v1/nodes")["items"]
    zones = {n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in items}
    assert zones == {"sandbox-a", "sandbox-b", "sandbox-c"}
    for node in items:
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert ready["status"] == "True"


def test_a_good_image_becomes_ready(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1", "ready", "line one\nline two")
    shop.run(image)
    pod = shop.ready()
    status = pod["status"]["containerStatuses"][0]
    assert status["imageID"] == f"{registry.host}/web@{registry.digest}"
    assert status["restartCount"] == 0
    assert "running" in status["state"]
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("198.18.")
    types = {c["type"]: c["status"] for c in pod["status"]["conditions"]}
    names = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    assert types == dict.fromkeys(names, "True")
    assert shop.log() == "line one\nline two\n"
    shop.has_event("Normal Started: Container started")
    said = [e.split(":")[0] for e in shop.events()]
    assert set(said) == {f"Normal {r}" for r in ("Scheduled", "Pulling", "Pulled", "Created", "Started")}


def test_a_second_pod_finds_the_image_on_its_node(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    shop.run(image, nodeName="node-1")
    shop.ready()
    asked = len(registry.requests)
    shop.run(image, "other", nodeName="node-1")
    shop.ready("other")
    assert len(registry.requests) == asked
    shop.has_event(
        f'Container image "{image}" already present on machine and can be accessed by the pod', "other"
    )


def test_crashing_restarts_with_growing_pauses(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1", "crash:3", "starting\nKeyError: 'DATABASE_URL'")
    shop.run(image, container=PROBED)
    message = shop.waits_for("CrashLoopBackOff")
    pod = shop.pod()
    where = f"web_{shop.name}({pod['metadata']['uid']})"
    assert message == f"back-off 10s restarting failed container=main pod={where}"
    status = shop.container()
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert pod["status"]["phase"] == "Running"
    assert shop.condition("Ready")["reason"] == "ContainersNotReady"
    assert shop.condition("Ready")["message"] == "containers with unready status: [main]"
    shop.has_event(f"Warning BackOff: Back-off restarting failed container main in pod {where}")
    assert shop.log() == shop.log(previous="true") == "starting\nKeyError: 'DATABASE_URL'\n"
    until(lambda: "back-off 20s" in shop.waits_for("CrashLoopBackOff"), what="a longer pause")
    assert shop.container()["restartCount"] == 2


def test_out_of_memory(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1", "oom"), container=PROBED)
    shop.waits_for("CrashLoopBackOff")
    ended = shop.container()["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_never_ready_tells_of_its_probe(shop: Shop, registry: FakeRegistry) -> None:
    probe = {"readinessProbe": {"httpGet": {"path": "/healthz", "port": 80}}}
    shop.run(registry.push("web:1", "never-ready"), container=probe)
    shop.has_event("Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503")
    status = shop.container()
    assert status["ready"] is False
    assert status["started"] is True
    assert "running" in status["state"]


def test_slow_becomes_ready_later(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1", "slow:8"), container=PROBED)
    until(lambda: "running" in shop.container().get("state", {}), what="running")
    assert shop.container()["ready"] is False
    shop.ready()


def test_a_failing_liveness_probe_restarts(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1", "hangs-up:1"))
    shop.has_event("Warning Unhealthy: Liveness probe failed")
    shop.has_event("Normal Killing: Container main failed liveness probe, will be restarted")
    until(lambda: shop.container()["restartCount"] == 1, what="a restart")


def test_a_program_that_cannot_be_started(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1", "cannot-start"))
    shop.waits_for("CrashLoopBackOff")
    ended = shop.container()["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    shop.has_event("Warning Failed: Error: failed to create containerd task")


def test_words_for_one_container_go_first(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1", "crash", log="all", behaviour__main="ready", log__main="main"))
    shop.ready()
    assert shop.log() == "main\n"


def test_an_annotation_speaks_for_an_image_out_of_reach(shop: Shop) -> None:
    words = {"slipway.sandbox/behaviour": "crash"}
    shop.run("quay.io/jetstack/controller:v1", annotations=words, container=PROBED)
    shop.waits_for("CrashLoopBackOff")


def test_an_image_out_of_reach_is_taken_as_good(shop: Shop) -> None:
    shop.run("registry.k8s.io/ingress-nginx/controller:v1.12.0")
    assert shop.ready()["status"]["containerStatuses"][0]["imageID"].startswith(
        "registry.k8s.io/ingress-nginx/"
    )


def test_a_webhook_of_an_image_out_of_reach_fails_at_once(shop: Shop) -> None:
    """Nothing answers there, and nothing is dialled: the API server finds no endpoints."""
    shop.run("quay.io/jetstack/cert-manager-webhook:v1", "hook", labels={"app": "hook"})
    assert "podIP" not in shop.ready("hook")["status"]
    service = {"selector": {"app": "hook"}, "ports": [{"port": 443}]}
    shop.api.create(f"{shop.core}/services", {"metadata": {"name": "hook"}, "spec": service})
    webhook = {
        "name": "hook.example.com",
        "clientConfig": {"service": {"name": "hook", "namespace": shop.name}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": shop.name}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    shop.api.create(hooks, {"metadata": {"name": shop.name}, "webhooks": [webhook]})

    def refusal() -> str:
        try:
            shop.api.create(f"{shop.core}/configmaps", {"metadata": {"generateName": "x-"}})
        except ApiFailed as error:
            return error.message
        return ""

    said = until(refusal, what="a refusal")
    shop.api.delete(f"{hooks}/{shop.name}")
    assert 'no endpoints available for service "hook"' in said


def test_init_containers_run_first_and_in_order(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1", "ready, init-slow:4")
    inits = [{"name": n, "image": image} for n in ("one", "two")]
    shop.run(image, initContainers=inits)
    until(lambda: shop.pod()["status"].get("initContainerStatuses"), what="init containers")
    assert shop.container()["state"]["waiting"]["reason"] == "PodInitializing"
    assert shop.condition("Initialized")["message"] == "containers with incomplete status: [one two]"
    assert shop.pod()["status"]["phase"] == "Pending"
    first, second = shop.ready()["status"]["initContainerStatuses"]
    assert first["state"]["terminated"]["reason"] == second["state"]["terminated"]["reason"] == "Completed"
    assert first["state"]["terminated"]["finishedAt"] <= second["state"]["terminated"]["startedAt"]


def test_a_failing_init_container_holds_the_pod(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1", "ready, init-fails")
    shop.run(image, initContainers=[{"name": "prepare", "image": image}])

    def crashing() -> bool:
        status = shop.pod()["status"].get("initContainerStatuses", [{}])[0]
        return status.get("restartCount") == 1 and "terminated" in status.get("state", {})

    until(crashing, what="the init container's second end")
    shop.has_event("Warning BackOff: Back-off restarting failed container prepare")
    assert shop.pod()["status"]["phase"] == "Pending"


def test_a_sidecar_runs_beside(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    shop.run(image, initContainers=[{"name": "proxy", "image": image, "restartPolicy": "Always"}])
    pod = shop.ready()
    assert "running" in pod["status"]["initContainerStatuses"][0]["state"]


def test_deletion_is_graceful_and_short(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1"))
    shop.ready()
    shop.api.delete(f"{shop.core}/pods/web")
    assert shop.pod()["metadata"]["deletionTimestamp"]
    until(lambda: shop.api.find(f"{shop.core}/pods/web") is None, seconds=60, what="the end")
    shop.has_event("Normal Killing: Stopping container main")


def test_a_deployment_rolls_out_and_scales(shop: Shop, registry: FakeRegistry) -> None:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": registry.push("web:1")}]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    shop.api.create(f"{shop.apps}/deployments", {"metadata": {"name": "web"}, "spec": spec})
    path = f"{shop.apps}/deployments/web"
    until(lambda: shop.api.get(path)["status"].get("availableReplicas") == 3, what="three replicas")
    spread = {p["spec"]["nodeName"] for p in shop.api.get(f"{shop.core}/pods")["items"]}
    assert spread == {"node-1", "node-2", "node-3"}
    shop.api.merge(path, {"spec": {"replicas": 1}})
    until(lambda: len(shop.api.get(f"{shop.core}/pods")["items"]) == 1, what="one pod left")
