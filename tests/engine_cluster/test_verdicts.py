"""The rules over time: graces, quorum, timeouts, vanished objects. The clock is turned by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine.cluster.apply import Applied
from engine.cluster.feed import World
from engine.cluster.resources import ref_of
from engine.health.objects import Judgement
from engine.health.trouble import times
from engine.limits import Limits
from engine.rollout.targets import is_waited_for
from engine.rollout.verdicts import Verdicts
from engine.types import SETTLE_ANNOTATION, TIMEOUT_ANNOTATION, Action, Json, ObjectRef, Progress
from tests.engine_cluster.fake_client import FakeClient
from tests.engine_cluster.objects import (
    PROBE,
    config_map,
    deployment,
    job,
    live_deployment,
    manifest,
    pod,
    replica_set,
    stateful_set,
    waiting,
)

NOT_FOUND = "registry.example/app:abc: not found"
CRASH = {"exitCode": 1, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}


def ready_pod(name: str, *, restarts: int = 0, ready: bool = True) -> Json:
    """A running pod of the Deployment's current revision, whose container has ended `restarts` times."""
    last = {"terminated": {**CRASH, "reason": "Error"}} if restarts else {}
    status = {"name": "web", "restartCount": restarts, "state": {"running": {}}, "lastState": last}
    return pod(name, phase="Running", ready=ready, containers=[status])


def ended_pod(name: str, *, restarts: int = 0, code: int = 1) -> Json:
    """The same, its container ended."""
    ended = {"terminated": {**CRASH, "exitCode": code, "reason": "Error" if code else "Completed"}}
    return pod(name, phase="Running", containers=[{"name": "web", "restartCount": restarts, "state": ended}])


class Scene:
    """One Deployment of two replicas in its rollout, and a clock."""

    def __init__(self, limits: Limits | None = None, *, probed: bool = False, settle: str = "") -> None:
        self.now = 1000.0
        self.world = World(FakeClient([]))
        self.verdicts = Verdicts(
            self.world, limits or Limits(), clock=lambda: self.now, wall=lambda: 1_700_000_000 + self.now
        )
        self.show(live_deployment(updatedReplicas=1))
        self.put(ObjectRef("ReplicaSet", "apps", "shop", "rs"), replica_set())
        body = deployment("shop", replicas=2, container=PROBE if probed else {})
        if settle:
            body["metadata"]["annotations"] = {SETTLE_ANNOTATION: settle}
        applied = Applied(manifest(body), Action.CHANGE, 2, "d-1")
        self.verdicts.add(applied)
        self.ref = applied.manifest.ref

    def complete(self) -> None:
        """The Deployment's own status says that all is well."""
        self.show(live_deployment())

    def put(self, ref: ObjectRef, body: Json) -> None:
        self.world.objects[ref] = body

    def show(self, body: Json) -> None:
        self.put(ref_of(body), body)

    def after(self, seconds: float) -> Judgement:
        self.now += seconds
        return self.verdicts.judge_all([self.ref])[self.ref]


def crashing(name: str, restarts: int, **more: object) -> Json:
    return pod(name, containers=[waiting("CrashLoopBackOff", restarts=restarts, last=CRASH)], **more)


# --- settling ---------------------------------------------------------------------------------------------------------


def test_ready_pods_without_a_probe_are_watched_for_the_settle_time() -> None:
    scene = Scene()
    scene.complete()
    scene.show(ready_pod("a"))
    scene.show(ready_pod("b"))
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    words = "container web has no readiness probe: watched 10 s more"
    assert judgement.sentence == f"2 of 2 replicas ready; {words}"
    assert scene.verdicts.notes == [f"web: {words}"]
    assert scene.after(9.9).progress == Progress.PROGRESSING
    assert scene.after(0.1).progress == Progress.READY
    assert scene.verdicts.notes == [f"web: {words}"]  # once


def test_pods_with_probes_are_not_watched() -> None:
    scene = Scene(probed=True)
    scene.complete()
    scene.show(ready_pod("a"))
    assert scene.after(0).progress == Progress.READY


