"""A portal with something in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import LiveState
from deployments.models import BranchState
from projects.models import Role
from runs.models import Step
from tests.factories import (
    grant,
    make_deploy,
    make_environment,
    make_project,
    make_release,
    make_secrets_file,
    make_user,
)


def images_of(environment, sha):
    return {"web": {"repository": f"r.example/{environment.project.slug}/web", "tag": sha[:7], "digest": ""}}


def ship(environment, sha="a" * 40, state="succeeded", **fields):
    """A deploy that ended a minute ago, with its release."""
    at = timezone.now() - timedelta(minutes=10)
    release = make_release(
        environment, revision=sha, subject="Cache carts", author="Ana", images=images_of(environment, sha),
        secret_versions={"secret.yaml": "0a1b2c3d-9999"},
    )  # fmt: skip
    times = {"started_at": at, "ended_at": at + timedelta(seconds=72)}
    return make_deploy(
        environment, state, revision=sha, subject="Cache carts", release=release, **{**times, **fields}
    )


def see(environment, sha="a" * 40, **fields):
    """What the cluster answered a moment ago."""
    workload = {
        "kind": "Deployment", "name": "web", "images": [f"r.example/{environment.project.slug}/web:{sha[:7]}"],
        "desired": 2, "ready": 2, "updated": 2, "health": "healthy", "sentence": "2 of 2 replicas ready", "managed": True,
    }  # fmt: skip
    now = timezone.now()
    defaults = {
        "workloads": [workload],
        "health": "healthy",
        "sentence": "2 of 2 replicas ready.",
        "read_at": now,
    }
    return LiveState.objects.create(environment=environment, **{**defaults, "tried_at": now, **fields})


def begin(environment, **fields):
    """A deploy at its fifth step."""
    deploy = make_deploy(environment, "running", started_at=timezone.now() - timedelta(seconds=30), **fields)
    Step.objects.filter(run_id=deploy.run_id, position__lt=4).update(state="succeeded")
    Step.objects.filter(run_id=deploy.run_id, position=4).update(state="running", started_at=timezone.now())
    return deploy


@pytest.fixture
def shop(db):
    """A project with staging and production, in which `a…` was deployed and runs."""
    project = make_project(slug="shop", name="The Shop", repository_url="https://github.com/acme/shop.git")
    for order, slug in enumerate(["staging", "production"]):
        variables = [{"name": "LOG_LEVEL", "value": "not-shown-here", "type": "string"}]
        environment = make_environment(project, slug=slug, order=order, variables=variables)
        make_secrets_file(environment)
        ship(environment)
        see(environment)
    log = [
        ["c" * 40, "Newest", "Ana", ""],
        ["b" * 40, "Newer", "Ana", ""],
        ["a" * 40, "Cache carts", "Ana", ""],
    ]
    BranchState.objects.create(
        project=project, branch="main", head="c" * 40, commits=log, fetched_at=timezone.now()
    )
    return project


@pytest.fixture
def admin(db):
    return make_user("ada", is_admin=True)


@pytest.fixture
def deployer(shop):
    user = make_user("dora")
    grant(user, Role.DEPLOYER, shop)
    return user


@pytest.fixture
def viewer(shop):
    user = make_user("vera")
    grant(user, Role.VIEWER, shop)
    return user


@pytest.fixture
def auditor(db):
    return make_user("otto", is_auditor=True)


@pytest.fixture
def page(client):
    """The text of a page as somebody sees it."""

    def get(user, address, *, status=200, **headers):
        client.force_login(user)
        response = client.get(address, headers=headers)
        assert response.status_code == status, response.content.decode()[:2000]
        return response.content.decode()

    return get
