"""Deploys on a real control plane: what is applied, what it says, and how it ends."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import replace

import pytest

from engine.cluster.apply import ApplyError
from engine.cluster.live import read_live
from engine.rollout.evidence import LOG_LINES
from engine.types import Action, Evidence, Json, ObjectRef, Progress
from tests.engine_cluster.conftest import QUICK, Cluster
from tests.engine_cluster.objects import (
    BEHAVIOUR,
    ENVIRONMENT,
    PROBE,
    config_map,
    daemon_set,
    deployment,
    job,
    manifests,
    namespace,
    secret,
    stateful_set,
)
from tests.observer import Watching


def web(cluster: Cluster) -> ObjectRef:
    return ObjectRef("Deployment", "apps", cluster.namespace, "web")


def actions(observer: Watching) -> dict[str, Action]:
    return {status.ref.name: status.action for status in observer.statuses if status.action}


def test_create_then_the_same_then_a_change(cluster: Cluster) -> None:
    where = cluster.namespace
    bodies = (config_map(where), secret(where), deployment(where, replicas=2))
    result, observer = cluster.deploy(*bodies)
    assert result.ok
    assert set(actions(observer).values()) == {Action.CREATE}
    assert observer.last(web(cluster)).sentence == "2 of 2 replicas ready"

    result, observer = cluster.deploy(*bodies)
    assert result.ok
    assert set(actions(observer).values()) == {Action.UNCHANGED}

    result, observer = cluster.deploy(
        config_map(where, KEY="other"), secret(where), deployment(where, replicas=1)
    )
    assert result.ok
    assert actions(observer) == {"settings": Action.CHANGE, "keys": Action.UNCHANGED, "web": Action.CHANGE}
    live = cluster.get(f"{cluster.apps}/deployments/web")
    assert [e["manager"] for e in live["metadata"]["managedFields"] if e["operation"] == "Apply"] == [
        "slipway"
    ]


def test_every_kind_of_workload_becomes_ready(cluster: Cluster) -> None:
    where = cluster.namespace
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "edge", "namespace": where},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}},
    }
    result, _observer = cluster.deploy(
        stateful_set(where, replicas=2), daemon_set(where), job(where, "once"), service, deployment(where)
    )
    assert result.ok
    sentences = {status.ref.kind: status.sentence for status in result.statuses}
    assert sentences["StatefulSet"] == "2 of 2 replicas ready"
    assert sentences["DaemonSet"].startswith("ready on ")
    assert sentences["Job"] == "completed"
    assert sentences["Service"].startswith("address ")
    result, _ = cluster.deploy(stateful_set(where, replicas=2), daemon_set(where), service, deployment(where))
    assert result.ok


def deployed_until_backed_off(cluster: Cluster, body: Json) -> Evidence:
    """The evidence of a deploy that fails, made again until the event of backing off is in it: a node posts it a moment after
    the end, on a busy machine after the verdict."""
    deadline = time.monotonic() + 120
    while True:
        result, _ = cluster.deploy(body)
        evidence = result.failures[0].evidence
        assert evidence
        if time.monotonic() > deadline or any(event.reason == "BackOff" for event in evidence.events):
            return evidence
        time.sleep(0.5)


def test_a_release_that_crashes_fails_soon_and_says_why_while_the_old_one_serves(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(deployment(where, replicas=2))
    # Longer than a crashing container is ready, also on a busy machine: else the old pods are taken away.
    crashing = deployment(where, replicas=2, behaviour="crash", minReadySeconds=10)
    result, _observer = cluster.deploy(crashing)
    assert (result.ok, result.timed_out) == (False, False)
    (failure,) = result.failures
    # On a busy machine more ends may be seen at once.
    assert re.match(
        r"web: container web crashed (twice|\d times) at start \(exit code 1\): ", failure.sentence
    )
    assert failure.evidence
    assert failure.evidence.reason == "CrashLoopBackOff"
    assert failure.evidence.exit_code == 1
    assert failure.evidence.restarts >= 1
    later = deployed_until_backed_off(cluster, crashing)
    (backed_off,) = [event for event in later.events if event.reason == "BackOff"]
    assert (backed_off.type, backed_off.object) == ("Warning", f"Pod/{later.pod}")
    assert str(backed_off).startswith("Warning BackOff")
    assert failure.evidence.previous_logs
    assert len(failure.evidence.logs) <= LOG_LINES
    (seen,) = read_live(cluster.client, where, environment_label=ENVIRONMENT)
    assert (seen.health, seen.ready, seen.managed) == ("failing", 2, True)


def test_the_evidence_has_every_container_of_the_failed_pods(cluster: Cluster) -> None:
    body = deployment(
        cluster.namespace, replicas=2, behaviour="crash:3", container={"resources": {"limits": {"cpu": "1"}}}
    )
    body["spec"]["template"]["spec"]["containers"].append(
        {"name": "proxy", "image": "registry.example/proxy:1"}
    )
    result, _ = cluster.deploy(body)
    (failure,) = result.failures
    first = failure.evidence
    assert first
    pods = {(one.pod, one.container): one for one in (first, *first.others)}
    assert len({pod for pod, _ in pods}) == 2
    assert Counter(container for _, container in pods) == {"web": 2, "proxy": 2}
    for (_, container), one in pods.items():
        assert one.node
        if container == "web":
            assert (one.exit_code, one.limits) == (3, ("cpu 1",))
            assert one.previous_logs or one.logs


def exceeded(cluster: Cluster, name: str = "web") -> bool:
    conditions = cluster.get(f"{cluster.apps}/deployments/{name}")["status"].get("conditions") or []
    return any(one.get("reason") == "ProgressDeadlineExceeded" for one in conditions)


def until_exceeded(cluster: Cluster) -> None:
    """Until the progress deadline of the last rollout is over."""
    deadline = time.monotonic() + 60
    while not exceeded(cluster) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert exceeded(cluster)


def test_a_broken_revision_that_is_deployed_again_fails_when_its_next_start_ends(cluster: Cluster) -> None:
    """Its pods are there already, and what they need may be back: one start after the deploy decides, also when the progress
    deadline of the first deploy is over."""
    body = deployment(
        cluster.namespace, replicas=2, behaviour="crash:3", container=PROBE, progressDeadlineSeconds=3
    )
    cluster.deploy(body)
    for is_over in (False, True):
        if is_over:
            until_exceeded(cluster)
        ends = restarts(cluster)
        result, observer = cluster.deploy(body)
        assert restarts(cluster) > ends
        assert actions(observer) == {"web": Action.UNCHANGED}
        assert any("as before this deploy; its next start decides" in line for line in observer.lines)
        assert (result.ok, result.timed_out) == (False, False)
        (failure,) = result.failures
        assert re.match(
            r"web: container web crashed \S+( times)? at start \(exit code 3\): ", failure.sentence
        )
        assert failure.evidence
        assert (failure.evidence.reason, failure.evidence.exit_code) == ("CrashLoopBackOff", 3)
        assert failure.evidence.restarts >= 1
        assert failure.evidence.previous_logs
        assert failure.evidence.node


def restarts(cluster: Cluster) -> int:
    """Of all pods."""
    pods = cluster.get(f"{cluster.core}/pods")["items"]
    return sum(one["restartCount"] for pod in pods for one in pod["status"].get("containerStatuses") or [])


def test_the_deadline_of_an_earlier_deploy_does_not_fail_one_that_heals_it(cluster: Cluster) -> None:
    """Only what the pods wait for changes; the Deployment stays as it is, and so does its status of before."""
    body = deployment(
        cluster.namespace,
        progressDeadlineSeconds=3,
        container={**PROBE, "envFrom": [{"secretRef": {"name": "keys"}}]},
    )
    result, _ = cluster.deploy(body)
    assert not result.ok
    until_exceeded(cluster)
    result, observer = cluster.deploy(
        secret(cluster.namespace), body, limits=replace(QUICK, config_missing=15.0)
    )
    assert result.ok, result.failures
    assert actions(observer) == {"keys": Action.CREATE, "web": Action.UNCHANGED}


def test_the_way_back_from_a_deadline_that_is_over_succeeds(cluster: Cluster) -> None:
    """The Deployment's status says so for a while after it was changed back."""
    where = cluster.namespace
    good = deployment(where, container=PROBE, progressDeadlineSeconds=3)
    assert cluster.deploy(good)[0].ok
    bad = deployment(where, behaviour="never-ready", container=PROBE, progressDeadlineSeconds=3)
    for _ in range(2):
        result, _ = cluster.deploy(bad)
        assert not result.ok
        until_exceeded(cluster)
        result, _ = cluster.deploy(good)
        assert result.ok, result.failures


