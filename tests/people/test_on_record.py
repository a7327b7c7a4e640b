"""Passwords and second factors are on record: own changes, an admin's, and wrong codes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit.actors import person
from audit.models import AuditEvent
from people import services
from tests import factories as make

pytestmark = pytest.mark.django_db
PASSWORD, NEWER = "a-long-password-1", "another-long-password-2"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def no_throttle() -> None:
    cache.clear()


@pytest.fixture
def tess(client: Client) -> Any:
    """Signed in a moment ago with her password."""
    user = make.make_user("tess")
    user.set_password(PASSWORD)
    user.save()
    assert client.post("/login/", {"login": "tess", "password": PASSWORD}).status_code == 302
    return user


def events(verb: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(verb__startswith=verb).order_by("id"))


def code() -> str:
    return format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))


def test_an_own_password(client: Client, tess: Any) -> None:
    fields = {"oldpassword": PASSWORD, "password1": NEWER, "password2": NEWER}
    assert client.post("/password/change/", fields).status_code == 302
    (event,) = events("password.")
    assert (event.actor_text, event.target_id, event.data["by"]) == ("tess", str(tess.pk), "themselves")
    assert PASSWORD not in str(event.data)
    assert NEWER not in str(event.data)


def test_the_raw_tables_have_no_page_for_the_password(client: Client) -> None:
    """Django's own has no throttling and writes no event."""
    client.force_login(make.make_user("ada", is_admin=True))
    answer = client.get("/django-admin/password_change/")
    assert (answer.status_code, answer["Location"]) == (302, "/password/change/")
    fields = {"old_password": PASSWORD, "new_password1": NEWER, "new_password2": NEWER}
    assert client.post("/django-admin/password_change/", fields).status_code == 302
    assert events("password.") == []


def test_a_password_by_an_admin_ends_sessions(client: Client, tess: Any) -> None:
    services.set_password(person(make.make_user("ada", is_admin=True)), user=tess, password=NEWER)
    (event,) = events("password.")
    assert event.data == {"by": "admin", "sessions": "every session ended"}
    assert client.get("/account/").status_code == 302


def test_a_second_factor_made_and_removed(
    client: Client, tess: Any, django_capture_on_commit_callbacks: Any
) -> None:
    assert client.post("/reauthenticate/", {"password": PASSWORD}).status_code == 302
    client.get("/account/mfa/totp/activate/")
    session = client.session
    session["mfa.totp.secret"] = SECRET
    session.save()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post("/account/mfa/totp/activate/", {"code": code()}).status_code == 302
    assert {event.data["kind"] for event in events("second_factor.added")} >= {"TOTP Authenticator"}
    assert client.post("/account/mfa/totp/deactivate/").status_code == 302
    assert not Authenticator.objects.filter(user=tess, type="totp").exists()
    assert "TOTP Authenticator" in [event.data["kind"] for event in events("second_factor.removed")]
    assert SECRET not in str([event.data for event in events("second_factor")])


def test_wrong_codes_are_on_record_and_limited(client: Client) -> None:
    user = make.make_user("tess")
    user.set_password(PASSWORD)
    user.save()
    TOTP.activate(user, SECRET)
    client.post("/login/", {"login": "tess", "password": PASSWORD})
    for _ in range(12):
        client.post(reverse("mfa_authenticate"), {"code": "000000"})
    refused = events("second_factor.refused")
    assert 1 <= len(refused) <= 6
    assert refused[0].target_id == str(user.pk)
    assert refused[0].data == {"where": "at sign-in"}


def test_the_raw_tables_delete_no_factor(client: Client) -> None:
    client.force_login(make.make_user("ada", is_admin=True))
    row = TOTP.activate(make.make_user("tess"), SECRET).instance
    assert (
        client.post(reverse("admin:mfa_authenticator_delete", args=[row.pk]), {"post": "yes"}).status_code
        == 403
    )
    fields = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    client.post(reverse("admin:mfa_authenticator_changelist"), fields)
    assert Authenticator.objects.filter(pk=row.pk).exists()


class TestOwnPasswords:
    """A wrong one by a person who is signed in: somebody may sit at their place."""

    WRONG = "certainly-not-the-password-3"

    def change(self, client: Client, old: str) -> Any:
        fields = {"oldpassword": old, "password1": NEWER, "password2": NEWER}
        return client.post("/password/change/", fields)

    def test_a_wrong_old_one_is_on_record(self, client: Client, tess: Any) -> None:
        assert self.change(client, self.WRONG).status_code == 200
        (event,) = events("password.")
        assert (event.verb, event.actor_text, event.target_id) == ("password.refused", "tess", str(tess.pk))
        assert event.data == {"where": "where they change it"}
        assert self.WRONG not in str(AuditEvent.objects.values())
        assert NEWER not in str(AuditEvent.objects.values())

    def test_the_tries_are_limited(self, client: Client, tess: Any) -> None:
        answers = [self.change(client, self.WRONG) for _ in range(8)]
        assert [answer.status_code for answer in answers[-3:]] == [429, 429, 429]
        assert "Too many tries" in answers[-1].content.decode()
        assert len(events("password.refused")) == 5
        assert self.change(client, PASSWORD).status_code == 429

    def test_one_on_the_page_that_asks_again_is_on_record_and_limited(
        self, client: Client, tess: Any
    ) -> None:
        for _ in range(12):
            client.post("/reauthenticate/", {"password": self.WRONG})
        refused = events("password.refused")
        assert 1 <= len(refused) <= 10
        assert {(event.actor_id, event.data["where"]) for event in refused} == {
            (str(tess.pk), "on a page that asks again")
        }
        assert self.WRONG not in str(AuditEvent.objects.values())


def test_a_wrong_code_while_setting_up_is_on_record_and_limited(client: Client, tess: Any) -> None:
    assert client.post("/reauthenticate/", {"password": PASSWORD}).status_code == 302
    for _ in range(8):
        client.get("/account/mfa/totp/activate/")
        client.post("/account/mfa/totp/activate/", {"code": "000000"})
    refused = events("second_factor.refused")
    assert 1 <= len(refused) <= 5
    assert {event.data["where"] for event in refused} == {"while setting it up"}
    assert "000000" not in str(AuditEvent.objects.values("data", "target_text", "actor_text"))


def test_a_wrong_code_on_the_page_that_asks_again_is_on_record(client: Client) -> None:
    user = make.make_user("tess")
    TOTP.activate(user, SECRET)
    client.force_login(user)
    client.post(reverse("mfa_reauthenticate"), {"code": "000000"})
    (event,) = events("second_factor.refused")
    assert event.data == {"where": "on a page that asks again"}


@pytest.mark.parametrize("change", ["create", "set", "setup"])
def test_a_password_is_hashed_before_the_database_is_locked(
    change: str, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    """Hashing takes long on purpose; SQLite has one writer at a time."""
    ada = person(make.make_user("ada", is_admin=change != "setup"))
    token, user = services.new_setup_link() or "", make.make_user("tess")
    depth = len(connection.savepoint_ids)
    hashed: list[int] = []
    real = django_user_model.set_password

    def set_password(self: Any, raw: str) -> None:
        hashed.append(len(connection.savepoint_ids))
        real(self, raw)

    monkeypatch.setattr(django_user_model, "set_password", set_password)
    if change == "create":
        services.create_user(ada, username="new", password=NEWER)
    elif change == "set":
        services.set_password(ada, user=user, password=NEWER)
    else:
        services.complete_setup(token=token, username="first", password=NEWER)
    assert hashed == [depth]