def test_the_settle_time_counts_from_each_pods_own_readiness() -> None:
    scene = Scene()
    scene.show(ready_pod("a"))
    scene.after(0)
    scene.after(30)
    scene.complete()
    scene.show(ready_pod("b"))
    assert scene.after(0).progress == Progress.PROGRESSING
    assert scene.after(10).progress == Progress.READY


def test_an_object_may_say_its_own_settle_time() -> None:
    for settle, seconds in (("30", 30), ("1m", 60), ("0", 0)):
        scene = Scene(probed=settle != "0", settle=settle)
        scene.complete()
        scene.show(ready_pod("a"))
        scene.after(0)
        expected = Progress.PROGRESSING if seconds else Progress.READY
        assert scene.after(max(0, seconds - 1)).progress == expected
        assert scene.after(1).progress == Progress.READY


def test_an_end_within_the_settle_time_fails_when_it_is_over() -> None:
    """A container that ends after 8 s runs again at once: nothing but its restart count shows it."""
    scene = Scene()
    scene.complete()
    for name in "ab":
        scene.show(ready_pod(name))
    scene.after(0)
    for name in "ab":
        scene.show(ready_pod(name, restarts=1))
    assert scene.after(8.4).progress == Progress.PROGRESSING
    judgement = scene.after(1.6)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence == "container web crashed once at start (exit code 1)"


def test_an_end_without_an_error_counts_as_well() -> None:
    scene = Scene()
    for name in "ab":
        scene.show(ready_pod(name))
    scene.after(0)
    for name in "ab":
        scene.show(ended_pod(name, restarts=1, code=0))
    judgement = scene.after(1)
    assert judgement.progress == Progress.FAILED
    words = "container web ended twice without an error (exit code 0), but it should keep running"
    assert judgement.sentence == words


def test_one_of_several_pods_may_end_once_and_settle_after_that() -> None:
    scene = Scene()
    scene.complete()
    for name in "ab":
        scene.show(ready_pod(name))
    scene.after(0)
    scene.show(ready_pod("b", restarts=1))
    assert scene.after(5).progress == Progress.PROGRESSING
    assert scene.after(9).progress == Progress.PROGRESSING  # its time began anew
    assert scene.after(1).progress == Progress.READY


def test_an_end_after_the_settle_time_is_no_concern_of_the_rollout() -> None:
    scene = Scene()
    scene.complete()
    for name in "ab":
        scene.show(ready_pod(name))
    scene.after(0)
    assert scene.after(10).progress == Progress.READY
    scene.show(ready_pod("b", restarts=1))
    assert scene.after(1).progress == Progress.READY


def test_pods_that_were_there_before_are_dated_by_themselves() -> None:
    for age, progress in ((60, Progress.READY), (3, Progress.PROGRESSING)):
        scene = Scene()
        scene.complete()
        body = ready_pod("a", restarts=4)
        changed = datetime.fromtimestamp(1_700_001_000 - age, UTC).isoformat()
        body["status"]["conditions"][0]["lastTransitionTime"] = changed
        body["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": "2020-01-01T00:00:00Z"}}
        scene.show(body)
        scene.verdicts.remember()
        assert scene.after(0).progress == progress
        assert scene.after(7).progress == Progress.READY


def test_where_pods_cannot_be_told_apart_the_objects_own_status_must_do() -> None:
    scene = Scene()
    del scene.world.objects[ObjectRef("ReplicaSet", "apps", "shop", "rs")]  # no right to read them
    scene.complete()
    scene.show(ready_pod("a"))
    assert scene.after(0).progress == Progress.PROGRESSING
    assert scene.after(10).progress == Progress.READY


def test_what_replaces_no_pods_is_not_watched() -> None:
    scene = Scene()
    body = live_deployment(updatedReplicas=0)
    body["spec"]["paused"] = True
    scene.show(body)
    assert scene.after(0).progress == Progress.READY


