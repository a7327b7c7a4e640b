"""A real Docker engine, the sandbox's AWS, and a project. Without an engine these tests skip, saying why."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.docker.engine import Engine
from audit.actors import person
from projects.models import Role
from tests.builds_docker import engine as real
from tests.builds_docker.engine import Daemon
from tests.builds_docker.world import World, make_world
from tests.factories import grant, make_registry, make_user
from tests.sandbox.ends import Aws, running_aws


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """The address of an engine: the one that SLIPWAY_TEST_DOCKER names, else one of our own."""
    given = os.environ.get("SLIPWAY_TEST_DOCKER", "")
    if given:
        yield given
        return
    if why := real.why_none():
        pytest.skip(why)
    with real.dockerd() as daemon:
        yield daemon.host


@pytest.fixture
def own_daemon() -> Iterator[Daemon]:
    """An engine that the test may kill."""
    if why := real.why_none():
        pytest.skip(why)
    with real.dockerd() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's own registry with basic auth."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no docker-registry is installed (Debian: docker-registry)")
    with real.registry(tmp_path_factory.mktemp("distribution") / "registry") as url:
        yield url


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The sandbox's AWS with its registry."""
    with running_aws(tmp_path_factory.mktemp("aws") / "state") as end:
        yield end


@pytest.fixture
def portal(
    docker_host: str, aws: Aws, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The portal's settings point at the engine, at AWS, and at repositories in folders."""
    settings.DOCKER_HOST = docker_host
    settings.GIT_PROTOCOLS = ("file",)
    settings.GIT_MIRRORS = tmp_path / "mirrors"
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)


@pytest.fixture
def world(transactional_db: None, portal: None, aws: Aws, tmp_path: Path, engine: Engine) -> Iterator[World]:
    """A project with one image, whose repository of images is created at the first push."""
    registry = make_registry(endpoint=aws.url, region="eu-west-2", name="ECR")
    user = make_user("ada")
    made = make_world(tmp_path / "repository", registry, person(user), f"shop-{uuid.uuid4().hex[:6]}")
    grant(user, Role.MAINTAINER, made.project)
    made.settings(creates_repositories=True, timeout=120)
    yield made
    forget(engine, made.project.slug)


@pytest.fixture
def engine(docker_host: str) -> Engine:
    return Engine(docker_host)


def forget(engine: Engine, slug: str) -> None:
    """Removes the images that a test has built."""
    client = engine.wire.client
    for one in client.images(filters={"label": f"slipway.dev/project={slug}"}):
        client.remove_image(one["Id"], force=True)