def test_a_pod_in_the_way_of_a_stateful_set_is_named_until_somebody_deletes_it(cluster: Cluster) -> None:
    """Its controller replaces no pod while one is not ready, not even after the template was changed back."""
    where = cluster.namespace
    good, bad = stateful_set(where, replicas=2), stateful_set(where, replicas=2, behaviour="crash:3")
    for body in (good, bad):  # with a probe, what crashes is not ready for an instant either
        body["spec"]["template"]["spec"]["containers"][0] |= PROBE
    assert cluster.deploy(good)[0].ok
    result, _ = cluster.deploy(bad)
    assert "crashed" in result.failures[0].sentence
    result, _ = cluster.deploy(good, limits=replace(QUICK, quorum=3.0))
    (failure,) = result.failures
    assert failure.sentence.startswith("db: pod db-1 of an earlier release is in the way")
    assert f"kubectl -n {where} delete pod db-1" in failure.hint
    assert failure.evidence
    assert failure.evidence.pod == "db-1"
    cluster.delete(f"{cluster.core}/pods/db-1")
    assert cluster.deploy(good)[0].ok


def test_never_ready_again_ends_soon_after_a_deadline_that_is_over(cluster: Cluster) -> None:
    body = deployment(cluster.namespace, behaviour="never-ready", container=PROBE, progressDeadlineSeconds=3)
    cluster.deploy(body)
    until_exceeded(cluster)
    result, _ = cluster.deploy(body, limits=replace(QUICK, old_deadline=2.0))
    (failure,) = result.failures
    assert failure.sentence.startswith(
        "web: its new pods did not become ready within 3 seconds: Readiness probe failed"
    )
    assert failure.evidence
    assert failure.evidence.pod.startswith("web-")