# --- troubles -------------------------------------------------------------------------------------------------------


def test_a_missing_image_fails_with_the_first_refusal() -> None:
    scene = Scene()
    scene.show(pod(containers=[waiting("ErrImagePull", NOT_FOUND)]))
    judgement = scene.after(0)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence == "image registry.example/app:abc was not found in the registry"


def test_a_registry_that_cannot_be_reached_fails_with_the_second_try() -> None:
    scene = Scene()
    scene.show(pod(containers=[waiting("ErrImagePull", "dial tcp: connection refused")]))
    event = {
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"uid": "uid-web-1", "fieldPath": "spec.containers{web}"},
        "reason": "Failed",
        "message": 'Failed to pull image "registry.example/app:abc": dial tcp: connection refused',
        "count": 1,
    }
    scene.put(ObjectRef("Event", "", "shop", "e"), event)
    assert scene.after(0).progress == Progress.PROGRESSING
    assert scene.after(13).progress == Progress.PROGRESSING
    scene.put(ObjectRef("Event", "", "shop", "e"), {**event, "count": 2})
    assert scene.after(1).progress == Progress.FAILED


def test_a_blip_of_the_registry_fails_nothing() -> None:
    scene = Scene()
    scene.show(pod(containers=[waiting("ErrImagePull", "i/o timeout")]))
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.show(pod(phase="Running"))
    assert scene.after(15).progress == Progress.PROGRESSING
    scene.show(pod(containers=[waiting("ErrImagePull", "i/o timeout")]))
    assert scene.after(50).progress == Progress.PROGRESSING  # the grace begins anew
    assert scene.after(59).progress == Progress.PROGRESSING


def pulling(name: str, reason: str) -> Json:
    return pod(name, containers=[waiting(reason, NOT_FOUND)])


@pytest.mark.parametrize("begins", ["ErrImagePull", "ImagePullBackOff"])
def test_a_refusal_from_before_counts_when_a_try_after_it_is_refused(begins: str) -> None:
    """The image was pushed, or the password renewed, and the same revision is deployed again: until the kubelet tries again
    it shows what it has shown before."""
    scene = Scene()
    scene.show(pulling("a", begins))
    scene.verdicts.remember()
    shown = ["ErrImagePull"] if begins == "ImagePullBackOff" else []  # of a try that may have been before
    for reason in (begins, *shown, "ImagePullBackOff"):
        scene.show(pulling("a", reason))
        judgement = scene.after(20)
        assert judgement.progress == Progress.PROGRESSING
        assert "was not found in the registry" in judgement.sentence
    assert scene.verdicts.notes == [
        "web: image registry.example/app:abc was not found in the registry, as before this deploy; "
        "the node has not tried again yet"
    ]
    scene.show(pulling("a", "ErrImagePull"))
    assert scene.after(20).progress == Progress.FAILED


def test_a_refusal_from_before_counts_when_the_longest_pause_is_over() -> None:
    scene = Scene()
    scene.show(pulling("a", "ImagePullBackOff"))
    scene.verdicts.remember()
    scene.after(0)
    assert scene.after(314).progress == Progress.PROGRESSING
    assert scene.after(1).progress == Progress.FAILED


def test_a_refusal_of_a_new_pod_counts_at_once() -> None:
    scene = Scene()
    scene.verdicts.remember()
    scene.show(pulling("a", "ErrImagePull"))
    assert scene.after(0).progress == Progress.FAILED


def test_a_volume_that_was_missing_before_gets_time_for_the_nodes_next_look() -> None:
    scene = Scene()
    scene.show(pod("a"))
    scene.verdicts.remember()
    message = 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found'
    event = {
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"uid": "uid-a"},
        "reason": "FailedMount",
        "message": message,
    }
    scene.put(ObjectRef("Event", "", "shop", "e"), event)
    scene.after(0)
    assert scene.after(100).progress == Progress.PROGRESSING
    assert scene.after(35).progress == Progress.FAILED


