"""Request ids, the caller's address, and what scripts and forms get when a session has ended."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.signals import user_login_failed
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from core.middleware import ClientAddressMiddleware, client_address, request_id
from core.origin import Origin, origin, set_origin
from tests.factories import make_user

PROXIES = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"]


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not by a proxy of ours: the header may say anything
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # what stands before was sent by the caller
        ("10.1.2.3", "198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "10.4.4.4", "10.4.4.4"),  # everybody is ours: the first
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.1.2.3", "<script>", "<script>"),  # no address is trusted least of all
        ("", "", ""),
    ],
)
def test_the_callers_address(remote: str, forwarded: str, expected: str) -> None:
    assert client_address(remote, forwarded, PROXIES) == expected


def test_the_address_reaches_throttling_and_the_audit(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append((request.META["REMOTE_ADDR"], origin()))
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "198.51.100.1"})
    request.request_id = "abcdef12"  # type: ignore[attr-defined]
    try:
        ClientAddressMiddleware(view)(request)
    finally:
        set_origin(None)
    assert seen == [("198.51.100.1", Origin("abcdef12", "198.51.100.1"))]


@pytest.mark.parametrize("given", ["0123456789abcdef", "a-b-c-d-e"])
def test_a_proxys_request_id_is_kept(settings: Any, given: str) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    answer = request_id(lambda request: HttpResponse())(
        RequestFactory().get("/", headers={"X-Request-ID": given})
    )
    assert answer["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, "evil\tid-123", "<b>123456</b>", "", "12345678\n"])
def test_any_other_request_id_is_replaced(settings: Any, given: str) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    request = RequestFactory().get("/")
    request.META["HTTP_X_REQUEST_ID"] = given
    answer = request_id(lambda request: HttpResponse())(request)
    assert len(answer["X-Request-ID"]) == 12
    assert answer["X-Request-ID"] != given


def test_nobody_chooses_the_id_that_enters_the_audit() -> None:
    request = RequestFactory().get("/", headers={"X-Request-ID": "0123456789abcdef"})
    assert request_id(lambda request: HttpResponse())(request)["X-Request-ID"] != "0123456789abcdef"


@pytest.mark.parametrize(("remote", "seen"), [("10.0.0.1", True), ("203.0.113.9", False)])
def test_only_a_proxy_says_that_it_was_https(settings: Any, remote: str, seen: bool) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    found: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(request.is_secure())
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers={"X-Forwarded-Proto": "https"})
    request.request_id = "abcdef12"  # type: ignore[attr-defined]
    try:
        ClientAddressMiddleware(view)(request)
    finally:
        set_origin(None)
    assert found == [seen]


@pytest.mark.django_db
class TestEndedSession:
    """The same address, asked for in every way, by somebody who is not signed in any more."""

    def test_a_page_goes_to_the_sign_in_and_back(self, client: Client) -> None:
        assert (
            client.get("/deploys/?state=failed").headers["Location"]
            == "/login/?next=/deploys/%3Fstate%3Dfailed"
        )

    @pytest.mark.parametrize(
        "headers", [{"HX-Request": "true"}, {"Accept": "application/json"}, {"Accept": "text/event-stream"}]
    )
    def test_scripts_get_a_401_as_json(self, client: Client, headers: dict[str, str]) -> None:
        answer = client.get("/deploys/1/log", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["title"] == "Your session has ended. Sign in again."
        assert answer.json()["code"] == "session-ended"
        assert answer["Content-Type"] == "application/problem+json"
        assert answer["HX-Redirect"].endswith("/login/")

    def test_a_form_is_answered_with_what_was_typed(self, client: Client) -> None:
        sent = {"reason": "hotfix <b>", "credential": "canary-token"}
        headers = {"accept": "text/html", "Origin": "http://testserver"}
        answer = client.post("/projects/shop/staging/deploy/", sent, headers=headers)
        page = answer.content.decode()
        assert answer.status_code == 401
        assert "<dd>hotfix &lt;b&gt;</dd>" in page
        assert 'name="form_sent_late"' in page  # comes along through the sign-in
        assert "canary-token" not in page
        assert "Nothing was saved or changed." in page

    def test_a_form_of_before_the_sign_in_can_be_sent_again(self) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(make_user("ana"))
        sent = {"name": "Ana", "password": "canary-password"}
        answer = client.post("/account/", sent, headers={"Origin": "http://testserver"})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/account/")
        page = client.get("/account/").content.decode()
        assert 'value="Ana"' in page
        assert "nothing of it is saved yet" in page
        assert "canary-password" not in page
        assert "csrfmiddlewaretoken" in page


@pytest.mark.django_db
def test_a_refused_sign_in_is_audited_with_the_address() -> None:
    from audit.models import AuditEvent

    set_origin(Origin("abcdef12", "198.51.100.1"))
    try:
        user_login_failed.send(__name__, credentials={"username": "eve"}, request=None)
    finally:
        set_origin(None)
    event = AuditEvent.objects.get()
    assert (event.verb, event.address, event.request_id) == ("session.refused", "198.51.100.1", "abcdef12")


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "METRICS_NETWORKS"])
def test_a_network_that_is_no_address_stops_the_start(settings: Any, name: str) -> None:
    """Else each request would end in an error when it is compared with it."""
    setattr(settings, name, ["10.0.0.0/8", "proxy.internal"])
    assert [message.id for message in run_checks()] == ["slipway.E003"]