def test_an_image_that_cannot_be(cluster: Cluster) -> None:
    result, _ = cluster.deploy(deployment(cluster.namespace, image="Not A Name"))
    (failure,) = result.failures
    assert failure.sentence == "web: image Not A Name is not a valid image name"


def test_never_ready_ends_by_the_objects_own_deadline(cluster: Cluster) -> None:
    body = deployment(cluster.namespace, behaviour="never-ready", container=PROBE, progressDeadlineSeconds=3)
    result, _ = cluster.deploy(body)
    (failure,) = result.failures
    assert failure.sentence.startswith("web: its new pods did not become ready within 3 seconds")
    assert "Readiness probe failed" in failure.sentence


def test_the_deploys_time_is_over(cluster: Cluster) -> None:
    result, _ = cluster.deploy(
        deployment(cluster.namespace, behaviour="never-ready", container=PROBE), timeout=3.0
    )
    assert (result.ok, result.timed_out) == (False, True)
    assert result.failures[0].progress == Progress.TIMED_OUT
    assert "when the deploy's time was over" in result.failures[0].sentence


def test_the_timeout_annotation_of_one_object(cluster: Cluster) -> None:
    body = deployment(cluster.namespace, behaviour="never-ready", container=PROBE)
    body["metadata"]["annotations"] = {"slipway.dev/timeout": "2s"}
    result, _ = cluster.deploy(body)
    assert result.timed_out
    assert "after 2 seconds" in result.failures[0].sentence


def test_what_is_not_to_be_waited_for_is_only_applied(cluster: Cluster) -> None:
    body = deployment(cluster.namespace, behaviour="never-ready", container=PROBE)
    body["metadata"]["annotations"] = {"slipway.dev/wait": "false"}
    result, observer = cluster.deploy(body)
    assert result.ok
    assert observer.last(web(cluster)).progress == Progress.APPLIED


