"""Rollouts on a real node: a good one under steady requests, a bad one, the way back. What the settle time and
`minReadySeconds` are for is seen here: the old release serves on."""

from __future__ import annotations

import time

from engine.manifests.settling import Settling
from tests.kubelet.conftest import PORT, Json, Place, Requests, beside, service, workload
from tests.planes import RealNode

PROBE = {"readinessProbe": {"httpGet": {"port": PORT}, "periodSeconds": 1}}
VERSION_1 = {"env": [{"name": "VERSION", "value": "one"}]}
VERSION_2 = {"env": [{"name": "VERSION", "value": "two"}]}


def uids(place: Place) -> set[str]:
    return {pod["metadata"]["uid"] for pod in place.pods()}


@beside
def test_a_good_update_loses_no_request(place: Place, good_image: str) -> None:
    first = place.deploy(service(), workload(good_image, replicas=3, **PROBE, **VERSION_1))
    assert first.ok, first.sentence
    assert not any("watched" in line for line in first.lines)  # with probes there is nothing to watch
    with Requests(place) as requests:
        second = place.deploy(service(), workload(good_image, replicas=3, **PROBE, **VERSION_2))
        assert second.ok, second.sentence
        time.sleep(1)
    assert requests.failed == []
    assert requests.answers[0] == "one"
    assert requests.answers[-1] == "two"


@beside
def test_a_crashing_update_leaves_the_old_release_serving_and_the_way_back_replaces_nothing(
    place: Place, node: RealNode, good_image: str
) -> None:
    good = workload(good_image, replicas=4, **VERSION_1)
    stored = place.rendered([service(), good])
    assert stored[-1].body["spec"]["minReadySeconds"] == 10
    first = place.apply(stored)
    assert first.ok, first.sentence
    assert first.seconds >= 10
    assert "app: container app has no readiness probe: watched 10 s more" in first.lines
    before = uids(place)
    crashing = node.image("tests/crash:1", "sh", "-c", "echo 'Error: DATABASE_URL is missing'; exit 3")
    with Requests(place) as requests:
        second = place.deploy(service(), workload(crashing, replicas=4, **VERSION_2))
        assert (second.ok, second.timed_out) == (False, False)
        words = "app: container app crashed twice at start (exit code 3): Error: DATABASE_URL is missing"
        assert second.sentence == words
        time.sleep(4)
        survivors = before & uids(place)
        assert len(survivors) == 3
        third = place.apply(stored)
        assert third.ok, third.sentence
    assert survivors <= uids(place)
    assert set(requests.answers) == {"one"}
    # A crashing container without a probe is ready for an instant: what reaches it in that moment is lost.
    assert len(requests.failed) <= len(requests.answers) // 10, requests.failed


@beside
def test_the_added_field_replaces_no_pod(place: Place, good_image: str) -> None:
    body: Json = workload(good_image, replicas=2, **VERSION_1)
    assert place.deploy(body, settling=Settling(0)).ok
    before = uids(place)
    done = place.deploy(body)
    assert done.ok, done.sentence
    assert uids(place) == before
