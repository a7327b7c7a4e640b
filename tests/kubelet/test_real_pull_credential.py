"""The pull credential on a real node: pods wait in ImagePullBackOff because it has ended, the portal's own look renews it, and
they start without anybody's help. ECR is played: its tokens are passwords of the registry, which really refuses old ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.aws.ecr import RegistryToken
from clusters.services import refresh_environment
from projects import connections
from projects.models import Environment, Registry
from registry import jobs
from registry.models import Cause, Credential, Refresh, State
from registry.pages.pulls import failing_pulls
from registry.proving import note_images
from tests import factories as make
from tests.kubelet.conftest import GOOD, PORT, Json, Place, Requests, service, workload
from tests.planes import RealNode
from tests.registry.distribution import HASHES, TODAY, TOMORROW

SHORT = timedelta(seconds=8)
PROBE = {"readinessProbe": {"httpGet": {"port": PORT}, "periodSeconds": 1}}


class PlayedEcr:
    """adapters.aws.ecr.Ecr: its token is the password that the registry takes now."""

    password, life = TODAY, SHORT

    def token(self) -> RegistryToken:
        return RegistryToken("AWS", self.password, datetime.now(UTC) + self.life, "https://example", None)


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> PlayedEcr:
    played = PlayedEcr()
    monkeypatch.setattr(connections, "Ecr", lambda *_, **__: played)
    return played


@pytest.fixture
def passwords(node: RealNode) -> Iterator[Path]:
    """The registry's file of users; as it was after the test. Other tests sign in as another user than AWS."""
    path = node.directory / "conf" / "htpasswd"
    before = path.read_text()
    yield path
    path.write_text(before)


def open_to(path: Path, password: str) -> None:
    """From now on the registry takes this password of the user AWS alone. It reads the file again when its time changes."""
    others = [line for line in path.read_text().splitlines() if not line.startswith("AWS:")]
    path.write_text("\n".join([*others, f"AWS:{HASHES[password]}", ""]))


@pytest.fixture
def environment(db: None, place: Place, node: RealNode, ecr: PlayedEcr) -> Environment:
    """An environment in the test's namespace, whose pull secret the portal keeps."""
    cluster = make.make_cluster(kubeconfig=node.kubeconfig.read_text())
    make.make_registry(endpoint=f"http://{node.registry}")
    return make.make_environment(cluster=cluster, namespace=place.name, pull_secret="ecr-pull")


def app(name: str, image: str, replicas: int = 1) -> Json:
    body = workload(image, replicas=replicas, pod={"imagePullSecrets": [{"name": "ecr-pull"}]}, **PROBE)
    labels = {"app": name}
    body["metadata"]["name"] = name
    body["spec"] |= {"selector": {"matchLabels": labels}}
    body["spec"]["template"]["metadata"]["labels"] = labels
    return body


def pods_of(place: Place, name: str) -> list[Json]:
    return [pod for pod in place.pods() if pod["metadata"]["labels"].get("app") == name]


def waits_for_image(pod: Json) -> bool:
    states = [one["state"] for one in pod["status"].get("containerStatuses") or []]
    return any(one.get("waiting", {}).get("reason") == "ImagePullBackOff" for one in states)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def until(what: Callable[[], Any], seconds: float) -> Any:
    """The first answer that is not empty."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.3)
    return found


def secret_uid(place: Place) -> str:
    return place.client.request("GET", f"{place.core}/secrets/ecr-pull")["metadata"]["uid"]


def healing_of(environment: Environment) -> list[str]:
    """What the registry's page says of the pods that cannot pull."""
    row = Credential.objects.get()
    assert refresh_environment(Environment.objects.get(pk=environment.pk))
    key = (environment.cluster_id, environment.namespace, environment.pull_secret)
    return [
        pull.heals for pull in failing_pulls(make.make_user(is_admin=True), {key: row}, datetime.now(UTC))
    ]


@pytest.mark.django_db(transaction=True)
def test_the_minutes_look_heals_what_an_ended_credential_broke_and_running_pods_notice_nothing(
    place: Place, node: RealNode, environment: Environment, ecr: PlayedEcr, passwords: Path
) -> None:
    old, new = f"tests/old-{place.name}", f"tests/new-{place.name}"
    first, second = node.image(f"{old}:1", *GOOD), node.image(f"{new}:1", *GOOD)
    open_to(passwords, TODAY)
    jobs.look_at(environment.cluster_id)
    assert Credential.objects.get().state == State.VALID
    uid = secret_uid(place)
    assert place.deploy(service(), app("app", first)).ok  # pulled with the portal's credential
    (running,) = pods_of(place, "app")

    open_to(passwords, TOMORROW)  # the token has ended, and the portal was away
    until(lambda: Credential.objects.get().expires_at < datetime.now(UTC), 20)
    with Requests(place) as requests:
        stopped = place.deploy(app("newer", second))
        assert "may not be pulled" in stopped.sentence
        (waiting,) = until(lambda: [pod for pod in pods_of(place, "newer") if waits_for_image(pod)], 60)
        assert healing_of(environment) == ["later"]
        place.client.request(
            "PATCH", f"/apis/apps/v1/namespaces/{place.name}/deployments/app", body={"spec": {"replicas": 2}},
            content_type="application/merge-patch+json",
        )  # fmt: skip
        # Its image is on the node, which trusts the Secret that brought it while its UID stays.
        until(lambda: [all(map(is_ready, found)) for found in [pods_of(place, "app")] if len(found) == 2], 60)

        ecr.password, ecr.life = TOMORROW, timedelta(hours=12)
        image = make.make_image(environment.project, registry=Registry.objects.get(), repository=new)
        note_images([(image, "1")])
        jobs.look_at(environment.cluster_id)  # as the clock does each minute
        row = Credential.objects.get()
        assert (row.state, row.proven_by, row.last_error) == (State.VALID, "manifest", "")
        assert secret_uid(place) == uid
        assert healing_of(environment) in (["yes"], [])
        healed = until(lambda: [pod for pod in pods_of(place, "newer") if is_ready(pod)], 320)
    assert [pod["metadata"]["uid"] for pod in healed] == [waiting["metadata"]["uid"]]
    assert requests.failed == []
    assert running["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in pods_of(place, "app")}
    assert all(one["restartCount"] == 0 for pod in place.pods() for one in pod["status"]["containerStatuses"])
    assert list(Refresh.objects.order_by("id").values_list("cause", "state")) == [
        (Cause.APPEARED, "succeeded"), (Cause.DUE, "succeeded"),
    ]  # fmt: skip
    assert healing_of(environment) == []
