"""Pushes to Docker's own registry with basic auth, and what a registry may refuse."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from adapters.docker.engine import Engine
from builds.services import retry_build
from projects.models import Registry
from runs.models import State
from tests.builds_docker.engine import PASSWORD
from tests.builds_docker.played import ACCEPT, PlayedEcr, play
from tests.builds_docker.world import COPY, SERVES, World, log_of, steps_of, work
from tests.redis_server import free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def ecr(world: World, real_registry: str, monkeypatch: pytest.MonkeyPatch) -> PlayedEcr:
    """The project's images go to a real registry."""
    Registry.objects.filter(pk=world.registry.pk).update(endpoint=real_registry)
    world.registry.refresh_from_db()
    monkeypatch.setattr("builds.pipeline.making.PAUSES", (0.1,))
    played = PlayedEcr(real_registry, PASSWORD)
    play(played, monkeypatch)
    return played


def test_an_image_in_a_real_registry(world: World, ecr: PlayedEcr, engine: Engine) -> None:
    revision = world.commit({"Dockerfile": SERVES, "app/index.html": "hello"})
    build = world.build(revision)
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    image = build.images.get()
    repository = image.reference.partition("/")[2]
    for tag in image.tags:
        url = f"{ecr.url}/v2/{repository}/manifests/{tag}"
        answer = requests.head(url, headers=ACCEPT, auth=("AWS", PASSWORD), timeout=10)
        assert answer.headers["Docker-Content-Digest"] == image.digest
    assert PASSWORD not in log_of(build)
    assert not Path(os.path.expanduser("~/.docker/config.json")).exists()
    again = work(retry_build(world.actor, build).build)
    assert again.images.get().state == "existed"
    assert ecr.digests(repository, ["latest"])["latest"].digest == image.digest


def test_a_credential_that_is_refused(world: World, ecr: PlayedEcr, monkeypatch: pytest.MonkeyPatch) -> None:
    token = ecr.token()
    monkeypatch.setattr(ecr, "token", lambda: type(token)("AWS", "wrong-password", token.expires_at, ecr.url))
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.ERRORED
    assert "refuses the push" in build.result
    assert "Tried again" not in log_of(build)
    assert steps_of(build) == {
        "checkout": "succeeded", "build api": "succeeded", "push api": "errored", "tags": "skipped",
    }  # fmt: skip
    assert "wrong-password" not in log_of(build)
    # The image is in the engine: the retry builds nothing.
    monkeypatch.setattr(ecr, "token", lambda: token)
    again = work(retry_build(world.actor, build).build)
    assert again.state == State.SUCCEEDED
    assert again.images.get().cached_steps == again.images.get().steps


def test_a_registry_that_is_away(world: World, ecr: PlayedEcr, monkeypatch: pytest.MonkeyPatch) -> None:
    away = f"127.0.0.1:{free_port()}"
    Registry.objects.filter(pk=world.registry.pk).update(endpoint=f"http://{away}")
    world.project.images.get()
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.ERRORED
    assert f"The registry of {away}/" in build.result
    assert "is not reachable" in build.result
    assert "Tried again in" in log_of(build)


def test_ecr_that_reports_another_digest_after_the_push(
    world: World, ecr: PlayedEcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ecr.digests
    pushed = []

    def other(repository: str, tags: list[str]) -> dict[str, object]:
        found = real(repository, tags)
        pushed.extend(found)
        return {tag: type(one)("sha256:" + "0" * 64, None, 1, "ACTIVE") for tag, one in found.items()}

    monkeypatch.setattr(ecr, "digests", other)
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.ERRORED
    assert "after the push of sha256:" in build.result
    assert pushed
