"""A tag that a known registry lacks is said before the deploy."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import NotFound, Unavailable
from deployments.preparation import other_images
from deployments.preparation.other_images import check_other_images, named_images
from engine.types import Manifest, ObjectRef, Source
from tests.factories import make_image, make_project, make_registry

pytestmark = pytest.mark.django_db
DIGEST = "sha256:" + "a" * 64


def deployment(*images: str) -> Manifest:
    containers = [{"name": f"c{n}", "image": image} for n, image in enumerate(images)]
    body = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "gate", "namespace": "n"},
        "spec": {"template": {"spec": {"containers": containers[:1], "initContainers": containers[1:]}}},
    }  # fmt: skip
    return Manifest(ObjectRef("Deployment", "apps", "n", "gate"), "v1", body, Source("gate.yaml", 1))


@pytest.fixture
def host() -> str:
    return make_registry().host


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What the registry was asked. It has the tag v1 of mirror/gate, and no other repository; `silent/…` gets no answer."""
    found: list[tuple[str, list[str]]] = []

    class Ecr:
        def digests(self, repository: str, tags: list[str]) -> dict[str, Any]:
            found.append((repository, tags))
            if repository.startswith("silent/"):
                raise Unavailable("AWS does not answer.", system="AWS")
            if repository != "mirror/gate":
                raise NotFound("There is no such repository.", system="AWS")
            return {tag: object() for tag in tags if tag == "v1"}

    monkeypatch.setattr(other_images, "ecr", lambda registry, hasty: Ecr())
    return found


def test_a_wrong_tag_and_a_wrong_repository(host: str, asked: Any) -> None:
    manifests = [
        deployment(f"{host}/mirror/gate:v1", f"{host}/mirror/gate:v2"),
        deployment(f"{host}/mirror/gat"),
    ]
    texts = [finding.text for finding in check_other_images(named_images(make_project(), manifests))]
    assert [text.partition(" has no image ")[2] for text in texts] == [
        "mirror/gate:v2, which Deployment gate names.",
        "mirror/gat:latest, which Deployment gate names.",
    ]


def test_who_is_not_asked(host: str, asked: Any) -> None:
    elsewhere = deployment("docker.io/library/redis:7", "redis", f"{host}/mirror/gate@{DIGEST}")
    assert named_images(make_project(), [elsewhere]) == []
    service = Manifest(
        ObjectRef("Service", "", "n", "gate"), "v1", {"kind": "Service"}, Source("gate.yaml", 1)
    )
    assert named_images(make_project(), [service]) == []


def test_nothing_is_told_of_images_of_other_projects(asked: Any) -> None:
    image = make_image(make_project(), repository="mirror/gate")
    named = [deployment(f"{image.registry.host}/mirror/gate:v1", f"{image.registry.host}/mirror/gate:v2")]
    assert (named_images(make_project(), named), asked) == ([], [])
    assert len(check_other_images(named_images(image.project, named))) == 1


def test_each_is_asked_for_once_and_not_endlessly(host: str, asked: Any) -> None:
    many = [deployment(f"{host}/mirror/gate:v1")] * 3 + [
        deployment(f"{host}/mirror/gate:w{n}") for n in range(50)
    ]
    assert len(check_other_images(named_images(make_project(), many))) == other_images.MOST - 1
    assert len(asked) == other_images.MOST


def test_a_registry_that_does_not_answer_says_nothing(host: str, asked: Any) -> None:
    assert check_other_images(named_images(make_project(), [deployment(f"{host}/silent/gate:v1")])) == []


def test_a_registry_that_does_not_answer_is_asked_once(host: str, asked: Any) -> None:
    """Each request takes some seconds then, and a page waits."""
    named = named_images(make_project(), [deployment(*(f"{host}/silent/gate:v{n}" for n in range(5)))])
    assert check_other_images(named) == []
    assert len(asked) == 1
