"""The controllers, with played nodes: rollouts, their deadlines and revisions, numbered pods, jobs, schedules."""

from __future__ import annotations

import pytest

from sandbox import processes
from tests.kubernetes.support import IMAGE, Home, Json, deployment, pod_template, until

pytestmark = pytest.mark.usefixtures("nodes")
REVISION = "deployment.kubernetes.io/revision"


def conditions(body: Json) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in body["status"].get("conditions") or []}


def sets_of(home: Home, body: Json) -> list[Json]:
    """Its ReplicaSets, newest revision last."""
    found = home.owned("replicasets", body["metadata"]["uid"])
    return sorted(found, key=lambda s: int(s["metadata"]["annotations"][REVISION]))


def active(home: Home) -> list[Json]:
    return [p for p in home.api.get(home.path("pods"))["items"] if "deletionTimestamp" not in p["metadata"]]


def apply(home: Home, body: Json) -> Json:
    reply = home.raw.apply(home.path("deployments", body["metadata"]["name"]), body, force="true")
    assert reply.status in (200, 201), reply.text
    return reply.body


def broken(tag: str = "2", behaviour: str = "crash") -> Json:
    """Pods of an image that cannot be pulled here say themselves how they behave."""
    template = pod_template(tag=tag)
    template["metadata"]["annotations"] = {"slipway.sandbox/behaviour": behaviour}
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": 1}  # without one it is ready, if only for an instant
    template["spec"]["containers"][0]["readinessProbe"] = probe
    return template


def test_a_deployment_makes_a_set_and_pods(home: Home) -> None:
    apply(home, deployment(replicas=2))
    done = home.rolled_out()
    [replica_set] = sets_of(home, done)
    digest = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{digest}"
    pods = home.owned("pods", replica_set["metadata"]["uid"])
    assert {p["metadata"]["labels"]["pod-template-hash"] for p in pods} == {digest}
    assert all(p["metadata"]["name"].startswith(f"web-{digest}-") for p in pods)


def test_the_status_says_that_it_is_done(home: Home) -> None:
    apply(home, deployment(replicas=2))
    home.rolled_out()

    def told() -> bool:
        return conditions(home.live("deployments", "web")) == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("True", "NewReplicaSetAvailable"),
        }

    until(told, what="both conditions")
    status = home.live("deployments", "web")["status"]
    assert (status["readyReplicas"], status.get("unavailableReplicas", 0)) == (2, 0)


def test_the_same_again_is_unchanged_beside_the_controllers(home: Home) -> None:
    body = deployment(replicas=1)
    body["metadata"]["annotations"] = {"a": "b"}
    apply(home, body)
    home.rolled_out()
    until(lambda: "Progressing" in conditions(home.live("deployments", "web")), what="its conditions")
    before = home.live("deployments", "web")
    assert apply(home, body)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    after = apply(home, deployment(replicas=1))
    assert after["metadata"]["annotations"] == {REVISION: "1"}


def test_a_new_template_rolls_over(home: Home) -> None:
    apply(home, deployment(replicas=2))
    home.rolled_out()
    apply(home, deployment(replicas=2, tag="2"))
    done = home.rolled_out()
    old, new = sets_of(home, done)
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, 2)
    assert done["metadata"]["annotations"][REVISION] == "2"


