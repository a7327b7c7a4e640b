"""Pulling on played nodes: what is missing or refused fails as it does on a kubelet, and heals."""

from __future__ import annotations

import pytest

from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import Shop, until


def test_a_missing_tag(shop: Shop, registry: FakeRegistry) -> None:
    registry.push("web:1")
    image = f"{registry.host}/web:2"
    shop.run(image)
    why = (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
        f'failed to resolve reference "{image}": {image}: not found'
    )
    assert shop.waits_for("ErrImagePull") == why
    assert shop.waits_for("ImagePullBackOff") == f'Back-off pulling image "{image}": ErrImagePull: {why}'
    assert shop.pod()["status"]["phase"] == "Pending"
    for text in (f'Failed to pull image "{image}": {why}', "Error: ErrImagePull", "Error: ImagePullBackOff"):
        shop.has_event(f"Warning Failed: {text}")
    shop.has_event(f'Normal BackOff: Back-off pulling image "{image}"')
    registry.push("web:2")
    shop.ready()


def test_without_a_login(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    registry.password = "secret"
    shop.run(image)
    message = shop.waits_for("ErrImagePull")
    assert message.endswith(
        "pull access denied, repository does not exist or may require authorization: "
        "authorization failed: no basic auth credentials"
    )


def test_an_old_login_is_refused_and_a_renewed_one_heals(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    registry.password = "new"
    shop.api.create(f"{shop.core}/secrets", registry.pull_secret("pull", "old"))
    shop.run(image, imagePullSecrets=[{"name": "pull"}])
    message = shop.waits_for("ErrImagePull")
    url = f"http://{registry.host}/v2/web/manifests/1"
    assert message.endswith(f"unexpected status from HEAD request to {url}: 401 Unauthorized")
    shop.api.merge(f"{shop.core}/secrets/pull", {"data": registry.pull_secret("pull", "new")["data"]})
    shop.ready()


def test_a_missing_pull_secret_is_told(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(registry.push("web:1"), imagePullSecrets=[{"name": "pull"}])
    shop.has_event(
        "Warning FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (pull); "
        "attempting to pull the image may not succeed."
    )
    shop.ready()


def test_a_secret_of_another_type_is_no_login(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    registry.password = "secret"
    shop.api.create(f"{shop.core}/secrets", registry.pull_secret("pull", "secret", kind="Opaque"))
    shop.run(image, imagePullSecrets=[{"name": "pull"}])
    assert "no basic auth credentials" in shop.waits_for("ErrImagePull")


def test_a_pod_without_the_login_may_not_use_the_image_on_the_node(
    shop: Shop, registry: FakeRegistry
) -> None:
    image = registry.push("web:1")
    registry.password = "secret"
    shop.api.create(f"{shop.core}/secrets", registry.pull_secret("pull", "secret"))
    shop.run(image, imagePullSecrets=[{"name": "pull"}], nodeName="node-2")
    shop.ready()
    shop.run(image, "thief", nodeName="node-2")
    assert "no basic auth credentials" in shop.waits_for("ErrImagePull", "thief")


def test_a_digest_is_what_is_pulled(shop: Shop, registry: FakeRegistry) -> None:
    first = registry.push("web:1", log="first")
    digest = registry.digest
    registry.push("web:1", log="second")
    shop.run(f"{first}@{digest}")
    assert shop.ready()["status"]["containerStatuses"][0]["imageID"].endswith(f"web@{digest}")
    assert shop.log() == "first\n"


def test_a_registry_that_is_down(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    registry.broken = 503
    shop.run(image)
    assert shop.waits_for("ErrImagePull").endswith("503 Service Unavailable")
    registry.broken = 0
    shop.ready()


def test_nobody_listens_there(shop: Shop) -> None:
    shop.run("127.0.0.1:9/web:1")
    assert shop.waits_for("ErrImagePull").endswith("connect: connection refused")


def test_no_image_name(shop: Shop) -> None:
    shop.run("Web Server:1")
    message = shop.waits_for("InvalidImageName")
    assert message.endswith('couldn\'t parse image name "Web Server:1": invalid reference format')
    shop.has_event("Warning InspectFailed: Failed to apply default image tag")


def test_never_pull(shop: Shop, registry: FakeRegistry) -> None:
    image = registry.push("web:1")
    shop.run(image, container={"imagePullPolicy": "Never"})
    message = shop.waits_for("ErrImageNeverPull")
    assert message == f'Container image "{image}" is not present with pull policy of Never'


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"secretRef": {"name": "web"}}]}, 'secret "web" not found'),
        ({"envFrom": [{"configMapRef": {"name": "web"}}]}, 'configmap "web" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "half", "key": "a"}}}]},
            "couldn't find key a in Secret {namespace}/half",
        ),
    ],
)
def test_a_missing_secret_or_key(shop: Shop, registry: FakeRegistry, container: dict, message: str) -> None:
    shop.api.create(f"{shop.core}/secrets", {"metadata": {"name": "half"}, "stringData": {"b": "1"}})
    shop.run(registry.push("web:1"), container=container)
    expected = message.format(namespace=shop.name)
    assert shop.waits_for("CreateContainerConfigError") == expected
    shop.has_event(f"Warning Failed: Error: {expected}")
    shop.api.merge(f"{shop.core}/secrets/half", {"stringData": {"a": "1"}})
    for plural in ("secrets", "configmaps"):
        shop.api.create(f"{shop.core}/{plural}", {"metadata": {"name": "web"}})
    shop.ready()


def test_optional_references_may_be_missing(shop: Shop, registry: FakeRegistry) -> None:
    optional = {"name": "web", "optional": True}
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {**optional, "key": "a"}}}]
    volumes = [{"name": "v", "secret": {"secretName": "web", "optional": True}}]
    container = {"env": env, "envFrom": [{"secretRef": optional}]}
    shop.run(registry.push("web:1"), container=container, volumes=volumes)
    shop.ready()


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "files"}}, 'configmap "files" not found'),
        ({"secret": {"secretName": "files"}}, 'secret "files" not found'),
        ({"projected": {"sources": [{"secret": {"name": "files"}}]}}, 'secret "files" not found'),
        (
            {"configMap": {"name": "half", "items": [{"key": "a", "path": "a"}]}},
            "references non-existent config key: a",
        ),
    ],
)
def test_a_volume_that_cannot_be_mounted(
    shop: Shop, registry: FakeRegistry, volume: dict, message: str
) -> None:
    shop.api.create(f"{shop.core}/configmaps", {"metadata": {"name": "half"}, "data": {"b": "1"}})
    shop.run(registry.push("web:1"), volumes=[{"name": "files", **volume}])
    shop.has_event(f'Warning FailedMount: MountVolume.SetUp failed for volume "files" : {message}')
    assert shop.container()["state"]["waiting"]["reason"] == "ContainerCreating"
    assert shop.condition("PodReadyToStartContainers")["status"] == "False"
    shop.api.merge(f"{shop.core}/configmaps/half", {"data": {"a": "1"}})
    for plural in ("secrets", "configmaps"):
        shop.api.create(f"{shop.core}/{plural}", {"metadata": {"name": "files"}})
    until(lambda: shop.condition("Ready").get("status") == "True", what="ready")
