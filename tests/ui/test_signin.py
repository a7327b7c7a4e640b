"""allauth's pages in the portal's look: they render, keep what was typed and lead on."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.management import call_command
from django.test import Client

from people.models import User

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough one"


@pytest.fixture(autouse=True)
def cache_table() -> None:
    """Throttling of sign-in lives in the database cache."""
    call_command("createcachetable", verbosity=0)


@pytest.fixture
def mira() -> User:
    return User.objects.create_user("mira", password=PASSWORD)


@pytest.fixture
def signed_in(client: Client, mira: User) -> Client:
    """Signed in, and asked again just now: what changes the second step wants that."""
    client.post("/login/", {"login": "mira", "password": PASSWORD})
    client.post("/reauthenticate/", {"password": PASSWORD})
    return client


def html(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


def test_sign_in(client: Client, mira: User) -> None:
    page = html(client.get("/login/?next=/deploys/17/"))
    assert 'class="input"' in page
    assert 'name="next" value="/deploys/17/"' in page
    assert "Nothing you sent" in page
    answer = client.post("/login/", {"login": "mira", "password": PASSWORD, "next": "/deploys/17/"})
    assert answer.headers["Location"] == "/deploys/17/"


def test_a_wrong_password_is_said_once_and_the_name_stays(client: Client, mira: User) -> None:
    page = html(client.post("/login/", {"login": "mira", "password": "wrong"}))
    assert 'value="mira"' in page
    assert page.count('role="alert"') == 1
    assert "wrong" not in page.replace("wrong_", "")


def test_signing_out_asks_first(signed_in: Client) -> None:
    assert "Sign out?" in html(signed_in.get("/logout/"))
    assert signed_in.post("/logout/").status_code == 302


def test_changing_the_password(signed_in: Client) -> None:
    page = html(signed_in.get("/password/change/"))
    assert 'aria-current="page"' in page
    page = html(
        signed_in.post("/password/change/", {"oldpassword": PASSWORD, "password1": "x", "password2": "x"})
    )
    assert "needs a look" in page or "need a look" in page


def activate_totp(client: Client) -> str:
    """Sets the second step up by the pages; gives the secret."""
    page = html(client.get("/account/mfa/totp/activate/"))
    assert "data:image/svg+xml" in page
    secret = client.session["mfa.totp.secret"]
    answer = client.post("/account/mfa/totp/activate/", {"code": code(secret)})
    assert answer.status_code == 302, html(answer)
    return str(secret)


def code(secret: str) -> str:
    counter = next(yield_hotp_counters_from_time())
    return str(format_hotp_value(hotp_value(secret, counter)))


def test_the_second_step_is_set_up_shown_and_turned_off(signed_in: Client, mira: User) -> None:
    assert "Not set" in html(signed_in.get("/account/mfa/"))
    activate_totp(signed_in)
    page = html(signed_in.get("/account/mfa/"))
    assert "In use <time" in page
    assert "10 left" in page
    codes = html(signed_in.get("/account/mfa/recovery-codes/"))
    assert codes.count('<li class="key">') == 10
    assert "stop working" in html(signed_in.get("/account/mfa/recovery-codes/generate/"))
    assert "Turn off" in html(signed_in.get("/account/mfa/totp/deactivate/"))


def test_a_wrong_code_leaves_the_second_step_off(signed_in: Client, mira: User) -> None:
    signed_in.get("/account/mfa/totp/activate/")
    page = html(signed_in.post("/account/mfa/totp/activate/", {"code": "000000"}))
    assert 'aria-invalid="true"' in page
    assert not Authenticator.objects.exists()


def test_signing_in_asks_for_the_code(client: Client, mira: User) -> None:
    TOTP.activate(mira, generate_totp_secret())
    codes = RecoveryCodes.activate(mira).get_unused_codes()
    answer = client.post("/login/", {"login": "mira", "password": PASSWORD}, follow=True)
    assert "Your code" in html(answer)
    answer = client.post("/account/mfa/authenticate/", {"code": codes[0]})
    assert answer.headers["Location"] == "/"


def test_what_matters_asks_again_who_it_is(client: Client, mira: User) -> None:
    client.post("/login/", {"login": "mira", "password": PASSWORD})
    page = html(client.get("/account/mfa/totp/activate/", follow=True))
    assert "Is it still you?" in page
    assert 'value="/account/mfa/totp/activate/"' in page
    assert 'aria-invalid="true"' in html(client.post("/reauthenticate/", {"password": "wrong"}))


def test_nobody_signs_up_by_himself(client: Client) -> None:
    sent = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/signup/", sent).status_code == 404
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "address", ["/password/reset/", "/email/", "/confirm-email/", "/login/code/confirm/"]
)
def test_what_needs_mail_is_not_there(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404
    assert address not in html(client.get("/login/"))
