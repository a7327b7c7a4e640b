"""People and rows for the tests of projects, and outside systems that say what a test tells them to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from core.findings import FAILED, PASSED, Finding
from people.models import User
from projects import checking
from projects.models import Allotment, Cluster, Environment, Image, Project, Registry, Role, SecretsFile
from projects.namespaces import Made
from projects.pages import namespace_views
from tests import factories as make


@dataclass
class World:
    """A project with one of each, and somebody for every role."""

    project: Project
    environment: Environment
    cluster: Cluster
    registry: Registry
    image: Image
    secrets_file: SecretsFile
    admin: User
    maintainer: User
    deployer: User
    viewer: User
    staging_maintainer: User
    auditor: User
    stranger: User


def generous(project: Project, cluster: Cluster, registry: Registry) -> None:
    """Allots so much that a maintainer's choice is free: which choices are refused is tested in test_allotments.py."""
    kind = Allotment.Kind
    Allotment.objects.create(project=project, kind=kind.NAMESPACE, cluster=cluster, pattern="*")
    Allotment.objects.create(project=project, kind=kind.REPOSITORY, registry=registry, pattern="*")
    for name, pattern in ((kind.SECRET, "*"), (kind.SECRET, "arn:*"), (kind.ROLE, "arn:*")):
        Allotment.objects.create(project=project, kind=name, pattern=pattern)


@pytest.fixture
def world(db: None) -> World:
    project = make.make_project(slug="shop", name="Shop", slack_channel="#shop")
    cluster = make.make_cluster(slug="lon1", name="London")
    environment = make.make_environment(
        project, slug="staging", name="Staging", cluster=cluster, namespace="shop"
    )
    registry = make.make_registry(slug="ecr", name="ECR")
    generous(project, cluster, registry)
    people = {
        "admin": make.make_user("ada", is_admin=True),
        "auditor": make.make_user("aud", is_auditor=True),
        "stranger": make.make_user("sue"),
        "maintainer": make.make_user("mira"),
        "deployer": make.make_user("dev"),
        "viewer": make.make_user("vic"),
        "staging_maintainer": make.make_user("sam"),
    }
    make.grant(people["maintainer"], Role.MAINTAINER, project)
    make.grant(people["deployer"], Role.DEPLOYER, project)
    make.grant(people["viewer"], Role.VIEWER, project)
    make.grant(people["staging_maintainer"], Role.MAINTAINER, project, environment)
    return World(
        project, environment, cluster, registry, make.make_image(project, registry=registry),
        make.make_secrets_file(environment), **people,
    )  # fmt: skip


@pytest.fixture
def sign_in(client: Client) -> Any:
    """`sign_in(user)`: the test client as that person."""

    def as_user(user: User) -> Client:
        client.force_login(user)
        return client

    return as_user


@pytest.fixture(autouse=True)
def outside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Finding]]:
    """What the outside says, by check; all is well unless a test puts findings here. Modules with `OUTSIDE_IS_REAL` ask
    the real functions."""
    said: dict[str, list[Finding]] = {}
    if getattr(request.module, "OUTSIDE_IS_REAL", False):
        return said

    def answer(name: str) -> Any:
        return lambda *args, **kwargs: said.get(name, [Finding(PASSED, f"{name} is well.")])

    for name in (
        "repository",
        "config_directory",
        "namespace",
        "registry",
        "image_repository",
        "secrets_file",
    ):
        monkeypatch.setattr(checking, name, answer(name))
    monkeypatch.setattr(checking, "address_alone", lambda *args: said.get("address_alone", []))
    monkeypatch.setattr(namespace_views, "create_namespace", lambda *_: Made("shop", is_new=True))
    monkeypatch.setattr(
        checking, "cluster",
        lambda *args, **kwargs: checking.ClusterAnswer(answer("cluster")(), "" if "cluster" in said else "v1.34.2"),
    )  # fmt: skip
    return said


DOWN = Finding(FAILED, "It is not reachable.", "Try again.", can_override=True)
REFUSED = Finding(FAILED, "It refused the credential.", "Enter another.")
