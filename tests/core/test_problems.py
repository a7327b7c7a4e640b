"""Errors over HTTP: each code has a status, and a problem reads the same as a page and as a document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.test import Client, RequestFactory

from adapters.errors import Denied, ExternalError, NotFound, Throttled, TimedOut, Unavailable
from adapters.kubernetes.errors import KubernetesDenied, KubernetesTimedOut
from core.errors import STATUSES, Refused, Stale, status_of
from core.fields import CannotDecrypt
from core.problems import PROBLEM_JSON, problem_of, wants_document
from core.redactor import redacting
from deployments.pages import history_views
from engine.errors import ManifestError, SlipwayError
from tests.factories import make_user

ROOT = Path(__file__).parent.parent.parent
PRODUCT = (
    "adapters",
    "audit",
    "builds",
    "clusters",
    "core",
    "deployments",
    "engine",
    "notify",
    "people",
    "portal",
    "projects",
    "runs",
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("x", code="role"), 403), (Refused("x", code="ended"), 409), (Refused("x", code="busy"), 409),
        (Refused("x", code="no-rollback"), 409), (Refused("x", code="unknown-revision"), 422),
        (Refused("x", code="reason"), 422), (Refused("x"), 403), (Stale("x"), 409), (CannotDecrypt("x"), 500),
        (Unavailable("x", system="Git"), 502), (Denied("x", system="Git"), 502), (NotFound("x", system="Git"), 502),
        (Throttled("x", system="AWS"), 503), (TimedOut("x", system="AWS"), 504), (ExternalError("x", system="AWS"), 502),
        (KubernetesDenied("x", status=403), 502), (KubernetesTimedOut("x"), 504), (ManifestError("x"), 422),
        (SlipwayError("x"), 500),
    ],
)  # fmt: skip
def test_the_status_of_an_error(error: SlipwayError, status: int) -> None:
    assert status_of(error) == status
    assert problem_of(error).status == status


def test_every_code_that_is_raised_has_a_status() -> None:
    """A new code needs a row in core/errors.STATUSES."""
    found: dict[str, str] = {}
    for folder in PRODUCT:
        for file in (ROOT / folder).rglob("*.py"):
            for code in re.findall(r'\bcode(?:: str)? ?= ?"([a-z-]+)"', file.read_text()):
                found.setdefault(code, str(file.relative_to(ROOT)))
    assert {"role", "cannot-decrypt", "outside-timeout"} <= found.keys()
    by_pages = {
        "form-token",
        "not-found",
        "bad-request",
        "too-large",
        "session-ended",
        "method",
        "too-many-tries",
    }  # they bring their status with them
    assert {code: at for code, at in found.items() if code not in {*STATUSES, *by_pages}} == {}


def test_no_secret_is_in_a_problem() -> None:
    with redacting() as redactor:
        redactor.add(["canary-secret-value"])
        error = Refused(
            "It is canary-secret-value", hint="Say canary-secret-value", ask="canary-secret-value"
        )
        assert "canary-secret-value" not in str(problem_of(error).as_json())


def test_the_document_leaves_out_what_is_not_said() -> None:
    document = problem_of(Refused("You may not.", code="role"), request_id="r-1").as_json()
    assert document == {
        "title": "Forbidden", "status": 403, "detail": "You may not.", "code": "role", "request_id": "r-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        ("application/problem+json", True),
        ("application/json", True),
        ("application/json, application/problem+json", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/html, application/json", False),
        ("*/*", False),
        ("text/event-stream", False),
        ("", False),
    ],
)
def test_who_gets_a_document(accept: str, wants: bool) -> None:
    assert wants_document(RequestFactory().get("/", headers={"Accept": accept})) is wants


@pytest.mark.django_db
class TestOverHttp:
    """The same error asked for by a browser and by a script."""

    @pytest.fixture
    def ask(self, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
        settings.TRUSTED_PROXIES = ["127.0.0.1"]  # which chooses the reference
        client = Client(raise_request_exception=False)
        client.force_login(make_user("ana"))

        def answer(error: Exception | None, accept: str, address: str = "/deploys/") -> Any:
            def page(*_: object) -> Any:
                raise error  # type: ignore[misc]

            if error is not None:
                monkeypatch.setattr(history_views.history, "page", page)
            return client.get(address, headers={"Accept": accept, "X-Request-ID": "reference-1"})

        return answer

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (Refused("Not now.", hint="Wait.", code="ended", ask="lead"), 409),
            (CannotDecrypt("Not readable.", hint="Enter it again."), 500),
            (TimedOut("No answer.", system="Git", hint="Later."), 504),
        ],
    )
    def test_page_and_document_say_the_same(self, ask: Any, error: SlipwayError, status: int) -> None:
        page, document = ask(error, "text/html"), ask(error, PROBLEM_JSON)
        assert (page.status_code, document.status_code) == (status, status)
        assert page["Content-Type"].startswith("text/html")
        assert document["Content-Type"] == PROBLEM_JSON
        said = document.json()
        assert (said["status"], said["code"], said["request_id"]) == (status, error.code, "reference-1")
        for words in (said["detail"], said["hint"], said.get("ask", "")):
            assert words in page.content.decode()

    def test_the_log_as_json(self, ask: Any) -> None:
        answer = ask(None, "application/json", "/deploys/999999/log")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")

    def test_mistakes_of_portal_and_caller(self, ask: Any) -> None:
        for error, status in (
            (ValueError("canary-details"), 500),
            (SuspiciousOperation("canary-details"), 400),
        ):
            answer = ask(error, PROBLEM_JSON)
            assert (answer.status_code, answer.json()["status"]) == (status, status)
            assert "canary" not in answer.content.decode()
