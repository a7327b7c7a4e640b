"""What is wrong with a pod: the kubelet's words, in ours."""

from __future__ import annotations

import math

import pytest

from engine.health.pods import is_ready, troubles_of
from engine.health.trouble import Trouble
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
    ("restarts", "grace", "times"), [(1, 0, "twice"), (2, 0, "3 times"), (0, 60, "once")]
)
def test_crashes_are_counted_and_the_second_decides(restarts: int, grace: float, times: str) -> None:
    found = only(pod(containers=[waiting("CrashLoopBackOff", "back-off", restarts=restarts, last=CRASHED)]))
    assert found.grace == grace
    assert found.sentence == f"container web crashed {times} at start (exit code 1)"
    assert (found.exit_code, found.restarts) == (1, restarts)


def container(state: str, *, restarts: int = 0, **ended: object) -> Json:
    """A container in a state, with `ended` as the end of its present or last run."""
    last = {"terminated": {**CRASHED, **ended}}
    if state == "terminated":
        return {"name": "web", "restartCount": restarts, "state": last}
    return {"name": "web", "restartCount": restarts, "state": {state: {}}, "lastState": last}


@pytest.mark.parametrize(
    ("state", "restarts", "exits", "grace"),
    [
        ("terminated", 0, 1, 60),
        ("running", 1, 1, math.inf),  # it may live on; what ended within the settle time counts all the same
        ("terminated", 1, 2, 0),
        ("running", 2, 2, 0),
        ("waiting", 2, 3, 0),
    ],
)
def test_ends_count_whatever_the_state_between_them(
    state: str, restarts: int, exits: int, grace: float
) -> None:
    found = only(pod(phase="Running", containers=[container(state, restarts=restarts)]))
    assert (found.topic, found.exits, found.grace) == ("crash", exits, grace)


def test_ends_before_the_rollout_are_forgiven() -> None:
    body = pod(phase="Running", containers=[container("running", restarts=7)])
    assert troubles_of(body, limits=LIMITS, forgiven={"web": 7}) == []
    assert only(body, forgiven={"web": 6}).exits == 1


def test_a_killed_container_says_its_limit() -> None:
    body = pod(
        phase="Running", containers=[container("running", restarts=1, reason="OOMKilled", exitCode=137)]
    )
    body["spec"]["containers"][0]["resources"] = {"limits": {"memory": "20Mi"}}
    words = "container web was killed once for using more memory than its limit of 20Mi (OOMKilled, exit code 137)"
    assert only(body).sentence == words


@pytest.mark.parametrize("kind", ["Liveness", "Startup"])
def test_a_container_that_a_probe_killed(kind: str) -> None:
    body = pod(phase="Running", containers=[container("running", restarts=1, exitCode=137)])
    failed = {
        **event("Unhealthy", f"{kind} probe failed: HTTP probe failed with statuscode: 503"),
        "involvedObject": {"fieldPath": "spec.containers{web}"},
        "lastTimestamp": "2026-01-01T00:00:01Z",
    }
    probe = kind.lower()
    assert only(body, failed).sentence == (
        f"container web was killed once because its {probe} probe failed (exit code 137): "
        "HTTP probe failed with statuscode: 503"
    )
    long_ago = {**failed, "lastTimestamp": "2025-12-31T23:00:00Z"}
    assert "crashed once" in only(body, long_ago).sentence
    of_another = {**failed, "involvedObject": {"fieldPath": "spec.containers{proxy}"}}
    assert "crashed once" in only(body, of_another).sentence


def test_a_program_that_is_not_in_the_image_is_known_at_once() -> None:
    text = (
        "failed to create containerd task: runc create failed: unable to start container process: "
        'exec: "/no/such": stat /no/such: no such file or directory: unknown'
    )
    words = 'container web cannot start: exec: "/no/such": stat /no/such: no such file or directory (exit code 128)'
    ended = {"reason": "StartError", "exitCode": 128, "message": text}
    for reason in ("RunContainerError", "CrashLoopBackOff"):
        message = text if reason == "RunContainerError" else "back-off 10s restarting failed container"
        found = only(pod(containers=[waiting(reason, message, restarts=1, last=ended)]))
        assert (found.sentence, found.grace, found.topic) == (words, 0, "start")
        assert "log" not in found.hint


def test_an_init_container_that_did_its_work_in_the_end_is_no_trouble() -> None:
    done = {**container("terminated", restarts=3, exitCode=0, reason="Completed"), "name": "setup"}
    assert troubles_of(pod(init=[done]), limits=LIMITS) == []
    failed = {**container("terminated", restarts=1, exitCode=3), "name": "setup"}
    assert only(pod(init=[failed])).sentence == "init container setup crashed twice at start (exit code 3)"


