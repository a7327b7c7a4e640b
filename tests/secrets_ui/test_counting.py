"""The number in the navigation: what waits for this person's approval, and for nobody else's."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.actors import person
from people.models import User
from projects.models import Environment, Membership, Role
from secrets_ui.known.looking import look_again
from secrets_ui.requests.counting import to_approve
from secrets_ui.requests.creation import ask
from secrets_ui.requests.deciding import approve, refuse
from tests import factories as make
from tests.secrets_ui.conftest import STORED, World
from tests.secrets_ui.test_requests import asked, fresh, page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]


@pytest.fixture
def asking(world: World) -> World:
    world.environment.policies = {"secret_requests": True}
    world.environment.save(update_fields=["policies"])
    look_again(world.file)
    return world


@pytest.fixture
def other(world: World) -> User:
    user = make.make_user("olga")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


def numbers(user: User) -> tuple[int, str]:
    """The count, and what the navigation shows of it."""
    client = Client()
    client.force_login(user)
    text = client.get("/secrets/").content.decode()
    found = re.search(r'class="count strong">(\d+)', text)
    return to_approve(user), found[1] if found else ""


def test_it_counts_what_this_person_may_approve(asking: World, other: User) -> None:
    assert numbers(other) == (0, "")
    request = asked(asking)
    for user, number in (
        (other, 1), (asking.maintainer, 0), (asking.deployer, 0), (asking.viewer, 0), (make.make_user("sue"), 0),
        (make.make_user("ada", is_admin=True), 1), (make.make_user("otto", is_auditor=True), 0),
    ):  # fmt: skip
        assert numbers(user) == (number, "1" if number else ""), user
    client = Client()
    client.force_login(other)
    assert "1 request waits for your approval" in page(client.get("/secrets/"))
    refuse(person(other), asking.file, request, note="no")
    assert numbers(other) == (0, "")


def test_a_role_that_was_taken_away_counts_no_more(asking: World, other: User) -> None:
    asked(asking)
    Membership.objects.filter(user=other).delete()
    assert numbers(other) == (0, "")


def test_a_role_on_another_environment_is_no_right_here(asking: World) -> None:
    asked(asking)
    elsewhere = make.make_environment(asking.environment.project, slug="live", order=80)
    user = make.make_user("only-there")
    make.grant(user, Role.MAINTAINER, asking.environment.project, environment=elsewhere)
    Environment.objects.update(secret_rights=dict.fromkeys(("names", "reveal", "edit", "approve"), "viewer"))
    assert numbers(user) == (0, "")


def test_a_shared_secret_needs_the_right_in_each_environment(asking: World, other: User) -> None:
    asked(asking)
    elsewhere = make.make_environment(make.make_project(slug="elsewhere"), slug="live")
    file = make.make_secrets_file(elsewhere, secret_id=asking.file.secret_id)
    look_again(file)
    assert numbers(other) == (0, "")
    make.grant(other, Role.MAINTAINER, elsewhere.project)
    assert numbers(other) == (1, "1")


def test_stale_ones_are_left_out(asking: World, other: User) -> None:
    first = asked(asking)
    asked(asking, "another-value-2", key="OLD")
    assert numbers(other) == (2, "2")
    approve(person(other), asking.file, first)
    assert numbers(other) == (0, "")
    asked(asking, "another-value-3")
    asking.by_hand(f"{STORED}# theirs\n")
    look_again(asking.file)
    assert numbers(other) == (0, "")


def test_secrets_to_be_made_count_too(asking: World, other: User) -> None:
    file = make.make_secrets_file(
        asking.environment, path="secret.yaml2", secret_id=f"slipway/{uuid.uuid4().hex}/new"
    )
    file.path = "secret.yaml"
    ask(person(asking.maintainer), file, comment="first")
    assert numbers(other) == (1, "1")


def test_the_queries_do_not_grow(asking: World, other: User) -> None:
    def measured() -> int:
        with CaptureQueriesContext(connection) as queries:
            to_approve(get_user_model().objects.get(pk=other.pk))
        return len(queries)

    assert measured() == 2  # the person, and a look
    fresh(asked(asking))
    one = measured()
    for at in range(5):
        asked(asking, f"value-number-{at}")
    assert measured() == one <= 8


def test_pages_without_the_navigation_do_not_count(asking: World, other: User, monkeypatch: Any) -> None:
    asked(asking)
    with CaptureQueriesContext(connection) as queries:
        assert Client().get("/login/").status_code == 200
    assert not [query for query in queries if "changerequest" in query["sql"]]
