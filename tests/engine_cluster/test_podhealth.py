"""What is wrong with a pod: the kubelet's words, in ours."""

from __future__ import annotations

import math

import pytest

from engine.health.containers import Trouble
from engine.health.pods import is_ready, troubles_of
from engine.limits import Limits, parse_duration, timeout_of
from engine.types import TIMEOUT_ANNOTATION, Json
from tests.engine_cluster.objects import deployment, job, manifest, pod, waiting

LIMITS = Limits()
CRASHED = {
    "exitCode": 1,
    "reason": "Error",
    "startedAt": "2026-01-01T00:00:00Z",
    "finishedAt": "2026-01-01T00:00:02Z",
}


def only(body: Json, *events: Json, **more: object) -> Trouble:
    (found,) = troubles_of(body, events, limits=LIMITS, **more)
    return found


def event(reason: str, message: str) -> Json:
    return {"metadata": {}, "type": "Warning", "reason": reason, "message": message}


def test_a_healthy_pod_has_no_trouble() -> None:
    assert troubles_of(pod(phase="Running", ready=True), limits=LIMITS) == []
    assert is_ready(pod(phase="Running", ready=True))
    assert not is_ready(pod(phase="Running"))


@pytest.mark.parametrize(
    ("restarts", "grace", "times"), [(1, 60, "twice"), (2, 0, "3 times"), (0, 60, "once")]
)
def test_crashes_are_counted_and_the_second_restart_decides(restarts: int, grace: float, times: str) -> None:
    found = only(pod(containers=[waiting("CrashLoopBackOff", "back-off", restarts=restarts, last=CRASHED)]))
    assert found.grace == grace
    assert found.sentence == f"container web crashed {times} at start (exit code 1)"
    assert (found.exit_code, found.restarts) == (1, restarts)


def test_crashes_that_are_no_crashes_at_start() -> None:
    late = {**CRASHED, "finishedAt": "2026-01-01T01:00:00Z"}
    assert (
        "at start" not in only(pod(containers=[waiting("CrashLoopBackOff", restarts=5, last=late)])).sentence
    )
    oom = {**CRASHED, "reason": "OOMKilled", "exitCode": 137}
    assert "memory" in only(pod(containers=[waiting("CrashLoopBackOff", restarts=5, last=oom)])).sentence
    fine = {**CRASHED, "exitCode": 0}
    assert (
        "keep running" in only(pod(containers=[waiting("CrashLoopBackOff", restarts=5, last=fine)])).sentence
    )


def test_init_containers_are_named_as_such() -> None:
    found = only(pod(init=[waiting("CrashLoopBackOff", name="setup", restarts=3, last=CRASHED)]))
    assert found.sentence.startswith("init container setup crashed 4 times")


@pytest.mark.parametrize(
    ("message", "grace", "words"),
    [
        ("failed to pull: registry.example/app:abc: not found", 20, "was not found in the registry"),
        ("manifest unknown", 20, "was not found in the registry"),
        ("pull access denied", 20, "the registry denies it"),
        ("no basic auth credentials; unauthorized", 20, "the registry denies it"),
        ("dial tcp: i/o timeout", 120, "cannot be pulled: dial tcp: i/o timeout"),
        ("", 120, "cannot be pulled"),
    ],
)
@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_images(reason: str, message: str, grace: float, words: str) -> None:
    found = only(pod(containers=[waiting(reason, message)]))
    assert found.grace == grace
    assert found.sentence.startswith("image registry.example/app:abc ")
    assert words in found.sentence
    assert found.topic == "image"


def test_the_cause_of_a_pull_may_stand_in_the_event_only() -> None:
    body = pod(containers=[waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/app:abc"')])
    pulled = event("Failed", 'Failed to pull image "registry.example/app:abc": not found')
    assert only(body, pulled).grace == 20


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_images_that_can_never_come(reason: str) -> None:
    assert only(pod(containers=[waiting(reason)])).grace == 0


@pytest.mark.parametrize(
    ("message", "fresh", "grace"),
    [
        ('secret "keys" not found', (), 0),
        ('secret "keys" not found', (("Secret", "keys"),), 30),
        ('configmap "settings" not found', (("Secret", "settings"),), 0),
        ("couldn't find key PORT in Secret shop/keys", (("Secret", "keys"),), 30),
        ("couldn't find key PORT in ConfigMap shop/settings", (), 0),
        ("something else", (), 60),
    ],
)
def test_missing_configuration(message: str, fresh: tuple[tuple[str, str], ...], grace: float) -> None:
    found = only(pod(containers=[waiting("CreateContainerConfigError", message)]), fresh=fresh)
    assert (found.grace, found.topic) == (grace, "config")
    assert message in found.sentence


def test_a_mount_race_is_no_trouble() -> None:
    body = pod(containers=[waiting("CreateContainerConfigError", "failed to sync secret cache: timed out")])
    assert troubles_of(body, limits=LIMITS) == []


@pytest.mark.parametrize("reason", ["RunContainerError", "CreateContainerError", "PostStartHookError"])
def test_containers_that_cannot_start(reason: str) -> None:
    assert only(pod(containers=[waiting(reason, "exec: not found")])).grace == 60


def test_exit_code_128_is_the_nodes_trouble() -> None:
    ended = {"reason": "ContainerCannotRun", "exitCode": 127, "message": "no such file"}
    container = {"name": "web", "state": {"terminated": ended}, "restartCount": 0}
    assert "no such file" in only(pod(containers=[container])).sentence
    container["state"] = {"terminated": {**ended, "exitCode": 128}}
    assert troubles_of(pod(containers=[container]), limits=LIMITS) == []


def test_failed_pods_unless_the_node_is_at_fault() -> None:
    assert only(pod(phase="Failed", reason="Error", message="it broke")).grace == 0
    for reason in ("Evicted", "Preempting", "NodeShutdown"):
        assert troubles_of(pod(phase="Failed", reason=reason), limits=LIMITS) == []


def test_unschedulable_warns_first_and_waits_for_new_nodes() -> None:
    unschedulable = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes",
    }
    body = pod(conditions=[unschedulable])
    assert (only(body).grace, only(body).warn_after) == (180, 15)
    assert only(body, autoscaler=True).grace == math.inf


def test_volumes_that_cannot_be_mounted_show_in_events_only() -> None:
    body = pod(containers=[waiting("ContainerCreating")])
    found = only(body, event("FailedMount", 'MountVolume.SetUp failed: secret "keys" not found'))
    assert (found.topic, found.grace) == ("mount", 120)


def test_pods_on_their_way_out_are_left_alone() -> None:
    body = pod(containers=[waiting("CrashLoopBackOff", restarts=9)])
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert troubles_of(body, limits=LIMITS) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("", None), ("soon", None), ("0s", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_timeouts_by_annotation_by_the_object_and_by_kind() -> None:
    body = deployment("shop", progressDeadlineSeconds=60)
    assert timeout_of(manifest(body), LIMITS) == 90
    body["metadata"]["annotations"] = {TIMEOUT_ANNOTATION: "2m"}
    assert timeout_of(manifest(body), LIMITS) == 120
    assert timeout_of(manifest(deployment("shop")), LIMITS) == 630
    assert timeout_of(manifest(job("shop", activeDeadlineSeconds=10)), LIMITS) == 40
    assert timeout_of(manifest(job("shop")), LIMITS) == 600
