"""Accounts: admins make and change them, the first admin makes himself, everybody changes his own."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from people import services
from people.models import SetupLink, User
from people.services import new_setup_link
from people.urls import urlpatterns
from tests import factories as make

pytestmark = pytest.mark.django_db
ADMIN_PAGES = ["admin", "people", "person-new", "person", "person-archive"]


def at(name: str, *args: Any) -> str:
    return reverse(f"people:{name}", args=args)


@pytest.fixture
def admin() -> User:
    return make.make_user("ada", is_admin=True)


@pytest.fixture
def as_admin(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def address(name: str, user: User) -> str:
    if name == "admin":
        return reverse("portal:admin")
    return at(name, user.pk) if name in ("person", "person-archive") else at(name)


def test_every_address_is_tested_here() -> None:
    assert {p.name for p in urlpatterns} | {"admin"} == {
        *ADMIN_PAGES, "person-password", "person-link", "person-second-step", "setup", "account",
    }  # fmt: skip


@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_admins_see_the_admin(as_admin: Client, admin: User, name: str) -> None:
    assert as_admin.get(address(name, admin)).status_code == 200


@pytest.mark.parametrize("name", ADMIN_PAGES)
@pytest.mark.parametrize("rights", [{}, {"is_auditor": True}])
def test_others_learn_why_not_and_whom_to_ask(
    client: Client, admin: User, name: str, rights: dict[str, bool]
) -> None:
    client.force_login(make.make_user("sue", **rights))
    answer = client.get(address(name, admin))
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "Only admins may do that" in page
    assert "ada" in page
    assert answer["X-Request-ID"] in page


@pytest.mark.parametrize("name", [*ADMIN_PAGES, "account"])
def test_nobody_unknown_gets_in(client: Client, admin: User, name: str) -> None:
    answer = client.get(address(name, admin))
    assert answer["Location"].startswith("/login/?next=")


@pytest.mark.parametrize("name", ["admin", "people"])
def test_what_only_shows_is_never_a_post(as_admin: Client, admin: User, name: str) -> None:
    assert as_admin.post(address(name, admin)).status_code == 405


NEW = {"username": "bob", "name": "Bob", "email": "bob@example.com", "password": "a long enough one"}


def test_an_account_is_made_and_works(as_admin: Client) -> None:
    assert as_admin.post(at("person-new"), {**NEW, "is_auditor": "on"}).status_code == 200
    bob = User.objects.get(username="bob")
    assert (bob.is_admin, bob.is_auditor, bob.is_staff) == (False, True, False)
    assert Client().login(username="bob", password=NEW["password"])
    assert AuditEvent.objects.filter(verb="user.created", target_text="bob").exists()
    assert NEW["password"] not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("username", "ada", "already exists"), ("username", "a b", "valid username"), ("password", "short", "too short"),
        ("email", "nowhere", "valid email"), ("password", "password123456", "common"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_at_its_field_and_the_rest_is_kept(
    as_admin: Client, field: str, value: str, words: str
) -> None:
    if words == "common":
        value = "1234567890"
    answer = as_admin.post(at("person-new"), {**NEW, field: value})
    assert answer.status_code == 422
    assert words in str(answer.context["form"].errors[field])
    page = answer.content.decode()
    assert 'value="Bob"' in page
    assert NEW["password"] not in page
    assert not User.objects.filter(username="bob").exists()


def test_only_admins_make_accounts(client: Client) -> None:
    client.force_login(make.make_user())
    assert client.post(at("person-new"), {**NEW, "is_admin": "on"}).status_code == 403
    assert not User.objects.filter(username="bob").exists()


def test_an_account_is_changed(as_admin: Client) -> None:
    bob = make.make_user("bob")
    answer = as_admin.post(
        at("person", bob.pk), {"name": "Bobby", "email": "", "is_admin": "on"}, follow=True
    )
    assert answer.status_code == 200
    bob.refresh_from_db()
    assert (bob.name, bob.is_admin, bob.is_staff) == ("Bobby", True, True)
    event = AuditEvent.objects.get(verb="user.changed")
    assert event.data == {
        "name": {"before": "", "after": "Bobby"},
        "is_admin": {"before": False, "after": True},
    }


def test_the_last_admin_stays(as_admin: Client, admin: User) -> None:
    for name, sent in (("person", {"name": "Ada", "email": ""}), ("person-archive", {"do": "archive"})):
        answer = as_admin.post(at(name, admin.pk), sent)
        assert answer.status_code == 422
        assert "is the last admin" in answer.content.decode()
    admin.refresh_from_db()
    assert (admin.is_admin, admin.is_active, admin.name) == (True, True, "")


def test_a_closed_account_is_signed_out_at_once(as_admin: Client) -> None:
    bob = make.make_user("bob")
    elsewhere = Client()
    elsewhere.force_login(bob)
    assert elsewhere.get(at("account")).status_code == 200
    as_admin.post(at("person-archive", bob.pk), {"do": "archive"})
    assert elsewhere.get(at("account")).status_code == 302
    assert not Client().login(username="bob", password=make.PASSWORD)


def test_a_new_password_ends_the_sessions(as_admin: Client) -> None:
    bob = make.make_user("bob")
    elsewhere = Client()
    elsewhere.force_login(bob)
    weak = as_admin.post(at("person-password", bob.pk), {"password": "short"})
    assert weak.status_code == 422
    assert "too short" in weak.content.decode()
    assert as_admin.get(at("person-password", bob.pk)).status_code == 405
    assert as_admin.post(at("person-password", bob.pk), {"password": "another long one"}).status_code == 302
    assert elsewhere.get(at("account")).status_code == 302
    assert Client().login(username="bob", password="another long one")
    assert "another long one" not in str(list(AuditEvent.objects.values()))
    elsewhere.force_login(make.make_user("sue"))
    assert elsewhere.post(at("person-password", bob.pk), {"password": "a stolen account"}).status_code == 403


def test_an_unknown_account_is_a_404(as_admin: Client) -> None:
    assert as_admin.get(at("person", 999)).status_code == 404
    assert as_admin.post(at("person-password", 999), {"password": "x"}).status_code == 404


def test_people_change_their_own_name_and_nothing_else(client: Client) -> None:
    bob = make.make_user("bob")
    client.force_login(bob)
    sent = {"name": "Bobby", "email": "b@example.com", "is_admin": "on", "username": "root"}
    assert client.post(at("account"), sent).status_code == 302
    bob.refresh_from_db()
    assert (bob.username, bob.name, bob.is_admin) == ("bob", "Bobby", False)
    assert client.post(at("account"), {"name": "B", "email": "x"}).status_code == 422


def test_the_account_page_shows_roles(client: Client) -> None:
    bob = make.make_user("bob")
    project = make.make_project(name="Shop")
    environment = make.make_environment(project, slug="staging", name="Staging")
    make.grant(bob, "deployer", project, environment)  # type: ignore[arg-type]
    client.force_login(bob)
    page = client.get(at("account")).content.decode()
    assert "Staging only" in page
    assert "Deployer" in page


def test_the_list_of_people_asks_few_questions(as_admin: Client, django_assert_max_num_queries: Any) -> None:
    project = make.make_project()
    for n in range(20):
        make.grant(make.make_user(f"p{n}"), "viewer", project)  # type: ignore[arg-type]
    with django_assert_max_num_queries(6):
        page = as_admin.get(at("people")).content.decode()
    assert "viewer of 1" in page


# The first admin


SETUP = {
    "username": "root",
    "name": "",
    "email": "",
    "password": "a long enough one",
    "again": "a long enough one",
}


def test_the_first_admin_makes_his_account_and_is_signed_in(client: Client) -> None:
    token = new_setup_link()
    assert client.get(at("setup", token)).status_code == 200
    answer = client.post(at("setup", token), SETUP)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get(reverse("portal:admin")).status_code == 200
    assert User.objects.get().is_admin
    assert new_setup_link() is None
    assert Client().get(at("setup", token)).status_code == 403


def test_a_mistake_does_not_use_the_link_up(client: Client) -> None:
    token = new_setup_link()
    for wrong, words in (
        ({"again": "another one, also long"}, "not the same"),
        ({"password": "x", "again": "x"}, "too short"),
    ):
        answer = client.post(at("setup", token), {**SETUP, **wrong})
        assert answer.status_code == 422
        assert words in str(answer.context["form"].errors)
    assert not User.objects.exists()
    assert client.post(at("setup", token), SETUP).status_code == 302


def test_links_that_do_not_open(client: Client) -> None:
    first = new_setup_link()
    second = new_setup_link()
    SetupLink.objects.update(created_at=timezone.now() - timedelta(hours=25))
    for token in ("guess", first, second):
        answer = client.get(at("setup", token))
        assert answer.status_code == 403
        assert "not valid" in answer.content.decode()
    assert client.post(at("setup", second), SETUP).status_code == 403
    assert not User.objects.exists()


def test_there_is_no_second_first_admin(client: Client, admin: User) -> None:
    assert new_setup_link() is None
    SetupLink.objects.create(token_hash=SetupLink.hash_of("stolen"))
    assert client.post(at("setup", "stolen"), SETUP).status_code == 403
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_demote_each_other_leave_one() -> None:
    """Each locks both accounts. In another order each would wait for the other one, and the database would break one off."""
    admins = [make.make_user(name, is_admin=True) for name in ("ada", "bea", "cleo")]
    outcomes: list[str] = []
    start = threading.Barrier(len(admins))

    def demote(by: User, whom: User) -> None:
        start.wait()
        try:
            services.change_user(
                person(User.objects.get(pk=by.pk)), user=whom, name="", email="", is_admin=False, is_auditor=False,
            )  # fmt: skip
            outcomes.append("done")
        except Refused as refusal:
            outcomes.append(refusal.code)
        finally:
            connection.close()

    pairs = zip(admins, [*admins[1:], admins[0]], strict=True)
    threads = [threading.Thread(target=demote, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 3
    assert set(outcomes) <= {"done", "last-admin", "role"}
    assert User.objects.filter(is_admin=True).count() == 3 - outcomes.count("done") >= 1
