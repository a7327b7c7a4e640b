"""The rules over time: graces, quorum, timeouts, vanished objects. The clock is turned by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.cluster.apply import Applied
from engine.cluster.feed import World
from engine.cluster.resources import ref_of
from engine.health.objects import Judgement
from engine.limits import Limits
from engine.rollout.verdicts import Verdicts, is_waited_for
from engine.types import Action, Json, ObjectRef, Progress
from tests.engine_cluster.fake_client import FakeClient
from tests.engine_cluster.objects import (
    config_map,
    deployment,
    job,
    live_deployment,
    manifest,
    pod,
    replica_set,
    waiting,
)

NOT_FOUND = "registry.example/app:abc: not found"
CRASH = {"exitCode": 1, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}


class Scene:
    """One Deployment of two replicas in its rollout, and a clock."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 1000.0
        self.world = World(FakeClient([]))
        self.verdicts = Verdicts(self.world, limits or Limits(), clock=lambda: self.now)
        self.show(live_deployment(updatedReplicas=1))
        self.put(ObjectRef("ReplicaSet", "apps", "shop", "rs"), replica_set())
        applied = Applied(manifest(deployment("shop", replicas=2)), Action.CHANGE, 2, "d-1")
        self.verdicts.add(applied)
        self.ref = applied.manifest.ref

    def put(self, ref: ObjectRef, body: Json) -> None:
        self.world.objects[ref] = body

    def show(self, body: Json) -> None:
        self.put(ref_of(body), body)

    def after(self, seconds: float) -> Judgement:
        self.now += seconds
        return self.verdicts.judge_all([self.ref])[self.ref]


def crashing(name: str, restarts: int, **more: object) -> Json:
    return pod(name, containers=[waiting("CrashLoopBackOff", restarts=restarts, last=CRASH)], **more)


def test_a_missing_image_has_its_grace_then_fails() -> None:
    scene = Scene()
    scene.show(pod(containers=[waiting("ErrImagePull", NOT_FOUND)]))
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.show(pod(containers=[waiting("ImagePullBackOff", NOT_FOUND)]))
    assert scene.after(19).progress == Progress.PROGRESSING
    judgement = scene.after(1)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence == "image registry.example/app:abc was not found in the registry"


def test_a_blip_of_the_registry_fails_nothing() -> None:
    scene = Scene()
    scene.show(pod(containers=[waiting("ErrImagePull", NOT_FOUND)]))
    assert scene.after(0).progress == Progress.PROGRESSING
    scene.show(pod(phase="Running"))
    assert scene.after(15).progress == Progress.PROGRESSING
    scene.show(pod(containers=[waiting("ErrImagePull", NOT_FOUND)]))
    assert scene.after(10).progress == Progress.PROGRESSING  # the grace begins anew
    assert scene.after(19).progress == Progress.PROGRESSING


def test_the_second_restart_decides_and_the_first_does_not() -> None:
    scene = Scene()
    scene.show(crashing("a", 1))
    judgement = scene.after(0)
    assert judgement.progress == Progress.PROGRESSING
    assert "crashed twice" in judgement.sentence
    scene.show(crashing("a", 2))
    assert scene.after(1).progress == Progress.FAILED


def test_the_same_container_crashing_on_two_pods_needs_no_second_restart() -> None:
    scene = Scene()
    scene.show(crashing("a", 1))
    scene.show(crashing("b", 1))
    assert scene.after(0).progress == Progress.FAILED


def test_old_pods_are_never_judged() -> None:
    scene = Scene()
    scene.put(ObjectRef("ReplicaSet", "apps", "shop", "old"), replica_set("rs-0", revision="1"))
    scene.show(crashing("old", 9, owner="rs-0"))
    assert scene.after(500).progress == Progress.PROGRESSING


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
    for fresh, progress in ((set(), Progress.FAILED), ({("Secret", "keys")}, Progress.PROGRESSING)):
        scene = Scene()
        scene.verdicts.fresh = fresh
        scene.show(pod(containers=[waiting("CreateContainerConfigError", 'secret "keys" not found')]))
        assert scene.after(0).progress == progress


def test_unschedulable_warns_once_then_fails() -> None:
    scene = Scene()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    scene.show(pod(conditions=[condition]))
    scene.after(0)
    assert scene.verdicts.warnings == []
    scene.after(15)
    scene.after(1)
    assert scene.verdicts.warnings == ["web: no node can take the pod: 0/3 nodes"]
    assert scene.after(200).progress == Progress.FAILED


def test_new_nodes_on_their_way_are_waited_for() -> None:
    scene = Scene()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    scene.show(pod(conditions=[condition]))
    event = {
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"uid": "uid-web-1"},
        "reason": "TriggeredScaleUp",
    }
    scene.put(ObjectRef("Event", "", "shop", "e"), event)
    scene.after(0)
    assert scene.after(300).progress == Progress.PROGRESSING


def test_the_objects_own_deadline_and_its_pods_give_one_sentence() -> None:
    scene = Scene()
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    scene.show(live_deployment(updatedReplicas=1, conditions=conditions))
    scene.show(pod(containers=[waiting("ErrImagePull", "i/o timeout")]))
    judgement = scene.after(0)
    assert judgement.progress == Progress.FAILED
    assert judgement.sentence.startswith("its new pods did not become ready within 600 seconds: image ")


def test_time_runs_out() -> None:
    scene = Scene()
    assert scene.after(629).progress == Progress.PROGRESSING
    judgement = scene.after(1)
    assert judgement.progress == Progress.TIMED_OUT
    assert "after 630 seconds" in judgement.sentence


def test_a_ready_object_stays_ready_however_late() -> None:
    scene = Scene()
    scene.show(live_deployment())
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
