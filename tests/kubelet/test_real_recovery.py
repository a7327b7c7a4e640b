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
from runs.models import State
from tests.kubelet.conftest import PORT, Json, Place, Requests, service, workload
from tests.kubelet.soaking.history import BEGINS
from tests.kubelet.soaking.portal import has_applied, portal_for
from tests.kubelet.soaking.shop import PROBED, PROGRAM, Part, Shop, files, images
from tests.kubelet.soaking.truth import Truth
from tests.planes import RealNode, kubectl_program

PROBE = {"readinessProbe": {"httpGet": {"port": PORT}, "periodSeconds": 1}}


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


def until(place: Place, count: int, seconds: float = 30) -> None:
    """Until that many pods answer requests to the Service."""
    deadline = time.monotonic() + seconds
    while len(place.addresses()) != count:
        assert time.monotonic() < deadline, "the pods did not become ready"
        time.sleep(0.2)


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
        assert second.seconds < 8
        assert health(place)[0] == "failing"
        assert "may not be pulled" in health(place)[1]
        put_pull_secret(place, node)
        third = place.deploy(service(), workload(newer, **PROBE))  # at once, while the kubelet still waits
        assert third.ok, third.sentence
        assert third.seconds < 40
    assert requests.failed == []
    assert health(place)[0] == "healthy"


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
