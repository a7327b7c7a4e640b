"""The rules by which an object's own status is judged."""

from __future__ import annotations

from typing import Any

import pytest

from engine.health.creation import refused_pods
from engine.health.objects import current_pods, judge
from engine.health.quorum import decisive
from engine.health.trouble import Trouble
from engine.types import Json, Progress
from tests.engine_cluster.objects import live_deployment, pod, replica_set

READY, WAIT, FAILED = Progress.READY, Progress.PROGRESSING, Progress.FAILED


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("status", "progress", "words"),
    [
        ({}, READY, "2 of 2 replicas ready"),
        ({"seen": 1}, WAIT, "waiting for its controller"),
        ({"updatedReplicas": 1, "replicas": 2}, WAIT, "1 of 2 replicas updated"),
        ({"updatedReplicas": 0}, WAIT, "0 of 2 replicas updated"),
        ({"replicas": 3}, WAIT, "1 old still running"),
        ({"availableReplicas": 1}, WAIT, "1 of 2 replicas ready"),
        ({"availableReplicas": None}, WAIT, "0 of 2 replicas ready"),
        (
            {"conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded")]},
            FAILED,
            "within 600 seconds",
        ),
        (
            {"seen": 1, "conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded")]},
            WAIT,
            "controller",
        ),
        (
            {
                "updatedReplicas": 0,
                "conditions": [condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: q")],
            },
            WAIT,  # for a while: old pods may leave
            "0 of 2 replicas updated",
        ),
    ],
)
def test_deployments(status: dict[str, Any], progress: Progress, words: str) -> None:
    counts = {"replicas": status.pop("replicas")} if "replicas" in status else {}
    body = live_deployment(**status)
    body["status"].update(counts)
    judgement = judge("Deployment", body, 2)
    assert judgement.progress == progress
    assert words in judgement.sentence


def test_ready_replicas_that_are_not_available_yet_say_so() -> None:
    body = live_deployment(availableReplicas=0, readyReplicas=2)
    body["spec"]["minReadySeconds"] = 10
    words = "2 of 2 replicas ready, 0 for 10 s or longer (minReadySeconds)"
    assert judge("Deployment", body, 2).sentence == words