def test_a_sidecar_must_not_end() -> None:
    body = pod(init=[{**container("terminated", exitCode=0), "name": "proxy"}])
    body["spec"]["initContainers"] = [{"name": "proxy", "restartPolicy": "Always"}]
    assert "init container proxy ended once without an error" in only(body).sentence


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
        ("failed to pull: registry.example/app:abc: not found", 0, "was not found in the registry"),
        ("manifest unknown", 0, "was not found in the registry"),
        ("unexpected status: 403 Forbidden", 0, "the registry denies it"),
        ("failed with status code [manifests 1]: 401 Unauthorized", 0, "the registry denies it"),
        ("name unknown: The repository does not exist", 0, "was not found in the registry"),
        ("pull access denied", 0, "the registry denies it"),
        ("no basic auth credentials; unauthorized", 0, "the registry denies it"),
        ("dial tcp: i/o timeout", 60, "cannot be pulled: dial tcp: i/o timeout"),
        ("", 60, "cannot be pulled"),
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
    assert only(body, pulled).grace == 0


def test_other_troubles_with_the_registry_are_decided_by_the_second_try() -> None:
    body = pod(containers=[waiting("ErrImagePull", "dial tcp: connection refused")])
    once = event("Failed", 'Failed to pull image "registry.example/app:abc": dial tcp: connection refused')
    assert only(body, once, event("Failed", "Error: ErrImagePull")).grace == LIMITS.image_other
    assert only(body, {**once, "count": 2}).grace == 0
    assert only(body, once, once).grace == 0


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_images_that_can_never_come(reason: str) -> None:
    assert only(pod(containers=[waiting(reason)])).grace == 0


@pytest.mark.parametrize(
    ("message", "fresh", "grace"),
    [
        ('secret "keys" not found', {}, 15),
        ('secret "keys" not found', {("Secret", "keys"): 30.0}, 30),
        ('secret "keys" not found', {("Secret", "keys"): 300.0}, 300),
        ('configmap "settings" not found', {("Secret", "settings"): 30.0}, 15),
        ("couldn't find key PORT in Secret shop/keys", {("Secret", "keys"): 30.0}, 30),
        ("couldn't find key PORT in ConfigMap shop/settings", {}, 15),
        ("something else", {}, 60),
    ],
)
def test_missing_configuration(message: str, fresh: dict[tuple[str, str], float], grace: float) -> None:
    found = only(pod(containers=[waiting("CreateContainerConfigError", message)]), fresh=fresh)
    assert (found.grace, found.topic) == (grace, "config")
    assert message in found.sentence


def test_a_mount_race_is_no_trouble() -> None:
    body = pod(containers=[waiting("CreateContainerConfigError", "failed to sync secret cache: timed out")])
    assert troubles_of(body, limits=LIMITS) == []


@pytest.mark.parametrize("reason", ["RunContainerError", "CreateContainerError", "PostStartHookError"])
def test_containers_that_cannot_start(reason: str) -> None:
    assert only(pod(containers=[waiting(reason, "exec: not found")])).grace == 60


def test_a_runtime_that_fails_for_another_reason_is_asked_twice() -> None:
    ended = {"reason": "StartError", "exitCode": 128, "message": "cannot allocate a cgroup"}
    found = only(pod(containers=[{"name": "web", "state": {"terminated": ended}, "restartCount": 0}]))
    assert ("cannot allocate a cgroup" in found.sentence, found.grace) == (True, LIMITS.cannot_start)
    again = only(pod(containers=[{"name": "web", "state": {"terminated": ended}, "restartCount": 1}]))
    assert again.grace == 0


def test_failed_pods_unless_the_node_is_at_fault() -> None:
    assert only(pod(phase="Failed", reason="Error", message="it broke")).grace == 0
    for reason in ("Evicted", "Preempting", "NodeShutdown"):
        found = only(pod(phase="Failed", reason=reason, message="disk is full"))
        assert (found.topic, found.grace) == ("evicted", math.inf)
        assert "disk is full" in found.sentence


def test_unschedulable_says_what_the_nodes_lack_and_dooms_nothing() -> None:
    lacks = "0/1 nodes are available: 1 Insufficient memory"
    unschedulable = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": f"{lacks}. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful.",
    }
    body = pod(conditions=[unschedulable])
    body["spec"]["containers"][0]["resources"] = {"requests": {"memory": "900Gi"}}
    found = only(body)
    assert found.grace == math.inf
    assert found.sentence == f"no node can take the pod yet: {lacks} (it asks for memory 900Gi)"


def test_volumes_that_cannot_be_mounted_show_in_events_only() -> None:
    body = pod(containers=[waiting("ContainerCreating")])
    found = only(body, event("FailedMount", 'MountVolume.SetUp failed: secret "keys" not found'))
    assert (found.topic, found.grace) == ("mount", LIMITS.mount_missing)
    assert only(body, event("FailedAttachVolume", "Multi-Attach error")).grace == LIMITS.mount


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