def test_a_missing_secret_is_named(cluster: Cluster) -> None:
    env = [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "K"}}}]
    result, _ = cluster.deploy(deployment(cluster.namespace, container={"env": env}))
    assert 'secret "nowhere" not found' in result.failures[0].sentence


def test_a_quota_is_explained(cluster: Cluster) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    cluster.client.request("POST", f"{cluster.core}/resourcequotas", body=quota)
    result, _ = cluster.deploy(deployment(cluster.namespace))
    assert "exceeded quota" in result.failures[0].sentence


def test_a_predeploy_job_runs_first_and_its_log_is_copied(cluster: Cluster) -> None:
    where = cluster.namespace
    result, observer = cluster.deploy(
        job(where, phase="predeploy", behaviour="job-slow:3"), deployment(where)
    )
    assert result.ok
    order = [status.ref.kind for status in observer.statuses if status.action]
    assert order.index("Job") < order.index("Deployment")
    assert "migrate: started" in observer.text
    assert observer.last(ObjectRef("Job", "batch", where, "migrate-1")).sentence == "completed"


def test_a_failing_predeploy_job_stops_the_deploy_before_the_workloads(cluster: Cluster) -> None:
    where = cluster.namespace
    with pytest.raises(ApplyError) as caught:
        cluster.deploy(
            job(where, phase="predeploy", behaviour="job-fails:3"), deployment(where), config_map(where)
        )
    assert caught.value.message.startswith("migrate-1: the Job failed (its pod failed once): ")
    assert "Nothing after it was applied" in caught.value.hint
    status = next(s for s in caught.value.statuses if s.ref.kind == "Job")
    assert status.evidence
    assert status.evidence.logs
    names = {item["metadata"]["name"] for item in cluster.get(f"{cluster.apps}/deployments")["items"]}
    assert names == set()
    assert cluster.get(f"{cluster.core}/configmaps/settings")


def test_a_predeploy_job_that_is_collected_at_once_has_succeeded(cluster: Cluster) -> None:
    where = cluster.namespace
    body = job(where, phase="predeploy", ttlSecondsAfterFinished=0)
    result, _observer = cluster.deploy(body, deployment(where))
    assert result.ok


def test_a_finished_job_is_not_run_again(cluster: Cluster) -> None:
    where = cluster.namespace
    done = ObjectRef("Job", "batch", where, "migrate-1")
    result, observer = cluster.deploy(job(where, phase="predeploy"), deployment(where), finished_jobs={done})
    assert result.ok
    assert observer.last(done).sentence == "completed before"
    assert cluster.get(f"/apis/batch/v1/namespaces/{where}/jobs")["items"] == []


def test_postdeploy_jobs_run_when_all_is_ready(cluster: Cluster) -> None:
    where = cluster.namespace
    body = job(where, "smoke", phase="postdeploy", behaviour="job-fails")
    result, observer = cluster.deploy(body, deployment(where))
    assert not result.ok
    assert result.failures[0].ref.name == "smoke-1"
    assert observer.last(web(cluster)).progress == Progress.READY
    assert "smoke: started" in observer.text


def test_several_namespaces_one_of_them_new(cluster: Cluster) -> None:
    other = f"{cluster.namespace}-two"
    bodies = (namespace(other), deployment(other), config_map(other), deployment(cluster.namespace))
    try:
        by_name = {(c.ref.kind, c.ref.namespace): c for c in cluster.preview(*bodies)}
        assert by_name["Deployment", other].deferred
        assert by_name["Deployment", cluster.namespace].action == Action.CREATE
        result, _ = cluster.deploy(*bodies)
        assert result.ok
        assert {s.ref.namespace for s in result.statuses if s.progress == Progress.READY} == {
            other,
            cluster.namespace,
        }
    finally:
        cluster.client.request("DELETE", f"/api/v1/namespaces/{other}")


def test_what_could_not_be_checked_before_is_checked_before_it_is_applied(cluster: Cluster) -> None:
    other = f"{cluster.namespace}-three"
    bad = deployment(other)
    bad["spec"]["replicaz"] = 1
    try:
        with pytest.raises(ApplyError, match=r"unknown field spec\.replicaz"):
            cluster.deploy(namespace(other), bad, config_map(other))
        assert [
            c["metadata"]["name"] for c in cluster.get(f"/api/v1/namespaces/{other}/configmaps")["items"]
        ] in (
            [],
            ["kube-root-ca.crt"],
        )
    finally:
        cluster.client.request("DELETE", f"/api/v1/namespaces/{other}")


