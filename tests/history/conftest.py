"""People and two projects with deploys."""

from __future__ import annotations

import pytest

from projects.models import Role
from tests.factories import grant, make_deploy, make_environment, make_project, make_user


@pytest.fixture
def shop(db):
    """Six deploys by turns to staging and production; odd ones succeeded, even ones failed."""
    project = make_project(slug="shop", repository_url="https://github.com/acme/shop.git")
    places = [make_environment(project, slug=slug) for slug in ("staging", "production")]
    for n in range(6):
        state, who = ("failed", "dora") if n % 2 else ("succeeded", "ada")
        make_deploy(
            places[n // 3], state, actor_text=who, revision=f"{n}abc".ljust(40, "0"),
            result="Container web exits at start." if n % 2 else "All ready.",
        )  # fmt: skip
    return project


@pytest.fixture
def other(db):
    """A project in which `viewer` has no role, with one deploy."""
    environment = make_environment(make_project(slug="secret-plans"), slug="staging")
    make_deploy(environment, subject="Buy the competitor")
    return environment.project


@pytest.fixture
def admin(db):
    return make_user("ada", is_admin=True)


@pytest.fixture
def viewer(shop):
    user = make_user("vera")
    grant(user, Role.VIEWER, shop)
    return user


@pytest.fixture
def get(client):
    """The response to a GET request of a signed-in user."""

    def ask(user, address, **headers):
        client.force_login(user)
        return client.get(address, headers=headers)

    return ask