def crashed_before(*names: str, restarts: int = 2, probed: bool = True) -> Scene:
    """Pods of the revision that is deployed again: their containers had ended, and wait for their next start."""
    scene = Scene(probed=probed)
    for name in names:
        scene.show(ended_pod(name, restarts=restarts))
    scene.verdicts.remember()
    return scene


def test_ends_from_before_count_when_the_next_start_ends_too() -> None:
    """What the container needs, a database perhaps, may be back, and the same revision is deployed again: until the kubelet's
    next start nobody knows."""
    scene = crashed_before("a", "b")
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    assert "crashed 3 times" in judgement.sentence
    assert scene.verdicts.notes == [
        "web: container web crashed 3 times at start (exit code 1), as before this deploy; its next start decides"
    ]
    scene.show(ready_pod("a", restarts=3, ready=False))
    assert scene.after(20).progress == Progress.PROGRESSING
    scene.show(ended_pod("a", restarts=3))  # the other one still waits: it needs no start of its own
    judgement = scene.after(200)
    assert judgement.progress == Progress.FAILED
    assert "crashed 4 times" in judgement.sentence


@pytest.mark.parametrize("probed", [True, False])
def test_ends_from_before_are_forgotten_when_the_next_start_lasts(probed: bool) -> None:
    scene = crashed_before("a", "b", restarts=6, probed=probed)
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.complete()
    for seconds in (250, 30):
        for name in ("a", "b"):
            scene.show(ready_pod(name, restarts=7))
        judgement = scene.after(seconds)
    assert judgement.progress == Progress.READY


def test_ends_from_before_count_when_the_pause_passes_without_a_start() -> None:
    scene = crashed_before("a", "b")  # three ends: 20 s, and one look
    scene.after(0)
    assert scene.after(34).progress == Progress.PROGRESSING
    assert scene.after(1).progress == Progress.FAILED


def test_a_start_from_before_says_nothing_when_it_ends() -> None:
    scene = Scene(probed=True)
    scene.show(ready_pod("a", restarts=2, ready=False))
    scene.verdicts.remember()
    scene.after(0)
    assert scene.after(50).progress == Progress.PROGRESSING
    scene.show(ended_pod("a", restarts=2))
    assert scene.after(0).progress == Progress.PROGRESSING
    assert scene.after(20).progress == Progress.PROGRESSING
    scene.show(ended_pod("a", restarts=3))
    assert scene.after(0).progress == Progress.FAILED


def test_ends_of_a_pod_that_was_well_before_count_as_ever() -> None:
    scene = Scene(probed=True)
    scene.show(ready_pod("a"))
    scene.verdicts.remember()
    scene.after(0)
    scene.show(ended_pod("a", restarts=1))
    # Its first readiness has settled, its ends since then have not.
    assert scene.after(1).progress == Progress.FAILED


def test_a_deadline_that_passes_while_an_old_crash_is_waited_for_does_not_count() -> None:
    scene = crashed_before("a", "b", restarts=4)
    scene.after(0)
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "lastUpdateTime": "x",
    }
    scene.show(live_deployment(updatedReplicas=1, conditions=[late]))
    assert scene.after(60).progress == Progress.PROGRESSING


def test_the_second_end_decides_and_the_first_does_not() -> None:
    scene = Scene(probed=True)
    scene.show(ended_pod("a"))
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    assert "crashed once" in judgement.sentence
    scene.show(ready_pod("a", restarts=1, ready=False))
    assert scene.after(50).progress == Progress.PROGRESSING
    scene.show(ended_pod("a", restarts=1))
    assert scene.after(1).progress == Progress.FAILED


def test_a_container_that_ends_again_and_again_on_one_pod_needs_no_second_end_on_another() -> None:
    scene = Scene(probed=True)
    scene.show(ended_pod("a"))
    scene.show(ended_pod("b"))
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.show(crashing("a", 1))
    assert scene.after(0).progress == Progress.FAILED


