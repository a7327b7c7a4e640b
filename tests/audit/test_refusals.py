"""Refused requests are on record, once each, and nobody can flood the audit with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import refusals
from audit.models import AuditEvent
from core.errors import Refused, Stale
from projects.models import Role
from tests.factories import grant, make_environment, make_project, make_user

pytestmark = pytest.mark.django_db


def told() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(verb="request.refused").order_by("id"))


@pytest.fixture
def dora(client: Client) -> Any:
    user = make_user("dora")
    client.force_login(user)
    return user


def test_a_page_that_is_refused_is_on_record(client: Client, dora: Any) -> None:
    assert client.get("/audit/?who=ada").status_code == 403
    assert client.post("/audit/verify/").status_code == 403
    first, second = told()
    assert (first.actor_text, first.target_text) == ("dora", "GET /audit/")
    assert second.target_text == "POST /audit/verify/"
    assert first.data == {"reason": "Only admins and auditors read the audit.", "code": "role"}
    assert first.address == "127.0.0.1"


def test_a_form_that_is_refused_is_on_record(client: Client) -> None:
    ada = make_user("ada", is_admin=True)
    client.force_login(ada)
    fields = {"name": "Ada", "email": ""}
    assert client.post(f"/admin/people/{ada.pk}/", fields).status_code in (200, 422)
    assert [event.data["code"] for event in told()] == ["last-admin"]


def test_the_raw_tables_are_refused_on_record(client: Client, rf: Any) -> None:
    ada = make_user("ada", is_admin=True)
    client.force_login(ada)
    assert client.get("/django-admin/projects/project/add/").status_code == 403
    assert [event.target_text for event in told()] == ["GET /django-admin/projects/project/add/"]


def test_a_service_that_tells_more_has_the_only_event(client: Client, dora: Any) -> None:
    project = make_project(slug="shop")
    staging = make_environment(project, slug="staging")
    grant(dora, Role.VIEWER, project)
    client.get(f"/projects/shop/{staging.slug}/deploy/")
    events = AuditEvent.objects.filter(verb__endswith=".refused")
    assert events.count() == 1
    assert events.get().project_slug == "shop"


def test_a_token_of_an_address_is_not_kept(client: Client) -> None:
    assert client.get("/setup/canary-token/").status_code == 403
    event = told()[0]
    assert (event.actor_text, event.target_text) == ("nobody signed in", "GET /setup/…/")
    assert "canary" not in str(event.data)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (Refused("x", code="role"), True),
        (Refused("x", code="busy"), True),
        (Refused("x", code="reason"), False),
        (Stale("x"), False),
        (ValueError("x"), False),
    ],
)
def test_wrong_input_is_no_refusal(error: Exception, is_one: bool) -> None:
    assert refusals.is_refusal(error) is is_one


def test_one_person_cannot_flood_the_audit(client: Client, dora: Any) -> None:
    for _ in range(refusals.PER_PERSON + 5):
        client.get("/audit/")
    assert len(told()) == refusals.PER_PERSON
    assert "only in the log" in told()[-1].data["more"]
    assert "more" not in told()[-2].data
    other = Client()
    other.force_login(make_user("eve"))
    other.get("/audit/")
    assert told()[-1].actor_text == "eve"
    AuditEvent.objects.filter(actor_text="dora").update(at=timezone.now() - timedelta(hours=2))
    client.get("/audit/")
    assert told()[-1].actor_text == "dora"


def test_all_together_cannot_flood_it_either(
    client: Client, dora: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "ALTOGETHER", 3)
    for number in range(5):
        other = Client()
        other.force_login(make_user(f"u{number}"))
        other.get("/audit/")
    assert len(told()) == 3
