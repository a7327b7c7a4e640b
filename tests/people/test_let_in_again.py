"""An admin lets in a person who lost their phone or password: rights, audit, sessions, and what the person is told."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from people import leaving, links, second_steps, services
from people.models import SetupLink, User
from tests import factories as make

pytestmark = pytest.mark.django_db
SECRET, PASSWORD = "JBSWY3DPEHPK3PXP", "a-long-password-1"
REASON = {"reason": "called me, I know the voice"}


@pytest.fixture(autouse=True)
def no_throttle() -> None:
    cache.clear()


def with_password(name: str, **rights: Any) -> User:
    user = make.make_user(name, **rights)
    user.set_password(PASSWORD)
    user.save()
    return user


def signed_in(name: str) -> Client:
    client = Client()
    assert client.post("/login/", {"login": name, "password": PASSWORD}).status_code == 302
    return client


@pytest.fixture
def tess() -> User:
    """Has an app and recovery codes, three of them used."""
    user = with_password("tess")
    TOTP.activate(user, SECRET)
    codes = RecoveryCodes.activate(user)
    for number in range(3):
        codes._mark_code_used(number)
    return user


@pytest.fixture
def ada() -> Client:
    with_password("ada", is_admin=True)
    return signed_in("ada")


def address(user: User) -> str:
    return reverse("people:person-second-step", args=[user.pk])


def test_the_pages_say_who_has_one_and_how_many_codes_are_left(ada: Client, tess: User) -> None:
    page = ada.get(reverse("people:person", args=[tess.pk])).content.decode()
    assert "7 recovery codes left" in page
    assert address(tess) in page
    listed = ada.get(reverse("people:people")).content.decode()
    rows = {
        name: next(row for row in listed.split("<tr>") if f'Edit<span class="hidden-label"> {name}' in row)
        for name in ("ada", "tess")
    }
    assert ("Not set" in rows["ada"], "Not set" in rows["tess"]) == (True, False)


def test_it_is_taken_away_with_all_sessions_and_the_person_is_told(ada: Client, tess: User) -> None:
    theirs = Client()
    theirs.force_login(tess)
    assert theirs.get("/account/").status_code == 200
    assert "7 recovery codes will count no longer" in ada.get(address(tess)).content.decode()
    assert ada.post(address(tess), REASON).status_code == 302
    assert not Authenticator.objects.filter(user=tess).exists()
    assert theirs.get("/account/")["Location"].startswith("/login/")
    (event,) = AuditEvent.objects.filter(verb="second_factor.removed")
    assert (event.actor_text, event.target_text, event.data["by"], event.data["reason"]) == (
        "ada", "tess", "admin", REASON["reason"],
    )  # fmt: skip
    again = signed_in("tess")
    assert "The admin ada took away your second step" in again.get("/").content.decode()
    assert "took away" not in again.get("/").content.decode()  # once for each sign-in
    assert "taken away" in ada.get(reverse("people:person", args=[tess.pk])).content.decode()


def test_once_there_is_a_new_one_nobody_is_told_any_more(ada: Client, tess: User) -> None:
    ada.post(address(tess), REASON)
    second_steps.set_up_again(tess)
    assert "took away" not in signed_in("tess").get("/").content.decode()
    assert signed_in("tess").get("/account/").status_code == 200


def test_it_needs_a_reason_and_a_fresh_sign_in(ada: Client, tess: User) -> None:
    assert ada.post(address(tess), {"reason": " "}).status_code == 422
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        for answer in (ada.get(address(tess)), ada.post(address(tess), REASON)):
            assert answer["Location"] == f"/reauthenticate/?next={address(tess).replace('/', '%2F')}"
    assert Authenticator.objects.filter(user=tess).count() == 2


def test_nobody_takes_away_their_own_and_only_admins_take_any(ada: Client, tess: User) -> None:
    own = User.objects.get(username="ada")
    TOTP.activate(own, SECRET)
    answer = ada.post(address(own), REASON)
    assert (answer.status_code, "your own second step" in answer.content.decode()) == (403, True)
    assert address(own) not in ada.get(reverse("people:person", args=[own.pk])).content.decode()
    with pytest.raises(Refused):
        second_steps.take_away(person(make.make_user("eve")), user=tess, reason="x")
    assert Authenticator.objects.count() == 3


def test_taking_it_away_twice_is_one_event(ada: Client, tess: User) -> None:
    ada.post(address(tess), REASON)
    assert ada.post(address(tess), REASON).status_code == 302
    assert AuditEvent.objects.filter(verb="second_factor.removed").count() == 1
    assert "has no second step" in ada.get(address(tess)).content.decode()


def test_sessions_from_before_there_was_a_count_go_on() -> None:
    user = with_password("bob")
    client = signed_in("bob")
    assert client.session["_auth_user_hash"] == super(User, user).get_session_auth_hash()
    assert client.get("/account/").status_code == 200


def test_a_session_outlives_another_secret_key_but_not_its_end(tess: User, settings: Any) -> None:
    client = Client()
    client.force_login(tess)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "y" * 60
    User.objects.filter(pk=tess.pk).update(sessions_ended=1)
    assert client.get("/account/")["Location"].startswith("/login/")


# Passwords by a link


def link_in(answer: Any) -> str:
    found = re.search(r"/setup/[\w-]+/", answer.content.decode())
    assert found, answer.content.decode()
    return found[0]


def test_a_new_account_chooses_its_own_password(ada: Client) -> None:
    made = ada.post(reverse("people:person-new"), {"username": "maria", "password": ""})
    assert "no-store" in made["Cache-Control"]
    assert (
        reverse("projects:person-roles", args=[User.objects.get(username="maria").pk])
        in made.content.decode()
    )
    link = link_in(made)
    assert not Client().login(username="maria", password="")
    theirs = Client()
    assert "maria" in theirs.get(link).content.decode()
    assert theirs.post(link, {"password": PASSWORD, "again": "other-password-9"}).status_code == 422
    assert theirs.post(link, {"password": "short", "again": "short"}).status_code == 422
    assert theirs.post(link, {"password": PASSWORD, "again": PASSWORD}).status_code == 302
    assert signed_in("maria").get("/").status_code == 200
    assert theirs.get(link).status_code == 403
    event = AuditEvent.objects.get(verb="password.changed")
    assert (event.actor_text, event.data["by"]) == ("maria", "themselves, by a link")
    token = link.split("/")[2]
    assert token not in str(list(AuditEvent.objects.values())) + str(list(SetupLink.objects.values()))


def test_a_link_does_not_get_round_the_second_step(ada: Client, tess: User) -> None:
    old = Client()
    old.force_login(tess)
    link = link_in(ada.post(reverse("people:person-link", args=[tess.pk])))
    assert old.get("/account/").status_code == 200  # until a password is chosen
    theirs = Client()
    theirs.post(link, {"password": "another-password-7", "again": "another-password-7"})
    assert old.get("/account/").status_code == 302
    answer = theirs.post("/login/", {"login": "tess", "password": "another-password-7"})
    assert "/mfa/authenticate/" in answer["Location"]


def test_a_link_ends_with_the_next_one_after_a_day_and_with_the_account(ada: Client, tess: User) -> None:
    make_one = reverse("people:person-link", args=[tess.pk])
    first, second = link_in(ada.post(make_one)), link_in(ada.post(make_one))
    assert [Client().get(link).status_code for link in (first, second)] == [403, 200]
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert Client().get(second).status_code == 403
    User.objects.filter(pk=tess.pk).update(is_active=False)
    assert Client().get(second).status_code == 403
    assert ada.post(make_one).status_code == 403


def test_only_admins_make_links(tess: User) -> None:
    with pytest.raises(Refused):
        links.new_link(person(make.make_user("eve")), user=tess)


def test_the_set_up_link_of_the_first_admin_is_no_link_of_a_person(ada: Client, tess: User) -> None:
    link = link_in(ada.post(reverse("people:person-link", args=[tess.pk])))
    User.objects.filter(is_admin=True).update(is_admin=False)
    answer = Client().post(link, {"username": "evil", "password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 302
    assert not User.objects.filter(username="evil").exists()
    assert not User.objects.filter(is_admin=True).exists()


def test_the_page_of_a_person_asks_few_questions(ada: Client, tess: User) -> None:
    def questions() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            ada.get(reverse("people:person", args=[tess.pk]))
        return len(asked)

    before = questions()
    for number in range(20):
        make.grant(tess, "viewer", make.make_project(slug=f"p{number}"))  # type: ignore[arg-type]
    assert questions() == before


class TestALinkEnds:
    """A link that somebody holds ends with every other password, and with the right of the admin who made it."""

    def status(self, link: str) -> int:
        return Client().get(link).status_code

    def test_when_an_admin_sets_a_password(self, ada: Client, tess: User) -> None:
        link = link_in(ada.post(reverse("people:person-link", args=[tess.pk])))
        ada.post(reverse("people:person-password", args=[tess.pk]), {"password": "another-password-7"})
        assert self.status(link) == 403

    def test_when_the_person_changes_it(self, ada: Client) -> None:
        user = with_password("maria")
        link = link_in(ada.post(reverse("people:person-link", args=[user.pk])))
        change = {
            "oldpassword": PASSWORD,
            "password1": "another-password-7",
            "password2": "another-password-7",
        }
        assert signed_in("maria").post("/password/change/", change).status_code == 302
        assert self.status(link) == 403

    def test_for_good_when_the_account_is_archived(self, ada: Client, tess: User) -> None:
        link = link_in(ada.post(reverse("people:person-link", args=[tess.pk])))
        actor = person(User.objects.get(username="ada"))
        leaving.archive(actor, user=tess)
        leaving.restore(actor, user=tess)
        assert self.status(link) == 403

    def test_when_its_maker_is_no_admin_any_more(self, ada: Client, tess: User) -> None:
        maker, other = make.make_user("max", is_admin=True), person(User.objects.get(username="ada"))
        link = reverse("people:setup", args=[links.new_link(person(maker), user=tess)])
        assert self.status(link) == 200
        services.change_user(other, user=maker, name="", email="", is_admin=False, is_auditor=False)
        assert self.status(link) == 403

    def test_when_its_maker_is_archived(self, ada: Client, tess: User) -> None:
        maker = make.make_user("max", is_admin=True)
        link = reverse("people:setup", args=[links.new_link(person(maker), user=tess)])
        leaving.archive(person(User.objects.get(username="ada")), user=maker)
        assert self.status(link) == 403
