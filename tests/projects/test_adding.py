"""One more variable, from the page that says that it is missing."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects.adding import add_variable
from projects.models import Environment, Role
from tests.factories import grant, make_environment, make_user

pytestmark = pytest.mark.django_db
BACK = "/projects/shop/staging/deploy/?revision=abc&see=1"


@pytest.fixture
def place() -> Environment:
    return make_environment(slug="staging", variables=[{"name": "PORT", "value": "80", "type": "number"}])


@pytest.fixture
def lead(place: Environment) -> Any:
    user = make_user("lead")
    grant(user, Role.MAINTAINER, place.project)
    return user


def stored(place: Environment) -> list[tuple[str, str, str]]:
    place.refresh_from_db()
    return [(row["name"], row["value"], row["type"]) for row in place.variables]


def test_it_is_added_once_and_audited(place: Environment, lead: Any) -> None:
    for is_new in (True, False):
        assert add_variable(person(lead), environment=place, name="LOG_LEVEL", value="info") is is_new
    assert stored(place) == [("PORT", "80", "number"), ("LOG_LEVEL", "info", "string")]
    assert AuditEvent.objects.filter(verb="environment.changed").count() == 1


def test_another_value_is_refused(place: Environment, lead: Any) -> None:
    with pytest.raises(Refused, match="has a value in staging already"):
        add_variable(person(lead), environment=place, name="PORT", value="81", kind="number")
    assert stored(place) == [("PORT", "80", "number")]


def test_a_name_of_the_portals_own_is_refused(place: Environment, lead: Any) -> None:
    with pytest.raises(ValidationError, match="filled in by every deploy"):
        add_variable(person(lead), environment=place, name="REVISION", value="x")


def test_deployers_may_not(place: Environment) -> None:
    dev = make_user("dev")
    grant(dev, Role.DEPLOYER, place.project)
    with pytest.raises(Refused, match="role maintainer"):
        add_variable(person(dev), environment=place, name="LOG_LEVEL", value="info")


class TestThePage:
    @pytest.fixture
    def send(self, place: Environment, lead: Any, client: Client) -> Any:
        client.force_login(lead)
        address = f"/projects/{place.project.slug}/settings/environments/staging/variable/"
        return lambda **fields: client.post(address, fields)

    def test_it_goes_back_to_where_it_was_missing(self, place: Environment, send: Any) -> None:
        answer = send(name="LOG_LEVEL", value="info", next=BACK)
        assert (answer.status_code, answer["Location"]) == (302, BACK)
        assert stored(place)[-1] == ("LOG_LEVEL", "info", "string")

    def test_never_to_another_site(self, place: Environment, send: Any) -> None:
        answer = send(name="LOG_LEVEL", value="info", next="//evil.example/")
        assert answer["Location"] == f"/projects/{place.project.slug}/settings/environments/staging/"

    def test_what_does_not_fit_stays_in_the_form(self, send: Any) -> None:
        answer = send(name="COUNT", value="many", type="number", next=BACK)
        page = answer.content.decode()
        assert answer.status_code == 422
        assert "Write a number" in page
        assert 'value="many"' in page
        assert "see=1" in page