def test_old_pods_are_never_judged() -> None:
    scene = Scene()
    scene.put(ObjectRef("ReplicaSet", "apps", "shop", "old"), replica_set("rs-0", revision="1"))
    scene.show(crashing("old", 9, owner="rs-0"))
    assert scene.after(500).progress == Progress.PROGRESSING


def test_until_the_controller_has_seen_the_change_its_pods_are_the_old_ones() -> None:
    """A rollback away from a crashing release: at first the crashing pods still count as those of the newest revision."""
    scene = Scene()
    scene.verdicts.add(replace(scene.verdicts.targets[scene.ref].applied, generation=3))
    scene.show(live_deployment(generation=3, seen=2))
    scene.show(crashing("a", 4))
    assert scene.after(0).sentence == "waiting for its controller"
    scene.show(live_deployment(generation=3, seen=3, updatedReplicas=1))
    scene.put(ObjectRef("ReplicaSet", "apps", "shop", "rs"), replica_set(revision="1"))
    assert scene.after(60).progress == Progress.PROGRESSING


def test_one_doomed_pod_fails_the_rollout_only_when_the_others_get_nowhere() -> None:
    scene = Scene()
    scene.show(crashing("a", 2))
    scene.show(pod("b", phase="Running"))
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.show(pod("b", phase="Running", ready=True))
    assert scene.after(20).progress == Progress.PROGRESSING  # it grew: the patience begins anew
    assert scene.after(29).progress == Progress.PROGRESSING
    assert scene.after(1).progress == Progress.FAILED


def test_a_missing_secret_that_was_just_written_gets_time() -> None:
    cases: tuple[tuple[dict[tuple[str, str], float], Progress], ...] = (
        ({}, Progress.FAILED),
        ({("Secret", "keys"): 30.0}, Progress.PROGRESSING),
    )
    for fresh, progress in cases:
        scene = Scene()
        scene.verdicts.fresh = fresh
        scene.show(pod(containers=[waiting("CreateContainerConfigError", 'secret "keys" not found')]))
        assert scene.after(0).progress == Progress.PROGRESSING  # an operator may be about to make it
        assert scene.after(15).progress == progress


def test_a_pod_without_a_place_is_told_at_once_and_waited_for() -> None:
    scene = Scene()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    scene.show(pod(conditions=[condition]))
    assert scene.after(0).sentence == "1 of 2 replicas updated; no node can take the pod yet: 0/3 nodes"
    scene.after(16)
    assert scene.verdicts.notes == ["web: no node can take the pod yet: 0/3 nodes"]
    assert scene.after(300).progress == Progress.PROGRESSING  # an autoscaler may bring a node
    assert "no node can take the pod yet" in scene.after(400).sentence
    assert scene.after(0).progress == Progress.TIMED_OUT


def refused(updated: int, message: str = "exceeded quota: few", **counts: int) -> Json:
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    return live_deployment(updatedReplicas=updated, conditions=[condition], **counts)


def test_refused_pods_fail_when_nothing_moves_any_more() -> None:
    scene = Scene(probed=True)
    scene.show(refused(0))
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    assert "its pods cannot be created: exceeded quota: few" in judgement.sentence
    scene.show(refused(1))
    assert scene.after(10).progress == Progress.PROGRESSING  # one more came
    assert scene.after(29).progress == Progress.PROGRESSING
    judgement = scene.after(1)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence == "its pods cannot be created: exceeded quota: few"


