"""What a pod that is not ready waits for: on the timelines of a real kubelet, and the rules one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.health.awaited import allowance, note_of, pods_shown, short_answer
from engine.limits import Limits
from engine.types import Json, PodNote
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import deployment, pod, waiting

LIMITS = Limits()
RECORDED = json.loads((Path(__file__).parent.parent / "kubelet" / "recorded.json").read_text())["behaviours"]


def shown_at(behaviour: str, seconds: float) -> PodNote:
    """The note about a recorded pod, so many seconds after its workload was applied."""
    entry = RECORDED[behaviour]
    held: Json = {}
    for at, change in entry["pod"]:
        if at <= seconds and isinstance(change, dict):
            held |= change
    containers = [recorded_container(held, "container app")]
    inits = [recorded_container(held, "init migrate")] if entry["spec"].get("init") else []
    conditions = [{"type": "PodScheduled", "status": "True"}]
    if str(held.get("condition PodScheduled", "")).startswith("False"):
        reason, _, message = held["condition PodScheduled"].removeprefix("False ").partition(": ")
        conditions = [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]
    body = pod(phase=held.get("phase", "Pending"), containers=containers, init=inits, conditions=conditions)
    body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    body["spec"] = {"containers": [entry["spec"]["container"]]}
    events, text = [], ""
    for at, kind, reason, _count, message in entry["events"]:
        text = message or text
        if at <= seconds and kind == "Warning":
            events.append({"metadata": {}, "type": kind, "reason": reason, "message": text})
    return note_of(body, events, LIMITS)


def recorded_container(held: Json, which: str) -> Json:
    return {
        "name": which.partition(" ")[2],
        "ready": bool(held.get(f"{which} ready")),
        "started": held.get(f"{which} started"),
        "restartCount": int(held.get(f"{which} restartCount", 0)),
        "state": recorded_state(held.get(f"{which} state", "waiting ContainerCreating")),
        "lastState": recorded_state(held.get(f"{which} lastState", "")),
    }


def recorded_state(text: str) -> Json:
    """`waiting ErrImagePull: not found`, `terminated Error exit 3` as the API has it."""
    word, _, rest = text.partition(" ")
    if word in ("", "running"):
        return {word: {"startedAt": "2026-01-01T00:00:01Z"}} if word else {}
    reason, _, message = re.sub(r" exit \d+", "", rest).partition(": ")
    code = re.search(r" exit (\d+)", rest)
    return {word: {"reason": reason, "message": message} | ({"exitCode": int(code[1])} if code else {})}


@pytest.mark.parametrize(
    ("behaviour", "seconds", "phase", "waits", "said"),
    [
        ("ready-http-probe", 0.05, "starting", "", ""),
        ("ready-http-probe", 5, "runs, not ready", "readiness probe", "connection refused on port 8080"),
        ("never-ready", 10, "runs, not ready", "readiness probe", "cat: can't open '/tmp/ready'"),
        ("startup-never-passes", 10, "runs, not ready", "startup probe", "cat: can't open '/tmp/ready'"),
        ("wrong-tag", 5, "image not pulled", "", "was not found in the registry"),
        ("no-pull-secret", 5, "image not pulled", "", "may not be pulled: the registry denies it"),
        ("missing-secret", 5, "cannot start", "", 'secret "nowhere" not found'),
        ("missing-configmap-volume", 5, "waits for a volume", "", 'configmap "nowhere" not found'),
        ("init-hangs", 5, "starting", "init container migrate", ""),
        ("command-not-found", 5, "cannot start", "", "no such file or directory"),
    ],
)
def test_what_a_real_kubelet_showed(
    behaviour: str, seconds: float, phase: str, waits: str, said: str
) -> None:
    note = shown_at(behaviour, seconds)
    assert (note.phase, note.waits) == (phase, waits)
    assert said in note.said
    assert note.since == "2026-01-01T00:00:00Z"
    assert note.waits_since == ("2026-01-01T00:00:01Z" if waits else "")


def test_the_time_that_a_probe_is_allowed() -> None:
    assert shown_at("ready-http-probe", 5).allowed == 30  # Kubernetes' defaults
    assert shown_at("startup-never-passes", 5).allowed == 10
    assert allowance({"initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 6}) == 65


@pytest.mark.parametrize(
    ("answer", "short"),
    [
        ("failed: HTTP probe failed with statuscode: 503", "HTTP 503"),
        ('failed: Get "http://10.1.2.3:8001/ready": dial tcp 10.1.2.3:8001: connect: connection refused',
         "connection refused on port 8001"),
        ('failed: Get "http://10.1.2.3:80/": context deadline exceeded (Client.Timeout exceeded)', "no answer in time"),
        ("failed: dial tcp [fd00::1]:80: i/o timeout", "i/o timeout on port 80"),
        ("failed:", "it fails"),
        ("failed: " + "x" * 300, "x" * 199 + "…"),
    ],
)  # fmt: skip
def test_answers_of_probes_are_short(answer: str, short: str) -> None:
    assert short_answer(answer) == short


def test_only_answers_for_the_container_count() -> None:
    status = {"name": "web", "ready": False, "restartCount": 0, "state": {"running": {}}}
    body = pod(phase="Running", containers=[status])
    body["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"port": 80}}
    other = {"fieldPath": "spec.containers{proxy}"}
    said = {"metadata": {}, "reason": "Unhealthy", "message": "Readiness probe failed: HTTP probe: 1"}
    assert note_of(body, [{**said, "involvedObject": other}], LIMITS).said == ""
    assert note_of(body, [said], LIMITS).said == "HTTP probe: 1"


def test_a_crash_between_two_starts_is_named() -> None:
    ended = {"exitCode": 1, "reason": "Error"}
    body = pod(phase="Running", containers=[waiting("CrashLoopBackOff", "back-off", restarts=2, last=ended)])
    note = note_of(body, (), LIMITS)
    assert (note.phase, note.restarts) == ("waits for its next start", 2)
    assert note.said == "container web crashed 3 times at start (exit code 1)"


def test_few_pods_are_listed_and_the_others_counted() -> None:
    pods = [pod(f"web-{number}") for number in range(9)]
    leaving, done = pod("web-old"), pod("web-done", phase="Succeeded")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = pods_shown([*pods, pod("web-r", phase="Running", ready=True), leaving, done], 10, {}, LIMITS)
    assert (found.ready, found.wanted, len(found.waiting), found.more) == (1, 10, 5, 4)


def test_the_newest_answer_counts_in_whatever_order_events_came() -> None:
    status = {"name": "web", "ready": False, "restartCount": 0, "state": {"running": {}}}
    body = pod(phase="Running", containers=[status])
    body["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"port": 80}}
    said = [
        {"metadata": {}, "reason": "Unhealthy", "lastTimestamp": f"2026-01-01T00:00:0{second}Z",
         "message": f"Readiness probe failed: HTTP probe failed with statuscode: 50{second}"}
        for second in (3, 1, 2)
    ]  # fmt: skip
    (note,) = pods_shown([body], 1, {"uid-web-1": said}, LIMITS).waiting
    assert note.said == "HTTP 503"


def test_a_rollout_tells_what_its_pods_wait_for(cluster: Cluster) -> None:
    probe = {"httpGet": {"port": 8080, "path": "/ready"}, "periodSeconds": 1, "failureThreshold": 4}
    web = deployment(cluster.namespace, replicas=2, behaviour="slow:6", container={"readinessProbe": probe})
    result, observer = cluster.deploy(web)
    assert result.ok
    shown = [status.pods for status in observer.statuses if status.pods]
    notes = [note for pods in shown for note in pods.waiting if note.waits and note.said]
    assert {(note.phase, note.waits, note.allowed, note.said) for note in notes} == {
        ("runs, not ready", "readiness probe", 4.0, "HTTP 503")
    }
    assert all(note.since and note.waits_since for note in notes)
    assert (shown[-1].ready, shown[-1].wanted, shown[-1].waiting) == (2, 2, ())
    told = [text for text in observer.lines if "waits for its readiness probe: HTTP 503" in text]
    assert len(told) == 1