def test_one_refused_object_stops_later_stages_and_all_refusals_are_told(cluster: Cluster) -> None:
    where = cluster.namespace
    bad = config_map(where, "bad")
    bad["data"] = {"not a key!": "x"}
    worse = config_map(where, "worse")
    worse["dota"] = {}
    with pytest.raises(ApplyError) as caught:
        cluster.deploy(bad, worse, config_map(where), deployment(where))
    failed = {status.ref.name for status in caught.value.statuses if status.progress == Progress.FAILED}
    assert failed == {"bad", "worse"}
    assert "(1 more failed, too.)" in caught.value.message
    assert cluster.get(f"{cluster.core}/configmaps/settings")
    assert cluster.get(f"{cluster.apps}/deployments")["items"] == []


def test_doing_it_again_after_a_crash_of_ours_is_safe(cluster: Cluster) -> None:
    """A worker dies between apply and wait; the next one applies again and judges what is there."""
    given = manifests(deployment(cluster.namespace, behaviour="crash"))
    with cluster.rollout(given, Watching()) as rollout:
        rollout.apply()
    with cluster.rollout(given, Watching()) as rollout:
        statuses = rollout.apply()
        result = rollout.wait()
    assert [status.action for status in statuses] == [Action.UNCHANGED]
    assert "crashed" in result.failures[0].sentence


def test_an_object_deleted_during_the_rollout(cluster: Cluster) -> None:
    given = manifests(deployment(cluster.namespace, behaviour="never-ready", container=PROBE))
    with cluster.rollout(given, Watching()) as rollout:
        rollout.apply()
        cluster.client.request("DELETE", f"{cluster.apps}/deployments/web")
        result = rollout.wait()
    assert "deleted by somebody else" in result.failures[0].sentence


def test_what_turns_bad_between_deploys_is_seen_with_its_sentence(cluster: Cluster) -> None:
    """A rollout that nobody watched to its end: the state is read later, as the board does."""
    where = cluster.namespace
    cluster.deploy(deployment(where, "web", replicas=1), deployment(where, "worker", replicas=1))
    states = read_live(cluster.client, where, environment_label=ENVIRONMENT)
    assert [(one.ref.name, one.health) for one in states] == [("web", "healthy"), ("worker", "healthy")]
    patch = {"spec": {"template": {"metadata": {"annotations": {BEHAVIOUR: "crash"}}}}}
    cluster.kubectl("-n", where, "patch", "deploy/web", "--type=merge", "-p", json.dumps(patch))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        web, worker = read_live(cluster.client, where, environment_label=ENVIRONMENT)
        if web.health == "failing":
            break
        time.sleep(0.5)
    assert (web.health, worker.health) == ("failing", "healthy")
    assert web.sentence.startswith("container web crashed")


def test_the_evidence_stands_although_the_namespace_is_deleted_at_once(cluster: Cluster) -> None:
    """One workload fails while the other is still on its way, and a person deletes the namespace in that second; its pods and
    their logs are gone at once."""
    where = cluster.namespace
    observer = Watching()

    def delete_when_failed() -> None:
        if any(status.progress == Progress.FAILED for status in observer.statuses):
            cluster.delete(f"/api/v1/namespaces/{where}")
            cluster.client.request("DELETE", f"{cluster.core}/pods", query={"gracePeriodSeconds": "0"})

    observer.stop = delete_when_failed
    slow = deployment(where, "slow", behaviour="never-ready", container=PROBE)
    result, _ = cluster.deploy(deployment(where, behaviour="crash"), slow, observer=observer)
    failure = next(one for one in result.failures if one.ref.name == "web")
    assert failure.sentence.startswith("web: container web crashed twice at start (exit code 1)")
    assert failure.evidence
    assert failure.evidence.exit_code == 1
    assert failure.evidence.node
    assert failure.evidence.previous_logs
    assert failure.evidence.pod.startswith("web-")
    assert failure.evidence.container == "web"
