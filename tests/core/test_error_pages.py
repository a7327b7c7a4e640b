"""Pages of errors, under the portal's own addresses: what happened, what was not changed, what to do, the reference."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.test import Client

from adapters.errors import Unavailable
from core.errors import Refused
from deployments.pages import history_views
from tests.factories import make_user

pytestmark = pytest.mark.django_db
REFERENCE = "reference-4711"


@pytest.fixture
def visitor(settings: Any) -> Client:
    """Signed in, behind a proxy that chooses the reference; the server's errors come as pages, not as exceptions."""
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    client = Client(raise_request_exception=False, headers={"X-Request-ID": REFERENCE, "accept": "text/html"})
    client.force_login(make_user("ana"))
    return client


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Makes the history's page raise."""

    def page(*_: object) -> Any:
        raise error

    monkeypatch.setattr(history_views.history, "page", page)


def test_nothing_at_this_address(visitor: Client) -> None:
    answer = visitor.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()
    assert REFERENCE in answer.content.decode()


def test_the_404_of_a_thing_names_it_and_no_class(visitor: Client) -> None:
    page = visitor.get("/deploys/999999/").content.decode()
    assert "No such deploy" in page
    assert "Deploy matches" not in page


def test_a_mistake_of_the_portal_has_the_reference_and_no_details(
    visitor: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(monkeypatch, ValueError("canary-details"))
    answer = visitor.get("/deploys/")
    page = answer.content.decode()
    assert answer.status_code == 500
    assert REFERENCE in page
    assert answer["X-Request-ID"] == REFERENCE
    assert "The portal made a mistake" in page
    assert "canary-details" not in page
    assert "canary-details" in caplog.text


def test_the_page_of_a_mistake_needs_no_database(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.shell.shell", lambda request: 1 / 0)
    failing(monkeypatch, ValueError("x"))
    visitor.cookies["theme"] = "dark"
    answer = visitor.get("/deploys/")
    assert answer.status_code == 500
    assert 'data-theme="dark"' in answer.content.decode()


def test_what_makes_no_sense(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, SuspiciousOperation("canary-details"))
    answer = visitor.get("/deploys/")
    assert answer.status_code == 400
    assert REFERENCE in answer.content.decode()
    assert "canary-details" not in answer.content.decode()


def test_permission_denied_says_why(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, PermissionDenied("Only on weekdays"))
    answer = visitor.get("/deploys/")
    assert answer.status_code == 403
    assert "Only on weekdays" in answer.content.decode()


def test_a_refusal_says_why_and_whom_to_ask(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, Refused("You may not.", hint="Ask for the role.", ask="lead"))
    page = visitor.get("/deploys/").content.decode()
    for words in ("You may not.", "Ask for the role.", "lead", REFERENCE):
        assert words in page


def test_an_outside_system_that_is_down_is_not_the_portals_mistake(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, Unavailable("Git does not answer.", system="Git"))
    answer = visitor.get("/deploys/")
    assert answer.status_code == 502
    assert "Git does not answer." in answer.content.decode()


@pytest.mark.parametrize(
    ("method", "address", "taken"), [("post", "/deploys/", "GET, HEAD"), ("put", "/account/", "GET, POST")]
)
def test_a_method_that_an_address_does_not_take(
    visitor: Client, method: str, address: str, taken: str
) -> None:
    answer = getattr(visitor, method)(address)
    assert (answer.status_code, answer["Allow"]) == (405, taken)
    page = answer.content.decode()
    assert f"This address takes no {method.upper()} request, only {taken}." in page
    assert "What this page would have changed is as it was." in page
    found = getattr(visitor, method)(address, headers={"accept": "application/json"})
    assert (found.status_code, found["Content-Type"]) == (405, "application/problem+json")
    assert (found.json()["code"], found.json()["request_id"]) == ("method", REFERENCE)