def test_refused_pods_wait_for_pods_that_leave_or_start() -> None:
    for other in (ready_pod("new", ready=False), {**ready_pod("old")}):
        scene = Scene(probed=True)
        if other["metadata"]["name"] == "old":
            other["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        scene.show(other)
        scene.show(refused(1))
        scene.after(0)
        assert scene.after(100).progress == Progress.PROGRESSING


def test_refused_pods_wait_for_ready_ones_that_are_not_available_yet() -> None:
    """Old pods leave when new ones have been ready for `minReadySeconds`."""
    scene = Scene(probed=True)
    scene.show(ready_pod("new"))
    scene.show(refused(1, readyReplicas=2, availableReplicas=1))
    scene.after(0)
    assert scene.after(100).progress == Progress.PROGRESSING


def test_after_a_move_the_controller_has_as_long_as_it_was_refused() -> None:
    """Its pauses between two tries double, and nobody tells it that there is room now."""
    scene = Scene(probed=True)
    scene.show(ready_pod("new"))
    scene.show(refused(1, readyReplicas=2, availableReplicas=1))
    scene.after(0)
    scene.after(50)
    scene.show(refused(1, readyReplicas=1, availableReplicas=1))
    scene.after(0)
    assert scene.after(124).progress == Progress.PROGRESSING
    assert scene.after(1).progress == Progress.FAILED


def test_evictions_are_named_and_fail_nothing_by_themselves() -> None:
    scene = Scene(probed=True)
    scene.show(pod("gone", phase="Failed", reason="Evicted", message="uses too much disk"))
    scene.show(ready_pod("a", ready=False))
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    assert judgement.sentence == "1 of 2 replicas updated; pod gone was evicted: uses too much disk"
    assert "was evicted" in scene.after(700).sentence
    scene.show(ended_pod("a", restarts=1))  # an evicted pod holds up no verdict
    scene = Scene(probed=True)
    scene.show(pod("gone", phase="Failed", reason="Evicted"))
    scene.show(ended_pod("a", restarts=1))
    assert scene.after(0).progress == Progress.FAILED


def test_the_objects_own_deadline_and_its_pods_give_one_sentence() -> None:
    scene = Scene()
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    scene.show(live_deployment(updatedReplicas=1, conditions=conditions))
    scene.show(pod(containers=[waiting("ErrImagePull", "i/o timeout")]))
    judgement = scene.after(0)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence.startswith("its new pods did not become ready within 600 seconds: image ")


def test_a_deadline_that_was_over_before_counts_when_nothing_has_moved_for_a_while() -> None:
    scene = Scene(probed=True)
    over = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    scene.show(live_deployment(availableReplicas=0, conditions=[{**over, "lastUpdateTime": "before"}]))
    scene.verdicts.remember()
    scene.show(ready_pod("a", ready=False))
    scene.show(ready_pod("b", ready=False))
    judgement = scene.after(0)
    assert (judgement.progress, judgement.sentence) == (Progress.PROGRESSING, "0 of 2 replicas ready")
    assert scene.after(20).progress == Progress.PROGRESSING
    scene.show(ready_pod("a"))
    assert scene.after(1).progress == Progress.PROGRESSING
    assert scene.after(29).progress == Progress.PROGRESSING  # one has become ready meanwhile
    assert scene.after(1).progress == Progress.FAILED


def test_a_deadline_that_passes_before_the_controller_has_seen_the_change_is_an_old_one() -> None:
    scene = Scene(probed=True)
    scene.verdicts.remember()
    over = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    over["lastUpdateTime"] = "meanwhile"
    scene.show(live_deployment(seen=1, availableReplicas=0, conditions=[over]))
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.show(live_deployment(availableReplicas=0, conditions=[over]))
    assert scene.after(1).progress == Progress.PROGRESSING
    scene.show(live_deployment(availableReplicas=0, conditions=[{**over, "lastUpdateTime": "now"}]))
    assert scene.after(1).progress == Progress.FAILED


def stateful(*, ready: int = 2, updated: int = 1) -> Json:
    """A StatefulSet of two replicas that was changed back to what ran before: its status names one revision only."""
    status = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": updated, "readyReplicas": ready}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "s-1", "generation": 2},
        "spec": {"replicas": 2},
        "status": {**status, "currentRevision": "db-1", "updateRevision": "db-1"},
    }


def stateful_scene() -> Scene:
    scene = Scene(probed=True)
    body = stateful_set("shop", replicas=2)
    body["spec"]["template"]["spec"]["containers"][0] |= PROBE
    applied = Applied(manifest(body), Action.CHANGE, 2, "s-1")
    scene.verdicts.add(applied)
    scene.ref = applied.manifest.ref
    scene.show(
        pod("db-0", owner="s-1", phase="Running", ready=True, labels={"controller-revision-hash": "db-1"})
    )
    return scene


