"""A portal with one of everything, and one person of every role."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR
from audit.record import record
from builds.models import BuildSecret, Decision, Delivery
from people.models import User
from projects.models import Allotment, Membership, Role
from runs.models import State
from tests import factories as make

# What `{}` of an address in the table stands for: rows that exist.
NOWHERE = "https://127.0.0.1:1/shop.git"


@dataclass(frozen=True)
class World:
    """The people by role (None: nobody is signed in), and the words that addresses need."""

    people: dict[str, User | None]
    words: dict[str, object]


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch) -> World:
    """Project `shop` with staging and production, each with deploys; nothing of it answers from outside."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    project = make.make_project(slug="shop", repository_url=NOWHERE)
    registry = make.make_registry(slug="ecr", endpoint="https://127.0.0.1:1")
    make.make_image(project, name="web", registry=registry)
    cluster = make.make_cluster(slug="lon1")
    staging = make.make_environment(project, slug="staging", order=0, cluster=cluster)
    production = make.make_environment(
        project, slug="production", order=1, cluster=cluster, is_production=True
    )
    release = make.make_release(staging, verified_at=timezone.now())
    good = make.make_deploy(staging, release=release)
    running = make.make_deploy(staging, State.RUNNING)
    there = make.make_deploy(production, release=make.make_release(production, verified_at=timezone.now()))
    delivery = Delivery.objects.create(delivery_id="1" * 36, event="push", state="decided")
    Decision.objects.create(delivery=delivery, project=project, verdict="no_build", sentence="No.")
    words = {
        "member": Membership.objects.create(user=make.make_user("mia"), project=project, role=Role.VIEWER).pk,
        "person": make.make_user("tom").pk,
        "file": make.make_secrets_file(staging).pk,
        "good": good.number,
        "running": running.number,
        "there": there.number,
        "allotment": Allotment.objects.create(project=project, kind="secret", pattern="spare/*").pk,
        "build_secret": BuildSecret.objects.create(project=project, name="npm", secret_id="other/x").pk,
        "delivery": delivery.pk,
        "event": record(SYSTEM_ACTOR, "deploy.ended").pk,
    }  # fmt: skip
    return World(people_of(project, staging), words)


def people_of(project: object, staging: object) -> dict[str, User | None]:
    """One person a role, by the name of the table's column."""
    people: dict[str, User | None] = {"anonymous": None, "stranger": make.make_user("sue")}
    for role in Role:
        people[role.value] = make.make_user(f"a-{role.value}")
        make.grant(people[role.value], role, project)  # type: ignore[arg-type]
    people["admin"] = make.make_user("ada", is_admin=True)
    people["auditor"] = make.make_user("otto", is_auditor=True)
    people["deploys staging"] = make.make_user("eve")
    make.grant(people["deploys staging"], Role.DEPLOYER, project, staging)  # type: ignore[arg-type]
    return people
