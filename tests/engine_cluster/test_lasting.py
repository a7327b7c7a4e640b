"""What runs between deploys is judged by the rules of a rollout, from one look and the cluster's own times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.health.lasting import Standing, is_calm, standing
from engine.health.objects import failed, ready
from engine.health.objects import waiting as under_way
from engine.types import Json
from tests.engine_cluster.objects import deployment, pod, waiting

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
DONE = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]


def at(seconds: float) -> str:
    """A time so many seconds ago, as the cluster writes it."""
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def crashed(*, life: float = 2, ended: float = 5, restarts: int = 1, running: float | None = None) -> Json:
    """A container that ended `ended` seconds ago after `life` seconds; `running`: since when it runs again."""
    end = {"exitCode": 1, "reason": "Error", "startedAt": at(ended + life), "finishedAt": at(ended)}
    if running is None:
        state: Json = {"waiting": {"reason": "CrashLoopBackOff"}}
    else:
        state = {"running": {"startedAt": at(running)}}
    return {"name": "web", "restartCount": restarts, "state": state, "lastState": {"terminated": end}}


def a_pod(*containers: Json, unready: float = 5, ready: bool = False, **given: object) -> Json:
    made = pod(phase="Running", ready=ready, containers=list(containers), **given)  # type: ignore[arg-type]
    if not ready:
        unready_since = {"type": "Ready", "status": "False", "lastTransitionTime": at(unready)}
        made["status"].setdefault("conditions", [])
        made["status"]["conditions"] = [
            *[c for c in made["status"]["conditions"] if c["type"] != "Ready"], unready_since
        ]  # fmt: skip
    return made


def stands(*pods: Json, well: bool = False, rolled_out: bool = False, events: object = ()) -> Standing:
    body = deployment("shop", replicas=len(pods))
    body["metadata"]["uid"] = "w"
    body["status"] = {"conditions": DONE} if rolled_out else {}
    judgement = ready("2 of 2 replicas ready") if well else under_way("0 of 2 replicas ready")
    by_uid = {str(one["metadata"].get("uid") or ""): list(events) for one in pods}  # type: ignore[call-overload]
    return standing("Deployment", body, judgement, pods, by_uid, NOW.timestamp())


@pytest.mark.parametrize(
    "container",
    [
        crashed(),
        crashed(restarts=2, running=1, ended=2),  # the moment between two crashes looks well
        crashed(restarts=2, life=40, ended=50, running=45),
        crashed(restarts=2, life=300, ended=400, running=300),
    ],
)
def test_a_container_that_crashes_again_and_again_fails_at_once(container: Json) -> None:
    found = stands(a_pod(container, unready=0))
    assert found.health == "failing"
    assert found.sentence.startswith("container web crashed twice")


@pytest.mark.parametrize(
    "container",
    [
        crashed(restarts=2, running=61, ended=62),  # twice as long as last time, and a minute
        crashed(restarts=9, life=3600, ended=20, running=19),  # one end after an hour is no loop
        crashed(restarts=2, life=590, ended=900, running=601),
        crashed(restarts=1, life=2, ended=7, running=6),
    ],
)
def test_ends_that_are_over_do_not_count(container: Json) -> None:
    one = a_pod(container, ready=True)
    assert stands(one, well=True) == Standing("healthy", "2 of 2 replicas ready")
    assert is_calm(one, NOW.timestamp()) is (container["restartCount"] == 2)


def test_what_waits_fails_when_its_grace_is_over() -> None:
    missing = waiting("CreateContainerConfigError", 'secret "keys" not found')
    assert stands(a_pod(missing, unready=5)).health == "degraded"
    found = stands(a_pod(missing, unready=16))
    assert (found.health, found.sentence) == (
        "failing",
        'container web cannot start: secret "keys" not found',
    )
    assert stands(a_pod(waiting("ErrImagePull", "not found"), unready=1)).health == "failing"


def test_a_pod_without_a_place_is_told_at_once_and_fails_after_a_minute() -> None:
    def placeless(seconds: float) -> Json:
        made = a_pod()
        made["status"] = {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
            ],
        }
        made["metadata"]["creationTimestamp"] = at(seconds)
        return made

    assert stands(placeless(10)) == Standing("degraded", "no node can take the pod yet: 0/3 nodes")
    assert stands(placeless(61)).health == "failing"


def test_an_evicted_pod_counts_as_long_as_one_is_missing() -> None:
    gone = a_pod(unready=61)
    gone["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    assert stands(gone).health == "failing"
    assert "was evicted: low on memory" in stands(gone).sentence
    assert stands(gone, well=True).health == "healthy"


def test_pods_that_run_and_are_not_ready() -> None:
    unhealthy = {"metadata": {}, "reason": "Unhealthy", "message": "Readiness probe failed: HTTP 503"}
    one = a_pod(unready=121)
    assert stands(one).health == "progressing"  # its rollout is under way: its deadline decides
    assert stands(a_pod(unready=100), rolled_out=True).health == "progressing"
    found = stands(one, rolled_out=True, events=[unhealthy])
    assert found == Standing("failing", "0 of 2 replicas ready: Readiness probe failed: HTTP 503")


def test_a_rollout_that_missed_its_deadline_fails_with_its_cause() -> None:
    body = deployment("shop")
    late = failed("its new pods did not become ready within 600 seconds")
    found = standing("Deployment", body, late, [a_pod(crashed())], {}, NOW.timestamp())
    assert found.health == "failing"
    assert found.sentence.startswith(
        "its new pods did not become ready within 600 seconds: container web crashed"
    )


def test_pods_that_may_not_be_created() -> None:
    body = deployment("shop")
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    for seconds, health in ((5, "degraded"), (31, "failing")):
        body["status"] = {"conditions": [{**refused, "lastTransitionTime": at(seconds)}]}
        found = standing("Deployment", body, under_way("0 of 1"), [], {}, NOW.timestamp())
        assert found == Standing(health, "its pods cannot be created: exceeded quota: small")