def test_going_back_makes_the_old_set_the_newest(home: Home) -> None:
    for tag in ("1", "2", "1"):
        apply(home, deployment(replicas=1, tag=tag))
        done = home.rolled_out()
    until(
        lambda: home.live("deployments", "web")["metadata"]["annotations"][REVISION] == "3", what="revision 3"
    )
    newest = sets_of(home, done)[-1]
    assert newest["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert newest["spec"]["template"]["spec"]["containers"][0]["image"] == f"{IMAGE}:1"


def test_old_revisions_are_forgotten(home: Home) -> None:
    for tag in ("1", "2", "3"):
        apply(home, deployment(replicas=1, tag=tag, revisionHistoryLimit=1))
        done = home.rolled_out()
    until(lambda: len(sets_of(home, done)) == 2, what="two sets")


def test_a_broken_template_leaves_old_pods_running(home: Home) -> None:
    apply(home, deployment(replicas=3))
    home.rolled_out()
    body = deployment(replicas=3)
    body["spec"]["template"] = broken()
    apply(home, body)
    until(lambda: len(active(home)) == 4, what="one pod more")
    status = until(
        lambda: (s := home.live("deployments", "web")["status"]) and s.get("updatedReplicas") == 1 and s,
        what="one new pod",
    )
    assert status["availableReplicas"] == 3


def test_the_progress_deadline(home: Home) -> None:
    body = deployment(replicas=1, progressDeadlineSeconds=2)
    body["spec"]["template"] = broken(behaviour="never-ready")
    apply(home, body)
    reason = ("False", "ProgressDeadlineExceeded")
    until(
        lambda: conditions(home.live("deployments", "web")).get("Progressing") == reason, what="the deadline"
    )


def test_recreate_ends_the_old_pods_first(home: Home) -> None:
    strategy = {"type": "Recreate"}
    apply(home, deployment(replicas=2, strategy=strategy))
    home.rolled_out()
    body = deployment(replicas=2, strategy=strategy)
    body["spec"]["template"] = broken(behaviour="never-ready")
    apply(home, body)
    until(
        lambda: len(active(home)) == 2 and all(p["metadata"].get("annotations") for p in active(home)),
        what="new pods",
    )
    until(lambda: not home.live("deployments", "web")["status"].get("availableReplicas"), what="the status")


def test_a_paused_deployment_waits(home: Home) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    apply(home, deployment(replicas=1, tag="2", paused=True))
    until(
        lambda: (
            conditions(home.live("deployments", "web")).get("Progressing") == ("Unknown", "DeploymentPaused")
        )
    )
    assert len(sets_of(home, home.settled())) == 1
    apply(home, deployment(replicas=1, tag="2"))
    assert len(sets_of(home, home.rolled_out())) == 2


def test_a_paused_deployment_is_still_scaled(home: Home) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    apply(home, deployment(replicas=2, tag="2", paused=True))
    [replica_set] = until(lambda: [s for s in sets_of(home, home.settled()) if s["spec"]["replicas"] == 2])
    assert replica_set["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1")


def test_scaling_makes_and_removes_pods(home: Home) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    home.raw.merge(home.path("deployments", "web") + "/scale", {"spec": {"replicas": 3}})
    home.rolled_out()
    home.raw.merge(home.path("deployments", "web") + "/scale", {"spec": {"replicas": 1}})
    home.rolled_out()
    until(lambda: len(active(home)) == 1, what="one pod")
    assert home.live("deployments", "web")["metadata"]["annotations"][REVISION] == "1"


def test_a_lost_pod_is_replaced(home: Home) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    [pod] = active(home)
    home.raw.send("DELETE", home.path("pods", pod["metadata"]["name"]))
    until(
        lambda: [p for p in active(home) if p["metadata"]["uid"] != pod["metadata"]["uid"]],
        what="another pod",
    )
    home.rolled_out()


def test_a_pod_has_time_to_end(home: Home) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    [pod] = active(home)
    reply = home.raw.send("DELETE", home.path("pods", pod["metadata"]["name"]))
    assert reply.body["kind"] == "Pod"
    assert reply.body["metadata"]["deletionGracePeriodSeconds"] == 30
    until(lambda: home.raw.get(home.path("pods", pod["metadata"]["name"])).status == 404, what="its end")


def test_events_tell_what_the_controllers_did(home: Home) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    reasons = {e["reason"] for e in home.api.get(home.path("events"))["items"]}
    assert {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Started"} <= reasons


def test_a_pod_that_fits_nowhere(home: Home) -> None:
    body = deployment(replicas=1)
    body["spec"]["template"]["spec"]["nodeSelector"] = {"no": "such"}
    apply(home, body)

    def refused() -> Json | None:
        found = [
            c
            for p in active(home)
            for c in p["status"].get("conditions") or []
            if c["type"] == "PodScheduled"
        ]
        return found[0] if found and found[0]["status"] == "False" else None

    condition = until(refused, what="a refusal")
    assert condition["reason"] == "Unschedulable"
    assert condition["message"].startswith(
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector"
    )


def test_too_much_memory(home: Home) -> None:
    body = deployment(replicas=1)
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "999Ti"}}
    apply(home, body)
    until(
        lambda: [
            e for e in home.api.get(home.path("events"))["items"] if "Insufficient memory" in e["message"]
        ],
        what="a warning",
    )


def test_logs_come_from_the_node(home: Home, nodes: processes.Child) -> None:
    apply(home, deployment(replicas=1))
    home.rolled_out()
    [pod] = active(home)
    path = home.path("pods", pod["metadata"]["name"]) + "/log"
    assert f"started {IMAGE}:1" in home.raw.get(path).text
    assert home.raw.get(path, tailLines=0).text == ""
    reply = home.raw.get(path, container="other")
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert reply.message.startswith("container other is not valid for pod")


# --- the others ------------------------------------------------------------------------------------------------------


def stateful(tag: str = "1", replicas: int = 2, **spec: object) -> Json:
    body = {**deployment("db", tag, replicas=replicas, serviceName="db", **spec), "kind": "StatefulSet"}
    return body


def numbered(home: Home) -> list[str]:
    return sorted(p["metadata"]["name"] for p in active(home))