def test_refused_pods_are_named_by_condition_or_by_event() -> None:
    body = live_deployment(
        conditions=[condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: q")]
    )
    assert refused_pods("Deployment", body, []) == "exceeded quota: q"
    assert refused_pods("Deployment", live_deployment(), []) == ""
    event = {"reason": "FailedCreate", "message": "exceeded quota: q"}
    missing = set_of("StatefulSet", {"replicas": 2}, replicas=1)
    assert refused_pods("StatefulSet", missing, [event]) == "exceeded quota: q"
    assert refused_pods("StatefulSet", missing, []) == ""
    assert refused_pods("StatefulSet", set_of("StatefulSet", {"replicas": 1}, replicas=1), [event]) == ""
    agents = set_of("DaemonSet", desiredNumberScheduled=3, currentNumberScheduled=0)
    assert refused_pods("DaemonSet", agents, [event]) == "exceeded quota: q"


def test_a_status_older_than_our_apply_says_nothing() -> None:
    """The watch may still show the object as it was before our request was answered."""
    assert judge("Deployment", live_deployment(generation=2, seen=2), 3).progress == WAIT


def test_no_replicas_and_paused_are_ready() -> None:
    assert judge("Deployment", live_deployment(replicas=0), 2).progress == READY
    body = live_deployment(updatedReplicas=0)
    body["spec"]["paused"] = True
    assert "paused" in judge("Deployment", body, 2).sentence


def test_what_is_being_deleted_is_not_done() -> None:
    body = live_deployment()
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judge("Deployment", body, 2).progress == WAIT


def set_of(kind: str, spec: Json | None = None, **status: Any) -> Json:
    return {
        "kind": kind,
        "metadata": {"name": "x", "uid": "u", "generation": 1},
        "spec": spec or {},
        "status": {"observedGeneration": 1, **status},
    }


@pytest.mark.parametrize(
    ("spec", "status", "progress"),
    [
        ({"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, READY),
        ({"replicas": 2}, {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 2}, WAIT),
        ({"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}, WAIT),
        ({"replicas": 1}, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, WAIT),
        (
            {"replicas": 2},
            {
                "replicas": 2,
                "updatedReplicas": 0,
                "readyReplicas": 2,
                "updateRevision": "a",
                "currentRevision": "a",
            },
            READY,
        ),
        (
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 3},
            READY,
        ),
        (
            {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
            {"replicas": 2, "updatedReplicas": 0},
            READY,
        ),
        ({"replicas": 0}, {}, READY),
        ({}, {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}, READY),
    ],
)
def test_stateful_sets(spec: Json, status: Json, progress: Progress) -> None:
    assert judge("StatefulSet", set_of("StatefulSet", spec, **status), 1).progress == progress


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        ({"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}, READY),
        ({"desiredNumberScheduled": 3, "updatedNumberScheduled": 2, "numberAvailable": 3}, WAIT),
        (
            {
                "desiredNumberScheduled": 3,
                "updatedNumberScheduled": 3,
                "numberAvailable": 2,
                "numberUnavailable": 1,
            },
            WAIT,
        ),
        ({"desiredNumberScheduled": 0}, READY),
    ],
)
def test_daemon_sets(status: Json, progress: Progress) -> None:
    assert judge("DaemonSet", set_of("DaemonSet", **status), 1).progress == progress


@pytest.mark.parametrize(
    ("status", "progress", "words"),
    [
        ({}, WAIT, "waiting for its pod"),
        ({"active": 1}, WAIT, "running"),
        ({"conditions": [condition("Complete", "True")], "succeeded": 1}, READY, "completed"),
        ({"conditions": [condition("SuccessCriteriaMet", "True")]}, WAIT, "completed"),
        (
            {"conditions": [condition("Failed", "True", "BackoffLimitExceeded", "long text")], "failed": 3},
            FAILED,
            "its pod failed 3 times",
        ),
        (  # seen, and not counted yet
            {
                "conditions": [condition("FailureTarget", "True", "BackoffLimitExceeded")],
                "uncountedTerminatedPods": {"failed": ["uid-2"]},
                "failed": 1,
            },
            FAILED,
            "its pod failed twice",
        ),
        (
            {
                "conditions": [condition("FailureTarget", "True", "BackoffLimitExceeded")],
                "failed": 1,
                "uncountedTerminatedPods": {"failed": ["uid-2"]},
            },
            FAILED,
            "its pod failed twice",
        ),
        (
            {"conditions": [condition("FailureTarget", "True", "DeadlineExceeded")]},
            FAILED,
            "longer than 60 seconds",
        ),
        ({"conditions": [condition("Failed", "True", "PodFailurePolicy", "exit 42")]}, FAILED, "exit 42"),
    ],
)
def test_jobs(status: Json, progress: Progress, words: str) -> None:
    body = set_of("Job", {"activeDeadlineSeconds": 60}, **status)
    judgement = judge("Job", body, 1)
    assert judgement.progress == progress
    assert words in judgement.sentence


@pytest.mark.parametrize(
    ("kind", "body", "progress"),
    [
        ("Pod", pod(phase="Running", ready=True), READY),
        ("Pod", pod(phase="Running"), WAIT),
        ("Pod", pod(phase="Succeeded"), READY),
        ("Pod", pod(phase="Failed"), FAILED),
        ("Service", {"metadata": {}, "spec": {"type": "ClusterIP"}}, READY),
        ("Service", {"metadata": {}, "spec": {"type": "LoadBalancer"}}, WAIT),
        (
            "Service",
            {
                "metadata": {},
                "spec": {"type": "LoadBalancer"},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
            },
            READY,
        ),
        (
            "CustomResourceDefinition",
            {"metadata": {}, "status": {"conditions": [condition("Established", "True")]}},
            READY,
        ),
        ("CustomResourceDefinition", {"metadata": {}, "status": {}}, WAIT),
        (
            "CustomResourceDefinition",
            {
                "metadata": {},
                "status": {"conditions": [condition("NamesAccepted", "False", "ListKindConflict", "taken")]},
            },
            FAILED,
        ),
        ("ConfigMap", {"metadata": {}}, READY),
        ("ReplicaSet", set_of("ReplicaSet", {"replicas": 1}, replicas=1, availableReplicas=1), READY),
        ("ReplicaSet", set_of("ReplicaSet", {"replicas": 1}, replicas=1), WAIT),
    ],
)
def test_other_kinds(kind: str, body: Json, progress: Progress) -> None:
    assert judge(kind, body, 1).progress == progress


def test_only_pods_of_the_current_replica_set_count() -> None:
    old, new = replica_set("rs-old", revision="1"), replica_set("rs-new", revision="2")
    pods = [pod("old", owner="rs-old"), pod("new", owner="rs-new")]
    found = current_pods("Deployment", live_deployment(), pods, [old, new])
    assert [item["metadata"]["name"] for item in found] == ["new"]
    assert current_pods("Deployment", live_deployment(), pods, [old]) == []


def test_pods_of_other_kinds_are_told_by_revision_generation_and_owner() -> None:
    body = set_of("StatefulSet", updateRevision="b")
    pods = [
        pod("a", owner="u", labels={"controller-revision-hash": "a"}),
        pod("b", owner="u", labels={"controller-revision-hash": "b"}),
    ]
    assert [p["metadata"]["name"] for p in current_pods("StatefulSet", body, pods, [])] == ["b"]
    body = set_of("DaemonSet")
    body["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "2"}
    pods = [pod(g, owner="u", labels={"pod-template-generation": g}) for g in ("1", "2")]
    assert [p["metadata"]["name"] for p in current_pods("DaemonSet", body, pods, [])] == ["2"]
    assert len(current_pods("Job", set_of("Job"), [pod(owner="u"), pod(owner="v")], [])) == 1


def test_pods_on_their_way_out_are_not_judged() -> None:
    leaving = pod(owner="u")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert current_pods("Job", set_of("Job"), [leaving], []) == []


def trouble(name: str, topic: str = "crash") -> Trouble:
    return Trouble(name, f"uid-{name}", topic, "R", 0, "s", container="web")


def test_one_bad_pod_of_several_does_not_fail_a_deployment_unless_it_is_stuck() -> None:
    pods = [pod("a"), pod("b")]
    assert decisive("Deployment", pods, [trouble("a")], stuck=False) is None
    assert decisive("Deployment", pods, [trouble("a")], stuck=True)
    assert decisive("Deployment", pods, [trouble("a"), trouble("b")], stuck=False)
    assert decisive("StatefulSet", pods, [trouble("a")], stuck=False)
    assert decisive("Deployment", pods, [], stuck=True) is None


def test_causes_come_before_consequences() -> None:
    pods = [pod("a"), pod("b")]
    found = decisive("Deployment", pods, [trouble("a", "unschedulable"), trouble("b", "image")], stuck=False)
    assert found
    assert found.topic == "image"