def test_pods_of_the_revision_in_between_are_not_over_when_the_status_names_one_revision() -> None:
    scene = stateful_scene()
    scene.show(stateful())
    old = {"controller-revision-hash": "db-2"}
    scene.show(pod("db-1", owner="s-1", phase="Running", ready=True, labels=old))
    judgement = scene.after(0)
    assert (judgement.progress, judgement.sentence) == (Progress.PROGRESSING, "1 of 2 replicas updated")
    new = {"controller-revision-hash": "db-1"}
    scene.show(pod("db-1", owner="s-1", phase="Running", ready=True, labels=new))
    assert scene.after(0).progress == Progress.READY


def test_a_pod_of_an_earlier_revision_that_is_in_the_way_is_named_after_a_while() -> None:
    scene = stateful_scene()
    scene.show(stateful(ready=1))
    labels = {"controller-revision-hash": "db-2"}
    scene.show(crashing("db-1", 4, owner="s-1", labels=labels))
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    assert "pod db-1 of an earlier release is in the way" in judgement.sentence
    assert scene.after(29).progress == Progress.PROGRESSING
    judgement = scene.after(1)
    assert judgement.progress == Progress.FAILED
    assert "container web crashed 5 times" in judgement.sentence
    assert "kubectl -n shop delete pod db-1" in judgement.hint


def test_a_deadline_of_this_rollout_counts_at_once() -> None:
    scene = Scene(probed=True)
    over = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    scene.show(live_deployment(availableReplicas=0, conditions=[{**over, "lastUpdateTime": "before"}]))
    scene.verdicts.remember()
    scene.show(live_deployment(availableReplicas=0, conditions=[{**over, "lastUpdateTime": "now"}]))
    assert scene.after(0).progress == Progress.FAILED


def test_time_runs_out() -> None:
    scene = Scene()
    assert scene.after(629).progress == Progress.PROGRESSING
    judgement = scene.after(1)
    assert judgement.progress == Progress.TIMED_OUT
    assert "after 630 seconds" in judgement.sentence


def test_a_ready_object_stays_ready_however_late() -> None:
    scene = Scene()
    scene.show(live_deployment())
    assert scene.after(9999).progress == Progress.PROGRESSING  # its pods are watched first
    assert scene.after(9999).progress == Progress.READY


def test_an_object_that_somebody_deletes_fails() -> None:
    scene = Scene()
    scene.after(0)
    scene.world.gone[scene.ref] = scene.world.objects.pop(scene.ref)
    judgement = scene.after(1)
    assert judgement.progress == Progress.FAILED
    assert "deleted by somebody else" in judgement.sentence


def test_an_object_that_is_replaced_by_another_of_its_name_is_not_taken_for_it() -> None:
    scene = Scene()
    other = live_deployment()
    other["metadata"]["uid"] = "d-2"
    scene.show(other)
    assert scene.after(0).progress == Progress.PROGRESSING


def running_job(*conditions: str) -> Json:
    body = job("shop")
    body["metadata"]["uid"] = "j-1"
    body["status"] = {"conditions": [{"type": kind, "status": "True"} for kind in conditions]}
    return body


@pytest.mark.parametrize(
    ("last", "progress"),
    [
        ("Complete", Progress.READY),
        ("SuccessCriteriaMet", Progress.READY),
        ("Failed", Progress.FAILED),
        ("", Progress.FAILED),
    ],
)
def test_a_job_that_vanishes_is_judged_by_what_was_last_seen(last: str, progress: Progress) -> None:
    scene = Scene()
    applied = Applied(manifest(job("shop")), Action.CREATE, 1, "j-1")
    scene.ref = applied.manifest.ref
    scene.verdicts.add(applied)
    scene.show(running_job(*([last] if last else [])))
    scene.after(0)
    scene.world.gone[scene.ref] = scene.world.objects.pop(scene.ref)
    assert scene.after(1).progress == progress