def test_numbered_pods_come_one_after_the_other(home: Home) -> None:
    home.create("statefulsets", stateful())
    until(lambda: home.live("statefulsets", "db")["status"].get("readyReplicas") == 2, what="both pods")
    first, second = sorted(active(home), key=lambda p: p["metadata"]["name"])
    assert numbered(home) == ["db-0", "db-1"]
    assert first["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
    assert first["spec"]["hostname"] == "db-0"
    assert first["metadata"]["creationTimestamp"] <= second["metadata"]["creationTimestamp"]


def test_a_new_template_replaces_numbered_pods(home: Home) -> None:
    home.create("statefulsets", stateful())
    until(lambda: home.live("statefulsets", "db")["status"].get("readyReplicas") == 2, what="both pods")
    home.raw.merge(
        home.path("statefulsets", "db"), {"spec": {"template": {"spec": pod_template("db", "2")["spec"]}}}
    )

    def done() -> bool:
        found = home.live("statefulsets", "db")
        status = found["status"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        same = status.get("currentRevision") == status.get("updateRevision")
        return seen and same and status.get("updatedReplicas") == status.get("readyReplicas") == 2

    until(done, what="the rollout", seconds=60)
    hashes = {p["metadata"]["labels"]["controller-revision-hash"] for p in active(home)}
    assert hashes == {home.live("statefulsets", "db")["status"]["updateRevision"]}
    assert len(home.api.get(home.path("controllerrevisions"))["items"]) == 2


def test_fewer_numbered_pods(home: Home) -> None:
    home.create("statefulsets", stateful())
    until(lambda: home.live("statefulsets", "db")["status"].get("readyReplicas") == 2, what="both pods")
    home.raw.merge(home.path("statefulsets", "db") + "/scale", {"spec": {"replicas": 1}})
    until(lambda: numbered(home) == ["db-0"], what="the end of db-1")


def test_a_claim_for_each_numbered_pod(home: Home) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    home.create("statefulsets", stateful(replicas=1, volumeClaimTemplates=[claim]))
    found = until(lambda: home.api.find(home.path("persistentvolumeclaims", "data-db-0")), what="its claim")
    assert found["status"]["phase"] == "Pending"
    pod = until(lambda: home.api.find(home.path("pods", "db-0")), what="the pod")
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}} in pod["spec"]["volumes"]


def test_one_pod_on_each_node(home: Home) -> None:
    body = {**deployment("agent", replicas=None), "kind": "DaemonSet"}
    home.create("daemonsets", body)
    until(lambda: home.live("daemonsets", "agent")["status"].get("numberAvailable") == 3, what="three pods")
    assert {p["spec"]["nodeName"] for p in active(home)} == {"node-1", "node-2", "node-3"}
    home.raw.merge(
        home.path("daemonsets", "agent"), {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
    )

    def done() -> bool:
        found = home.live("daemonsets", "agent")
        status = found["status"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and status.get("updatedNumberScheduled") == status.get("numberAvailable") == 3

    until(done, what="the rollout", seconds=60)


def job(behaviour: str = "", policy: str = "Never", **spec: object) -> Json:
    template = pod_template("job")
    template["spec"]["restartPolicy"] = policy
    if behaviour:
        template["metadata"]["annotations"] = {"slipway.sandbox/behaviour": behaviour}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"template": template, **spec},
    }


def ended(home: Home, kind: str) -> Json:
    return until(
        lambda: (b := home.live("jobs", "job")) and conditions(b).get(kind, ("", ""))[0] == "True" and b,
        what=kind,
        seconds=40,
    )


def test_a_job_completes(home: Home) -> None:
    home.create("jobs", job())
    body = ended(home, "Complete")
    assert (body["status"]["succeeded"], body["status"].get("active", 0)) == (1, 0)
    assert body["status"]["completionTime"]
    assert conditions(body)["Complete"] == ("True", "CompletionsReached")
    [pod] = home.owned("pods", body["metadata"]["uid"])
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "job"


def test_a_job_of_several_pods(home: Home) -> None:
    home.create("jobs", job(completions=3, parallelism=2))
    assert ended(home, "Complete")["status"]["succeeded"] == 3


def test_a_job_fails_at_its_limit(home: Home) -> None:
    home.create("jobs", job("job-fails", backoffLimit=0))
    body = ended(home, "Failed")
    assert conditions(body)["Failed"] == ("True", "BackoffLimitExceeded")
    assert body["status"]["failed"] == 1


def test_a_job_is_cut_off_at_its_deadline(home: Home) -> None:
    home.create("jobs", job("job-hangs", activeDeadlineSeconds=2))
    assert conditions(ended(home, "Failed"))["Failed"] == ("True", "DeadlineExceeded")


def test_an_ended_job_is_cleared_away(home: Home) -> None:
    home.create("jobs", job(ttlSecondsAfterFinished=1))
    until(lambda: home.api.find(home.path("jobs", "job")) is None, what="its end", seconds=60)
    until(lambda: not home.api.get(home.path("pods"))["items"], what="the end of its pod")


def test_a_suspended_job_waits(home: Home) -> None:
    home.create("jobs", job(suspend=True))
    until(
        lambda: conditions(home.live("jobs", "job")).get("Suspended") == ("True", "JobSuspended"),
        what="its word",
    )
    assert not active(home)
    home.raw.merge(home.path("jobs", "job"), {"spec": {"suspend": False}})
    ended(home, "Complete")


def test_load_balancers_get_an_address(home: Home) -> None:
    home.create(
        "services", {"metadata": {"name": "lb"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    )
    until(lambda: home.live("services", "lb")["status"]["loadBalancer"].get("ingress"), what="an address")
