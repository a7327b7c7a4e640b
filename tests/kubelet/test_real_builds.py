"""An image that the product has built is deployed by the engine and run by a real kubelet."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.actors import person
from projects.models import Role
from runs.models import State
from tests.builds_docker import engine as real
from tests.builds_docker.played import PlayedEcr, play
from tests.builds_docker.world import log_of, make_world
from tests.factories import grant, make_registry, make_user
from tests.kubelet.conftest import PORT, Place, Requests, service, workload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SERVES = f"""FROM scratch AS tools
COPY busybox /bin/busybox
RUN ["/bin/busybox","mkdir","-p","/srv"]
FROM scratch
COPY --from=tools /bin/busybox /bin/busybox
COPY page /srv/index.html
CMD ["/bin/busybox","httpd","-f","-p","{PORT}","-h","/srv"]
"""


@pytest.fixture
def docker_host(place: Place) -> Iterator[str]:
    """An engine that may push to the node's registry, which speaks plain HTTP."""
    if why := real.why_none():
        pytest.skip(why)
    with real.dockerd("--insecure-registry", place.node.registry) as daemon:
        yield daemon.host


def test_what_was_built_runs(
    place: Place, docker_host: str, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.DOCKER_HOST, settings.GIT_PROTOCOLS, settings.GIT_MIRRORS = (
        docker_host,
        ("file",),
        tmp_path / "mirrors",
    )
    user = make_user("ada")
    registry = make_registry(endpoint=f"http://{place.node.registry}")
    world = make_world(tmp_path / "repository", registry, person(user), f"shop-{uuid.uuid4().hex[:6]}")
    grant(user, Role.MAINTAINER, world.project)
    world.settings(creates_repositories=True)
    play(PlayedEcr(registry.endpoint, place.node.password, place.node.user), monkeypatch)
    build = world.build(world.commit({"Dockerfile": SERVES, "page": "built here"}))
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    image = build.images.get()
    ended = place.deploy(workload(f"{image.reference}@{image.digest}"), service())
    assert ended.ok, ended.sentence
    with Requests(place) as requests:
        real.until(lambda: "built here" in requests.answers, "the page is served")