def test_a_job_counts_its_failures_itself() -> None:
    scene = Scene()
    applied = Applied(manifest(job("shop")), Action.CREATE, 1, "j-1")
    scene.ref = applied.manifest.ref
    scene.verdicts.add(applied)
    scene.show(running_job())
    scene.show(pod("failed", owner="j-1", phase="Failed"))
    assert scene.after(100).progress == Progress.PROGRESSING
    scene.show(pod("image", owner="j-1", containers=[waiting("InvalidImageName")]))
    assert scene.after(0).progress == Progress.FAILED


def job_scene(policy: str, timeout: str = "") -> tuple[Scene, Callable[[int], None]]:
    """A Job with tries left, and a way to show how many of its pods have failed."""
    scene = Scene()
    body = job("shop", backoffLimit=6)
    body["spec"]["template"]["spec"]["restartPolicy"] = policy
    body["metadata"]["annotations"] = {TIMEOUT_ANNOTATION: timeout} if timeout else {}
    applied = Applied(manifest(body), Action.CREATE, 1, "j-1")
    scene.ref = applied.manifest.ref
    scene.verdicts.add(applied)

    def fail(count: int) -> None:
        shown = {**body, "metadata": {**body["metadata"], "uid": "j-1"}, "status": {"failed": count}}
        scene.show(shown)
        ended = {"terminated": {**CRASH, "exitCode": 3, "reason": "Error"}}
        never = policy == "Never"
        container = {"name": "migrate", "restartCount": 0 if never else count - 1, "state": ended}
        name, phase = (f"try-{count}", "Failed") if never else ("try", "Running")
        scene.show(pod(name, owner="j-1", phase=phase, containers=[container]))

    return scene, fail


def test_a_failing_job_fails_as_soon_as_no_other_try_can_come_in_time() -> None:
    """Its tries come after 10, 20, 40 … seconds: within 600 s there are six."""
    scene, fail = job_scene("Never")
    scene.show(running_job())
    scene.after(0)
    for count, pause in enumerate((10, 20, 40, 80, 160), start=1):
        fail(count)
        judgement = scene.after(0)
        assert judgement.progress == Progress.PROGRESSING
        assert f"its pod failed {times(count)} so far (exit code 3)" in judgement.sentence
        assert scene.after(pause).progress == Progress.PROGRESSING
    fail(6)
    judgement = scene.after(0)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence.startswith(
        "its pod failed 6 times (exit code 3), and its next try would come when"
    )
    assert judgement.trouble
    assert (judgement.trouble.pod, judgement.trouble.container) == ("try-6", "migrate")


def test_a_job_whose_container_is_restarted_is_judged_alike() -> None:
    scene, fail = job_scene("OnFailure", "45s")
    scene.show(running_job())
    scene.after(0)
    for count, pause in ((1, 0), (2, 10), (3, 20)):
        fail(count)
        assert scene.after(0).progress == Progress.PROGRESSING
        scene.after(pause)
    fail(4)
    judgement = scene.after(0)
    assert judgement.progress == Progress.FAILED
    assert "its pod failed 4 times (exit code 3)" in judgement.sentence


def service(kind: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "shop"},
        "spec": {"type": kind},
    }


@pytest.mark.parametrize(
    ("body", "action", "expected"),
    [
        (lambda: deployment("shop"), Action.UNCHANGED, True),
        (lambda: config_map("shop"), Action.CREATE, False),
        (lambda: service("LoadBalancer"), Action.CREATE, True),
        (lambda: service("LoadBalancer"), Action.CHANGE, False),
        (lambda: service("ClusterIP"), Action.CREATE, False),
    ],
)
def test_what_is_waited_for(body: Callable[[], Json], action: Action, expected: bool) -> None:
    assert is_waited_for(Applied(manifest(body()), action, 1, "u")) is expected
