"""Sign-in is throttled, sessions end, and a form that comes too late loses nothing but secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
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


def test_a_late_form_is_kept_and_says_that_nothing_was_saved() -> None:
    answer = late()
    page = answer.content.decode()
    assert answer.status_code == 401
    assert "Nothing was saved or changed." in page
    assert 'href="/login/" target="_blank"' in page
    assert 'name="name" value="Typed with care"' in page
    assert f'action="{ADDRESS}"' in page
    assert Project.objects.get().name == "Shop"


def test_secrets_are_not_kept_and_asked_for_again() -> None:
    page = late().content.decode()
    assert "canary-typed-token" not in page
    assert '<span class="key">credential</span>' in page
    assert 'name="typed_again" value="credential"' in page
    assert 'value="stale"' not in page


def test_what_will_be_sent_again_can_be_read() -> None:
    """Nobody confirms values that they cannot see."""
    page = late().content.decode()
    assert "<dt>name</dt><dd>Typed with care</dd>" in page
    assert "<dt>repository url</dt><dd>https://git.example/x.git</dd>" in page


def test_a_form_of_another_site_is_not_kept() -> None:
    page = late(**{"Sec-Fetch-Site": "cross-site"}).content.decode()
    assert "Typed with care" not in page
    assert "typed_again" not in page


def test_a_late_form_leads_back_to_the_page_it_stood_on() -> None:
    def page(**headers: str) -> str:
        return Client().post("/deploys/1/cancel/", headers=headers).content.decode()

    shown_at = "http://testserver/deploys/1/?all=1"
    assert 'href="/deploys/1/?all=1"' in page(**OWN_PAGE, Referer=shown_at)
    assert 'href="/deploys/1/?all=1"' in page(Referer=shown_at)
    assert "evil" not in page(**{"Sec-Fetch-Site": "cross-site"}, Referer="https://evil.example/")
    assert "evil" not in page(**OWN_PAGE, Referer="https://evil.example/")


def test_the_kept_form_can_be_sent_after_signing_in() -> None:
    late()
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.make_user(is_admin=True))
    sent = {key: value for key, value in FORM.items() if key != "credential"} | {"typed_again": "credential"}
    stale = client.post(ADDRESS, sent, headers=OWN_PAGE)
    page = stale.content.decode()
    assert stale.status_code == 403
    assert "Send it again" in page
    assert 'name="typed_again" value="credential"' in page
    token = stale.context["csrf_token"]
    asked = client.post(ADDRESS, {**sent, "csrfmiddlewaretoken": str(token)})
    assert asked.status_code == 422
    assert "Enter this again" in str(asked.context["form"].errors["credential"])
    assert Project.objects.get().name == "Shop"


def test_an_uploaded_file_counts_as_typed() -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    sent = {"name": "x", "kubeconfig_file": SimpleUploadedFile("c", b"canary-file")}
    page = Client().post("/admin/clusters/new/", sent, headers=OWN_PAGE).content.decode()
    assert 'name="typed_again" value="kubeconfig"' in page
    assert "canary-file" not in page


def test_what_must_be_typed_again_is_still_asked_for_when_the_session_ends_twice() -> None:
    sent = {key: value for key, value in FORM.items() if key != "credential"} | {"typed_again": "credential"}
    page = Client().post(ADDRESS, sent, headers=OWN_PAGE).content.decode()
    assert 'name="typed_again" value="credential"' in page


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
