"""Sign-in is throttled, sessions end, and a form that comes too late loses nothing but secrets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from core import again
from people.models import User
from people.sessions import user_of
from projects.models import Project
from tests import factories as make

pytestmark = pytest.mark.django_db
WRONG = "certainly not the password"


@pytest.fixture(autouse=True)
def fresh_counters() -> None:
    cache.clear()


@pytest.fixture
def bob() -> User:
    return make.make_user("bob")


def sign_in(client: Client, password: str = make.PASSWORD, username: str = "bob", **extra: Any) -> Any:
    return client.post("/login/", {"login": username, "password": password}, **extra)


def test_the_counters_are_in_the_database() -> None:
    assert settings.CACHES["default"]["BACKEND"].endswith("DatabaseCache")


def test_guessing_a_password_is_stopped_for_every_address(bob: User) -> None:
    for n in range(5):
        assert sign_in(Client(), WRONG, REMOTE_ADDR=f"198.51.100.{n}").status_code == 200
    answer = sign_in(Client(), REMOTE_ADDR="198.51.100.99")
    assert "Too many failed login attempts" in answer.content.decode()
    assert "_auth_user_id" not in answer.client.session
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert sign_in(Client(), REMOTE_ADDR="198.51.100.99").status_code == 302


def test_another_port_in_the_host_gives_no_further_guesses(bob: User) -> None:
    for n in range(5):
        sign_in(Client(), WRONG, REMOTE_ADDR=f"198.51.100.{n}", HTTP_HOST="127.0.0.1:8000")
    for port, name in ((9000, "127.0.0.1"), (9001, "localhost")):
        answer = sign_in(Client(), REMOTE_ADDR="198.51.100.99", HTTP_HOST=f"{name}:{port}")
        assert "Too many failed login attempts" in answer.content.decode()
    assert "Too many" in sign_in(Client(), username="BOB", REMOTE_ADDR="198.51.100.98").content.decode()


@pytest.mark.parametrize(
    ("following", "leads_to"),
    [
        ("/deploys/?state=failed", "/deploys/?state=failed"),
        ("http://testserver/deploys/", "http://testserver/deploys/"),
        ("http://localhost/", "/"),  # one of ALLOWED_HOSTS, for the container's probes
        ("http://127.0.0.1:8000/", "/"),
        ("http://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_sign_in_leads_on_to_pages_of_this_site_only(
    bob: User, settings: Any, following: str, leads_to: str
) -> None:
    settings.BASE_URL = "https://deploy.example.com"
    answer = Client().post("/login/", {"login": "bob", "password": make.PASSWORD, "next": following})
    assert (answer.status_code, answer["Location"]) == (302, leads_to)


def test_guessing_names_is_stopped_by_address(bob: User) -> None:
    for n in range(10):
        sign_in(Client(), WRONG, username=f"name{n}", REMOTE_ADDR="198.51.100.1")
    here = sign_in(Client(), WRONG, username="name11", REMOTE_ADDR="198.51.100.1")
    assert "Too many failed login attempts" in here.content.decode()
    assert sign_in(Client(), REMOTE_ADDR="198.51.100.2").status_code == 302


def test_a_forged_header_is_no_other_address(bob: User) -> None:
    for n in range(11):
        sign_in(Client(), WRONG, username=f"name{n}", headers={"X-Forwarded-For": f"203.0.113.{n}"})
    answer = sign_in(Client(), WRONG, username="name99", headers={"X-Forwarded-For": "203.0.113.77"})
    assert "Too many failed login attempts" in answer.content.decode()


def test_the_raw_tables_have_no_sign_in_of_their_own(bob: User) -> None:
    for method in ("get", "post"):
        answer = getattr(Client(), method)(
            "/django-admin/login/", {"username": "bob", "password": make.PASSWORD}
        )
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login/")
        assert "_auth_user_id" not in answer.client.session


def test_a_refused_sign_in_is_audited_without_the_password(bob: User) -> None:
    sign_in(Client(), WRONG)
    event = AuditEvent.objects.get(verb="session.refused")
    assert event.target_text == "bob"
    assert WRONG not in str(list(AuditEvent.objects.values()))


def test_a_session_ends_after_twelve_hours(bob: User) -> None:
    client = Client()
    assert sign_in(client).status_code == 302
    with time_machine.travel(timezone.now() + timedelta(hours=11, minutes=50)):
        assert client.get("/account/").status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=12, minutes=10)):
        assert client.get("/account/")["Location"] == "/login/?next=/account/"


# A form that comes after the session ended

FORM = {
    "edited": "0", "name": "Typed with care", "repository_url": "https://git.example/x.git", "default_branch": "main",
    "credential_kind": "token", "credential": "canary-typed-token", "csrfmiddlewaretoken": "stale",
}  # fmt: skip
ADDRESS = "/projects/shop/settings/"
OWN_PAGE = {"Origin": "http://testserver"}


def late(**headers: str) -> Any:
    make.make_project(slug="shop", name="Shop", repository_url="https://git.example/x.git")
    return Client().post(ADDRESS, FORM, headers=headers or OWN_PAGE)


def along(page: str) -> str:
    """What the page takes along through the sign-in."""
    found = re.search(r'name="form_sent_late" value="([^"]*)"', page)
    return found[1] if found else ""


def back(client: Client, page: str, **more: Any) -> Any:
    """Signs in on the page that says that the session has ended, as an admin."""
    make.make_user("root", is_admin=True)
    sent = {"login": "root", "password": make.PASSWORD, "next": ADDRESS, again.KEY: along(page), **more}
    return client.post("/login/", sent, follow=True)


def test_a_late_form_is_kept_and_says_that_nothing_was_saved() -> None:
    answer = late()
    page = answer.content.decode()
    assert answer.status_code == 401
    assert "Nothing was saved or changed." in page
    assert f'name="next" value="{ADDRESS}"' in page
    assert "Typed with care" in page
    assert along(page)
    assert Project.objects.get().name == "Shop"


def test_one_step_after_signing_in_the_form_is_filled_in_and_one_click_sends_it() -> None:
    page = late().content.decode()
    client = Client()
    answer = back(client, page)
    html = answer.content.decode()
    assert [url for url, _ in answer.redirect_chain] == [ADDRESS]
    assert (answer.status_code, 'value="Typed with care"' in html) == (200, True)
    assert "nothing of it is saved yet" in html
    assert "Enter this again" in str(answer.context["form"].errors["credential"])
    assert Project.objects.get().name == "Shop"
    client.post(ADDRESS, {**FORM, "credential": "", "credential_kind": "none"})
    assert Project.objects.get().name == "Typed with care"
    assert "Typed with care" not in str(client.get("/projects/new/").content)


def test_it_is_shown_once_on_its_own_page_only_and_for_half_an_hour() -> None:
    page = late().content.decode()
    client = Client()
    back(client, page, next="/account/")
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        assert "Typed with care" not in client.get(ADDRESS).content.decode()
    assert "Typed with care" in client.get(ADDRESS).content.decode()
    assert "Typed with care" not in client.get(ADDRESS).content.decode()


def test_a_wrong_password_in_between_loses_nothing_and_stores_nothing(bob: User) -> None:
    page, client = late().content.decode(), Client()
    wrong = client.post(
        "/login/", {"login": "bob", "password": WRONG, "next": ADDRESS, again.KEY: along(page)}
    )
    assert again.KEY not in client.session
    assert along(wrong.content.decode()) == along(page)


def test_it_comes_along_through_the_second_step() -> None:
    page, client = late().content.decode(), Client()
    root = make.make_user("root", is_admin=True)
    TOTP.activate(root, "JBSWY3DPEHPK3PXP")
    code = RecoveryCodes.activate(root).generate_codes()[0]
    sent = {"login": "root", "password": make.PASSWORD, "next": ADDRESS, again.KEY: along(page)}
    assert "/mfa/authenticate/" in client.post("/login/", sent)["Location"]
    answer = client.post("/account/mfa/authenticate/", {"code": code}, follow=True)
    assert 'value="Typed with care"' in answer.content.decode()


@pytest.mark.parametrize("text", ["", "nonsense", "gAAAAA" + "x" * 80])
def test_nobody_makes_up_what_was_typed(text: str) -> None:
    client = Client()
    make.make_project(slug="shop", name="Shop")
    back(client, f'name="form_sent_late" value="{text}"')
    assert again.KEY not in client.session


def test_what_waits_in_the_session_is_encrypted() -> None:
    client = Client()
    back(client, late().content.decode(), next="/account/")
    assert client.session[again.KEY].startswith("gAAAAA")


def test_a_page_that_cannot_fill_its_form_shows_a_list_and_one_button() -> None:
    """A release is marked as bad by a form on the page of its deploy, which is sent elsewhere."""
    shown_at = f"/deploys/{make.make_deploy(make.make_environment()).number}/"
    referer = {**OWN_PAGE, "Referer": f"http://testserver{shown_at}"}
    page = Client().post(f"{shown_at}bad/", {"reason": "loses mails"}, headers=referer).content.decode()
    html = back(Client(), page, next=shown_at).content.decode()
    assert f'action="{shown_at}bad/"' in html
    assert "<dt>Reason</dt><dd>loses mails</dd>" in html
    assert html.count("<button") == 1


def test_secrets_are_not_kept_and_asked_for_again() -> None:
    page = late().content.decode()
    assert "canary-typed-token" not in page
    assert "<b>Token or private key</b>" in page
    kept = again.opened(along(page)).kept  # type: ignore[union-attr]
    assert kept.secrets == ("credential",)
    assert "stale" not in str(kept)


def test_what_was_typed_is_told_by_the_labels_of_its_fields() -> None:
    page = late().content.decode()
    assert "<dt>Name</dt><dd>Typed with care</dd>" in page
    assert "<dt>Repository</dt><dd>https://git.example/x.git</dd>" in page
    assert "<dt>Edited" not in page


def test_a_form_of_another_site_is_not_kept() -> None:
    page = late(**{"Sec-Fetch-Site": "cross-site"}).content.decode()
    assert "Typed with care" not in page
    assert "typed_again" not in page


def test_a_late_form_leads_back_to_the_page_it_stood_on() -> None:
    def page(**headers: str) -> str:
        return Client().post("/deploys/1/cancel/", headers=headers).content.decode()

    shown_at = "http://testserver/deploys/1/?all=1"
    assert 'name="next" value="/deploys/1/?all=1"' in page(**OWN_PAGE, Referer=shown_at)
    assert 'name="next" value="/deploys/1/?all=1"' in page(Referer=shown_at)
    assert "evil" not in page(**{"Sec-Fetch-Site": "cross-site"}, Referer="https://evil.example/")
    assert "evil" not in page(**OWN_PAGE, Referer="https://evil.example/")


def test_a_form_opened_before_signing_in_again_is_filled_in_at_once() -> None:
    """As when the person has signed in again in another tab: its token is old."""
    late()
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.make_user(is_admin=True))
    stale = client.post(
        ADDRESS, FORM, headers={**OWN_PAGE, "Referer": f"http://testserver{ADDRESS}"}, follow=True
    )
    assert [url for url, _ in stale.redirect_chain] == [ADDRESS]
    assert 'value="Typed with care"' in stale.content.decode()
    assert "Enter this again" in str(stale.context["form"].errors["credential"])
    assert Project.objects.get().name == "Shop"


def test_a_form_of_another_site_fills_no_page() -> None:
    late()
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.make_user(is_admin=True))
    answer = client.post(
        ADDRESS, FORM, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    assert (answer.status_code, again.KEY in client.session) == (403, False)


def test_an_old_token_without_a_session_asks_to_sign_in() -> None:
    make.make_project(slug="shop", name="Shop")
    answer = Client(enforce_csrf_checks=True).post(ADDRESS, FORM, headers=OWN_PAGE)
    assert (answer.status_code, bool(along(answer.content.decode()))) == (401, True)


def test_an_uploaded_file_counts_as_typed() -> None:
    sent = {"name": "x", "kubeconfig_file": SimpleUploadedFile("c", b"canary-file")}
    page = Client().post("/admin/clusters/new/", sent, headers=OWN_PAGE).content.decode()
    found = again.opened(along(page))
    assert found is not None
    assert found.kept.secrets == ("kubeconfig",)
    assert "canary-file" not in page + str(found)


def test_what_must_be_typed_again_is_still_asked_for_when_the_session_ends_twice() -> None:
    sent = {key: value for key, value in FORM.items() if key != "credential"} | {"typed_again": "credential"}
    page = Client().post(ADDRESS, sent, headers=OWN_PAGE).content.decode()
    assert again.opened(along(page)).kept.secrets == ("credential",)  # type: ignore[union-attr]


def test_sessions_that_were_also_kept_in_the_cache_go_on(bob: User) -> None:
    from importlib import import_module

    assert settings.SESSION_ENGINE == "django.contrib.sessions.backends.db"
    client = Client()
    sign_in(client)
    before = import_module("django.contrib.sessions.backends.cached_db").SessionStore()
    before.update(client.session.items())
    before.save()
    client.cookies["sessionid"] = before.session_key
    assert client.get("/account/").status_code == 200


def test_script_is_told_instead() -> None:
    answer = Client().post(ADDRESS, FORM, headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "HX-Redirect" in answer


class TestWhoseSession:
    """`user_of`: for what goes on after the request that checked the sign-in, such as a live log."""

    @pytest.fixture
    def key(self, bob: User) -> str:
        client = Client()
        client.force_login(bob)
        return str(client.session.session_key)

    def test_it_lasts(self, bob: User, key: str) -> None:
        assert user_of(key) == bob

    def test_it_ends_with_the_account(self, bob: User, key: str) -> None:
        User.objects.filter(pk=bob.pk).update(is_active=False)
        assert user_of(key) is None

    def test_it_ends_with_another_password(self, bob: User, key: str) -> None:
        bob.set_password("quite another password")
        bob.save()
        assert user_of(key) is None

    def test_it_ends_by_signing_out(self, bob: User) -> None:
        client = Client()
        client.force_login(bob)
        key = client.session.session_key
        client.post("/logout/")
        assert user_of(key) is None

    @pytest.mark.parametrize("nobodys", [None, "", "x" * 32])
    def test_no_session_is_nobodys(self, nobodys: str | None) -> None:
        assert user_of(nobodys) is None


@pytest.mark.parametrize(
    "address", ["/", "/deploys/", "/account/", "/account/mfa/totp/activate/", "/login/", "/no/such/page/"]
)
def test_no_page_is_kept_by_a_browser_or_proxy(bob: User, address: str) -> None:
    client = Client()
    client.force_login(bob)
    client.post("/reauthenticate/", {"password": make.PASSWORD})
    said = client.get(address)["Cache-Control"]
    assert "no-store" in said
    assert "private" in said


def test_after_a_wrong_password_the_password_has_the_focus(bob: User) -> None:
    page = Client().post("/login/", {"login": "bob", "password": WRONG}).content.decode()
    (focused,) = re.findall(r"<input[^>]*autofocus[^>]*>", page)
    assert 'name="password"' in focused
