"""What deploys do with what they find on a real node: a rolling update in the middle, objects of `kubectl apply`, pods that
could not be pulled until somebody mended the cause."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace

import pytest
import yaml

from deployments.models import Deploy
from engine.cluster.live import read_live
from engine.health.crashes import exits_of_pod
from runs.models import State
from tests.kubelet.conftest import GOOD, PORT, Json, Place, Requests, beside, service, workload
from tests.kubelet.soaking.history import BEGINS
from tests.kubelet.soaking.portal import has_applied, portal_for
from tests.kubelet.soaking.shop import PROBED, PROGRAM, Part, Shop, files, images
from tests.kubelet.soaking.truth import Truth
from tests.observer import Watching
from tests.planes import RealNode, kubectl_program

PROBE = {"readinessProbe": {"httpGet": {"port": PORT}, "periodSeconds": 1}}


class Stop(Exception):
    """A person stops the deploy."""


def uids(place: Place) -> dict[str, str]:
    """By uid, the names of the pods."""
    return {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in place.pods()}


def health(place: Place) -> tuple[str, str]:
    (found,) = read_live(place.client, place.name, environment_label="shop.staging")
    return found.health, found.sentence


@pytest.mark.django_db(transaction=True)
def test_an_update_that_is_stopped_in_the_middle_and_rolled_back_loses_no_request(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = portal_for(place, monkeypatch)
    portal.store_token(1)
    made, shop = images(place.node), Shop({"web": Part(1, 2), "api": Part(1, 3)})
    first = portal.work(portal.ask(portal.commit(files(shop, made))))
    assert first.state == State.SUCCEEDED, first.result
    newer = shop.with_part("web", version=2).with_part("api", version=2)
    with Truth(place.client, place.name) as truth:
        truth.look_again()
        before = {pod.uid for pod in truth.of("web")}

        def in_the_middle(deploy: Deploy) -> bool:
            """New pods of both run, and old ones still serve."""
            new = [any(pod.version == "2" and pod.ready for pod in truth.of(name)) for name in shop.parts]
            return has_applied(deploy) and all(new)

        stopped, back = portal.work_and_stop(portal.ask(portal.commit(files(newer, made))), in_the_middle)
        assert stopped.state == State.CANCELLED, stopped.result
        assert back is not None
        assert portal.work(back).state == State.SUCCEEDED
        truth.look_again()
        assert {pod.version for name in shop.parts for pod in truth.of(name)} == {"1"}
        assert {pod.uid for pod in truth.of("web")} == before
        time.sleep(2)  # what was taken away last ends
    lost = [one for one in truth.lost if one.app in PROBED or one.age >= BEGINS]
    assert lost == []
    assert min(truth.answered.values()) > 20


def kubectl_apply(place: Place, *bodies: Json) -> None:
    """As people did before: client-side, with the annotation of what was applied last."""
    command = [str(kubectl_program()), "--kubeconfig", str(place.node.kubeconfig), "-n", place.name]
    text = yaml.safe_dump_all(bodies)
    subprocess.run([*command, "apply", "-f", "-"], input=text, check=True, capture_output=True, text=True)


def managers(place: Place) -> set[str]:
    """Who owns fields of the Deployment, its controller left out."""
    live = place.client.request("GET", f"/apis/apps/v1/namespaces/{place.name}/deployments/app")
    found = live["metadata"]["managedFields"]
    return {entry["manager"] for entry in found if entry.get("subresource") != "status"}


def until(place: Place, count: int, seconds: float = 90) -> None:
    """Until that many pods answer requests to the Service."""
    deadline = time.monotonic() + seconds
    while len(place.addresses()) != count:
        assert time.monotonic() < deadline, "the pods did not become ready"
        time.sleep(0.2)


@beside
def test_the_first_deploy_over_kubectl_apply_replaces_no_pod_and_takes_the_fields_over(
    place: Place, good_image: str
) -> None:
    env = [{"name": "VERSION", "value": "one"}, {"name": "OLD", "value": "yes"}]
    made = workload(good_image, **PROBE, env=env)
    made["metadata"]["labels"] = {"team": "shop"}
    kubectl_apply(place, service(), made)
    until(place, 2)
    assert "kubectl-client-side-apply" in managers(place)
    before = uids(place)
    with Requests(place) as requests:
        first = place.deploy(service(), made)
        assert first.ok, first.sentence
        time.sleep(1)
        assert uids(place) == before
        again = place.deploy(service(), made)
        assert again.ok
        assert any("unchanged" in line for line in again.lines)
        assert managers(place) == {"slipway"}
        smaller = workload(good_image, **PROBE, env=env[:1])
        second = place.deploy(service(), smaller)
        assert second.ok, second.sentence
        time.sleep(1)
    assert requests.failed == []
    assert not before.keys() & uids(place).keys()
    live = place.client.request("GET", f"/apis/apps/v1/namespaces/{place.name}/deployments/app")
    assert [one["name"] for one in live["spec"]["template"]["spec"]["containers"][0]["env"]] == ["VERSION"]
    assert "team" not in live["metadata"]["labels"]


def put_pull_secret(place: Place, node: RealNode) -> None:
    body = node.pull_secret("pull")
    place.client.request("PUT", f"{place.core}/secrets/pull", body=body)


@beside
def test_a_pull_credential_that_ends_is_named_and_heals_between_deploys(
    place: Place, node: RealNode, good_image: str
) -> None:
    first = place.deploy(service(), workload(good_image, **PROBE))
    assert first.ok, first.sentence
    put_pull_secret(place, replace(node, password="ended"))
    newer = node.image("tests/newer:1", *PROGRAM)
    with Requests(place) as requests:
        second = place.deploy(service(), workload(newer, **PROBE))
        assert not second.ok
        assert second.sentence == f"app: image {newer} may not be pulled: the registry denies it"
        assert not second.timed_out
        assert health(place)[0] == "failing"
        assert "may not be pulled" in health(place)[1]
        put_pull_secret(place, node)
        third = place.deploy(service(), workload(newer, **PROBE))  # at once, while the kubelet still waits
        assert third.ok, third.sentence
    assert requests.failed == []
    assert health(place)[0] == "healthy"


@beside
def test_an_image_that_is_pushed_later_lets_the_same_deploy_succeed(place: Place, node: RealNode) -> None:
    name = f"tests/later-{place.name}:1"
    body = workload(f"{node.registry}/{name}", **PROBE)
    first = place.deploy(body)
    assert "was not found in the registry" in first.sentence
    before = uids(place)
    node.image(name, *PROGRAM)
    second = place.deploy(body)
    assert second.ok, second.sentence
    assert uids(place) == before


def needs_database(image: str) -> Json:
    """It crashes at start while its database is down, and serves else."""
    down = "Error: the database does not answer"
    program = f'[ "$DATABASE" = up ] || {{ echo "{down}"; exit 3; }}; {GOOD[2]}'
    key = {"name": "database", "key": "state", "optional": True}
    env = [{"name": "DATABASE", "valueFrom": {"configMapKeyRef": key}}]
    return workload(image, command=["sh", "-c", program], env=env, **PROBE)


@beside
def test_a_crash_whose_cause_was_mended_lets_the_same_deploy_succeed(place: Place, good_image: str) -> None:
    """The containers wait for their next start; it decides."""
    body = needs_database(good_image)
    words = "at start (exit code 3): Error: the database does not answer"
    assert words in place.deploy(body).sentence
    before = uids(place)
    again = place.deploy(body)  # still down
    assert words in again.sentence
    assert "its next start decides" in " ".join(again.lines)
    state = {"metadata": {"name": "database"}, "data": {"state": "up"}}
    place.client.request("POST", f"{place.core}/configmaps", body=state)
    mended = place.deploy(body)
    assert mended.ok, mended.sentence
    assert uids(place) == before


@beside
def test_a_crash_after_the_first_readiness_is_failing_with_the_next_read(
    place: Place, node: RealNode
) -> None:
    """A container with a readiness probe is not watched any more once it is ready. Each read of the live state judges it;
    tests/deployments/test_aftermath.py has what the same tick tells people."""
    serve = f"mkdir /tmp/w; echo up >/tmp/w/index.html; httpd -p {PORT} -h /tmp/w"
    dies = node.image("tests/dies:1", "sh", "-c", f"{serve}; sleep 25; echo 'Error: lost its queue'; exit 3")
    done = place.deploy(workload(dies, replicas=1, **PROBE))
    assert done.ok, done.sentence
    assert health(place)[0] == "healthy"
    deadline = time.monotonic() + 240
    while not any(exits_of_pod(pod).get("app", 0) >= 2 for pod in place.pods()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert health(place) == ("failing", "container app crashed twice at start (exit code 3)")


def stateful(image: str, version: str, **container: object) -> Json:
    env = [{"name": "VERSION", "value": version}]
    body = workload(image, kind="StatefulSet", env=env, **PROBE, **container)
    body["spec"]["serviceName"] = "app"
    return body


def versions(place: Place) -> dict[str, str]:
    """What the pods run, by their names."""
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["env"][0]["value"] for pod in place.pods()}


@beside
def test_a_pod_that_is_in_the_way_of_a_stateful_set_is_named(place: Place, good_image: str) -> None:
    """Its controller replaces no pod while one is not ready, also when the template is changed back."""
    assert place.deploy(service(), stateful(good_image, "one")).ok
    kept = next(uid for uid, name in uids(place).items() if name == "app-0")
    broken = place.deploy(service(), stateful(good_image, "two", command=["sh", "-c", "exit 3"]))
    assert "crashed twice at start (exit code 3)" in broken.sentence
    back = place.deploy(service(), stateful(good_image, "one"))
    assert (back.ok, back.timed_out) == (False, False)
    assert back.sentence.startswith("app: pod app-1 of an earlier release is in the way")
    assert "container app crashed" in back.sentence
    assert f"kubectl -n {place.name} delete pod app-1" in back.failures[0].hint
    assert back.seconds > 25
    place.client.request("DELETE", f"{place.core}/pods/app-1")
    again = place.deploy(service(), stateful(good_image, "one"))
    assert again.ok, again.sentence
    assert uids(place)[kept] == "app-0"
    assert versions(place) == {"app-0": "one", "app-1": "one"}


@beside
def test_the_way_back_of_a_stateful_set_in_the_middle_is_over_when_all_pods_are_old_again(
    place: Place, good_image: str
) -> None:
    assert place.deploy(service(), stateful(good_image, "one")).ok
    watching = Watching()

    def stop_in_the_middle() -> None:
        if versions(place).get("app-1") == "two" and len(place.addresses()) == 2:
            raise Stop

    watching.stop = stop_in_the_middle
    slow = stateful(good_image, "two", lifecycle={"preStop": {"exec": {"command": ["sleep", "2"]}}})
    with pytest.raises(Stop):
        place.deploy(service(), slow, observer=watching)
    back = place.deploy(service(), stateful(good_image, "one"))
    assert back.ok, back.sentence
    assert versions(place) == {"app-0": "one", "app-1": "one"}
